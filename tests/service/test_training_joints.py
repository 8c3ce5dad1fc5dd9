"""Where the parts of training meet: late changes, the line, moved seats, cut-offs and decisions in one course run."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.training.handlers.courses import Offered
from shared.events import SeatHeld, TrainingSelected
from shared.service import day_in_japan
from tests.service.agreement_towns import lent, proposal, propose, stand_after, standing, take, two_towns
from tests.service.deliberation_room import Room, line, the_room
from tests.service.late_changes_room import LOST, OVERLAPS, affected, changed
from tests.service.training_courses import (
    ENTITY,
    HELLO_WORK_ENTITY,
    KAGOSHIMA,
    KIRISHIMA,
    an_offer,
    broken_promises,
    consented,
    desk,
    hello_work,
    known_case,
    offer_again,
    offered,
    opened,
    placement,
    planner,
    referred,
    school,
    seat,
    state_of,
    step,
    told_since,
)
from tests.world import Running, World

OURS, THEIRS, LENT = (KAGOSHIMA, False), (KIRISHIMA, False), (KIRISHIMA, True)


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


@pytest.fixture
async def room(training: Running) -> Room:
    return await the_room(training)


async def now_of(training: Running) -> datetime:
    async with training.database.transaction() as session:
        now: datetime = await training.desk.clock.now(session)
        return now


async def paused_until(training: Running, asked: dict[str, Any], day: date, town: str = KAGOSHIMA) -> None:
    answer = await step(desk(training, town), asked, "pause", {"not_before": str(day)})
    assert answer.status_code == 200, answer.text


async def everything_holds(training: Running) -> None:
    assert await broken_promises(training) == []
    assert await training.rows(OVERLAPS) == []
    assert await training.rows(LOST) == []
    sums = await training.rows("SELECT sum(seats) FROM seat_leg GROUP BY entry_id HAVING sum(seats) <> 0")
    assert sums == []


# --- a capacity that falls, and seats that were lent ----------------------------------------------------------------


async def test_a_capacity_falls_by_lent_seats_too(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    agreed = await lent(training, room, course)
    await changed(training, course, capacity=1)
    assert await standing(training, course) in ({OURS: (1, 0)}, {THEIRS: (1, 0)}), "of equal pools either is the last"
    found = (await desk(training).get(f"/v1/seat-agreements/{agreed['agreement_id']}")).json()
    assert found["legs"][0]["outstanding"] == 0
    await everything_holds(training)


async def test_a_lent_seat_leaves_otherwise_to_who_lent_it_alone(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    await lent(training, room, course)
    back = "(gen_random_uuid(), 1, $1, 'return', (SELECT id FROM pool WHERE agreement_id IS NOT NULL), 1, now())"
    enter = "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, at) VALUES"
    with pytest.raises(asyncpg.CheckViolationError, match="lent seats come from who lends them"):
        await training.rows(f"{enter} {back}", course)


async def test_a_course_is_cancelled_while_its_seats_are_lent_offered_kept_and_waited_for(
    training: Running, room: Room
) -> None:
    course = await two_towns(training, room)
    agreed = await lent(training, room, course)
    promised = (await propose(training, await proposal(training, room, course, seats=1))).json()
    theirs = [await seat(training, course, municipality=KIRISHIMA) for _ in range(4)]
    ours, waits, paused = [await seat(training, course) for _ in range(3)]
    await paused_until(training, paused, await room.today(9))
    await step(desk(training), ours, "release", {"reason": "withdrawn"})
    assert await state_of(training, waits) == "held", "an open offer"
    await changed(training, course, cancel=True)
    everybody = (*theirs, ours, waits, paused)
    assert {await state_of(training, each) for each in everybody} == {"released"}
    assert await standing(training, course) == {}
    late = await take(training, promised, "agree")
    assert (late.status_code, late.json()["code"]) == (409, "more_than_free")
    assert (await take(training, agreed, "recall", KAGOSHIMA)).status_code == 200
    training.pass_time(timedelta(days=100))
    await training.sweep()
    await everything_holds(training)


async def test_an_offer_whose_deadline_follows_the_applications_is_still_an_offer(training: Running) -> None:
    closes = an_offer().applications_close_at
    course = await offered(training, capacity=1, applications_close_at=closes)
    first, waits = await seat(training, course), await seat(training, course)
    await step(desk(training), first, "release", {"reason": "withdrawn"})
    before = len(await training.told())
    earlier = (await now_of(training)) + timedelta(hours=1)
    await changed(training, course, applications_close_at=earlier.isoformat())
    (held,) = [each for each in await told_since(training, before) if isinstance(each, SeatHeld)]
    assert (str(held.seat_request_id), held.expires_at, held.offered) == (waits["seat_request_id"], earlier, True)


async def test_a_pause_that_begins_leaves_nobody_waiting_whose_own_has_ended(training: Running) -> None:
    course = await offered(training, capacity=2, delegated={KAGOSHIMA: 1})
    ours = await seat(training, course)
    theirs = [await seat(training, course, municipality=KIRISHIMA) for _ in range(2)]
    waits = await seat(training, course)
    day = day_in_japan(await now_of(training)) + timedelta(days=1)
    await paused_until(training, waits, day)
    await step(desk(training), ours, "release", {"reason": "withdrawn"})
    training.pass_time(timedelta(days=1))
    await paused_until(training, theirs[1], day + timedelta(days=5), KIRISHIMA)
    await training.sweep()
    assert await state_of(training, waits) == "held"
    await everything_holds(training)


@pytest.mark.parametrize("days", [-5, 5])
async def test_seats_of_a_target_group_open_by_the_new_deadline(training: Running, days: int) -> None:
    closes = an_offer().applications_close_at
    course = await offered(training, capacity=2, priority={"single_parent": 1}, applications_close_at=closes)
    moved = closes + timedelta(days=days)
    await changed(training, course, applications_close_at=moved.isoformat())
    (row,) = await training.rows(
        "SELECT p.opens_at, c.line_due_at FROM pool p JOIN course_run c ON c.id = p.course_run_id"
        " WHERE c.id = $1 AND p.kind = 'priority'",
        course,
    )
    assert (row["opens_at"], row["line_due_at"]) == (moved, moved)


async def test_whoever_lost_a_seat_is_next_whatever_the_lines_rule_says(training: Running) -> None:
    tomorrow = day_in_japan(await now_of(training)) + timedelta(days=1)
    rule = {"prefecture": "46", "criteria": ["referred"], "effective_on": str(tomorrow), "decided_by": "協議会"}
    assert (await planner(training).post("/v1/line-rules", rule)).status_code == 201
    course = await offered(training, capacity=3, hold_hours=2400)
    first, second, third = [await seat(training, course) for _ in range(3)]
    order = referred(course)
    await training.hear(opened(order.case_id), consented(order.case_id), order)
    training.pass_time(timedelta(days=1))
    await changed(training, course, capacity=1)
    goes_on = {row["seat_request_id"]: row["next_request_id"] for row in await affected(training)}
    stronger, weaker = [{"seat_request_id": goes_on[each["seat_request_id"]]} for each in (second, third)]
    place = (await desk(training).get(f"/v1/seat-requests/{weaker['seat_request_id']}/place")).json()
    assert (place["position"], [each["code"] for each in place["before"]]) == (2, ["lost_a_seat"])
    await step(desk(training), first, "release", {"reason": "withdrawn"})
    assert [await state_of(training, each) for each in (stronger, weaker)] == ["held", "waiting"]
    (offer,) = (await desk(training).get(f"/v1/seat-requests/{stronger['seat_request_id']}/offers")).json()
    assert (offer["same_again"], offer["lost_a_seat"]) == (True, True)
    await step(desk(training), stronger, "release", {"reason": "withdrawn"})
    assert await state_of(training, weaker) == "held"
    await everything_holds(training)


async def test_no_newcomer_overtakes_who_has_time_again(training: Running) -> None:
    course = await offered(training, capacity=2, delegated={KAGOSHIMA: 1})
    await seat(training, course)
    theirs = await seat(training, course, municipality=KIRISHIMA)
    case_id = await known_case(training)
    waits = await seat(training, course, case_id=case_id)
    elsewhere = await seat(training, await offered(training), case_id=case_id)
    await step(desk(training, KIRISHIMA), theirs, "release", {"reason": "withdrawn"})
    assert await state_of(training, waits) == "waiting", "there is a seat at the same time"
    await step(desk(training), elsewhere, "release", {"reason": "withdrawn"})
    # Before the sweep: whoever asks looks first.
    assert (await seat(training, course, municipality=KIRISHIMA))["outcome"] == "waiting"
    assert await state_of(training, waits) == "held"


async def test_who_can_not_come_on_the_new_days_makes_room_for_a_reserve(training: Running) -> None:
    case_id = await known_case(training)
    spring = await offered(training, starts_on=date(2027, 4, 1), ends_on=date(2027, 6, 30))
    summer = await offered(training, starts_on=date(2027, 7, 1), ends_on=date(2027, 9, 30))
    await seat(training, spring, case_id=case_id)
    accepted = await seat(training, summer, case_id=case_id)
    reserve = await seat(training, summer)
    for asked, said in ((accepted, {"result": "accepted"}), (reserve, {"result": "reserve", "rank": 1})):
        assert (await step(placement(training), asked, "nominate", ENTITY)).status_code == 200
        body = said | {"result_on": str(day_in_japan(await now_of(training)))}
        assert (await step(school(training), asked, "select", body)).status_code == 200
    before = len(await training.told())
    await changed(training, summer, starts_on="2027-06-30")
    shown = (await desk(training).get(f"/v1/seat-requests/{reserve['seat_request_id']}")).json()
    assert (shown["state"], shown["status"]) == ("nominated", "accepted")
    (told,) = [each for each in await told_since(training, before) if isinstance(each, TrainingSelected)]
    assert (str(told.seat_request_id), told.moved_up) == (reserve["seat_request_id"], True)
    await everything_holds(training)


async def test_a_file_that_was_checked_before_a_late_change_does_not_take_it_back(training: Running) -> None:
    offer = an_offer(capacity=3)
    course = await offered(training, offer)
    asked = await seat(training, course)
    await changed(training, course, starts_on="2027-04-12")
    again = await offer_again(training, offer)
    assert (getattr(again, "reason", None), getattr(again, "about", None)) == ("changed_since", "checked_on")
    title = replace(offer, title="Web 科", starts_on=date(2027, 4, 12))
    assert isinstance(await offer_again(training, title), Offered), "what the change didn't touch may be older"
    newer = replace(offer, checked_on=day_in_japan(await now_of(training)), capacity=4)
    assert isinstance(await offer_again(training, newer), Offered)
    run = (await desk(training).get(f"/v1/course-runs/{course}")).json()
    assert (run["starts_on"], run["capacity"], await state_of(training, asked)) == ("2027-04-01", 4, "held")


# --- decisions and cut-offs, while seats are offered and lent --------------------------------------------------------


async def offered_and_lent(
    training: Running, course: UUID, *, on: date | None = None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Kirishima has a lent seat, and one is free; Kagoshima's own is offered to the first of two who wait."""
    theirs = [await seat(training, course, municipality=KIRISHIMA) for _ in range(3)]
    ours, first, second = [await seat(training, course) for _ in range(3)]
    if on is not None:
        stand_after(training, on)
    await step(desk(training), ours, "release", {"reason": "withdrawn"})
    assert [await state_of(training, each) for each in (first, second)] == ["held", "waiting"]
    assert (await standing(training, course)) == {OURS: (1, 1), THEIRS: (2, 2), LENT: (2, 1)}
    (lent_pool,) = await training.rows("SELECT id FROM pool WHERE agreement_id IS NOT NULL")
    return next(each for each in theirs if each["pool_id"] == str(lent_pool["id"])), first, second


async def test_a_new_decision_comes_while_seats_are_held_offered_and_lent(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    await lent(training, room, course)
    borrowed, first, second = await offered_and_lent(training, course)
    (run,) = await training.rows("SELECT course_number FROM course_run")
    terms = {"course_number": run["course_number"], "cut_off_on": (await room.today(30)).isoformat()}
    anew = [line(seats, [town], **terms) for town, seats in ((KAGOSHIMA, 4), (KIRISHIMA, 2))]
    await room.decide(allotments=anew, supersedes=await room.decided(run["course_number"]))
    await training.sweep()
    # What is taken stays. The lent seat that nobody had came home, and on to the next decision for whoever waits.
    assert [await state_of(training, each) for each in (borrowed, first, second)] == ["held"] * 3
    granted_by = await training.rows(
        "SELECT DISTINCT a.decision_id FROM seat_request r JOIN pool p ON p.id = r.pool_id"
        " JOIN decision_allotment a ON a.id = p.decision_allotment_id WHERE r.id = ANY($1)",
        [UUID(each["seat_request_id"]) for each in (first, second)],
    )
    assert len(granted_by) == 2, "each seat says by which decision it was granted"
    assert (await step(desk(training), first, "accept")).status_code == 200
    third = await seat(training, course)
    assert third["outcome"] == "waiting"
    await step(desk(training, KIRISHIMA), borrowed, "release", {"reason": "withdrawn"})
    assert await state_of(training, third) == "held"
    await everything_holds(training)


async def test_a_cut_off_comes_while_seats_are_offered_and_lent(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    await lent(training, room, course, days=30)
    borrowed, first, second = await offered_and_lent(training, course, on=await room.today(29))
    training.pass_time(timedelta(days=1))
    await training.sweep()
    # By way of the lender, and for all: who waits in Kagoshima's line is offered it.
    assert [await state_of(training, each) for each in (borrowed, first, second)] == ["held"] * 3
    assert await standing(training, course) == {OURS: (1, 1), THEIRS: (2, 2), LENT: (1, 1), ("all", False): (1, 1)}
    assert (await step(desk(training), first, "accept")).status_code == 200, "what is offered is held"
    await step(desk(training, KIRISHIMA), borrowed, "release", {"reason": "withdrawn"})
    assert await standing(training, course) == {OURS: (1, 1), THEIRS: (2, 2), ("all", False): (2, 1)}
    await everything_holds(training)


async def test_a_lent_seat_is_recalled_while_it_is_offered(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    agreed = await lent(training, room, course)
    theirs = [await seat(training, course, municipality=KIRISHIMA) for _ in range(5)]
    ours = [await seat(training, course) for _ in range(2)]
    borrowed = next(each for each in theirs if each["pool_id"] == agreed["legs"][0]["lent_pool_id"])
    await step(desk(training, KIRISHIMA), borrowed, "release", {"reason": "withdrawn"})
    assert await state_of(training, theirs[4]) == "held", "an open offer"
    assert (await take(training, agreed, "recall", KAGOSHIMA)).status_code == 200
    assert await standing(training, course) == {OURS: (1, 1), THEIRS: (2, 2), LENT: (2, 2)}, "what is offered is held"
    waits = await seat(training, course, municipality=KIRISHIMA)
    await step(desk(training, KIRISHIMA), theirs[4], "decline", {"reason": "other"})
    # Home, and to the lender's own line: it was lent no longer.
    assert [await state_of(training, each) for each in (ours[1], waits)] == ["held", "waiting"]
    assert await standing(training, course) == {OURS: (2, 2), THEIRS: (2, 2), LENT: (1, 1)}
    await everything_holds(training)


async def test_the_power_to_instruct_comes_and_goes_while_seats_are_offered_and_lent(
    training: Running, room: Room
) -> None:
    async def in_force(mode: str, days: int) -> None:
        day = str(day_in_japan(await now_of(training)) + timedelta(days=days))
        body = {"prefecture": "46", "mode": mode, "in_force_from": day, "decided_by": "協議会"}
        assert (await planner(training).post("/v1/authorities", body)).status_code == 201

    course = await two_towns(training, room)
    await lent(training, room, course)
    borrowed, first, second = await offered_and_lent(training, course)
    await in_force("delegated", 0)
    # From the offer on the municipality's placement goes on alone, with a seat that another one's decision granted too.
    for asked, town in ((first, KAGOSHIMA), (borrowed, KIRISHIMA)):
        assert (await step(placement(training, town), asked, "nominate", ENTITY)).status_code == 200
    assert (await step(placement(training), first, "instruct", ENTITY)).status_code == 200
    await in_force("current_law", 1)
    training.pass_time(timedelta(days=1))
    refused = await step(placement(training, KIRISHIMA), borrowed, "instruct", ENTITY)
    assert (refused.status_code, await state_of(training, borrowed)) == (403, "nominated")
    assert (await step(hello_work(training), borrowed, "countersign")).status_code == 200
    paper = {"legal_entity": HELLO_WORK_ENTITY}
    assert (await step(hello_work(training), borrowed, "instruct", paper)).status_code == 200
    # What was done stays, by whoever did it.
    for asked in (first, borrowed):
        assert (await step(school(training), asked, "enrol")).status_code == 200
    rows = await training.rows("SELECT authority FROM instruction ORDER BY at")
    assert [row["authority"] for row in rows] == ["delegated", "current_law"]
    assert await state_of(training, second) == "waiting"
    await everything_holds(training)
