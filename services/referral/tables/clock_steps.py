"""What clocks said, and how one ended that nobody's move had ended. The referral stands where it stood."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import Referral
from services.referral.tables.schema import clock_step
from shared.bus.envelope import new_id

CLOCK = "clock"


async def add(
    session: AsyncSession, of: Sequence[Referral], *, step: str, reason: str, at: datetime, by: str = CLOCK
) -> None:
    """Write one down of each, which waits for somebody. `reason`: which clock it was, or why it ended."""
    same = {"step": step, "by": by, "reason": reason, "at": at}
    rows = [
        {"id": new_id(), "referral_id": each.id, "version": each.version, "waits_for": each.agency_waited_for} | same
        for each in of
    ]
    await session.execute(insert(clock_step).values(rows))
