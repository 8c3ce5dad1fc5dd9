"""Whom a referral waits for: the clock of the state that it has reached, or the letter that has to go out first."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import clocks
from services.referral.domain.moves import Referral
from services.referral.domain.states import Clock
from services.referral.tables import calendars, facts, referrals
from services.referral.tables.calendars import Calendar
from shared.service import day_in_japan


async def with_clock(
    session: AsyncSession,
    referral: Referral,
    now: datetime,
    *,
    on_the_way: int = 0,
    asked: bool = False,
    known: Calendar | None = None,
) -> Referral:
    """Begin the clock of the state that a referral has reached, in the working days of who has to act.

    `known`: days of an agency that were looked up already, for this programme and municipality.
    """
    running = clocks.waits_for(referral)
    if running is None or (running[0] is Clock.PLACE and await _is_over(session, referral)):
        return replace(referral, waits=None)
    agency = referral.agency(running[1])
    calendar = known if known and known.agency == agency else await calendar_for(session, agency, referral)
    waits = clocks.start(
        referral,
        today=day_in_japan(now),
        is_open=calendar.is_open,
        days=calendar.days,
        on_the_way=on_the_way,
        asked=asked,
    )
    return replace(referral, waits=waits)


async def _is_over(session: AsyncSession, referral: Referral) -> bool:
    """No place is looked for any more. The case is locked by whoever may come to look for one."""
    fact = await facts.find_case_fact(session, referral.case_id)
    return fact is not None and facts.is_over(fact)


async def calendar_for(session: AsyncSession, agency: str, referral: Referral) -> Calendar:
    """The working days of an agency that has to act about a referral, and how many each clock has."""
    return await calendars.calendar_of(
        session, agency, programme_id=referral.programme_id, municipality=referral.municipality
    )


async def lies_here(session: AsyncSession, referral: Referral, now: datetime) -> Referral:
    """What asks the receiver has not gone out: its sender is waited for, from the day on which that became so."""
    if referral.waits is not None and referral.waits.clock is Clock.DELIVER:
        return referral
    calendar = await calendar_for(session, referral.sender, referral)
    waits = clocks.deliver(referral, today=day_in_japan(now), is_open=calendar.is_open, days=calendar.days)
    waiting = replace(referral, waits=waits)
    await referrals.store_waits(session, waiting)
    return waiting


async def went_out(session: AsyncSession, referral: Referral, now: datetime, *, on_the_way: int) -> Referral:
    """The receiver is asked from now on: its time begins, and the post's comes before it."""
    waits = referral.waits
    asked = waits is not None and waits.clock is Clock.DELIVER
    if not asked and clocks.asks_later(referral):
        return referral  # it answers before the day that was named, if it likes
    waiting = await with_clock(session, referral, now, on_the_way=on_the_way, asked=asked)
    await referrals.store_waits(session, waiting)
    return waiting
