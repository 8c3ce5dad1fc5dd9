"""The ledger of custody: only added to, and alone what moves a case from one holder to the next; and daily proofs."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case
from services.intake.domain.custody import Entry, HandOff, Moved, Sent, Step
from services.intake.tables.cases import find_case

_ADD = text(
    "INSERT INTO custody (case_id, number, step, holder, ended, by, at)"
    " VALUES (:case_id, :number, :step, :holder, :ended, :by, :at)"
)
_LEDGER = text(
    "SELECT case_id, number, step, holder, ended, by, at FROM custody"
    " WHERE case_id = :case_id AND number > :after ORDER BY number LIMIT :limit"
)
# A screening of before 0.2.0 doesn't say who held the case then: who holds it now does, or it would be closed.
_HAND_OFF = text(
    "SELECT coalesce(s.holder, k.holder_agency) AS holder, s.receiver, s.at FROM screening s"
    " JOIN case_ k ON k.id = s.case_id AND k.hand_off_open WHERE s.case_id = :case_id ORDER BY s.id DESC LIMIT 1"
)
# By its own topic's order, its sending stands in the timeline before anything else that is told of a referral.
# A request that the holder has seen is no hand-off that anybody took.
_SENT = text(
    "SELECT codes->>'sender' AS sender, codes->>'receiver' AS receiver, at FROM timeline"
    " WHERE case_id = :case_id AND kind = 'referral_sent' AND codes->>'referral_id' = :referral_id"
    " AND codes->>'verb' IS DISTINCT FROM 'request' LIMIT 1"
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
    "SELECT c.holder FROM (SELECT holder, at FROM custody UNION ALL SELECT holder, at FROM referral_custody) c"
    " WHERE c.at < :until"
    " AND NOT EXISTS (SELECT FROM custody_proof p WHERE p.agency = c.holder AND p.day >= :day) ORDER BY 1 LIMIT 1"
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


async def find_hand_off(session: AsyncSession, case_id: UUID) -> HandOff | None:
    """The hand-off that waits for its receiver, if one does."""
    row = (await session.execute(_HAND_OFF, {"case_id": case_id})).one_or_none()
    return None if row is None else HandOff(row.holder, row.receiver, row.at)


async def find_sent(session: AsyncSession, case_id: UUID, referral_id: UUID) -> Sent | None:
    """A referral of the case, if its sending was told."""
    row = (await session.execute(_SENT, {"case_id": case_id, "referral_id": str(referral_id)})).one_or_none()
    return None if row is None else Sent(row.sender, row.receiver, row.at)


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
    """An agency that held a case, or answered for a referral, by the end of a day and has no proof of it yet."""
    return (await session.execute(_UNPROVEN, {"day": day, "until": until})).scalar_one_or_none()
