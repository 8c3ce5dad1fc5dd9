"""Time: the database's clock decides, and tests move it by an offset. The only place that asks a clock for the date."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import database_time

JST = ZoneInfo("Asia/Tokyo")


@dataclass(slots=True)
class Clock:
    """The frame's clock. `offset` is zero outside tests."""

    offset: timedelta = timedelta()

    async def now(self, session: AsyncSession) -> datetime:
        """The database's time, in UTC."""
        return await database_time(session) + self.offset


def wall_time() -> datetime:
    """This process's time, for logs and tokens; never for a deadline."""
    return datetime.now(UTC)


def day_in_japan(moment: datetime) -> date:
    """The calendar day on which a moment falls in Japan."""
    return moment.astimezone(JST).date()
