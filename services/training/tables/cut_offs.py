"""Cut-offs: pools whose day is over or near, what went back, and who was warned. Facts that are only added to."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.cut_off import CutOff
from shared.database import Hot

_LOCK_NEXT_DUE = Hot(
    "SELECT c.id FROM pool p JOIN course_run c ON c.id = p.course_run_id"
    " WHERE p.kept IS NULL AND p.cut_off_at <= CAST(:now AS timestamptz)"
    " ORDER BY p.cut_off_at LIMIT 1 FOR UPDATE OF c SKIP LOCKED"
)
# By all pools that were cut off, so seldom: code of this release leaves none behind, code of 0.1.0 beside it does.
_LOCK_NEXT_SURPLUS = Hot(
    "SELECT c.id FROM pool p JOIN course_run c ON c.id = p.course_run_id"
    " WHERE p.granted - p.held - p.filled > p.kept LIMIT 1 FOR UPDATE OF c SKIP LOCKED"
)
_PERCENTS = Hot(
    "SELECT p.id, returns_percent_of(p) AS returns_percent FROM pool p WHERE p.id = ANY(CAST(:ids AS uuid[]))"
)
_NEXT = Hot(
    "SELECT p.id, next_municipalities_of(p) AS municipalities FROM pool p WHERE p.id = ANY(CAST(:ids AS uuid[]))"
)
_OVER_BEFORE = Hot(
    "SELECT p.id FROM pool p WHERE p.id = ANY(CAST(:ids AS uuid[]))"
    " AND NOT decision_in_force(p.decision_allotment_id, p.cut_off_at - interval '1 microsecond')"
)
_ADD = Hot(
    "INSERT INTO pool_cut_off (pool_id, free, kept, at)"
    " SELECT pool_id, free, kept, :now FROM unnest(CAST(:pool_ids AS uuid[]), CAST(:frees AS integer[]),"
    " CAST(:kepts AS integer[])) AS added (pool_id, free, kept)"
)
# A warning is not given of a decision that is over: those seats are going anyway.
_LOCK_NEXT_NEAR = Hot(
    "SELECT c.id FROM pool p JOIN course_run c ON c.id = p.course_run_id WHERE p.kept IS NULL"
    " AND p.cut_off_at > CAST(:now AS timestamptz) AND p.cut_off_at <= CAST(:until AS timestamptz)"
    " AND p.granted > p.held + p.filled AND NOT EXISTS (SELECT FROM pool_cut_off_warning w WHERE w.pool_id = p.id)"
    " AND decision_in_force(p.decision_allotment_id, CAST(:now AS timestamptz))"
    " ORDER BY p.cut_off_at LIMIT 1 FOR UPDATE OF c SKIP LOCKED"
)
_WARN = Hot(
    "INSERT INTO pool_cut_off_warning (pool_id, free, would_return, at)"
    " SELECT pool_id, free, would_return, :now FROM unnest(CAST(:pool_ids AS uuid[]), CAST(:frees AS integer[]),"
    " CAST(:returns AS integer[])) AS added (pool_id, free, would_return)"
    " ON CONFLICT DO NOTHING RETURNING pool_id"
)


async def lock_next_due(session: AsyncSession, now: datetime) -> UUID | None:
    """A course run, locked, with a cut-off to be carried out; those that somebody works on are passed by."""
    rows = await _LOCK_NEXT_DUE.rows(session, {"now": now})
    return rows[0]["id"] if rows else None


async def lock_next_surplus(session: AsyncSession) -> UUID | None:
    """A course run, locked, with more free seats in a pool than its cut-off left there."""
    rows = await _LOCK_NEXT_SURPLUS.rows(session, {})
    return rows[0]["id"] if rows else None


async def read_percents(session: AsyncSession, pool_ids: Collection[UUID]) -> dict[UUID, int]:
    """How much of each pool goes back, as it was decided."""
    return {row["id"]: row["returns_percent"] for row in await _PERCENTS.rows(session, {"ids": list(pool_ids)})}


async def read_next_municipalities(session: AsyncSession, pool_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """Whose the seats are next: whom the decision names, or who lent them; nobody: they are for all."""
    return {row["id"]: row["municipalities"] for row in await _NEXT.rows(session, {"ids": list(pool_ids)})}


async def over_before(session: AsyncSession, pool_ids: Collection[UUID]) -> set[UUID]:
    """Those of the pools whose decision was over before their cut-off came."""
    return {row["id"] for row in await _OVER_BEFORE.rows(session, {"ids": list(pool_ids)})}


async def add_cut_offs(session: AsyncSession, cut_offs: Sequence[CutOff], now: datetime) -> None:
    """What each cut-off came to, once for each pool; the database looks whether it is so."""
    values = {
        "pool_ids": [each.pool_id for each in cut_offs],
        "frees": [each.free for each in cut_offs],
        "kepts": [each.kept for each in cut_offs],
    }
    await _ADD.rows(session, values | {"now": now})


async def lock_next_near(session: AsyncSession, now: datetime, until: datetime) -> UUID | None:
    """A course run, locked, with a pool to be warned of; those that somebody works on are passed by."""
    rows = await _LOCK_NEXT_NEAR.rows(session, {"now": now, "until": until})
    return rows[0]["id"] if rows else None


async def add_warnings(session: AsyncSession, warnings: Sequence[CutOff], now: datetime) -> set[UUID]:
    """That somebody is warned, once of each pool; of which that is new."""
    values = {
        "pool_ids": [each.pool_id for each in warnings],
        "frees": [each.free for each in warnings],
        "returns": [each.returns for each in warnings],
    }
    return {row["pool_id"] for row in await _WARN.rows(session, values | {"now": now})}
