"""At the cut-off delegated seats that nobody holds go back, and on to whoever waits; taken seats stay."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import cycle
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.training.domain.offers import Denied
from services.training.handlers.courses import Offered
from services.training.handlers.seats import cut_off_next
from shared.events import CutOffNear
from shared.service import JST, is_working_day, working_day_after
from shared.service.clock import wall_time
from tests.service.deliberation_room import Room, line, the_room
from tests.service.late_changes_room import changed
from tests.service.training_courses import (
    KAGOSHIMA,
    KIRISHIMA,
    an_offer,
    ask,
    broken_promises,
    desk,
    known_case,
    offer_again,
    offered,
    planner,
    seat,
    state_of,
    step,
)
from tests.world import Running, World

INSTANT = timedelta(milliseconds=1)


@pytest.fixture
async def training(world: World) -> Running:
    return world.service("training")


@pytest.fixture
async def room(training: Running) -> Room:
    return await the_room(training)


class StandsAt:
    """An offset by which every look at the database's clock is this moment; of several, each in its turn."""

    def __init__(self, *moments: datetime) -> None:
        self.moments = cycle(moments)
        self.told: list[datetime] = []

    def __radd__(self, _now: datetime) -> datetime:
        self.told.append(next(self.moments))
        return self.told[-1]


@pytest.fixture
def clock(training: Running, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StandsAt]:
    """The service's time stands still at a moment, whichever door asks for it."""

    def stand(*moments: datetime) -> StandsAt:
        stands = StandsAt(*moments)
        monkeypatch.setattr(training.desk.clock, "offset", stands)
        return stands

    return stand


async def promises(training: Running, moment: datetime) -> list[str]:
    """What is broken at a moment, from when on the clock goes."""
    training.desk.clock.offset = moment - wall_time()
    return await broken_promises(training)


async def delegated(
    training: Running, room: Room, *, capacity: int, seats: int, percent: int = 100, last_day: date | None = None
) -> tuple[UUID, datetime]:
    """A course run of which Kagoshima has seats until the end of a day, and the moment after it."""
    last_day = last_day or await room.today(30)
    number = an_offer().course_number
    terms = line(seats, [KAGOSHIMA], course_number=number, cut_off_on=last_day.isoformat(), returns_percent=percent)
    await room.decide(allotments=[terms])
    offer = an_offer(course_number=number, capacity=capacity, delegated={KAGOSHIMA: seats}, hold_hours=2400)
    offer = replace(offer, applications_close_at=offer.applications_close_at + timedelta(days=60))
    course = await offered(training, offer)
    return course, datetime.combine(last_day + timedelta(days=1), time(), JST).astimezone(UTC)


async def seats_of(training: Running, course: UUID) -> dict[str, tuple[int, int]]:
    run = (await planner(training).get(f"/v1/course-runs/{course}")).json()
    return {
        "+".join(pool["municipalities"]) or "all": (pool["granted"], pool["held"] + pool["filled"])
        for pool in run["pools"]
    }


async def release(training: Running, asked: dict[str, Any], town: str = KAGOSHIMA) -> None:
    assert (await step(desk(training, town), asked, "release", {"reason": "withdrawn"})).status_code == 200


async def test_at_midnight_and_not_before_what_nobody_holds_goes_to_who_waits(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    course, midnight = await delegated(training, room, capacity=4, seats=3)
    held = await seat(training, course)
    theirs = [await seat(training, course, municipality=KIRISHIMA) for _ in range(2)]
    clock(midnight - INSTANT)
    assert await training.sweep() == 1, "the warning, late as it is here"
    last = await seat(training, course)
    assert (last["outcome"], last["pool_kind"]) == ("held", "delegated")
    assert await seats_of(training, course) == {"all": (1, 1), KAGOSHIMA: (3, 2)}
    clock(midnight)
    assert await training.sweep() == 1
    assert [await state_of(training, each) for each in (held, last, *theirs)] == ["held"] * 4
    assert await seats_of(training, course) == {"all": (2, 2), KAGOSHIMA: (2, 2)}
    assert await training.sweep() == 0
    (cut,) = await training.rows("SELECT free, kept FROM pool_cut_off")
    assert tuple(cut) == (1, 0)
    assert await promises(training, midnight) == []


async def test_who_asks_at_midnight_before_the_sweep_overtakes_nobody(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    course, midnight = await delegated(training, room, capacity=2, seats=1)
    first, waits = [await seat(training, course, municipality=KIRISHIMA) for _ in range(2)]
    clock(midnight)
    late = await seat(training, course)
    assert [await state_of(training, each) for each in (first, waits, late)] == ["held", "held", "waiting"]
    assert late["pool_kind"] == "general"
    assert await training.sweep() == 0
    assert await promises(training, midnight) == []


async def test_who_asks_after_the_cut_off_is_told_a_place_behind_those_whose_pool_is_closed(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    course, midnight = await delegated(training, room, capacity=2, seats=1)
    for town in (KAGOSHIMA, KIRISHIMA):
        assert (await seat(training, course, municipality=town))["outcome"] == "held"
    waits = await seat(training, course)
    clock(midnight)
    await training.sweep()
    late = await seat(training, course, municipality=KIRISHIMA)
    path = f"/v1/seat-requests/{late['seat_request_id']}/place"
    assert late["position"] == (await desk(training, KIRISHIMA).get(path)).json()["position"] == 2
    assert waits["position"] == 1


async def test_a_seat_given_back_after_the_cut_off_goes_the_same_way(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    course, midnight = await delegated(training, room, capacity=2, seats=2)
    held = [await seat(training, course) for _ in range(2)]
    waits = await seat(training, course)
    clock(midnight)
    await training.sweep()
    clock(midnight + timedelta(hours=1))
    await release(training, held[0])
    assert await state_of(training, waits) == "held"
    assert await seats_of(training, course) == {"all": (1, 1), KAGOSHIMA: (1, 1)}
    # Who waited for the lock may come with a moment from before midnight: what was cut off stays so.
    clock(midnight - INSTANT)
    await release(training, held[1])
    assert await seats_of(training, course) == {"all": (2, 1), KAGOSHIMA: (0, 0)}
    assert await promises(training, midnight) == []


async def test_what_other_code_gives_back_after_the_cut_off_is_swept_on(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    """Release 0.1.0 may run beside this one, and leaves a seat in its pool."""
    course, midnight = await delegated(training, room, capacity=3, seats=2)
    held = [await seat(training, course) for _ in range(2)]
    _, waits = [await seat(training, course, municipality=KIRISHIMA) for _ in range(2)]
    clock(midnight)
    await training.sweep()
    await training.rows(
        "WITH given AS (UPDATE seat_request SET state = 'released', expires_at = NULL, released_reason = 'withdrawn',"
        " version = version + 1 WHERE id = $1 RETURNING *) INSERT INTO seat_entry (command, number, course_run_id,"
        " kind, pool_id, seats, seat_request_id, at) SELECT id, version, course_run_id, 'release', pool_id, 1, id, $2"
        " FROM given",
        UUID(held[0]["seat_request_id"]),
        midnight,
    )
    assert await training.sweep() == 1
    assert await state_of(training, waits) == "held"
    assert await training.sweep() == 0
    assert await promises(training, midnight) == []


async def test_a_part_stays_where_that_was_decided(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    course, midnight = await delegated(training, room, capacity=4, seats=4, percent=50)
    held = await seat(training, course)
    clock(midnight)
    await training.sweep()
    assert await seats_of(training, course) == {"all": (2, 0), KAGOSHIMA: (2, 1)}
    assert (await seat(training, course))["pool_kind"] == "delegated"
    assert (await seat(training, course))["pool_kind"] == "general"
    await release(training, held)
    assert await seats_of(training, course) == {"all": (2, 1), KAGOSHIMA: (2, 1)}, "no more than stayed is ever free"
    assert await training.sweep() == 0
    assert await promises(training, midnight) == []


async def test_after_the_cut_off_a_file_does_not_take_the_seats_back(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    last_day = await room.today(30)
    number = an_offer().course_number
    await room.decide(allotments=[line(3, course_number=number, cut_off_on=last_day.isoformat())])
    offer = an_offer(course_number=number, capacity=3, delegated={KAGOSHIMA: 2})
    course = await offered(training, offer)
    clock(datetime.combine(last_day + timedelta(days=1), time(), JST).astimezone(UTC))
    more = an_offer(course_number=number, capacity=3, delegated={KAGOSHIMA: 3}, source="again")
    assert await offer_again(training, more) == Denied("cut_off_passed", "delegated")
    await training.sweep()
    assert await seats_of(training, course) == {"all": (3, 0), KAGOSHIMA: (0, 0)}


async def test_after_the_cut_off_a_file_that_says_the_same_again_is_taken_and_moves_no_seat(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    last_day = await room.today(30)
    number = an_offer().course_number
    await room.decide(allotments=[line(3, course_number=number, cut_off_on=last_day.isoformat())])
    offer = an_offer(course_number=number, capacity=3, delegated={KAGOSHIMA: 2}, hold_hours=2400)
    offer = replace(offer, applications_close_at=offer.applications_close_at + timedelta(days=60))
    course = await offered(training, offer)
    clock(datetime.combine(last_day + timedelta(days=1), time(), JST).astimezone(UTC))
    await training.sweep()
    assert await offer_again(training, offer) == Offered(course, "unchanged")
    for _ in range(3):
        await seat(training, course)
    assert await offer_again(training, replace(offer, title="Web デザイン科(昼)")) == Offered(course, "updated")
    assert await offer_again(training, replace(offer, capacity=4)) == Offered(course, "updated")
    assert await seats_of(training, course) == {"all": (4, 3), KAGOSHIMA: (0, 0)}
    assert await offer_again(training, replace(offer, capacity=2)) == Denied("below_what_is_taken", "capacity")


async def test_midnight_with_holds_in_flight(training: Running, room: Room, clock: Callable[..., StandsAt]) -> None:
    course, midnight = await delegated(training, room, capacity=12, seats=8)
    held = [await seat(training, course) for _ in range(3)]
    general = [await seat(training, course, municipality=KIRISHIMA) for _ in range(6)]
    cases = [await known_case(training, town) for town in (KAGOSHIMA, KIRISHIMA) * 4]

    async def sweeping() -> None:
        for _ in range(3):
            async with training.database.transaction() as session:
                await cut_off_next(session, midnight)

    async def asking(number: int, case_id: UUID) -> str:
        answer = await ask(training, course, municipality=(KAGOSHIMA, KIRISHIMA)[number % 2], case_id=case_id)
        return str(answer.json().get("outcome", answer.status_code))

    # Every other transaction began a moment before midnight, and waits for those that began after it.
    stands = clock(midnight - INSTANT, midnight + INSTANT)
    answers = await asyncio.gather(
        *(asking(number, case_id) for number, case_id in enumerate(cases)),
        *(sweeping() for _ in range(3)),
        release(training, held[0]),
        release(training, general[0], KIRISHIMA),
    )
    assert set(stands.told) == {midnight - INSTANT, midnight + INSTANT}
    clock(midnight + INSTANT)
    await training.sweep()
    assert {answer for answer in answers if answer is not None} <= {"held", "waiting", "503"}
    assert await promises(training, midnight) == []
    kept = await training.rows("SELECT count(*) FROM pool_cut_off")
    assert kept[0][0] == 1
    stays = await training.rows("SELECT granted - held - filled FROM pool WHERE kept IS NOT NULL")
    assert [row[0] for row in stays] == [0]
    for asked in (*held[1:], *general[1:]):
        assert await state_of(training, asked) == "held"


# --- before and after -----------------------------------------------------------------------------------------------


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), JST).astimezone(UTC)


async def test_who_has_seats_that_would_go_back_is_warned_five_working_days_before(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    last_day = await room.today(20)
    while not is_working_day(last_day):
        last_day += timedelta(days=1)
    course, midnight = await delegated(training, room, capacity=4, seats=4, percent=50, last_day=last_day)
    await seat(training, course)
    warned_on = next(
        day for n in range(20) if working_day_after(day := last_day - timedelta(days=20 - n), 5) == last_day
    )
    clock(noon(warned_on - timedelta(days=1)))
    assert await training.sweep() == 0
    clock(noon(warned_on))
    assert await training.sweep() == 1
    clock(noon(warned_on + timedelta(days=1)))
    assert await training.sweep() == 0, "once"
    (told,) = [event for event in await training.told() if isinstance(event, CutOffNear)]
    assert (told.municipalities, told.cut_off_at, told.unheld, told.would_return) == ([KAGOSHIMA], midnight, 3, 2)
    (shown,) = (await desk(training).get(f"/v1/cut-offs?municipality={KAGOSHIMA}&carried_out=false")).json()["items"]
    assert (shown["warned_of"], shown["free"], shown["would_return"], shown["kept"]) == (2, 3, 2, None)
    assert datetime.fromisoformat(shown["warned_at"]) == noon(warned_on)
    assert (await desk(training).get(f"/v1/cut-offs?municipality={KIRISHIMA}")).json()["items"] == []


async def test_where_a_new_decision_brings_the_day_nearer_than_the_warning_the_delegate_is_warned_at_once(
    training: Running, room: Room
) -> None:
    course, _ = await delegated(training, room, capacity=2, seats=2)
    (number,) = (await training.rows("SELECT course_number FROM course_run WHERE id = $1", course))[0]
    await training.sweep()
    assert [event for event in await training.told() if isinstance(event, CutOffNear)] == [], "a month away"
    tomorrow = await room.today(1)
    sooner = line(2, [KAGOSHIMA], course_number=number, cut_off_on=tomorrow.isoformat())
    await room.decide(allotments=[sooner], supersedes=await room.decided(number))
    await training.sweep()
    await training.sweep()
    (told,) = [event for event in await training.told() if isinstance(event, CutOffNear)]
    midnight = datetime.combine(tomorrow + timedelta(days=1), time(), JST).astimezone(UTC)
    assert (told.cut_off_at, told.unheld, told.would_return) == (midnight, 2, 2)
    assert (await seats_of(training, course))[KAGOSHIMA] == (2, 0), "they are the delegate's until then"


async def test_nobody_is_warned_of_what_is_held_or_of_a_decision_that_is_over(training: Running, room: Room) -> None:
    full, _ = await delegated(training, room, capacity=1, seats=1, last_day=await room.today(5))
    held = await seat(training, full)
    number = an_offer().course_number
    day = (await room.today(5)).isoformat()
    old = await room.decide(allotments=[line(1, course_number=number, cut_off_on=day)])
    await offered(training, an_offer(course_number=number, delegated={KAGOSHIMA: 1}))
    await room.decide(allotments=[], supersedes=[old])
    await training.sweep()
    assert [event for event in await training.told() if isinstance(event, CutOffNear)] == []
    # What comes free later, before the day, is warned of then.
    await release(training, held)
    await training.sweep()
    (told,) = [event for event in await training.told() if isinstance(event, CutOffNear)]
    assert str(told.course_run_id) == str(full)


async def test_why_seats_went_is_answered_at_the_pool(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    course, midnight = await delegated(training, room, capacity=4, seats=3)
    held = await seat(training, course)
    pool = held["pool_id"]
    clock(midnight)
    await training.sweep()
    await release(training, held)
    path = f"/v1/course-runs/{course}/pools/{pool}/cut-off"
    why = (await desk(training).get(path)).json()
    assert (why["free_then"], why["kept"], why["returned"], why["free"], why["would_return"]) == (2, 0, 3, 0, None)
    assert datetime.fromisoformat(why["cut_off_at"]) == datetime.fromisoformat(why["carried_out_at"]) == midnight
    entries = (await desk(training).get(why["entries"].removeprefix("/training"))).json()["items"]
    assert [(each["kind"], each["seats"]) for each in entries] == [
        ("grant", 3), ("hold", -1), ("return", -2), ("release", 1), ("return", -1),
    ]  # fmt: skip
    general = (await training.rows("SELECT id FROM pool WHERE kind = 'general'"))[0]["id"]
    assert (await desk(training).get(path.replace(pool, str(general)))).status_code == 404


async def test_cut_offs_are_read_page_by_page_in_their_order(training: Running, room: Room) -> None:
    moments = sorted([(await delegated(training, room, capacity=1, seats=1))[1] for _ in range(3)])
    found = await planner(training).whole("/v1/cut-offs?prefecture=46&limit=2")
    assert [datetime.fromisoformat(each["cut_off_at"]) for each in found] == moments
    assert len({each["pool_id"] for each in found}) == 3


# --- the database by itself -----------------------------------------------------------------------------------------

_CUT = "INSERT INTO pool_cut_off (pool_id, free, kept, at) SELECT id, $2, $3, $4 FROM pool WHERE id = $1"


async def test_the_database_cuts_off_in_time_and_by_the_decided_part(training: Running, room: Room) -> None:
    course, midnight = await delegated(training, room, capacity=4, seats=3, percent=50)
    await seat(training, course)
    pool = (await training.rows("SELECT id FROM pool WHERE cut_off_at = $1", midnight))[0]["id"]
    with pytest.raises(asyncpg.CheckViolationError, match="has not come"):
        await training.rows(_CUT, pool, 2, 1, midnight - timedelta(microseconds=1))
    for free, kept in ((2, 0), (2, 2), (3, 1), (1, 0)):
        with pytest.raises(asyncpg.CheckViolationError, match="another part"):
            await training.rows(_CUT, pool, free, kept, midnight)
    hold = (
        "WITH r AS (INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, requested_by, state,"
        " expires_at, requested_at) VALUES (gen_random_uuid(), $1, $2, gen_random_uuid(), '462012', 'x', 'held',"
        " 'infinity', $3) RETURNING id) INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats,"
        " seat_request_id, at) SELECT id, 1, $1, 'hold', $2, 1, id, $3 FROM r"
    )
    with pytest.raises(asyncpg.SerializationError, match="the cut-off of this seat has passed"):
        await training.rows(hold, course, pool, midnight)
    await training.rows(_CUT, pool, 2, 1, midnight)
    with pytest.raises(asyncpg.UniqueViolationError):
        await training.rows(_CUT, pool, 2, 1, midnight)
    grant = (
        "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, at)"
        " VALUES (gen_random_uuid(), 1, $1, 'grant', $2, 1, now())"
    )
    back = grant.replace("'grant'", "'return'")
    await training.rows(back, course, pool)
    with pytest.raises(asyncpg.CheckViolationError, match="no seat is delegated after the cut-off"):
        await training.rows(grant, course, pool)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE pool SET kept = 3",
        "UPDATE pool SET cut_off_at = NULL",
        "UPDATE pool_cut_off SET kept = 1",
        "DELETE FROM pool_cut_off",
    ],
)
async def test_the_service_may_not_put_a_cut_off_off(training: Running, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await training.rows(sql)


async def test_course_runs_are_cut_off_beside_each_other_each_once(training: Running, room: Room) -> None:
    courses = [(await delegated(training, room, capacity=2, seats=2))[0] for _ in range(3)]
    training.pass_time(timedelta(days=31))
    await asyncio.gather(*(training.sweep() for _ in range(3)))
    cut = await training.rows("SELECT free, kept FROM pool_cut_off")
    assert [tuple(each) for each in cut] == [(2, 0)] * 3
    returned = await training.rows("SELECT sum(seats) AS seats FROM seat_entry WHERE kind = 'return'")
    assert returned[0]["seats"] == 6
    assert await broken_promises(training, courses) == []


async def test_a_capacity_that_falls_later_is_no_return_of_the_cut_off(
    training: Running, room: Room, clock: Callable[[datetime], None]
) -> None:
    course, midnight = await delegated(training, room, capacity=4, seats=4, percent=50)
    clock(midnight)
    await training.sweep()
    for _ in range(2):
        await seat(training, course, municipality=KIRISHIMA)
    await changed(training, course, capacity=3)
    assert await seats_of(training, course) == {"all": (2, 2), KAGOSHIMA: (1, 0)}
    pool = await training.rows("SELECT id FROM pool WHERE kind = 'delegated'")
    why = (await planner(training).get(f"/v1/course-runs/{course}/pools/{pool[0]['id']}/cut-off")).json()
    assert (why["free_then"], why["kept"], why["returned"], why["free"]) == (4, 2, 2, 1)
