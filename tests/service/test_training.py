"""Training over HTTP and by events: what is answered, what is kept, what is told."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.auth import Role
from shared.bus.envelope import new_id, open_envelope
from shared.events import (
    CaseErased,
    ConsentWithdrawn,
    Enrolled,
    InstructionIssued,
    NominationCountersigned,
    PoolChanged,
    ReferralWithdrawn,
    SeatHeld,
    SeatRefused,
    SeatReleased,
    SeatWaitlisted,
    TrainingNominated,
)
from shared.service.clock import wall_time
from tests.service.training_courses import (
    ENTITY,
    LATER,
    SCHOOL,
    ask,
    broken_promises,
    desk,
    hello_work,
    instructed,
    known_case,
    moment,
    offered,
    placement,
    planner,
    referred,
    school,
    seat,
    state_of,
    step,
    told_since,
)
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Running, World


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


# --- asking for a seat ----------------------------------------------------------------------------------------------


async def test_a_held_seat_is_answered_kept_and_told(training: Running) -> None:
    course = await offered(training, capacity=3, delegated={KAGOSHIMA: 1})
    before = len(await training.told())
    case_id = await known_case(training)
    answer = await ask(training, course, case_id=case_id)
    body = answer.json()
    assert answer.status_code == 201, answer.text
    assert (body["outcome"], body["state"], body["pool_kind"], body["position"]) == ("held", "held", "delegated", None)
    assert answer.headers["location"] == f"../../seat-requests/{body['seat_request_id']}"

    row = (await training.rows("SELECT * FROM seat_request"))[0]
    assert (row["case_id"], row["state"], row["requested_by"]) == (case_id, "held", f"desk-{KAGOSHIMA}")
    entry = (await training.rows("SELECT * FROM seat_entry WHERE kind = 'hold'"))[0]
    assert (entry["seat_request_id"], entry["by"]) == (row["id"], f"desk-{KAGOSHIMA}")

    held, changed = await told_since(training, before)
    assert isinstance(held, SeatHeld)
    assert (held.case_id, held.seat_request_id, held.pool_kind) == (case_id, row["id"], "delegated")
    assert held.expires_at == moment(body["expires_at"]) == row["expires_at"]
    assert isinstance(changed, PoolChanged)
    assert (changed.municipality, changed.granted, changed.held, changed.waiting) == (KAGOSHIMA, 1, 1, 0)
    assert await broken_promises(training) == []


async def test_who_finds_no_seat_stands_in_line(training: Running) -> None:
    course = await offered(training, capacity=1)
    await seat(training, course)
    first, second = await seat(training, course), await seat(training, course)
    assert (first["outcome"], first["position"], second["position"]) == ("waiting", 1, 2)
    waitlisted, changed = (await training.told())[-2:]
    assert isinstance(waitlisted, SeatWaitlisted)
    assert waitlisted.position == 2
    assert isinstance(changed, PoolChanged)
    assert (changed.held, changed.waiting) == (1, 2)


async def test_every_pool_event_is_the_pool_as_the_table_then_had_it(training: Running) -> None:
    course = await offered(training, capacity=1, delegated={KAGOSHIMA: 1})
    for _ in range(3):
        await seat(training, course)
    told = [event for event in await training.told() if isinstance(event, PoolChanged) and event.kind == "delegated"]
    row = (await training.rows("SELECT * FROM pool WHERE kind = 'delegated'"))[0]
    last = told[-1]
    assert (last.granted, last.held, last.filled, last.waiting) == (row["granted"], row["held"], row["filled"], 2)
    assert row["version"] == len(told)


async def test_a_case_asks_once_per_course(training: Running) -> None:
    course, case_id = await offered(training), await known_case(training)
    await seat(training, course, case_id=case_id)
    again = await ask(training, course, case_id=case_id)
    assert (again.status_code, again.json()["code"]) == (409, "already_requested")
    assert (await ask(training, await offered(training, **LATER), case_id=case_id)).status_code == 201


async def test_after_giving_a_seat_back_a_case_may_ask_again(training: Running) -> None:
    course, case_id = await offered(training), await known_case(training)
    asked = await seat(training, course, case_id=case_id)
    await step(desk(training), asked, "release", {"reason": "withdrawn"})
    assert (await ask(training, course, case_id=case_id)).status_code == 201


async def test_applications_close_at_the_deadline(training: Running) -> None:
    course = await offered(training)
    training.pass_time(timedelta(days=31))
    answer = await ask(training, course)
    assert (answer.status_code, answer.json()["code"]) == (409, "applications_closed")
    assert len(await training.told()) == 2, "a refusal over HTTP leaves no trace"


async def test_seats_delegated_to_others_are_refused(training: Running) -> None:
    course = await offered(training, capacity=2, delegated={KIRISHIMA: 2})
    answer = await ask(training, course)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_seats_for_you")


async def test_a_shorter_hold_may_be_asked_for(training: Running) -> None:
    course = await offered(training)
    until = await training.rows("SELECT clock_timestamp() + interval '1 hour' AS at")
    body = await seat(training, course, hold_until=until[0]["at"].isoformat())
    assert moment(body["expires_at"]) == until[0]["at"]


async def test_a_repeated_key_gives_the_same_seat(training: Running) -> None:
    course, key = await offered(training), str(uuid4())
    body = {"case_id": str(await known_case(training))}
    path = f"/v1/course-runs/{course}/seat-requests"
    first = await desk(training).post(path, body, key=key)
    second = await desk(training).post(path, body, key=key)
    assert first.json() == second.json()
    assert len(await training.rows("SELECT FROM seat_request")) == 1


async def test_requests_that_are_not_the_callers_business(training: Running) -> None:
    course = await offered(training)
    path, body = f"/v1/course-runs/{course}/seat-requests", {"case_id": str(await known_case(training))}
    assert (await school(training).post(path, body)).status_code == 403
    assert (await training.anonymous.post(path, body)).status_code == 401
    assert (await desk(training).post(path, body | {"name": "x"})).status_code == 422
    assert (await ask(training, uuid4())).status_code == 404
    assert await training.rows("SELECT FROM seat_request") == []


# --- reading --------------------------------------------------------------------------------------------------------


async def test_the_line_shows_case_ids_to_their_own_municipality_only(training: Running) -> None:
    course = await offered(training, capacity=1)
    await seat(training, course)
    ours = await seat(training, course)
    await seat(training, course, municipality=KIRISHIMA)
    items = (await desk(training).get(f"/v1/course-runs/{course}/line")).json()["items"]
    assert [item["position"] for item in items] == [1, 2]
    assert [item["seat_request_id"] for item in items] == [ours["seat_request_id"], None]
    assert items[1]["case_id"] is None
    prefecture = (await hello_work(training).get(f"/v1/course-runs/{course}/line")).json()["items"]
    assert all(item["case_id"] for item in prefecture)


async def test_a_long_line_is_read_page_by_page_and_nobody_is_missed_when_somebody_leaves(training: Running) -> None:
    course = await offered(training, capacity=3, delegated={KAGOSHIMA: 1, KIRISHIMA: 1})
    towns = [KAGOSHIMA, KAGOSHIMA, KIRISHIMA, ZAMA, KIRISHIMA, ZAMA, KAGOSHIMA, KAGOSHIMA, KAGOSHIMA, KIRISHIMA]
    asked = [await seat(training, course, municipality=town) for town in towns]
    everybody = training.as_("all", Role.PLANNER, municipalities=["prefecture:46", "prefecture:14"])

    async def read(**params: Any) -> Any:
        answer = await everybody.get(f"/v1/course-runs/{course}/line", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    whole = await read()
    assert (len(whole["items"]), whole["next_cursor"]) == (7, None)
    assert [item["position"] for item in whole["items"]] == [1, 2, 3, 1, 2, 1, 2], "each pool's own line"
    pages = [await read(limit=2)]
    first = pages[0]["items"][0]
    left = next(each for each in asked if each["seat_request_id"] == first["seat_request_id"])
    await step(desk(training), left, "release", {"reason": "withdrawn"})
    while pages[-1]["next_cursor"]:
        pages.append(await read(limit=2, cursor=pages[-1]["next_cursor"]))
    shown = [item["seat_request_id"] for each in pages for item in each["items"]]
    assert shown == [item["seat_request_id"] for item in whole["items"]], "nobody twice, nobody missed"
    assert pages[1]["items"][0]["position"] == 2, "who was third has moved up, and a page's first is not its line's"


async def test_requests_are_shown_to_whom_they_concern(training: Running) -> None:
    course = await offered(training)
    asked = await seat(training, course)
    path = f"/v1/seat-requests/{asked['seat_request_id']}"
    for caller in (desk(training), placement(training), hello_work(training), school(training)):
        assert (await caller.get(path)).status_code == 200
        assert len((await caller.get("/v1/seat-requests")).json()["items"]) == 1
    for caller in (desk(training, KIRISHIMA), desk(training, ZAMA), school(training, "another-school")):
        assert (await caller.get(path)).status_code == 404
        assert (await caller.get("/v1/seat-requests")).json()["items"] == []
    assert (await planner(training).get(path)).status_code == 403


async def test_requests_can_be_found_by_case_course_and_state(training: Running) -> None:
    course, case_id = await offered(training, capacity=1), await known_case(training)
    held = await seat(training, course, case_id=case_id)
    waits = await seat(training, course)

    async def found(**filters: Any) -> list[str]:
        items = (await desk(training).get("/v1/seat-requests", params=filters)).json()["items"]
        return [item["seat_request_id"] for item in items]

    assert await found() == [held["seat_request_id"], waits["seat_request_id"]]
    assert await found(case_id=str(case_id)) == [held["seat_request_id"]]
    assert await found(state="waiting", course_run_id=str(course)) == [waits["seat_request_id"]]
    assert await found(course_run_id=str(uuid4())) == []
    first = (await desk(training).get("/v1/seat-requests", params={"limit": 1})).json()
    assert await found(limit=1, cursor=first["next_cursor"]) == [waits["seat_request_id"]]


# --- steps ----------------------------------------------------------------------------------------------------------


async def test_todays_law_from_a_held_seat_to_an_enrolment(training: Running) -> None:
    course = await offered(training, capacity=2)
    asked = await seat(training, course)
    before = len(await training.told())
    await instructed(training, asked)
    training.pass_time(timedelta(days=20))
    assert await training.sweep() == 0, "an instructed seat no longer runs out"
    answer = await step(school(training), asked, "enrol")
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert (body["state"], body["version"], body["legal_moves"], body["expires_at"]) == ("enrolled", 5, [], None)
    assert "etag" not in answer.headers, "no operation asks for one"
    assert [(fact["step"], fact["agency"], fact["authority"]) for fact in body["facts"]] == [
        ("nominated", f"placement-{KAGOSHIMA}", "current_law"),
        ("countersigned", "hello-work-kagoshima", "current_law"),
        ("instructed", "hello-work-kagoshima", "current_law"),
        ("enrolled", SCHOOL, "current_law"),
    ]
    assert body["facts"][0]["legal_entity"] == ENTITY["legal_entity"]
    assert body["facts"][0]["notification_number"] == ENTITY["notification_number"]
    told = await told_since(training, before)
    assert [type(event) for event in told] == [
        TrainingNominated,
        NominationCountersigned,
        InstructionIssued,
        Enrolled,
        PoolChanged,
    ]
    issued, changed = told[2], told[-1]
    assert isinstance(issued, InstructionIssued)
    assert str(issued.instruction_id) == body["facts"][2]["id"]
    assert isinstance(changed, PoolChanged)
    assert (changed.held, changed.filled) == (0, 1)
    assert await broken_promises(training) == []


async def test_every_step_tells_the_version_of_the_request_that_it_led_to(training: Running) -> None:
    case_id = await known_case(training)
    asked = await seat(training, await offered(training), case_id=case_id)
    await instructed(training, asked)
    await step(school(training), asked, "enrol")
    rows = await training.rows("SELECT value FROM outbox WHERE key = $1 ORDER BY seq", str(case_id))
    told = [open_envelope(row["value"], {}) for row in rows]
    assert [each.sequence for each in told] == [1, 2, 3, 4, 5]


async def test_where_it_is_delegated_the_placement_instructs_without_a_countersignature(training: Running) -> None:
    decided = {"prefecture": "46", "mode": "delegated", "in_force_from": "2022-10-01", "decided_by": "協議会"}
    assert (await planner(training).post("/v1/authorities", decided)).status_code == 201
    asked = await seat(training, await offered(training))
    nominated = await step(placement(training), asked, "nominate", ENTITY)
    assert nominated.json()["legal_moves"] == ["instruct", "release"]
    countersigned = await step(hello_work(training), asked, "countersign")
    assert (countersigned.status_code, countersigned.json()["code"]) == (409, "illegal_move")
    assert (await step(hello_work(training), asked, "instruct", {"legal_entity": "6000020271004"})).status_code == 403
    without_number = await step(placement(training), asked, "instruct", {"legal_entity": ENTITY["legal_entity"]})
    assert without_number.status_code == 422
    answer = await step(placement(training), asked, "instruct", ENTITY)
    assert (answer.status_code, answer.json()["state"]) == (200, "instructed")
    issued = (await training.told())[-1]
    assert isinstance(issued, InstructionIssued)
    assert (issued.authority, issued.by_agency) == ("delegated", f"placement-{KAGOSHIMA}")


async def test_under_todays_law_the_placement_may_not_instruct(training: Running) -> None:
    asked = await seat(training, await offered(training))
    await step(placement(training), asked, "nominate", ENTITY)
    await step(hello_work(training), asked, "countersign")
    assert (await step(placement(training), asked, "instruct", ENTITY)).status_code == 403


async def test_an_illegal_move_names_the_legal_ones_and_changes_nothing(training: Running) -> None:
    asked = await seat(training, await offered(training))
    before = await training.told()
    answer = await step(hello_work(training), asked, "instruct", {"legal_entity": "6000020271004"})
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_move")
    assert "nominate, release" in answer.json()["detail"]
    assert await training.told() == before
    assert await state_of(training, asked) == "held"


async def test_steps_belong_to_their_bodies(training: Running) -> None:
    asked = await seat(training, await offered(training))
    assert (await step(desk(training), asked, "nominate", ENTITY)).status_code == 403
    assert (await step(placement(training, KIRISHIMA), asked, "nominate", ENTITY)).status_code == 404
    assert (await step(placement(training), asked, "countersign")).status_code == 403
    assert (await step(placement(training), asked, "nominate", ENTITY | {"legal_entity": "1"})).status_code == 422
    other_prefecture = training.as_("hello-work-tokyo", Role.HELLO_WORK, municipalities=["prefecture:13"])
    assert (await step(other_prefecture, asked, "countersign")).status_code == 404
    await instructed(training, asked)
    assert (await step(school(training, "another-school"), asked, "enrol")).status_code == 404
    assert (await step(desk(training, KIRISHIMA), asked, "release", {"reason": "other"})).status_code == 404
    unknown = {"seat_request_id": str(uuid4())}
    assert (await step(school(training), unknown, "enrol")).status_code == 404


async def test_a_nomination_after_the_hold_ran_out_is_too_late_though_nobody_swept(training: Running) -> None:
    asked = await seat(training, await offered(training))
    training.pass_time(timedelta(hours=72, minutes=1))
    answer = await step(placement(training), asked, "nominate", ENTITY)
    assert (answer.status_code, answer.json()["code"]) == (409, "hold_expired")


async def test_an_enrolled_person_gives_nothing_back(training: Running) -> None:
    asked = await seat(training, await offered(training))
    await instructed(training, asked)
    await step(school(training), asked, "enrol")
    answer = await step(desk(training), asked, "release", {"reason": "withdrawn"})
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_move")


# --- who is next ----------------------------------------------------------------------------------------------------


async def test_a_seat_given_back_goes_to_the_next_in_line_at_once(training: Running) -> None:
    course = await offered(training, capacity=1)
    first, second, third = [await seat(training, course) for _ in range(3)]
    before = len(await training.told())
    answer = await step(desk(training), first, "release", {"reason": "person_declined"})
    assert (answer.json()["state"], answer.json()["released_reason"]) == ("released", "person_declined")
    assert [await state_of(training, each) for each in (first, second, third)] == ["released", "held", "waiting"]
    released, held, changed = await told_since(training, before)
    assert isinstance(released, SeatReleased)
    assert released.reason == "person_declined"
    assert isinstance(held, SeatHeld)
    assert str(held.seat_request_id) == second["seat_request_id"]
    assert isinstance(changed, PoolChanged)
    assert (changed.held, changed.waiting) == (1, 1)
    assert await broken_promises(training) == []


async def test_leaving_the_line_moves_the_others_up(training: Running) -> None:
    course = await offered(training, capacity=1)
    _, second, third = [await seat(training, course) for _ in range(3)]
    await step(desk(training), second, "release", {"reason": "withdrawn"})
    body = (await desk(training).get(f"/v1/seat-requests/{third['seat_request_id']}")).json()
    assert (body["state"], body["position"]) == ("waiting", 1)
    assert await training.rows("SELECT FROM seat_entry WHERE kind = 'release'") == []


async def test_an_expired_hold_goes_to_the_next_in_line_in_the_same_transaction(training: Running) -> None:
    course = await offered(training, capacity=1)
    first = await seat(training, course)
    training.pass_time(timedelta(hours=71))
    second = await seat(training, course)
    assert await training.sweep() == 0
    training.pass_time(timedelta(hours=1, minutes=1))
    before = len(await training.told())
    assert await training.sweep() == 1
    assert [await state_of(training, each) for each in (first, second)] == ["released", "held"]
    moved = await training.rows("SELECT kind, xmin::text AS by_transaction FROM seat_entry ORDER BY id DESC LIMIT 2")
    assert [row["kind"] for row in moved] == ["hold", "expire"]
    assert moved[0]["by_transaction"] == moved[1]["by_transaction"]
    released, held, _ = await told_since(training, before)
    assert isinstance(released, SeatReleased)
    assert released.reason == "expired"
    assert isinstance(held, SeatHeld)


async def test_at_the_deadline_holds_and_waits_end(training: Running) -> None:
    course = await offered(training, capacity=1)
    first, second = await seat(training, course), await seat(training, course)
    training.pass_time(timedelta(days=30, hours=1))
    await training.sweep()
    assert [await state_of(training, each) for each in (first, second)] == ["released", "released"]
    assert await broken_promises(training) == []


async def test_a_free_general_seat_goes_to_who_waits_for_a_delegated_one(training: Running) -> None:
    course = await offered(training, capacity=2, delegated={KAGOSHIMA: 1})
    await seat(training, course)
    theirs = await seat(training, course, municipality=KIRISHIMA)
    waits = await seat(training, course)
    assert (theirs["pool_kind"], waits["pool_kind"], waits["outcome"]) == ("general", "delegated", "waiting")
    await step(desk(training, KIRISHIMA), theirs, "release", {"reason": "other"})
    body = (await desk(training).get(f"/v1/seat-requests/{waits['seat_request_id']}")).json()
    assert (body["state"], body["pool_kind"]) == ("held", "general")
    assert await broken_promises(training) == []


# --- events ---------------------------------------------------------------------------------------------------------


async def test_a_referral_finds_a_seat(training: Running) -> None:
    course = await offered(training)
    event = referred(course)
    await training.hear(event)
    held, changed = (await training.told())[-2:]
    assert isinstance(held, SeatHeld)
    assert (held.referral_id, held.case_id) == (event.referral_id, event.case_id)
    assert isinstance(changed, PoolChanged)


async def test_a_repeated_referral_gives_no_second_seat(training: Running) -> None:
    course = await offered(training)
    event = referred(course)
    once = new_id()
    await training.hear(event, event_id=once)
    before = await training.told()
    await training.hear(event, event_id=once)
    await training.hear(event)
    assert await training.told() == before
    assert len(await training.rows("SELECT FROM seat_request")) == 1


async def test_a_referral_that_cannot_be_met_is_refused_by_an_event(training: Running) -> None:
    course = await offered(training, capacity=2, delegated={KIRISHIMA: 2})
    case_id = await known_case(training)
    elsewhere = await offered(training)
    await seat(training, elsewhere, case_id=case_id)
    before = len(await training.told())
    await training.hear(referred(course), referred(uuid4()), referred(elsewhere, case_id=case_id))
    refused = await told_since(training, before)
    assert all(isinstance(event, SeatRefused) for event in refused)
    reasons = [event.reason for event in refused if isinstance(event, SeatRefused)]
    assert reasons == ["no_seats_for_you", "no_such_course", "already_requested"]
    assert await training.rows("SELECT FROM parked") == []


async def test_a_withdrawn_referral_gives_its_seat_to_the_next(training: Running) -> None:
    course = await offered(training, capacity=1)
    event = referred(course)
    await training.hear(event)
    waits = await seat(training, course)
    withdrawn = ReferralWithdrawn(
        case_id=event.case_id,
        referral_id=event.referral_id,
        sender="kagoshima-desk",
        receiver="kagoshima-school",
        reason="not_needed",
    )
    await training.hear(withdrawn)
    assert await state_of(training, waits) == "held"
    before = await training.told()
    await training.hear(withdrawn)
    assert await training.told() == before
    released = [each for each in before if isinstance(each, SeatReleased)]
    assert [(each.reason, each.referral_id) for each in released] == [("withdrawn", event.referral_id)]


async def test_a_withdrawn_referral_that_nobody_here_knows_changes_nothing(training: Running) -> None:
    ids: dict[str, UUID] = {"case_id": uuid4(), "referral_id": uuid4()}
    await training.hear(ReferralWithdrawn(**ids, sender="desk-a", receiver="school-a", reason="other"))
    assert await training.told() == []
    assert await training.rows("SELECT FROM parked") == []


@pytest.mark.parametrize("reason", ["consent_withdrawn", "case_erased"])
async def test_without_consent_or_person_everything_but_an_enrolment_is_given_back(
    training: Running, reason: str
) -> None:
    case_id = await known_case(training)
    enrolled = await seat(training, await offered(training), case_id=case_id)
    await instructed(training, enrolled)
    await step(school(training), enrolled, "enrol")
    held = await seat(training, await offered(training, **LATER), case_id=case_id)
    course = await offered(training, capacity=1)
    other = await seat(training, course)
    waits = await seat(training, course, case_id=case_id)
    before = len(await training.told())
    withdrawn = ConsentWithdrawn(case_id=case_id, consent_version=2)
    erased = CaseErased(case_id=case_id, agency_id="desk", reason="persons_request", erased_at=wall_time())
    await training.hear(erased if reason == "case_erased" else withdrawn)
    states = [await state_of(training, each) for each in (enrolled, held, waits, other)]
    assert states == ["enrolled", "released", "released", "held"]
    reasons = {each.reason for each in await told_since(training, before) if isinstance(each, SeatReleased)}
    assert reasons == {reason}
    assert await broken_promises(training) == []
