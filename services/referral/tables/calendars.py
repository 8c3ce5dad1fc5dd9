"""When an agency is open, how long its programmes may take to answer, and who coordinates where."""

from datetime import date
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.clocks import DAYS, IsOpen
from services.referral.domain.moves import Referral
from services.referral.domain.states import Clock
from shared.service import is_holiday

_HOURS = text("SELECT closed_weekdays, closed_days FROM agency WHERE agency_id = :agency_id")
_DAYS = text("SELECT acknowledge_days, contact_days, start_days FROM programme WHERE id = :programme_id")
_COORDINATOR = text("SELECT agency_id FROM coordinator WHERE municipality = :municipality")
_OFFICE_CLOSED = frozenset({5, 6})


async def opening_days(session: AsyncSession, agency_id: str) -> IsOpen:
    """Whether the agency is open on a day; one that the directory doesn't have keeps a public office's days."""
    row = (await session.execute(_HOURS, {"agency_id": agency_id})).one_or_none()
    weekdays, closed = (_OFFICE_CLOSED, frozenset()) if row is None else map(frozenset, row)

    def is_open(day: date) -> bool:
        return day.weekday() not in weekdays and day not in closed and not is_holiday(day)

    return is_open


async def days_of(session: AsyncSession, referral: Referral) -> dict[Clock, int]:
    """How many working days each clock has, for the referral's programme."""
    if referral.programme_id is None:
        return dict(DAYS)
    row: Row[Any] | None = (await session.execute(_DAYS, {"programme_id": referral.programme_id})).one_or_none()
    own = {} if row is None else dict(zip((Clock.ACKNOWLEDGE, Clock.CONTACT, Clock.START), row, strict=True))
    return dict(DAYS) | {clock: days for clock, days in own.items() if days is not None}


async def find_coordinator(session: AsyncSession, municipality: str) -> str | None:
    """調整役: the agency of the municipality that was named."""
    found: str | None = (await session.execute(_COORDINATOR, {"municipality": municipality})).scalar_one_or_none()
    return found
