"""The door without an account: look through a one-time link, and answer by it.

Whatever opens nothing is one answer: unknown, mistyped, expired, revoked. Wrong ones are counted by address, and wrong
codes of letters from everywhere together; past the limit the right ones wait, too, or the door would tell them apart.
"""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.codes import read_code
from services.referral.domain.links import (
    FOR_CODES,
    KEEPS_LINK,
    PER_ADDRESS,
    Answered,
    Standing,
    begins,
    last_minute,
    moves_by_link,
    stands,
)
from services.referral.domain.moves import Moved, Referral, Said
from services.referral.domain.states import Party
from services.referral.handlers.links import programme_name, reference_of
from services.referral.handlers.looking import told_of
from services.referral.handlers.moving import move
from services.referral.handlers.referrals import Target, consent_lacks
from services.referral.tables import facts, links, referrals
from services.referral.tables.links import ALL_CODES, Link

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Unknown:
    """It opens nothing; why, is not told."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """Too many wrong ones came; nothing was looked up."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for what: the least with which one can say yes or no."""

    sender: str
    phone: str | None
    programme: str | None
    municipality: str
    needs: tuple[str, ...]
    urgent: bool
    due_on: date | None
    until: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """What the right holder of a link sees."""

    standing: Standing
    reference: str
    asking: Asking | None
    """None, once there is nothing to ask."""
    moves: tuple[str, ...]
    answered: Answered | None
    just_now: bool = False


Looked = Seen | Unknown | Throttled


async def look(session: AsyncSession, given: str, *, address: str, now: datetime) -> Looked:
    """Open the door; nothing changes, since scanners of mail open links, too."""
    found = await _find(session, given, address=address, now=now)
    if isinstance(found, Unknown | Throttled):
        return found
    referral = await referrals.find_referral(session, found[1])
    assert referral is not None  # nothing is deleted
    return await _seen(session, await links.get_link(session, found[0]), referral, now)


async def answer(session: AsyncSession, given: str, name: str, said: Said, *, address: str, now: datetime) -> Looked:
    """Make a move by a link. Of two clicks one does; the other sees what was answered."""
    found = await _find(session, given, address=address, now=now)
    if isinstance(found, Unknown | Throttled):
        return found
    # The case, then the referral, as whoever moves one; a referral's lock is that of its links.
    seen = await referrals.find_referral(session, found[1])
    assert seen is not None  # nothing is deleted
    await facts.lock_case_fact(session, seen.case_id)
    referral = await referrals.lock_referral(session, seen.id)
    assert referral is not None
    link = await links.get_link(session, found[0])
    if link.revoked_at is not None or link.expires_at <= now:
        return Unknown()
    is_open = stands(referral, None) is Standing.OPEN and link.answered_at is None
    if not is_open or name not in await _moves(session, referral, now):
        return await _seen(session, link, referral, now)
    session.info["origin"] = replace(session.info["origin"], by=link.agency_id)
    if name not in KEEPS_LINK:
        # Before the move, which gives whoever has to go on a link of its own.
        await links.change_link(session, link.id, answered_at=now)
    outcome = await move(session, referral, name, parties={Party.RECEIVER}, by=referral.receiver, now=now, said=said)
    assert isinstance(outcome, Moved)  # the table was asked, under the lock
    await links.add_step(session, link, outcome.referral.version)
    after = await links.get_link(session, link.id)
    return replace(await _seen(session, after, outcome.referral, now), just_now=True)


async def _find(
    session: AsyncSession, given: str, *, address: str, now: datetime
) -> tuple[UUID, UUID] | Unknown | Throttled:
    """The link and its referral, unless too many wrong ones came from there, or of codes from anywhere."""
    code = read_code(given)
    secret = code or (given if _TOKEN.fullmatch(given) else None)
    if secret is None:
        return Unknown()  # mistyped: not worth a look, and no guess
    limits = {links.bucket_of(address): PER_ADDRESS} | ({} if code is None else {ALL_CODES: FOR_CODES})
    wrong = await links.count_wrong(session, list(limits), begins(now))
    if any(wrong.get(bucket, 0) >= limit for bucket, limit in limits.items()):
        return Throttled()
    found = await links.find_by_secret(session, secret, now)
    if found is None:
        await links.add_wrong(session, list(limits), now=now, begins=begins(now))
        return Unknown()
    return found


async def _seen(session: AsyncSession, link: Link, referral: Referral, now: datetime) -> Seen:
    answered = None if link.answered_at is None else await links.answer_of(session, link.id)
    standing = stands(referral, answered)
    is_open = standing is Standing.OPEN
    return Seen(
        standing,
        reference_of(referral.id),
        await _asking(session, link, referral, now) if is_open else None,
        await _moves(session, referral, now) if is_open else (),
        answered if standing is Standing.ANSWERED else None,
    )


async def _moves(session: AsyncSession, referral: Referral, now: datetime) -> tuple[str, ...]:
    """Nobody takes on whom the consent reaches no more; they give it back, and the sender asks the person."""
    moves = moves_by_link(referral)
    fact = await facts.find_case_fact(session, referral.case_id) if "accept" in moves else None
    target = Target(referral.programme_id, referral.course_run_id)
    if fact is None or consent_lacks(fact, target, referral.receiver, now) is None:
        return moves
    return tuple(name for name in moves if name != "accept")


async def _asking(session: AsyncSession, link: Link, referral: Referral, now: datetime) -> Asking:
    """Needs and urgency are the person's, and seen as far as the consent reaches today; the rest is the sender's."""
    told = await told_of(session, referral, referral.receiver, now)
    sender = await links.find_contact(session, referral.sender)
    return Asking(
        sender=referral.sender if sender is None else sender.name,
        phone=None if sender is None else sender.phone,
        programme=await programme_name(session, referral),
        municipality=referral.municipality,
        needs=() if told is None else told.needs,
        urgent=told is not None and told.urgent,
        due_on=None if referral.waits is None else referral.waits.due_on,
        until=last_minute(link.expires_at),
    )
