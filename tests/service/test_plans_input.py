"""What no plan can be: each is refused with a pointer, a code, Japanese and English, and leaves nothing behind."""

from typing import Any
from uuid import uuid4

import pytest

from tests.service.assessment_room import DESK, NPO, known_case
from tests.service.plan_room import (
    MOVES,
    NPO_LINE,
    PERSON_LINE,
    body,
    city,
    content_of,
    drafted,
    in_force,
    line,
    move,
    on,
    said,
)
from tests.world import KIRISHIMA, Running, World

NUMBER = "123456789018"
TABLES = ("plan", "plan_version", "plan_line", "plan_step", "plan_word", "plan_task", "task", "outbox", "access_log")
DAILY = line("person", PERSON_LINE, "daily")
DRAFTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no line at all": (body() | {"lines": []}, "/lines", "no_lines"),
    "31 lines": (body(*[DAILY] * 31), "/lines", "too_long"),
    "ends before it begins": (
        body(DAILY, line("desk", "電話", "once", begins_on=on(9), ends_on=on(8))),
        "/lines/1/ends_on",
        "ends_before_it_begins",
    ),
    "no agency named": (body(DAILY, line("agency", NPO_LINE, "once")), "/lines/1/agency", "agency_not_named"),
    "an agency for the person": (
        body(line("person", PERSON_LINE, "daily", agency=NPO)),
        "/lines/0/agency",
        "agency_without_need",
    ),
    "no agency's name": (
        body(line("agency", NPO_LINE, "once", agency="NPO ひなた")),
        "/lines/0/agency",
        "string_pattern_mismatch",
    ),
    "monitoring yesterday": (body(monitor_on=on(-1)), "/monitor_on", "monitoring_in_the_past"),
    "monitoring after all": (body(monitor_on=on(181)), "/monitor_on", "monitoring_after_the_end"),
    "no such rhythm": (body(line("person", PERSON_LINE, "hourly")), "/lines/0/rhythm", "enum"),
    "nobody's line": (body(line("everybody", PERSON_LINE, "daily")), "/lines/0/who", "enum"),
    "no such day": (body(line("person", PERSON_LINE, "daily", ends_on="2027-02-30")), "/lines/0/ends_on", ""),
    "an era's year that never was": (body(monitor_on="平成40年1月1日"), "/monitor_on", "no_year_of_era"),
    "a My Number in a line": (body(line("person", f"番号は{NUMBER}", "daily")), "/lines/0/what", "personal_number"),
    "a My Number as a scheme": (
        body(line("person", PERSON_LINE, "daily", scheme=NUMBER)),
        "/lines/0/scheme",
        "personal_number",
    ),
    "nothing to do": (body(line("person", "  ", "daily")), "/lines/0/what", "too_short"),
    "no goal": ({k: v for k, v in body().items() if k != "goal"}, "/goal", "missing"),
    "a field that is none": (body(hope="大きい"), "/", "extra_forbidden"),
}
IN_FORCE: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "monitored tomorrow": ("monitor", {"on": on(1)}, "/on", "in_the_future"),
    "next yesterday": ("monitor", {"next_on": on(-1)}, "/next_on", "in_the_past"),
    "a line of another plan": (
        "monitor",
        {"lines": [{"line_id": str(uuid4()), "going": "slow"}]},
        "/lines/0/line_id",
        "no_such_line",
    ),
    "no such way": ("monitor", {"way": "telepathy"}, "/way", "enum"),
    "a My Number seen": ("monitor", {"seen": f"番号は{NUMBER}"}, "/seen", "personal_number"),
    "evaluated tomorrow": ("evaluate", {"on": on(1)}, "/on", "in_the_future"),
    "nothing remains of half a goal": ("evaluate", {"remains": None}, "/remains", "missing"),
    "no such ending": ("evaluate", {"ending": "forget"}, "/ending", "enum"),
    "reached a bit": ("evaluate", {"reached": "a bit"}, "/reached", "enum"),
    "no change told": ("evaluate", {"changes": ""}, "/changes", "too_short"),
}


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


async def everything(running: Running) -> list[Any]:
    return [[dict(row) for row in await running.rows(f"SELECT * FROM {table}")] for table in TABLES]


def check(answer: Any, pointer: str, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    found = {(error["pointer"], error["code"]) for error in answer.json()["errors"]}
    assert (pointer, code) in found or (not code and pointer in {place for place, _ in found}), found
    assert all(error["message"] and error["message_ja"] for error in answer.json()["errors"])
    assert NUMBER not in answer.text


@pytest.mark.parametrize("what", DRAFTS)
async def test_what_is_no_plan_is_refused_and_leaves_nothing(running: Running, what: str) -> None:
    wrong, pointer, code = DRAFTS[what]
    case_id = await known_case(running)
    before = await everything(running)
    check(await running.as_().post(f"/v1/cases/{case_id}/plans", wrong), pointer, code)
    assert await everything(running) == before


@pytest.mark.parametrize("what", IN_FORCE)
async def test_what_is_no_monitoring_and_no_evaluation_is_refused_and_leaves_nothing(
    running: Running, what: str
) -> None:
    name, wrong, pointer, code = IN_FORCE[what]
    plan_id = (await in_force(running, await known_case(running)))["plan_id"]
    before = await everything(running)
    sent = {key: value for key, value in (said(name) | wrong).items() if value is not None}
    check(await running.as_().post(f"/v1/plans/{plan_id}/{name}", sent), pointer, code)
    assert await everything(running) == before


async def test_a_line_is_looked_at_once_in_a_monitoring(running: Running) -> None:
    plan_id = (await in_force(running, await known_case(running)))["plan_id"]
    (first, *_) = (await content_of(running.as_(), plan_id))["lines"]
    twice = [{"line_id": first["line_id"], "going": going} for going in ("slow", "done")]
    before = await everything(running)
    answer = await running.as_().post(f"/v1/plans/{plan_id}/monitor", said("monitor") | {"lines": twice})
    check(answer, "/lines/1/line_id", "line_twice")
    assert await everything(running) == before


@pytest.mark.parametrize("name", ["agree", "disagree", "hear", "decide", "send_back", "give_up"])
async def test_nothing_is_recorded_that_has_not_happened(running: Running, name: str) -> None:
    plan_id = (await drafted(running, await known_case(running)))["plan_id"]
    for before in {"hear": ["agree"], "decide": ["agree", "hear"], "send_back": ["agree"]}.get(name, []):
        await move(running.as_(), plan_id, before)
    caller = city(running) if name in {"decide", "send_back"} else running.as_()
    stored = await everything(running)
    check(await caller.post(f"/v1/plans/{plan_id}/{name}", said(name) | {"on": on(1)}), "/on", "in_the_future")
    assert await everything(running) == stored


@pytest.mark.parametrize("name", sorted(MOVES))
async def test_nobody_from_elsewhere_moves_a_plan_and_no_neighbour(running: Running, name: str) -> None:
    plan_id = (await drafted(running, await known_case(running)))["plan_id"]
    stranger = running.as_("kirishima-city", kind="municipality", municipalities=[KIRISHIMA])
    stored = await everything(running)
    assert (await stranger.post(f"/v1/plans/{plan_id}/{name}", said(name))).status_code == 404
    assert (await running.as_(NPO).post(f"/v1/plans/{plan_id}/{name}", said(name))).status_code == 403
    assert (await running.as_(DESK).post(f"/v1/plans/{uuid4()}/{name}", said(name))).status_code == 404
    assert await everything(running) == stored


async def test_only_who_holds_the_case_drafts_its_plan(running: Running) -> None:
    case_id = await known_case(running)
    assert (await running.as_(NPO).post(f"/v1/cases/{case_id}/plans", body())).status_code == 403
    far = running.as_("kirishima-desk", municipalities=[KIRISHIMA])
    assert (await far.post(f"/v1/cases/{case_id}/plans", body())).status_code == 404
    assert (await running.as_().post(f"/v1/cases/{uuid4()}/plans", body())).status_code == 404


async def test_a_plan_that_could_not_be_committed_leaves_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything of a decision is one transaction: what fails at its end takes the rest with it."""
    plan_id = (await drafted(running, await known_case(running)))["plan_id"]
    for name in ("agree", "hear"):
        await move(running.as_(), plan_id, name)
    stored = await everything(running)
    with monkeypatch.context() as away:
        away.setattr(running.database, "commit", refuse)
        answer = await city(running).post(f"/v1/plans/{plan_id}/decide", said("decide"))
    assert answer.status_code >= 500
    assert await everything(running) == stored
    assert (await move(city(running), plan_id, "decide"))["state"] == "in_force"


async def refuse(_: Any) -> None:
    raise OSError("the server went away")
