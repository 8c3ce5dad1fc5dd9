"""The clock's door for referrals: remind, tell the whole municipality, let the coordinator take over."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import clocks
from services.referral.domain.clocks import next_tier
from services.referral.domain.states import Tier
from services.referral.handlers.links import remind
from services.referral.handlers.moving import take_over
from services.referral.handlers.referrals import coordinator_of
from services.referral.handlers.waiting import calendar_for, with_clock
from services.referral.tables import clock_steps, facts, referrals
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
    assert waits.tier is not None  # and a day for it
    if not clocks.is_of(waits, referral):
        # The release before moved it beside us, and left its clock as it was: nobody is reminded of the wrong thing.
        await referrals.store_waits(session, await with_clock(session, referral, now))
        return True
    calendar = await calendar_for(session, waits.agency, referral)
    days = clocks.days_of(referral, calendar.days)
    then = next_tier(waits, of=referral, is_open=calendar.is_open, days=days)
    await referrals.store_tier(session, referral.id, then)
    if waits.tier is Tier.TAKE_OVER:
        await take_over(session, referral, now)
        return True
    tier = waits.tier
    over_on = clocks.takes_over_on(then, of=referral, is_open=calendar.is_open, days=days)
    reminded = referral
    if over_on is None or over_on > day_in_japan(now):  # else we are late, and nobody can answer in time any more
        # Where a letter has to go out first, it is its sender who is reminded.
        reminded = await remind(session, replace(referral, waits=then), now)
    if reminded.waits is not None and reminded.waits.clock is not waits.clock:
        waits = reminded.waits
    await clock_steps.add(session, [replace(referral, waits=waits)], step=tier, reason=waits.clock, at=now)
    event = ReferralOverdue(
        case_id=referral.case_id,
        referral_id=referral.id,
        sender=referral.sender,
        receiver=referral.receiver,
        coordinator=referral.coordinator,
        waits_for=waits.agency,
        clock=waits.clock,
        tier=tier,
        due_on=waits.due_on,
    )
    await emit(session, (event, referral.version), at=now)
    return True


async def start_missing(session: AsyncSession, now: datetime) -> bool:
    """One open referral without a clock, as the release before writes them: it waits for somebody from today on."""
    found = await referrals.lock_clockless(session)
    if found is None:
        return False
    fact = await facts.find_case_fact(session, found.case_id)
    assert fact is not None  # a referral is of a case that was heard of
    parties = {"sender": found.sender, "receiver": found.receiver}
    coordinator = await coordinator_of(session, fact, found.verb, **parties)
    named = replace(found, coordinator=coordinator) if found.coordinator == found.sender else found
    await referrals.store_waits(session, await with_clock(session, named, now))
    return True
