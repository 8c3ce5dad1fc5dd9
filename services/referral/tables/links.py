"""One-time links, their secrets' digests, the mail that carries them, and how many wrong ones were tried."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.links import Answered, LinkChannel
from services.referral.tables.schema import answer_link, answer_secret, link_step, mail_out, referral, referral_step
from shared.database import Hot

_LIVE = and_(answer_link.c.answered_at.is_(None), answer_link.c.revoked_at.is_(None))
_DUE = mail_out.c.state == "queued"
_WRONG = Hot("SELECT bucket, failures FROM wrong_link WHERE bucket = ANY(CAST(:buckets AS int[])) AND since > :begins")
_COUNT = Hot(
    "INSERT INTO wrong_link AS w (bucket, since, failures)"
    " SELECT b, :now, 1 FROM unnest(CAST(:buckets AS int[])) AS b ORDER BY b"
    " ON CONFLICT (bucket) DO UPDATE SET"
    " failures = CASE WHEN w.since > :begins THEN w.failures + 1 ELSE 1 END,"
    " since = CASE WHEN w.since > :begins THEN w.since ELSE excluded.since END"
)
_BY_SECRET = Hot(
    "SELECT l.id, l.referral_id FROM answer_secret s JOIN answer_link l ON l.id = s.link_id"
    " WHERE s.digest = :digest AND l.revoked_at IS NULL AND l.expires_at > :now"
)
_CONTACT = Hot("SELECT name, phone, contact_channel, contact_email FROM agency WHERE agency_id = :agency_id")
_PROGRAMME = Hot("SELECT name FROM programme WHERE id = :programme_id")
ALL_CODES = -1
"""The bucket in which every wrong code counts, from wherever it came."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it stands; its secrets are not to be had."""

    id: UUID
    referral_id: UUID
    agency_id: str
    channel: LinkChannel
    made_at: datetime
    expires_at: datetime
    printed_at: datetime | None
    answered_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Contact:
    """How an agency is reached."""

    name: str
    phone: str | None
    channel: str | None
    email: str | None

    @property
    def without_account(self) -> LinkChannel | None:
        """By which way, if it has no account. One of which nothing was said is taken to have one."""
        return LinkChannel(self.channel) if self.channel in set(LinkChannel) else None


# --- Links -----------------------------------------------------------------------------------------------------------


async def find_contact(session: AsyncSession, agency_id: str) -> Contact | None:
    """How an agency is reached, if the directory has it."""
    rows = await _CONTACT.rows(session, {"agency_id": agency_id})
    return Contact(*rows[0]) if rows else None


async def find_programme_name(session: AsyncSession, programme_id: UUID) -> str | None:
    """What an agency calls a programme of its own."""
    rows = await _PROGRAMME.rows(session, {"programme_id": programme_id})
    return rows[0]["name"] if rows else None


async def find_live(session: AsyncSession, referral_id: UUID) -> Link | None:
    """The referral's link that was neither answered nor revoked, if there is one."""
    query = select(answer_link).where(answer_link.c.referral_id == referral_id, _LIVE)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else _link(row)


_STATES = Hot(
    "SELECT l.referral_id, l.channel, l.printed_at, l.expires_at, m.state FROM answer_link l"
    " LEFT JOIN mail_out m ON m.link_id = l.id"
    " WHERE l.referral_id = ANY(CAST(:ids AS uuid[])) AND l.answered_at IS NULL AND l.revoked_at IS NULL"
)


async def living(session: AsyncSession, referral_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
    """The living links of these referrals, each with its mail's state."""
    if not referral_ids:
        return {}
    return {row["referral_id"]: row for row in await _STATES.rows(session, {"ids": list(referral_ids)})}


async def has_gone_out(session: AsyncSession, referral_id: UUID, *, but: UUID) -> bool:
    """Whether another link has asked the same thing before: it left, nobody answered by it, and it ended in no earlier
    turn."""
    since = select(referral.c.since).where(referral.c.id == referral_id).scalar_subquery()
    query = (
        select(answer_link.c.id)
        .outerjoin(mail_out, mail_out.c.link_id == answer_link.c.id)
        .where(answer_link.c.referral_id == referral_id, answer_link.c.id != but, answer_link.c.answered_at.is_(None))
        .where(or_(answer_link.c.printed_at.is_not(None), mail_out.c.sent_at.is_not(None)))
        .where(or_(answer_link.c.revoked_at.is_(None), answer_link.c.revoked_at > since))
    )
    return (await session.execute(query.limit(1))).first() is not None


async def get_link(session: AsyncSession, link_id: UUID) -> Link:
    """A link. Whoever changes one, or its mail, has locked its referral."""
    return _link((await session.execute(select(answer_link).where(answer_link.c.id == link_id))).one())


async def add_link(session: AsyncSession, link: Link) -> None:
    """Write a new one."""
    await session.execute(insert(answer_link).values(**{name: getattr(link, name) for name in Link.__slots__}))


async def change_link(session: AsyncSession, link_id: UUID, **moments: datetime | None) -> None:
    """Write what became of it. Its referral is locked by whoever calls this."""
    await session.execute(update(answer_link).where(answer_link.c.id == link_id).values(**moments))


async def list_links(session: AsyncSession, referral_id: UUID) -> Sequence[Row[Any]]:
    """A referral's links, the newest first, each with its mail."""
    query = (
        select(answer_link, mail_out.c.state, mail_out.c.tries, mail_out.c.try_at, mail_out.c.sent_at)
        .add_columns(mail_out.c.last_error)
        .outerjoin(mail_out, mail_out.c.link_id == answer_link.c.id)
        .where(answer_link.c.referral_id == referral_id)
        .order_by(answer_link.c.id.desc())
    )
    return (await session.execute(query)).all()


# --- Secrets ---------------------------------------------------------------------------------------------------------


async def add_secret(session: AsyncSession, link_id: UUID, secret: str, now: datetime) -> None:
    """Keep a secret's digest."""
    await session.execute(insert(answer_secret).values(digest=digest_of(secret), link_id=link_id, made_at=now))


async def find_by_secret(session: AsyncSession, secret: str, now: datetime) -> tuple[UUID, UUID] | None:
    """The link that a secret opens, and its referral; none that has expired or was revoked."""
    found = await _BY_SECRET.rows(session, {"digest": digest_of(secret), "now": now})
    return (found[0]["id"], found[0]["referral_id"]) if found else None


def digest_of(secret: str) -> bytes:
    """What is kept of a secret. Found by its digest, it takes no longer the nearer a guess comes."""
    return hashlib.sha256(secret.encode()).digest()


# --- Steps -----------------------------------------------------------------------------------------------------------


async def add_step(session: AsyncSession, link: Link, version: int) -> None:
    """By which link a referral came to this version."""
    await session.execute(insert(link_step).values(referral_id=link.referral_id, version=version, link_id=link.id))


async def answer_of(session: AsyncSession, link_id: UUID) -> Answered | None:
    """The last step that was made by a link."""
    query = (
        select(referral_step.c.step, referral_step.c.reason, referral_step.c.at)
        .join(
            link_step,
            and_(
                link_step.c.referral_id == referral_step.c.referral_id, link_step.c.version == referral_step.c.version
            ),
        )
        .where(link_step.c.link_id == link_id)
        .order_by(referral_step.c.version.desc())
        .limit(1)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else Answered(*row)


# --- Mail ------------------------------------------------------------------------------------------------------------


async def queue_mail(session: AsyncSession, link: Link, now: datetime) -> None:
    """Let the link be mailed."""
    values = {"link_id": link.id, "referral_id": link.referral_id, "to_agency": link.agency_id, "state": "queued"}
    await session.execute(insert(mail_out).values(**values, round=1, queued_at=now, tries=0, try_at=now))


async def queue_again(session: AsyncSession, link_id: UUID, now: datetime) -> None:
    """Let it be mailed once more, whatever became of it before."""
    again = {"state": "queued", "round": mail_out.c.round + 1, "queued_at": now, "tries": 0, "try_at": now}
    await session.execute(update(mail_out).where(mail_out.c.link_id == link_id).values(**again, last_error=None))


async def find_due(session: AsyncSession, now: datetime) -> Row[Any] | None:
    """The mail that has waited longest for its turn."""
    query = select(mail_out).where(_DUE, mail_out.c.try_at <= now)
    return (await session.execute(query.order_by(mail_out.c.try_at, mail_out.c.link_id).limit(1))).one_or_none()


async def get_mail(session: AsyncSession, link_id: UUID) -> Row[Any]:
    """A mail, as it stands under its referral's lock."""
    return (await session.execute(select(mail_out).where(mail_out.c.link_id == link_id))).one()


async def change_mail(session: AsyncSession, link_id: UUID, **values: Any) -> None:
    """Write what became of it. Its referral is locked by whoever calls this."""
    await session.execute(update(mail_out).where(mail_out.c.link_id == link_id).values(**values))


# --- Wrong ones ------------------------------------------------------------------------------------------------------


def bucket_of(address: str) -> int:
    """Where an address' failures are counted: a network of IPv6, which is one house, counts as one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        packed = address.encode()
    else:
        packed = parsed.packed[:8] if isinstance(parsed, IPv6Address) else parsed.packed
    return int.from_bytes(hashlib.sha256(packed).digest()[:2])


async def count_wrong(session: AsyncSession, buckets: Sequence[int], begins: datetime) -> dict[int, int]:
    """How often a wrong link was tried, by bucket, in the window that still runs."""
    rows = await _WRONG.rows(session, {"buckets": list(buckets), "begins": begins})
    return {row["bucket"]: row["failures"] for row in rows}


async def add_wrong(session: AsyncSession, buckets: Sequence[int], *, now: datetime, begins: datetime) -> None:
    """One more."""
    await _COUNT.rows(session, {"buckets": list(buckets), "now": now, "begins": begins})


def _link(row: Row[Any]) -> Link:
    values = {name: getattr(row, name) for name in Link.__slots__}
    return Link(**values | {"channel": LinkChannel(row.channel)})
