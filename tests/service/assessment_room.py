"""What tests of assessment say often: a case that intake told of, a rating, what was told and what is on a list."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from shared.events import CaseOpened, ConsentGiven, Event
from tests.world import KAGOSHIMA, Caller, Running

AXES = ("interpersonal", "mental", "stress", "thinking", "environment")
DESK = "kagoshima-desk"
NPO = "kagoshima-npo"


def levels(*values: int | str | None) -> dict[str, Any]:
    """Levels for the five axes in their order."""
    return dict(zip(AXES, values, strict=True))


async def known_case(running: Running, *, municipality: str = KAGOSHIMA, agency: str = DESK) -> UUID:
    """A case that was opened elsewhere."""
    case_id = uuid4()
    opened = CaseOpened(
        case_id=case_id,
        municipality=municipality,
        agency_id=agency,
        entrance="walk_in",
        opened_at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    await running.hear(opened)
    return case_id


async def consented(
    running: Running, case_id: UUID, *recipients: str, version: int = 1, categories: tuple[str, ...] = ()
) -> None:
    """The person agreed to a case conference with these agencies."""
    await running.hear(
        ConsentGiven(
            case_id=case_id,
            consent_version=version,
            purposes=["case_conference"],
            recipients=list(recipients),
            categories=list(categories),
        )
    )


async def rate(caller: Caller, case_id: UUID, *values: int | str | None, **more: Any) -> Any:
    """A rating that must go well."""
    answer = await caller.post(f"/v1/cases/{case_id}/assessments", {"levels": levels(*values), **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def told_of(running: Running, kind: type[Event]) -> list[Any]:
    """What of one kind was told, in order."""
    return [event for event in await running.told() if isinstance(event, kind)]


async def todo(caller: Caller, **params: Any) -> list[dict[str, Any]]:
    """A list of tasks, read to its end."""
    return await caller.whole("/v1/tasks", **params)
