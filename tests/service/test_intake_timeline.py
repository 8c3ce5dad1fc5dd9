"""What became of a case elsewhere comes back to intake, without anybody having asked."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.intake.reactions import reactions
from shared.events import (
    EVENTS,
    AssessmentRecorded,
    AttendanceWarned,
    AttendanceWarningLifted,
    ConferenceCalled,
    ConferenceCancelled,
    ConferenceConcluded,
    ConferencePostponed,
    EmploymentRecorded,
    Enrolled,
    Event,
    HopsAlarm,
    InstructionCancelled,
    InstructionIssued,
    LinkUndelivered,
    NominationCountersigned,
    PlanAgreed,
    PlanDecided,
    PlanEvaluated,
    ReferralAccepted,
    ReferralClosed,
    ReferralCourseChanged,
    ReferralDeclined,
    ReferralDeclineProposed,
    ReferralNotPlaced,
    ReferralNotSent,
    ReferralOutcomeSet,
    ReferralOverdue,
    ReferralProgressed,
    ReferralReceived,
    ReferralRerouted,
    ReferralReturned,
    ReferralSent,
    ReferralSentOn,
    ReferralTakenOver,
    ReferralWithdrawn,
    SeatHeld,
    SeatRefused,
    SeatReleased,
    SeatWaitlisted,
    TaskAssigned,
    TaskEnded,
    TaskOverdue,
    TrainingEnded,
    TrainingNominated,
    TrainingSelected,
    TransferBecameRefer,
)
from tests.service.intake_counter import opened
from tests.world import ZAMA, Running, World

R, C, S, P = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
AT = datetime(2026, 11, 23, 1, tzinfo=UTC)


def outcomes(case: UUID) -> list[Event]:
    """One of each that comes back."""
    desk, npo = "kagoshima-desk", "kirishima-npo"
    return [
        AssessmentRecorded(
            case_id=case,
            assessment_id=R,
            number=1,
            rubric="fdp-sample-1",
            setting="solo",
            mental=2,
            prolongation_risk="true",
            rated_at=AT,
        ),
        ReferralSent(case_id=case, referral_id=R, sender=desk, receiver=npo, course_run_id=C),
        ReferralReceived(case_id=case, referral_id=R, receiver=npo),
        ReferralDeclined(case_id=case, referral_id=R, sender=desk, receiver=npo, reason="full"),
        ReferralWithdrawn(case_id=case, referral_id=R, sender=desk, receiver=npo, reason="person_moved"),
        ReferralAccepted(case_id=case, referral_id=R, sender=desk, receiver=npo),
        SeatRefused(case_id=case, referral_id=R, course_run_id=C, reason="applications_closed"),
        SeatWaitlisted(case_id=case, seat_request_id=S, course_run_id=C, pool_id=P, position=3),
        SeatHeld(case_id=case, seat_request_id=S, course_run_id=C, pool_id=P, pool_kind="delegated", expires_at=AT),
        SeatReleased(case_id=case, seat_request_id=S, course_run_id=C, pool_id=P, reason="expired"),
        TrainingNominated(case_id=case, seat_request_id=S, course_run_id=C, by_agency=desk, authority="current_law"),
        NominationCountersigned(case_id=case, seat_request_id=S, course_run_id=C, by_agency="kagoshima-hw"),
        InstructionIssued(
            case_id=case,
            seat_request_id=S,
            instruction_id=R,
            course_run_id=C,
            by_agency="kagoshima-hw",
            authority="current_law",
        ),
        TrainingSelected(
            case_id=case, seat_request_id=S, course_run_id=C, result="accepted", result_on=date(2026, 11, 9)
        ),
        InstructionCancelled(
            case_id=case, seat_request_id=S, instruction_id=R, course_run_id=C, by_agency="kagoshima-hw"
        ),
        AttendanceWarned(case_id=case, seat_request_id=S, course_run_id=C, standing="below"),
        AttendanceWarningLifted(case_id=case, seat_request_id=S, course_run_id=C),
        TrainingEnded(
            case_id=case, seat_request_id=S, course_run_id=C, ending="completed", ended_on=date(2026, 12, 28)
        ),
        EmploymentRecorded(case_id=case, seat_request_id=S, course_run_id=C, checkpoint="at_end", outcome="employed"),
        Enrolled(case_id=case, seat_request_id=S, course_run_id=C, pool_id=P, starts_on=date(2026, 12, 1)),
        PlanAgreed(case_id=case, plan_id=R, number=1, version=2),
        PlanDecided(
            case_id=case,
            plan_id=R,
            number=1,
            version=2,
            decided="support",
            agencies=[npo],
            monitor_on=date(2027, 1, 15),
        ),
        PlanEvaluated(case_id=case, plan_id=R, number=1, reached="partly", ending="new_plan"),
        *ways_of_a_referral(case),
        *tasks_and_conferences(case),
    ]


def ways_of_a_referral(case: UUID) -> list[Event]:
    """What happens to a referral between being sent and being closed."""
    city, day = "kagoshima-city", date(2026, 12, 1)
    about: dict[str, Any] = {
        "case_id": case,
        "referral_id": R,
        "sender": "kagoshima-desk",
        "receiver": "kirishima-npo",
    }
    return [
        TransferBecameRefer(**about, responsible="kagoshima-desk", holder="sakura-npo"),
        ReferralCourseChanged(
            **about, before="kagoshima-school", coordinator=city, course_run_before=C, course_run_id=S
        ),
        ReferralReturned(**about, missing=["wishes"]),
        ReferralRerouted(**about, next_referral_id=C, next_receiver="sakura-npo"),
        ReferralDeclineProposed(**about, coordinator=city, reason="no_capacity"),
        ReferralProgressed(**about, state="waiting", move="wait", review_on=day),
        ReferralOverdue(
            **about, coordinator=city, waits_for="kirishima-npo", clock="contact", tier="second", due_on=day
        ),
        ReferralTakenOver(case_id=case, referral_id=R, before="kirishima-npo", coordinator=city, because="silence"),
        ReferralSentOn(case_id=case, referral_id=R, agency=city, next_referral_id=C),
        ReferralNotPlaced(case_id=case, referral_id=R, coordinator=city, reason="nothing_fits"),
        LinkUndelivered(**about, coordinator=city, channel="email", reason="no_mail_server"),
        ReferralOutcomeSet(**about, outcome="started", number=1),
        ReferralClosed(**about, outcome="employed"),
        HopsAlarm(case_id=case, hops=3, coordinator=city),
    ]


def tasks_and_conferences(case: UUID) -> list[Event]:
    """What agencies have to do, and where they met about it."""
    desk, day = "kagoshima-desk", date(2026, 12, 1)
    task: dict[str, Any] = {"case_id": case, "task_id": R, "task": "referral", "owner": desk}
    met: dict[str, Any] = {"case_id": case, "conference_id": C, "chair": desk}
    return [
        ConferenceCalled(**met, members=["kirishima-npo"], held_on=day),
        ConferencePostponed(**met, held_on=day),
        ConferenceCancelled(**met, reason="no_day_found"),
        ConferenceConcluded(**met, present=[desk], held_on=day, decisions=1),
        TaskAssigned(**task, due_on=day, origin="conference", origin_id=C),
        TaskOverdue(**task, holder=desk, due_on=day, tier=1),
        TaskEnded(**task, state="done"),
        ReferralNotSent(case_id=case, task_id=R, owner=desk, reason="not_given"),
    ]


async def test_every_outcome_stands_in_the_timeline(world: World) -> None:
    intake = world.service("intake")
    case_id = await open_case(intake)
    events = outcomes(case_id)
    assert {type(event) for event in events} == set(reactions)
    await intake.hear(*events)
    shown = (await timeline(intake, case_id))[1:]
    assert [entry["kind"] for entry in shown] == [type(event).type.split(".")[3].replace("-", "_") for event in events]
    assert [entry["service"] for entry in shown] == [event.publisher for event in events]
    by_kind = {entry["kind"]: entry["codes"] for entry in shown}
    assert by_kind["seat_waitlisted"]["position"] == 3
    assert by_kind["referral_declined"]["reason"] == "full"
    assert by_kind["enrolled"]["starts_on"] == "2026-12-01"
    assert by_kind["assessment_recorded"]["prolongation_risk"] == "true"
    assert by_kind["hops_alarm"] == {"hops": 3, "coordinator": "kagoshima-city"}


async def test_levels_do_not_stand_in_the_timeline(world: World) -> None:
    intake = world.service("intake")
    case_id = await open_case(intake)
    await intake.hear(outcomes(case_id)[0])
    (entry,) = (await timeline(intake, case_id))[1:]
    assert not {"interpersonal", "mental", "stress", "thinking", "environment"} & entry["codes"].keys()


async def test_what_arrives_twice_stands_there_once(world: World) -> None:
    intake = world.service("intake")
    case_id = await open_case(intake)
    event_id = uuid4()
    accepted = ReferralAccepted(case_id=case_id, referral_id=R, sender="kagoshima-desk", receiver="kirishima-npo")
    await intake.hear(accepted, event_id=event_id)
    await intake.hear(accepted, event_id=event_id)
    await intake.rows("DELETE FROM inbox")  # its memory has run out, and the topic is read again from its beginning
    await intake.hear(accepted, event_id=event_id)
    assert [entry["kind"] for entry in await timeline(intake, case_id)] == ["case_opened", "referral_accepted"]
    assert await intake.rows("SELECT id FROM parked") == []
    (case,) = await intake.rows("SELECT holder_agency, version FROM case_")
    assert (case["holder_agency"], case["version"]) == ("kirishima-npo", 2)


async def test_who_only_does_its_part_does_not_hold_the_case(world: World) -> None:
    intake = world.service("intake")
    case_id = await open_case(intake)
    parts: dict[str, Any] = {
        "case_id": case_id,
        "referral_id": R,
        "sender": "kagoshima-desk",
        "receiver": "kirishima-npo",
    }
    await intake.hear(ReferralAccepted(**parts, verb="refer"))
    (case,) = await intake.rows("SELECT holder_agency FROM case_")
    assert case["holder_agency"] == "kagoshima-desk"


async def test_the_coordinator_that_takes_over_holds_the_case_only_if_its_receiver_did(world: World) -> None:
    intake = world.service("intake")
    case_id = await open_case(intake)
    taken: dict[str, Any] = {
        "case_id": case_id,
        "referral_id": R,
        "coordinator": "kagoshima-city",
        "because": "silence",
    }
    await intake.hear(ReferralTakenOver(**taken, before="kagoshima-desk"))
    (case,) = await intake.rows("SELECT holder_agency FROM case_")
    assert case["holder_agency"] == "kagoshima-desk", "what nobody accepted has moved nothing"
    await intake.hear(ReferralTakenOver(**taken, before="sakura-npo", case_moves=True))
    (case,) = await intake.rows("SELECT holder_agency FROM case_")
    assert case["holder_agency"] == "kagoshima-desk", "who did not hold it has nothing to hand over"
    await intake.hear(ReferralTakenOver(**taken, before="kagoshima-desk", case_moves=True))
    (case,) = await intake.rows("SELECT holder_agency FROM case_")
    assert case["holder_agency"] == "kagoshima-city"


async def test_who_accepts_holds_the_case_from_then_on(world: World) -> None:
    intake = world.service("intake")
    case_id = await open_case(intake)
    npo = intake.as_("zama-npo", municipalities=[ZAMA])
    assert (await npo.get(f"/v1/cases/{case_id}")).status_code == 404
    desk_to_npo = ReferralAccepted(case_id=case_id, referral_id=R, sender="kagoshima-desk", receiver="zama-npo")
    beside = ReferralAccepted(case_id=case_id, referral_id=S, sender="kagoshima-desk", receiver="somebody-else")
    await intake.hear(desk_to_npo, beside)
    assert (await npo.get(f"/v1/cases/{case_id}")).json()["holder_agency"] == "zama-npo"
    opener = intake.as_("kagoshima-desk", municipalities=[ZAMA])
    for caller in (npo, opener):
        assert (await caller.get(f"/v1/cases/{case_id}")).status_code == 200
        listed = (await caller.get("/v1/cases", params={"holder": "zama-npo"})).json()["items"]
        assert [case["case_id"] for case in listed] == [str(case_id)]


async def test_news_of_an_unknown_case_stops_nobody(world: World) -> None:
    intake = world.service("intake")
    await intake.hear(*outcomes(uuid4()))
    assert await intake.rows("SELECT id FROM parked") == []


async def test_the_timeline_is_in_the_order_in_which_things_happened(world: World) -> None:
    """Also page by page: a case and its consent, given in the same breath, stand there at the same moment."""
    intake = world.service("intake")
    case_id = await open_case(intake, consent={"state": "given", "purposes": ["referral"]})
    await intake.hear(*outcomes(case_id)[:4])
    seen = await intake.as_().whole(f"/v1/cases/{case_id}/timeline", limit=1)
    assert seen == await timeline(intake, case_id)
    assert [entry["at"] for entry in seen] == sorted(entry["at"] for entry in seen)
    assert [entry["kind"] for entry in seen[:2]] == ["case_opened", "consent_given"]
    assert len(seen) == 6


@pytest.mark.parametrize("event", sorted(reactions, key=str))
def test_intake_hears_others_only(event: type[Event]) -> None:
    assert event.publisher != "intake"
    assert EVENTS[event.type] is event


async def open_case(intake: Running, **body: Any) -> UUID:
    return UUID(await opened(intake.as_(), **body))


async def timeline(intake: Running, case_id: UUID) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await intake.as_().get(f"/v1/cases/{case_id}/timeline")).json()["items"]
    return items
