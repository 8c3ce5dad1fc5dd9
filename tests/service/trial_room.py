"""Trial places at a host workplace, for their tests: on offer, asked for, gone through up to the end."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from services.training.domain.offers import CourseOffer
from shared.auth import Role
from shared.service import day_in_japan
from shared.service.clock import wall_time
from tests.service.training_courses import ENTITY, KAGOSHIMA, an_offer, desk, offered, placement, registered, seat, step
from tests.world import Caller, Running

KEEPER = "midori-npo"
"""Who keeps the places of the host workplace."""
KEEPER_ENTITY, CERTIFICATE = "8000020130001", "認定就労-46-003"
HOST, ANOTHER_HOST = UUID(int=0x71), UUID(int=0x72)
DESK_NAME = {"legal_entity": ENTITY["legal_entity"]}
PAID = ("paid_trial", "job")


def day(after: int) -> date:
    """So many days from today."""
    return day_in_japan(wall_time()) + timedelta(days=after)


def a_place(step: str = "visit", *, on: int = 10, days: int = 1, **changes: Any) -> CourseOffer:
    """Two places of a step, `on` so many days from now."""
    values: dict[str, Any] = {
        "title": "みどり園芸での受入れ",
        "provider_agency": KEEPER,
        "system": "trial",
        "field": step,
        "starts_on": day(on),
        "ends_on": day(on + days - 1),
        "applications_close_at": wall_time().replace(microsecond=0) + timedelta(days=on - 1),
        "capacity": 2,
        "host_workplace_id": HOST,
        "host_workplace_name": "みどり園芸",
    }
    return an_offer(**values | changes)


async def on_offer(training: Running, step: str = "visit", **changes: Any) -> UUID:
    """Places that there are, at a host whose keeper is registered."""
    await keeper_registered(training)
    return await offered(training, a_place(step, **changes))


async def keeper_registered(training: Running) -> None:
    """As the operator does it once."""
    await training.rows(
        "INSERT INTO registration (id, agency, basis, legal_entity, number, valid_from, recorded_by, recorded_at)"
        " VALUES ($1, $2, 'host_workplace', $3, $4, '2022-10-01', 'operator', now()) ON CONFLICT DO NOTHING",
        UUID(int=0x70),
        KEEPER,
        KEEPER_ENTITY,
        CERTIFICATE,
    )
    await registered(training)


def keeper(training: Running, agency: str = KEEPER) -> Caller:
    """Who acts for the host workplace."""
    return training.as_(agency, Role.PROVIDER, municipalities=[])


async def nominated(training: Running, asked: dict[str, Any], *, paid: bool = False) -> dict[str, Any]:
    """By the desk; where work is paid by the placement."""
    caller, name = (placement(training), ENTITY) if paid else (desk(training), DESK_NAME)
    answer = await step(caller, asked, "nominate", name)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def came(training: Running, asked: dict[str, Any]) -> dict[str, Any]:
    """The host took the person in."""
    answer = await step(keeper(training), asked, "enrol")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ended(training: Running, asked: dict[str, Any], on: date, ending: str = "completed", **more: Any) -> None:
    """The host says how it ended, on that day."""
    late = on - day_in_japan(wall_time() + training.desk.clock.offset)
    if late.days > 0:
        training.pass_time(late)
    body = {"ending": ending, "ended_on": on.isoformat()} | more
    answer = await step(keeper(training), asked, "end-training", body)
    assert answer.status_code == 200, answer.text


async def completed(training: Running, case_id: UUID, field: str, *, on: int, host: UUID = HOST) -> dict[str, Any]:
    """A step gone through from the asking to the end."""
    course = await on_offer(training, field, on=on, host_workplace_id=host)
    asked = await seat(training, course, case_id=case_id)
    await nominated(training, asked, paid=field in PAID)
    await came(training, asked)
    await ended(training, asked, day(on))
    return asked


__all__ = [
    "ANOTHER_HOST",
    "CERTIFICATE",
    "DESK_NAME",
    "HOST",
    "KAGOSHIMA",
    "KEEPER",
    "KEEPER_ENTITY",
    "a_place",
    "came",
    "completed",
    "day",
    "ended",
    "keeper",
    "keeper_registered",
    "nominated",
    "on_offer",
]
