"""Which course run, and which school, a referral named before the person agreed to another: it only grows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert, select
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


async def find_behind(session: AsyncSession, course_run_id: UUID) -> Sequence[Row[Any]]:
    """Which referrals have their seat in this course run, and don't name it yet: `id`, `case_id`, by case."""
    column = referral.c
    behind = column.seat_course_run_id == course_run_id, column.seat_course_run_id != column.course_run_id
    query: Select[Any] = select(column.id, column.case_id).where(*behind).order_by(column.case_id, column.id)
    found: Sequence[Row[Any]] = (await session.execute(query)).all()
    return found
