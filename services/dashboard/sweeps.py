"""The clock's door: the feed forgets what is older than 30 days."""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.dashboard.tables import forget_lines
from shared.service import Sweep

KEPT = timedelta(days=30)
"""As long as the topics keep their records: who stays away longer starts anew on any of the ways in."""
CHUNK = 5000


async def forget_old_lines(session: AsyncSession, now: datetime) -> bool:
    """Drop one chunk; whether there was anything to drop."""
    return await forget_lines(session, before=now - KEPT, chunk=CHUNK) > 0


sweeps = (Sweep("forget_old_lines", timedelta(hours=1), forget_old_lines),)
