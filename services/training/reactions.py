"""What other services' news means here: a seat to find, or a seat to give back."""

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import Refused
from services.training.handlers import seats
from shared.bus.inbox import News, Reaction
from shared.bus.mailbox import emit
from shared.events import ConsentWithdrawn, Event, ReferralWithdrawn, SeatRefused, TrainingReferred


async def seat_for_referral(session: AsyncSession, event: TrainingReferred, news: News) -> None:
    """Find a seat. Nobody waits on the line, so a refusal is told as an event too."""
    outcome = await seats.request_seat(
        session,
        course_run_id=event.course_run_id,
        case_id=event.case_id,
        municipality=event.municipality,
        requested_by=event.sender,
        now=news.now,
        hold_until=event.hold_until,
        referral_id=event.referral_id,
    )
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
    reason = "consent_withdrawn" if event.reason == "consent_withdrawn" else "withdrawn"
    await seats.release_seat_of_referral(session, event.referral_id, reason=reason, now=news.now)


async def seats_without_consent(session: AsyncSession, event: ConsentWithdrawn, news: News) -> None:
    """What rests on consent alone stops; an enrolment stands on its own contract and stays."""
    await seats.release_seats_of_case(session, event.case_id, reason="consent_withdrawn", now=news.now)


reactions: dict[type[Event], Reaction] = {
    TrainingReferred: seat_for_referral,
    ReferralWithdrawn: seat_given_back,
    ConsentWithdrawn: seats_without_consent,
}
