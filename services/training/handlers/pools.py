"""Seats that nobody has go back when their decision is in force no more, or at its cut-off. Taken seats stay."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.cut_off import cut_off, going_back
from services.training.domain.pools import FOR_ALL, Place, settle
from services.training.domain.quota import Pool
from services.training.tables import allotments, courses, cut_offs, seats
from services.training.tables.seats import Share
from shared.bus.envelope import new_id


async def settle_pools(session: AsyncSession, course_run_id: UUID, touched: set[UUID], now: datetime) -> list[Pool]:
    """The pools of a course run that is locked, once what is due has left them: to the next decision, or for all.

    Whoever offers seats does this first: a seat that has to go would be idle beside those who wait.
    """
    pools = await seats.read_pools(session, course_run_id, now)
    if not any(pool.is_due(now) for pool in pools):
        return pools
    await _cut_off(session, [pool for pool in pools if pool.reaches_cut_off(now)], now)
    pools = await seats.read_pools(session, course_run_id, now)
    going = going_back(pools)
    back = [Share(course_run_id, pool_id, -leaving) for pool_id, leaving in going.items()]
    await seats.share_out(session, back, command=new_id(), now=now)
    places = await _onward(session, course_run_id, [pool for pool in pools if pool.id in going], now)
    pool_ids = await _pools(session, course_run_id, pools, list(places))
    onward = [Share(course_run_id, pool_ids[place], more) for place, more in places.items()]
    await seats.share_out(session, onward, command=new_id(), now=now)
    touched.update(going)
    touched.update(pool_ids[place] for place in places)
    return await seats.read_pools(session, course_run_id, now)


async def _cut_off(session: AsyncSession, pools: Sequence[Pool], now: datetime) -> None:
    if pools:
        percents = await cut_offs.read_percents(session, [pool.id for pool in pools])
        await cut_offs.add_cut_offs(session, [cut_off(pool, percents[pool.id]) for pool in pools], now)


async def _onward(
    session: AsyncSession, course_run_id: UUID, leaving: Sequence[Pool], now: datetime
) -> dict[Place, int]:
    """Where the seats go that these pools had. A cut-off is for all; the decision had its time."""
    places = Counter({FOR_ALL: sum(pool.surplus for pool in leaving if not pool.is_stranded)})
    if stranded := [pool for pool in leaving if pool.is_stranded]:
        # Only now: what came back is in the number of the next decision again.
        run = await allotments.read_run(session, course_run_id)
        towns = {municipality for pool in stranded for municipality in pool.municipalities}
        allotted = await allotments.lock_allotted(session, {run.prefecture}, towns, now)
        places.update(settle(run, stranded, allotted).deltas)
    return dict(+places)


async def _pools(
    session: AsyncSession, course_run_id: UUID, pools: Sequence[Pool], places: Sequence[Place]
) -> dict[Place, UUID]:
    standing = {Place.of(pool): pool.id for pool in pools}
    added = {new_id(): (course_run_id, place) for place in places if place not in standing}
    if added:
        await courses.add_pools(session, added)
    return standing | {place: pool_id for pool_id, (_, place) in added.items()}
