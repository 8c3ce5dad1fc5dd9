"""What became of a case elsewhere comes back to its timeline, without anybody having asked: codes and ids only."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.handlers import cases as handlers
from services.intake.handlers import custody
from services.intake.handlers.responsibility import note_responsibility
from shared.bus.inbox import News, Reaction
from shared.events import (
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

Answer = ReferralReceived | ReferralReturned | ReferralDeclineProposed | ReferralRerouted
"""What a receiver says of a referral, though it may say it without having acknowledged it first."""


def followed(kind: str, *shown: str) -> Reaction:
    """The same of a referral's step, which also says who answers for it from now on."""

    async def note(session: AsyncSession, event: Event, news: News) -> None:
        await _follow(session, event, news, kind, *shown)

    return note


def noted(kind: str, *shown: str) -> Reaction:
    """Keeps the named fields. FDP levels are not among them: a timeline is read by more people than a rating."""

    async def note(session: AsyncSession, event: Event, news: News) -> None:
        await _note(session, event, news, kind, *shown)

    return note


def answered(kind: str, *shown: str) -> Reaction:
    """The same of what the receiver says: it has seen the referral, and a hand-off that it carries is open no more."""

    async def note(session: AsyncSession, event: Answer, news: News) -> None:
        if await _follow(session, event, news, kind, *shown):
            await custody.acknowledge(session, event.case_id, event.referral_id)

    return note


async def referral_accepted(session: AsyncSession, event: ReferralAccepted, news: News) -> None:
    """The receiver took it on. Where that is a hand-over, it holds the case from now on, if the sender did."""
    fields = ("referral_id", "sender", "receiver", "verb")
    if not await _follow(session, event, news, "referral_accepted", *fields):
        return
    await custody.acknowledge(session, event.case_id, event.referral_id)
    if event.verb != "refer":
        parties = {"sender": event.sender, "receiver": event.receiver}
        await custody.accepted(session, event.case_id, event.referral_id, **parties, now=news.now)


async def referral_progressed(session: AsyncSession, event: ReferralProgressed, news: News) -> None:
    """It went on. That there is no room yet is a receiver's first word, too; every other step follows on one."""
    fields = ("referral_id", "receiver", "state", "review_on")
    if await _follow(session, event, news, "referral_progressed", *fields) and event.move == "wait":
        await custody.acknowledge(session, event.case_id, event.referral_id)


async def referral_taken_over(session: AsyncSession, event: ReferralTakenOver, news: News) -> None:
    """Silence, or a decline: the municipality's coordinator answers for it, and finds the next place.

    What nobody accepted has moved no case: who held it holds it still. Only a receiver that took the case on and was
    silent since loses it, unless it has handed it on.
    """
    shown = ("referral_id", "before", "coordinator", "because", "proposed_programme_id", "proposed_course_run_id")
    if await _follow(session, event, news, "referral_taken_over", *shown) and event.case_moves:
        parties = {"sender": event.before, "receiver": event.coordinator}
        await custody.hand_over(session, event.case_id, event.referral_id, **parties, now=news.now)


async def _follow(session: AsyncSession, event: Event, news: News, kind: str, *shown: str) -> bool:
    known = await _note(session, event, news, kind, *shown)
    if known:
        await note_responsibility(session, event, now=news.now)
    return known


async def _note(session: AsyncSession, event: Event, news: News, kind: str, *shown: str) -> bool:
    return await handlers.note_news(
        session,
        UUID(event.subject),
        kind,
        event.model_dump(mode="json", include=set(shown), exclude_none=True),
        at=news.published_at,
        service=event.publisher,
        event_id=news.event_id,
    )


reactions: dict[type[Event], Reaction] = {
    AssessmentRecorded: noted("assessment_recorded", "assessment_id", "number", "setting", "prolongation_risk"),
    ReferralSent: followed(
        "referral_sent", "referral_id", "sender", "receiver", "programme_id", "course_run_id", "verb"
    ),
    ReferralReceived: answered("referral_received", "referral_id", "receiver"),
    ReferralAccepted: referral_accepted,
    TransferBecameRefer: followed(
        "transfer_became_refer", "referral_id", "sender", "receiver", "responsible", "holder"
    ),
    ReferralDeclined: followed("referral_declined", "referral_id", "sender", "receiver", "reason"),
    ReferralWithdrawn: followed("referral_withdrawn", "referral_id", "sender", "receiver", "reason"),
    ReferralCourseChanged: followed(
        "referral_course_changed", "referral_id", "before", "receiver", "course_run_before", "course_run_id"
    ),
    ReferralReturned: answered("referral_returned", "referral_id", "sender", "receiver", "missing"),
    ReferralRerouted: answered("referral_rerouted", "referral_id", "receiver", "next_referral_id", "next_receiver"),
    ReferralDeclineProposed: answered("referral_decline_proposed", "referral_id", "receiver", "coordinator", "reason"),
    ReferralProgressed: referral_progressed,
    ReferralOverdue: noted("referral_overdue", "referral_id", "waits_for", "clock", "tier", "due_on"),
    ReferralTakenOver: referral_taken_over,
    ReferralSentOn: noted("referral_sent_on", "referral_id", "agency", "next_referral_id"),
    ReferralNotPlaced: noted("referral_not_placed", "referral_id", "coordinator", "reason"),
    LinkUndelivered: noted("link_undelivered", "referral_id", "receiver", "channel", "reason"),
    ReferralOutcomeSet: followed("referral_outcome_set", "referral_id", "receiver", "outcome", "number"),
    ReferralClosed: followed("referral_closed", "referral_id", "receiver", "outcome"),
    # たらい回しのおそれ / passed about: the holder and the coordinator read it where they read everything of the case.
    HopsAlarm: noted("hops_alarm", "hops", "coordinator"),
    SeatHeld: noted("seat_held", "seat_request_id", "referral_id", "course_run_id", "pool_kind", "expires_at"),
    SeatWaitlisted: noted("seat_waitlisted", "seat_request_id", "referral_id", "course_run_id", "position"),
    SeatRefused: noted("seat_refused", "referral_id", "course_run_id", "reason"),
    SeatReleased: noted("seat_released", "seat_request_id", "referral_id", "course_run_id", "reason"),
    TrainingNominated: noted("training_nominated", "seat_request_id", "course_run_id", "by_agency", "authority"),
    NominationCountersigned: noted("nomination_countersigned", "seat_request_id", "course_run_id", "by_agency"),
    InstructionIssued: noted(
        "instruction_issued",
        "seat_request_id",
        "instruction_id",
        "referral_id",
        "course_run_id",
        "by_agency",
        "authority",
        "kind",
    ),
    InstructionCancelled: noted(
        "instruction_cancelled", "seat_request_id", "instruction_id", "course_run_id", "by_agency"
    ),
    TrainingSelected: noted(
        "training_selected", "seat_request_id", "referral_id", "course_run_id", "result", "result_on", "moved_up"
    ),
    AttendanceWarned: noted("attendance_warned", "seat_request_id", "course_run_id", "standing"),
    AttendanceWarningLifted: noted("attendance_warning_lifted", "seat_request_id", "course_run_id"),
    TrainingEnded: noted("training_ended", "seat_request_id", "referral_id", "course_run_id", "ending", "ended_on"),
    EmploymentRecorded: noted("employment_recorded", "seat_request_id", "course_run_id", "checkpoint", "outcome"),
    # What agencies have to do about a case, and where they met about it. Of a meeting by Art. 9 nothing is told.
    TaskAssigned: noted("task_assigned", "task_id", "task", "owner", "due_on", "origin"),
    TaskOverdue: noted("task_overdue", "task_id", "task", "owner", "due_on", "tier"),
    TaskEnded: noted("task_ended", "task_id", "task", "owner", "state", "reason"),
    ConferenceCalled: noted("conference_called", "conference_id", "chair", "held_on", "by_duty"),
    ConferencePostponed: noted("conference_postponed", "conference_id", "chair", "held_on"),
    ConferenceCancelled: noted("conference_cancelled", "conference_id", "chair", "reason"),
    ConferenceConcluded: noted("conference_concluded", "conference_id", "chair", "held_on", "decisions"),
    ReferralNotSent: noted("referral_not_sent", "task_id", "owner", "reason"),
    Enrolled: noted("enrolled", "seat_request_id", "referral_id", "course_run_id", "starts_on"),
    PlanAgreed: noted("plan_agreed", "plan_id", "number", "version"),
    PlanDecided: noted("plan_decided", "plan_id", "number", "version", "decided", "monitor_on"),
    PlanEvaluated: noted("plan_evaluated", "plan_id", "number", "reached", "ending"),
}
