"""What was declined, or what nobody answered, until somebody has said where it goes: on, nowhere yet, or no further."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import Referral
from services.referral.domain.needs import Need
from services.referral.domain.routing import answered_by_course
from services.referral.domain.states import Clock, NoPlace
from services.referral.handlers.looking import visible
from services.referral.handlers.needs import say_unmet
from services.referral.tables import clock_steps, directory, facts, referrals
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.events import ReferralNotPlaced
from shared.problems import invalid

SENT_ON = "sent_on"


@dataclass(frozen=True, slots=True)
class NotYours:
    """Only who holds it says where it goes."""


@dataclass(frozen=True, slots=True)
class NothingToPlace:
    """No place is looked for: it is open, or somebody has said already."""


async def say_no_place(
    session: AsyncSession, referral_id: UUID, reason: NoPlace, *, actor: Actor, now: datetime
) -> Referral | NotYours | NothingToPlace:
    """Say why it goes no further. Where nothing fits, what it was sent for goes on record as an unmet need."""
    seen = visible(await referrals.find_referral(session, referral_id), actor)
    fact = await facts.lock_case_fact(session, seen.case_id)
    referral = await referrals.lock_referral(session, seen.id)
    assert referral is not None  # nothing is deleted
    waits = referral.waits
    if waits is None or waits.clock is not Clock.PLACE:
        return NothingToPlace()
    if waits.agency != actor.agency:
        return NotYours()
    if reason is NoPlace.NOTHING_FITS:
        await say_unmet(session, fact, await _sent_for(session, referral, fact), by=actor.agency, now=now)
    ended = await _end(session, referral, by=actor.agency, reason=reason, now=now)
    event = ReferralNotPlaced(
        case_id=referral.case_id, referral_id=referral.id, coordinator=actor.agency, reason=reason
    )
    await emit(session, (event, referral.version), at=now)
    return ended


async def sent_on(
    session: AsyncSession, fact: Row[Any], made: Referral, *, instead_of: UUID | None, now: datetime
) -> None:
    """A new referral stands in the place of the one that it names, or of the only one that was for the same need.

    Of several, none is taken for settled that nobody has named; nor what another agency than the case's holder or
    the one that has to place it sends. The case's row is locked by whoever calls this.
    """
    waiting = await referrals.lock_unplaced(session, made.case_id)
    if not waiting and instead_of is None:
        return
    if instead_of is None:
        same = await _sent_for(session, made, fact)
        own = [each for each in waiting if made.sender in {each.agency_waited_for, facts.holder_of(fact)}]
        alike = [each for each in own if not same.isdisjoint(await _sent_for(session, each, fact))]
        chosen = alike if len(alike) == 1 else []
    else:
        chosen = [each for each in waiting if each.id == instead_of]
        if not chosen:
            raise invalid("/instead_of", "not_to_place", *NOT_TO_PLACE)
    for each in chosen:
        await _end(session, each, by=made.sender, reason=SENT_ON, now=now)


NOT_TO_PLACE = (
    "Name a referral of this case whose clock is `place`",
    "このケースの、次の行き先を探しているつなぎを指定してください",
)


async def end_all(session: AsyncSession, case_id: UUID, *, reason: str, now: datetime) -> None:
    """The case is over: nobody looks for a place any more."""
    for each in await referrals.lock_unplaced(session, case_id):
        await _end(session, each, by="service", reason=reason, now=now)


async def _end(session: AsyncSession, referral: Referral, *, by: str, reason: str, now: datetime) -> Referral:
    assert referral.waits is not None  # it is looked for a place
    await clock_steps.add(
        session, referral, step="placed", by=by, waits_for=referral.waits.agency, reason=reason, at=now
    )
    ended = replace(referral, waits=None)
    await referrals.store_waits(session, ended)
    return ended


async def _sent_for(session: AsyncSession, referral: Referral, fact: Row[Any]) -> frozenset[Need]:
    """What it was sent for, of what the case wants; None, the whole case, where that is nothing by name."""
    wanted = frozenset(fact.needs or fact.topics)
    if referral.programme_id is None:
        by_name = answered_by_course(wanted)
    else:
        by_name = wanted.intersection(await directory.needs_of(session, referral.programme_id))
    return frozenset[Need](by_name) or frozenset[Need]({None})
