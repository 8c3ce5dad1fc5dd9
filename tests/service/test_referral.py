"""Referrals over HTTP and by events: what is answered, what is kept, what is told."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.auth import Role
from shared.bus.envelope import new_id
from shared.events import (
    AssessmentRecorded,
    ConsentPending,
    ConsentRefused,
    ConsentWithdrawn,
    Event,
    NominationCountersigned,
    ReferralAccepted,
    ReferralDeclined,
    ReferralReceived,
    ReferralSent,
    ReferralTakenOver,
    ReferralWithdrawn,
    SeatRefused,
    SeatWaitlisted,
    TrainingNominated,
    TrainingReferred,
)
from shared.service.clock import wall_time
from tests.service.referral_region import (
    AT,
    COURSE,
    POOL,
    SEAT,
    Region,
    code,
    consented,
    enrolled,
    erased,
    held,
    instructed,
    offered,
    opened,
    released,
    seats,
    told_with_sequence,
)
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, World


@pytest.fixture
async def region(world: World) -> Region:
    return await Region(world.service("referral")).ready()


# --- Sending ---------------------------------------------------------------------------------------------------------


async def test_a_referral_is_sent_and_the_sender_stays_responsible(region: Region) -> None:
    answer = await region.desk.post(
        "/v1/referrals", {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"]}
    )
    sent = answer.json()
    assert answer.status_code == 201
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == f"referrals/{sent['referral_id']}"
    assert (sent["state"], sent["receiver"], sent["responsible_agency"]) == ("sent", "sakura-npo", "kagoshima-desk")
    assert sent["next_moves"] == ["withdraw"]
    (told,) = await region.running.told()
    assert isinstance(told, ReferralSent)
    assert (str(told.referral_id), told.receiver) == (sent["referral_id"], "sakura-npo")


async def test_a_referral_to_a_course_asks_training_for_a_seat(region: Region) -> None:
    sent = await region.send(course_run_id=str(COURSE), hold_until="2099-01-10T12:00:00+09:00")
    assert sent["receiver"] == "school-hibiki"
    first, second = await region.running.told()
    assert isinstance(first, ReferralSent)
    assert isinstance(second, TrainingReferred)
    assert (second.municipality, second.course_run_id) == (KAGOSHIMA, COURSE)
    assert second.hold_until == datetime(2099, 1, 10, 3, tzinfo=UTC)


async def test_without_consent_nothing_is_sent(region: Region) -> None:
    other = uuid4()
    await region.running.hear(opened(other), ConsentPending(case_id=other, consent_version=1))
    body = {"case_id": str(other), "programme_id": region.programmes["sakura-npo/ibasho"]}
    answer = await region.desk.post("/v1/referrals", body)
    assert code(answer) == (409, "consent_missing")
    assert answer.json()["detail"]
    assert answer.json()["detail_ja"]
    await region.running.hear(consented(other, 2, recipients=["zama-npo"]))
    answer = await region.desk.post("/v1/referrals", body)
    assert code(answer) == (409, "consent_missing")
    assert answer.json()["errors"][0]["code"] == "not_named"
    assert await region.running.told() == []


async def test_a_case_that_is_unknown_or_not_ones_business_looks_the_same(region: Region) -> None:
    programme = region.programmes["sakura-npo/ibasho"]
    unknown = await region.desk.post("/v1/referrals", {"case_id": str(uuid4()), "programme_id": programme})
    stranger = region.running.as_("zama-desk", municipalities=[ZAMA])
    elsewhere = await stranger.post("/v1/referrals", {"case_id": str(region.case_id), "programme_id": programme})
    assert code(unknown) == code(elsewhere) == (404, "case_not_known")
    hidden = ("instance",)
    bodies = [{k: v for k, v in answer.json().items() if k not in hidden} for answer in (unknown, elsewhere)]
    assert bodies[0] == bodies[1]


async def test_whoever_opened_a_case_of_another_town_may_refer_it(region: Region) -> None:
    opener = region.running.as_("kagoshima-desk", municipalities=[ZAMA])
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"]}
    assert (await opener.post("/v1/referrals", body)).status_code == 201


async def test_a_second_open_referral_to_the_same_place_is_refused(region: Region) -> None:
    first = await region.to_programme()
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"]}
    again = await region.desk.post("/v1/referrals", body)
    assert code(again) == (409, "already_referred")
    assert again.json()["errors"] == [{"referral_id": first}]
    await region.desk.post(f"/v1/referrals/{first}/withdraw")
    assert (await region.desk.post("/v1/referrals", body)).status_code == 201


async def test_two_who_send_the_same_at_once_send_one(region: Region) -> None:
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"]}
    answers = await asyncio.gather(*(region.desk.post("/v1/referrals", body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert len(await region.running.told()) == 1


async def test_a_repeated_key_sends_once(region: Region) -> None:
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"]}
    key = str(uuid4())
    first = await region.desk.post("/v1/referrals", body, key=key)
    second = await region.desk.post("/v1/referrals", body, key=key)
    assert first.json() == second.json()
    assert len(await region.running.rows("SELECT 1 FROM referral")) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"programme_id": str(uuid4()), "course_run_id": str(COURSE)},
        {"course_run_id": str(COURSE), "hold_until": "2020-01-01T00:00:00Z"},
        {"programme_id": str(uuid4()), "hold_until": "2099-01-01T00:00:00Z"},
        {"course_run_id": str(COURSE), "hold_until": "2099-01-01T00:00:00"},
        {"course_run_id": str(COURSE), "note": "急ぎです"},
    ],
)
async def test_an_unclear_referral_is_refused(region: Region, body: dict[str, str]) -> None:
    answer = await region.desk.post("/v1/referrals", {"case_id": str(region.case_id), **body})
    assert answer.status_code == 422


async def test_an_unknown_target_is_not_found(region: Region) -> None:
    for target in ("programme_id", "course_run_id"):
        answer = await region.desk.post("/v1/referrals", {"case_id": str(region.case_id), target: str(uuid4())})
        assert code(answer) == (404, "not_found")


async def test_only_counsellors_send(region: Region) -> None:
    observer = region.running.as_("kagoshima-desk", Role.OBSERVER)
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"]}
    assert code(await observer.post("/v1/referrals", body)) == (403, "forbidden")


# --- Moving ----------------------------------------------------------------------------------------------------------


async def test_a_referral_is_received_and_accepted(region: Region) -> None:
    referral = await region.to_programme()
    received = await region.npo.post(f"/v1/referrals/{referral}/receive")
    assert (received.json()["state"], received.json()["responsible_agency"]) == ("received", "kagoshima-desk")
    accepted = await region.npo.post(f"/v1/referrals/{referral}/accept", headers={"If-Match": received.headers["etag"]})
    assert (accepted.json()["state"], accepted.json()["responsible_agency"]) == ("accepted", "sakura-npo")
    shown = await region.look(referral)
    assert [(step["version"], step["step"], step["by"]) for step in shown["steps"]] == [
        (1, "send", "kagoshima-desk"),
        (2, "receive", "sakura-npo"),
        (3, "accept", "sakura-npo"),
    ]
    told = await region.running.told()
    assert [type(event) for event in told] == [ReferralSent, ReferralReceived, ReferralAccepted]


async def test_a_decline_that_is_confirmed_proposes_the_next_place_at_once(region: Region) -> None:
    referral = await region.to_programme()
    proposed = await region.npo.post(f"/v1/referrals/{referral}/decline", {"reason": "no_capacity"})
    assert (proposed.json()["state"], proposed.json()["responsible_agency"]) == ("decline_pending", "kagoshima-desk")
    (there,) = (await region.desk.get("/v1/referrals", params={"box": "review"})).json()["items"]
    assert there["waits"]["clock"] == "decide"
    back = (await region.desk.post(f"/v1/referrals/{referral}/confirm-decline")).json()
    assert (back["state"], back["reason"], back["responsible_agency"]) == ("declined", "no_capacity", "kagoshima-desk")
    following = (await region.desk.get(back["next_candidates"])).json()
    best = following["items"][0]["id"]
    assert best in {back["proposed_programme_id"], back["proposed_course_run_id"]}
    assert [item["name"] for item in following["items"] if item["kind"] == "programme"] == [
        "桜の就労準備",
        "桜の居場所",
    ]
    *_, declined, taken = await region.running.told()
    assert isinstance(declined, ReferralDeclined)
    assert declined.reason == "no_capacity"
    assert isinstance(taken, ReferralTakenOver)
    assert (taken.before, taken.coordinator, taken.because) == ("kagoshima-desk", "kagoshima-desk", "declined")
    assert best in {str(taken.proposed_programme_id), str(taken.proposed_course_run_id)}


async def test_a_decline_needs_a_coded_reason(region: Region) -> None:
    referral = await region.to_programme()
    for body in ({}, {"reason": "面倒"}, {"reason": "no_capacity", "text": "x"}):
        assert (await region.npo.post(f"/v1/referrals/{referral}/decline", body)).status_code == 422


async def test_an_illegal_move_names_the_legal_ones(region: Region) -> None:
    referral = await region.to_programme()
    await region.npo.post(f"/v1/referrals/{referral}/receive")
    again = await region.npo.post(f"/v1/referrals/{referral}/receive")
    assert code(again) == (409, "illegal_move")
    assert again.json()["errors"] == [{"legal": name} for name in ("accept", "decline", "return", "wait", "reroute")]
    by_sender = await region.desk.post(f"/v1/referrals/{referral}/accept")
    assert code(by_sender) == (409, "illegal_move")
    assert by_sender.json()["errors"] == [{"legal": "withdraw"}]


async def test_of_two_who_accept_at_once_one_does(region: Region) -> None:
    referral = await region.to_programme()
    answers = await asyncio.gather(*(region.npo.post(f"/v1/referrals/{referral}/accept") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(await region.running.rows("SELECT 1 FROM referral_step")) == 2


async def test_acceptance_and_withdrawal_at_once_end_in_one_of_the_two(region: Region) -> None:
    referral = await region.to_programme()
    answers = await asyncio.gather(
        region.npo.post(f"/v1/referrals/{referral}/accept"), region.desk.post(f"/v1/referrals/{referral}/withdraw")
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_stale_etag_is_told(region: Region) -> None:
    referral = await region.to_programme()
    await region.npo.post(f"/v1/referrals/{referral}/receive")
    late = await region.npo.post(f"/v1/referrals/{referral}/accept", headers={"If-Match": '"1"'})
    assert code(late) == (412, "stale")


async def test_others_see_and_move_only_what_concerns_them(region: Region) -> None:
    referral = await region.to_programme()
    stranger = region.running.as_("zama-desk", municipalities=[ZAMA])
    neighbour = region.running.as_("kagoshima-shakyo", municipalities=[KAGOSHIMA])
    prefecture = region.running.as_("kagoshima-ken", municipalities=["prefecture:46"])
    assert code(await stranger.get(f"/v1/referrals/{referral}")) == (404, "not_found")
    assert code(await stranger.post(f"/v1/referrals/{referral}/accept")) == (404, "not_found")
    assert (await neighbour.get(f"/v1/referrals/{referral}")).status_code == 200
    assert (await prefecture.get(f"/v1/referrals/{referral}")).status_code == 200
    assert code(await neighbour.post(f"/v1/referrals/{referral}/accept")) == (403, "forbidden")
    assert (await region.look(referral))["state"] == "sent"


async def test_lists_hold_what_is_mine_and_go_on_page_by_page(region: Region) -> None:
    sent = [await region.to_programme(name) for name in ("sakura-npo/ibasho", "sakura-npo/junbi", "zama-npo/ibasho")]

    async def listed(caller: Caller, **params: Any) -> list[str]:
        return [item["referral_id"] for item in await caller.whole("/v1/referrals", limit=1, **params)]

    assert await listed(region.desk, box="out") == sent[::-1]
    assert await listed(region.desk, box="in") == []
    assert await listed(region.npo, box="in") == sent[:2][::-1]
    assert await listed(region.desk, case_id=str(region.case_id)) == sent[::-1]
    assert await listed(region.desk, case_id=str(uuid4())) == []
    assert await listed(region.running.as_("kagoshima-ken", municipalities=["prefecture:46"])) == sent[::-1]
    assert await listed(region.running.as_("zama-desk", municipalities=[ZAMA])) == []
    assert await listed(region.running.as_("zama-npo", municipalities=[ZAMA])) == [sent[2]]


async def test_a_step_can_not_be_rewritten(region: Region) -> None:
    await region.to_programme()
    for statement in ("UPDATE referral_step SET by = 'x'", "DELETE FROM referral_step"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await region.running.rows(statement)


async def test_the_database_itself_keeps_responsibility_in_one_place(region: Region) -> None:
    await region.to_programme()
    for change in (
        "responsible_agency = 'sakura-npo'",
        "responsible_agency = 'zama-npo', state = 'in_service'",
        "state = 'declined'",
        "state = 'closed'",
        "waits_for = NULL",
        "state = 'on_hold'",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await region.running.rows(f"UPDATE referral SET {change}")


# --- Consent ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("no", "reason"), [(ConsentWithdrawn, "consent_withdrawn"), (ConsentRefused, "consent_refused")]
)
async def test_a_no_takes_back_what_nobody_has_accepted(region: Region, no: type[Event], reason: str) -> None:
    accepted, waiting = await region.to_programme(), await region.to_programme("sakura-npo/junbi")
    course = await region.to_course()
    await region.npo.post(f"/v1/referrals/{accepted}/accept")
    await region.running.hear(no(case_id=region.case_id, consent_version=2))  # type: ignore[call-arg]
    assert (await region.look(accepted))["state"] == "accepted"
    for referral in (waiting, course):
        shown = await region.look(referral)
        assert (shown["state"], shown["reason"]) == ("withdrawn", reason)
    withdrawn = [event for event in await region.running.told() if isinstance(event, ReferralWithdrawn)]
    assert {str(event.referral_id) for event in withdrawn} == {waiting, str(course)}
    assert {event.reason for event in withdrawn} == {reason}


async def test_an_erased_case_takes_back_what_nobody_has_accepted_and_is_referred_no_more(region: Region) -> None:
    accepted, waiting = await region.to_programme(), await region.to_programme("sakura-npo/junbi")
    course = await region.to_course()
    await region.npo.post(f"/v1/referrals/{accepted}/accept")
    await region.running.hear(erased(region.case_id), consented(region.case_id, 9))
    assert (await region.look(accepted))["state"] == "accepted"
    for referral in (waiting, course):
        shown = await region.look(referral)
        assert (shown["state"], shown["reason"]) == ("withdrawn", "case_erased")
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"], "verb": "refer"}
    assert code(await region.desk.post("/v1/referrals", body)) == (409, "consent_missing")


async def test_a_seat_released_for_an_erased_case_counts_as_withdrawn_whichever_came_first(region: Region) -> None:
    course = await region.to_course()
    await region.running.hear(held(region.case_id, course))
    await region.running.hear(released(region.case_id, course, "case_erased"), erased(region.case_id))
    shown = await region.look(course)
    assert (shown["state"], shown["reason"], shown["version"]) == ("withdrawn", "case_erased", 3)


async def test_a_narrower_yes_takes_back_what_it_no_longer_covers(region: Region) -> None:
    accepted, elsewhere = await region.to_programme(), await region.to_programme("sakura-npo/junbi")
    course = await region.to_course()
    await region.npo.post(f"/v1/referrals/{accepted}/accept")
    await region.running.hear(consented(region.case_id, 2, recipients=["sakura-npo"]))
    assert [(await region.look(each))["state"] for each in (accepted, elsewhere, course)] == [
        "accepted", "sent", "withdrawn",
    ]  # fmt: skip
    await region.running.hear(consented(region.case_id, 3, purposes=["assessment"]))
    shown = await region.look(elsewhere)
    assert (shown["state"], shown["reason"]) == ("withdrawn", "consent_withdrawn")


async def test_a_wider_yes_or_one_that_has_run_out_takes_nothing_back(region: Region) -> None:
    course = await region.to_course()
    await region.running.hear(consented(region.case_id, 2, purposes=["referral", "training"]))
    await region.running.hear(consented(region.case_id, 3, valid_until=date(2026, 1, 31)))
    assert (await region.look(course))["state"] == "sent"


async def test_a_consent_that_begins_later_covers_nothing_yet(region: Region) -> None:
    other = uuid4()
    await region.running.hear(opened(other), consented(other, valid_from=date(2190, 1, 31)))
    body = {"case_id": str(other), "programme_id": region.programmes["sakura-npo/ibasho"]}
    answer = await region.desk.post("/v1/referrals", body)
    assert (code(answer), answer.json()["errors"][0]["code"]) == ((409, "consent_missing"), "not_yet_valid")


async def test_an_older_word_about_consent_never_replaces_a_newer_one(region: Region) -> None:
    referral = await region.to_programme()
    await region.running.hear(consented(region.case_id, 3))
    await region.running.hear(ConsentWithdrawn(case_id=region.case_id, consent_version=2))
    assert (await region.look(referral))["state"] == "sent"


async def test_a_consent_that_ran_out_covers_nothing_more(region: Region) -> None:
    other = uuid4()
    await region.running.hear(opened(other), consented(other, valid_until=date(2026, 1, 31)))
    body = {"case_id": str(other), "programme_id": region.programmes["sakura-npo/ibasho"]}
    answer = await region.desk.post("/v1/referrals", body)
    assert (code(answer), answer.json()["errors"][0]["code"]) == ((409, "consent_missing"), "expired")


async def test_a_seat_released_for_withdrawn_consent_counts_as_withdrawn_whichever_came_first(region: Region) -> None:
    course = await region.to_course()
    await region.running.hear(held(region.case_id, course))
    await region.running.hear(released(region.case_id, course, "consent_withdrawn"))
    await region.running.hear(ConsentWithdrawn(case_id=region.case_id, consent_version=2))
    shown = await region.look(course)
    assert (shown["state"], shown["reason"], shown["version"]) == ("withdrawn", "consent_withdrawn", 3)


async def test_a_seat_refused_for_withdrawn_consent_counts_as_withdrawn_too(region: Region) -> None:
    course = await region.to_course()
    no_seat = SeatRefused(case_id=region.case_id, referral_id=course, course_run_id=COURSE, reason="consent_withdrawn")
    await region.running.hear(no_seat, ConsentWithdrawn(case_id=region.case_id, consent_version=2))
    shown = await region.look(course)
    assert (shown["state"], shown["reason"], shown["version"]) == ("withdrawn", "consent_withdrawn", 2)


# --- Training's events -----------------------------------------------------------------------------------------------


async def test_a_course_referral_follows_its_seat_to_the_enrolment(region: Region) -> None:
    course = await region.to_course()
    case_id = region.case_id
    by: dict[str, Any] = {"seat_request_id": SEAT, "course_run_id": COURSE}
    seen = []
    for event in (
        SeatWaitlisted(case_id=case_id, referral_id=course, pool_id=POOL, position=1, **by),
        held(case_id, course),
        TrainingNominated(case_id=case_id, by_agency="kagoshima-city", authority="current_law", **by),
        NominationCountersigned(case_id=case_id, by_agency="hellowork-kagoshima", **by),
        instructed(case_id, course),
        enrolled(case_id, course),
    ):
        await region.running.hear(event)
        shown = await region.look(course)
        seen.append((shown["state"], shown["progress"], shown["responsible_agency"]))
    assert seen == [
        ("received", "seat_waiting", "kagoshima-desk"),
        ("received", "seat_held", "kagoshima-desk"),
        ("received", "nominated", "kagoshima-desk"),
        ("received", "countersigned", "kagoshima-desk"),
        ("received", "instructed", "kagoshima-desk"),
        ("accepted", "enrolled", "school-hibiki"),
    ]
    told = await region.running.told()
    assert [type(event) for event in told] == [ReferralSent, TrainingReferred, ReferralReceived, ReferralAccepted]


@pytest.mark.parametrize("reason", ["applications_closed", "a_code_of_next_year"])
async def test_a_refused_seat_brings_the_case_back(region: Region, reason: str) -> None:
    course = await region.to_course()
    refused = SeatRefused(case_id=region.case_id, referral_id=course, course_run_id=COURSE, reason=reason)
    await region.running.hear(refused)
    shown = await region.look(course)
    assert (shown["state"], shown["progress"], shown["reason"]) == ("declined", "seat_refused", reason)
    assert shown["next_candidates"]


async def test_a_released_seat_brings_the_case_back(region: Region) -> None:
    course = await region.to_course()
    await region.running.hear(held(region.case_id, course), released(region.case_id, course, "expired"))
    shown = await region.look(course)
    assert (shown["state"], shown["reason"], shown["responsible_agency"]) == ("declined", "expired", "kagoshima-desk")


async def test_what_the_sender_took_back_stays_withdrawn_when_its_seat_is_released(region: Region) -> None:
    course = await region.to_course()
    await region.running.hear(held(region.case_id, course))
    await region.desk.post(f"/v1/referrals/{course}/withdraw", {"reason": "person_wishes"})
    await region.running.hear(released(region.case_id, course, "withdrawn"))
    shown = await region.look(course)
    assert (shown["state"], shown["reason"]) == ("withdrawn", "person_wishes")


async def test_seats_that_were_asked_for_directly_move_no_referral(region: Region) -> None:
    course = await region.to_course()
    await region.running.hear(
        held(region.case_id, None),
        TrainingNominated(
            case_id=region.case_id,
            seat_request_id=uuid4(),
            course_run_id=COURSE,
            by_agency="kagoshima-city",
            authority="current_law",
        ),
        held(uuid4(), course),  # another case's
        held(region.case_id, uuid4()),  # another installation's
    )
    assert (await region.look(course))["version"] == 1
    assert await region.running.rows("SELECT 1 FROM parked") == []


async def test_a_provider_may_look_but_its_seats_answer(region: Region) -> None:
    course = await region.to_course()
    school = region.running.as_("school-hibiki", Role.PROVIDER, municipalities=[])
    assert (await school.get(f"/v1/referrals/{course}")).json()["next_moves"] == []
    assert code(await school.post(f"/v1/referrals/{course}/accept")) == (409, "illegal_move")


async def test_an_event_that_comes_twice_takes_effect_once(region: Region) -> None:
    course = await region.to_course()
    event_id = new_id()
    for _ in range(3):
        await region.running.hear(held(region.case_id, course), event_id=event_id)
    await region.running.hear(held(region.case_id, course))  # told again under a new id
    assert (await region.look(course))["version"] == 2
    assert sum(isinstance(event, ReferralReceived) for event in await region.running.told()) == 1


# --- Facts in any order, and candidates ------------------------------------------------------------------------------


def rated(case_id: UUID, number: int, risk: str = "true", **levels: Any) -> AssessmentRecorded:
    return AssessmentRecorded(
        case_id=case_id,
        assessment_id=uuid4(),
        number=number,
        rubric="sample-1",
        setting="solo",
        prolongation_risk=risk,
        rated_at=AT,
        **levels,
    )


async def test_facts_of_a_case_may_come_in_any_order(region: Region) -> None:
    case_id = region.case_id = uuid4()
    await region.running.hear(rated(case_id, 2, stress=2), consented(case_id))
    unknown = await region.desk.get(f"/v1/cases/{case_id}/candidates")
    assert code(unknown) == (404, "case_not_known")
    await region.running.hear(opened(case_id), rated(case_id, 1, risk="false", stress=5))
    (fact,) = await region.running.rows("SELECT * FROM case_fact WHERE case_id = $1", case_id)
    assert (fact["assessment_number"], fact["prolongation_risk"]) == (2, "true")
    assert (fact["municipality"], fact["consent_state"]) == (KAGOSHIMA, "given")
    await region.to_programme()


async def test_an_older_sequence_never_overwrites_a_newer(region: Region) -> None:
    await told_with_sequence(region.running, seats(5), 7)
    await told_with_sequence(region.running, seats(9), 6)
    await told_with_sequence(region.running, offered(field="it"), 7)
    await told_with_sequence(region.running, offered(field="care"), 6)
    (pool,) = await region.running.rows("SELECT * FROM course_pool")
    (course,) = await region.running.rows("SELECT * FROM course_option")
    assert (pool["granted"], pool["sequence"], course["field"]) == (5, 7, "it")


async def test_seats_of_several_together_are_neither_everybodys_nor_anybodys_alone(region: Region) -> None:
    shared = seats(4, own=False).model_copy(update={"kind": "delegated", "municipalities": [KAGOSHIMA, KIRISHIMA]})
    await told_with_sequence(region.running, shared, 1)
    (pool,) = await region.running.rows("SELECT municipality, municipalities, granted FROM course_pool")
    assert tuple(pool) == (None, [KAGOSHIMA, KIRISHIMA], 4)


async def test_candidates_come_with_reasons_for_people(region: Region) -> None:
    await told_with_sequence(region.running, seats(4), 1)
    found = await region.candidates()
    assert [(item["kind"], item["name"] or item["course_number"]) for item in found["items"]] == [
        ("course_run", "5-46-12-001"),
        ("programme", "桜の居場所"),
        ("programme", "桜の就労準備"),
    ]
    first = found["items"][0]
    assert (first["agency_id"], first["function"], first["stage"]) == ("school-hibiki", "care", "vocational_training")
    told = [first[name] for name in ("system", "starts_on", "ends_on", "applications_close_at")]
    assert told == ["job_seeker_practical", "2099-02-10", "2099-05-10", "2099-01-31T07:00:00Z"]
    assert found["items"][1]["applications_close_at"] is None
    (own,) = [reason for reason in first["reasons"] if reason["code"] == "own_pool_free"]
    assert "4" in own["text_ja"]
    assert "4" in own["text_en"]
    assert (found["need_unmet"], found["coordinator"]["agency_id"]) == (False, "kagoshima-desk")


async def test_low_levels_bring_earlier_rungs_first_and_keep_all(region: Region) -> None:
    await told_with_sequence(region.running, seats(4), 1)
    before = {item["id"] for item in (await region.candidates())["items"]}
    await region.running.hear(rated(region.case_id, 1, interpersonal=1))
    found = await region.candidates()
    assert {item["id"] for item in found["items"]} == before
    assert [item["stage"] for item in found["items"]] == ["drop_in", "work_readiness", "vocational_training"]


async def test_without_a_candidate_the_opener_coordinates_and_the_gap_is_named(region: Region) -> None:
    case_id = region.case_id = uuid4()
    await region.running.hear(opened(case_id, needs=("housing",)))
    found = await region.candidates()
    assert (found["items"], found["need_unmet"], found["unmet_needs"]) == ([], True, ["housing"])
    assert {reason["code"] for entry in found["excluded"] for reason in entry["reasons"]} == {"answers_no_need"}
    assert found["coordinator"]["agency_id"] == "kagoshima-desk"
    assert found["coordinator"]["text_ja"]


async def test_a_closed_course_and_one_where_a_referral_waits_are_left_out_with_the_reason(region: Region) -> None:
    await region.to_course()
    found = await region.candidates()
    assert [(entry["kind"], entry["reasons"][0]["code"]) for entry in found["excluded"]] == [
        ("course_run", "already_referred")
    ]
    for days, expected in ((1, {"deadline_passed", "already_referred"}), (15, set())):
        await region.running.hear(offered(applications_close_at=wall_time() - timedelta(days=days)))
        excluded = [entry for entry in (await region.candidates())["excluded"] if entry["kind"] == "course_run"]
        assert {reason["code"] for entry in excluded for reason in entry["reasons"]} == expected


async def test_candidates_of_another_towns_case_are_not_shown(region: Region) -> None:
    stranger = region.running.as_("zama-desk", municipalities=[ZAMA])
    assert code(await stranger.get(f"/v1/cases/{region.case_id}/candidates")) == (404, "case_not_known")
