"""Keeping the second book of who answers for each referral, from what is told of it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.responsibility import Entry, Heard, follow
from services.intake.tables import responsibility as tables
from shared.events import (
    Event,
    ReferralAccepted,
    ReferralClosed,
    ReferralCourseChanged,
    ReferralDeclined,
    ReferralDeclineProposed,
    ReferralOutcomeSet,
    ReferralProgressed,
    ReferralReceived,
    ReferralRerouted,
    ReferralReturned,
    ReferralSent,
    ReferralTakenOver,
    ReferralWithdrawn,
    TransferBecameRefer,
)


async def note_responsibility(session: AsyncSession, event: Event, *, now: datetime) -> None:
    """The next entry of the referral that the event is about; what says nothing of who answers for it leaves none."""
    referral_id: UUID | None = getattr(event, "referral_id", None)
    if referral_id is None:
        return
    before, heard = await tables.find_last(session, referral_id), _heard(event, now)
    if isinstance(event, ReferralSent):
        # It is sent once. What is told again long afterwards (the operator let intake hear anew) begins nothing.
        if before is None:
            await tables.add_entry(session, _sent(event, now))
    elif heard is not None and before is not None:
        await tables.add_entry(session, follow(before, heard))


def _sent(event: ReferralSent, now: datetime) -> Entry:
    return Entry(
        event.referral_id,
        event.case_id,
        number=1,
        state="sent",
        holder=event.sender,
        sender=event.sender,
        receiver=event.receiver,
        coordinator=event.coordinator,
        verb=event.verb,
        ended=None,
        at=now,
    )


def _heard(event: Event, now: datetime) -> Heard | None:
    match event:
        case ReferralDeclineProposed():
            return Heard("decline_pending", now, coordinator=event.coordinator)
        case ReferralProgressed():
            return Heard("progressed", now, state=event.state)
        case ReferralDeclined() | ReferralWithdrawn():
            return Heard(_CALLED[type(event)], now, code=event.reason)
        case ReferralClosed():
            return Heard("closed", now, code=event.outcome)
        case TransferBecameRefer():
            return Heard("became_refer", now, holder=event.responsible)
        case ReferralCourseChanged():
            return Heard("course_changed", now, coordinator=event.coordinator, receiver=event.receiver)
        case ReferralTakenOver():
            return Heard("taken_over", now, coordinator=event.coordinator, ends=event.ended)
        case _:
            called = _CALLED.get(type(event))
            return None if called is None else Heard(called, now)


_CALLED: dict[type[Event], str] = {
    ReferralReceived: "received",
    ReferralReturned: "returned",
    ReferralAccepted: "accepted",
    ReferralRerouted: "rerouted",
    ReferralDeclined: "declined",
    ReferralWithdrawn: "withdrawn",
    ReferralOutcomeSet: "outcome_set",
}
