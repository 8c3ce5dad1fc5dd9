"""When an agency is open, how long its programmes may take to answer, and who coordinates where."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.clocks import DAYS
from services.referral.domain.states import Clock
from shared.database import Hot
from shared.service import is_holiday

_CALENDAR = Hot(
    "SELECT a.closed_weekdays, a.closed_days, p.acknowledge_days, p.contact_days, p.start_days, c.place_days,"
    " c.agency_id AS coordinator"
    " FROM (SELECT) AS one LEFT JOIN agency a ON a.agency_id = :agency_id LEFT JOIN programme p ON p.id = :programme_id"
    " LEFT JOIN coordinator c ON c.municipality = :municipality"
)
_COORDINATOR = Hot("SELECT agency_id FROM coordinator WHERE municipality = :municipality")
_OFFICE_CLOSED = (5, 6)
_OWN_DAYS = {
    Clock.ACKNOWLEDGE: "acknowledge_days",
    Clock.CONTACT: "contact_days",
    Clock.START: "start_days",
    Clock.PLACE: "place_days",
}
"""What a programme sets for itself; and a municipality, of what came back and has to be placed."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """When the agency that has to act is open, and how many working days each clock has."""

    closed_weekdays: frozenset[int]
    closed_days: frozenset[date]
    days: Mapping[Clock, int]
    agency: str = ""
    """Whose days these are."""
    coordinator: str | None = None
    """調整役: the agency that the municipality has named."""

    def is_open(self, day: date) -> bool:
        """Whether a day counts."""
        return day.weekday() not in self.closed_weekdays and day not in self.closed_days and not is_holiday(day)


async def calendar_of(
    session: AsyncSession, agency_id: str, *, programme_id: UUID | None = None, municipality: str | None = None
) -> Calendar:
    """Of an agency that has to act; one that the directory doesn't have keeps a public office's days."""
    of = {"agency_id": agency_id, "programme_id": programme_id, "municipality": municipality}
    (row,) = await _CALENDAR.rows(session, of)
    weekdays = _OFFICE_CLOSED if row["closed_weekdays"] is None else row["closed_weekdays"]
    own = {clock: row[name] for clock, name in _OWN_DAYS.items() if row[name] is not None}
    closed_days = frozenset(row["closed_days"] or ())
    return Calendar(frozenset(weekdays), closed_days, {**DAYS, **own}, agency_id, row["coordinator"])


async def find_coordinator(session: AsyncSession, municipality: str) -> str | None:
    """調整役: the agency of the municipality that was named."""
    rows = await _COORDINATOR.rows(session, {"municipality": municipality})
    return rows[0]["agency_id"] if rows else None
