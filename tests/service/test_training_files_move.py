"""A file that moves a course run affects those who stand in it as any late change does: they are listed, and told."""

from dataclasses import replace
from datetime import date, time, timedelta

import pytest

from shared.events import CourseChanged, SeatAffected, SeatHeld
from tests.service.late_changes_room import affected, answered, changed
from tests.service.training_courses import (
    KAGOSHIMA,
    KIRISHIMA,
    an_offer,
    offer_again,
    offered,
    school,
    seat,
    state_of,
    told_since,
)
from tests.service.trial_room import a_place, on_offer
from tests.world import Running, World


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


async def test_whom_a_file_moves_is_listed_in_order_with_what_is_offered(training: Running) -> None:
    offer, near = an_offer(capacity=1), await offered(training, capacity=5, starts_on=date(2027, 4, 6))
    course = await offered(training, offer)
    held = await seat(training, course, benefit_ends_on="2027-04-20")
    waits = await seat(training, course, municipality=KIRISHIMA)
    before = len(await training.told())
    await offer_again(training, replace(offer, starts_on=date(2027, 5, 6), ends_on=date(2027, 10, 29)))
    (first,) = await affected(training, KIRISHIMA)
    (second,) = await affected(training)
    assert [(each["seat_request_id"], each["effect"], each["place"], each["reason"]) for each in (first, second)] == [
        (waits["seat_request_id"], "days_or_place_changed", 1, "file"),
        (held["seat_request_id"], "benefit_ends_before", 2, "file"),
    ]
    assert [each["course_run_id"] for each in second["alternatives"]] == [str(near)]
    told = await told_since(training, before)
    assert {str(each.seat_request_id) for each in told if isinstance(each, SeatAffected)} == {
        held["seat_request_id"],
        waits["seat_request_id"],
    }
    assert [each.affected for each in told if isinstance(each, CourseChanged)] == [2]
    (change,) = (await school(training).get(f"/v1/course-runs/{course}/changes")).json()["items"]
    assert (change["before"]["starts_on"], change["after"]["starts_on"]) == ("2027-04-01", "2027-05-06")
    assert (await answered(training, second, "accept", course=str(near))).status_code == 200
    assert [await state_of(training, each) for each in (held, waits)] == ["released", "held"]


async def test_what_affects_nobody_is_no_change_on_record(training: Running) -> None:
    offer = an_offer(capacity=2)
    course = await offered(training, offer)
    await offer_again(training, replace(offer, starts_on=date(2027, 4, 12)))
    asked = await seat(training, course)
    moved = replace(offer, starts_on=date(2027, 4, 12))
    later = moved.applications_close_at + timedelta(days=1)
    for again in (moved, replace(moved, title="別の名"), replace(moved, capacity=3, applications_close_at=later)):
        await offer_again(training, again)
    assert await training.rows("SELECT FROM course_change") == []
    assert await state_of(training, asked) == "held"


async def test_a_file_of_the_same_day_may_move_a_course_run_again(training: Running) -> None:
    """Only what the operator changed by hand is kept from rows that were checked before it."""
    offer = an_offer(capacity=2)
    await seat(training, await offered(training, offer))
    for day in (12, 19, 1):
        again = await offer_again(training, replace(offer, starts_on=date(2027, 4, day)))
        assert getattr(again, "became", None) == "updated"
    assert len(await affected(training)) == 3


async def test_the_hours_of_a_trial_place_are_told_as_well(training: Running) -> None:
    place = a_place(from_time=time(9), until_time=time(12))
    course = await on_offer(training, course_number=place.course_number, from_time=time(9), until_time=time(12))
    asked = await seat(training, course)
    before = len(await training.told())
    await offer_again(training, replace(place, from_time=time(13), until_time=time(16)))
    (record,) = await affected(training)
    assert (record["seat_request_id"], record["effect"]) == (asked["seat_request_id"], "hours_changed")
    assert record["municipality"] == KAGOSHIMA
    told = await told_since(training, before)
    assert [each.effect for each in told if isinstance(each, SeatAffected)] == ["hours_changed"]
    assert not any(isinstance(each, SeatHeld) for each in told)


async def test_who_is_affected_again_is_asked_by_the_newest_record_alone(training: Running) -> None:
    offer, near = an_offer(capacity=1), await offered(training, capacity=5, starts_on=date(2027, 4, 6))
    course = await offered(training, offer)
    await seat(training, course)
    lost = await seat(training, course)  # waits
    for day in (12, 19):
        await offer_again(training, replace(offer, starts_on=date(2027, 4, day)))
    records = [each for each in await affected(training) if each["seat_request_id"] == lost["seat_request_id"]]
    assert [each["open"] for each in records] == [False, True]
    assert records[1]["affected_id"] in {each["affected_id"] for each in await affected(training, open=True)}
    old = await answered(training, records[0], "accept", course=str(near))
    assert (old.status_code, old.json()["code"]) == (409, "asked_anew")
    assert (await answered(training, records[1], "accept", course=str(near))).status_code == 200
    again = await answered(training, records[0], "accept", course=str(near))
    assert (again.status_code, again.json()["code"]) == (409, "asked_anew")


async def test_a_place_that_goes_on_for_a_lost_seat_is_asked_by_its_newest_record(training: Running) -> None:
    course = await offered(training, capacity=2)
    await seat(training, course)
    await seat(training, course)
    await changed(training, course, capacity=1)
    (first,) = await affected(training, open=True)
    await changed(training, course, starts_on="2027-04-12")
    records = {each["seat_request_id"]: each for each in await affected(training, open=True)}
    assert first["next_request_id"] in records
    assert first["seat_request_id"] not in records
    assert (await answered(training, first, "leave")).json()["code"] == "asked_anew"
    assert (await answered(training, records[first["next_request_id"]], "leave")).status_code == 200
