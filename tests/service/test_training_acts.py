"""In whose name every act after a seat is done (法人番号・届出番号): over HTTP, and by inserts around the code."""

import json
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.training.domain.instruction import RESTS_ON, Act
from shared.auth import Role
from shared.service.clock import day_in_japan, wall_time
from tests.service.training_courses import (
    ENTITY,
    HELLO_WORK_ENTITY,
    SCHOOL,
    SCHOOL_ENTITY,
    SCHOOL_NUMBER,
    desk,
    hello_work,
    instructed,
    offered,
    placement,
    planner,
    school,
    seat,
    step,
)
from tests.world import KAGOSHIMA, Caller, Running, World

STARTS, ENDS = date(2027, 4, 1), date(2027, 9, 30)
NAME = "legal_entity, notification_number, registration_id"


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


def today(training: Running) -> date:
    return day_in_japan(wall_time() + training.desk.clock.offset)


def travel(training: Running, to: date) -> None:
    training.pass_time(to - today(training))


async def enrolled(training: Running, **more: Any) -> dict[str, Any]:
    asked = await seat(training, await offered(training, starts_on=STARTS, ends_on=ENDS, **more))
    await instructed(training, asked)
    assert (await step(school(training), asked, "enrol")).status_code == 200
    return asked


async def all_of_a_schools_acts(training: Running, caller: Caller, **name: Any) -> dict[str, tuple[int, str]]:
    """Each act of a school, once, and what it was answered; those before it are done in its own school's name."""
    own = school(training)
    course = await offered(training, starts_on=STARTS, ends_on=ENDS)
    asked = await seat(training, course)
    await step(placement(training), asked, "nominate", ENTITY)
    answers: dict[str, tuple[int, str]] = {}

    async def act(move: str, body: dict[str, Any]) -> None:
        answer = await step(caller, asked, move, body | name)
        answers[move] = (answer.status_code, answer.json().get("code", ""))
        if answer.status_code >= 300:
            done = await step(own, asked, move, body)
            assert done.status_code < 300, done.text

    await act("select", {"result": "accepted", "result_on": today(training).isoformat()})
    await step(hello_work(training), asked, "countersign")
    await step(hello_work(training), asked, "instruct", {"legal_entity": HELLO_WORK_ENTITY})
    await act("enrol", {})
    travel(training, date(2027, 5, 10))
    await act("attendance-certificates", {"month": "2027-04", "days_held": 20, "days_present": 20})
    travel(training, ENDS)
    await act("end-training", {"ending": "completed", "ended_on": ENDS.isoformat()})
    await act("employment-outcomes", {"checkpoint": "at_end", "outcome": "seeking"})
    return answers


TABLES = {
    "select": "selection",
    "enrol": "enrolment",
    "attendance-certificates": "attendance_certificate",
    "end-training": "training_end",
    "employment-outcomes": "employment_outcome",
}


async def test_every_act_of_a_school_stands_in_its_registered_name(training: Running) -> None:
    answers = await all_of_a_schools_acts(training, school(training))
    assert {status for status, _ in answers.values()} <= {200, 201}
    (made,) = await training.rows("SELECT id FROM registration WHERE agency = $1", SCHOOL)
    for table in TABLES.values():
        (row,) = await training.rows(f"SELECT agency, {NAME} FROM {table}")
        assert tuple(row) == (SCHOOL, SCHOOL_ENTITY, SCHOOL_NUMBER, made["id"]), table


async def test_the_record_shows_in_whose_name_each_fact_was_said(training: Running) -> None:
    await all_of_a_schools_acts(training, school(training))
    (row,) = await training.rows("SELECT id FROM seat_request")
    shown = (await desk(training).get(f"/v1/seat-requests/{row['id']}/record")).json()
    facts = [*shown["results"], *shown["attendance"]["months"], *shown["ends"], *shown["outcomes"]]
    assert {(each["legal_entity"], each["notification_number"]) for each in facts} == {(SCHOOL_ENTITY, SCHOOL_NUMBER)}
    request = (await desk(training).get(f"/v1/seat-requests/{row['id']}")).json()
    entered = next(each for each in request["facts"] if each["step"] == "enrolled")
    assert (entered["legal_entity"], entered["notification_number"]) == (SCHOOL_ENTITY, SCHOOL_NUMBER)


async def test_a_school_lends_no_name_and_borrows_none(training: Running) -> None:
    another = await all_of_a_schools_acts(training, school(training), legal_entity=ENTITY["legal_entity"])
    assert another == dict.fromkeys(TABLES, (403, "anothers_name"))
    for table in TABLES.values():
        assert len(await training.rows(f"SELECT FROM {table}")) == 1, "nothing stands of what was refused"


async def test_a_school_that_is_not_registered_that_day_does_nothing(training: Running) -> None:
    course = await offered(training, provider_agency="new-school", starts_on=STARTS, ends_on=ENDS)
    new = school(training, "new-school")
    asked = await seat(training, course)
    await instructed(training, asked)
    refused = await step(new, asked, "enrol")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_registered")
    operator = training.as_("platform", Role.OPERATOR, municipalities=[])
    body = {
        "agency": "new-school",
        "basis": "training_school",
        "legal_entity": SCHOOL_ENTITY,
        "valid_from": (today(training) + timedelta(days=1)).isoformat(),
    }
    assert (await operator.post("/v1/registrations", body)).status_code == 201, "a school's number may be left out"
    assert (await step(new, asked, "enrol")).json()["code"] == "not_registered"
    training.pass_time(timedelta(days=1))
    assert (await step(new, asked, "enrol")).status_code == 200
    assert (await step(new, asked, "enrol")).json()["code"] == "illegal_move"


async def test_a_desk_says_what_became_of_somebody_in_its_own_bodys_name(training: Running) -> None:
    asked = await enrolled(training)
    travel(training, ENDS)
    await step(school(training), asked, "end-training", {"ending": "completed", "ended_on": ENDS.isoformat()})
    body = {"checkpoint": "at_end", "outcome": "employed"}
    nobody = training.as_("another-desk", Role.COUNSELLOR, municipalities=[KAGOSHIMA])
    refused = await step(nobody, asked, "employment-outcomes", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_registered")
    assert (await step(desk(training), asked, "employment-outcomes", body)).status_code == 201
    (row,) = await training.rows("SELECT agency, legal_entity FROM employment_outcome")
    assert tuple(row) == (f"desk-{KAGOSHIMA}", ENTITY["legal_entity"])


async def test_who_moves_up_does_so_on_the_word_that_ranked_them(training: Running) -> None:
    course = await offered(training, capacity=2)
    people = [await seat(training, course) for _ in range(2)]
    for asked in people:
        await step(placement(training), asked, "nominate", ENTITY)
    result = {"result": "accepted", "result_on": today(training).isoformat()}
    await step(school(training), people[0], "select", result)
    await step(school(training), people[1], "select", result | {"result": "reserve", "rank": 1})
    # The school's registration is over by now: its ranks were given while it was in force.
    await training.rows(
        "INSERT INTO registration (id, agency, basis, legal_entity, number, valid_from, valid_until, supersedes,"
        " recorded_by, recorded_at) SELECT gen_random_uuid(), agency, basis, legal_entity, number, valid_from,"
        " valid_from, id, 'operator', now() FROM registration WHERE agency = $1",
        SCHOOL,
    )
    released = await step(desk(training), people[0], "release", {"reason": "person_declined"})
    assert released.status_code == 200, released.text
    rows = await training.rows(
        f"SELECT result, moved_up, agency, {NAME} FROM selection WHERE seat_request_id = $1 ORDER BY number",
        UUID(people[1]["seat_request_id"]),
    )
    assert [(row["result"], row["moved_up"]) for row in rows] == [("reserve", False), ("accepted", True)]
    assert len({(row["agency"], row["legal_entity"], row["registration_id"]) for row in rows}) == 1


# --- around the code --------------------------------------------------------------------------------------------------


async def test_the_database_and_the_domain_agree_which_basis_covers_which_act(training: Running) -> None:
    for act in Act:
        (row,) = await training.rows("SELECT act_rests_on($1) AS bases", act.value)
        assert set(row["bases"]) == {basis.value for basis in RESTS_ON[act]}, act
    (row,) = await training.rows("SELECT act_rests_on('nothing') AS bases")
    assert row["bases"] is None


INSERTS = {
    "nomination": (
        "INSERT INTO nomination (seat_request_id, agency, legal_entity, notification_number, registration_id,"
        " authority, at) VALUES ($1, $2, $3, $4, $5, 'current_law', now())"
    ),
    "countersignature": (
        "INSERT INTO countersignature (seat_request_id, agency, legal_entity, notification_number, registration_id,"
        " authority, at) VALUES ($1, $2, $3, $4, $5, 'current_law', now())"
    ),
    "instruction": (
        "INSERT INTO instruction (id, seat_request_id, agency, legal_entity, notification_number, registration_id,"
        " authority, at) VALUES (gen_random_uuid(), $1, $2, $3, $4, $5, 'current_law', now())"
    ),
    "delegated": (
        "INSERT INTO instruction (id, seat_request_id, agency, legal_entity, notification_number, registration_id,"
        " authority, at) VALUES (gen_random_uuid(), $1, $2, $3, $4, $5, 'delegated', now())"
    ),
    "cancellation": (
        "INSERT INTO instruction_cancellation (reason, agency, legal_entity, notification_number, registration_id, at,"
        " instruction_id) SELECT 'other', $2, $3, $4, $5, now(), id FROM instruction WHERE seat_request_id = $1"
    ),
    "selection": (
        "INSERT INTO selection (id, seat_request_id, number, result, result_on, agency, legal_entity,"
        " notification_number, registration_id, at)"
        " VALUES (gen_random_uuid(), $1, 1, 'accepted', now(), $2, $3, $4, $5, now())"
    ),
    "enrolment": (
        "INSERT INTO enrolment (seat_request_id, agency, legal_entity, notification_number, registration_id,"
        " authority, at) VALUES ($1, $2, $3, $4, $5, 'current_law', now())"
    ),
    "attendance_certificate": (
        "INSERT INTO attendance_certificate (id, seat_request_id, month, number, days_held, days_present,"
        " days_excused, agency, legal_entity, notification_number, registration_id, at)"
        " VALUES (gen_random_uuid(), $1, '2027-04-01', 1, 20, 20, 0, $2, $3, $4, $5, now())"
    ),
    "training_end": (
        "INSERT INTO training_end (id, seat_request_id, number, ending, ended_on, agency, legal_entity,"
        " notification_number, registration_id, at)"
        " VALUES (gen_random_uuid(), $1, 1, 'completed', '2027-09-30', $2, $3, $4, $5, now())"
    ),
    "employment_outcome": (
        "INSERT INTO employment_outcome (id, seat_request_id, checkpoint, number, outcome, agency, legal_entity,"
        " notification_number, registration_id, at)"
        " VALUES (gen_random_uuid(), $1, 'at_end', 1, 'seeking', $2, $3, $4, $5, now())"
    ),
}
COVERED = {
    "nomination": ("free_placement_notification", "placement_permission"),
    "countersignature": ("public_employment_office",),
    "instruction": ("public_employment_office",),
    "delegated": ("free_placement_notification",),
    "cancellation": ("public_employment_office",),
    "selection": ("training_school",),
    "enrolment": ("training_school",),
    "attendance_certificate": ("training_school",),
    "training_end": ("training_school",),
    "employment_outcome": (
        *("free_placement_notification", "placement_permission", "public_employment_office", "training_school"),
        "support_desk",
    ),
}
EVERY = COVERED["employment_outcome"]


async def a_registration(training: Running, agency: str, basis: str, begins: int, ends: int | None) -> UUID:
    made = uuid4()
    await training.rows(
        "INSERT INTO registration (id, agency, basis, legal_entity, number, valid_from, valid_until, recorded_by,"
        " recorded_at) VALUES ($1, $2, $3, $4, 'N-1', $5, $6, 'operator', now())",
        made,
        agency,
        basis,
        SCHOOL_ENTITY,
        today(training) + timedelta(days=begins),
        None if ends is None else today(training) + timedelta(days=ends),
    )
    return made


async def ready(training: Running, table: str) -> UUID:
    """A request for which a row of this table is the next thing that may be written."""
    asked = await seat(training, await offered(training, starts_on=STARTS, ends_on=ENDS))
    request = UUID(asked["seat_request_id"])
    office = {"legal_entity": HELLO_WORK_ENTITY}
    if table == "delegated":
        await decided(training, "delegated")
    if table == "cancellation":
        await step(placement(training), asked, "nominate", ENTITY)
        await step(hello_work(training), asked, "countersign")
        await step(hello_work(training), asked, "instruct", office | {"kind": "support_instruction"})
    if table in {"attendance_certificate", "training_end", "employment_outcome"}:
        await instructed(training, asked)
        assert (await step(school(training), asked, "enrol")).status_code == 200
    return request


async def decided(training: Running, mode: str, *, days: int = 0) -> None:
    """Who may instruct in the prefecture, from so many days from today."""
    body = {"prefecture": "46", "mode": mode, "in_force_from": (today(training) + timedelta(days=days)).isoformat()}
    answer = await planner(training).post("/v1/authorities", body | {"decided_by": "協議会"})
    assert answer.status_code == 201, answer.text


async def test_the_database_lets_nobody_instruct_in_a_mode_that_is_not_in_force(training: Running) -> None:
    request = await ready(training, "nomination")

    async def refused(fact: str, agency: str) -> None:
        with pytest.raises(asyncpg.CheckViolationError, match="another mode"):
            await training.rows(INSERTS[fact], request, agency, None, None, None)

    placed, office = f"placement-{KAGOSHIMA}", "hello-work-kagoshima"
    await refused("delegated", placed)
    await decided(training, "delegated", days=1)
    await refused("delegated", placed)
    await decided(training, "delegated")
    for fact, agency in (("nomination", placed), ("countersignature", office), ("instruction", office)):
        await refused(fact, agency)
    await refused("enrolment", SCHOOL)
    await training.rows(INSERTS["delegated"], request, placed, None, None, None)


@pytest.mark.parametrize("table", INSERTS)
async def test_the_database_refuses_an_act_without_a_name_that_covers_it(training: Running, table: str) -> None:
    request = await ready(training, table)
    insert = INSERTS[table]

    async def refused(agency: str, entity: str | None, number: str | None, registration: UUID | None) -> None:
        with pytest.raises(asyncpg.CheckViolationError):
            await training.rows(insert, request, agency, entity, number, registration)

    for place, basis in enumerate(EVERY):
        made = await a_registration(training, f"agency-{place}", basis, 0, 0)
        if basis not in COVERED[table]:
            await refused(f"agency-{place}", SCHOOL_ENTITY, "N-1", made)
            await refused(f"agency-{place}", SCHOOL_ENTITY, "N-1", None)
    good = COVERED[table][0]
    await refused("nobody", SCHOOL_ENTITY, "N-1", None)
    to_come = await a_registration(training, "early", good, 1, None)
    await refused("early", SCHOOL_ENTITY, "N-1", to_come)
    over = await a_registration(training, "late", good, -9, -1)
    await refused("late", SCHOOL_ENTITY, "N-1", over)
    ended = await a_registration(training, "ended", good, -9, None)
    await training.rows(
        "INSERT INTO registration (id, agency, basis, legal_entity, number, valid_from, valid_until, supersedes,"
        " recorded_by, recorded_at) SELECT gen_random_uuid(), agency, basis, legal_entity, number, valid_from,"
        " valid_from, id, 'operator', now() FROM registration WHERE id = $1",
        ended,
    )
    await refused("ended", SCHOOL_ENTITY, "N-1", ended)
    own = await a_registration(training, "own", good, 0, 0)
    await refused("own", ENTITY["legal_entity"], "N-1", own)
    await refused("own", SCHOOL_ENTITY, "N-2", own)
    await refused("somebody", SCHOOL_ENTITY, "N-1", own)
    await training.rows(insert, request, "own", SCHOOL_ENTITY, "N-1", own)


async def test_rows_of_the_last_releases_code_are_completed_where_a_name_covers_them(training: Running) -> None:
    """It names no registration; who has one acts in it, and who has none is refused."""
    asked = await seat(training, await offered(training))
    await training.rows(
        "INSERT INTO nomination (seat_request_id, agency, legal_entity, notification_number, authority, at)"
        " VALUES ($1, $2, $3, $4, 'current_law', now())",
        UUID(asked["seat_request_id"]),
        f"placement-{KAGOSHIMA}",
        ENTITY["legal_entity"],
        ENTITY["notification_number"],
    )
    (row,) = await training.rows(
        "SELECT r.agency FROM nomination n JOIN registration r ON r.id = n.registration_id"
        " AND r.legal_entity = n.legal_entity AND r.number = n.notification_number"
    )
    assert row["agency"] == f"placement-{KAGOSHIMA}"


async def test_a_registration_for_a_school_or_a_desk_needs_no_number_and_others_do(training: Running) -> None:
    operator = training.as_("platform", Role.OPERATOR, municipalities=[])
    body = {"agency": "new-agency", "legal_entity": SCHOOL_ENTITY, "valid_from": "2026-04-01"}
    answers = [(await operator.post("/v1/registrations", body | {"basis": basis})).status_code for basis in EVERY]
    assert answers == [422, 422, 201, 201, 201]
    shown = (await operator.get("/v1/registrations", params={"agency": "new-agency"})).json()["items"]
    assert json.dumps([each["basis"] for each in shown]) == json.dumps(list(EVERY[2:]))
