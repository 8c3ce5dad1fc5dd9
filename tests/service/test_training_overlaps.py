"""A person holds no two seats that overlap in time: the database's word, the door's, and the line's."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.service.training_courses import (
    KAGOSHIMA,
    an_offer,
    ask,
    broken_promises,
    desk,
    instructed,
    known_case,
    offer_again,
    offered,
    planner,
    referred,
    school,
    seat,
    state_of,
    step,
)
from tests.world import Running, World

_OVERLAPS = """
SELECT a.id FROM seat_request a JOIN course_run c ON c.id = a.course_run_id
JOIN seat_request b ON b.case_id = a.case_id AND b.id > a.id JOIN course_run d ON d.id = b.course_run_id
WHERE a.state NOT IN ('waiting', 'released') AND b.state NOT IN ('waiting', 'released')
AND c.starts_on <= d.ends_on AND d.starts_on <= c.ends_on
"""
SPRING: dict[str, Any] = {"starts_on": date(2027, 4, 1), "ends_on": date(2027, 6, 30)}
LAST_DAY: dict[str, Any] = {"starts_on": date(2027, 6, 30), "ends_on": date(2027, 8, 31)}
SUMMER: dict[str, Any] = {"starts_on": date(2027, 7, 1), "ends_on": date(2027, 9, 30)}


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


async def test_at_the_door_another_seat_at_the_same_time_is_refused_and_one_after_it_is_not(training: Running) -> None:
    case_id = await known_case(training)
    await seat(training, await offered(training, **SPRING), case_id=case_id)
    refused = await ask(training, await offered(training, **LAST_DAY), case_id=case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "overlapping_seat"), "the last day is one of its days"
    assert refused.json()["detail_ja"]
    assert (await seat(training, await offered(training, **SUMMER), case_id=case_id))["outcome"] == "held"


async def test_in_several_lines_a_person_may_wait(training: Running) -> None:
    case_id, full = await known_case(training), await offered(training, capacity=1)
    await seat(training, full)
    await seat(training, await offered(training), case_id=case_id)
    assert (await seat(training, full, case_id=case_id))["outcome"] == "waiting"


async def test_who_has_another_seat_meanwhile_is_passed_over_and_stands_first_once_that_is_given_back(
    training: Running,
) -> None:
    case_id, full = await known_case(training), await offered(training, capacity=1)
    holder = await seat(training, full)
    first = await seat(training, full, case_id=case_id)
    second = await seat(training, full)
    elsewhere = await seat(training, await offered(training), case_id=case_id)
    await step(desk(training), holder, "release", {"reason": "withdrawn"})
    assert (await state_of(training, first), await state_of(training, second)) == ("waiting", "held")
    shown = (await desk(training).get(f"/v1/seat-requests/{first['seat_request_id']}")).json()
    assert (shown["passed_over"], shown["position"]) == ("overlapping_seat", 1)
    await step(desk(training), second, "release", {"reason": "withdrawn"})
    assert await state_of(training, first) == "waiting"
    # Nobody else wants it: a newcomer gets the seat that would be idle beside somebody who can't have it.
    newcomer = await seat(training, full)
    assert newcomer["outcome"] == "held"
    await step(desk(training), newcomer, "release", {"reason": "withdrawn"})
    await step(desk(training), elsewhere, "release", {"reason": "withdrawn"})
    late = await seat(training, full)
    assert (late["outcome"], await state_of(training, first)) == ("waiting", "held"), "no newcomer overtakes"
    assert await broken_promises(training) == []


async def test_the_sweep_offers_the_seat_to_whoever_has_time_again(training: Running) -> None:
    case_id, full = await known_case(training), await offered(training, capacity=1)
    holder = await seat(training, full)
    first = await seat(training, full, case_id=case_id)
    elsewhere = await seat(training, await offered(training), case_id=case_id)
    await step(desk(training), holder, "release", {"reason": "withdrawn"})
    await step(desk(training), elsewhere, "release", {"reason": "withdrawn"})
    await training.sweep()
    assert await state_of(training, first) == "held"
    assert await training.sweep() == 0


async def test_of_two_requests_at_once_for_two_courses_one_is_held(training: Running) -> None:
    for _ in range(3):
        case_id = await known_case(training)
        courses = [await offered(training), await offered(training)]
        answers = await asyncio.gather(*(ask(training, course, case_id=case_id) for course in courses))
        assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert await training.rows(_OVERLAPS) == []


async def test_of_two_referrals_at_once_of_a_case_not_heard_of_one_is_held(training: Running) -> None:
    """No row of the case is there to be locked: the database alone keeps them apart."""
    courses = [await offered(training), await offered(training)]
    first = referred(courses[0])
    second = referred(courses[1], case_id=first.case_id)
    await asyncio.gather(training.hear(first), training.hear(second))
    held = await training.rows("SELECT state FROM seat_request WHERE case_id = $1", first.case_id)
    assert [row["state"] for row in held] == ["held"]


async def test_two_lines_that_reach_a_person_at_once_give_one_seat(training: Running) -> None:
    case_id = await known_case(training)
    courses = [await offered(training, capacity=1), await offered(training, capacity=1)]
    holders = [await seat(training, course) for course in courses]
    waits = [await seat(training, course, case_id=case_id) for course in courses]
    answers = await asyncio.gather(
        *(step(desk(training), holder, "release", {"reason": "withdrawn"}) for holder in holders)
    )
    for holder, answer in zip(holders, answers, strict=True):
        if answer.status_code == 503:  # answered as what passes: the same again goes well
            assert (await step(desk(training), holder, "release", {"reason": "withdrawn"})).status_code == 200
    assert sorted([await state_of(training, asked) for asked in waits]) == ["held", "waiting"]
    assert await training.rows(_OVERLAPS) == []


async def test_the_database_refuses_a_second_seat_whatever_the_code_does(training: Running) -> None:
    case_id = await known_case(training)
    await seat(training, await offered(training), case_id=case_id)
    full = await offered(training, capacity=1)
    holder = await seat(training, full)
    waits = await seat(training, full, case_id=case_id)
    await training.rows(
        "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, seat_request_id, at)"
        " VALUES ($1, 9, $2, 'release', $3, 1, $1, now())",
        UUID(holder["seat_request_id"]),
        full,
        UUID(holder["pool_id"]),
    )
    with pytest.raises(asyncpg.SerializationError, match="another seat at that time"):
        await training.rows(
            "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, seat_request_id, at)"
            " VALUES ($1, 9, $2, 'hold', $3, 1, $1, now())",
            UUID(waits["seat_request_id"]),
            full,
            UUID(waits["pool_id"]),
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await training.rows("DELETE FROM seat_time")


async def test_a_file_does_not_move_somebody_into_two_seats(training: Running) -> None:
    case_id = await known_case(training)
    spring, summer = an_offer(**SPRING), an_offer(**SUMMER)
    for offer in (spring, summer):
        await seat(training, await offered(training, offer), case_id=case_id)
    moved = await offer_again(training, an_offer(course_number=summer.course_number, **LAST_DAY))
    assert getattr(moved, "reason", None) == "two_seats_at_a_time"
    assert await training.rows(_OVERLAPS) == []


async def test_who_left_a_course_has_time_again(training: Running) -> None:
    case_id, course = await known_case(training), await offered(training)
    asked = await seat(training, course, case_id=case_id)
    await instructed(training, asked)
    assert (await step(school(training), asked, "enrol")).status_code == 200
    days = (date(2027, 4, 30) - (await training.rows("SELECT now()::date AS day"))[0]["day"]).days
    training.pass_time(timedelta(days=days))
    left = {"ending": "left", "reason": "found_work", "ended_on": "2027-04-30"}
    answer = await step(school(training), asked, "end-training", left)
    assert answer.status_code in {200, 201}, answer.text
    closes = an_offer().applications_close_at + training.desk.clock.offset
    later = await offered(training, starts_on=date(2027, 6, 1), ends_on=date(2027, 8, 1), applications_close_at=closes)
    assert (await seat(training, later, case_id=case_id))["outcome"] == "held"


async def test_a_region_may_say_how_many_applications_a_person_has_open(training: Running) -> None:
    case_id = await known_case(training)
    setting: dict[str, Any] = {
        "prefecture": "46",
        "max_open_applications": 2,
        "in_force_from": "2026-01-01",
        "decided_by": "協議会",
    }
    assert (await planner(training).post("/v1/region-settings", setting)).status_code == 201
    first = await seat(training, await offered(training, **SPRING), case_id=case_id)
    await seat(training, await offered(training, **SUMMER), case_id=case_id)
    later = await offered(training, starts_on=date(2028, 1, 1), ends_on=date(2028, 2, 1))
    refused = await ask(training, later, case_id=case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_applications")
    await step(desk(training), first, "release", {"reason": "withdrawn"})
    assert (await ask(training, later, case_id=case_id)).status_code == 201
    shown = await desk(training).get("/v1/region-settings/46")
    assert (shown.json()["max_open_applications"], shown.json()["answer_within_days"]) == (2, 3)
    elsewhere = await planner(training).post("/v1/region-settings", setting | {"prefecture": "13"})
    assert elsewhere.status_code == 403
    assert KAGOSHIMA.startswith("46")
