"""At the cut-off seats are offered to whom the decision names next; then to the one after, and in the end to all."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.training.handlers.courses import Offered
from shared.events import CutOffNear, SeatsMoved
from shared.service import JST
from shared.service.clock import wall_time
from tests.service.deliberation_room import KAGOSHIMA, KIRISHIMA, Room, code, line, the_room
from tests.service.training_courses import (
    an_offer,
    broken_promises,
    desk,
    offer_again,
    offered,
    planner,
    seat,
    state_of,
    step,
)
from tests.world import Running, World

SATSUMA = "462152"


@pytest.fixture
async def training(world: World) -> Running:
    return world.service("training")


@pytest.fixture
async def room(training: Running) -> Room:
    return await the_room(training)


def stand_at(training: Running, day: date) -> None:
    """The service's time: the moment after the end of a day in Japan."""
    midnight = datetime.combine(day + timedelta(days=1), time(), JST).astimezone(UTC)
    training.desk.clock.offset = midnight - wall_time()


async def named_next(
    training: Running, room: Room, *onward: Sequence[str], seats: int = 3, capacity: int = 4, **terms: Any
) -> tuple[UUID, list[date]]:
    """Kagoshima's seats, with whoever is next, each for ten days more; the course run and the days."""
    days = [await room.today(10 * n) for n in range(1, len(onward) + 2)]
    number = an_offer().course_number
    steps = [
        {"municipalities": list(towns), "cut_off_on": day.isoformat()}
        for towns, day in zip(onward, days[1:], strict=True)
    ]
    terms = {"course_number": number, "cut_off_on": days[0].isoformat(), "onward": steps} | terms
    await room.decide(allotments=[line(seats, **terms)])
    offer = an_offer(
        course_number=number, capacity=capacity, delegated={KAGOSHIMA: seats}, hold_hours=2400, offer_days=20
    )
    offer = replace(offer, applications_close_at=offer.applications_close_at + timedelta(days=60))
    return await offered(training, offer), days


async def seats_of(training: Running, course: UUID) -> dict[tuple[str, int | None], tuple[int, int]]:
    run = (await planner(training).get(f"/v1/course-runs/{course}")).json()
    return {
        ("+".join(pool["municipalities"]) or "all", pool["onward_step"]): (
            pool["granted"],
            pool["held"] + pool["filled"],
        )
        for pool in run["pools"]
        if pool["granted"]
    }


async def test_what_nobody_holds_goes_to_whom_the_decision_names_and_then_to_all(training: Running, room: Room) -> None:
    course, (first, second, third) = await named_next(training, room, [KIRISHIMA], [SATSUMA, "462250"])
    held = await seat(training, course)
    theirs = [await seat(training, course, municipality=KIRISHIMA) for _ in range(2)]
    assert [each["outcome"] for each in theirs] == ["held", "waiting"]
    stand_at(training, first)
    await training.sweep()
    assert await state_of(training, theirs[1]) == "held", "offered in the same transaction"
    assert await seats_of(training, course) == {
        ("all", None): (1, 1),
        (KAGOSHIMA, None): (1, 1),
        (KIRISHIMA, 1): (2, 1),
    }
    # The decision that sent them is the one that grants them.
    (grant,) = [
        (await desk(training, KIRISHIMA).get(f"/v1/seat-requests/{each['seat_request_id']}/grant")).json()
        for each in theirs[1:]
    ]
    own = (await desk(training).get(f"/v1/seat-requests/{held['seat_request_id']}/grant")).json()
    assert (grant["decision"], grant["onward_step"], grant["lent_by"]) == (own["decision"], 1, None)
    # A seat that is given back later goes the same way.
    assert (await step(desk(training), held, "release", {"reason": "withdrawn"})).status_code == 200
    assert (await seats_of(training, course))[KIRISHIMA, 1] == (3, 1)
    stand_at(training, second)
    await training.sweep()
    assert await seats_of(training, course) == {
        ("all", None): (1, 1), (KIRISHIMA, 1): (1, 1), ("462152+462250", 2): (2, 0),
    }  # fmt: skip
    stand_at(training, third)
    await training.sweep()
    assert await seats_of(training, course) == {("all", None): (3, 1), (KIRISHIMA, 1): (1, 1)}
    assert await training.sweep() == 0
    moved = [event for event in await training.told() if isinstance(event, SeatsMoved)]
    assert [(each.kind, each.from_municipalities, each.to_municipalities, each.seats) for each in moved] == [
        ("transfer", [KAGOSHIMA], [KIRISHIMA], 2), ("transfer", [KAGOSHIMA], [KIRISHIMA], 1),
        ("transfer", [KIRISHIMA], ["462152", "462250"], 2),
    ]  # fmt: skip
    assert await broken_promises(training) == []


async def test_after_weeks_without_a_clock_they_go_all_the_way_at_once(training: Running, room: Room) -> None:
    course, days = await named_next(training, room, [KIRISHIMA], [SATSUMA], returns_percent=50)
    stand_at(training, days[-1])
    await training.sweep()
    assert await seats_of(training, course) == {("all", None): (3, 0), (KAGOSHIMA, None): (1, 0)}
    entries = await training.rows("SELECT kind, sum(seats) AS seats FROM seat_entry GROUP BY 1 ORDER BY 1")
    assert {row["kind"]: row["seats"] for row in entries} == {"open": 4, "grant": 6, "return": 2, "transfer": 4}
    assert await broken_promises(training) == []


async def test_who_is_next_is_named_in_the_warning_and_in_the_list(training: Running, room: Room) -> None:
    course, (first, *_) = await named_next(training, room, [KIRISHIMA])
    stand_at(training, first - timedelta(days=3))
    await training.sweep()
    (warning,) = [event for event in await training.told() if isinstance(event, CutOffNear)]
    assert (warning.course_run_id, warning.next_municipalities) == (course, [KIRISHIMA])
    (shown,) = (await desk(training).get("/v1/cut-offs")).json()["items"]
    assert (shown["next_municipalities"], shown["would_return"]) == ([KIRISHIMA], 3)
    stand_at(training, first)
    await training.sweep()
    ours, theirs = (await desk(training).get("/v1/cut-offs")).json()["items"]
    assert (ours["returned"], theirs["onward_step"], theirs["would_return"]) == (3, 1, 3)


async def test_of_a_decision_that_is_over_nobody_is_next(training: Running, room: Room) -> None:
    course, (first, _) = await named_next(training, room, [KIRISHIMA])
    stand_at(training, first)
    await training.sweep()
    theirs = await seat(training, course, municipality=KIRISHIMA)
    assert theirs["pool_kind"] == "delegated"
    number = (await training.rows("SELECT course_number FROM course_run"))[0][0]
    await room.decide(allotments=[], supersedes=await room.decided(number))
    await training.sweep()
    assert await seats_of(training, course) == {("all", None): (3, 0), (KIRISHIMA, 1): (1, 1)}
    assert await broken_promises(training) == []


async def test_a_file_leaves_alone_what_a_cut_off_sent_on(training: Running, room: Room) -> None:
    course, (first, _) = await named_next(training, room, [KIRISHIMA], returns_percent=50)
    stand_at(training, first)
    await training.sweep()
    assert await seats_of(training, course) == {
        ("all", None): (1, 0),
        (KAGOSHIMA, None): (1, 0),
        (KIRISHIMA, 1): (2, 0),
    }
    run = (await planner(training).get(f"/v1/course-runs/{course}")).json()
    offer = an_offer(course_number=run["course_number"], capacity=5, delegated={KAGOSHIMA: 1})
    assert isinstance(await offer_again(training, offer), Offered)
    assert await seats_of(training, course) == {
        ("all", None): (2, 0),
        (KAGOSHIMA, None): (1, 0),
        (KIRISHIMA, 1): (2, 0),
    }


async def test_who_is_next_comes_later_and_had_them_not(room: Room) -> None:
    day = "2027-03-10"
    for towns, until, because in (
        ([KIRISHIMA], "2027-03-01", "next_ends_too_early"),
        ([KAGOSHIMA], day, "named_twice"),
        (["142166"], day, "other_prefecture"),
    ):
        onward = [{"municipalities": towns, "cut_off_on": until}]
        answer = await room.keeper.post(f"{room.path}/motions", room.motion(allotments=[line(onward=onward)]))
        assert (answer.status_code, await code(answer)) == (409, because)


_MOVE = (
    "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, to_pool_id, seats, at)"
    " VALUES (gen_random_uuid(), 1, $1, $2, $3, $4, 1, $5)"
)


async def test_the_database_sends_seats_to_nobody_else(training: Running, room: Room) -> None:
    course, _ = await named_next(training, room, [KIRISHIMA])
    (pool,) = await training.rows("SELECT * FROM pool WHERE municipality = $1", KAGOSHIMA)
    add = (
        "INSERT INTO pool (id, course_run_id, kind, municipality, municipalities, decision_allotment_id, onward_step)"
        " VALUES ($1, $2, 'delegated', $3, ARRAY[$3], $4, $5)"
    )
    allotment = pool["decision_allotment_id"]
    for town, number in ((SATSUMA, 1), (KIRISHIMA, 2)):
        with pytest.raises(asyncpg.CheckViolationError, match="names somebody else next"):
            await training.rows(add, uuid4(), course, town, allotment, number)
    theirs = uuid4()
    await training.rows(add, theirs, course, KIRISHIMA, allotment, 1)
    now = (await training.rows("SELECT clock_timestamp() + interval '1 minute' AS at"))[0]["at"]
    for kind, to, because in (
        ("transfer", theirs, "only at a cut-off"),
        ("lend", theirs, "without an agreement"),
        ("recall", theirs, "goes back to who lent it"),
    ):
        with pytest.raises(asyncpg.CheckViolationError, match=because):
            await training.rows(_MOVE, course, kind, pool["id"], to, now)
    grant = (
        "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, at)"
        " VALUES (gen_random_uuid(), 1, $1, 'grant', $2, 1, $3)"
    )
    (general,) = await training.rows("SELECT id FROM pool WHERE kind = 'general'")
    await training.rows(grant.replace("'grant'", "'return'"), course, general["id"], now)
    with pytest.raises(asyncpg.CheckViolationError, match="come at a cut-off only"):
        await training.rows(grant, course, theirs, now)
