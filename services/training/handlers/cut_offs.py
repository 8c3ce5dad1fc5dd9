"""Who has seats that would go back is warned before the cut-off; what went back, and why, is read afterwards."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.cut_off import WARNED_BEFORE, comes_near, cut_off
from services.training.handlers.motions import begin_of
from services.training.tables import cut_offs, seats
from shared.bus.mailbox import emit
from shared.events import CutOffNear
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan, working_day_after


async def warn_next(session: AsyncSession, now: datetime) -> bool:
    """Of one course run: tell whose seats would go back in a few working days, once of each pool."""
    until = begin_of(working_day_after(day_in_japan(now), WARNED_BEFORE) + timedelta(days=1))
    course_run_id = await cut_offs.lock_next_near(session, now, until)
    if course_run_id is None:
        return False
    near = [pool for pool in await seats.read_pools(session, course_run_id, now) if comes_near(pool, now, until)]
    percents = await cut_offs.read_percents(session, [pool.id for pool in near])
    ahead = {pool.id: cut_off(pool, percents[pool.id]) for pool in near}
    onward = await cut_offs.read_next_municipalities(session, ahead)
    warned = await cut_offs.add_warnings(session, list(ahead.values()), now)
    told = []
    for pool in await seats.touch_pools(session, warned, now):
        assert pool.cut_off_at is not None
        warning = CutOffNear(
            pool_id=pool.id,
            course_run_id=course_run_id,
            municipalities=list(pool.municipalities),
            cut_off_at=pool.cut_off_at,
            unheld=ahead[pool.id].free,
            would_return=ahead[pool.id].returns,
            next_municipalities=onward.get(pool.id, []),
        )
        told.append((warning, pool.version))
    await emit(session, *told, at=now)
    return True


# --- reading --------------------------------------------------------------------------------------------------------

_CUT_OFFS = (
    "SELECT p.id AS pool_id, p.course_run_id, c.course_number, c.title, p.municipalities, p.cut_off_at,"
    " CAST((p.cut_off_at - interval '1 microsecond') AT TIME ZONE 'Asia/Tokyo' AS date) AS cut_off_on,"
    " returns_percent_of(p) AS returns_percent, p.agreement_id, p.onward_step,"
    " next_municipalities_of(p) AS next_municipalities, a.decision_id,"
    " p.granted - p.held - p.filled AS free, w.at AS warned_at,"
    " w.would_return AS warned_of, f.at AS carried_out_at, f.free AS free_then, f.kept,"
    " CASE WHEN f.pool_id IS NOT NULL THEN (SELECT coalesce(sum(e.seats), 0) FROM seat_entry e"
    " WHERE e.pool_id = p.id AND e.kind IN ('return', 'recall', 'transfer') AND e.id > f.entries_before"
    # What left the course run as well went with its capacity, and back to nobody.
    " AND NOT EXISTS (SELECT FROM seat_entry x WHERE x.command = e.command AND x.course_run_id = e.course_run_id"
    " AND x.kind = 'close'))"
    " END AS returned"
    " FROM pool p JOIN course_run c ON c.id = p.course_run_id"
    " JOIN decision_allotment a ON a.id = p.decision_allotment_id"
    " LEFT JOIN pool_cut_off f ON f.pool_id = p.id LEFT JOIN pool_cut_off_warning w ON w.pool_id = p.id"
)
_LIST = text(
    f"{_CUT_OFFS} WHERE (CAST(:prefecture AS text) IS NULL OR c.prefecture = :prefecture)"
    " AND (CAST(:municipality AS text) IS NULL OR :municipality = ANY(p.municipalities))"
    " AND (CAST(:carried_out AS boolean) IS NULL OR (p.kept IS NOT NULL) = :carried_out)"
    " AND (CAST(:after_id AS uuid) IS NULL OR (p.cut_off_at, p.id) > (CAST(:after_at AS timestamptz),"
    " CAST(:after_id AS uuid))) ORDER BY p.cut_off_at, p.id LIMIT :limit"
)
_GET = text(f"{_CUT_OFFS} WHERE p.id = :pool_id AND p.course_run_id = :course_run_id")


async def list_cut_offs(
    session: AsyncSession,
    *,
    prefecture: str | None,
    municipality: str | None,
    carried_out: bool | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Pools by their cut-off: who was warned, and what goes or went back."""
    values = {
        "prefecture": prefecture,
        "municipality": municipality,
        "carried_out": carried_out,
        "after_at": None if after is None else after[0],
        "after_id": None if after is None else after[1],
        "limit": limit,
    }
    return (await session.execute(_LIST, values)).all()


async def get_cut_off(session: AsyncSession, course_run_id: UUID, pool_id: UUID) -> Row[Any]:
    """Of one pool; 404 for seats that no decision delegated, which have none."""
    found = (await session.execute(_GET, {"course_run_id": course_run_id, "pool_id": pool_id})).one_or_none()
    if found is None:
        raise Problem(NOT_FOUND)
    return found
