"""In whose name agencies may act: registrations, only added to. One that is superseded counts no more."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.instruction import Basis, Registration

_STANDING = "NOT EXISTS (SELECT FROM registration later WHERE later.supersedes = r.id)"
_OF_AGENCY = text(f"SELECT r.* FROM registration r WHERE r.agency = :agency AND {_STANDING}")  # noqa: S608 - own words
_LIST = text(
    f"SELECT r.*, {_STANDING} AS standing FROM registration r"  # noqa: S608 - own words
    " WHERE (CAST(:agency AS text) IS NULL OR r.agency = :agency)"
    " AND (CAST(:after AS uuid) IS NULL OR r.id > :after) ORDER BY r.id LIMIT :limit"
)
# The lock on the agency's rows is a lock on its name: two corrections of one registration come one after the other.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('registration:' || :agency, 0))")
_ADD = text(
    "INSERT INTO registration (id, agency, basis, legal_entity, number, valid_from, valid_until, supersedes,"
    " recorded_by, recorded_at) VALUES (:id, :agency, :basis, :legal_entity, :number, :valid_from, :valid_until,"
    " :supersedes, :by, :now)"
)


async def registrations_of(session: AsyncSession, agency: str) -> list[Registration]:
    """Those that stand, in force or not."""
    return [registration_of(row) for row in await session.execute(_OF_AGENCY, {"agency": agency})]


async def lock_agency(session: AsyncSession, agency: str) -> None:
    """Nobody else changes this agency's registrations meanwhile."""
    await session.execute(_LOCK, {"agency": agency})


async def list_registrations(
    session: AsyncSession, agency: str | None, *, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """All that were ever recorded, as they came."""
    return (await session.execute(_LIST, {"agency": agency, "after": after, "limit": limit})).all()


async def add_registration(
    session: AsyncSession, registration: Registration, *, supersedes: UUID | None, by: str, now: datetime
) -> None:
    """One more."""
    values = {
        "id": registration.id,
        "agency": registration.agency,
        "basis": registration.basis.value,
        "legal_entity": registration.legal_entity,
        "number": registration.number,
        "valid_from": registration.valid_from,
        "valid_until": registration.valid_until,
        "supersedes": supersedes,
        "by": by,
        "now": now,
    }
    await session.execute(_ADD, values)


def registration_of(row: Row[Any]) -> Registration:
    """As a value."""
    return Registration(
        row.id, row.agency, Basis(row.basis), row.legal_entity, row.number, row.valid_from, row.valid_until
    )
