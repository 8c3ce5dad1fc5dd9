"""What other services' news means here: a case to know of, a seat to find, or a seat to give back."""

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.quota import Refused
from services.training.handlers import seats
from services.training.tables import cases, training_facts
from shared.bus.inbox import News, Reaction
from shared.bus.mailbox import Origin, emit
from shared.consent import AFTER_ERASURE, LAST_WORD, Said, consent_said
from shared.events import (
    CaseErased,
    CaseOpened,
    ConsentGiven,
    ConsentPending,
    ConsentRefused,
    ConsentWithdrawn,
    Event,
    ReferralWithdrawn,
    SeatRefused,
    TrainingReferred,
)

ERASED = "case_erased"


async def case_opened(session: AsyncSession, event: CaseOpened, _: News) -> None:
    """From now on its municipality may ask for seats, once there is consent; a consent may have been heard before."""
    await cases.keep_case(session, event.case_id, event.municipality)


async def consent_changed(session: AsyncSession, event: Said, news: News) -> None:
    """What rests on consent alone stops with it; an enrolment stands on its own contract and stays."""
    consent = consent_said(event)
    await seats.note_consent(session, event.case_id, consent, version=event.consent_version, now=news.now)


async def case_erased(session: AsyncSession, event: CaseErased, news: News) -> None:
    """Nobody is left who could come: seats and places in line go to the next. An enrolment stays, as codes.

    Reasons of absence, which may tell of illness, go.
    """
    await training_facts.forget_reasons(session, event.case_id)
    await seats.note_consent(session, event.case_id, AFTER_ERASURE, version=LAST_WORD, because=ERASED, now=news.now)


async def seat_for_referral(session: AsyncSession, event: TrainingReferred, news: News) -> None:
    """Find a seat. Nobody waits on the line, so a refusal is told as an event too."""
    order = seats.ReferralOrder(
        case_id=event.case_id,
        referral_id=event.referral_id,
        municipality=event.municipality,
        requested_by=event.sender,
        origin=Origin(by=news.by, cause=str(news.event_id)),
        hold_until=event.hold_until,
    )
    (outcome,) = await seats.request_seats(session, event.course_run_id, [order], now=news.now)
    if isinstance(outcome, Refused):
        refused = SeatRefused(
            case_id=event.case_id,
            referral_id=event.referral_id,
            course_run_id=event.course_run_id,
            reason=outcome.reason.value,
        )
        # No request came to be, so there is no version to tell: the first and only fact of its kind.
        await emit(session, (refused, 1), at=news.now)


async def seat_given_back(session: AsyncSession, event: ReferralWithdrawn, news: News) -> None:
    """The referral is off: its seat, or its place in line, goes to the next."""
    reason = event.reason if event.reason in {"consent_withdrawn", ERASED} else "withdrawn"
    await seats.release_seat_of_referral(session, event.referral_id, reason=reason, now=news.now)


reactions: dict[type[Event], Reaction] = {
    CaseOpened: case_opened,
    CaseErased: case_erased,
    ConsentGiven: consent_changed,
    ConsentPending: consent_changed,
    ConsentRefused: consent_changed,
    ConsentWithdrawn: consent_changed,
    TrainingReferred: seat_for_referral,
    ReferralWithdrawn: seat_given_back,
}
