"""Erasing in two steps, so that neither a crash at any moment nor a backup restored later leaves anything readable.

First an order is committed. Then a sweep writes the subject into a list outside the database, durably, and only after
that destroys the key and leaves the tombstone. A database that knows less than the list was restored from a backup: the
service doesn't start on it until the list has been replayed.
"""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

import json
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from shared.vault.access import Access, Action
from shared.vault.keys import erase
from shared.vault.outside import append_lines

Forget = Callable[[AsyncSession, UUID], Awaitable[None]]
"""What else goes with a subject's key: drafts, fingerprints, what an earlier version kept in the clear."""

PURPOSE = "erasure"
BASIS = "appi_69_2_2"

_HELD = (
    "coalesce((SELECT h.step = 'placed' FROM legal_hold h WHERE h.subject_id = {subject}"
    " ORDER BY h.number DESC LIMIT 1), false)"
)
# Orders and holds of a subject come one after the other.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:subject AS text), 7470008))").bindparams(
    bindparam("subject", type_=Uuid)
)
_ORDER = text(
    "INSERT INTO erasure_order (subject_id, agency, actor, reason)"
    " SELECT s.subject_id, :agency, :actor, :reason FROM unnest(:subjects) AS s(subject_id)"
    f" WHERE NOT {_HELD.format(subject='s.subject_id')} ON CONFLICT DO NOTHING RETURNING subject_id"
).bindparams(bindparam("subjects", type_=ARRAY(Uuid)))
_STATE = text(
    "SELECT o.ordered_at, o.agency, o.reason, e.erased_at FROM erasure_order o"
    " LEFT JOIN erasure e ON e.subject_id = o.subject_id WHERE o.subject_id = :subject"
).bindparams(bindparam("subject", type_=Uuid))
_LAST_HOLD = text(
    "SELECT number, step, reason, agency, at FROM legal_hold WHERE subject_id = :subject ORDER BY number DESC LIMIT 1"
).bindparams(bindparam("subject", type_=Uuid))
_ADD_HOLD = text(
    "INSERT INTO legal_hold (subject_id, number, step, reason, agency, actor, at)"
    " VALUES (:subject, :number, :step, :reason, :agency, :actor, :at)"
).bindparams(bindparam("subject", type_=Uuid))
_LIFT = text(
    "INSERT INTO legal_hold (subject_id, number, step, reason, agency, actor, at)"
    " SELECT DISTINCT ON (h.subject_id) h.subject_id, h.number + 1, 'lifted', :reason, :agency, :actor,"
    " clock_timestamp() FROM legal_hold h"
    " WHERE h.subject_id = ANY (:subjects) AND h.step = 'placed' AND NOT EXISTS"
    " (SELECT FROM legal_hold later WHERE later.subject_id = h.subject_id AND later.number > h.number)"
).bindparams(bindparam("subjects", type_=ARRAY(Uuid)))
_ONE_ERASER = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 7470009))")
_OPEN = (
    "FROM erasure_order o WHERE NOT EXISTS (SELECT FROM erasure e WHERE e.subject_id = o.subject_id)"
    f" AND NOT {_HELD.format(subject='o.subject_id')}"
)
_NEXT = text(f"SELECT o.subject_id, o.agency, o.actor, o.reason {_OPEN} ORDER BY o.ordered_at LIMIT 1")
_COUNT_OPEN = text(f"SELECT count(*) {_OPEN}")
_UNKNOWN = text(
    "SELECT l.subject_id FROM unnest(:subjects) AS l(subject_id)"
    " WHERE NOT EXISTS (SELECT FROM erasure_order o WHERE o.subject_id = l.subject_id)"
    " AND NOT EXISTS (SELECT FROM erasure e WHERE e.subject_id = l.subject_id)"
).bindparams(bindparam("subjects", type_=ARRAY(Uuid)))
_UNLISTED = text("SELECT subject_id FROM erasure WHERE subject_id <> ALL (:subjects)").bindparams(
    bindparam("subjects", type_=ARRAY(Uuid))
)


async def order_erasure(
    session: AsyncSession, subjects: Collection[UUID], *, agency: str, actor: str, reason: str
) -> list[UUID]:
    """Order that subjects be erased, for good. Those that were ordered now: not again, and none under a legal hold."""
    for subject in sorted(subjects):
        await session.execute(_LOCK, {"subject": subject})
    values = {"subjects": list(subjects), "agency": agency, "actor": actor, "reason": reason}
    return list((await session.execute(_ORDER, values)).scalars())


async def erasure_of(session: AsyncSession, subject: UUID) -> Row[Any] | None:
    """What was ordered about a subject, and `erased_at`, once it is done."""
    return (await session.execute(_STATE, {"subject": subject})).one_or_none()


async def lock_hold(session: AsyncSession, subject: UUID) -> Row[Any] | None:
    """The last entry about legal holds of a subject, with nobody else at it."""
    await session.execute(_LOCK, {"subject": subject})
    return (await session.execute(_LAST_HOLD, {"subject": subject})).one_or_none()


async def add_hold(
    session: AsyncSession, subject: UUID, number: int, *, step: str, reason: str, agency: str, actor: str, at: datetime
) -> None:
    """The next entry about legal holds of a locked subject."""
    values = {"subject": subject, "number": number, "step": step, "reason": reason, "agency": agency, "actor": actor}
    await session.execute(_ADD_HOLD, {**values, "at": at})


async def erase_next(
    session: AsyncSession, path: Path | None, forgetters: Sequence[Forget], *, listed: Container[UUID] = ()
) -> UUID | None:
    """Carry out the oldest order: onto the list outside first, then the key, and all that goes with it. None: no order.

    Killed in between, it is begun anew: a subject may stand on the list twice, and is never erased without.
    """
    await session.execute(_ONE_ERASER)
    order = (await session.execute(_NEXT)).one_or_none()
    if order is None:
        return None
    if path is not None and order.subject_id not in listed:
        write_down(path, [order.subject_id])
    for forget in forgetters:
        await forget(session, order.subject_id)
    access = Access(Action.ERASE, order.agency, order.actor, (), PURPOSE, BASIS, ())
    await erase(session, order.subject_id, access, reason=order.reason)
    return UUID(str(order.subject_id))


async def order_again(session: AsyncSession, subjects: Collection[UUID], *, agency: str, actor: str) -> None:
    """Order what was carried out before the backup was made that this is; a hold that stood in it was lifted since."""
    said = {"agency": agency, "actor": actor, "reason": "replayed"}
    await session.execute(_LIFT, {"subjects": list(subjects), **said})
    await order_erasure(session, subjects, **said)


async def open_orders(session: AsyncSession) -> int:
    """How many orders wait to be carried out."""
    return int((await session.execute(_COUNT_OPEN)).scalar_one())


# --- the list outside -----------------------------------------------------------------------------------------------


def write_down(path: Path, subjects: Iterable[UUID]) -> None:
    """Add to the list, durably: ids and nothing else."""
    append_lines(path, [json.dumps({"erased": str(subject)}) for subject in subjects])


def read_list(path: Path) -> list[UUID]:
    """Whose erasure is written down, each once. A line torn by a crash is passed over: it was written anew."""
    found: dict[UUID, None] = {}
    if path.exists():
        with path.open(encoding="ascii", errors="ignore") as lines:
            for line in lines:
                try:
                    found[UUID(json.loads(line)["erased"])] = None
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue
    return list(found)


async def unknown_erasures(session: AsyncSession, listed: Collection[UUID]) -> list[UUID]:
    """Those on the list that this database neither erased nor was ordered to: it is older than the list."""
    return list((await session.execute(_UNKNOWN, {"subjects": list(listed)})).scalars())


async def unlisted_erasures(session: AsyncSession, listed: Collection[UUID]) -> list[UUID]:
    """Those that were erased here and don't stand on the list: it was begun later, or is another file."""
    return list((await session.execute(_UNLISTED, {"subjects": list(listed)})).scalars())
