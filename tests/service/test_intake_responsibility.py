"""The daily proof lists every referral that an agency ever answered for."""

import json
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.intake.domain.custody import check, digest
from shared.bus.envelope import new_id
from shared.events import (
    Event,
    ReferralAccepted,
    ReferralClosed,
    ReferralCourseChanged,
    ReferralDeclined,
    ReferralDeclineProposed,
    ReferralOutcomeSet,
    ReferralReceived,
    ReferralSent,
    ReferralTakenOver,
    TransferBecameRefer,
)
from tests.service.intake_counter import opened
from tests.world import ZAMA, Running, World

R, S = UUID(int=1), UUID(int=2)


def about(case_id: str, referral_id: UUID = R, **more: Any) -> dict[str, Any]:
    parties = {"sender": "kagoshima-desk", "receiver": "zama-npo"}
    return {"case_id": UUID(case_id), "referral_id": referral_id} | parties | more


async def referrals_of(intake: Running, agency: str) -> list[tuple[str, str, Any, Any]]:
    proof = (await intake.as_(agency, municipalities=[ZAMA]).get("/v1/custody-proofs/now")).json()
    assert check([proof]) == []
    return [
        (line["stands"], line["state"], line["waits_for"] or line["to"], line["ended"]) for line in proof["referrals"]
    ]


async def test_the_proof_says_where_each_referral_is_and_whom_it_waits_for(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    await intake.hear(ReferralSent(**about(case_id, coordinator="kagoshima-city")))
    assert await referrals_of(intake, "kagoshima-desk") == [("held", "sent", "zama-npo", None)]
    assert await referrals_of(intake, "zama-npo") == []
    await intake.hear(ReferralDeclineProposed(**about(case_id, coordinator="kagoshima-city", reason="no_capacity")))
    assert await referrals_of(intake, "kagoshima-desk") == [("held", "decline_pending", "kagoshima-city", None)]
    taken: dict[str, Any] = {"before": "kagoshima-desk", "coordinator": "kagoshima-city", "because": "declined"}
    ids: dict[str, Any] = {"case_id": UUID(case_id), "referral_id": R}
    await intake.hear(ReferralDeclined(**about(case_id, reason="no_capacity")), ReferralTakenOver(**ids, **taken))
    assert await referrals_of(intake, "kagoshima-desk") == [("handed_on", "declined", "kagoshima-city", None)]
    assert await referrals_of(intake, "kagoshima-city") == [("ended", "declined", None, "no_capacity")]


async def test_what_a_coordinator_sent_itself_and_took_over_later_waits_for_it(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    city = "kagoshima-city"
    parties: dict[str, Any] = about(case_id, sender=city, verb="refer")
    taken: dict[str, Any] = {"before": city, "coordinator": city, "because": "silence", "ended": False, "verb": "refer"}
    await intake.hear(ReferralSent(**parties, coordinator=city), ReferralAccepted(**parties))
    assert await referrals_of(intake, city) == [("held", "accepted", "zama-npo", None)]
    await intake.hear(ReferralTakenOver(case_id=UUID(case_id), referral_id=R, **taken))
    assert await referrals_of(intake, city) == [("held", "accepted", city, None)]
    await intake.hear(ReferralOutcomeSet(**about(case_id, sender=city, outcome="started", number=1)))
    assert await referrals_of(intake, city) == [("held", "outcome_set", city, None)], "also after the next step"


async def test_the_proof_waits_for_the_school_to_which_the_person_agreed_and_the_case_stays(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    runs: dict[str, Any] = {"course_run_before": S, "course_run_id": R}
    parties: dict[str, Any] = about(case_id, receiver="school-kaze", verb="refer")
    school: dict[str, Any] = {"before": "zama-npo", "receiver": "school-kaze", "coordinator": "kagoshima-city"}
    await intake.hear(
        ReferralSent(**about(case_id)),
        ReferralReceived(case_id=UUID(case_id), referral_id=R, receiver="zama-npo"),
        TransferBecameRefer(**about(case_id), responsible="kagoshima-desk", holder="kagoshima-desk"),
        ReferralCourseChanged(case_id=UUID(case_id), referral_id=R, sender="kagoshima-desk", **school, **runs),
    )
    assert await referrals_of(intake, "kagoshima-desk") == [("held", "received", "school-kaze", None)]
    await intake.hear(ReferralAccepted(**parties))
    assert await referrals_of(intake, "kagoshima-desk") == [("held", "accepted", "school-kaze", None)]
    assert await referrals_of(intake, "zama-npo") == []
    (row,) = await intake.rows("SELECT receiver, coordinator FROM referral_custody WHERE state = 'accepted'")
    assert tuple(row) == ("school-kaze", "kagoshima-city")
    (case,) = await intake.rows("SELECT holder_agency FROM case_")
    assert case["holder_agency"] == "kagoshima-desk"


async def test_each_step_counts_once_however_often_it_is_told(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    steps: list[Event] = [
        ReferralSent(**about(case_id)),
        ReferralReceived(case_id=UUID(case_id), referral_id=R, receiver="zama-npo"),
        ReferralAccepted(**about(case_id)),
        ReferralOutcomeSet(**about(case_id, outcome="employed", number=1)),
        ReferralClosed(**about(case_id, outcome="employed")),
        ReferralOutcomeSet(**about(case_id, outcome="employed_3_months", number=2)),
    ]
    for step in steps:
        event_id = new_id()
        await intake.hear(step, event_id=event_id)
        await intake.hear(step, event_id=event_id)
    rows = await intake.rows("SELECT number, state, holder, ended FROM referral_custody ORDER BY number")
    assert [tuple(row) for row in rows] == [
        (1, "sent", "kagoshima-desk", None),
        (2, "received", "kagoshima-desk", None),
        (3, "accepted", "zama-npo", None),
        (4, "outcome_set", "zama-npo", None),
        (5, "closed", "zama-npo", "employed"),
        (6, "closed", "zama-npo", "employed"),
    ]
    assert await referrals_of(intake, "kagoshima-desk") == [("handed_on", "closed", "zama-npo", None)]


async def test_an_agency_that_only_answers_for_a_referral_is_proven_too_each_day(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    await intake.hear(ReferralSent(**about(case_id, verb="refer")))
    taken: dict[str, Any] = {
        "before": "kagoshima-desk",
        "coordinator": "kagoshima-city",
        "because": "silence",
        "verb": "refer",
    }
    await intake.hear(ReferralTakenOver(case_id=UUID(case_id), referral_id=R, **taken))
    intake.pass_time(timedelta(days=1))
    await intake.sweep()
    for agency, standing in (("kagoshima-city", "ended"), ("kagoshima-desk", "handed_on")):
        (proof,) = (await intake.as_(agency).get("/v1/custody-proofs")).json()["items"]
        assert check([proof]) == []
        assert [line["stands"] for line in proof["referrals"]] == [standing]
    # What was only referred is the coordinator's to look after; the case keeps its holder.
    (case,) = await intake.rows("SELECT holder_agency FROM case_")
    assert case["holder_agency"] == "kagoshima-desk"


async def test_a_proof_of_before_this_part_was_there_is_answered_as_it_was_kept(world: World) -> None:
    intake = world.service("intake")
    await opened(intake.as_())
    old: dict[str, Any] = {"agency": "kagoshima-desk", "day": "2026-11-01", "before": "x", "cases": []}
    old |= {"counts": {"came": 0, "held": 0, "closed": 0, "handed_on": 0}}
    kept = old | {"digest": digest(old)}
    statement = "INSERT INTO custody_proof (agency, day, document) VALUES ('kagoshima-desk', $1, $2::text::jsonb)"
    await intake.rows(statement, date(2026, 11, 1), json.dumps(kept))
    (proof,) = (await intake.as_().get("/v1/custody-proofs")).json()["items"]
    assert proof == kept
    assert check([proof]) == []


async def test_a_request_that_the_holder_has_seen_is_no_hand_off_that_anybody_took(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    await desk.post(f"/v1/cases/{case_id}/screenings", {"outcome": "hand_off"})
    received = ReferralReceived(case_id=UUID(case_id), referral_id=R, receiver="zama-npo")
    await intake.hear(ReferralSent(**about(case_id, verb="request")), received)
    assert (await desk.get(f"/v1/cases/{case_id}")).json()["hand_off_open"] is True
    assert await referrals_of(intake, "kagoshima-desk") == [("held", "received", "kagoshima-desk", None)]


async def test_the_book_is_added_to_only_and_an_unknown_case_stops_nobody(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    await intake.hear(ReferralSent(**about(case_id)), ReferralSent(**about(str(uuid4()), S)))
    rows = await intake.rows("SELECT referral_id FROM referral_custody ORDER BY referral_id")
    assert [row["referral_id"] for row in rows] == [R, S]
    assert await intake.rows("SELECT 1 FROM parked") == []
    for statement in ("UPDATE referral_custody SET holder = 'zama-npo'", "DELETE FROM referral_custody"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await intake.rows(statement)


async def test_a_referral_that_is_told_to_be_sent_again_begins_nothing_and_stops_nobody(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    await intake.hear(
        ReferralSent(**about(case_id)), ReferralAccepted(**about(case_id)), ReferralSent(**about(case_id))
    )
    rows = await intake.rows("SELECT number, state FROM referral_custody ORDER BY number")
    assert [tuple(row) for row in rows] == [(1, "sent"), (2, "accepted")]
    assert await intake.rows("SELECT 1 FROM parked") == []
