"""Seats of an allotment's number that go on to the next quarter's: entries that are only added to."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.carry_over import Remainder
from shared.database import Hot

_END = "(make_date(a.fiscal_year, 4, 1) + make_interval(months => 3 * {quarter})) AT TIME ZONE 'Asia/Tokyo'"
_REMAINDERS = (
    "SELECT a.id AS allotment_id, n.id AS next_id, a.municipalities,"
    " allotment_seats(a.id) - allotment_used(a.id) AS left_over"
    " FROM decision_allotment a JOIN decision d ON d.id = a.decision_id"
    " JOIN sub_committee s ON s.id = d.sub_committee_id"
    " JOIN decision_allotment n ON n.fiscal_year = a.fiscal_year AND n.quarter = a.quarter + 1"
    " AND n.system IS NOT DISTINCT FROM a.system AND n.field IS NOT DISTINCT FROM a.field"
    " AND n.municipalities @> a.municipalities AND n.municipalities <@ a.municipalities"
    f" WHERE a.carries_over AND {_END.format(quarter='a.quarter')} <= CAST(:now AS timestamptz)"
    f" AND CAST(:now AS timestamptz) < {_END.format(quarter='n.quarter')}"
    " AND NOT EXISTS (SELECT FROM allotment_entry e WHERE e.from_allotment_id = a.id)"
    f" AND decision_in_force(a.id, {_END.format(quarter='a.quarter')} - interval '1 microsecond')"
    " AND decision_in_force(n.id, CAST(:now AS timestamptz))"
)
_LOCK_NEXT = Hot(
    f"{_REMAINDERS} AND allotment_seats(a.id) - allotment_used(a.id) BETWEEN 1 AND 9"
    " ORDER BY a.id LIMIT 1 FOR UPDATE OF s SKIP LOCKED"
)
_READ = Hot(f"{_REMAINDERS} AND a.id = CAST(:id AS uuid) ORDER BY n.id LIMIT 1")
_CARRY = Hot(
    "INSERT INTO allotment_entry (kind, from_allotment_id, to_allotment_id, seats, at)"
    " VALUES ('carry_over', :from_id, :to_id, :seats, :now)"
)


async def lock_next_remainder(session: AsyncSession, now: datetime) -> UUID | None:
    """An allotment whose quarter is over and that leaves a few seats to the next; its sub-committee is locked."""
    rows = await _LOCK_NEXT.rows(session, {"now": now})
    return rows[0]["allotment_id"] if rows else None


async def find_remainder(session: AsyncSession, allotment_id: UUID, now: datetime) -> Mapping[str, Any] | None:
    """What it leaves, as it stands."""
    rows = await _READ.rows(session, {"id": allotment_id, "now": now})
    return rows[0] if rows else None


def remainder_of(row: Mapping[str, Any]) -> Remainder:
    """A remainder out of its columns."""
    return Remainder(row["allotment_id"], row["next_id"], row["left_over"])


async def carry_over(session: AsyncSession, remainder: Remainder, seats: int, now: datetime) -> None:
    """So many seats, out of one number and into the next; both sides stand in the entry."""
    values = {"from_id": remainder.allotment_id, "to_id": remainder.next_id, "seats": seats, "now": now}
    await _CARRY.rows(session, values)
