"""Seats that nobody has leave their pool when their decision is over, at its cut-off, or when they were lent.

Taken seats stay. What is lent goes back to the lender first; what a cut-off sends back is offered to whom the decision
names next, and else to all; what a decision leaves that is over goes on to the next one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.cut_off import Leaving, cut_off, going_back, next_due
from services.training.domain.pools import FOR_ALL, Place, settle
from services.training.domain.quota import Pool
from services.training.tables import allotments, courses, cut_offs, seats
from services.training.tables.moves import Move, move, read_next_places
from services.training.tables.seats import Share
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import SeatsMoved


async def settle_pools(session: AsyncSession, course_run_id: UUID, touched: set[UUID], now: datetime) -> list[Pool]:
    """The pools of a course run that is locked, once what is due has left them: to whoever is next, or for all.

    Whoever offers seats does this first: a seat that has to go would be idle beside those who wait.
    """
    pools = await seats.read_pools(session, course_run_id, now)
    # Each turn empties what is due; what went on may be due where it came to, if nobody looked for weeks.
    while due := next_due(pools, now):
        await _cut_off(session, [pool for pool in due if pool.reaches_cut_off(now)], now)
        standing = await seats.read_pools(session, course_run_id, now)
        ids = {pool.id for pool in due}
        due = [pool for pool in standing if pool.id in ids]
        leaving = going_back(due, await cut_offs.over_before(session, ids))
        touched.update(each.pool.id for each in leaving)
        if any(pool.source_pool_id is not None for pool in due):
            await _give_back(session, course_run_id, standing, leaving, touched, now)
        else:
            await _leave(session, course_run_id, standing, leaving, touched, now)
        pools = await seats.read_pools(session, course_run_id, now)
    return pools


async def _cut_off(session: AsyncSession, pools: Sequence[Pool], now: datetime) -> None:
    if pools:
        percents = await cut_offs.read_percents(session, [pool.id for pool in pools])
        await cut_offs.add_cut_offs(session, [cut_off(pool, percents[pool.id]) for pool in pools], now)


async def _give_back(
    session: AsyncSession,
    course_run_id: UUID,
    pools: Sequence[Pool],
    leaving: Sequence[Leaving],
    touched: set[UUID],
    now: datetime,
) -> None:
    """Lent seats that nobody holds are the lender's again."""
    back = [
        Move(course_run_id, each.pool.id, each.pool.source_pool_id, each.seats)
        for each in leaving
        if each.pool.source_pool_id is not None
    ]
    await move_seats(session, "recall", back, {pool.id: pool for pool in pools}, command=new_id(), now=now)
    touched.update(each.to_pool_id for each in back)


async def _leave(
    session: AsyncSession,
    course_run_id: UUID,
    pools: Sequence[Pool],
    leaving: Sequence[Leaving],
    touched: set[UUID],
    now: datetime,
) -> None:
    onward = await _next_places(session, leaving)
    back = [
        Share(course_run_id, each.pool.id, each.by_cut_off * (each.pool.id in onward) - each.seats) for each in leaving
    ]
    await seats.share_out(session, back, command=new_id(), now=now)
    places = await _for_whom(session, course_run_id, leaving, onward, now)
    pool_ids = await _pools(session, course_run_id, pools, [*places, *onward.values()])
    shares = [Share(course_run_id, pool_ids[place], more) for place, more in places.items()]
    await seats.share_out(session, shares, command=new_id(), now=now)
    moves = [
        Move(course_run_id, each.pool.id, pool_ids[onward[each.pool.id]], each.by_cut_off)
        for each in leaving
        if each.pool.id in onward
    ]
    known = {pool.id: pool for pool in await seats.read_pools(session, course_run_id, now)}
    await move_seats(session, "transfer", moves, known, command=new_id(), now=now)
    touched.update(pool_ids[place] for place in [*places, *onward.values()])


async def _next_places(session: AsyncSession, leaving: Sequence[Leaving]) -> dict[UUID, Place]:
    """To whom the decision sends what its cut-off takes back, as long as it is in force itself."""
    sending = [each.pool.id for each in leaving if each.by_cut_off and each.pool.in_force]
    return await read_next_places(session, sending) if sending else {}


async def _for_whom(
    session: AsyncSession,
    course_run_id: UUID,
    leaving: Sequence[Leaving],
    onward: Mapping[UUID, Place],
    now: datetime,
) -> dict[Place, int]:
    """Where the seats go that went back to the course run. A cut-off is for all; the decision had its time."""
    places = Counter({FOR_ALL: sum(each.by_cut_off for each in leaving if each.pool.id not in onward)})
    places[FOR_ALL] += sum(each.stranded for each in leaving if each.pool.is_moved)
    stranded = [
        replace(each.pool, granted=each.pool.taken + each.stranded)
        for each in leaving
        if each.stranded and not each.pool.is_moved
    ]
    if stranded:
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
    added = {new_id(): (course_run_id, place) for place in dict.fromkeys(places) if place not in standing}
    if added:
        await courses.add_pools(session, added)
    return standing | {place: pool_id for pool_id, (_, place) in added.items()}


async def move_seats(
    session: AsyncSession,
    kind: str,
    moves: Sequence[Move],
    pools: Mapping[UUID, Pool],
    *,
    command: UUID,
    now: datetime,
) -> None:
    """Seats go from pool to pool, and it is told who gave them and who has them now."""
    await move(session, kind, moves, command=command, now=now)
    told = [
        SeatsMoved(
            move_id=command,
            kind=kind,
            course_run_id=each.course_run_id,
            from_pool_id=each.pool_id,
            to_pool_id=each.to_pool_id,
            from_municipalities=list(pools[each.pool_id].municipalities),
            to_municipalities=list(pools[each.to_pool_id].municipalities),
            seats=each.seats,
            agreement_id=pools[each.to_pool_id].agreement_id or pools[each.pool_id].agreement_id,
        )
        for each in moves
    ]
    # A move happens once: the number of each is its place in the command.
    await emit(session, *((event, number) for number, event in enumerate(told, 1)), at=now)
