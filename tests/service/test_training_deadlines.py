"""Deadlines are moments of the database's clock: at each door 16:00:00 is in time, and a microsecond later is not."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.events import SeatRefused, SeatReleased
from shared.service.clock import JST
from tests.service.test_training_cut_off import StandsAt
from tests.service.training_courses import (
    ENTITY,
    ask,
    desk,
    known_case,
    moment,
    offered,
    placement,
    referred,
    seat,
    state_of,
    step,
    told_since,
)
from tests.world import Running, World

AT_FOUR = datetime(2027, 3, 1, 16, tzinfo=JST)
JUST = timedelta(microseconds=1)


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


def stands_at(training: Running, at: datetime) -> None:
    """From now on the database's clock shows this moment, however often it is asked."""
    training.desk.clock.offset = StandsAt(at)


async def code(training: Running, asked: dict[str, Any], move: str, body: Any = None) -> tuple[int, str | None]:
    caller = placement(training) if move == "nominate" else desk(training)
    answer = await step(caller, asked, move, body)
    return answer.status_code, answer.json().get("code")


async def test_applications_close_after_four_o_clock_sharp_by_either_door(training: Running) -> None:
    course = await offered(training, capacity=5, applications_close_at=AT_FOUR)
    before = len(await training.told())
    in_time, late = [await known_case(training) for _ in range(2)]
    stands_at(training, AT_FOUR)
    assert (await ask(training, course, case_id=in_time)).status_code == 201
    await training.hear(referred(course))
    stands_at(training, AT_FOUR + JUST)
    answer = await ask(training, course, case_id=late)
    assert (answer.status_code, answer.json()["code"]) == (409, "applications_closed")
    await training.hear(referred(course))
    told = await told_since(training, before)
    assert [event.reason for event in told if isinstance(event, SeatRefused)] == ["applications_closed"]
    assert (await training.rows("SELECT count(*) AS n FROM seat_request"))[0]["n"] == 2


async def test_a_hold_is_the_persons_until_the_moment_itself(training: Running) -> None:
    course = await offered(training, capacity=5, applications_close_at=AT_FOUR, hold_hours=2400)
    nominated, late = [await seat(training, course) for _ in range(2)]
    assert moment(late["expires_at"]) == AT_FOUR
    stands_at(training, AT_FOUR)
    assert await training.sweep() == 0
    assert await code(training, nominated, "nominate", ENTITY) == (200, None)
    stands_at(training, AT_FOUR + JUST)
    assert await code(training, late, "nominate", ENTITY) == (409, "hold_expired")
    await training.sweep()
    assert await state_of(training, late) == "released"


async def test_an_offer_is_answered_until_the_moment_itself_and_lapses_under_its_own_name(training: Running) -> None:
    course = await offered(training, capacity=3, applications_close_at=AT_FOUR)
    holders = [await seat(training, course) for _ in range(3)]
    takes, declines, silent = [await seat(training, course) for _ in range(3)]
    waits = await seat(training, course)
    stands_at(training, AT_FOUR - timedelta(hours=1))
    for holder in holders:
        await code(training, holder, "release", {"reason": "withdrawn"})
    for each in (takes, declines, silent):
        shown = (await desk(training).get(f"/v1/seat-requests/{each['seat_request_id']}")).json()
        assert (shown["offered"], moment(shown["expires_at"])) == (True, AT_FOUR)
    stands_at(training, AT_FOUR)
    assert await code(training, takes, "accept") == (200, None)
    assert await code(training, declines, "decline", {"reason": "other"}) == (200, None)
    before = len(await training.told())
    stands_at(training, AT_FOUR + JUST)
    assert await code(training, silent, "accept") == (409, "hold_expired")
    await training.sweep()
    released = [event for event in await told_since(training, before) if isinstance(event, SeatReleased)]
    reasons = {event.seat_request_id: event.reason for event in released}
    assert reasons[UUID(silent["seat_request_id"])] == "offer_lapsed"
    assert reasons[UUID(takes["seat_request_id"])] == "expired", "an accepted seat is held like any other"
    assert reasons[UUID(waits["seat_request_id"])] == "offer_lapsed", "the declined one was offered on"
    (entry,) = await training.rows(
        "SELECT kind FROM seat_entry WHERE seat_request_id = $1 ORDER BY id DESC LIMIT 1",
        UUID(silent["seat_request_id"]),
    )
    assert entry["kind"] == "expire"
