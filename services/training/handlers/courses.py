"""Course runs come into the catalogue or change, and their seats are granted to pools; authority modes are recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import offers
from services.training.domain.offers import CourseOffer, Denied
from services.training.domain.quota import Pool
from services.training.domain.steps import Authority, State
from services.training.handlers.seats import Told, offer_free_seats, seat_held, tell
from services.training.tables import courses, seats
from shared.bus.envelope import new_id
from shared.events import CourseOffered


@dataclass(frozen=True, slots=True)
class Offered:
    """The course run stands in the catalogue as it was offered."""

    course_run_id: UUID
    became: Literal["created", "updated", "unchanged"]


async def offer_course_run(session: AsyncSession, offer: CourseOffer, *, now: datetime) -> Offered | Denied:
    """Create or change a course run (開講); more seats are granted, and offered to those who wait, at once."""
    found = await courses.find_offer(session, offer.course_number)
    if found is None:
        denied = offers.offer_course_run(offer, [])
        if isinstance(denied, Denied):
            return denied
        course_run_id = new_id()
        if await courses.add_course(session, course_run_id, offer):
            await courses.add_pool(session, new_id(), course_run_id, None)
            return await _stand(session, course_run_id, offer, version=1, became="created", now=now)
        # Somebody else offered it in this very moment.
        found = await courses.find_offer(session, offer.course_number)
        assert found is not None
    # Files repeat what is known: no lock for that, or a long file would stop every request for its courses.
    if _same(found, offer) and not _grants(offer, await seats.read_pools(session, found.id)):
        return Offered(found.id, "unchanged")
    await seats.lock_course(session, found.id)
    return await _stand(session, found.id, offer, version=None, became="updated", now=now)


async def _stand(
    session: AsyncSession,
    course_run_id: UUID,
    offer: CourseOffer,
    *,
    version: int | None,
    became: Literal["created", "updated"],
    now: datetime,
) -> Offered | Denied:
    pools = await seats.read_pools(session, course_run_id)
    decision = offers.offer_course_run(offer, pools)
    if isinstance(decision, Denied):
        return decision
    standing = {pool.municipality: pool.id for pool in pools}
    for municipality in decision.deltas:
        if municipality not in standing:
            standing[municipality] = new_id()
            await courses.add_pool(session, standing[municipality], course_run_id, municipality)
    deltas = {standing[municipality]: more for municipality, more in decision.deltas.items() if more}
    # Return, then change the capacity, then grant: at no moment is more granted than there is.
    await _grant(session, course_run_id, {pool: more for pool, more in deltas.items() if more < 0}, now)
    if version is None:
        version = await courses.change_course(session, course_run_id, offer)
    await _grant(session, course_run_id, {pool: more for pool, more in deltas.items() if more > 0}, now)
    told = [_course_offered(course_run_id, offer, version)]
    told += await _follow_deadline(session, course_run_id, offer, pools)
    touched = set(deltas)
    course = await seats.lock_course(session, course_run_id)
    assert course is not None
    told += await offer_free_seats(session, course, touched, now)
    await tell(session, course_run_id, told, touched, now)
    return Offered(course_run_id, became)


async def _grant(session: AsyncSession, course_run_id: UUID, deltas: Mapping[UUID, int], now: datetime) -> None:
    for pool_id, more in deltas.items():
        await seats.grant(session, pool_id, course_run_id, more, now=now)


async def _follow_deadline(
    session: AsyncSession, course_run_id: UUID, offer: CourseOffer, pools: list[Pool]
) -> list[Told]:
    """A hold never outlives the deadline: whoever holds a seat is told its new end."""
    kinds = {pool.id: pool.kind for pool in pools}
    moved = await seats.follow_deadline(session, course_run_id, offer.applications_close_at)
    return [
        (
            seat_held(request, pool_id=request.pool_id, pool_kind=kinds[request.pool_id], expires_at=until),
            request.version,
        )
        for request in moved
        if request.state is not State.WAITING and (until := request.expires_at) is not None
    ]


def _same(found: Row[tuple[object, ...]], offer: CourseOffer) -> bool:
    return all(getattr(found, column) == value for column, value in courses.offer_values(offer).items())


def _grants(offer: CourseOffer, pools: list[Pool]) -> bool:
    """Whether the offer would change any pool (or is to be refused, which the lock's holder will find)."""
    decision = offers.offer_course_run(offer, pools)
    return isinstance(decision, Denied) or any(decision.deltas.values())


def _course_offered(course_run_id: UUID, offer: CourseOffer, version: int) -> Told:
    offered = CourseOffered(
        course_run_id=course_run_id,
        course_number=offer.course_number,
        provider=offer.provider_agency,
        prefecture=offer.prefecture,
        site_municipality=offer.site_municipality,
        system=offer.system,
        field=offer.field,
        starts_on=offer.starts_on,
        ends_on=offer.ends_on,
        applications_close_at=offer.applications_close_at,
        capacity=offer.capacity,
    )
    return offered, version


# --- who may issue instructions -------------------------------------------------------------------------------------

_DECIDE = text(
    "INSERT INTO region_authority (prefecture, mode, in_force_from, decided_by, recorded_by, recorded_at)"
    " VALUES (:prefecture, :mode, :in_force_from, :decided_by, :recorded_by, :now)"
)


async def record_authority(
    session: AsyncSession,
    *,
    prefecture: str,
    mode: Authority,
    in_force_from: date,
    decided_by: str,
    recorded_by: str,
    now: datetime,
) -> None:
    """Record what was decided for a prefecture, and from which day. An earlier decision stays on record."""
    values = {
        "prefecture": prefecture,
        "mode": mode.value,
        "in_force_from": in_force_from,
        "decided_by": decided_by,
        "recorded_by": recorded_by,
        "now": now,
    }
    await session.execute(_DECIDE, values)
