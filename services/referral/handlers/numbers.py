"""Times, answers and outcomes of referrals, for whoever took part in them; and the alarm about a case passed about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.numbers import (
    Days,
    Measure,
    Milestone,
    Way,
    by_pair,
    every_milestone,
    thresholds_reached,
)
from services.referral.tables import directory
from services.referral.tables import numbers as tables
from services.referral.tables.calendars import find_coordinator
from services.referral.tables.schema import referral
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.events import HopsAlarm
from shared.service import day_in_japan, is_working_day

BATCH = 50
"""Cases that are counted in one transaction."""


@dataclass(frozen=True, slots=True)
class Period:
    """Referrals sent from one moment to another."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Declined:
    """How many referrals an agency that was asked declined for one reason."""

    receiver: str
    reason: str
    referrals: int


@dataclass(frozen=True, slots=True)
class GiveBack:
    """What an agency gets back for taking part: how it was answered, how it answers, and what came of it.

    What it asked of others counts as sent, also where it asked for a case (申し出); what it had to answer, as received.
    """

    name: str
    sent: int
    sent_requests: int
    answered_us: Mapping[Milestone, Measure]
    received: int
    received_requests: int
    we_answered: Mapping[Milestone, Measure]
    declined: Sequence[Declined]
    states: Mapping[str, int]
    outcomes: Mapping[str, int]
    """Of the cases that it passed to others."""
    own_outcomes: Mapping[str, int]
    """Of its own work: the cases that came to it."""


async def times_by_pair(
    session: AsyncSession, period: Period, actor: Actor, now: datetime
) -> Mapping[tuple[str, str], Mapping[Milestone, Measure]]:
    """Every sender and receiver of referrals that the caller may count."""
    ways = await tables.ways(session, _visible(actor), since=period.since, until=period.until)
    return by_pair(ways, now=now, days=_days(ways, now))


async def declines(session: AsyncSession, period: Period, actor: Actor) -> list[Declined]:
    """By receiver and reason."""
    found = await tables.declines(session, _visible(actor), since=period.since, until=period.until)
    return [Declined(*each) for each in found]


async def hops(session: AsyncSession, period: Period, actor: Actor) -> Mapping[int, int]:
    """How many cases were referred how many times, one after another."""
    return await tables.hops(session, _visible(actor), since=period.since, until=period.until)


async def give_back(session: AsyncSession, period: Period, agency: str, now: datetime) -> GiveBack:
    """The page of one agency, for itself."""
    within = {"since": period.since, "until": period.until}
    sent = await tables.ways(session, tables.asked_by(agency), **within)
    received = await tables.ways(session, tables.asked_of(agency), **within)
    days = _days([*sent, *received], now)
    found = await tables.declines(session, tables.asked_of(agency), **within)
    return GiveBack(
        name=(await directory.names_of(session, [agency])).get(agency, agency),
        sent=len(sent),
        sent_requests=sum(way.is_request for way in sent),
        answered_us=every_milestone(sent, now=now, days=days),
        received=len(received),
        received_requests=sum(way.is_request for way in received),
        we_answered=every_milestone(received, now=now, days=days),
        declined=[Declined(*each) for each in found],
        states=await tables.states(session, tables.asked_by(agency), **within),
        # Whoever asked for it: the case came from its sender, and the work is its receiver's.
        outcomes=await tables.outcomes(session, referral.c.sender == agency, **within),
        own_outcomes=await tables.outcomes(session, referral.c.receiver == agency, **within),
    )


async def raise_hops_alarm(session: AsyncSession, now: datetime) -> bool:
    """Tell of the open cases that were passed on more often than they were last told of. False: there are no more."""
    counted = await tables.count_hops_due(session, limit=BATCH)
    raised = [await _raise_alarm(session, found, now) for found in counted.many]
    return any(raised) or counted.cases == BATCH


async def _raise_alarm(session: AsyncSession, found: Row[Any], now: datetime) -> bool:
    thresholds = thresholds_reached(found.hops, await tables.raised(session, found.case_id))
    if not thresholds:
        return False
    for threshold in thresholds:
        await tables.add_alarm(session, found.case_id, threshold=threshold, hops=found.hops, at=now)
    coordinator = await find_coordinator(session, found.municipality) or found.holder
    told = HopsAlarm(case_id=found.case_id, hops=found.hops, coordinator=coordinator)
    await emit(session, (told, max(thresholds)), at=now)
    return True


async def list_hops_alarms(
    session: AsyncSession, actor: Actor, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """The cases that the caller holds or coordinates, and that were passed about."""
    return await tables.list_alarms(session, actor.agency, after=after, limit=limit)


def _visible(actor: Actor) -> ColumnElement[bool]:
    return tables.visible(actor.agency, actor.municipalities)


def _days(ways: Sequence[Way], now: datetime) -> Days:
    """Working days between two moments, looked up: each day of the period is asked for once."""
    first = min((day_in_japan(way.sent_at) for way in ways), default=day_in_japan(now))
    counted: dict[date, int] = {}
    day, count = first, 0
    while day <= day_in_japan(now):
        count += is_working_day(day)
        counted[day] = count
        day += timedelta(days=1)
    return lambda begin, end: counted[day_in_japan(end)] - counted[day_in_japan(begin)]
