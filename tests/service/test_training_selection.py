"""The school's results, the paper that follows, and in whose name bodies act: over HTTP, in a real database."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest

from shared.auth import Role
from shared.events import (
    CourseOffered,
    InstructionCancelled,
    InstructionIssued,
    SeatHeld,
    SeatReleased,
    TrainingSelected,
)
from shared.service.clock import JST, day_in_japan, wall_time
from tests.service.training_courses import (
    ENTITY,
    HELLO_WORK_ENTITY,
    an_offer,
    broken_promises,
    desk,
    hello_work,
    instructed,
    offer_again,
    offered,
    placement,
    planner,
    school,
    seat,
    state_of,
    step,
    told_since,
)
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running, World


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


def today(training: Running) -> date:
    return day_in_japan(wall_time() + training.desk.clock.offset)


async def nominated(training: Running, course: UUID, municipality: str = KAGOSHIMA) -> dict[str, Any]:
    asked = await seat(training, course, municipality=municipality)
    assert (await step(placement(training, municipality), asked, "nominate", ENTITY)).status_code == 200
    return asked


async def select(training: Running, asked: dict[str, Any], result: str, **more: Any) -> httpx2.Response:
    body = {"result": result, "result_on": today(training).isoformat()} | more
    return await step(school(training), asked, "select", body)


async def chosen(training: Running, asked: dict[str, Any], result: str, **more: Any) -> dict[str, Any]:
    answer = await select(training, asked, result, **more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def status_of(training: Running, asked: dict[str, Any]) -> str:
    answer = await desk(training).get(f"/v1/seat-requests/{asked['seat_request_id']}")
    status: str = answer.json()["status"]
    return status


def operator(training: Running) -> Caller:
    return training.as_("platform", Role.OPERATOR, municipalities=[])


async def registered_anew(training: Running, agency: str, **more: Any) -> dict[str, Any]:
    body = {
        "agency": agency,
        "basis": "free_placement_notification",
        "legal_entity": ENTITY["legal_entity"],
        "number": ENTITY["notification_number"],
        "valid_from": "2020-04-01",
    } | more
    answer = await operator(training).post("/v1/registrations", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


# --- selection ------------------------------------------------------------------------------------------------------


async def test_rejected_below_capacity_the_seat_goes_to_the_next_at_once(training: Running) -> None:
    course = await offered(training, capacity=2)
    first, second = await nominated(training, course), await nominated(training, course)
    waits = await seat(training, course)
    before = len(await training.told())
    shown = await chosen(training, first, "rejected", reason="prerequisites")
    assert (shown["state"], shown["status"], shown["released_reason"]) == ("released", "rejected", "rejected")
    assert (await state_of(training, waits), await state_of(training, second)) == ("held", "nominated")
    told = await told_since(training, before)
    assert [type(event) for event in told[:3]] == [TrainingSelected, SeatReleased, SeatHeld]
    assert "prerequisites" not in told[0].model_dump_json(), "why is between the school and the municipality"
    # And with nobody waiting at all: below capacity, and legal.
    await chosen(training, second, "rejected", reason="selection_points")
    assert await broken_promises(training) == []


async def test_the_first_reserve_moves_up_when_an_accepted_person_withdraws(training: Running) -> None:
    course = await offered(training, capacity=4)
    accepted, second, first, other = [await nominated(training, course) for _ in range(4)]
    waits = await seat(training, course)
    await chosen(training, accepted, "accepted")
    await chosen(training, second, "reserve", rank=2)
    await chosen(training, first, "reserve", rank=1)
    taken = await select(training, other, "reserve", rank=1)
    assert (taken.status_code, taken.json()["code"]) == (409, "rank_is_taken")
    before = len(await training.told())
    await step(desk(training), accepted, "release", {"reason": "person_declined"})
    statuses = [await status_of(training, each) for each in (accepted, first, second, waits)]
    assert statuses == ["released", "accepted", "reserve", "held"]
    moved = [event for event in await told_since(training, before) if isinstance(event, TrainingSelected)]
    assert [(str(event.seat_request_id), event.result, event.moved_up) for event in moved] == [
        (first["seat_request_id"], "accepted", True)
    ]
    assert await broken_promises(training) == []


async def test_who_was_not_accepted_leaves_no_place_for_a_reserve(training: Running) -> None:
    course = await offered(training, capacity=3)
    reserve, leaves = await nominated(training, course), await nominated(training, course)
    await chosen(training, reserve, "reserve", rank=1)
    await step(desk(training), leaves, "release", {"reason": "person_declined"})
    assert await status_of(training, reserve) == "reserve"


async def test_a_result_keeps_the_seat_beyond_the_deadline_for_applying(training: Running) -> None:
    closes = wall_time() + timedelta(days=5)
    course = await offered(
        training, capacity=2, applications_close_at=closes, starts_on=today(training) + timedelta(days=30)
    )
    waiting_for_result, forgotten = await nominated(training, course), await nominated(training, course)
    due = today(training) + timedelta(days=10)
    await chosen(training, waiting_for_result, "in_selection", result_on=due.isoformat())
    training.pass_time(timedelta(days=6))
    await training.sweep()
    assert [await state_of(training, each) for each in (waiting_for_result, forgotten)] == ["nominated", "released"]
    await chosen(training, waiting_for_result, "accepted")
    training.pass_time(timedelta(days=8))
    await training.sweep()
    assert await status_of(training, waiting_for_result) == "accepted"
    training.pass_time(timedelta(days=20))
    await training.sweep()
    assert await state_of(training, waiting_for_result) == "released", "the course has begun without an instruction"


async def ends_of(training: Running, *people: dict[str, Any]) -> list[date | None]:
    """The last day on which each one's seat is held."""
    rows = await training.rows("SELECT id, expires_at FROM seat_request")
    ends = {str(row["id"]): row["expires_at"] for row in rows}
    found = [ends[asked["seat_request_id"]] for asked in people]
    return [None if end is None else day_in_japan(end) for end in found]


async def test_a_start_that_moves_takes_the_seats_kept_for_a_result_along(training: Running) -> None:
    first = today(training)
    offer = an_offer(
        capacity=3, applications_close_at=wall_time() + timedelta(days=5), starts_on=first + timedelta(days=30)
    )
    course = await offered(training, offer)
    accepted, reserve, awaited = [await nominated(training, course) for _ in range(3)]
    await chosen(training, accepted, "accepted")
    await chosen(training, reserve, "reserve", rank=1)
    await chosen(training, awaited, "in_selection", result_on=(first + timedelta(days=10)).isoformat())
    for start, day in ((44, 10), (8, 8), (30, 10), (44, 10)):
        before = len(await training.told())
        starts_on = first + timedelta(days=start)
        await offer_again(training, replace(offer, starts_on=starts_on))
        assert await ends_of(training, accepted, reserve, awaited) == [
            starts_on, starts_on, first + timedelta(days=day),
        ]  # fmt: skip
        told = [event for event in await told_since(training, before) if isinstance(event, SeatHeld)]
        assert {str(event.seat_request_id): day_in_japan(event.expires_at) for event in told}.items() >= {
            accepted["seat_request_id"]: starts_on, reserve["seat_request_id"]: starts_on,
        }.items()  # fmt: skip
    training.pass_time(timedelta(days=31))
    await training.sweep()
    statuses = [await status_of(training, each) for each in (accepted, reserve, awaited)]
    assert statuses == ["accepted", "reserve", "released"]
    before = len(await training.told())
    await offer_again(training, replace(offer, starts_on=first + timedelta(days=44), title="別の名"))
    assert [type(event) for event in await told_since(training, before)] == [CourseOffered], "nothing else moved"


async def test_after_the_first_day_nobody_moves_up(training: Running) -> None:
    course = await offered(training, capacity=3, starts_on=today(training) + timedelta(days=10))
    people = [await nominated(training, course) for _ in range(3)]
    await chosen(training, people[0], "accepted")
    for rank in (1, 2):
        await chosen(training, people[rank], "reserve", rank=rank)
    training.pass_time(timedelta(days=11))
    before = len(await training.told())
    await training.sweep()
    assert [await status_of(training, each) for each in people] == ["released"] * 3
    told = await told_since(training, before)
    assert [event for event in told if isinstance(event, TrainingSelected)] == []


async def test_the_first_reserve_moves_up_when_the_school_corrects_an_acceptance(training: Running) -> None:
    course = await offered(training, capacity=3)
    accepted, second, first = [await nominated(training, course) for _ in range(3)]
    await chosen(training, accepted, "accepted")
    await chosen(training, second, "reserve", rank=2)
    await chosen(training, first, "reserve", rank=1)
    await chosen(training, accepted, "rejected", reason="prerequisites")
    statuses = [await status_of(training, each) for each in (accepted, first, second)]
    assert statuses == ["rejected", "accepted", "reserve"]
    assert await broken_promises(training) == []


async def test_a_school_that_selects_selects_among_all(training: Running) -> None:
    course = await offered(training, capacity=3)
    accepted, reserve, unheard = [await nominated(training, course) for _ in range(3)]
    await chosen(training, accepted, "accepted")
    await chosen(training, reserve, "reserve", rank=1)
    for asked in (accepted, reserve, unheard):
        assert (await step(hello_work(training), asked, "countersign")).status_code == 200
    body = {"legal_entity": HELLO_WORK_ENTITY}
    for asked in (reserve, unheard):
        refused = await step(hello_work(training), asked, "instruct", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "not_accepted")
    assert (await step(hello_work(training), accepted, "instruct", body)).status_code == 200
    late = await select(training, accepted, "rejected", reason="other")
    assert (late.status_code, late.json()["code"]) == (409, "not_under_selection")


async def test_results_are_the_courses_own_schools_business(training: Running) -> None:
    asked = await nominated(training, await offered(training))
    body = {"result": "accepted", "result_on": today(training).isoformat()}
    assert (await step(school(training, "another-school"), asked, "select", body)).status_code == 404
    record = f"/v1/seat-requests/{asked['seat_request_id']}/record"
    assert (await school(training, "another-school").get(record)).status_code == 404
    assert (await desk(training, KIRISHIMA).get(record)).status_code == 404
    assert (await desk(training).get(record)).status_code == 200
    for wrong in (
        {"result": "maybe"},
        {"result": "reserve"},
        {"result": "accepted", "rank": 1},
        {"result": "rejected"},
    ):
        assert (await step(school(training), asked, "select", body | wrong)).status_code == 422
    assert await training.rows("SELECT FROM selection") == []


# --- three papers ---------------------------------------------------------------------------------------------------


async def test_a_support_instruction_has_its_own_effect_and_can_be_cancelled(training: Running) -> None:
    asked = await nominated(training, await offered(training))
    await step(hello_work(training), asked, "countersign")
    body = {"legal_entity": HELLO_WORK_ENTITY, "kind": "support_instruction", "document_number": "鹿安第12号"}
    assert (await step(hello_work(training), asked, "instruct", body)).status_code == 200
    issued = (await training.told())[-1]
    assert isinstance(issued, InstructionIssued)
    assert issued.kind == "support_instruction"
    record = (await desk(training).get(f"/v1/seat-requests/{asked['seat_request_id']}/record")).json()
    paper = record["instruction"]
    assert (paper["legal_basis"], paper["benefit"]) == ("job_seeker_support_act_12", "training_allowance")
    assert (paper["document_number"], paper["legal_entity"]) == ("鹿安第12号", HELLO_WORK_ENTITY)
    cancelled = await step(hello_work(training), asked, "cancel-instruction", {"reason": "found_work"})
    assert cancelled.json()["instruction"]["cancelled_because"] == "found_work"
    assert isinstance((await training.told())[-1], InstructionCancelled)
    again = await step(hello_work(training), asked, "cancel-instruction", {"reason": "other"})
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_cancel")
    assert (await step(school(training), asked, "enrol")).json()["code"] == "illegal_move", "no paper stands"


async def test_an_instruction_of_the_other_kind_is_not_cancelled_also_by_the_database(training: Running) -> None:
    asked = await seat(training, await offered(training))
    await instructed(training, asked)
    refused = await step(hello_work(training), asked, "cancel-instruction", {"reason": "other"})
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_cancel")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await training.rows(
            "INSERT INTO instruction_cancellation (instruction_id, reason, agency, legal_entity, registration_id, at)"
            " SELECT id, 'other', agency, legal_entity, registration_id, now() FROM instruction"
        )


async def test_where_the_instruction_is_delegated_the_other_papers_stay_with_hello_work(training: Running) -> None:
    await decide(training, "delegated")
    asked = await nominated(training, await offered(training))
    body = ENTITY | {"kind": "support_instruction"}
    assert (await step(placement(training), asked, "instruct", body)).status_code == 403
    body = {"legal_entity": HELLO_WORK_ENTITY, "kind": "support_instruction"}
    assert (await step(hello_work(training), asked, "instruct", body)).status_code == 200


async def decide(training: Running, mode: str) -> None:
    body = {"prefecture": "46", "mode": mode, "in_force_from": today(training).isoformat(), "decided_by": "協議会"}
    assert (await planner(training).post("/v1/authorities", body)).status_code == 201


async def test_a_mode_changes_there_and_back_with_cases_under_way(training: Running) -> None:
    course = await offered(training)
    signed, before, issued = [await nominated(training, course) for _ in range(3)]
    assert (await step(hello_work(training), signed, "countersign")).status_code == 200
    await decide(training, "delegated")
    refused = await step(hello_work(training), signed, "instruct", {"legal_entity": HELLO_WORK_ENTITY})
    assert refused.status_code == 403
    assert (await step(placement(training), signed, "instruct", ENTITY)).status_code == 200, "what was signed stays"
    assert (await step(placement(training), issued, "instruct", ENTITY)).status_code == 200
    meanwhile = await nominated(training, course)
    await decide(training, "current_law")
    assert (await step(school(training), issued, "enrol")).status_code == 200, "what was issued stays"
    for asked in (before, meanwhile):
        assert (await step(placement(training), asked, "instruct", ENTITY)).status_code == 403
        early = await step(hello_work(training), asked, "instruct", {"legal_entity": HELLO_WORK_ENTITY})
        assert (early.status_code, early.json()["code"]) == (409, "illegal_move")
        assert (await step(hello_work(training), asked, "countersign")).status_code == 200
        done = await step(hello_work(training), asked, "instruct", {"legal_entity": HELLO_WORK_ENTITY})
        assert done.status_code == 200
    modes = await training.rows("SELECT authority FROM instruction ORDER BY at")
    assert [row["authority"] for row in modes] == ["delegated", "delegated", "current_law", "current_law"]


async def test_a_change_of_mode_that_is_to_come_is_seen_and_takes_the_cases_under_way_at_midnight(
    training: Running,
) -> None:
    council, course = planner(training), await offered(training)
    on = today(training) + timedelta(days=1)
    delegated = {"prefecture": "46", "mode": "delegated", "in_force_from": on.isoformat(), "decided_by": "協議会"}
    assert (await council.post("/v1/authorities", delegated)).json()["mode"] == "current_law"
    slip = delegated | {"in_force_from": (on + timedelta(days=1)).isoformat()}
    for mode in ("delegated", "current_law"):
        await council.post("/v1/authorities", slip | {"mode": mode})
    far = await council.post("/v1/authorities", delegated | {"in_force_from": "9999-12-31"})
    assert far.status_code == 422, "a slip of the pen"
    assert await _modes(training) == [("delegated", "to_come"), ("delegated", "replaced"), ("current_law", "to_come")]
    asked = await nominated(training, course)
    midnight = datetime.combine(on, time(), JST)
    training.pass_time(midnight - timedelta(minutes=1) - wall_time() - training.desk.clock.offset)
    assert (await step(placement(training), asked, "instruct", ENTITY)).status_code == 403
    training.pass_time(timedelta(minutes=1))
    assert (await step(placement(training), asked, "instruct", ENTITY)).status_code == 200
    assert [state for _, state in await _modes(training)] == ["in_force", "replaced", "to_come"]
    training.pass_time(timedelta(days=1))
    assert [state for _, state in await _modes(training)] == ["past", "replaced", "in_force"]


async def _modes(training: Running) -> list[tuple[str, str]]:
    found = await hello_work(training).whole("/v1/authorities", prefecture="46", limit=1)
    assert {each["decided_by"] for each in found} == {"協議会"}
    return [(each["mode"], each["state"]) for each in found]


# --- in whose name --------------------------------------------------------------------------------------------------


async def test_nobody_acts_without_a_registration_of_that_day_or_in_anothers_name(training: Running) -> None:
    asked = await seat(training, await offered(training))
    stranger = training.as_("new-placement", Role.PLACEMENT, municipalities=[KAGOSHIMA])
    refused = await step(stranger, asked, "nominate", ENTITY)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_registered"), "its number is another agency's"
    first = today(training) + timedelta(days=2)
    made = await registered_anew(training, "new-placement", number="46-特-000002", valid_from=first.isoformat())
    assert made["in_force"] is False
    body = ENTITY | {"notification_number": "46-特-000002"}
    assert (await step(stranger, asked, "nominate", body)).json()["code"] == "not_registered"
    training.pass_time(timedelta(days=2))
    lent = await step(stranger, asked, "nominate", ENTITY)
    assert (lent.status_code, lent.json()["code"]) == (403, "anothers_name")
    assert {"title_ja", "detail", "detail_ja"} <= lent.json().keys()
    assert await state_of(training, asked) == "held"
    assert (await step(stranger, asked, "nominate", body)).status_code == 200
    row = (await training.rows("SELECT * FROM nomination"))[0]
    assert (row["agency"], row["notification_number"], str(row["registration_id"])) == (
        "new-placement",
        "46-特-000002",
        made["registration_id"],
    )


async def test_a_registration_ends_by_another_and_what_was_done_under_it_stays(training: Running) -> None:
    course = await offered(training)
    made = await registered_anew(training, "new-placement")
    stranger = training.as_("new-placement", Role.PLACEMENT, municipalities=[KAGOSHIMA])
    done, later = await seat(training, course), await seat(training, course)
    assert (await step(stranger, done, "nominate", ENTITY)).status_code == 200
    yesterday = (today(training) - timedelta(days=1)).isoformat()
    await registered_anew(training, "new-placement", valid_until=yesterday, supersedes=made["registration_id"])
    assert (await step(stranger, later, "nominate", ENTITY)).json()["code"] == "not_registered"
    assert (await step(hello_work(training), done, "countersign")).status_code == 200
    listed = (await desk(training).get("/v1/registrations", params={"agency": "new-placement"})).json()["items"]
    assert [each["in_force"] for each in listed] == [False, False]


async def test_registrations_are_refused_where_they_contradict(training: Running) -> None:
    made = await registered_anew(training, "new-placement")
    body = {
        "agency": "other-placement",
        "basis": "free_placement_notification",
        "legal_entity": ENTITY["legal_entity"],
        "number": "1",
        "valid_from": "2026-04-01",
    }
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"supersedes": made["registration_id"]}, 409),
        ({"supersedes": str(uuid4())}, 409),
        ({"valid_until": "2026-03-31"}, 422),
        ({"number": None}, 422),
        ({"legal_entity": "8000020130002"}, 422),
    ]
    for change, status in wrong:
        answer = await operator(training).post("/v1/registrations", body | change)
        assert answer.status_code == status, answer.text
    assert (await planner(training).post("/v1/registrations", body)).status_code == 403
    assert len(await training.rows("SELECT FROM registration WHERE agency = 'other-placement'")) == 0


async def test_the_database_holds_a_registration_to_its_agency(training: Running) -> None:
    asked = await seat(training, await offered(training))
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await training.rows(
            "INSERT INTO nomination (seat_request_id, agency, legal_entity, notification_number, registration_id,"
            " authority, at) SELECT $1, 'somebody-else', legal_entity, number, id, 'current_law', now()"
            " FROM registration LIMIT 1",
            UUID(asked["seat_request_id"]),
        )
