"""Seats are asked for, given back, run out, and go to the next in line, always in one transaction.

Whatever frees or grants seats ends with `offer_free_seats`: otherwise a newcomer would overtake those who wait.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training import domain, tables
from services.training.domain import (
    Course,
    Held,
    Illegal,
    Lapsed,
    Moved,
    Pool,
    Promoted,
    Reason,
    Refused,
    SeatRequest,
    State,
    TooLate,
    Waitlisted,
)
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.consent import FOR_TRAINING, Consent, ConsentLacking, consent_gap
from shared.events import Event, PoolChanged, SeatHeld, SeatReleased, SeatWaitlisted
from shared.problems import NOT_FOUND, Problem, case_not_known
from shared.service import day_in_japan

EXPIRED = "expired"

Told = tuple[Event, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """A request stands: with a seat, or in line."""

    seat_request_id: UUID
    outcome: Held | Waitlisted
    version: int = 1


@dataclass(frozen=True, slots=True)
class Repeated:
    """This referral led to a request before; there is nothing to do and nothing to tell."""

    request: SeatRequest


async def request_seat(
    session: AsyncSession,
    *,
    course_run_id: UUID,
    case_id: UUID,
    actor: Actor,
    now: datetime,
    hold_until: datetime | None = None,
) -> Placed | Refused | ConsentLacking:
    """Ask for a seat for a case of the caller's municipality, as far as the person agreed to that."""
    found = await tables.lock_course_for(session, course_run_id, case_id)
    if found is None:
        return Refused(Reason.NO_SUCH_COURSE)
    course, case = found
    if case.municipality is None or not actor.serves(case.municipality):
        raise case_not_known()
    lacking = consent_gap(case.consent, purposes=FOR_TRAINING, receiver=course.provider_agency, today=day_in_japan(now))
    if lacking is not None:
        return lacking
    return await _place(
        session,
        course,
        case_id=case_id,
        municipality=case.municipality,
        requested_by=actor.agency,
        now=now,
        hold_until=hold_until,
    )


async def request_seat_for_referral(
    session: AsyncSession,
    *,
    referral_id: UUID,
    course_run_id: UUID,
    case_id: UUID,
    municipality: str,
    sender: str,
    now: datetime,
    hold_until: datetime | None = None,
) -> Placed | Refused | Repeated:
    """The same for a referral, whose consent referral has judged; unless it was taken back before this came here."""
    found = await tables.lock_course_for(session, course_run_id, case_id)
    if found is None:
        return Refused(Reason.NO_SUCH_COURSE)
    course, case = found
    if known := await tables.find_request_of_referral(session, referral_id):
        return Repeated(known)
    if case.consent.state == "withdrawn":
        return Refused(Reason.CONSENT_WITHDRAWN)
    return await _place(
        session,
        course,
        case_id=case_id,
        municipality=municipality,
        requested_by=sender,
        now=now,
        hold_until=hold_until,
        referral_id=referral_id,
    )


async def _place(
    session: AsyncSession,
    course: Course,
    *,
    case_id: UUID,
    municipality: str,
    requested_by: str,
    now: datetime,
    hold_until: datetime | None,
    referral_id: UUID | None = None,
) -> Placed | Refused:
    """A refusal writes and tells nothing: each door says it in its own way. Needs the course's lock."""
    pools, already = await tables.read_pools_for(session, course.id, case_id)
    outcome = domain.request_seat(
        course, pools, municipality=municipality, now=now, hold_until=hold_until, already_requested=already
    )
    if isinstance(outcome, Refused):
        return outcome
    seat_request_id = new_id()
    await tables.add_request(
        session,
        outcome,
        seat_request_id=seat_request_id,
        course_run_id=course.id,
        case_id=case_id,
        municipality=municipality,
        referral_id=referral_id,
        requested_by=requested_by,
        hold_until=hold_until,
        now=now,
    )
    placed = Placed(seat_request_id, outcome)
    event, pool = _told_of_request(placed, case_id=case_id, referral_id=referral_id, course_run_id=course.id)
    # The pool's figures are known without reading them again: nobody else can change them before this commit.
    await emit(session, (event, placed.version), _pool_changed(course.id, pool), at=now)
    return placed


async def release_seat(
    session: AsyncSession, seat_request_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> Illegal | None:
    """The person doesn't need the seat, or the place in line, any more. For the municipality that asked for it."""
    course, request = await lock_request(session, seat_request_id)
    if not actor.serves(request.municipality):
        raise Problem(NOT_FOUND)
    return await release_hold(session, course, request, reason=reason, now=now)


async def release_seat_of_referral(session: AsyncSession, referral_id: UUID, *, reason: str, now: datetime) -> None:
    """The referral was taken back, and its request with it, unless the person is enrolled already."""
    known = await tables.find_request_of_referral(session, referral_id)
    if known is not None:
        course, request = await lock_request(session, known.id)
        await release_hold(session, course, request, reason=reason, now=now)


async def note_consent(session: AsyncSession, case_id: UUID, consent: Consent, *, version: int, now: datetime) -> None:
    """Keep the newest word about consent. Once it is taken back everything is given back, except an enrolment."""
    newest = await tables.keep_consent(session, case_id, consent, version)
    if not newest or consent.state != "withdrawn":
        return
    for known in await tables.find_requests_of_case(session, case_id):
        course, request = await lock_request(session, known.id)
        await release_hold(session, course, request, reason="consent_withdrawn", now=now)


async def expire_hold(session: AsyncSession, now: datetime) -> bool:
    """One hold, or one wait, that ran out. Whether there was one to look at."""
    due = await tables.lock_next_due(session, now)
    if due is None:
        return False
    course, seat_request_id = due
    # Found before the lock was had: only what is read now counts.
    request = await tables.find_request(session, seat_request_id)
    if request is not None and request.has_run_out(now):
        await release_hold(session, course, request, reason=EXPIRED, now=now)
    return True


async def lock_request(session: AsyncSession, seat_request_id: UUID) -> tuple[Course, SeatRequest]:
    """A request as it stands, with its course run locked. 404 if there is none."""
    course = await tables.lock_course_of(session, seat_request_id)
    request = await tables.find_request(session, seat_request_id)
    if course is None or request is None:
        raise Problem(NOT_FOUND)
    return course, request


async def release_hold(
    session: AsyncSession, course: Course, request: SeatRequest, *, reason: str, now: datetime
) -> Illegal | None:
    """Give back a seat or a place in line, and offer what came free, at once. Needs the course's lock."""
    # What may be given back does not depend on the authority mode.
    step = domain.take_step(request, domain.Move.RELEASE, authority=domain.Authority.CURRENT_LAW, now=now)
    match step:
        case Illegal():
            return step
        case TooLate():
            raise AssertionError("giving back is never too late")
        case Moved():
            touched = {request.pool_id}
            told = [await _end(session, request, reason=reason, now=now)]
            told += await offer_free_seats(session, course, touched, now)
            await tell(session, course.id, told, touched, now)
            return None
        case _:
            assert_never(step)


async def _end(session: AsyncSession, request: SeatRequest, *, reason: str, now: datetime) -> Told:
    await tables.change_request(session, request.id, state=State.RELEASED, pool_id=request.pool_id, reason=reason)
    if request.holds_a_seat:
        kind = "expire" if reason == EXPIRED else "release"
        await tables.enter(session, kind, request, pool_id=request.pool_id, now=now)
    released = SeatReleased(
        case_id=request.case_id,
        seat_request_id=request.id,
        referral_id=request.referral_id,
        course_run_id=request.course_run_id,
        pool_id=request.pool_id,
        reason=reason,
    )
    return released, request.version + 1


async def offer_free_seats(session: AsyncSession, course: Course, touched: set[UUID], now: datetime) -> list[Told]:
    """Give free seats to whoever is next; what there is to tell, with the pools that changed added to `touched`."""
    pools = await tables.read_pools(session, course.id)
    if not any(pool.free > 0 for pool in pools) or not any(pool.waiting for pool in pools):
        return []
    line = {standing.place.seat_request_id: standing for standing in await tables.read_line(session, course.id)}
    kinds = {pool.id: pool.kind for pool in pools}
    told: list[Told] = []
    for outcome in domain.offer_free_seats(course, pools, [standing.place for standing in line.values()], now):
        request = _waiting_request(course.id, line[outcome.place.seat_request_id])
        touched.add(request.pool_id)
        match outcome:
            case Lapsed():
                told.append(await _end(session, request, reason=EXPIRED, now=now))
            case Promoted(pool_id=pool_id, expires_at=expires_at):
                touched.add(pool_id)
                told.append(await _promote(session, request, pool_id, kinds[pool_id], expires_at, now))
            case _:
                assert_never(outcome)
    return told


def _waiting_request(course_run_id: UUID, standing: tables.Standing) -> SeatRequest:
    place = standing.place
    return SeatRequest(
        id=place.seat_request_id,
        course_run_id=course_run_id,
        pool_id=place.pool_id,
        case_id=standing.case_id,
        municipality=place.municipality,
        referral_id=standing.referral_id,
        state=State.WAITING,
        expires_at=place.waits_until,
        version=standing.version,
    )


async def _promote(
    session: AsyncSession, request: SeatRequest, pool_id: UUID, kind: str, expires_at: datetime, now: datetime
) -> Told:
    await tables.change_request(session, request.id, state=State.HELD, pool_id=pool_id, expires_at=expires_at)
    await tables.enter(session, "hold", request, pool_id=pool_id, now=now)
    return seat_held(request, pool_id=pool_id, pool_kind=kind, expires_at=expires_at), request.version + 1


def seat_held(request: SeatRequest, *, pool_id: UUID, pool_kind: str, expires_at: datetime) -> SeatHeld:
    """The fact that a request has a seat, until a moment."""
    return SeatHeld(
        case_id=request.case_id,
        seat_request_id=request.id,
        referral_id=request.referral_id,
        course_run_id=request.course_run_id,
        pool_id=pool_id,
        pool_kind=pool_kind,
        expires_at=expires_at,
    )


async def tell(session: AsyncSession, course_run_id: UUID, told: list[Told], touched: set[UUID], now: datetime) -> None:
    """Tell what happened, then how each changed pool stands now."""
    pools = await tables.touch_pools(session, touched)
    await emit(session, *told, *(_pool_changed(course_run_id, pool) for pool in pools), at=now)


def _told_of_request(
    placed: Placed, *, case_id: UUID, referral_id: UUID | None, course_run_id: UUID
) -> tuple[SeatHeld | SeatWaitlisted, Pool]:
    match placed.outcome:
        case Held(pool=pool, expires_at=expires_at):
            held = SeatHeld(
                case_id=case_id,
                seat_request_id=placed.seat_request_id,
                referral_id=referral_id,
                course_run_id=course_run_id,
                pool_id=pool.id,
                pool_kind=pool.kind,
                expires_at=expires_at,
            )
            return held, domain.after_hold(pool)
        case Waitlisted(pool=pool, position=position):
            waitlisted = SeatWaitlisted(
                case_id=case_id,
                seat_request_id=placed.seat_request_id,
                referral_id=referral_id,
                course_run_id=course_run_id,
                pool_id=pool.id,
                position=position,
            )
            return waitlisted, domain.after_joining(pool)
        case _:
            assert_never(placed.outcome)


def _pool_changed(course_run_id: UUID, pool: Pool) -> Told:
    changed = PoolChanged(
        pool_id=pool.id,
        course_run_id=course_run_id,
        kind=pool.kind,
        municipality=pool.municipality,
        granted=pool.granted,
        held=pool.held,
        filled=pool.filled,
        waiting=pool.waiting,
    )
    return changed, pool.version
