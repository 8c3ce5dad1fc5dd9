"""Time: the database's clock decides, and tests move it by an offset. The only place that asks a clock for the date."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from jpholiday import JPHoliday
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import database_time

JST = ZoneInfo("Asia/Tokyo")
_HOLIDAYS = JPHoliday()


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


def is_working_day(day: date) -> bool:
    """Whether public offices are open: no Saturday, Sunday or holiday, and not from 29 December to 3 January.

    行政機関の休日に関する法律 Art. 1; 地方自治法 Art. 4-2 has municipalities' ordinances say the same. Holidays of
    coming years follow from the law (国民の祝日に関する法律); the two equinoxes are announced a year ahead.
    """
    return day.weekday() < 5 and not is_holiday(day)


def is_holiday(day: date) -> bool:
    """Whether public offices rest although it may be a weekday: a holiday, or the turn of the year."""
    turn_of_year = (day.month, day.day) >= (12, 29) or (day.month, day.day) <= (1, 3)
    return turn_of_year or bool(_HOLIDAYS.is_holiday(day))


def working_day_after(day: date, count: int) -> date:
    """The day that is so many working days after a day, which itself doesn't count (民法 Art. 140)."""
    while count:
        day += timedelta(days=1)
        count -= is_working_day(day)
    return day


def day_in_japan(moment: datetime) -> date:
    """The calendar day on which a moment falls in Japan."""
    return moment.astimezone(JST).date()
