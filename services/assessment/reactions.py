"""What assessment hears of cases: that there is one, who holds it, what the person said about sharing, and its end;
of decided referrals, what became of them, and a step at a host workplace that was completed, or was not after all."""

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.tasks import DropReason, Kind, State, Task
from services.assessment.handlers import conference_ends, decisions, plan_work, plans, tasks
from services.assessment.handlers.telling import tell
from services.assessment.tables import cases
from shared import vault
from shared.bus.envelope import new_id
from shared.bus.inbox import News, Reaction
from shared.consent import Said, consent_said
from shared.events import (
    CaseClosed,
    CaseErased,
    CaseHandedOver,
    CaseOpened,
    CaseReopened,
    ConsentGiven,
    ConsentPending,
    ConsentRefused,
    ConsentWithdrawn,
    Event,
    NextStepProposed,
    ReferralAccepted,
    ReferralDeclined,
    ReferralNotSent,
    ReferralSent,
    ReferralTakenOver,
    ReferralWithdrawn,
    TrainingEnded,
)

_BY = "tsunagu-assessment"
_TRAINING = "tsunagu-training"


async def case_opened(session: AsyncSession, event: CaseOpened, _: News) -> None:
    """From now on it can be rated here."""
    await cases.keep_case(
        session,
        event.case_id,
        municipality=event.municipality,
        opened_by=event.agency_id,
        opened_at=event.opened_at,
    )


async def case_held(session: AsyncSession, event: CaseHandedOver | CaseReopened, news: News) -> None:
    """Its ratings are the new holder's to read, and its duties the new holder's to meet."""
    case = await cases.lock_case(session, event.case_id)
    if case is None:
        return
    held = await cases.keep_custody(
        session, event.case_id, holder=event.agency_id, closed_at=None, version=news.sequence
    )
    if held and case.holder != event.agency_id:
        await tasks.follow_holder(session, event.case_id, holder=event.agency_id, before=case.holder, now=news.now)
        await plan_work.follow_holder(session, event.case_id, holder=event.agency_id, before=case.holder, now=news.now)


async def case_closed(session: AsyncSession, event: CaseClosed, news: News) -> None:
    """It is rated no more, and nothing waits in it, until somebody takes the person up again."""
    case = await cases.lock_case(session, event.case_id)
    if case is None:
        return
    closed = await cases.keep_custody(
        session, event.case_id, holder=event.agency_id, closed_at=news.published_at, version=news.sequence
    )
    if closed:
        await conference_ends.end_all(session, event.case_id, by=event.agency_id, now=news.now)
        await tasks.drop_all(session, event.case_id, DropReason.CASE_CLOSED, by=event.agency_id, now=news.now)
        await plans.interrupt_plan(session, event.case_id, by=event.agency_id, now=news.now)


async def consent_changed(session: AsyncSession, event: Said, news: News) -> None:
    """Whom the ratings may be shown to. A withdrawn consent ends sharing, not the record of what was rated."""
    consent = consent_said(event)
    if not await cases.keep_consent(session, event.case_id, consent, event.consent_version):
        return
    case = await cases.lock_case(session, event.case_id)
    if case is None:
        return
    await conference_ends.follow_consent(session, case, consent, by=_BY, now=news.now)
    await plan_work.follow_consent(session, event.case_id, now=news.now)
    if isinstance(event, ConsentGiven):
        await decisions.consent_found(session, event.case_id, by=_BY, now=news.now)


async def case_erased(session: AsyncSession, event: CaseErased, _: News) -> None:
    """What was written about the person goes here as well; codes stay, for nobody to read."""
    if await cases.mark_erased(session, event.case_id, event.erased_at):
        await vault.order_erasure(session, [event.case_id], agency=_BY, actor=_BY, reason="case_erased")


async def referral_sent(session: AsyncSession, event: ReferralSent, news: News) -> None:
    """What a conference decided has left."""
    if event.task_id is not None:
        await decisions.referral_left(
            session,
            event.case_id,
            event.task_id,
            event.referral_id,
            passed_on=event.rerouted_from is not None,
            by=event.sender,
            now=news.now,
        )


async def referral_not_sent(session: AsyncSession, event: ReferralNotSent, news: News) -> None:
    """What a conference decided could not leave."""
    await decisions.referral_stayed(
        session, event.case_id, event.task_id, reason=event.reason, by=event.owner, now=news.now
    )


async def referral_ended(
    session: AsyncSession, event: ReferralAccepted | ReferralDeclined | ReferralWithdrawn, news: News
) -> None:
    """Somebody took it on, or it comes back to its owner."""
    reason = None if isinstance(event, ReferralAccepted) else event.reason
    await decisions.referral_ended(
        session, event.case_id, event.referral_id, reason=reason, by=event.receiver, now=news.now
    )


async def referral_taken_over(session: AsyncSession, event: ReferralTakenOver, news: News) -> None:
    """Nobody answered: what a conference decided comes back to its owner. A decline is told by itself."""
    if event.ended and event.because == "silence":
        await decisions.referral_ended(
            session, event.case_id, event.referral_id, reason="no_answer", by=event.coordinator, now=news.now
        )


async def next_step_proposed(session: AsyncSession, event: NextStepProposed, news: News) -> None:
    """A step at a host workplace was completed: who asked for it has to look with the person at the next one."""
    case = await cases.lock_case(session, event.case_id)
    if case is None or case.closed_at is not None:
        return
    task = Task(new_id(), case.id, Kind.NEXT_STEP, State.OPEN, event.owner, event.due_on)
    assigned = await tasks.assign(
        session, task, origin="training", origin_id=event.seat_request_id, by=_TRAINING, now=news.now
    )
    await tell(session, case.id, assigned, now=news.now)


async def training_ended(session: AsyncSession, event: TrainingEnded, news: News) -> None:
    """A completed step is corrected, and nobody came to its end: there is no next one to look at."""
    if event.ending == "completed":
        return
    case = await cases.lock_case(session, event.case_id)
    if case is not None:
        await tasks.drop_of(
            session, case.id, Kind.NEXT_STEP, event.seat_request_id, DropReason.MISTAKE, by=_TRAINING, now=news.now
        )


reactions: dict[type[Event], Reaction] = {
    CaseOpened: case_opened,
    CaseHandedOver: case_held,
    CaseReopened: case_held,
    CaseClosed: case_closed,
    CaseErased: case_erased,
    ConsentGiven: consent_changed,
    ConsentPending: consent_changed,
    ConsentRefused: consent_changed,
    ConsentWithdrawn: consent_changed,
    ReferralSent: referral_sent,
    ReferralNotSent: referral_not_sent,
    ReferralAccepted: referral_ended,
    ReferralDeclined: referral_ended,
    ReferralWithdrawn: referral_ended,
    ReferralTakenOver: referral_taken_over,
    NextStepProposed: next_step_proposed,
    TrainingEnded: training_ended,
}
