"""The clock's door for referrals: remind, tell the whole municipality, let the coordinator take over."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.clocks import next_tier
from services.referral.domain.states import Tier
from services.referral.handlers.moving import take_over
from services.referral.tables import calendars, referrals
from shared.bus.mailbox import emit
from shared.events import ReferralOverdue
from shared.service import day_in_japan


async def ring(session: AsyncSession, now: datetime) -> bool:
    """One referral whose clock has reached its next tier. False when there is none."""
    referral = await referrals.lock_due(session, today=day_in_japan(now))
    if referral is None:
        return False
    waits = referral.waits
    assert waits is not None  # only a clock that runs has a tier
    calendar = await calendars.calendar_of(session, waits.agency, referral.programme_id)
    then = next_tier(waits, kind=referral.kind, is_open=calendar.is_open, days=calendar.days)
    await referrals.store_tier(session, referral.id, then)
    if waits.tier is Tier.TAKE_OVER:
        await take_over(session, referral, now)
        return True
    event = ReferralOverdue(
        case_id=referral.case_id,
        referral_id=referral.id,
        sender=referral.sender,
        receiver=referral.receiver,
        coordinator=referral.coordinator,
        waits_for=waits.agency,
        clock=waits.clock,
        tier=waits.tier or Tier.SECOND,
        due_on=waits.due_on,
    )
    await emit(session, (event, referral.version), at=now)
    return True
