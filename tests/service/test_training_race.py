"""Many at once for the last seats: nobody twice, nothing oversold, no seat idle beside somebody who waits."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.bus.port import PARTITIONS
from shared.events import SeatHeld, SeatWaitlisted
from tests.service.training_courses import (
    an_offer,
    arrive,
    ask,
    broken_promises,
    desk,
    entrust,
    known_case,
    offer_again,
    offered,
    referred,
    seat,
    step,
)
from tests.world import KAGOSHIMA, KIRISHIMA, Running, World

TOWNS = (KAGOSHIMA, KIRISHIMA)


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


async def states(training: Running) -> dict[str, int]:
    rows = await training.rows("SELECT state, count(*) AS persons FROM seat_request GROUP BY state")
    return {row["state"]: row["persons"] for row in rows}


async def ask_until_answered(training: Running, course: UUID, municipality: str, case_id: UUID) -> str:
    """As a client does: 503 means again, with the same key, so that nobody gets two seats by it."""
    body, key = {"case_id": str(case_id)}, str(uuid4())
    for _ in range(20):
        answer = await desk(training, municipality).post(f"/v1/course-runs/{course}/seat-requests", body, key=key)
        if answer.status_code != 503:
            return str(answer.json().get("outcome", answer.status_code))
    return "never answered"


async def test_two_hundred_ask_at_once_for_the_last_twenty_seats(training: Running) -> None:
    course = await offered(training, capacity=20, delegated={KAGOSHIMA: 6})
    cases = [await known_case(training, TOWNS[number % 2]) for number in range(134)]
    before = len(await training.told())

    async def over_http(number: int) -> str:
        return await ask_until_answered(training, course, TOWNS[number % 2], cases[number])

    async def by_event(numbers: Sequence[int]) -> str:
        for number in numbers:
            await arrive(training, referred(course, municipality=TOWNS[number % 2]), times=2)
        return "told"

    answers = await asyncio.gather(
        *(over_http(number) for number in range(134)),
        *(by_event(range(134 + partition, 200, PARTITIONS)) for partition in range(PARTITIONS)),
    )
    assert set(answers) == {"held", "waiting", "told"}, "everybody is answered, nobody with a failure"
    assert await states(training) == {"held": 20, "waiting": 180}
    assert await broken_promises(training) == []
    assert await training.rows("SELECT FROM parked") == []

    told = (await training.told())[before:]
    held = [event.case_id for event in told if isinstance(event, SeatHeld)]
    waits = [event.case_id for event in told if isinstance(event, SeatWaitlisted)]
    assert (len(set(held)), len(held), len(set(waits)), len(waits)) == (20, 20, 180, 180)
    lines = await training.rows(
        "SELECT pool_id, array_agg(line_no ORDER BY line_no) AS line FROM seat_request"
        " WHERE state = 'waiting' GROUP BY pool_id"
    )
    for row in lines:
        assert row["line"] == list(range(1, len(row["line"]) + 1)), "every place in a line is given once"


async def test_who_was_told_a_place_had_no_seat_to_be_had(training: Running) -> None:
    """The order of the outbox is the order of decisions: all holds come before the first place in line."""
    course = await offered(training, capacity=5)
    cases = [await known_case(training) for _ in range(30)]
    await asyncio.gather(*(ask(training, course, case_id=case_id) for case_id in cases))
    told = [type(event) for event in await training.told() if isinstance(event, SeatHeld | SeatWaitlisted)]
    assert told == [SeatHeld] * 5 + [SeatWaitlisted] * 25


async def test_one_case_asking_many_times_at_once_has_one_request(training: Running) -> None:
    course, case_id = await offered(training, capacity=20), await known_case(training)
    referral = referred(course, case_id=case_id)
    answers: list[Any] = await asyncio.gather(
        *(ask(training, course, case_id=case_id) for _ in range(10)), *(arrive(training, referral) for _ in range(5))
    )
    statuses = [answer.status_code for answer in answers if answer is not None]
    assert sorted(set(statuses)) in ([201, 409], [409]), "one gets it, over HTTP or by event"
    assert statuses.count(201) <= 1
    assert len(await training.rows("SELECT FROM seat_request")) == 1
    assert await broken_promises(training) == []


async def test_giving_back_asking_and_expiring_at_once_leaves_no_seat_idle(training: Running) -> None:
    course = await offered(training, capacity=10)
    early = [await seat(training, course) for _ in range(10)]
    cases = [await known_case(training) for _ in range(30)]
    training.pass_time(timedelta(hours=73))
    # The ten have run out; while the sweep looks for them, some are given back and newcomers come.
    given = [step(desk(training), each, "release", {"reason": "withdrawn"}) for each in early[::2]]
    asked = [ask(training, course, case_id=case_id) for case_id in cases]
    sweeps = [training.sweep() for _ in range(3)]
    outcomes: list[Any] = await asyncio.gather(*given, *asked, *sweeps)
    assert not [o for o in outcomes if not isinstance(o, int) and o.status_code >= 500]
    await training.sweep()
    assert await states(training) == {"held": 10, "waiting": 20, "released": 10}
    assert await broken_promises(training, [course]) == []


async def test_a_course_offered_twice_at_once_stands_once(training: Running) -> None:
    offer = an_offer(capacity=7, delegated={KAGOSHIMA: 2})
    await entrust(training)
    outcomes = await asyncio.gather(*(offer_again(training, offer) for _ in range(5)))
    assert len({getattr(outcome, "course_run_id", None) for outcome in outcomes}) == 1
    assert await broken_promises(training) == []
