"""What tests of conferences say often: one that is called, opened, minuted and concluded, and what it decided."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from shared.service import day_in_japan
from shared.service.clock import wall_time
from tests.service.assessment_room import DESK, NPO, consented, known_case
from tests.world import KIRISHIMA, Caller, Running

CLINIC = "kirishima-clinic"
"""Far away: its municipality is another one."""
SUPPORTER, NURSE, COUNSELLOR = "employment_supporter", "public_health_nurse", "self_reliance_counsellor"
MINUTES = "住まいの確保を先に進めることで一致した。"


def today(running: Running, days: int = 0) -> date:
    """The day in Japan, by the service's clock."""
    return day_in_japan(wall_time() + running.desk.clock.offset) + timedelta(days=days)


def clinic(running: Running) -> Caller:
    """Somebody from another town, who knows of the case by the conference alone."""
    return running.as_(CLINIC, municipalities=[KIRISHIMA], kind="clinic")


def member(agency: str, profession: str = SUPPORTER) -> dict[str, str]:
    """A place in the meeting."""
    return {"agency": agency, "profession": profession}


async def call(caller: Caller, running: Running, case_id: UUID, **changes: Any) -> Any:
    """Call a conference for today, with NPO in it unless others are named."""
    body = {
        "lane": "consent",
        "held_on": today(running).isoformat(),
        "members": [member(DESK, COUNSELLOR), member(NPO)],
    }
    return await caller.post(f"/v1/cases/{case_id}/conferences", body | changes)


async def called(running: Running, *, lane: str = "consent", days: int = 0, **changes: Any) -> tuple[UUID, str]:
    """A case with a conference, by the desk that holds it; with consent where the lane asks for it."""
    case_id = await known_case(running)
    if lane == "consent":
        await consented(running, case_id)
    held_on = today(running, days).isoformat()
    answer = await call(running.as_(), running, case_id, lane=lane, held_on=held_on, **changes)
    assert answer.status_code == 201, answer.text
    return case_id, f"/v1/conferences/{answer.json()['conference_id']}"


async def do(caller: Caller, path: str, body: Any = None) -> Any:
    """A step that must go well."""
    answer = await caller.post(path, body if body is not None else {})
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def decide(caller: Caller, path: str, running: Running, decision: str, **more: Any) -> str:
    """A decision that must be one; its task."""
    body = {"decision": decision, "owner": DESK, "due_on": today(running, 14).isoformat()} | more
    return str((await do(caller, f"{path}/decisions", body))["task_id"])


async def conclude(caller: Caller, path: str, *present: dict[str, str]) -> Any:
    """With minutes, and the desk's counsellor there unless others are named."""
    await do(caller, f"{path}/minutes", {"words": MINUTES})
    return await do(caller, f"{path}/conclude", {"present": list(present) or [member(DESK, COUNSELLOR)]})


async def kept_in_the_clear(running: Running, words: str) -> list[str]:
    """The tables in which these words can be read."""
    tables = await running.rows(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'assessment' AND table_type = 'BASE TABLE'"
    )
    found = []
    for (table,) in tables:
        rows = await running.rows(f"SELECT convert_to({table}::text, 'UTF8') AS row FROM {table}")
        if any(words.encode() in row["row"] or words in bytes(row["row"]).decode() for row in rows):
            found.append(table)
    return found
