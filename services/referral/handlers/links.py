"""One-time links: whoever has to act next and has no account has one. A new one, or a letter, is made by hand."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import clocks
from services.referral.domain.codes import BITS, read_code, write_code
from services.referral.domain.links import ASKS, ON_THE_WAY, LinkChannel, ends_at, last_minute, may_answer, wants_link
from services.referral.domain.moves import Referral
from services.referral.domain.states import Clock, Kind, Party
from services.referral.handlers.looking import visible
from services.referral.handlers.waiting import calendar_for, lies_here, went_out
from services.referral.tables import links, referrals
from services.referral.tables.links import Contact, Link
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.service import JST, day_in_japan


@dataclass(frozen=True, slots=True)
class NotTheirs:
    """Only who sent it, and its coordinator, invite somebody to answer."""


@dataclass(frozen=True, slots=True)
class NothingToAnswer:
    """It is not the receiver's turn, or a link can't make the move."""


@dataclass(frozen=True, slots=True)
class NoAddress:
    """The directory has no e-mail address of the receiver."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is printed. `code` is shown here and nowhere again."""

    link: Link
    referral: Referral
    code: str
    sender: Contact | None
    receiver: Contact | None
    programme: str | None
    reference: str

    @property
    def asks(self) -> bool:
        """Whether it asks to take somebody on; else, how it went on."""
        return self.referral.state in ASKS

    @property
    def until(self) -> datetime:
        """The last minute of its code."""
        return last_minute(self.link.expires_at)


NotMade = NotTheirs | NothingToAnswer | NoAddress


def reference_of(referral_id: UUID) -> str:
    """What both sides can say on the telephone: enough to find it among one's own, and nothing to look it up by."""
    tail = referral_id.hex[-8:].upper()
    return f"{tail[:4]}-{tail[4:]}"


async def keep_link(session: AsyncSession, referral: Referral, now: datetime) -> Referral:
    """After every step: if it is the turn of an agency without an account, it has a link that can make the next one.

    The referral is locked, or new. As long as its letter isn't printed, it waits for its sender.
    """
    in_course = referral.kind is Kind.COURSE_RUN  # what came of it is asked when it has ended, by `remind`
    if in_course and clocks.asks_later(referral):
        return referral
    return await _keep(session, referral, now, asked=not clocks.asks_later(referral), moved=True)


async def remind(session: AsyncSession, referral: Referral, now: datetime) -> Referral:
    """A clock has rung: the mail goes out again, or with a new link, if the one before has ended."""
    if not wants_link(referral):
        return referral
    live = await links.find_live(session, referral.id)
    if live is not None and live.expires_at > now and live.channel is LinkChannel.EMAIL:
        await links.queue_again(session, live.id, now)
        return referral
    return await _keep(session, referral, now, asked=True, moved=False)


async def _keep(session: AsyncSession, referral: Referral, now: datetime, *, asked: bool, moved: bool) -> Referral:
    """`asked`: an answer is waited for now, and not from a day to come; so a letter has to go out now.

    A printed code ends when its letter says; only who used it to say that it was read has longer, as the page shows.
    """
    if not wants_link(referral):
        return referral
    channel = await _channel(session, referral.receiver)
    if channel is None:
        return referral
    live = await links.find_live(session, referral.id)
    if live is not None and live.expires_at <= now:
        await links.change_link(session, live.id, revoked_at=now)
        live = None
    kept = live or await _make(session, referral, channel, instead_of=None, now=now)
    if asked and kept.channel is LinkChannel.LETTER and kept.printed_at is None:
        referral = await lies_here(session, referral, now)
    if moved or kept.printed_at is None:
        ends = await _ends_at(session, referral, now)
        said = ends if kept.printed_at is None else kept.expires_at
        await links.change_link(session, kept.id, expires_at=max(ends, said))
    return referral


async def ask_link(session: AsyncSession, referral_id: UUID, *, actor: Actor, now: datetime) -> Link | NotMade:
    """Mail a new link; the one before opens nothing any more."""
    referral = await _to_invite(session, referral_id, actor)
    if not isinstance(referral, Referral):
        return referral
    contact = await links.find_contact(session, referral.receiver)
    if contact is None or contact.email is None:
        return NoAddress()
    live = await links.find_live(session, referral.id)
    return await _make(session, referral, LinkChannel.EMAIL, instead_of=live, now=now)


async def write_letter(session: AsyncSession, referral_id: UUID, *, actor: Actor, now: datetime) -> Letter | NotMade:
    """Make a letter with a new code. Codes before it, and links, open nothing any more."""
    referral = await _to_invite(session, referral_id, actor)
    if not isinstance(referral, Referral):
        return referral
    live = await links.find_live(session, referral.id)
    if live is not None and live.channel is LinkChannel.LETTER and live.printed_at is None and live.expires_at > now:
        link = live
    else:
        link = await _make(session, referral, LinkChannel.LETTER, instead_of=live, now=now)
    code = write_code(secrets.randbits(BITS))
    await links.add_secret(session, link.id, read_code(code) or "", now)
    if wants_link(referral) and await asks_first(session, referral, link.id):
        # Its time begins when it is printed, with the days that the post takes; its end is what stands on the paper.
        referral = await went_out(session, referral, now, on_the_way=ON_THE_WAY[LinkChannel.LETTER])
    printed = replace(link, printed_at=now, expires_at=await _ends_at(session, referral, now))
    await links.change_link(session, link.id, printed_at=now, expires_at=printed.expires_at)
    return Letter(
        printed,
        referral,
        code,
        await links.find_contact(session, referral.sender),
        await links.find_contact(session, referral.receiver),
        await programme_name(session, referral),
        reference_of(referral.id),
    )


async def asks_first(session: AsyncSession, referral: Referral, link_id: UUID) -> bool:
    """Whether the receiver's time begins with this letter or mail.

    Another one in the same turn gives nobody more time, nor any to who has an account, and was asked there.
    """
    if referral.waits is not None and referral.waits.clock is Clock.DELIVER:
        return True
    without_account = await _channel(session, referral.receiver) is not None
    return without_account and not await links.has_gone_out(session, referral.id, but=link_id)


async def list_links(session: AsyncSession, referral_id: UUID, *, actor: Actor) -> Sequence[Row[Any]] | NotTheirs:
    """What was sent to whom, and what became of it."""
    referral = visible(await referrals.find_referral(session, referral_id), actor)
    if not referral.parties(actor.agency) & {Party.SENDER, Party.COORDINATOR}:
        return NotTheirs()
    return await links.list_links(session, referral_id)


async def programme_name(session: AsyncSession, referral: Referral) -> str | None:
    """What the receiver calls its own programme."""
    return None if referral.programme_id is None else await links.find_programme_name(session, referral.programme_id)


async def _to_invite(session: AsyncSession, referral_id: UUID, actor: Actor) -> Referral | NotMade:
    """The referral, locked, if this caller may invite its receiver to answer."""
    seen = visible(await referrals.find_referral(session, referral_id), actor)
    if not seen.parties(actor.agency) & {Party.SENDER, Party.COORDINATOR}:
        return NotTheirs()
    referral = await referrals.lock_referral(session, seen.id)
    assert referral is not None  # nothing is deleted
    return referral if may_answer(referral) else NothingToAnswer()


async def _make(
    session: AsyncSession, referral: Referral, channel: LinkChannel, *, instead_of: Link | None, now: datetime
) -> Link:
    """A new link, and its mail. The one before is revoked first: a referral has one that is alive."""
    if instead_of is not None:
        await links.change_link(session, instead_of.id, revoked_at=now)
    until = await _ends_at(session, referral, now)
    made = Link(new_id(), referral.id, referral.receiver, channel, now, until, None, None, None)
    await links.add_link(session, made)
    if channel is LinkChannel.EMAIL:
        await links.queue_mail(session, made, now)
    return made


async def _channel(session: AsyncSession, agency_id: str) -> LinkChannel | None:
    """How an agency without an account is reached; None: it has one."""
    contact = await links.find_contact(session, agency_id)
    return None if contact is None else contact.without_account


async def _ends_at(session: AsyncSession, referral: Referral, now: datetime) -> datetime:
    waits = referral.waits
    assert waits is not None  # somebody has to act
    calendar = await calendar_for(session, waits.agency, referral)
    days = clocks.days_of(referral, calendar.days)
    day = clocks.takes_over_on(waits, of=referral, is_open=calendar.is_open, days=days)
    # As long as an answer is waited for it can be given: nobody prints a second letter for an answer that is late.
    last = None if waits.clock is Clock.REVIEW else _morning(day or waits.due_on + timedelta(days=1))
    ends = ends_at(now, None if day is None else _morning(day), last)
    # People read a day; only where it ends within hours it ends at once.
    return ends if ends < now + timedelta(days=1) else _end_of_day(ends)


def _end_of_day(ends: datetime) -> datetime:
    return _morning(day_in_japan(last_minute(ends)) + timedelta(days=1))


def _morning(day: date) -> datetime:
    return datetime.combine(day, time.min, JST)
