"""Seats that nobody has go back when the decision that granted them is in force no more. Taken seats stay."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.pools import Place, settle
from services.training.domain.quota import Pool
from services.training.tables import allotments, courses, seats
from services.training.tables.seats import Share
from shared.bus.envelope import new_id


async def settle_pools(session: AsyncSession, course_run_id: UUID, touched: set[UUID], now: datetime) -> list[Pool]:
    """The pools of a course run that is locked, once what is stranded went to the next decision, or is for all.

    Whoever offers seats does this first: a seat that is stranded would be idle beside those who wait.
    """
    pools = await seats.read_pools(session, course_run_id, now)
    stranded = [pool for pool in pools if pool.is_stranded]
    if not stranded:
        return pools
    back = [Share(course_run_id, pool.id, -pool.free) for pool in stranded]
    await seats.share_out(session, back, command=new_id(), now=now)
    # Only now: what came back is in the number of the next decision again.
    run = await allotments.read_run(session, course_run_id)
    towns = {municipality for pool in stranded for municipality in pool.municipalities}
    allotted = await allotments.lock_allotted(session, {run.prefecture}, towns, now)
    bound = settle(run, stranded, allotted)
    pool_ids = await _pools(session, course_run_id, pools, list(bound.deltas))
    onward = [Share(course_run_id, pool_ids[place], more) for place, more in bound.deltas.items()]
    await seats.share_out(session, onward, command=new_id(), now=now)
    touched.update(pool.id for pool in stranded)
    touched.update(pool_ids[place] for place in bound.deltas)
    return await seats.read_pools(session, course_run_id, now)


async def _pools(
    session: AsyncSession, course_run_id: UUID, pools: Sequence[Pool], places: Sequence[Place]
) -> dict[Place, UUID]:
    standing = {Place.of(pool): pool.id for pool in pools}
    added = {new_id(): (course_run_id, place) for place in places if place not in standing}
    if added:
        await courses.add_pools(session, added)
    return standing | {place: pool_id for pool_id, (_, place) in added.items()}
