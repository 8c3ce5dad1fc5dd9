"""Late changes and cancellations over HTTP, in a real database: tried, made, told, answered."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.training.handlers.late_changes import Change, change_course, try_change
from shared.auth import Actor, Role
from shared.events import (
    CancellationDue,
    CourseChanged,
    CourseConfirmed,
    CourseOffered,
    SeatAffected,
    SeatHeld,
    SeatReleased,
    SeatWaitlisted,
)
from shared.service import day_in_japan, working_day_after
from shared.service.clock import wall_time
from tests.service.deliberation_room import entrust
from tests.service.late_changes_room import LOST, OVERLAPS, affected, answered, changed, make, tried
from tests.service.training_courses import (
    ENTITY,
    KAGOSHIMA,
    KIRISHIMA,
    SCHOOL,
    an_offer,
    ask,
    broken_promises,
    consented,
    desk,
    instructed,
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


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


async def everything_holds(training: Running) -> None:
    assert await broken_promises(training) == []
    assert await training.rows(OVERLAPS) == []
    assert await training.rows(LOST) == []
    sums = await training.rows("SELECT sum(seats) FROM seat_leg GROUP BY entry_id HAVING sum(seats) <> 0")
    assert sums == []


# --- capacity -------------------------------------------------------------------------------------------------------


async def test_a_trial_writes_nothing_and_the_change_does_what_it_showed(training: Running) -> None:
    course = await offered(training, capacity=4)
    enrolled, nominated, first, last = [await seat(training, course) for _ in range(4)]
    waits = await seat(training, course)
    await instructed(training, enrolled)
    assert (await step(school(training), enrolled, "enrol")).status_code == 200
    assert (await step(placement(training), nominated, "nominate", ENTITY)).status_code == 200
    before = len(await training.told())
    trial = await tried(training, course, capacity=2)
    assert len(await training.told()) == before
    assert [(each["seat_request_id"], each["effect"], each["afterwards"]) for each in trial["affected"]] == [
        (waits["seat_request_id"], "place_falls", "keeps"),
        (last["seat_request_id"], "seat_lost", "first_in_line"),
        (first["seat_request_id"], "seat_lost", "first_in_line"),
    ]
    answer = await make(training, course, trial["sign"], capacity=2)
    assert (answer.status_code, answer.json()["affected"]) == (201, 3)
    assert [await state_of(training, each) for each in (enrolled, nominated, first, last, waits)] == [
        *("enrolled", "nominated", "released", "released", "waiting")
    ]
    told = await told_since(training, before)
    assert [type(each) for each in told[:2]] == [CourseOffered, CourseChanged]
    assert sum(isinstance(each, SeatAffected) for each in told) == 3
    assert [each.position for each in told if isinstance(each, SeatWaitlisted)] == [2, 1], "the stronger claim is next"
    line = await desk(training).whole(f"/v1/course-runs/{course}/line")
    records = await affected(training)
    assert [each["seat_request_id"] for each in line] == [
        *(records[2]["next_request_id"], records[1]["next_request_id"], waits["seat_request_id"])
    ]
    # A seat that comes free goes to whoever lost one, before all others.
    await step(desk(training), nominated, "release", {"reason": "withdrawn"})
    assert await state_of(training, {"seat_request_id": records[2]["next_request_id"]}) == "held"
    await everything_holds(training)


async def test_everybody_affected_has_an_owner_and_a_deadline_in_working_days(training: Running) -> None:
    course = await offered(training, capacity=1)
    asked, waits = await seat(training, course), await seat(training, course, municipality=KIRISHIMA)
    await changed(training, course, starts_on="2027-04-12")
    (record,) = await affected(training)
    assert (record["seat_request_id"], record["owner"]) == (asked["seat_request_id"], f"desk-{KAGOSHIMA}")
    today = day_in_japan(wall_time() + training.desk.clock.offset)
    assert day_in_japan(datetime.fromisoformat(record["answer_by"])) == working_day_after(today, 3)
    assert (record["effect"], record["open"], record["overdue"]) == ("days_or_place_changed", True, False)
    assert (await answered(training, record, "stay")).status_code == 200
    assert await affected(training, open=True) == []
    assert [each["seat_request_id"] for each in await affected(training, KIRISHIMA)] == [waits["seat_request_id"]]
    training.pass_time(timedelta(days=14))
    assert [each["overdue"] for each in await affected(training, KIRISHIMA)] == [True]
    again = await answered(training, record, "leave")
    assert (again.status_code, again.json()["code"]) == (409, "is_answered")
    elsewhere = await answered(training, record, "leave", municipality=KIRISHIMA)
    assert elsewhere.status_code == 404


async def test_what_happened_since_the_trial_makes_it_outdated(training: Running) -> None:
    course = await offered(training, capacity=3)
    await seat(training, course)
    second = await seat(training, course)
    trial = await tried(training, course, capacity=1)
    third = await seat(training, course)
    late = await make(training, course, trial["sign"], capacity=1)
    assert (late.status_code, late.json()["code"]) == (409, "trial_outdated")
    otherwise = await make(training, course, trial["sign"], capacity=2)
    assert otherwise.json()["code"] == "trial_outdated"
    assert [await state_of(training, each) for each in (second, third)] == ["held", "held"]
    assert await training.rows("SELECT FROM course_change") == []


async def test_only_who_runs_the_course_or_plans_for_its_place_changes_it(training: Running) -> None:
    course = await offered(training, capacity=2)
    asked = await seat(training, course)
    path, body = f"/v1/course-runs/{course}/change-trials", {"reason": "operator", "starts_on": "2027-04-12"}
    assert (await school(training, "another-school").post(path, body)).status_code == 404
    assert (await desk(training).post(path, body)).status_code == 403
    elsewhere = training.as_("tokyo-planner", Role.PLANNER, municipalities=["prefecture:13"])
    assert (await elsewhere.post(path, body)).status_code == 404
    shown = (await planner(training).post(path, body)).json()
    assert shown["affected"][0]["seat_request_id"] == asked["seat_request_id"]
    nothing = await school(training).post(path, {"reason": "operator"})
    assert (nothing.status_code, nothing.json()["code"]) == (422, "nothing_changes")
    for capacity in (-1, 10**9):
        assert (await school(training).post(path, body | {"capacity": capacity})).status_code == 422


async def test_a_referral_goes_on_with_the_place_in_the_line(training: Running) -> None:
    course = await offered(training, capacity=2)
    await seat(training, course)
    order = referred(course)
    await training.hear(opened(order.case_id), consented(order.case_id), order)
    before = len(await training.told())
    await changed(training, course, capacity=1)
    told = await told_since(training, before)
    (released,) = [each for each in told if isinstance(each, SeatReleased)]
    (waits,) = [each for each in told if isinstance(each, SeatWaitlisted)]
    assert (released.referral_id, waits.referral_id, waits.again) == (None, order.referral_id, True)
    await training.hear(order, event_id=None)
    rows = await training.rows("SELECT state FROM seat_request WHERE referral_id = $1 ORDER BY id", order.referral_id)
    assert sorted(row["state"] for row in rows) == ["released", "waiting"], "and asks no second time"


# --- days -----------------------------------------------------------------------------------------------------------


async def test_whom_the_new_days_put_into_two_seats_loses_the_one_of_the_course_that_moved(training: Running) -> None:
    case_id = await known_case(training)
    spring = await offered(training, starts_on=date(2027, 4, 1), ends_on=date(2027, 6, 30))
    summer = await offered(training, starts_on=date(2027, 7, 1), ends_on=date(2027, 9, 30))
    first, second = await seat(training, spring, case_id=case_id), await seat(training, summer, case_id=case_id)
    other = await seat(training, summer)
    trial = await changed(training, summer, starts_on="2027-06-30")
    assert {each["seat_request_id"]: each["effect"] for each in trial["affected"]} == {
        second["seat_request_id"]: "collides",
        other["seat_request_id"]: "days_or_place_changed",
    }
    assert [await state_of(training, each) for each in (first, second, other)] == ["held", "released", "held"]
    record = next(each for each in await affected(training) if each["effect"] == "collides")
    waits = {"seat_request_id": record["next_request_id"]}
    assert await state_of(training, waits) == "waiting", "passed over, though seats are free"
    await everything_holds(training)
    await step(desk(training), first, "release", {"reason": "withdrawn"})
    await training.sweep()
    assert await state_of(training, waits) == "held"
    await everything_holds(training)


async def test_deadlines_follow_and_whose_benefit_ends_before_is_told(training: Running) -> None:
    closes = an_offer().applications_close_at
    course = await offered(training, capacity=2, applications_close_at=closes, hold_hours=2400)
    asked = await seat(training, course, benefit_ends_on="2027-04-10")
    before = len(await training.told())
    earlier = (closes - timedelta(days=10)).isoformat()
    trial = await changed(training, course, starts_on="2027-04-12", applications_close_at=earlier)
    assert [each["effect"] for each in trial["affected"]] == ["benefit_ends_before"]
    (held,) = [each for each in await told_since(training, before) if isinstance(each, SeatHeld)]
    assert (held.expires_at, str(held.seat_request_id)) == (closes - timedelta(days=10), asked["seat_request_id"])


# --- cancellation ---------------------------------------------------------------------------------------------------


async def test_a_cancelled_course_gives_every_seat_back_and_offers_alternatives(training: Running) -> None:
    await entrust(training)
    course = await offered(training, capacity=3, delegated={KAGOSHIMA: 2})
    own, general, waits = [await seat(training, course) for _ in range(2)], await seat(training, course), None
    waits = await seat(training, course, municipality=KIRISHIMA)
    near = await offered(training, starts_on=date(2027, 4, 20), capacity=2)
    await offered(training, starts_on=date(2027, 8, 1))
    await offered(training, field="care")
    await offered(training, site_municipality=KIRISHIMA, capacity=1, starts_on=date(2027, 4, 2))
    used = "SELECT allotment_used(a.id) AS used FROM decision_allotment a JOIN pool p ON p.decision_allotment_id = a.id"
    assert [row["used"] for row in await training.rows(used)] == [2]
    before = len(await training.told())
    trial = await changed(training, course, cancel=True, reason="too_few_applicants")
    assert [each["alternatives"][0]["course_run_id"] for each in trial["affected"][1:]] == [str(near)] * 3
    assert trial["affected"][1]["alternatives"][0]["why"] == ["own_town", "general_seats"]
    # Kirishima's person finds the course in her own town first, and then the one at the same site.
    assert [each["why"][0] for each in trial["affected"][0]["alternatives"]] == ["own_town", "same_site"]
    assert [await state_of(training, each) for each in (*own, general, waits)] == ["released"] * 4
    assert [row["used"] for row in await training.rows(used)] == [0], "usable again"
    kinds = await training.rows(
        "SELECT kind, sum(seats) AS seats FROM seat_entry WHERE course_run_id = $1"
        " AND kind IN ('course_cancelled', 'close') GROUP BY kind",
        course,
    )
    assert {row["kind"]: row["seats"] for row in kinds} == {"course_cancelled": 3, "close": 3}
    told = await told_since(training, before)
    assert {each.reason for each in told if isinstance(each, SeatReleased)} == {"course_cancelled"}
    assert [each.capacity for each in told if isinstance(each, CourseOffered)] == [0]
    assert [each.alternatives[0] for each in told if isinstance(each, SeatAffected)][1:] == [near] * 3
    assert (await desk(training).get(f"/v1/course-runs/{course}")).json()["cancelled_at"]
    refused = await ask(training, course)
    assert (refused.status_code, refused.json()["code"]) == (409, "course_cancelled")
    again = await school(training).post(
        f"/v1/course-runs/{course}/change-trials", {"reason": "operator", "cancel": True}
    )
    assert again.json()["code"] == "is_cancelled"
    assert [each["kind"] for each in await desk(training).whole(f"/v1/course-runs/{course}/changes")] == ["cancelled"]
    await everything_holds(training)


async def test_who_accepts_moves_in_one_transaction_and_from_a_place_in_line_the_referral_moves_too(
    training: Running,
) -> None:
    course = await offered(training, capacity=2)
    await seat(training, course)
    order = referred(course)
    await training.hear(opened(order.case_id), consented(order.case_id, 7), order)
    other = await offered(training, starts_on=date(2027, 4, 20), capacity=1)
    await changed(training, course, capacity=1)
    (record,) = await affected(training)
    before = len(await training.told())
    answer = await answered(training, record, "accept", course=str(other))
    assert answer.status_code == 200, answer.text
    assert answer.json()["answer"] == "accept"
    moved = (await training.rows("SELECT * FROM seat_request WHERE course_run_id = $1", other))[0]
    assert (moved["state"], moved["referral_id"]) == ("held", order.referral_id)
    assert str(moved["moved_from"]) == record["next_request_id"]
    told = await told_since(training, before)
    released, held = (each for each in told if isinstance(each, SeatReleased | SeatHeld))
    assert isinstance(released, SeatReleased)
    assert isinstance(held, SeatHeld)
    assert (held.consent_version, held.referral_id) == (7, order.referral_id), "on which word the school may be told"
    assert (await training.rows("SELECT sum(seats) AS n FROM seat_entry WHERE kind = 'release'"))[0]["n"] == 1
    await everything_holds(training)


async def test_where_the_new_seat_is_taken_the_old_one_is_not_given_back(training: Running) -> None:
    course, other = await offered(training, capacity=1), await offered(training, starts_on=date(2027, 4, 9), capacity=1)
    asked = await seat(training, course)
    await changed(training, course, starts_on="2027-04-12")
    (record,) = await affected(training)
    taken = await seat(training, other)
    answer = await answered(training, record, "accept", course=str(other))
    assert (answer.status_code, answer.json()["code"]) == (409, "alternative_taken")
    assert await state_of(training, asked) == "held"
    assert (await affected(training))[0]["open"]
    not_offered = await answered(training, record, "accept", course=str(course))
    assert (not_offered.status_code, not_offered.json()["code"]) == (422, "not_offered")
    await step(desk(training), taken, "release", {"reason": "withdrawn"})
    assert (await answered(training, record, "accept", course=str(other))).status_code == 200
    assert await state_of(training, asked) == "released"
    await everything_holds(training)


async def test_without_an_alternative_it_is_said_who_goes_on_asking(training: Running) -> None:
    course = await offered(training)
    await seat(training, course)
    await offered(training, site_municipality=KIRISHIMA)
    await changed(training, course, cancel=True)
    (record,) = await affected(training)
    assert (record["alternatives"], record["others"]) == ([], {"too_far": 1})
    assert (record["owner"], record["open"]) == (f"desk-{KAGOSHIMA}", True)
    staying = await answered(training, record, "stay")
    assert (staying.status_code, staying.json()["code"]) == (409, "nothing_to_stay_in")
    assert (await answered(training, record, "leave")).status_code == 200


async def test_towns_that_people_can_reach_are_the_regions_to_say(training: Running) -> None:
    setting = {
        "prefecture": "46",
        "neighbours": {KAGOSHIMA: [KIRISHIMA]},
        "in_force_from": "2026-01-01",
        "decided_by": "協議会",
        "answer_within_days": 1,
    }
    assert (await planner(training).post("/v1/region-settings", setting)).status_code == 201
    course, near = await offered(training), await offered(training, site_municipality=KIRISHIMA)
    await seat(training, course)
    trial = await tried(training, course, cancel=True)
    (offer,) = trial["affected"][0]["alternatives"]
    assert (offer["course_run_id"], offer["why"][0]) == (str(near), "neighbour")


async def test_of_too_few_applicants_the_operator_is_reminded_on_the_day_and_once(training: Running) -> None:
    today = day_in_japan(wall_time())
    course = await offered(training, min_enrolment=3, cancel_decision_on=today + timedelta(days=2))
    full = await offered(training, min_enrolment=1, cancel_decision_on=today + timedelta(days=2))
    await seat(training, course)
    await seat(training, full)
    await training.sweep()
    assert await school(training).whole("/v1/cancellations-due") == []
    training.pass_time(timedelta(days=2))
    await training.sweep()
    await training.sweep()
    (told,) = [each for each in await training.told() if isinstance(each, CancellationDue)]
    assert (told.course_run_id, told.applicants, told.min_enrolment) == (course, 1, 3)
    (due,) = await school(training).whole("/v1/cancellations-due")
    assert (due["course_run_id"], due["applicants_now"]) == (str(course), 1)
    assert [each["course_run_id"] for each in await planner(training).whole("/v1/cancellations-due")] == [str(course)]
    assert await school(training, "another-school").whole("/v1/cancellations-due") == []
    await changed(training, course, cancel=True, reason="too_few_applicants")
    assert await school(training).whole("/v1/cancellations-due") == []


async def test_a_course_that_begins_with_too_few_is_cancelled_for_nothing_that_was_anybodys_choice(
    training: Running,
) -> None:
    today = day_in_japan(wall_time())
    course = await offered(training, min_enrolment=3, cancel_decision_on=today)
    asked = await seat(training, course)
    await training.sweep()
    assert len(await school(training).whole("/v1/cancellations-due")) == 1
    path = f"/v1/course-runs/{course}/confirmation"
    assert (await school(training, "another-school").post(path)).status_code == 404
    assert (await desk(training).post(path)).status_code == 403
    assert (await school(training).post(path)).status_code == 204
    assert await school(training).whole("/v1/cancellations-due") == []
    (told,) = [each for each in await training.told() if isinstance(each, CourseConfirmed)]
    assert (told.course_run_id, told.applicants, told.min_enrolment, told.by_agency) == (course, 1, 3, SCHOOL)
    assert (await desk(training).get(f"/v1/course-runs/{course}")).json()["confirmed_at"]
    again = await planner(training).post(path)
    assert (again.status_code, again.json()["code"]) == (409, "is_confirmed")
    trial = {"reason": "too_few_applicants", "cancel": True}
    denied = await school(training).post(f"/v1/course-runs/{course}/change-trials", trial)
    assert (denied.status_code, denied.json()["code"]) == (409, "is_to_begin")
    with pytest.raises(asyncpg.CheckViolationError, match="that this course run begins"):
        await training.rows(
            "INSERT INTO course_change (id, course_run_id, kind, reason, before, agency, at)"
            " VALUES (gen_random_uuid(), $1, 'cancelled', 'too_few_applicants', '{}', 'x', now())",
            course,
        )
    await changed(training, course, cancel=True, reason="disaster")
    assert await state_of(training, asked) == "released"
    none = await offered(training)
    nothing = await school(training).post(f"/v1/course-runs/{none}/confirmation")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_confirm")


async def test_a_file_brings_no_cancelled_course_back(training: Running) -> None:
    offer = an_offer()
    course = await offered(training, offer)
    await changed(training, course, cancel=True)
    assert getattr(await offer_again(training, offer), "reason", None) == "course_cancelled"
    (pool,) = await training.rows("SELECT id FROM pool WHERE course_run_id = $1", course)
    for kind, pool_id in (("open", None), ("grant", pool["id"])):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await training.rows(
                "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, at)"
                " VALUES (gen_random_uuid(), 1, $1, $2, $3, 1, now())",
                course,
                kind,
                pool_id,
            )


async def test_nobody_is_left_in_a_course_that_is_said_to_be_cancelled(training: Running) -> None:
    course = await offered(training)
    await seat(training, course)
    with pytest.raises(asyncpg.CheckViolationError, match="no seat and nobody in it"):
        await training.rows(
            "INSERT INTO course_change (id, course_run_id, kind, reason, before, agency, at)"
            " VALUES (gen_random_uuid(), $1, 'cancelled', 'x', '{}', 'x', now())",
            course,
        )


async def test_three_hundred_people_take_no_more_steps_than_three(training: Running) -> None:
    """A step is a statement: each costs a way to the database and back, and their number is what grows or doesn't."""
    counts: list[int] = []
    for people in (3, 300):
        course = await offered(training, capacity=people, starts_on=date(2027, 4, 1 + len(counts)))
        await crowded(training, course, people)
        counts.append(await statements_of_cancelling(training, course))
    assert counts[0] == counts[1]
    assert counts[1] < 60
    assert (await training.rows("SELECT count(*) AS n FROM affected"))[0]["n"] == 303
    await everything_holds(training)


async def crowded(training: Running, course: UUID, people: int) -> None:
    """So many people hold a seat."""
    await training.rows(
        "INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, requested_by, state, expires_at,"
        " requested_at) SELECT uuidv7(), $1, p.id, gen_random_uuid(), '462012', 'desk', 'held',"
        " now() + interval '3 days', now() FROM pool p, generate_series(1, $2::int) WHERE p.course_run_id = $1",
        course,
        people,
    )
    await training.rows(
        "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, seat_request_id, at)"
        " SELECT id, 1, course_run_id, 'hold', pool_id, 1, id, now() FROM seat_request WHERE course_run_id = $1",
        course,
    )


async def statements_of_cancelling(training: Running, course: UUID) -> int:
    """How many statements reach the driver, whichever way they go."""
    counted = 0
    actor = Actor("test", SCHOOL, "agency", frozenset(), frozenset({Role.PROVIDER}), ())
    change = Change("too_few_applicants", cancel=True)

    def count(*_: Any) -> None:
        nonlocal counted
        counted += 1

    async with training.database.transaction() as session:
        raw = await (await session.connection()).get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        driver.add_query_logger(count)
        now = await training.desk.clock.now(session)
        trial = await try_change(session, course, change, actor=actor, now=now)
        assert hasattr(trial, "sign")
        await change_course(session, course, change, sign=trial.sign, actor=actor, now=now)
        driver.remove_query_logger(count)
    return counted
