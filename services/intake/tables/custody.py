"""The ledger of custody: only added to, and alone what moves a case from one holder to the next; and daily proofs."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case
from services.intake.domain.custody import Entry, Moved, Step
from services.intake.tables.cases import find_case

_ADD = text(
    "INSERT INTO custody (case_id, number, step, holder, ended, by, at)"
    " VALUES (:case_id, :number, :step, :holder, :ended, :by, :at)"
)
_LEDGER = text(
    "SELECT case_id, number, step, holder, ended, by, at FROM custody"
    " WHERE case_id = :case_id AND number > :after ORDER BY number LIMIT :limit"
)
# Every step of every case that ever came to the agency, up to a moment.
_OF_AGENCY = text(
    "SELECT c.case_id, c.number, c.step, c.holder, c.ended, c.at FROM custody c"
    " WHERE c.at < :until AND EXISTS (SELECT FROM custody h WHERE h.case_id = c.case_id AND h.holder = :agency)"
    " ORDER BY c.case_id, c.number"
)
_LOCK_PROOFS = text("SELECT pg_advisory_xact_lock(hashtextextended(:agency, 7470007))")
_LAST_PROOF = text("SELECT day, document FROM custody_proof WHERE agency = :agency ORDER BY day DESC LIMIT 1")
_ADD_PROOF = text("INSERT INTO custody_proof (agency, day, document) VALUES (:agency, :day, :document)").bindparams(
    bindparam("document", type_=JSONB)
)
_PROOFS = text(
    "SELECT day, document FROM custody_proof WHERE agency = :agency AND day > :after ORDER BY day LIMIT :limit"
)
_UNPROVEN = text(
    "SELECT DISTINCT holder FROM custody c WHERE c.at < :until"
    " AND NOT EXISTS (SELECT FROM custody_proof p WHERE p.agency = c.holder AND p.day >= :day) ORDER BY holder LIMIT 1"
)


async def add_step(
    session: AsyncSession, case: Case, moved: Moved, *, ended: str | None, by: str, at: datetime
) -> Case:
    """The next entry of a locked case; the database moves the case by it, or refuses it."""
    values = {
        "case_id": case.id,
        "number": case.custody_number + 1,
        "step": moved.step.value,
        "holder": moved.custody.holder,
        "ended": ended,
        "by": by,
        "at": at,
    }
    await session.execute(_ADD, values)
    found = await find_case(session, case.id)
    assert found is not None
    return found


async def find_ledger(session: AsyncSession, case_id: UUID, *, after: int, limit: int) -> Sequence[Row[Any]]:
    """Who held a case when, oldest first."""
    return (await session.execute(_LEDGER, {"case_id": case_id, "after": after, "limit": limit})).all()


async def entries_of_agency(session: AsyncSession, agency: str, *, until: datetime) -> list[Entry]:
    """The whole ledger of every case that ever came to an agency."""
    rows = await session.execute(_OF_AGENCY, {"agency": agency, "until": until})
    return [Entry(row.case_id, row.number, Step(row.step), row.holder, row.ended, row.at) for row in rows]


async def lock_proofs(session: AsyncSession, agency: str) -> Row[Any] | None:
    """The agency's last proof; nobody else makes one meanwhile, or two would follow on the same."""
    await session.execute(_LOCK_PROOFS, {"agency": agency})
    return (await session.execute(_LAST_PROOF, {"agency": agency})).one_or_none()


async def add_proof(session: AsyncSession, agency: str, day: date, document: Mapping[str, Any]) -> None:
    """A day's proof, for good."""
    await session.execute(_ADD_PROOF, {"agency": agency, "day": day, "document": document})


async def find_proofs(session: AsyncSession, agency: str, *, after: date, limit: int) -> Sequence[Row[Any]]:
    """An agency's proofs, oldest first."""
    return (await session.execute(_PROOFS, {"agency": agency, "after": after, "limit": limit})).all()


async def find_unproven(session: AsyncSession, day: date, *, until: datetime) -> str | None:
    """An agency that held a case by the end of a day and has no proof of it yet."""
    return (await session.execute(_UNPROVEN, {"day": day, "until": until})).scalar_one_or_none()
