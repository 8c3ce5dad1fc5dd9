"""What clocks said, and how one ended that nobody's move had ended. The referral stands where it stood."""

from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import Referral
from services.referral.tables.schema import clock_step
from shared.bus.envelope import new_id

CLOCK = "clock"


async def add(
    session: AsyncSession, of: Referral, *, step: str, waits_for: str, reason: str, at: datetime, by: str = CLOCK
) -> None:
    """Write one down. `reason`: which clock it was, or why it ended."""
    values = {"id": new_id(), "referral_id": of.id, "version": of.version, "step": step, "by": by}
    await session.execute(insert(clock_step).values(**values, waits_for=waits_for, reason=reason, at=at))
