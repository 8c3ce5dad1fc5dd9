"""Mail that carries a link: queued with the step that asks for it, sent with no transaction open, tried for a day.

The secret is made when the mail is, and only its digest is kept. Killed between the two, the mail goes out again with
another secret: both are of one link, so both answer, and only once.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import clocks
from services.referral.domain.links import (
    ASKS,
    ON_THE_WAY,
    LinkChannel,
    gives_up,
    last_minute,
    may_answer,
    next_try,
    wants_link,
)
from services.referral.domain.moves import Referral
from services.referral.domain.states import Clock, Tier
from services.referral.handlers.links import asks_first, keep_link, programme_name, reference_of
from services.referral.handlers.waiting import lies_here, went_out
from services.referral.tables import links, referrals
from shared.bus.mailbox import emit
from shared.events import LinkUndelivered
from shared.service import Settled, day_in_japan
from shared.service.mail import Undelivered, message, read_mail_server, send
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Parcel:
    """One mail on its way; `round`: how often its link was to be mailed."""

    link_id: UUID
    referral_id: UUID
    round: int
    message: EmailMessage


async def take_up(session: AsyncSession, now: datetime) -> Parcel | Settled | None:
    """The next mail, with a secret of its own; or one that can't go out, or need not."""
    due = await links.find_due(session, now)
    if due is None:
        return None
    referral = await referrals.lock_referral(session, due.referral_id)
    assert referral is not None  # nothing is deleted
    mail = await links.get_mail(session, due.link_id)
    if mail.state != "queued" or mail.try_at > now:
        return Settled()  # somebody else has just taken it
    return await _prepare(session, referral, mail, now)


async def carry(parcel: Parcel, settings: Settings) -> Undelivered | None:
    """Hand it to the mail server."""
    server = read_mail_server(settings)
    assert server is not None  # without one nothing is taken up
    return await send(server, parcel.message)


async def note(session: AsyncSession, parcel: Parcel, came_of_it: Undelivered | None, now: datetime) -> None:
    """Write down that it went out, or why not; a reminder that was asked for meanwhile stays queued."""
    referral = await referrals.lock_referral(session, parcel.referral_id)
    assert referral is not None  # nothing is deleted
    mail = await links.get_mail(session, parcel.link_id)
    if mail.round != parcel.round:
        return
    match came_of_it:
        case None:
            await links.change_mail(session, mail.link_id, state="sent", sent_at=now, last_error=None)
            late = await _asks(session, referral, mail) and _was_late(referral, mail, now)
            if late and await asks_first(session, referral, mail.link_id):
                asked = await went_out(session, referral, now, on_the_way=ON_THE_WAY[LinkChannel.EMAIL])
                await keep_link(session, asked, now)
        case Undelivered(reason, final=True):
            await _fail(session, referral, mail, reason, now)
        case Undelivered(reason):
            await links.change_mail(session, mail.link_id, last_error=reason)


async def _prepare(session: AsyncSession, referral: Referral, mail: Row[Any], now: datetime) -> Parcel | Settled:
    link = await links.get_link(session, mail.link_id)
    over = link.answered_at is not None or link.revoked_at is not None or link.expires_at <= now
    if over or not may_answer(referral):
        await links.change_mail(session, link.id, state="dropped")
        return Settled()
    settings: Settings = session.info["settings"]
    server, contact = read_mail_server(settings), await links.find_contact(session, link.agency_id)
    to = None if contact is None else contact.email
    if server is None or to is None or gives_up(mail.queued_at, now):
        reason = "no_mail_server" if server is None else "no_address" if to is None else mail.last_error
        await _fail(session, referral, mail, reason or "unreachable", now)
        return Settled()
    secret = secrets.token_urlsafe(32)
    await links.add_secret(session, link.id, secret, now)
    tries = mail.tries + 1
    await links.change_mail(session, link.id, tries=tries, try_at=next_try(tries, now))
    subject, text = await _words(session, referral, link, f"{settings.public_url.rstrip('/')}/referral/a/{secret}")
    number = f"{link.id.hex}.{mail.round}"
    mailed = message(to=to, subject=subject, text=text, number=number, server=server, at=now)
    return Parcel(link.id, referral.id, mail.round, mailed)


async def _asks(session: AsyncSession, referral: Referral, mail: Row[Any]) -> bool:
    """Whether it is by this mail that the receiver is asked: no letter or newer link has taken its place."""
    link = await links.get_link(session, mail.link_id)
    return wants_link(referral) and link.answered_at is None and link.revoked_at is None


def _was_late(referral: Referral, mail: Row[Any], now: datetime) -> bool:
    """Whether it was waited for before it could be read: the first mail came through on another day, or had failed."""
    waits = referral.waits
    if waits is None or waits.clock is Clock.DELIVER:
        return waits is not None
    return mail.sent_at is None and waits.since < day_in_japan(now)


async def _fail(session: AsyncSession, referral: Referral, mail: Row[Any], reason: str, now: datetime) -> None:
    """Nobody waits for a mail that will not come: who sent the referral is told, and takes another way."""
    await links.change_mail(session, mail.link_id, state="failed", last_error=reason)
    waits = referral.waits
    # Who is asked only on a day to come is not waited for yet; the reminder of that day is another mail.
    rung = waits is not None and (waits.tier is not Tier.REMIND or not clocks.asks_later(referral))
    if rung and await _asks(session, referral, mail):
        await keep_link(session, await lies_here(session, referral, now), now)
    event = LinkUndelivered(
        case_id=referral.case_id,
        referral_id=referral.id,
        sender=referral.sender,
        receiver=referral.receiver,
        coordinator=referral.coordinator,
        channel="email",
        reason=reason,
    )
    await emit(session, (event, referral.version), at=now)


async def _words(session: AsyncSession, referral: Referral, link: links.Link, address: str) -> tuple[str, str]:
    """Who asks, until when, and the link. What it is about is seen behind the link alone: mail is an open card."""
    sender = await links.find_contact(session, referral.sender)
    name = referral.sender if sender is None else sender.name
    phone = "" if sender is None or sender.phone is None else f"\n  電話 / phone: {sender.phone}"
    programme = await programme_name(session, referral)
    begins = referral.state in ASKS
    subject = "【つなぐ】支援の依頼が届いています" if begins else "【つなぐ】その後の様子をお知らせください"
    ends = day_in_japan(last_minute(link.expires_at)).isoformat()
    return subject, _TEXT.format(
        ask="支援の依頼が届いています。" if begins else "お引き受けいただいた方の、その後の様子をお知らせください。",
        ask_en="Somebody asks for your support." if begins else "Please tell how it went on.",
        name=name,
        phone=phone,
        programme=programme or "-",
        reference=reference_of(referral.id),
        address=address,
        ends=ends,
    )


_TEXT = """{ask}
{ask_en}

  依頼元 / from: {name}{phone}
  事業 / programme: {programme}
  番号 / reference: {reference}

次のリンクを開いてお答えください(登録は要りません。{ends} まで、一度だけ使えます)。
Open this link to answer (no account; once, until {ends}):

  {address}

このメールは、ほかの方に転送しないでください。お心当たりがないときは、依頼元にお電話ください。
Please don't forward this mail. If you don't know what it is about, phone who sent it.
"""
