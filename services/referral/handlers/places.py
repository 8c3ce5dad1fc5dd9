"""What was declined, or what nobody answered, until somebody has said where it goes: on, nowhere yet, or no further."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import Referral
from services.referral.domain.routed import wanted_of
from services.referral.domain.routing import answered_by_course
from services.referral.domain.states import Clock, NoPlace
from services.referral.handlers.looking import visible
from services.referral.handlers.needs import Told, say_unmet
from services.referral.tables import asked, clock_steps, directory, facts, referrals
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.events import ReferralNotPlaced, ReferralSentOn
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
    await facts.lock_case_fact(session, seen.case_id)
    referral = await referrals.lock_referral(session, seen.id)
    assert referral is not None  # nothing is deleted
    waits = referral.waits
    if waits is None or waits.clock is not Clock.PLACE:
        return NothingToPlace()
    if waits.agency != actor.agency:
        return NotYours()
    lacks: Told = []
    if reason is NoPlace.NOTHING_FITS:
        found = await asked.find_asked(session, referral.case_id, now=now)
        assert found is not None  # its row is locked
        lacking = await sought(session, referral, found.case.asked.wanted) or {None}
        lacks = await say_unmet(session, found.case, lacking, by=actor.agency, now=now)
    (ended,) = await _end(session, [referral], by=actor.agency, reason=reason, now=now)
    await emit(session, (_not_placed(referral, reason), referral.version), *lacks, at=now)
    return ended


async def sent_on(
    session: AsyncSession, fact: Row[Any], made: Referral, *, instead_of: UUID | None, now: datetime
) -> None:
    """A referral, new or accepted by who was asked for it, is the place of the one that it names, or of the only alike.

    Of several, none is taken for settled that nobody has named; and only what the case's holder gives, or who has to
    place it, settles any. The case's row is locked by whoever calls this, and what was sent is told.
    """
    waiting = await referrals.lock_unplaced(session, made.case_id)
    if not waiting and instead_of is None:
        return
    own = [each for each in waiting if made.sender in {each.agency_waited_for, facts.holder_of(fact)}]
    if instead_of is None:
        same, *others = await _sought_by_each(session, [made, *own], wanted_of(fact.needs, fact.topics))
        # What names no need was sent for the whole case, as was the other.
        alike = [each for each, for_them in zip(own, others, strict=True) if same & for_them or same == for_them]
        chosen = alike if len(alike) == 1 else []
    else:
        chosen = [each for each in own if each.id == instead_of]
        if not chosen:
            raise invalid("/instead_of", "not_to_place", *NOT_TO_PLACE)
    by = made.agency(made.asker)
    await _end(session, chosen, by=by, reason=SENT_ON, now=now)
    await emit(session, *((_sent_on(each, made, by), each.version) for each in chosen), at=now)


def _sent_on(placed: Referral, made: Referral, by: str) -> ReferralSentOn:
    return ReferralSentOn(case_id=placed.case_id, referral_id=placed.id, agency=by, next_referral_id=made.id)


NOT_TO_PLACE = (
    "Name a referral of this case whose clock is `place`, and which you have to place, or whose case you hold",
    "このケースの次の行き先を探しているつなぎのうち、自分の機関が探しているもの(ケースの担当機関ならどれでも)を指定してください",
)


async def end_all(session: AsyncSession, case_id: UUID, *, reason: str, now: datetime) -> None:
    """The case is over: nobody looks for a place any more."""
    unplaced = await referrals.lock_unplaced(session, case_id)
    await _end(session, unplaced, by="service", reason=reason, now=now)
    await emit(session, *((_not_placed(each, reason), each.version) for each in unplaced), at=now)


def _not_placed(referral: Referral, reason: str) -> ReferralNotPlaced:
    assert referral.agency_waited_for is not None  # it is looked for a place
    coordinator = referral.agency_waited_for
    return ReferralNotPlaced(case_id=referral.case_id, referral_id=referral.id, coordinator=coordinator, reason=reason)


async def _end(
    session: AsyncSession, placed: Sequence[Referral], *, by: str, reason: str, now: datetime
) -> list[Referral]:
    if not placed:
        return []
    await clock_steps.add(session, placed, step="placed", by=by, reason=reason, at=now)
    await referrals.end_waits(session, [each.id for each in placed])
    return [replace(each, waits=None) for each in placed]


async def sought(session: AsyncSession, referral: Referral, wanted: frozenset[str]) -> frozenset[str]:
    """What a referral was sent for, of what the case wants; nothing by name: for the whole case."""
    (found,) = await _sought_by_each(session, [referral], wanted)
    return found


async def _sought_by_each(
    session: AsyncSession, sent: Sequence[Referral], wanted: frozenset[str]
) -> list[frozenset[str]]:
    programmes = {each.programme_id for each in sent if each.programme_id is not None}
    needs = await directory.needs_of(session, programmes)
    return [
        answered_by_course(wanted) if each.programme_id is None else wanted & needs[each.programme_id] for each in sent
    ]
