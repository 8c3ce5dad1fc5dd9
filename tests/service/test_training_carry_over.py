"""Fewer than ten seats left of a quarter's allotment go on to the next quarter's, where the decision says so."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.training.domain.offers import Denied
from services.training.handlers.courses import Offered
from shared.events import QuotaCarriedOver
from tests.service.deliberation_room import KAGOSHIMA, KIRISHIMA, Room, code, line, the_room
from tests.service.training_courses import an_offer, broken_promises, offer_again, offered, planner
from tests.world import Running, World


@pytest.fixture
async def training(world: World) -> Running:
    return world.service("training")


@pytest.fixture
async def room(training: Running) -> Room:
    return await the_room(training)


def of_quarter(quarter: int, seats: int, town: str = KAGOSHIMA, **more: Any) -> dict[str, Any]:
    return line(seats, [town], quarter=quarter, **more)


async def next_quarter(training: Running) -> None:
    """The tests' clock stands in the third quarter of 2026."""
    now = (await training.rows("SELECT clock_timestamp() AS now"))[0]["now"]
    days = (date(2027, 1, 2) - (now + training.desk.clock.offset).date()).days
    assert 0 < days < 93, "the third quarter of 2026"
    training.pass_time(timedelta(days=days))
    await training.sweep()


async def numbers(training: Running) -> dict[tuple[str, int], int]:
    rows = await training.rows("SELECT municipalities[1] AS town, quarter, allotment_seats(id) FROM decision_allotment")
    return {(row["town"], row["quarter"]): row["allotment_seats"] for row in rows}


async def test_what_little_is_left_is_in_the_next_quarters_number(training: Running, room: Room) -> None:
    made = await room.decide(
        allotments=[
            of_quarter(3, 12, carries_over=True), of_quarter(4, 5),
            of_quarter(3, 12, KIRISHIMA), of_quarter(4, 5, KIRISHIMA),
        ]
    )  # fmt: skip
    winter = {"starts_on": date(2026, 12, 25), "ends_on": date(2027, 5, 31)}
    await offered(training, an_offer(delegated={KAGOSHIMA: 4}, **winter))
    await next_quarter(training)
    assert await training.sweep() == 0, "once"
    assert await numbers(training) == {(KAGOSHIMA, 3): 4, (KAGOSHIMA, 4): 13, (KIRISHIMA, 3): 12, (KIRISHIMA, 4): 5}
    (told,) = [event for event in await training.told() if isinstance(event, QuotaCarriedOver)]
    assert (told.municipalities, told.seats) == ([KAGOSHIMA], 8)
    shown = (await planner(training).get(f"/v1/decisions/{made}")).json()["allotments"]
    assert [(each["quarter"], each["seats"], each["carried_over"]) for each in shown[:2]] == [(3, 12, -8), (4, 5, 8)]
    spring = {"starts_on": date(2027, 3, 1), "ends_on": date(2027, 5, 31), "capacity": 20}
    more = an_offer(delegated={KAGOSHIMA: 14}, **spring)
    assert await offer_again(training, more) == Denied("more_than_allotted", "delegated")
    assert isinstance(await offer_again(training, an_offer(delegated={KAGOSHIMA: 13}, **spring)), Offered)
    assert await broken_promises(training) == []
    answer = await planner(training).get("/v1/training-report/delegated.csv?fiscal_year=2026&encoding=utf-8")
    rows = [row.split(",") for row in answer.content.decode("utf-8-sig").splitlines()]
    assert rows[0][0] == "決定番号"
    column = rows[0].index("前期から繰越")
    assert [row[column : column + 2] for row in rows[1:]] == [["0", "8"], ["8", "0"], ["0", "0"], ["0", "0"]]


async def test_ten_are_a_lot_of_their_own_and_stay(training: Running, room: Room) -> None:
    await room.decide(allotments=[of_quarter(3, 10, carries_over=True), of_quarter(4, 5)])
    await next_quarter(training)
    assert await numbers(training) == {(KAGOSHIMA, 3): 10, (KAGOSHIMA, 4): 5}


async def test_only_a_quarter_is_carried_over(room: Room) -> None:
    answer = await room.keeper.post(f"{room.path}/motions", room.motion(allotments=[line(carries_over=True)]))
    assert (answer.status_code, await code(answer)) == (409, "no_quarter_to_carry_from")


async def test_the_database_carries_over_as_decided_and_no_more_than_is_left(training: Running, room: Room) -> None:
    await room.decide(
        allotments=[
            of_quarter(3, 4, carries_over=True), of_quarter(4, 5),
            of_quarter(3, 4, KIRISHIMA), of_quarter(4, 5, KIRISHIMA),
        ]
    )  # fmt: skip
    rows = await training.rows("SELECT id, municipalities[1] AS town, quarter FROM decision_allotment")
    ids: dict[tuple[str, int], UUID] = {(row["town"], row["quarter"]): row["id"] for row in rows}
    carry = (
        "INSERT INTO allotment_entry (kind, from_allotment_id, to_allotment_id, seats, at)"
        " VALUES ('carry_over', $1, $2, $3, clock_timestamp() + $4)"
    )
    later = timedelta(days=60)
    for source, target, seats, by, because in (
        ((KAGOSHIMA, 3), (KAGOSHIMA, 4), 4, timedelta(), "the quarter is not over"),
        ((KAGOSHIMA, 3), (KIRISHIMA, 4), 4, later, "as the decision says"),
        ((KIRISHIMA, 3), (KIRISHIMA, 4), 4, later, "as the decision says"),
        ((KAGOSHIMA, 3), (KAGOSHIMA, 4), 5, later, "more is carried over than is left"),
    ):
        with pytest.raises(asyncpg.CheckViolationError, match=because):
            await training.rows(carry, ids[source], ids[target], seats, by)
    await training.rows(carry, ids[KAGOSHIMA, 3], ids[KAGOSHIMA, 4], 4, later)
    with pytest.raises(asyncpg.CheckViolationError, match="more is carried over than is left"):
        await training.rows(carry, ids[KAGOSHIMA, 3], ids[KAGOSHIMA, 4], 1, later)
