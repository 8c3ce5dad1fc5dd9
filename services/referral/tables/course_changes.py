"""Which course run, and which school, a referral named before the person agreed to another: it only grows."""

from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import Referral
from services.referral.tables.schema import course_change, referral


async def add(session: AsyncSession, before: Referral, *, version: int) -> None:
    """Write what it named until this step."""
    values = {
        "referral_id": before.id,
        "version": version,
        "receiver_before": before.receiver,
        "course_run_before": before.course_run_id,
    }
    await session.execute(insert(course_change).values(**values))


async def find_behind(session: AsyncSession, course_run_id: UUID) -> list[tuple[UUID, UUID]]:
    """Which referrals have their seat in this course run, and don't name it yet, each with its case; by case."""
    column = referral.c
    behind = column.seat_course_run_id == course_run_id, column.seat_course_run_id != column.course_run_id
    query = select(column.id, column.case_id).where(*behind).order_by(column.case_id, column.id)
    return [(row.id, row.case_id) for row in await session.execute(query)]
