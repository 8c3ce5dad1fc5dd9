"""Attendance, the end of training and what came of it: over HTTP, in a real database."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest

from services.training.domain.outcomes import MONTHS_AFTER, due_on
from shared.events import AttendanceWarned, AttendanceWarningLifted, EmploymentRecorded, TrainingEnded
from shared.service.clock import day_in_japan, wall_time
from tests.service.training_courses import (
    KIRISHIMA,
    desk,
    hello_work,
    instructed,
    offered,
    school,
    seat,
    step,
    told_since,
)
from tests.world import Caller, Running, World

STARTS, ENDS = date(2027, 4, 1), date(2027, 9, 30)


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


def travel(training: Running, to: date) -> None:
    """Until noon of a day or so; never back."""
    training.pass_time(to - day_in_japan(wall_time() + training.desk.clock.offset))


async def enrolled(training: Running, **more: Any) -> dict[str, Any]:
    asked = await seat(training, await offered(training, starts_on=STARTS, ends_on=ENDS), **more)
    await instructed(training, asked)
    assert (await step(school(training), asked, "enrol")).status_code == 200
    return asked


async def certify(training: Running, asked: dict[str, Any], month: str, **days: Any) -> httpx2.Response:
    body = {"month": month, "days_held": 20, "days_present": 20} | days
    return await step(school(training), asked, "attendance-certificates", body)


async def certified(training: Running, asked: dict[str, Any], month: str, **days: Any) -> dict[str, Any]:
    answer = await certify(training, asked, month, **days)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


# --- attendance -----------------------------------------------------------------------------------------------------


async def test_a_month_is_certified_and_the_rule_shown_with_its_numbers(training: Running) -> None:
    asked = await enrolled(training)
    travel(training, date(2027, 5, 10))
    shown = await certified(training, asked, "2027-04", days_present=15, excused={"illness": 4})
    (month,) = shown["attendance"]["months"]
    assert (month["month"], month["excused"], month["stands"]) == ("2027-04", None, True)
    assert month["agency"] == "kagoshima-school"
    assert month["reckoning"] == {
        "held": 20, "present": 15, "excused": 4, "unexcused": 1, "needed": 16, "short_by": 1, "meets": False,
    }  # fmt: skip
    assert shown["attendance"]["standing"] == "below"


async def test_who_falls_below_is_warned_of_once_and_the_warning_lifted(training: Running) -> None:
    asked = await enrolled(training)
    travel(training, date(2027, 8, 1))
    before = len(await training.told())
    await certified(training, asked, "2027-04", days_present=17, days_to_come=100)
    await certified(training, asked, "2027-05", days_present=15, days_to_come=80)
    shown = await certified(training, asked, "2027-06", days_present=0, days_to_come=40)
    assert shown["attendance"]["standing"] == "out_of_reach"
    last = shown["attendance"]["months"][-1]
    await certified(training, asked, "2027-06", days_present=19, days_to_come=40, corrects=last["id"])
    told = await told_since(training, before)
    assert [event.standing if isinstance(event, AttendanceWarned) else type(event) for event in told] == [
        "month_below",
        "out_of_reach",
        AttendanceWarningLifted,
    ]
    assert "illness" not in "".join(event.model_dump_json() for event in told)


async def test_a_correction_names_what_stands_and_keeps_the_old(training: Running) -> None:
    asked = await enrolled(training)
    travel(training, date(2027, 5, 10))
    first = (await certified(training, asked, "2027-04", days_present=20))["attendance"]["months"][0]["id"]
    again = await certify(training, asked, "2027-04", days_present=18)
    assert (again.status_code, again.json()["code"]) == (409, "is_on_record")
    wrong = await certify(training, asked, "2027-04", corrects=str(uuid4()))
    assert (wrong.status_code, wrong.json()["code"]) == (409, "not_the_one_that_stands")
    shown = await certified(training, asked, "2027-04", days_present=18, corrects=first)
    assert [(each["reckoning"]["present"], each["stands"]) for each in shown["attendance"]["months"]] == [
        (20, False),
        (18, True),
    ]
    assert shown["attendance"]["so_far"]["present"] == 18
    late = await certify(training, asked, "2027-04", days_present=1, corrects=first)
    assert late.json()["code"] == "not_the_one_that_stands", "somebody corrected it meanwhile"


async def test_bad_certificates_are_refused_with_the_rule(training: Running) -> None:
    asked = await enrolled(training)
    travel(training, date(2027, 5, 10))
    wrong: list[tuple[str, dict[str, Any], int, str]] = [
        ("2027-03", {}, 422, "month_not_in_the_course"),
        ("2027-10", {}, 422, "month_not_in_the_course"),
        ("2026-04", {}, 422, "month_not_in_the_course"),
        ("2027-05", {}, 409, "month_is_not_over"),
        ("2027-04", {"days_held": 31, "days_present": 1}, 422, "more_days_than_there_are"),
        ("2027-04", {"days_present": 21}, 422, "days_do_not_add_up"),
        ("2027-04", {"excused": {"other": 1}}, 422, "days_do_not_add_up"),
        ("2027-04", {"days_present": -1}, 422, "invalid"),
        ("2027-04", {"days_held": 10**9}, 422, "invalid"),
        ("2027-04", {"excused": {"holiday": 1}}, 422, "invalid"),
        ("2027-13", {}, 422, "invalid"),
        ("April", {}, 422, "invalid"),
    ]
    for month, days, status, code in wrong:
        answer = await certify(training, asked, month, **days)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (month, days)
    assert await training.rows("SELECT FROM attendance_certificate") == []


async def test_only_the_own_school_certifies_and_only_who_is_enrolled(training: Running) -> None:
    asked = await enrolled(training)
    held = await seat(training, await offered(training))
    travel(training, date(2027, 5, 10))
    body = {"month": "2027-04", "days_held": 20, "days_present": 20}
    assert (await step(school(training, "another"), asked, "attendance-certificates", body)).status_code == 404
    assert (await step(school(training), held, "attendance-certificates", body)).status_code == 404
    assert (await step(desk(training), asked, "attendance-certificates", body)).status_code == 403


async def test_the_database_refuses_what_the_code_would_let_through(training: Running) -> None:
    asked = await enrolled(training)
    held = await seat(training, await offered(training))
    insert = (
        "INSERT INTO attendance_certificate (id, seat_request_id, month, number, days_held, days_present,"
        " days_excused, agency, at) VALUES ($1, $2, $3, $4, 20, $5, 0, 'kagoshima-school', now())"
    )
    its_id, no_enrolment = UUID(asked["seat_request_id"]), UUID(held["seat_request_id"])
    refused = [
        (no_enrolment, date(2027, 4, 1), 1, 20),
        (its_id, date(2027, 10, 1), 1, 20),
        (its_id, date(2027, 3, 1), 1, 20),
        (its_id, date(2027, 4, 2), 1, 20),
        (its_id, date(2027, 4, 1), 1, 21),
    ]
    for values in refused:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await training.rows(insert, uuid4(), *values)
    await training.rows(insert, uuid4(), its_id, date(2027, 4, 1), 1, 20)
    with pytest.raises(asyncpg.UniqueViolationError):
        await training.rows(insert, uuid4(), its_id, date(2027, 4, 1), 1, 19)
    tables = "registration selection attendance_certificate training_end employment_outcome instruction_cancellation"
    for table in tables.split():
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await training.rows(f"DELETE FROM {table}")


# --- the end, and what came of it -----------------------------------------------------------------------------------


async def end(training: Running, asked: dict[str, Any], **more: Any) -> httpx2.Response:
    body = {"ending": "completed", "ended_on": ENDS.isoformat()} | more
    return await step(school(training), asked, "end-training", body)


async def outcome(caller: Caller, asked: dict[str, Any], checkpoint: str, said: str, **more: Any) -> httpx2.Response:
    return await step(caller, asked, "employment-outcomes", {"checkpoint": checkpoint, "outcome": said} | more)


async def test_a_completion_is_no_job_and_each_set_day_is_asked_for(training: Running) -> None:
    asked = await enrolled(training)
    early = await end(training, asked)
    assert (early.status_code, early.json()["code"]) == (409, "day_to_come")
    nothing = await outcome(school(training), asked, "at_end", "seeking")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "training_has_not_ended")
    travel(training, ENDS)
    shown = (await end(training, asked)).json()
    assert (shown["status"], shown["state"]) == ("completed", "enrolled")
    assert [each["due_on"] for each in shown["outcomes_due"]] == ["2027-09-30", "2027-10-30", "2027-12-30"]
    assert (await outcome(school(training), asked, "at_end", "seeking")).status_code == 201
    assert (await outcome(desk(training), asked, "one_month", "employed")).json()["code"] == "day_to_come"
    travel(training, date(2028, 6, 1))
    late = await outcome(hello_work(training), asked, "three_months", "employed_insured")
    assert late.status_code == 201, "late, and a fact all the same"
    told = [event for event in await training.told() if isinstance(event, TrainingEnded | EmploymentRecorded)]
    assert [getattr(event, "outcome", getattr(event, "ending", "")) for event in told] == [
        "completed", "seeking", "employed_insured",
    ]  # fmt: skip
    stranger = await outcome(desk(training, KIRISHIMA), asked, "one_month", "employed")
    assert stranger.status_code == 404


async def test_leaving_has_a_reason_ends_the_months_and_can_be_corrected(training: Running) -> None:
    asked = await enrolled(training)
    travel(training, date(2027, 7, 10))
    await certified(training, asked, "2027-05", days_held=18, days_present=18)
    assert (await end(training, asked, ending="left", ended_on="2027-06-15")).json()["code"] == "reason_of_leaving"
    before = await end(training, asked, ending="left", ended_on="2027-04-20", reason="moved")
    assert (before.status_code, before.json()["code"]) == (409, "attended_afterwards")
    left = (await end(training, asked, ending="left", ended_on="2027-06-15", reason="found_work")).json()
    assert left["status"] == "left"
    assert (await certify(training, asked, "2027-07")).json()["code"] == "month_not_in_the_course"
    await certified(training, asked, "2027-06", days_held=10, days_present=10)
    assert (await end(training, asked, ending="left", ended_on="2027-06-14", reason="illness")).status_code == 409
    stands = left["ends"][0]["id"]
    corrected = await end(training, asked, ending="left", ended_on="2027-06-14", reason="illness", corrects=stands)
    assert [each["reason"] for each in corrected.json()["ends"]] == ["found_work", None]
    record = f"/v1/seat-requests/{asked['seat_request_id']}/record?reasons=true"
    assert [(each["reason"], each["stands"]) for each in (await desk(training).get(record)).json()["ends"]] == [
        ("found_work", False),
        ("illness", True),
    ]


async def test_set_days_that_passed_are_listed_page_by_page_for_those_who_may_say(training: Running) -> None:
    people = [await enrolled(training) for _ in range(3)]
    travel(training, ENDS)
    for asked in people:
        assert (await end(training, asked)).status_code == 200
    assert await school(training).whole("/v1/overdue-outcomes") == [], "the day itself is not late"
    travel(training, date(2027, 10, 31))
    assert (await outcome(school(training), people[0], "at_end", "seeking")).status_code == 201
    listed = await school(training).whole("/v1/overdue-outcomes", limit=2)
    wanted = sorted(
        (day, asked["seat_request_id"], point)
        for asked in people
        for day, point in (("2027-09-30", "at_end"), ("2027-10-30", "one_month"))
        if (asked, point) != (people[0], "at_end")
    )
    assert [(each["due_on"], each["seat_request_id"], each["checkpoint"]) for each in listed] == wanted
    assert await desk(training).whole("/v1/overdue-outcomes", limit=2) == listed
    assert await desk(training, KIRISHIMA).whole("/v1/overdue-outcomes") == []
    assert await school(training, "another").whole("/v1/overdue-outcomes") == []


async def test_the_database_reckons_the_set_days_as_the_domain_does(training: Running) -> None:
    days = [date(2027, 1, 1) + timedelta(days=number) for number in range(1500)]
    for checkpoint, months in MONTHS_AFTER.items():
        rows = await training.rows(
            "SELECT (day + make_interval(months => $2))::date AS due FROM unnest($1::date[]) AS day", days, months
        )
        assert [row["due"] for row in rows] == [due_on(day, checkpoint) for day in days]
