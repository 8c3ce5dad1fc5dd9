"""The line over HTTP: offers with a deadline in working days, pauses, and why somebody is offered a seat, or none."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from shared.events import SeatHeld, SeatPaused, SeatReleased, SeatResumed, SeatWaitlisted
from shared.service.clock import JST, wall_time
from tests.service.training_courses import (
    ENTITY,
    ask,
    broken_promises,
    desk,
    known_case,
    moment,
    offered,
    placement,
    planner,
    referred,
    seat,
    state_of,
    step,
    told_since,
)
from tests.world import KAGOSHIMA, KIRISHIMA, Running, World

FRIDAY = datetime(2030, 12, 27, 12, tzinfo=JST)
"""Its first working day is Monday, 6 January: offices rest from 29 December to 3 January, a Friday."""


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


async def full(training: Running, **more: Any) -> tuple[UUID, dict[str, Any]]:
    """A course run whose one seat is held, on the last Friday of the year."""
    training.desk.clock.offset = FRIDAY - wall_time()
    values: dict[str, Any] = {
        "applications_close_at": FRIDAY + timedelta(days=60),
        "capacity": 1,
        "hold_hours": 2400,
    } | more
    course = await offered(training, starts_on=date(2031, 4, 1), ends_on=date(2031, 9, 30), **values)
    return course, await seat(training, course)


async def release(training: Running, asked: dict[str, Any], town: str = KAGOSHIMA) -> None:
    assert (await step(desk(training, town), asked, "release", {"reason": "withdrawn"})).status_code == 200


async def read(training: Running, asked: dict[str, Any], what: str = "", town: str = KAGOSHIMA) -> Any:
    answer = await desk(training, town).get(f"/v1/seat-requests/{asked['seat_request_id']}{what}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def codes(said: list[dict[str, Any]]) -> list[str]:
    assert all(each["ja"] and each["en"] for each in said)
    return [each["code"] for each in said]


async def refused(answer: httpx2.Response) -> tuple[int, str]:
    problem = answer.json()
    assert problem["title_ja"]
    return answer.status_code, problem["code"]


# --- offers ---------------------------------------------------------------------------------------------------------


async def test_a_freed_seat_is_offered_until_the_end_of_the_third_working_day(training: Running) -> None:
    course, first = await full(training)
    waits = await seat(training, course)
    before = len(await training.told())
    await release(training, first)
    body = await read(training, waits)
    assert (body["state"], body["offered"], body["legal_moves"][:2]) == ("held", True, ["accept", "decline"])
    assert moment(body["expires_at"]) == datetime(2031, 1, 8, 23, 59, 59, 999999, tzinfo=JST).astimezone(UTC)
    held = [event for event in await told_since(training, before) if isinstance(event, SeatHeld)]
    assert [(str(event.seat_request_id), event.offered) for event in held] == [(waits["seat_request_id"], True)]


async def test_how_many_working_days_is_said_with_the_course_run(training: Running) -> None:
    course, first = await full(training, offer_days=1, hold_hours=None, hold_days=2)
    assert moment(first["expires_at"]) == datetime(2031, 1, 7, 23, 59, 59, 999999, tzinfo=JST).astimezone(UTC)
    waits = await seat(training, course)
    await release(training, first)
    body = await read(training, waits)
    assert moment(body["expires_at"]) == datetime(2031, 1, 6, 23, 59, 59, 999999, tzinfo=JST).astimezone(UTC)


async def test_an_offer_ends_with_the_applications_and_with_what_was_said(training: Running) -> None:
    closes = FRIDAY + timedelta(days=2)
    course, first = await full(training, capacity=2, applications_close_at=closes)
    second = await seat(training, course)
    until = FRIDAY + timedelta(days=1)
    short, long = await seat(training, course, hold_until=until.isoformat()), await seat(training, course)
    await release(training, first)
    await release(training, second)
    assert moment((await read(training, short))["expires_at"]) == until
    assert moment((await read(training, long))["expires_at"]) == closes


async def test_an_accepted_offer_is_a_hold_like_any_other(training: Running) -> None:
    course, first = await full(training)
    waits = await seat(training, course)
    await release(training, first)
    before = len(await training.told())
    answer = await step(desk(training), waits, "accept")
    body = answer.json()
    assert (answer.status_code, body["offered"], body["legal_moves"]) == (200, False, ["nominate", "release"])
    assert moment(body["expires_at"]) > FRIDAY + timedelta(days=59), "as long as any hold: 2,400 hours, or the close"
    (held,) = await told_since(training, before)
    assert isinstance(held, SeatHeld)
    assert (held.offered, held.expires_at) == (False, moment(body["expires_at"]))
    assert [each["answer"] for each in await read(training, waits, "/offers")] == ["accepted"]
    again = await step(desk(training), waits, "accept")
    assert await refused(again) == (409, "illegal_move")
    assert await broken_promises(training) == []


async def test_a_nomination_accepts_the_offer(training: Running) -> None:
    course, first = await full(training)
    waits = await seat(training, course)
    await release(training, first)
    answer = await step(placement(training), waits, "nominate", ENTITY)
    assert (answer.status_code, answer.json()["offered"]) == (200, False)
    assert [each["answer"] for each in await read(training, waits, "/offers")] == ["accepted"]


async def test_a_declined_seat_goes_to_the_next_at_once(training: Running) -> None:
    course, first = await full(training)
    one, other = await seat(training, course), await seat(training, course)
    await release(training, first)
    before = len(await training.told())
    answer = await step(desk(training), one, "decline", {"reason": "dates_do_not_fit"})
    assert (answer.status_code, answer.json()["released_reason"]) == (200, "person_declined")
    assert (await read(training, other))["offered"]
    told = await told_since(training, before)
    assert [type(event) for event in told[:2]] == [SeatReleased, SeatHeld]
    (offer,) = await read(training, one, "/offers")
    assert (offer["answer"], offer["answer_reason"]) == ("left", "dates_do_not_fit")
    assert await broken_promises(training) == []


async def test_who_declines_may_go_on_waiting_behind_the_others(training: Running) -> None:
    course, first = await full(training)
    one, other = await seat(training, course), await seat(training, course)
    third = await seat(training, course)
    await release(training, first)
    before = len(await training.told())
    body = {"reason": "not_yet", "not_before": "2031-01-10"}
    answer = await step(desk(training), one, "decline", body)
    assert (answer.status_code, answer.json()["state"]) == (200, "waiting")
    assert (await read(training, other))["offered"]
    assert await broken_promises(training, [course]) == []
    place = await read(training, one, "/place")
    assert (place["position"], codes(place["before"])) == (2, ["waited_longer"])
    (waits,) = [event for event in await told_since(training, before) if isinstance(event, SeatWaitlisted)]
    assert (waits.position, waits.again) == (2, True)
    # Another offer to the same request later: the ledger has a hold, a release and a hold.
    await release(training, third)
    await release(training, other)
    assert (await read(training, one))["state"] == "waiting", "not before that day"
    training.pass_time(timedelta(days=14))
    await training.sweep()
    assert (await read(training, one))["offered"]
    assert [each["answer"] for each in await read(training, one, "/offers")] == ["kept_waiting", None]
    assert await broken_promises(training, [course]) == []


async def test_a_lone_person_who_declines_is_not_offered_the_same_seat_again_in_that_moment(training: Running) -> None:
    course, first = await full(training)
    waits = await seat(training, course)
    await release(training, first)
    await step(desk(training), waits, "decline", {"reason": "not_yet", "not_before": "2031-01-10"})
    assert await state_of(training, waits) == "waiting"
    assert (await seat(training, course))["outcome"] == "held", "the seat is anybody's until then"


async def test_an_offer_that_nobody_answers_goes_on(training: Running) -> None:
    course, first = await full(training)
    one, other = await seat(training, course), await seat(training, course)
    await release(training, first)
    training.desk.clock.offset = datetime(2031, 1, 8, 23, 59, 55, tzinfo=JST) - wall_time()
    await training.sweep()
    assert (await read(training, one))["offered"], "the day itself belongs to who keeps it"
    training.pass_time(timedelta(minutes=1))
    late = await step(desk(training), one, "accept")
    assert await refused(late) == (409, "hold_expired")
    await training.sweep()
    assert [await state_of(training, each) for each in (one, other)] == ["released", "held"]
    assert [each["answer"] for each in await read(training, one, "/offers")] == ["lapsed"]


async def test_only_the_persons_own_municipality_answers(training: Running) -> None:
    course, first = await full(training)
    waits = await seat(training, course)
    await release(training, first)
    for move, body in (("accept", None), ("decline", {"reason": "other"}), ("pause", {"not_before": "2031-01-10"})):
        assert (await step(desk(training, KIRISHIMA), waits, move, body)).status_code == 404
    answer = await desk(training, KIRISHIMA).get(f"/v1/seat-requests/{waits['seat_request_id']}/place")
    assert answer.status_code == 404


async def test_a_file_gives_the_time_of_a_hold_in_hours_or_in_working_days() -> None:
    from services.training.domain.offers import Denied, offer_course_run
    from tests.service.training_courses import an_offer

    assert offer_course_run(an_offer(hold_days=2), []) == Denied("hold_in_hours_and_days", "hold_days")


# --- pauses ---------------------------------------------------------------------------------------------------------


async def test_a_paused_place_is_passed_over_and_kept(training: Running) -> None:
    course, first = await full(training)
    one, other = await seat(training, course), await seat(training, course)
    before = len(await training.told())
    answer = await step(desk(training), one, "pause", {"not_before": "2031-01-10"})
    assert (answer.status_code, answer.json()["legal_moves"]) == (200, ["resume", "release"])
    (paused,) = await told_since(training, before)
    assert isinstance(paused, SeatPaused)
    assert paused.until == datetime(2031, 1, 10, tzinfo=JST)
    assert await refused(await step(desk(training), one, "pause", {"not_before": "2031-01-11"})) == (
        409,
        "illegal_move",
    )
    assert codes((await read(training, one, "/place"))["reasons"]) == ["paused", "no_free_seat"]
    await release(training, first)
    assert (await read(training, other))["offered"]
    (offer,) = await read(training, other, "/offers")
    assert [(each["code"], each["count"]) for each in offer["passed_over"]] == [("paused", 1)]
    assert offer["same_again"]
    training.pass_time(timedelta(days=20))
    await training.sweep()  # The other's offer has lapsed, and the pause is over.
    assert (await read(training, one))["offered"]


async def test_who_resumes_is_offered_a_free_seat_before_a_newcomer(training: Running) -> None:
    course, first = await full(training)
    one = await seat(training, course)
    await step(desk(training), one, "pause", {"not_before": "2031-01-10"})
    await release(training, first)
    before = len(await training.told())
    assert (await step(desk(training), one, "resume")).json()["offered"]
    assert isinstance((await told_since(training, before))[0], SeatResumed)
    assert (await seat(training, course))["outcome"] == "waiting"


async def test_nobody_overtakes_whose_pause_is_over_before_the_clock_was_asked(training: Running) -> None:
    course, first = await full(training)
    one = await seat(training, course)
    await step(desk(training), one, "pause", {"not_before": "2031-01-10"})
    await release(training, first)
    training.desk.clock.offset = datetime(2031, 1, 10, tzinfo=JST) - wall_time()
    assert (await seat(training, course))["outcome"] == "waiting"
    assert (await read(training, one))["offered"]


@pytest.mark.parametrize("day", ["2030-12-27", "2031-02-26"])
async def test_a_pause_ends_after_today_and_before_the_wait(training: Running, day: str) -> None:
    course, _ = await full(training)
    answer = await step(desk(training), await seat(training, course), "pause", {"not_before": day})
    assert await refused(answer) == (422, "pause_out_of_reach")


# --- why ------------------------------------------------------------------------------------------------------------


async def test_why_no_seat_is_offered_is_answered_with_counts_only(training: Running) -> None:
    course, _ = await full(training)
    await seat(training, course, municipality=KIRISHIMA)
    mine = await seat(training, course)
    place = await read(training, mine, "/place")
    assert (place["position"], place["pool_kind"], place["together"]) == (2, "general", 1)
    assert [(each["code"], each["count"]) for each in place["before"]] == [("waited_longer", 1)]
    assert codes(place["reasons"]) == ["others_before", "no_free_seat"]
    assert (place["rule"]["line_rule_id"], codes(place["rule"]["criteria"])) == (None, ["own_line"])
    assert KIRISHIMA not in str(place)
    training.pass_time(timedelta(days=61))
    assert codes((await read(training, mine, "/place"))["reasons"]) == ["applications_closed"]


async def record(training: Running, **more: Any) -> httpx2.Response:
    body = {"prefecture": "46", "criteria": ["referred"], "effective_on": "2030-12-28", "decided_by": "協議会"} | more
    return await planner(training).post("/v1/line-rules", body)


async def test_a_rule_orders_the_line_from_its_day_on_and_old_offers_keep_theirs(training: Running) -> None:
    course, first = await full(training)
    early, plain = await seat(training, course), await seat(training, course)
    referral = referred(course)
    await training.hear(referral)
    await release(training, first)
    answer = await record(training)
    assert answer.status_code == 201, answer.text
    training.pass_time(timedelta(days=1))
    await step(desk(training), early, "decline", {"reason": "other"})
    (by_rule,) = await training.rows("SELECT * FROM seat_request WHERE referral_id = $1", referral.referral_id)
    assert (by_rule["offered"], await state_of(training, plain)) == (True, "waiting")
    # Every view tells the same place: who came by a referral is before who asked earlier.
    late = referred(course)
    await training.hear(late)
    (second,) = await training.rows("SELECT id FROM seat_request WHERE referral_id = $1", late.referral_id)
    shown = (await desk(training).get("/v1/seat-requests", params={"state": "waiting"})).json()["items"]
    listed = (await desk(training).get(f"/v1/course-runs/{course}/line")).json()["items"]
    for views in (shown, listed):
        assert {each["seat_request_id"]: each["position"] for each in views} == {
            str(second["id"]): 1, plain["seat_request_id"]: 2,
        }  # fmt: skip
    for path in ("", "/place", "/record"):
        assert (await read(training, plain, path))["position"] == 2
    place = await read(training, plain, "/place")
    assert (place["rule"]["version"], place["rule"]["decided_by"]) == (1, "協議会")
    (old,) = await read(training, early, "/offers")
    assert (old["rule"]["line_rule_id"], codes(old["rule"]["criteria"]), old["same_again"]) == (
        None,
        ["own_line"],
        True,
    )
    (new,) = await read(training, {"seat_request_id": str(by_rule["id"])}, "/offers")
    assert (new["rule"]["version"], codes(new["rule"]["criteria"]), new["same_again"]) == (1, ["referred"], True)
    assert (new["ranks"], new["behind"]) == ([0], 1)


async def test_who_left_and_asks_again_was_offered_a_seat_as_often_as_before(training: Running) -> None:
    course, first = await full(training)
    await record(training, criteria=["fewest_offers"])
    training.pass_time(timedelta(days=1))
    case_id = await known_case(training)
    left = await seat(training, course, case_id=case_id)
    await release(training, first)
    assert (await read(training, left))["offered"]
    await release(training, left)
    holds = await seat(training, course)
    again = await seat(training, course, case_id=case_id)
    newer = await seat(training, course)
    assert ((await read(training, newer))["position"], (await read(training, again))["position"]) == (1, 2)
    await release(training, holds)
    assert ((await read(training, newer))["offered"], await state_of(training, again)) == (True, "waiting")
    await release(training, newer)
    (offer,) = await read(training, again, "/offers")
    assert (offer["ranks"], offer["same_again"]) == ([1], True)


async def test_whoever_is_put_into_the_line_is_told_the_place_by_its_rule(training: Running) -> None:
    course, _ = await full(training)
    await record(training, criteria=["target_group", "referred"])
    training.pass_time(timedelta(days=1))
    plain = [await seat(training, course) for _ in range(2)]
    assert [each["position"] for each in plain] == [1, 2]
    before = len(await training.told())
    await training.hear(referred(course))
    told = (await told_since(training, before))[0]
    assert isinstance(told, SeatWaitlisted)
    assert told.position == 1, "by a referral, and so before who asked earlier"
    last = await seat(training, course)
    assert last["position"] == (await read(training, last, "/place"))["position"] == 4
    cases = [str(await known_case(training)) for _ in range(2)]
    path = f"/v1/course-runs/{course}/seat-requests-together"
    pair = await desk(training).post(path, {"requests": [{"case_id": case_id} for case_id in cases]})
    assert [each["position"] for each in pair.json()] == [5, 6]


async def test_what_an_offer_rested_on_is_never_changed(training: Running) -> None:
    for table in ("line_rule", "line_round", "seat_offer", "seat_offer_answer"):
        for verb in ("DELETE FROM {}", "UPDATE {} SET {}"):
            column = "at = at" if table in {"line_round", "seat_offer_answer"} else "id = id"
            with pytest.raises(Exception, match="permission denied"):
                await training.rows(verb.format(table, "number = number" if table == "seat_offer" else column))


async def test_a_rule_is_recorded_in_versions_by_who_may(training: Running) -> None:
    training.desk.clock.offset = FRIDAY - wall_time()
    first = await record(training)
    second = await record(training, criteria=["own_line", "fewest_offers"], effective_on="2031-04-01")
    assert [first.json()["version"], second.json()["version"]] == [1, 2]
    assert await refused(await record(training, effective_on="2030-12-27")) == (422, "rule_begins_later")
    assert await refused(await record(training, effective_on="2031-03-31")) == (422, "rule_begins_later")
    assert await refused(await record(training, criteria=["referred", "referred"])) == (422, "criterion_twice")
    assert await refused(await record(training, criteria=["level"])) == (422, "invalid")
    assert await refused(await record(training, prefecture="14")) == (403, "forbidden")
    assert await refused(await record(training, prefecture=None)) == (403, "forbidden")
    stranger = "01985b7e-6c1d-7a3e-9a54-3f1f4a8f0c11"
    assert await refused(await record(training, decision_id=stranger)) == (422, "decision_of_others")
    listed = (await desk(training).get("/v1/line-rules")).json()["items"]
    assert [(each["version"], each["in_force"]) for each in listed] == [(1, False), (2, False)]
    training.pass_time(timedelta(days=1))
    listed = (await desk(training).get("/v1/line-rules", params={"prefecture": "46"})).json()["items"]
    assert [each["in_force"] for each in listed] == [True, False]


async def test_asking_over_http_and_by_events_finds_the_same_line(training: Running) -> None:
    course, _ = await full(training)
    await training.hear(referred(course))
    assert (await ask(training, course)).json()["position"] == 2


# --- together -------------------------------------------------------------------------------------------------------


async def together(training: Running, course: UUID, size: int = 2, **more: Any) -> list[dict[str, Any]]:
    cases = [str(await known_case(training)) for _ in range(size)]
    body = {"requests": [{"case_id": case_id} | more for case_id in cases]}
    answer = await desk(training).post(f"/v1/course-runs/{course}/seat-requests-together", body)
    assert answer.status_code == 201, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_a_pair_has_two_seats_or_waits_for_two(training: Running) -> None:
    course, first = await full(training, capacity=3)
    pair = await together(training, course)
    assert [each["state"] for each in pair] == ["held", "held"]
    assert pair[0]["together_id"] is None
    for each in pair:
        await release(training, each)
    second = await seat(training, course)
    waiting = await together(training, course)
    assert {each["together_id"] for each in waiting} != {None}
    assert [each["state"] for each in waiting] == ["waiting", "waiting"], "one seat is free, and is nobody's half"
    assert (await read(training, waiting[1], "/place"))["together"] == 2
    assert codes((await read(training, waiting[0], "/place"))["reasons"]) == ["too_few_together"]
    single = await seat(training, course)
    assert single["outcome"] == "held", "no seat is idle beside somebody who could have it"
    await release(training, first)
    assert [await state_of(training, each) for each in waiting] == ["waiting", "waiting"]
    await release(training, second)
    assert [await state_of(training, each) for each in waiting] == ["held", "held"]
    (offer,) = await read(training, waiting[0], "/offers")
    assert offer["same_again"]
    assert await broken_promises(training, [course]) == []


async def test_if_one_cannot_ask_nobody_of_them_does(training: Running) -> None:
    course, first = await full(training, capacity=9)
    body = {"requests": [{"case_id": str(await known_case(training))}, {"case_id": str(first["seat_request_id"])}]}
    path = f"/v1/course-runs/{course}/seat-requests-together"
    assert await refused(await desk(training).post(path, body)) == (404, "case_not_known")
    case_id = str(await known_case(training))
    twice = await desk(training).post(path, {"requests": [{"case_id": case_id}, {"case_id": case_id}]})
    assert await refused(twice) == (409, "already_requested")
    assert len(await training.rows("SELECT FROM seat_request")) == 1
    assert await refused(await desk(training).post(path, {"requests": [{"case_id": case_id}] * 6})) == (422, "invalid")


async def test_those_who_no_longer_wait_together_take_what_is_free_one_by_one(training: Running) -> None:
    course, first = await full(training)
    pair = await together(training, course)
    await release(training, first)
    assert [await state_of(training, each) for each in pair] == ["waiting", "waiting"]
    answer = await step(desk(training), pair[1], "separate")
    assert (answer.status_code, answer.json()["together_id"]) == (200, None)
    assert await refused(await step(desk(training), pair[1], "separate")) == (409, "illegal_move")
    assert [await state_of(training, each) for each in pair] == ["held", "waiting"], "each alone, as they asked"


# --- priority pools -------------------------------------------------------------------------------------------------

ICE_AGE = [{"target_group": "ice_age_generation", "basis": "document_seen"}]


async def test_seats_for_a_target_group_are_theirs_until_they_open_to_all(training: Running) -> None:
    opens = FRIDAY + timedelta(days=20)
    course, first = await full(
        training, capacity=3, priority={"ice_age_generation": 2}, priority_opens_at=opens, hold_hours=2400
    )
    assert first["pool_kind"] == "general"
    other = await seat(training, course)
    assert other["outcome"] == "waiting"
    why = (await read(training, other, "/place"))["reasons"]
    assert codes(why) == ["no_free_seat", "kept_for_others"], "two are free, and not for this person"
    theirs = await seat(training, course, target_groups=ICE_AGE)
    assert (theirs["outcome"], theirs["pool_kind"]) == ("held", "priority")
    (claim,) = await training.rows("SELECT * FROM target_group_claim")
    assert (claim["target_group"], claim["basis"], claim["by"]) == (
        "ice_age_generation",
        "document_seen",
        "desk-462012",
    )
    assert "ice_age" not in str([event.model_dump() for event in await training.told()])
    assert await broken_promises(training, [course]) == []
    training.pass_time(timedelta(days=20, minutes=1))
    await training.sweep()
    assert (await read(training, other))["offered"], "what nobody claims opens to all"
    assert await broken_promises(training, [course]) == []


async def test_no_newcomer_overtakes_who_waits_when_seats_open(training: Running) -> None:
    opens = FRIDAY + timedelta(days=20)
    course, _ = await full(training, capacity=2, priority={"single_parent": 1}, priority_opens_at=opens)
    other = await seat(training, course)
    training.pass_time(timedelta(days=20, minutes=1))
    assert (await seat(training, course))["outcome"] == "waiting"
    assert (await read(training, other))["offered"]


async def test_a_target_group_that_is_not_in_the_list_is_refused(training: Running) -> None:
    course, _ = await full(training)
    strange = [{"target_group": "whoever", "basis": "own_record"}]
    assert await refused(await ask(training, course, target_groups=strange)) == (422, "invalid")
    groups = (await desk(training).get("/v1/target-groups")).json()
    assert {"ice_age_generation", "single_parent", "disability"} <= {each["code"] for each in groups}


async def test_the_database_keeps_seats_of_a_target_group_for_it(training: Running) -> None:
    course, first = await full(
        training, capacity=2, priority={"disability": 1}, priority_opens_at=FRIDAY + timedelta(days=20)
    )
    waits = await seat(training, course)
    with pytest.raises(Exception, match="this seat is for a target group"):
        await training.rows(
            "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, seat_request_id, at)"
            " SELECT $1, 2, p.course_run_id, 'hold', p.id, 1, $1, $2 FROM pool p"
            " WHERE p.kind = 'priority' AND p.course_run_id = $3",
            UUID(waits["seat_request_id"]),
            FRIDAY,
            course,
        )
    assert first["pool_kind"] == "general"
