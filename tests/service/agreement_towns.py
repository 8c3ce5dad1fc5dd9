"""Two towns with seats of their own, for the tests of lending and swapping."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import httpx2

from shared.service import JST
from shared.service.clock import wall_time
from tests.service.deliberation_room import KAGOSHIMA, KIRISHIMA, Room, line
from tests.service.training_courses import an_offer, desk, offered, planner
from tests.world import Running


def stand_after(training: Running, day: date) -> None:
    """The service's time: the moment after the end of a day in Japan."""
    midnight = datetime.combine(day + timedelta(days=1), time(), JST).astimezone(UTC)
    training.desk.clock.offset = midnight - wall_time()


async def two_towns(training: Running, room: Room, *, kagoshima: int = 3, kirishima: int = 2, **terms: Any) -> UUID:
    """A course run of which each town has seats that it may lend, until the thirtieth day."""
    number = an_offer().course_number
    seats = {KAGOSHIMA: kagoshima, KIRISHIMA: kirishima}
    last = (await room.today(30)).isoformat()
    terms = {"course_number": number, "cut_off_on": last, "lendable": True} | terms
    await room.decide(allotments=[line(many, [town], **terms) for town, many in seats.items()])
    offer = an_offer(course_number=number, capacity=sum(seats.values()), delegated=seats, hold_hours=2400)
    return await offered(
        training, replace(offer, applications_close_at=offer.applications_close_at + timedelta(days=60))
    )


async def pool_of(training: Running, course: UUID, town: str) -> str:
    """The town's own pool."""
    (row,) = await training.rows(
        "SELECT id FROM pool WHERE course_run_id = $1 AND municipality = $2 AND agreement_id IS NULL", course, town
    )
    return str(row["id"])


async def proposal(
    training: Running, room: Room, course: UUID, *, seats: int = 2, days: int = 20, **more: Any
) -> dict[str, Any]:
    """That Kagoshima lends Kirishima seats, as Kagoshima proposes it."""
    return {
        "pool_id": await pool_of(training, course, KAGOSHIMA),
        "seats": seats,
        "until_on": (await room.today(days)).isoformat(),
        "proposed_for": KAGOSHIMA,
        "taker": KIRISHIMA,
    } | more


async def propose(training: Running, body: dict[str, Any], town: str = KAGOSHIMA) -> httpx2.Response:
    """Propose it."""
    return await desk(training, town).post("/v1/seat-agreements", body)


async def take(training: Running, agreement: dict[str, Any], move: str, town: str = KIRISHIMA) -> httpx2.Response:
    """A side's next step."""
    return await desk(training, town).post(f"/v1/seat-agreements/{agreement['agreement_id']}/{move}", {})


async def lent(training: Running, room: Room, course: UUID, **more: Any) -> dict[str, Any]:
    """Proposed and agreed."""
    proposed = await propose(training, await proposal(training, room, course, **more))
    assert proposed.status_code == 201, proposed.text
    agreed = await take(training, proposed.json(), "agree")
    assert agreed.status_code == 200, agreed.text
    found: dict[str, Any] = agreed.json()
    return found


async def standing(training: Running, course: UUID) -> dict[tuple[str, bool], tuple[int, int]]:
    """Granted and taken, by whose, and whether it is lent."""
    run = (await planner(training).get(f"/v1/course-runs/{course}")).json()
    return {
        ("+".join(pool["municipalities"]) or "all", pool["agreement_id"] is not None): (
            pool["granted"],
            pool["held"] + pool["filled"],
        )
        for pool in run["pools"]
        if pool["granted"]
    }
