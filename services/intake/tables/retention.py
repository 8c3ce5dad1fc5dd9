"""Notices that a case is kept long enough, one for each closure; they alone lead to its erasure by the clock.

And where records of every other class lie, since when each is kept, and how it ends.
"""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import DateTime, Text

from services.intake.domain.retention import RecordClass

_NOT_ORDERED = "NOT EXISTS (SELECT FROM erasure_order o WHERE o.subject_id = k.id)"
_DUE = text(
    "SELECT k.id, k.municipality, k.holder_agency, k.custody_number FROM custody c"
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
_HELD = (
    "coalesce((SELECT h.step = 'placed' FROM legal_hold h WHERE h.subject_id = {subject}"
    " ORDER BY h.number DESC LIMIT 1), false)"
)
_IS_HELD = _HELD.format(subject="k.id")
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


# --- every other class ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """Where records of a class lie (`t` is one), and how one ends."""

    rows: str
    since: str
    subjects: str
    """About whom it is: under a legal hold of any of them it stays."""
    end: str
    """Returns the record if it ended, and nothing if it had meanwhile, or need no longer."""
    municipality: str = "''"
    """Whose periods count; else the installation's."""
    still: str = "true"
    """Whether there is something of it left to end."""


_OF_CASE = "JOIN case_ k ON k.id = t.case_id"
KEPT: Mapping[RecordClass, Kept] = {
    RecordClass.MEETING_NOTE: Kept(
        rows="meeting_note t JOIN meeting m ON m.id = t.meeting_id",
        since="m.held_on::timestamp AT TIME ZONE 'Asia/Tokyo'",
        municipality="m.municipality",
        subjects="ARRAY[t.case_id]",
        still="t.sealed IS NOT NULL",
        end="UPDATE meeting_note SET sealed = NULL WHERE id = :id AND sealed IS NOT NULL RETURNING id",
    ),
    RecordClass.EMERGENCY: Kept(
        rows=f"emergency_access t {_OF_CASE}",
        since="t.declared_at",
        municipality="k.municipality",
        subjects="ARRAY[t.case_id]",
        still="t.words IS NOT NULL AND EXISTS (SELECT FROM emergency_review r WHERE r.emergency_id = t.id)",
        end="UPDATE emergency_access SET words = NULL WHERE id = :id AND words IS NOT NULL RETURNING id",
    ),
    RecordClass.INQUIRY: Kept(
        rows=f"inquiry t {_OF_CASE}",
        since="t.at",
        municipality="k.municipality",
        subjects="t.case_id || ARRAY(SELECT a.case_id FROM inquiry_answer a WHERE a.inquiry_id = t.id)",
        end="WITH answers AS (DELETE FROM inquiry_answer WHERE inquiry_id = :id)"
        " DELETE FROM inquiry WHERE id = :id RETURNING id",
    ),
    RecordClass.DRAFT: Kept(
        rows="draft t",
        since="t.saved_at",
        subjects="ARRAY[t.id, t.case_id, t.about]",
        still="(t.discarded_at IS NOT NULL OR t.case_id IS NOT NULL)"
        " AND NOT EXISTS (SELECT FROM erasure_order o WHERE o.subject_id = t.id)",
        end="SELECT agency FROM draft WHERE id = :id AND (discarded_at IS NOT NULL OR case_id IS NOT NULL) FOR UPDATE",
    ),
    # A list that was taken in tells of every case that came of its agency's lists.
    RecordClass.LIST: Kept(
        rows="import_file t",
        since="t.created_at",
        subjects="t.id || ARRAY(SELECT l.case_id FROM listed_case l"
        " WHERE l.agency = t.agency AND t.committed_at IS NOT NULL)",
        end="DELETE FROM import_file WHERE id = :id RETURNING agency",
    ),
}


def _over(kept: Kept) -> TextClause:
    return text(
        f"SELECT t.id FROM {kept.rows} CROSS JOIN LATERAL (SELECT r.before"
        "  FROM unnest(:municipalities, :befores) r(municipality, before)"
        f"  WHERE r.municipality IN ({kept.municipality}, '') ORDER BY r.municipality DESC LIMIT 1) rule"
        f" WHERE {kept.since} < :latest AND {kept.since} < rule.before AND {kept.still} AND NOT EXISTS"
        f" (SELECT FROM unnest({kept.subjects}) s(id) WHERE {_HELD.format(subject='s.id')})"
        f" ORDER BY {kept.since} LIMIT 1"
    ).bindparams(
        bindparam("municipalities", type_=ARRAY(Text)), bindparam("befores", type_=ARRAY(DateTime(timezone=True)))
    )


_FIND_OVER = {kept_as: _over(kept) for kept_as, kept in KEPT.items()}
_END = {kept_as: text(kept.end) for kept_as, kept in KEPT.items()}


async def find_over(session: AsyncSession, kept_as: RecordClass, befores: Mapping[str, datetime]) -> UUID | None:
    """The oldest record of a class that is kept since before its municipality's moment ('' for every other)."""
    values = {"municipalities": list(befores), "befores": list(befores.values()), "latest": max(befores.values())}
    found: UUID | None = (await session.execute(_FIND_OVER[kept_as], values)).scalar_one_or_none()
    return found


async def end(session: AsyncSession, kept_as: RecordClass, record_id: UUID) -> Row[Any] | None:
    """Let it end. Codes about a case stay, words go."""
    return (await session.execute(_END[kept_as], {"id": record_id})).one_or_none()
