"""Course runs come into the catalogue or change, and their seats are granted to pools; authority modes are recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import chain
from typing import Any, Literal, TypeGuard, assert_never
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.late_changes import TERMS, Terms
from services.training.domain.offers import CourseOffer, Denied, Granted, offer_again, offer_course_run
from services.training.domain.pools import Allotted, Bound, Place, Run, bind_seats
from services.training.domain.quota import AT, Pool
from services.training.domain.steps import Authority, State
from services.training.handlers.catalogue_ours import show_in_catalogue
from services.training.handlers.late_changes import tell_of_file
from services.training.handlers.reserves import Told
from services.training.handlers.seats import offer_free_seats, pool_changed, seat_held
from services.training.tables import courses, line, seats
from services.training.tables.allotments import lock_allotted
from services.training.tables.courses import offer_values, trial_of
from services.training.tables.late_changes import get_run, read_colliding
from services.training.tables.seats import Share
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import CourseOffered
from shared.problems import CONFLICT, Problem
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class Offered:
    """The course run stands in the catalogue as it was offered."""

    course_run_id: UUID
    became: Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class _Change:
    """A course run that is to stand as it is offered: a new one, or one that is locked."""

    course_run_id: UUID
    offer: CourseOffer
    pools: Sequence[Pool]
    granted: Granted
    became: Literal["created", "updated"]
    places: Mapping[Place, int] = field(default_factory=dict)
    """What each pool is granted more or less, once it is known which decisions grant it."""
    said_before: bool = False
    """The file says of its pools what it said before."""
    same: bool = False
    """Nothing else of it changes."""
    moves: bool = False
    """Its days, place, hours or deadline are others than before."""


_Decided = dict[str, _Change | Offered | Denied]


async def offer_course_runs(
    session: AsyncSession, offers: Sequence[CourseOffer], *, actor: Actor, now: datetime
) -> list[Offered | Denied]:
    """Create or change course runs (開講), each number once; more seats are granted, and offered to those who wait."""
    known = await courses.find_offers(session, [offer.course_number for offer in offers])
    denied = _elsewhere(offers, known, actor)
    ours = [offer for offer in offers if offer.course_number not in denied]
    unknown = [offer for offer in ours if offer.course_number not in known]
    # Course runs that are there, then the numbers of new ones, then the sub-committee: so does everybody.
    wanted = denied | await _change(session, [offer for offer in ours if offer.course_number in known], known, now)
    if unknown:
        await courses.claim_numbers(session, [offer.course_number for offer in unknown])
        # Somebody else may have offered them in this very moment: the newest there are, so their locks come last.
        known = await courses.find_offers(session, [offer.course_number for offer in unknown])
        wanted |= _elsewhere(unknown, known, actor)
        late = [offer for offer in unknown if offer.course_number in known and offer.course_number not in wanted]
        wanted |= await _change(session, late, known, now)
    wanted |= {offer.course_number: _create(offer) for offer in unknown if offer.course_number not in wanted}
    # In the file's order: of what an allotment has left, the first line takes first.
    decided = await _bind(session, {offer.course_number: wanted[offer.course_number] for offer in offers}, now)
    await _add(session, decided)
    changes = [each for each in decided.values() if isinstance(each, _Change)]
    if changes:
        await _stand(session, changes, actor, now)
    return [_outcome(decided[offer.course_number]) for offer in offers]


def _elsewhere(offers: Sequence[CourseOffer], known: Mapping[str, Mapping[str, Any]], actor: Actor) -> _Decided:
    """Course runs of a place that the caller doesn't serve, or that stand there until now: another planner's."""
    denied: _Decided = {}
    for offer in offers:
        places = {offer.site_municipality}
        if offer.course_number in known:
            places.add(known[offer.course_number]["site_municipality"])
        if not all(map(actor.serves, places)):
            denied[offer.course_number] = Denied("not_your_prefecture", "site_municipality")
    return denied


def _create(offer: CourseOffer) -> _Change | Denied:
    decision = offer_course_run(offer, [])
    match decision:
        case Denied():
            return decision
        case Granted():
            return _Change(new_id(), offer, [], decision, "created")
        case _:
            assert_never(decision)


async def _add(session: AsyncSession, decided: _Decided) -> None:
    """New entries are added. Their numbers are claimed: only code that claims none, as 0.1.0's, may have taken one."""
    new = {each.course_run_id: each.offer for each in decided.values() if _is_new(each)}
    if new and await courses.add_courses(session, new) != new.keys():
        raise Problem(CONFLICT)


def _is_new(each: _Change | Offered | Denied | None) -> TypeGuard[_Change]:
    return isinstance(each, _Change) and each.became == "created"


async def _change(
    session: AsyncSession, offers: Sequence[CourseOffer], known: Mapping[str, Mapping[str, Any]], now: datetime
) -> _Decided:
    """What the offers come to for course runs that there are; those that change are locked."""
    decided: _Decided = {}
    differing: dict[UUID, CourseOffer] = {}
    pools = await seats.read_pools_of(session, [known[offer.course_number]["id"] for offer in offers], now)
    for offer in offers:
        found = known[offer.course_number]
        # Files repeat what is known: no lock for that, or a long file would stop every request for its courses.
        if _same(found, offer) and not _grants(offer, pools[found["id"]]):
            decided[offer.course_number] = Offered(found["id"], "unchanged")
        else:
            differing[found["id"]] = offer
    await seats.lock_courses(session, differing)
    colliding = await read_colliding(session, {each: (o.starts_on, o.ends_on) for each, o in differing.items()})
    pools = await seats.read_pools_of(session, differing, now)
    # Whoever had the lock before may have changed or cancelled it.
    found_now = await courses.find_offers(session, [offer.course_number for offer in differing.values()])
    for course_run_id, offer in differing.items():
        decision = offer_course_run(offer, pools[course_run_id])
        said_before = found_now[offer.course_number]["shared_as"] == offer.shared_as
        if isinstance(decision, Denied) and said_before:
            decision = offer_again(offer, pools[course_run_id])
        if found_now[offer.course_number]["cancelled_at"] is not None:
            decision = Denied("course_cancelled", "course_number")
        elif trial_of(found_now[offer.course_number]) != trial_of(offer_values(offer)):
            decision = Denied("trial_stays", "field")
        elif _undoes_a_change(found_now[offer.course_number], offer):
            decision = Denied("changed_since", "checked_on")
        elif course_run_id in colliding:
            decision = Denied("two_seats_at_a_time", "starts_on")
        match decision:
            case Denied():
                decided[offer.course_number] = decision
            case Granted():
                change = _Change(course_run_id, offer, pools[course_run_id], decision, "updated")
                same = _same(found_now[offer.course_number], offer)
                moves = _moves(found_now[offer.course_number], offer)
                decided[offer.course_number] = replace(change, said_before=said_before, same=same, moves=moves)
            case _:
                assert_never(decision)
    return decided


async def _bind(session: AsyncSession, decided: _Decided, now: datetime) -> _Decided:
    """Which decision grants what is delegated; what none in force grants is refused, line by line."""
    changes = [each for each in decided.values() if isinstance(each, _Change)]
    whose = {one for each in changes for one, more in each.granted.deltas.items() if one is not None and more > 0}
    # With those whose seats are to go on: every sub-committee is locked here, in one order, and none later.
    whose |= {pool.whose for each in changes for pool in each.pools if pool.whose is not None and pool.is_due(now)}
    towns = {municipality for one in whose if not one.startswith(AT) for municipality in one.split("+")}
    allotted: Sequence[Allotted] = []
    if towns:
        allotted = await lock_allotted(session, {each.offer.prefecture for each in changes}, towns, now)
    bound_changes: _Decided = dict(decided)
    for offered in changes:
        change, bound = offered, bind_seats(_run(offered.offer), offered.granted.deltas, offered.pools, allotted)
        again = offer_again(change.offer, change.pools) if isinstance(bound, Denied) and change.said_before else None
        if isinstance(again, Granted):
            # Said before, and granted no more: the pools stay as they are.
            change = replace(change, granted=again)
            bound = bind_seats(_run(change.offer), again.deltas, change.pools, allotted)
            if change.same and not any(again.deltas.values()):
                bound_changes[change.offer.course_number] = Offered(change.course_run_id, "unchanged")
                continue
        match bound:
            case Denied():
                bound_changes[change.offer.course_number] = bound
            case Bound():
                allotted = bound.allotted
                bound_changes[change.offer.course_number] = replace(change, places=bound.deltas)
            case _:
                assert_never(bound)
    return bound_changes


def _run(offer: CourseOffer) -> Run:
    return Run(offer.prefecture, offer.course_number, offer.system, offer.field, offer.starts_on)


def _outcome(decided: _Change | Offered | Denied) -> Offered | Denied:
    return Offered(decided.course_run_id, decided.became) if isinstance(decided, _Change) else decided


async def _stand(session: AsyncSession, changes: Sequence[_Change], actor: Actor, now: datetime) -> None:
    """The course runs stand as they are offered, their seats in the pools, and everybody concerned is told."""
    pool_ids = await _pools(session, changes)
    shares = [
        Share(change.course_run_id, pool_ids[change.course_run_id, place], more)
        for change in changes
        for place, more in change.places.items()
        if more
    ]
    capacities = [Share(change.course_run_id, None, sum(change.granted.deltas.values())) for change in changes]
    standing = {change.course_run_id: change.offer for change in changes if change.became == "updated"}
    moved = [(change, await get_run(session, change.course_run_id)) for change in changes if change.moves]
    versions = await courses.change_courses(session, standing)
    # Return, then change the capacity, then grant: at no moment is more granted than there is.
    ordered = [*(each for each in shares if each.seats < 0), *capacities, *(each for each in shares if each.seats > 0)]
    await seats.share_out(session, ordered, command=new_id(), now=now)
    if kept := [change.course_run_id for change in changes if change.offer.priority]:
        await courses.open_priority_pools(session, kept)
        await line.look_again(session, kept, now)
    told = {change.course_run_id: [_course_offered(change, versions)] for change in changes}
    await _follow_deadlines(session, changes, told)
    for change, run in moved:
        after, version = _terms(change.offer), versions[run.id]
        told[run.id] += await tell_of_file(session, run, after, version=version, agency=actor.agency, now=now)
    course_of = {pool_id: course_run_id for (course_run_id, _), pool_id in pool_ids.items()}
    touched = {share.pool_id for share in shares if share.pool_id is not None}
    for change in changes:
        if any(pool.waiting for pool in change.pools):
            course = await seats.lock_course(session, change.course_run_id)
            assert course is not None
            offered: set[UUID] = set()
            told[course.id] += await offer_free_seats(session, course, offered, now)
            course_of |= dict.fromkeys(offered, course.id)
            touched |= offered
    for pool in await seats.touch_pools(session, touched, now):
        told[course_of[pool.id]].append(pool_changed(course_of[pool.id], pool))
    await show_in_catalogue(session, [change.course_run_id for change in changes], now=now)
    await emit(session, *chain.from_iterable(told.values()), at=now)


async def _pools(session: AsyncSession, changes: Sequence[_Change]) -> dict[tuple[UUID, Place], UUID]:
    """The pools of the course runs, by whose they are and on what they rest; those that are missing are added."""
    standing = {(change.course_run_id, Place.of(pool)): pool.id for change in changes for pool in change.pools}
    wanted = [(change.course_run_id, place) for change in changes for place in change.places]
    added = {new_id(): place for place in wanted if place not in standing}
    await courses.add_pools(session, added)
    return standing | {place: pool_id for pool_id, place in added.items()}


async def _follow_deadlines(session: AsyncSession, changes: Sequence[_Change], told: Mapping[UUID, list[Told]]) -> None:
    """A hold ends at the deadline, one for a result by the first day: whoever holds a seat is told its new end."""
    kinds = {pool.id: pool.kind for change in changes for pool in change.pools}
    standing = [change.course_run_id for change in changes if change.became == "updated"]
    for request in await seats.follow_deadlines(session, standing):
        if request.state is not State.WAITING and (until := request.expires_at) is not None:
            held = seat_held(
                request,
                pool_id=request.pool_id,
                pool_kind=kinds[request.pool_id],
                expires_at=until,
                offered=request.is_offered,
            )
            told[request.course_run_id].append((held, request.version))


def _same(found: Mapping[str, Any], offer: CourseOffer) -> bool:
    return all(found[column] == value for column, value in courses.offer_values(offer).items())


def _moves(found: Mapping[str, Any], offer: CourseOffer) -> bool:
    return any(found[name] != getattr(offer, name) for name in TERMS if name != "capacity")


def _terms(offer: CourseOffer) -> Terms:
    return Terms(*(getattr(offer, name) for name in TERMS))


def _undoes_a_change(found: Mapping[str, Any], offer: CourseOffer) -> bool:
    """Whether a row that was checked before a late change would take it back, unseen by those whom it affected."""
    changed_at = found["changed_at"]
    if changed_at is None or offer.checked_on >= day_in_japan(changed_at):
        return False
    return any(found[name] != getattr(offer, name) for name in TERMS)


def _grants(offer: CourseOffer, pools: Sequence[Pool]) -> bool:
    """Whether the offer would change any pool (or is to be refused, which the lock's holder will find)."""
    decision = offer_course_run(offer, pools)
    return isinstance(decision, Denied) or any(decision.deltas.values())


def _course_offered(change: _Change, versions: Mapping[UUID, int]) -> Told:
    offer = change.offer
    offered = CourseOffered(
        course_run_id=change.course_run_id,
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
        host_workplace_id=offer.host_workplace_id,
    )
    return offered, versions.get(change.course_run_id, 1)


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
