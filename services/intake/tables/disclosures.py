"""What was disclosed to whom, on which basis, and what was ended early: only added to."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Disclosure, Purpose
from services.intake.domain.sheet import FieldSet
from shared.database import Hot

_ENDED = "(SELECT e.at FROM disclosure_end e WHERE e.disclosure_id = d.id)"
_COLUMNS = (
    "d.id, d.case_id, d.recipient, d.purpose, d.sets, d.basis, d.consent_version, d.until, d.reason, d.made_by, d.at,"
    f" {_ENDED} AS ended_at"
)
_ADD = text(
    "INSERT INTO disclosure AS d (id, case_id, recipient, purpose, sets, basis, consent_version, until, reason,"
    " made_by, at) VALUES (:id, :case_id, :recipient, :purpose, :sets, :basis, :consent_version, :until, :reason,"
    f" :made_by, :at) RETURNING {_COLUMNS}"
).bindparams(bindparam("sets", type_=ARRAY(Text)))
_STANDING = Hot(
    "SELECT recipient, purpose, sets, basis, until FROM disclosure d"
    f" WHERE case_id = CAST(:case_id AS uuid) AND recipient = CAST(:recipient AS text) AND {_ENDED} IS NULL"
)
_FIND = text(f"SELECT {_COLUMNS} FROM disclosure d WHERE d.case_id = :case_id AND d.id = :id")
_LIST = text(
    f"SELECT {_COLUMNS} FROM disclosure d WHERE d.case_id = :case_id"
    " AND (CAST(:recipient AS text) IS NULL OR d.recipient = :recipient)"
    " AND (CAST(:after AS uuid) IS NULL OR d.id > :after) ORDER BY d.id LIMIT :limit"
)
_END = text(
    "INSERT INTO disclosure_end (disclosure_id, ended_by, at) VALUES (:id, :by, :at)"
    " ON CONFLICT DO NOTHING RETURNING disclosure_id"
)


# What rests on consent ends for good when the person takes it back: a later yes is a new one. A narrower yes takes back
# what it no longer covers (`shared.consent.takes_back`); here an empty list names everybody or everything too.
_TAKE_BACK = text(
    "INSERT INTO disclosure_end (disclosure_id, ended_by, at) SELECT d.id, :by, :at FROM disclosure d"
    " JOIN case_consent c ON c.case_id = d.case_id AND c.version = :version AND c.version > d.consent_version"
    " WHERE d.case_id = :case_id AND (c.state <> 'given'"
    " OR NOT (c.recipients = '{}' OR d.recipient = ANY (c.recipients))"
    " OR NOT (c.purposes = '{}' OR d.purpose = ANY (c.purposes))"
    " OR NOT (c.categories = '{}' OR d.sets && c.categories))"
    " ON CONFLICT DO NOTHING RETURNING disclosure_id"
)


async def add_disclosure(
    session: AsyncSession,
    disclosure_id: UUID,
    case_id: UUID,
    disclosed: Disclosure,
    *,
    consent_version: int | None,
    reason: str,
    by: str,
    at: datetime,
) -> Row[Any]:
    """A disclosure that stands from now on."""
    values = {
        "id": disclosure_id,
        "case_id": case_id,
        "recipient": disclosed.recipient,
        "purpose": disclosed.purpose.value,
        "sets": sorted(disclosed.sets),
        "basis": disclosed.basis.value,
        "consent_version": consent_version,
        "until": disclosed.until,
        "reason": reason,
        "made_by": by,
        "at": at,
    }
    return (await session.execute(_ADD, values)).one()


async def find_standing(session: AsyncSession, case_id: UUID, recipient: str) -> tuple[Disclosure, ...]:
    """What an agency was let read of a case and was not ended; whether its last day is over is policy's to say."""
    rows = await _STANDING.rows(session, {"case_id": case_id, "recipient": recipient})
    return tuple(
        Disclosure(
            recipient=row["recipient"],
            purpose=Purpose(row["purpose"]),
            sets=frozenset(FieldSet(name) for name in row["sets"]),
            basis=Basis(row["basis"]),
            until=row["until"],
        )
        for row in rows
    )


async def find_disclosure(session: AsyncSession, case_id: UUID, disclosure_id: UUID) -> Row[Any] | None:
    """One of a case's disclosures."""
    return (await session.execute(_FIND, {"case_id": case_id, "id": disclosure_id})).one_or_none()


async def find_disclosures(
    session: AsyncSession, case_id: UUID, *, recipient: str | None, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """A case's disclosures, to anybody or to one agency, oldest first."""
    values = {"case_id": case_id, "recipient": recipient, "after": after, "limit": limit}
    return (await session.execute(_LIST, values)).all()


async def take_back(session: AsyncSession, case_id: UUID, version: int, *, by: str, at: datetime) -> Sequence[UUID]:
    """End what rested on earlier consent and this version of it no longer covers; which they were."""
    values = {"case_id": case_id, "version": version, "by": by, "at": at}
    return (await session.execute(_TAKE_BACK, values)).scalars().all()


async def end_disclosure(session: AsyncSession, disclosure_id: UUID, *, by: str, at: datetime) -> bool:
    """End it early; False if that was done before."""
    found = await session.execute(_END, {"id": disclosure_id, "by": by, "at": at})
    return found.one_or_none() is not None
