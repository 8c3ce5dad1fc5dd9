"""Notices that a case is kept long enough, one for each closure; they alone lead to an erasure by the clock."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import DateTime, Text

_NOT_ORDERED = "NOT EXISTS (SELECT FROM erasure_order o WHERE o.subject_id = k.id)"
_DUE = text(
    "SELECT k.id, k.municipality, k.holder_agency, k.custody_number FROM custody c"  # noqa: S608 - our own words
    " JOIN case_ k ON k.id = c.case_id AND k.custody_number = c.number"
    " CROSS JOIN LATERAL (SELECT r.before"
    "  FROM unnest(:municipalities, :endings, :befores) r(municipality, ended, before)"
    "  WHERE r.ended = c.ended AND r.municipality IN (k.municipality, '') ORDER BY r.municipality DESC LIMIT 1) rule"
    f" WHERE c.step = 'closed' AND c.at < :latest AND c.at < rule.before AND {_NOT_ORDERED}"
    " AND NOT EXISTS (SELECT FROM retention_notice n WHERE n.case_id = k.id AND n.custody_number = k.custody_number)"
    " ORDER BY c.at LIMIT 1 FOR UPDATE OF k SKIP LOCKED"
).bindparams(
    bindparam("municipalities", type_=ARRAY(Text)),
    bindparam("endings", type_=ARRAY(Text)),
    bindparam("befores", type_=ARRAY(DateTime(timezone=True))),
)
_ADD = text(
    "INSERT INTO retention_notice (case_id, custody_number, noticed_at, erase_on)"
    " VALUES (:case_id, :custody_number, :now, :erase_on)"
)
_STANDING = (
    "FROM retention_notice n JOIN case_ k ON k.id = n.case_id AND k.custody_number = n.custody_number"
    f" WHERE k.status = 'closed' AND {_NOT_ORDERED}"
)
_IS_HELD = (
    "coalesce((SELECT h.step = 'placed' FROM legal_hold h WHERE h.subject_id = k.id ORDER BY h.number DESC LIMIT 1),"
    " false)"
)
_OVER = text(
    f"SELECT k.id, k.holder_agency {_STANDING} AND n.erase_on <= :today AND NOT {_IS_HELD}"
    " ORDER BY n.erase_on LIMIT 1 FOR UPDATE OF k SKIP LOCKED"
)
_LISTED = text(
    f"SELECT k.id AS case_id, k.number, n.noticed_at, n.erase_on, {_IS_HELD} AS held {_STANDING}"
    " AND k.holder_agency = :agency AND (n.erase_on, k.id) > (:after_day, :after_id)"
    " ORDER BY n.erase_on, k.id LIMIT :limit"
)


async def lock_due(
    session: AsyncSession, rules: Sequence[tuple[str, str, datetime]], *, latest: datetime
) -> Row[Any] | None:
    """A closed case that was kept long enough and of which nobody was told yet.

    A rule: a municipality ('' for every other), how a case was closed, and the moment before which it must have been.
    """
    municipalities, endings, befores = (list(column) for column in zip(*rules, strict=True))
    values = {"municipalities": municipalities, "endings": endings, "befores": befores, "latest": latest}
    return (await session.execute(_DUE, values)).one_or_none()


async def add_notice(
    session: AsyncSession, case_id: UUID, custody_number: int, *, now: datetime, erase_on: date
) -> None:
    """The holder is told of this closure, once."""
    values = {"case_id": case_id, "custody_number": custody_number, "now": now, "erase_on": erase_on}
    await session.execute(_ADD, values)


async def lock_over(session: AsyncSession, today: date) -> Row[Any] | None:
    """A case whose notice has run out, which is still closed, and which need not be kept."""
    return (await session.execute(_OVER, {"today": today})).one_or_none()


async def find_noticed(
    session: AsyncSession, agency: str, *, after: tuple[date, UUID], limit: int
) -> Sequence[Row[Any]]:
    """The cases an agency holds that are to be erased, the first to go first."""
    values = {"agency": agency, "after_day": after[0], "after_id": after[1], "limit": limit}
    return (await session.execute(_LISTED, values)).all()
