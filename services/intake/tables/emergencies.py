"""Emergencies that were declared, and their reviews: only added to; the words of the reason lie sealed."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.emergency import Declaration, Verdict
from shared.database import Hot
from shared.vault import Place

_COLUMNS = (
    "e.id, e.case_id, e.agency, e.holder, e.reason, e.words, e.declared_at, e.ends_at, e.review_due_on,"
    " r.verdict, r.reviewed_by, r.at AS reviewed_at"
)
_FROM = f"SELECT {_COLUMNS} FROM emergency_access e LEFT JOIN emergency_review r ON r.emergency_id = e.id"
_ADD = text(
    "INSERT INTO emergency_access (id, case_id, agency, actor, holder, reason, words, declared_at, ends_at,"
    " review_due_on) VALUES (:id, :case_id, :agency, :actor, :holder, :reason, :words, :declared_at, :ends_at,"
    " :review_due_on)"
)
_END = Hot(
    "SELECT max(ends_at) AS ends_at FROM emergency_access WHERE case_id = CAST(:case_id AS uuid)"
    " AND agency = CAST(:agency AS text) AND actor = CAST(:actor AS text)"
)
_FIND = text(f"{_FROM} WHERE e.id = :id")
# Who was told when it was declared, and who holds the case now; never who declared it (`Declaration.reviewers`).
_MINE = text(
    f"{_FROM} JOIN case_ c ON c.id = e.case_id"
    " WHERE (e.holder = :agency OR c.holder_agency = :agency) AND e.agency <> :agency"
    " AND (CAST(:case_id AS uuid) IS NULL OR e.case_id = :case_id)"
    " AND (CAST(:done AS boolean) IS NULL OR (r.verdict IS NOT NULL) = :done)"
    " AND (CAST(:due_before AS date) IS NULL OR e.review_due_on < :due_before)"
    " AND (CAST(:after AS uuid) IS NULL OR e.id > :after) ORDER BY e.id LIMIT :limit"
)
_UNREVIEWED = text(
    "SELECT count(*) FROM emergency_access e WHERE e.review_due_on < :due_before"
    " AND NOT EXISTS (SELECT FROM emergency_review r WHERE r.emergency_id = e.id)"
)
_REVIEW = text(
    "INSERT INTO emergency_review (emergency_id, verdict, reviewed_by, at) VALUES (:id, :verdict, :by, :at)"
    " ON CONFLICT DO NOTHING RETURNING emergency_id"
)


def words_place(emergency_id: UUID) -> Place:
    """Where the words of the reason stand."""
    return Place("emergency_access", "words", str(emergency_id))


async def add_emergency(
    session: AsyncSession,
    emergency_id: UUID,
    case_id: UUID,
    declared: Declaration,
    *,
    actor: str,
    reason: str,
    words: bytes,
    at: datetime,
) -> None:
    """An emergency that begins now."""
    values = {
        "id": emergency_id,
        "case_id": case_id,
        "agency": declared.by,
        "actor": actor,
        "holder": declared.holder,
        "reason": reason,
        "words": words,
        "declared_at": at,
        "ends_at": declared.ends_at,
        "review_due_on": declared.review_due_on,
    }
    await session.execute(_ADD, values)


async def find_end(session: AsyncSession, case_id: UUID, agency: str, actor: str) -> datetime | None:
    """When the last emergency ends, or ended, that this caller declared for a case."""
    (row,) = await _END.rows(session, {"case_id": case_id, "agency": agency, "actor": actor})
    end: datetime | None = row["ends_at"]
    return end


async def find_emergency(session: AsyncSession, emergency_id: UUID) -> Row[Any] | None:
    """One, with its review if there is one."""
    return (await session.execute(_FIND, {"id": emergency_id})).one_or_none()


async def find_to_review(
    session: AsyncSession,
    agency: str,
    *,
    case_id: UUID | None,
    done: bool | None,
    due_before: date | None,
    after: UUID | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Those that an agency is to judge, or has; oldest first."""
    values = {
        "agency": agency,
        "case_id": case_id,
        "done": done,
        "due_before": due_before,
        "after": after,
        "limit": limit,
    }
    return (await session.execute(_MINE, values)).all()


async def count_unreviewed(session: AsyncSession, *, due_before: date) -> int:
    """How many nobody has judged that were due before a day."""
    found: int = (await session.execute(_UNREVIEWED, {"due_before": due_before})).scalar_one()
    return found


async def add_review(session: AsyncSession, emergency_id: UUID, verdict: str, *, by: str, at: datetime) -> bool:
    """The one review; False if there is one."""
    values = {"id": emergency_id, "verdict": verdict, "by": by, "at": at}
    return (await session.execute(_REVIEW, values)).one_or_none() is not None


def declaration(row: Row[Any]) -> Declaration:
    """The row as the domain knows it."""
    verdict = None if row.verdict is None else Verdict(row.verdict)
    return Declaration(row.agency, row.holder, row.ends_at, row.review_due_on, verdict)
