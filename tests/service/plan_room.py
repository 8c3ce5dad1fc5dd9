"""What tests of support plans say often: a plan's words, its way to the decision, and who takes part in it."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from shared.service import day_in_japan
from shared.service.clock import wall_time
from tests.service.assessment_room import DESK, NPO
from tests.world import Caller, Running

CITY = "kagoshima-city"
PROBLEMS, GOAL = "生活のリズムが崩れ、夜に眠れていない。", "週に三日、決まった時刻に外に出る。"
OWN_LINE, NPO_LINE, PERSON_LINE = "家計の相談の予約をとる。", "体験の日を一度つくる。", "朝、決めた時刻に起きる。"
WORDS = (PROBLEMS, GOAL, OWN_LINE, NPO_LINE, PERSON_LINE)


def today() -> date:
    return day_in_japan(wall_time())


def on(days: int) -> str:
    """A day that is so many days from today."""
    return (today() + timedelta(days=days)).isoformat()


def line(who: str, what: str, rhythm: str, *, agency: str | None = None, **more: Any) -> dict[str, Any]:
    """A line for the next half year, unless said otherwise."""
    named = {} if agency is None else {"agency": agency}
    return {"who": who, **named, "what": what, "begins_on": on(0), "ends_on": on(180), "rhythm": rhythm} | more


def body(*lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plan with a line of the desk, of another agency and of the person."""
    of_three = (
        line("desk", OWN_LINE, "once", ends_on=on(14)),
        line("agency", NPO_LINE, "once", agency=NPO, scheme="work-readiness", ends_on=on(30)),
        line("person", PERSON_LINE, "daily"),
    )
    return {"problems": PROBLEMS, "goal": GOAL, "lines": list(lines or of_three), "monitor_on": on(45)} | more


def city(running: Running, agency: str = CITY, **more: Any) -> Caller:
    """The municipality, which decides."""
    return running.as_(agency, kind="municipality", **more)


async def drafted(running: Running, case_id: UUID, content: dict[str, Any] | None = None, agency: str = DESK) -> Any:
    """A draft that must go well."""
    answer = await running.as_(agency).post(f"/v1/cases/{case_id}/plans", content or body())
    assert answer.status_code == 201, answer.text
    return answer.json()


MOVES: dict[str, dict[str, Any]] = {
    "agree": {"way": "written", "witness": "長女が同席した。"},
    "disagree": {"way": "oral"},
    "hear": {"opinion": "appropriate", "words": "無理のない計画である。"},
    "decide": {"decided": "support", "decision_number": "r8-123"},
    "send_back": {"reason": "change_needed", "words": "期間を短く。"},
    "monitor": {"way": "visit", "seen": "居場所に通えている。"},
    "evaluate": {"reached": "partly", "changes": "外に出る日が増えた。", "remains": "夜の眠り。", "ending": "new_plan"},
    "give_up": {"reason": "person_wishes", "words": "いまは休みたい。"},
}


def said(name: str, version: int = 1, days: int = 0) -> dict[str, Any]:
    """A move's body; `days`: how far the clock of the service was moved on."""
    about = {"version": version} if name in {"agree", "disagree", "hear", "decide", "send_back"} else {}
    later = {"next_on": on(days + 60)} if name == "monitor" else {}
    return {"on": on(days), **about, **later, **MOVES[name]}


async def move(caller: Caller, plan_id: Any, name: str, version: int = 1, days: int = 0, **more: Any) -> Any:
    """A move that must go well."""
    answer = await caller.post(f"/v1/plans/{plan_id}/{name}", said(name, version, days) | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def in_force(running: Running, case_id: UUID, content: dict[str, Any] | None = None) -> Any:
    """A plan that was decided."""
    plan = await drafted(running, case_id, content)
    for name in ("agree", "hear"):
        await move(running.as_(), plan["plan_id"], name)
    return await move(city(running), plan["plan_id"], "decide")


async def revise(caller: Caller, plan_id: Any, content: dict[str, Any] | None = None) -> Any:
    """The next version, of what was read just before."""
    etag = (await caller.get(f"/v1/plans/{plan_id}")).headers["ETag"]
    return await caller.post(f"/v1/plans/{plan_id}/revise", content or body(), headers={"If-Match": etag})


async def content_of(caller: Caller, plan_id: Any, **params: Any) -> Any:
    """What a plan says, which must be readable."""
    answer = await caller.get(f"/v1/plans/{plan_id}/content", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()
