"""Trial places at host workplaces over HTTP: the doors of courses, by the same ledger, line and facts."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.training.domain.offers import Denied
from shared.events import CourseOffered, NextStepProposed, SeatHeld, SeatRefused, TrainingEnded
from shared.service import day_in_japan, working_day_after
from shared.service.clock import wall_time
from tests.service.late_changes_room import affected, answered
from tests.service.training_courses import (
    ENTITY,
    KAGOSHIMA,
    KIRISHIMA,
    SCHOOL,
    an_offer,
    ask,
    broken_promises,
    desk,
    hello_work,
    known_case,
    offer_again,
    offered,
    placement,
    planner,
    referred,
    school,
    seat,
    state_of,
    step,
)
from tests.service.trial_room import (
    ANOTHER_HOST,
    CERTIFICATE,
    DESK_NAME,
    HOST,
    KEEPER,
    KEEPER_ENTITY,
    a_place,
    came,
    completed,
    day,
    ended,
    keeper,
    nominated,
    on_offer,
)
from tests.world import Running, World


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


async def proposals(training: Running) -> list[NextStepProposed]:
    return [event for event in await training.told() if isinstance(event, NextStepProposed)]


# --- the whole way --------------------------------------------------------------------------------------------------


async def test_a_visit_goes_through_the_doors_of_a_course_and_needs_no_paper(training: Running) -> None:
    course = await on_offer(training, on=10)
    following = await on_offer(training, "half_day", on=20)
    case_id = await known_case(training)
    asked = await seat(training, course, case_id=case_id)
    shown = await nominated(training, asked)
    assert (shown["status"], shown["expires_at"], shown["legal_moves"]) == ("nominated", None, ["enrol", "release"])
    shown = await came(training, asked)
    assert [(fact["step"], fact["agency"], fact["notification_number"]) for fact in shown["facts"]] == [
        ("nominated", f"desk-{KAGOSHIMA}", None),
        ("enrolled", KEEPER, CERTIFICATE),
    ]
    await ended(training, asked, day(10))
    record = (await desk(training).get(f"/v1/seat-requests/{asked['seat_request_id']}/record")).json()
    assert record["status"] == "completed"
    names = await training.rows("SELECT legal_entity, notification_number FROM training_end")
    assert [tuple(row) for row in names] == [(KEEPER_ENTITY, CERTIFICATE)]
    kinds = await training.rows("SELECT kind FROM seat_entry WHERE course_run_id = $1 ORDER BY id", course)
    assert [row["kind"] for row in kinds] == ["open", "grant", "hold", "enrol"]
    told = [type(event) for event in await training.told() if getattr(event, "case_id", None) == case_id]
    assert told[0] is SeatHeld
    assert told[-2:] == [TrainingEnded, NextStepProposed]
    assert following != course
    assert await broken_promises(training) == []


async def test_after_a_completed_step_the_next_is_proposed_to_who_asked_and_nothing_is_held(training: Running) -> None:
    case_id = await known_case(training)
    elsewhere = await on_offer(training, "half_day", on=18, host_workplace_id=ANOTHER_HOST)
    same_host = await on_offer(training, "half_day", on=25)
    full = await on_offer(training, "half_day", on=15, capacity=1)
    await seat(training, full, skips_steps_because="worked_before")
    away = await on_offer(training, "half_day", on=16, site_municipality="462187")
    await on_offer(training, "week", on=30, days=5)
    asked = await completed(training, case_id, "visit", on=5)
    (proposed,) = await proposals(training)
    assert (proposed.case_id, str(proposed.seat_request_id)) == (case_id, asked["seat_request_id"])
    assert (proposed.completed, proposed.step, proposed.owner) == ("visit", "half_day", f"desk-{KAGOSHIMA}")
    assert proposed.places == [same_host, elsewhere], "the host that is known first; none that is full or far away"
    assert away not in proposed.places
    assert proposed.due_on == working_day_after(day(5), 3)
    assert len(await training.rows("SELECT FROM seat_request WHERE case_id = $1", case_id)) == 1
    again = await seat(training, same_host, case_id=case_id)
    assert again["outcome"] == "held"


async def test_who_left_has_not_completed_and_a_corrected_word_counts(training: Running) -> None:
    case_id = await known_case(training)
    course, following = await on_offer(training, on=5), await on_offer(training, "half_day", on=20)
    asked = await seat(training, course, case_id=case_id)
    await nominated(training, asked)
    await came(training, asked)
    await ended(training, asked, day(5), "left", reason="illness")
    assert await proposals(training) == []
    refused = await ask(training, following, case_id=case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "step_skipped")
    (end,) = await training.rows("SELECT id FROM training_end")
    await ended(training, asked, day(5), corrects=str(end["id"]))
    assert len(await proposals(training)) == 1
    assert (await ask(training, following, case_id=case_id)).status_code == 201


async def test_nobody_is_asked_to_look_at_a_step_that_the_person_asked_for_already(training: Running) -> None:
    case_id = await known_case(training)
    following = await on_offer(training, "half_day", on=20)
    await seat(training, following, case_id=case_id, skips_steps_because="plan_decided")
    await completed(training, case_id, "visit", on=5)
    assert await proposals(training) == []


# --- the steps in order ---------------------------------------------------------------------------------------------


async def test_a_step_is_skipped_only_for_a_reason_that_stands_with_who_said_it(training: Running) -> None:
    case_id, course = await known_case(training), await on_offer(training, "week", days=5)
    refused = await ask(training, course, case_id=case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "step_skipped")
    assert "skips_steps_because" in refused.json()["detail_ja"]
    junk = await ask(training, course, case_id=case_id, skips_steps_because="because")
    assert junk.status_code == 422
    asked = await seat(training, course, case_id=case_id, skips_steps_because="host_agrees")
    shown = (await desk(training).get(f"/v1/seat-requests/{asked['seat_request_id']}")).json()
    assert (shown["skipped_because"], shown["requested_by"]) == ("host_agrees", f"desk-{KAGOSHIMA}")
    assert (await seat(training, await on_offer(training, on=20), case_id=case_id))["outcome"] == "held", "going down"


async def test_a_referral_to_a_step_that_would_be_skipped_is_refused_by_an_event(training: Running) -> None:
    course = await on_offer(training, "week", days=5)
    referral = referred(course)
    await training.hear(referral)
    told = [event for event in await training.told() if isinstance(event, SeatRefused)]
    assert [(event.referral_id, event.reason) for event in told] == [(referral.referral_id, "step_skipped")]
    visit = await on_offer(training)
    await training.hear(referred(visit))
    assert await training.rows("SELECT FROM seat_request WHERE course_run_id = $1 AND state = 'held'", visit) != []


# --- in whose name --------------------------------------------------------------------------------------------------


async def test_to_paid_work_only_a_registered_placement_leads(training: Running) -> None:
    course = await on_offer(training, "paid_trial", days=5)
    asked = await seat(training, course, skips_steps_because="worked_before")
    refused = await step(desk(training), asked, "nominate", DESK_NAME)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    insert = (
        "INSERT INTO nomination (seat_request_id, agency, authority, at, legal_entity)"
        f" VALUES ('{asked['seat_request_id']}', 'desk-{KAGOSHIMA}', 'current_law', now(), '{ENTITY['legal_entity']}')"
    )
    with pytest.raises(asyncpg.CheckViolationError, match="no registration"):
        await training.rows(insert)
    await nominated(training, asked, paid=True)
    assert (await came(training, asked))["status"] == "enrolled"


async def test_a_trial_place_takes_no_countersignature_and_no_paper_also_from_the_database(training: Running) -> None:
    asked = await seat(training, await on_offer(training))
    await nominated(training, asked)
    for move, body in (("countersign", None), ("instruct", {"legal_entity": "6000020271004"})):
        refused = await step(hello_work(training), asked, move, body)
        assert (refused.status_code, refused.json()["code"]) == (409, "illegal_move"), refused.text
    with pytest.raises(asyncpg.CheckViolationError, match="no registration"):
        await training.rows(
            "INSERT INTO countersignature (seat_request_id, agency, authority, at, legal_entity)"
            f" VALUES ('{asked['seat_request_id']}', 'hello-work-kagoshima', 'current_law', now(), '6000020271004')"
        )


async def test_others_than_its_own_bodies_do_nothing_with_a_place(training: Running) -> None:
    asked = await seat(training, await on_offer(training))
    await nominated(training, asked)
    assert (await step(school(training), asked, "enrol")).status_code == 404
    assert (await step(desk(training), asked, "enrol")).status_code == 403
    assert (await step(desk(training, KIRISHIMA), asked, "release", {"reason": "withdrawn"})).status_code == 404
    # A school that offers a trial place is no host workplace by being a school.
    schools = await seat(training, await on_offer(training, provider_agency=SCHOOL, on=20))
    await nominated(training, schools)
    refused = await step(school(training), schools, "enrol")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_registered")
    with pytest.raises(asyncpg.CheckViolationError, match="no registration"):
        await training.rows(
            "INSERT INTO enrolment (seat_request_id, agency, authority, at, legal_entity)"
            f" VALUES ('{schools['seat_request_id']}', '{SCHOOL}', 'current_law', now(), '7000012050002')"
        )


async def test_in_a_course_a_desk_nominates_nobody_as_before(training: Running) -> None:
    asked = await seat(training, await offered(training))
    refused = await step(desk(training), asked, "nominate", DESK_NAME)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_where_the_host_chooses_who_is_not_chosen_does_not_come(training: Running) -> None:
    course = await on_offer(training, capacity=2)
    first, second = await seat(training, course), await seat(training, course)
    for each in (first, second):
        await nominated(training, each)
    today = day_in_japan(wall_time() + training.desk.clock.offset).isoformat()
    reserve = {"result": "reserve", "result_on": today, "rank": 1}
    assert (await step(keeper(training), second, "select", reserve)).status_code in {200, 201}
    refused = await step(keeper(training), second, "enrol")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_accepted")
    accepted = await step(keeper(training), first, "select", {"result": "accepted", "result_on": today})
    assert accepted.status_code in {200, 201}
    shown = (await desk(training).get(f"/v1/seat-requests/{first['seat_request_id']}")).json()
    assert (shown["status"], shown["expires_at"]) == ("accepted", None)
    await step(desk(training), first, "release", {"reason": "person_declined"})
    assert (await came(training, second))["status"] == "enrolled", "the reserve moved up"


# --- line, clock, days ----------------------------------------------------------------------------------------------


async def test_who_waits_for_a_place_is_offered_it_and_the_line_is_that_of_courses(training: Running) -> None:
    course = await on_offer(training, capacity=1)
    first, second = await seat(training, course), await seat(training, course)
    assert (first["outcome"], second["outcome"], second["position"]) == ("held", "waiting", 1)
    await step(desk(training), first, "release", {"reason": "person_declined"})
    assert (await step(desk(training), second, "accept")).status_code == 200
    assert await state_of(training, second) == "held"
    offers = (await desk(training).get(f"/v1/seat-requests/{second['seat_request_id']}/offers")).json()
    assert len(offers) == 1
    assert await broken_promises(training) == []


async def test_a_hold_runs_out_and_a_nomination_does_not(training: Running) -> None:
    course = await on_offer(training, on=20)
    held, sent = await seat(training, course), await seat(training, course)
    await nominated(training, sent)
    training.pass_time(timedelta(hours=73))
    await training.sweep()
    assert [await state_of(training, each) for each in (held, sent)] == ["released", "nominated"]
    training.pass_time(timedelta(days=30))
    await training.sweep()
    assert await state_of(training, sent) == "nominated", "who came is written down days later, too"
    assert (await came(training, sent))["status"] == "enrolled"


async def test_in_a_course_the_database_lets_no_nomination_run_for_ever(training: Running) -> None:
    asked = await seat(training, await offered(training))
    await step(placement(training), asked, "nominate", ENTITY)
    with pytest.raises(asyncpg.CheckViolationError, match="runs out"):
        await training.rows("UPDATE seat_request SET expires_at = NULL WHERE id = $1", UUID(asked["seat_request_id"]))


async def test_a_day_of_a_course_is_no_day_for_a_trial_and_the_other_way_round(training: Running) -> None:
    case_id = await known_case(training)
    await seat(training, await offered(training, starts_on=day(5), ends_on=day(40)), case_id=case_id)
    refused = await ask(training, await on_offer(training, on=40), case_id=case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "overlapping_seat")
    await seat(training, await on_offer(training, on=41), case_id=case_id)
    course = await offered(training, starts_on=day(41), ends_on=day(60))
    refused = await ask(training, course, case_id=case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "overlapping_seat")


async def test_the_most_open_applications_are_of_courses_alone(training: Running) -> None:
    case_id = await known_case(training)
    setting: dict[str, Any] = {"prefecture": "46", "max_open_applications": 1, "in_force_from": "2026-01-01"}
    answer = await planner(training).post("/v1/region-settings", setting | {"decided_by": "協議会"})
    assert answer.status_code == 201
    await seat(training, await on_offer(training, on=10), case_id=case_id)
    await seat(training, await offered(training), case_id=case_id)
    await seat(training, await on_offer(training, on=20), case_id=case_id)
    refused = await ask(training, await offered(training, starts_on=day(400), ends_on=day(410)), case_id=case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_applications")


# --- a host calls off -----------------------------------------------------------------------------------------------


async def called_off(training: Running, course: UUID) -> dict[str, Any]:
    body: dict[str, Any] = {"reason": "operator", "cancel": True}
    trial = (await keeper(training).post(f"/v1/course-runs/{course}/change-trials", body)).json()
    answer = await keeper(training).post(f"/v1/course-runs/{course}/changes", body | {"sign": trial["sign"]})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = trial
    return found


async def test_when_a_host_calls_off_the_same_step_is_offered_and_then_the_one_below(training: Running) -> None:
    case_id = await known_case(training)
    await completed(training, case_id, "visit", on=2)
    course = await on_offer(training, "half_day", on=10)
    asked = await seat(training, course, case_id=case_id)
    below = await on_offer(training, on=11)
    same = await on_offer(training, "half_day", on=14, host_workplace_id=ANOTHER_HOST)
    await on_offer(training, "half_day", on=12, site_municipality="462187")
    await on_offer(training, "week", on=13, days=3)
    await called_off(training, course)
    (record,) = await affected(training)
    assert [each["course_run_id"] for each in record["alternatives"]] == [str(same), str(below)]
    assert await state_of(training, asked) == "released"
    answer = await answered(training, record, "accept", course=str(same))
    assert answer.status_code == 200, answer.text
    rows = await training.rows("SELECT state FROM seat_request WHERE course_run_id = $1", same)
    assert [row["state"] for row in rows] == ["held"]
    entry = (await desk(training).get("/v1/catalogue", params={"system": "trial", "status": "cancelled"})).json()
    assert [each["seats"]["course_run_id"] for each in entry["items"]] == [str(course)]
    assert await broken_promises(training) == []


async def test_a_changed_day_stands_in_the_catalogue_too(training: Running) -> None:
    course = await on_offer(training, on=10)
    body: dict[str, Any] = {"reason": "operator", "starts_on": day(12).isoformat(), "ends_on": day(12).isoformat()}
    trial = (await keeper(training).post(f"/v1/course-runs/{course}/change-trials", body)).json()
    answer = await keeper(training).post(f"/v1/course-runs/{course}/changes", body | {"sign": trial["sign"]})
    assert answer.status_code == 201, answer.text
    (entry,) = (await desk(training).get("/v1/catalogue", params={"system": "trial"})).json()["items"]
    assert (entry["record"]["starts_on"], entry["differences"]) == (day(12).isoformat(), [])


# --- what it is -----------------------------------------------------------------------------------------------------


async def test_step_and_host_of_a_place_stay_what_they_are(training: Running) -> None:
    number = "46-t-000001"
    course = await on_offer(training, course_number=number)
    for changes in ({"step": "job"}, {"host_workplace_id": ANOTHER_HOST}):
        values = {"course_number": number} | changes
        assert await offer_again(training, a_place(**values)) == Denied("trial_stays", "field")
    assert await offer_again(training, an_offer(course_number=number)) == Denied("trial_stays", "field")
    with pytest.raises(asyncpg.CheckViolationError, match="stays what it is"):
        await training.rows("UPDATE course_run SET field = 'job' WHERE id = $1", course)
    told = [event for event in await training.told() if isinstance(event, CourseOffered)]
    assert [(event.system, event.field, event.host_workplace_id) for event in told] == [("trial", "visit", HOST)]


async def test_no_benefit_rests_on_the_days_of_a_trial_so_nobody_is_warned(training: Running) -> None:
    course = await on_offer(training, "week", on=3, days=5)
    asked = await seat(training, course, skips_steps_because="plan_decided")
    await nominated(training, asked)
    await came(training, asked)
    training.pass_time(timedelta(days=62))
    before = len(await training.told())
    body = {"month": day(3).strftime("%Y-%m"), "days_held": 5, "days_present": 1}
    answer = await step(keeper(training), asked, "attendance-certificates", body)
    assert answer.status_code == 201, answer.text
    assert (await training.told())[before:] == []


async def test_one_ledger_line_and_set_of_facts_serve_both(training: Running) -> None:
    """The same tables, and no table of trial places: a second ledger would be seen here."""
    tables = await training.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'training'"
        " AND table_name ~ 'trial|host|workplace'"
    )
    assert tables == []
    case_id = await known_case(training)
    trial, course = await on_offer(training, on=3), await offered(training)
    for run in (trial, course):
        asked = await seat(training, run, case_id=case_id)
        await step(desk(training), asked, "release", {"reason": "withdrawn"})
    kinds = {
        run: [row["kind"] for row in await training.rows("SELECT kind FROM seat_entry WHERE course_run_id = $1", run)]
        for run in (trial, course)
    }
    assert kinds[trial] == kinds[course] == ["open", "grant", "hold", "release"]
    assert (await placement(training).get(f"/v1/course-runs/{trial}/accounts")).status_code == 200
