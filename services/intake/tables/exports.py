"""What goes out as lists: cases that came to an agency in a time, and counts of screening outcomes."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case
from services.intake.tables.cases import case_
from shared.auth import served


async def find_received(
    session: AsyncSession, agency: str, *, since: datetime, until: datetime, limit: int
) -> Sequence[Case]:
    """Cases opened in [since, until) that the agency opened or holds, oldest first."""
    query = (
        select(case_)
        .where(
            case_.c.opened_at >= since,
            case_.c.opened_at < until,
            or_(case_.c.opened_by == agency, case_.c.holder_agency == agency),
        )
        .order_by(case_.c.id)
        .limit(limit)
    )
    return [Case(**row._mapping) for row in await session.execute(query)]  # noqa: SLF001


async def count_outcomes(
    session: AsyncSession, agency: str, municipalities: Collection[str], *, since: datetime, until: datetime
) -> dict[tuple[str, str | None], int]:
    """Cases opened in [since, until), by municipality and screening outcome; of who is concerned by them."""
    query = (
        select(case_.c.municipality, case_.c.screening_outcome, func.count())
        .where(
            case_.c.opened_at >= since,
            case_.c.opened_at < until,
            or_(
                case_.c.opened_by == agency,
                case_.c.holder_agency == agency,
                served(case_.c.municipality, municipalities),
            ),
        )
        .group_by(case_.c.municipality, case_.c.screening_outcome)
    )
    return {(municipality, outcome): count for municipality, outcome, count in await session.execute(query)}
