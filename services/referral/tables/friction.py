"""The register of walls between schemes that people ran into: added to, and never rewritten."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.friction import Counted
from services.referral.tables.schema import friction


@dataclass(frozen=True, slots=True)
class Friction:
    """A person was blocked by a boundary, on a day."""

    id: UUID
    case_id: UUID
    municipality: str
    boundary: str
    programme_id: UUID | None
    agency_id: str
    recorded_on: date
    at: datetime


async def add_friction(session: AsyncSession, record: Friction) -> bool:
    """Write it, once for a case, boundary and day: whether it is new."""
    written = upsert(friction).values(**asdict(record)).on_conflict_do_nothing().returning(friction.c.id)
    return (await session.execute(written)).one_or_none() is not None


async def find_friction(session: AsyncSession, case_id: UUID, boundary: str, day: date) -> Friction:
    """The one of a case, boundary and day, which is there."""
    column = friction.c
    query = select(friction).where(column.case_id == case_id, column.boundary == boundary, column.recorded_on == day)
    return Friction(*(await session.execute(query)).one())


async def count_of_case(session: AsyncSession, case_id: UUID) -> int:
    """How many a case has."""
    query = select(func.count()).where(friction.c.case_id == case_id)
    return (await session.execute(query)).scalar_one()


async def list_frictions(
    session: AsyncSession, *conditions: ColumnElement[bool], before: UUID | None, limit: int
) -> Sequence[Friction]:
    """Newest first (ids grow with time)."""
    query = select(friction).where(*conditions).order_by(friction.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(friction.c.id < before)
    return [Friction(*row) for row in await session.execute(query)]


async def count_by_quarter(session: AsyncSession, prefecture: str, *, since: date, until: date) -> list[Counted]:
    """By boundary, municipality and quarter, in the days from one to another, both included."""
    column = friction.c
    quarter = func.date_trunc("quarter", column.recorded_on).label("quarter")
    query = (
        select(column.boundary, column.municipality, quarter, func.count(), func.count(column.case_id.distinct()))
        .where(
            func.left(column.municipality, 2) == prefecture, column.recorded_on >= since, column.recorded_on <= until
        )
        .group_by(column.boundary, column.municipality, quarter)
        .order_by(column.boundary, column.municipality, quarter)
    )
    return [Counted(row[0], row[1], row[2].date(), row[3], row[4]) for row in await session.execute(query)]
