"""What the others' facts mean here. They come from three topics, in any order across them, and sometimes twice."""

from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import training_words as words
from services.referral.domain.moves import BACK_TO_LINE
from services.referral.domain.needs import EndReason
from services.referral.domain.states import Outcome, Party
from services.referral.domain.training_words import Seat
from services.referral.handlers import course_changes, decided, moving, needs, places, training_words
from services.referral.tables import facts, schema
from services.referral.tables.decided import Decided
from shared.bus.inbox import News, Reaction
from shared.consent import AFTER_ERASURE, LAST_WORD, Said, consent_said
from shared.events import (
    AssessmentRecorded,
    CaseClosed,
    CaseErased,
    CaseHandedOver,
    CaseNotHandedOver,
    CaseOpened,
    CaseReopened,
    ConsentGiven,
    ConsentPending,
    ConsentRefused,
    ConsentWithdrawn,
    CourseOffered,
    EmploymentRecorded,
    Enrolled,
    Event,
    InstructionCancelled,
    InstructionIssued,
    NominationCountersigned,
    PoolChanged,
    ReferralDecided,
    SeatHeld,
    SeatRefused,
    SeatReleased,
    SeatWaitlisted,
    TrainingEnded,
    TrainingNominated,
    TrainingSelected,
)
from shared.service import day_in_japan

_OfSeat = (
    SeatHeld | SeatWaitlisted | SeatReleased | TrainingSelected | InstructionIssued | InstructionCancelled | Enrolled
)
"""What training tells of a seat, or of a place in line, that may go on for a referral."""
ERASED = "case_erased"
AXES = ("interpersonal", "mental", "stress", "thinking", "environment")


async def case_opened(session: AsyncSession, event: CaseOpened, news: News) -> None:
    """From now on the case can be referred; an assessment may have been heard of before."""
    await facts.put_case_fact(
        session,
        event.case_id,
        municipality=event.municipality,
        opened_by=event.agency_id,
        topics=event.topics,
        needs=event.needs,
        urgent=event.urgent,
    )
    await facts.put_holder(session, event.case_id, event.agency_id, news.sequence)
    await decided.try_of_case(session, event.case_id, now=news.now)


async def consent_changed(session: AsyncSession, event: Said, news: News) -> None:
    """What may be shared, with whom, until when; a no after an earlier yes takes back what nobody has accepted."""
    consent = consent_said(event)
    await moving.note_consent(session, event.case_id, consent, version=event.consent_version, now=news.now)
    await decided.try_of_case(session, event.case_id, now=news.now)


async def case_erased(session: AsyncSession, event: CaseErased, news: News) -> None:
    """Nobody is left to be referred: what nobody has accepted is taken back. Codes alone were kept here, and stay."""
    await moving.note_consent(session, event.case_id, AFTER_ERASURE, version=LAST_WORD, because=ERASED, now=news.now)
    await places.end_all(session, event.case_id, reason=ERASED, now=news.now)
    await needs.end_all(session, event.case_id, EndReason.CASE_ERASED, now=news.now)
    await facts.put_case_fact(session, event.case_id, closed_at=news.now)
    await decided.try_of_case(session, event.case_id, now=news.now)


async def case_handed_over(session: AsyncSession, event: CaseHandedOver | CaseReopened, news: News) -> None:
    """Another agency holds the case, or somebody does again: what it lacks is looked at anew today."""
    facts_now = {"closed_at": None, "needs_looked_at": None}
    if await facts.put_holder(session, event.case_id, event.agency_id, news.sequence, **facts_now):
        await moving.note_holder(session, event.case_id, event.agency_id, news.now, answers=event.referral_id)


async def case_not_handed_over(session: AsyncSession, event: CaseNotHandedOver, news: News) -> None:
    """What was accepted here moved nothing: another held the case by then, or its receiver did already."""
    await moving.keep_holder(session, event.case_id, event.referral_id, holder=event.agency_id, now=news.now)
    if await facts.put_holder(session, event.case_id, event.agency_id, news.sequence):
        await moving.note_holder(session, event.case_id, event.agency_id, news.now, answers=event.referral_id)


async def case_closed(session: AsyncSession, event: CaseClosed, news: News) -> None:
    """Nothing is looked for any more. What is under way goes on with its clocks, unless the support was broken off.

    Who has handed it on ends nothing: whoever took it on goes on with it, and intake hears of that in a moment.
    """
    if not await facts.put_holder(session, event.case_id, event.agency_id, news.sequence):
        return  # it was opened again since
    if await moving.note_holder(session, event.case_id, event.agency_id, news.now):
        return
    await facts.put_case_fact(session, event.case_id, closed_at=news.published_at)
    if event.interrupted:
        await moving.end_with_case(session, event.case_id, news.now)
    await places.end_all(session, event.case_id, reason="case_closed", now=news.now)
    await needs.end_all(session, event.case_id, EndReason.CASE_CLOSED, now=news.now)


async def assessment_recorded(session: AsyncSession, event: AssessmentRecorded, _: News) -> None:
    """The newest rating; an axis that nobody observed stays absent."""
    levels = {axis: level for axis in AXES if (level := getattr(event, axis)) is not None}
    await facts.put_case_fact(
        session,
        event.case_id,
        schema.case_fact.c.assessment_number,
        assessment_number=event.number,
        levels=levels,
        prolongation_risk=event.prolongation_risk,
    )


async def course_offered(session: AsyncSession, event: CourseOffered, news: News) -> None:
    """A course run that cases can be referred to, or its changed entry."""
    await _keep(session, schema.course_option, schema.course_option.c.course_run_id, event, news)
    await decided.try_of_course(session, event.course_run_id, now=news.now)
    await course_changes.follow_all(session, event.course_run_id, now=news.now)


async def referral_decided(session: AsyncSession, event: ReferralDecided, news: News) -> None:
    """A conference decided to refer the case, in its owner's name."""
    order = Decided(
        event.task_id,
        event.case_id,
        event.owner,
        event.programme_id,
        event.course_run_id,
        event.consent_version,
        news.now,
    )
    await decided.take_up(session, order, now=news.now)


async def pool_changed(session: AsyncSession, event: PoolChanged, news: News) -> None:
    """How many seats are left, and to whom: to all, to one municipality, or to several together."""
    await _keep(session, schema.course_pool, schema.course_pool.c.pool_id, event, news)


async def seat_held(session: AsyncSession, event: SeatHeld, news: News) -> None:
    """Training has seen the referral and keeps a seat. Nobody has accepted yet."""
    await _seat(session, event, news, "hold_seat", day=day_in_japan(event.expires_at))


async def seat_waitlisted(session: AsyncSession, event: SeatWaitlisted, news: News) -> None:
    """Training has seen the referral; the person stands in line. Or again, without the seat that there was."""
    course = await facts.find_course(session, event.course_run_id)
    day = None if course is None else day_in_japan(course.applications_close_at)
    await _seat(session, event, news, BACK_TO_LINE if event.again else "wait_for_seat", day=day)


async def training_selected(session: AsyncSession, event: TrainingSelected, news: News) -> None:
    """The school's result keeps the seat longer than it was held before; a rejection is told by its release."""
    if event.expires_at is not None:
        await _seat(session, event, news, "hold_seat", day=day_in_japan(event.expires_at))


async def instruction_cancelled(session: AsyncSession, event: InstructionCancelled, news: News) -> None:
    """A support instruction ended before the course began: the seat is held for another paper."""
    if await _hear_paper(session, event, news) and event.expires_at is not None:
        await training_words.lose_paper(
            session, event.case_id, event.referral_id, event.state, event.expires_at, now=news.now
        )


async def instruction_issued(session: AsyncSession, event: InstructionIssued, news: News) -> None:
    """受講指示: still not an enrolment."""
    if not await _hear_paper(session, event, news):
        return
    course = await facts.find_course(session, event.course_run_id)
    await _seat(session, event, news, "instruct", day=None if course is None else course.starts_on)


async def enrolled(session: AsyncSession, event: Enrolled, news: News) -> None:
    """The course has begun for the person: the provider is responsible now."""
    course = await facts.find_course(session, event.course_run_id)
    provider = None if course is None else course.provider
    if await _is_its_own(session, event, news):
        await training_words.keep_from_another(
            session, event.case_id, event.referral_id, event.course_run_id, provider, now=news.now
        )
    await _seat(session, event, news, "enrol", day=None if course is None else course.ends_on)
    await training_words.begin(session, event.case_id, event.referral_id, now=news.now)


async def training_ended(session: AsyncSession, event: TrainingEnded, news: News) -> None:
    """修了・中途退校: the school's part is over, and this is what came of it so far."""
    outcome = words.of_end(event.ending, for_work=event.for_work)
    await _word(session, event, news, words.END, outcome)


async def employment_recorded(session: AsyncSession, event: EmploymentRecorded, news: News) -> None:
    """就職の状況 on a set day: having a job, and still having one after three months."""
    await _word(session, event, news, event.checkpoint, words.of_set_day(event.checkpoint, event.outcome))


async def seat_refused(session: AsyncSession, event: SeatRefused, news: News) -> None:
    """It comes back to the sender, with training's reason."""
    await _seat_lost(session, event, news, "refuse_seat")


async def seat_released(session: AsyncSession, event: SeatReleased, news: News) -> None:
    """The same, after a seat was held or a place in line was kept."""
    await _seat_lost(session, event, news, "release_seat")


async def training_nominated(session: AsyncSession, event: TrainingNominated, news: News) -> None:
    """推薦 by the municipality's free job placement. A trial place needs no paper: it is waited for the first day."""
    course = await facts.find_course(session, event.course_run_id)
    day = course.starts_on if course is not None and course.system == "trial" else None
    await _nomination(session, event, news, "nominate", day)


async def nomination_countersigned(session: AsyncSession, event: NominationCountersigned, news: News) -> None:
    """Hello Work agreed, as today's law asks."""
    await _nomination(session, event, news, "countersign")


async def _keep(session: AsyncSession, table: Table, key: Column[Any], event: Event, news: News) -> None:
    values = event.model_dump(include=set(table.c.keys()))  # an event may tell more than we keep
    await facts.put_newer(session, table, key, **values, sequence=news.sequence)


async def _seat(
    session: AsyncSession,
    event: SeatHeld | SeatWaitlisted | TrainingSelected | InstructionIssued | Enrolled,
    news: News,
    name: str,
    *,
    day: date | None,
) -> None:
    """`day`: until when it stands like that: the hold's end, the end of applications, the first or the last day."""
    await training_words.follow_seat(
        session,
        name,
        case_id=event.case_id,
        referral_id=event.referral_id,
        seat=_seat_of(event, news),
        day=day,
        now=news.now,
    )


def _seat_of(event: _OfSeat, news: News) -> Seat:
    seat = Seat(event.seat_request_id, event.course_run_id, news.published_at)
    if isinstance(event, SeatHeld):
        return replace(seat, consent_version=event.consent_version)
    return seat


async def _is_its_own(session: AsyncSession, event: _OfSeat, news: News) -> bool:
    if event.referral_id is None:
        return False
    seat = _seat_of(event, news)
    return await training_words.is_its_own(session, event.case_id, event.referral_id, seat, now=news.now)


async def _hear_paper(session: AsyncSession, event: InstructionIssued | InstructionCancelled, news: News) -> bool:
    return await training_words.hear_paper(
        session, event.case_id, event.referral_id, _seat_of(event, news), sequence=news.sequence, now=news.now
    )


async def _word(
    session: AsyncSession, event: TrainingEnded | EmploymentRecorded, news: News, about: str, outcome: Outcome | None
) -> None:
    await training_words.hear(
        session, event.case_id, event.referral_id, about, outcome, sequence=news.sequence, now=news.now
    )


async def _seat_lost(session: AsyncSession, event: SeatRefused | SeatReleased, news: News, name: str) -> None:
    """Where it is for want of consent, or of the person, it is their word, whichever topic was faster."""
    withdrawn = event.reason in {"consent_withdrawn", ERASED}
    about: dict[str, Any] = {
        "case_id": event.case_id,
        "referral_id": event.referral_id,
        "name": "end_consent" if withdrawn else name,
        "party": Party.PERSON if withdrawn else Party.TRAINING,
        "reason": event.reason,
        "now": news.now,
    }
    if isinstance(event, SeatReleased):
        await training_words.follow_seat(session, seat=_seat_of(event, news), **about)
    else:
        await moving.follow_training(session, **about)


async def _nomination(
    session: AsyncSession,
    event: TrainingNominated | NominationCountersigned,
    news: News,
    name: str,
    day: date | None = None,
) -> None:
    await moving.follow_nomination(
        session,
        case_id=event.case_id,
        seat_request_id=event.seat_request_id,
        name=name,
        now=news.now,
        day=day,
    )


reactions: dict[type[Event], Reaction] = {
    CaseOpened: case_opened,
    CaseErased: case_erased,
    CaseHandedOver: case_handed_over,
    CaseReopened: case_handed_over,
    CaseNotHandedOver: case_not_handed_over,
    CaseClosed: case_closed,
    ConsentGiven: consent_changed,
    ConsentPending: consent_changed,
    ConsentRefused: consent_changed,
    ConsentWithdrawn: consent_changed,
    AssessmentRecorded: assessment_recorded,
    CourseOffered: course_offered,
    PoolChanged: pool_changed,
    SeatHeld: seat_held,
    SeatWaitlisted: seat_waitlisted,
    SeatRefused: seat_refused,
    SeatReleased: seat_released,
    TrainingNominated: training_nominated,
    NominationCountersigned: nomination_countersigned,
    TrainingSelected: training_selected,
    InstructionIssued: instruction_issued,
    InstructionCancelled: instruction_cancelled,
    Enrolled: enrolled,
    TrainingEnded: training_ended,
    EmploymentRecorded: employment_recorded,
    ReferralDecided: referral_decided,
}


def concerns(event: Event) -> bool:
    """Not seats that nobody was referred to, which are most; nor those of a target group, not counted as yet."""
    if isinstance(event, PoolChanged):
        return event.kind != "priority"
    return not (isinstance(event, _OfSeat | SeatRefused) and event.referral_id is None)
