"""What decisions in force grant: allotments with what they have left, and pools that rest on one no more.

Whoever grants delegated seats locks the sub-committee after the course run, and reads afterwards: nothing is decided,
and nothing else granted, before this transaction ends. Asking for a seat, and giving one back, takes no such lock.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.decisions import Selector
from services.training.domain.pools import Allotted, Run
from shared.database import Hot

_LOCK_COMMITTEES = Hot(
    "SELECT max(locked.last_at) AS last_at FROM (SELECT last_at FROM sub_committee"
    " WHERE prefecture = ANY(CAST(:prefectures AS text[])) ORDER BY id FOR UPDATE) AS locked"
)
_IN_FORCE = Hot(
    "SELECT a.*, c.prefecture, allotment_seats(a.id) - allotment_used(a.id) AS room,"
    # Or carried out already, by somebody who came to the course run with a later moment.
    " cut_off_of(a.cut_off_on) <= CAST(:at AS timestamptz)"
    " OR EXISTS (SELECT FROM pool p WHERE p.decision_allotment_id = a.id AND p.kept IS NOT NULL"
    " AND p.agreement_id IS NULL) AS cut_off"
    " FROM sub_committee c JOIN decision d ON d.sub_committee_id = c.id"
    " JOIN decision_allotment a ON a.decision_id = d.id"
    " WHERE c.prefecture = ANY(CAST(:prefectures AS text[])) AND a.municipalities && CAST(:municipalities AS text[])"
    " AND decision_state(d.id, CAST(:at AS timestamptz)) = 'in_force'"
    " AND decision_state(d.id, CAST(:now AS timestamptz)) = 'in_force' ORDER BY a.id"
)
_READ_RUN = Hot("SELECT prefecture, course_number, system, field, starts_on FROM course_run WHERE id = :id")
# By the decisions that are over, of which there are few: left to itself, the planner judges the decision of each pool.
_LOCK_NEXT_STRANDED = Hot(
    "WITH ended AS MATERIALIZED"
    " (SELECT id FROM decision WHERE decision_state(id, CAST(:now AS timestamptz)) <> 'in_force')"
    " SELECT c.id FROM ended JOIN decision_allotment a ON a.decision_id = ended.id"
    " JOIN pool p ON p.decision_allotment_id = a.id AND p.granted > p.held + p.filled"
    " JOIN course_run c ON c.id = p.course_run_id LIMIT 1 FOR UPDATE OF c SKIP LOCKED"
)


async def lock_allotted(
    session: AsyncSession, prefectures: Collection[str], municipalities: Collection[str], now: datetime
) -> list[Allotted]:
    """What decisions in force grant to any of the municipalities, and what of it is left; no decision comes between."""
    named = {"prefectures": sorted(prefectures)}
    (locked,) = await _LOCK_COMMITTEES.rows(session, named)
    # Whoever waited for the lock acts no earlier than what was decided meanwhile; and what was only then decided grants
    # nothing yet, since the entries are of this moment.
    at = now if locked["last_at"] is None else max(now, locked["last_at"])
    rows = await _IN_FORCE.rows(session, named | {"municipalities": sorted(municipalities), "at": at, "now": now})
    return [_allotted(row) for row in rows]


async def read_run(session: AsyncSession, course_run_id: UUID) -> Run:
    """A course run that there is, as allotments see it."""
    (row,) = await _READ_RUN.rows(session, {"id": course_run_id})
    return Run(row["prefecture"], row["course_number"], row["system"], row["field"], row["starts_on"])


async def lock_next_stranded(session: AsyncSession, now: datetime) -> UUID | None:
    """A course run, locked, with seats that nobody has and whose decision is in force no more."""
    rows = await _LOCK_NEXT_STRANDED.rows(session, {"now": now})
    return rows[0]["id"] if rows else None


def _allotted(row: Mapping[str, Any]) -> Allotted:
    return Allotted(
        row["id"],
        row["prefecture"],
        frozenset(row["municipalities"]),
        Selector(row["course_number"], row["system"], row["field"], row["quarter"], row["fiscal_year"]),
        row["room"],
        row["cut_off"],
    )
