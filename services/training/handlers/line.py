"""The line: offers accepted and declined, pauses, seats together, and why somebody was offered a seat, or none.

Whatever passes a seat on offers it to the next in the same transaction (`handlers/seats.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import line_place, offer_answers
from services.training.domain.line_place import Standing
from services.training.domain.line_record import Account, account_for
from services.training.domain.offer_answers import Accepted, Declined, DeclinedBecause, KeptWaiting, OutOfReach, Paused
from services.training.domain.quota import Course, Pool, usable_pools
from services.training.domain.steps import Illegal, LineMove, SeatRequest, TooLate
from services.training.handlers.deadlines import holding
from services.training.handlers.seats import lock_request, offer_free_seats, release_hold, seat_held, tell
from services.training.tables import line, seats
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.events import SeatPaused, SeatResumed, SeatWaitlisted
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

Stopped = Illegal | TooLate | OutOfReach

DECLINED = "person_declined"


async def accept_offer(session: AsyncSession, seat_request_id: UUID, *, actor: Actor, now: datetime) -> Stopped | None:
    """The person takes the offered seat: an ordinary hold."""
    course, request = await _lock(session, seat_request_id, actor)
    wish = await line.get_wish(session, request.id)
    outcome = offer_answers.accept(request, holding(course, now), wish.hold_until, now)
    match outcome:
        case Illegal() | TooLate():
            return outcome
        case Accepted(until=until):
            await line.answer_offer(session, request, "accepted", now=now)
            await line.accept(session, request.id, until)
            (pool,) = [each for each in await seats.read_pools(session, course.id, now) if each.id == request.pool_id]
            held = seat_held(request, pool_id=pool.id, pool_kind=pool.kind, expires_at=until)
            await emit(session, (held, request.version + 1), at=now)
            return None
        case _:
            assert_never(outcome)


async def decline_offer(
    session: AsyncSession,
    seat_request_id: UUID,
    *,
    because: DeclinedBecause,
    not_before: datetime | None,
    actor: Actor,
    now: datetime,
) -> Stopped | None:
    """The person doesn't take it: it is offered on at once; with `not_before` the person goes on waiting, behind."""
    course, request = await _lock(session, seat_request_id, actor)
    wish = await line.get_wish(session, request.id)
    outcome = offer_answers.decline(request, course, wish.hold_until, not_before, now)
    match outcome:
        case Illegal() | TooLate() | OutOfReach():
            return outcome
        case Declined():
            await release_hold(session, course, request, reason=DECLINED, because_offer=because.value, now=now)
            return None
        case KeptWaiting():
            await line.answer_offer(session, request, "kept_waiting", reason=because.value, now=now)
            await _wait_behind(session, course, request, outcome, wish.target_groups, now)
            return None
        case _:
            assert_never(outcome)


async def _wait_behind(
    session: AsyncSession,
    course: Course,
    request: SeatRequest,
    kept: KeptWaiting,
    target_groups: Sequence[str],
    now: datetime,
) -> None:
    await seats.enter(session, "release", request, pool_id=request.pool_id, now=now)
    pools = await seats.read_pools(session, course.id, now)
    usable = usable_pools(pools, request.municipality, target_groups)
    pool_id = usable[0].id if usable else request.pool_id
    until, paused_until = kept.waits_until, kept.paused_until
    await line.wait_behind(session, request.id, pool_id=pool_id, until=until, paused_until=paused_until, now=now)
    await line.look_again(session, [course.id], now)
    touched = {request.pool_id, pool_id}
    told = await offer_free_seats(session, course, touched, now)
    standing = await _standing(session, course, request.id, now)
    waits = SeatWaitlisted(
        case_id=request.case_id,
        seat_request_id=request.id,
        referral_id=request.referral_id,
        course_run_id=course.id,
        pool_id=pool_id,
        position=0 if standing is None else standing.position,
        again=True,
    )
    await tell(session, course.id, [(waits, request.version + 1), *told], touched, now)


# --- pauses ---------------------------------------------------------------------------------------------------------


async def pause_place(
    session: AsyncSession, seat_request_id: UUID, *, until: datetime, actor: Actor, now: datetime
) -> Stopped | None:
    """The person can't take a seat before then; the place in line stays."""
    course, request = await _lock(session, seat_request_id, actor)
    wish = await line.get_wish(session, request.id)
    outcome = offer_answers.pause(request, until, now, paused=wish.is_paused(now))
    match outcome:
        case Illegal() | TooLate() | OutOfReach():
            return outcome
        case Paused():
            await line.pause(session, request.id, outcome.until)
            touched: set[UUID] = set()
            # Somebody else's pause may have ended: from here on nothing says so any more.
            told = await offer_free_seats(session, course, touched, now) if course.line_is_due(now) else []
            await line.look_again(session, [course.id], now)
            paused = SeatPaused(
                case_id=request.case_id,
                seat_request_id=request.id,
                referral_id=request.referral_id,
                course_run_id=course.id,
                until=outcome.until,
            )
            await tell(session, course.id, [(paused, request.version + 1), *told], touched, now)
            return None
        case _:
            assert_never(outcome)


async def resume_place(session: AsyncSession, seat_request_id: UUID, *, actor: Actor, now: datetime) -> Stopped | None:
    """The person can take a seat again, earlier than was said; one that is free is offered at once."""
    course, request = await _lock(session, seat_request_id, actor)
    wish = await line.get_wish(session, request.id)
    stopped = offer_answers.may(request, LineMove.RESUME, now, paused=wish.is_paused(now))
    if stopped is not None:
        return stopped
    await line.pause(session, request.id, None)
    await line.look_again(session, [course.id], now)
    resumed = SeatResumed(
        case_id=request.case_id,
        seat_request_id=request.id,
        referral_id=request.referral_id,
        course_run_id=course.id,
    )
    touched: set[UUID] = set()
    told = [(resumed, request.version + 1), *await offer_free_seats(session, course, touched, now)]
    await tell(session, course.id, told, touched, now)
    return None


async def separate(session: AsyncSession, seat_request_id: UUID, *, actor: Actor, now: datetime) -> Stopped | None:
    """The person takes a seat alone too. The place counts from the asking, as before."""
    course, request = await _lock(session, seat_request_id, actor)
    wish = await line.get_wish(session, request.id)
    stopped = offer_answers.may(request, LineMove.SEPARATE, now, together=wish.together_id is not None)
    if stopped is not None:
        return stopped
    await line.put_together(session, [request.id], None)
    touched: set[UUID] = set()
    await tell(session, course.id, await offer_free_seats(session, course, touched, now), touched, now)
    return None


async def _lock(session: AsyncSession, seat_request_id: UUID, actor: Actor) -> tuple[Course, SeatRequest]:
    course, request = await lock_request(session, seat_request_id)
    if not actor.serves(request.municipality):
        raise Problem(NOT_FOUND)
    return course, request


# --- why ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request stands in the line; `standing` None: it doesn't wait."""

    standing: Standing | None
    pool: Pool | None
    rule: Row[Any] | None
    criteria: Sequence[str]
    together: int


async def explain_place(session: AsyncSession, seat_request_id: UUID, course_run_id: UUID, now: datetime) -> Place:
    """Why no seat is offered to a request, as things stand."""
    course = await seats.get_course(session, course_run_id)
    rule = await line.rule_on(session, course.prefecture, day_in_japan(now))
    decided = await line.find_rule(session, rule.id)
    pools = await seats.read_pools(session, course.id, now)
    places = [each.place for each in await seats.read_line(session, course.id)]
    mine = next((place for place in places if place.seat_request_id == seat_request_id), None)
    if mine is None:
        return Place(None, None, decided, [each.value for each in rule.criteria], 0)
    standing = line_place.stand(course, pools, places, mine, now, rule)
    pool = next(pool for pool in pools if pool.id == standing.pool_id)
    together = sum(place.together_id == mine.together_id for place in places) if mine.together_id else 1
    return Place(standing, pool, decided, [each.value for each in rule.criteria], together)


async def _standing(session: AsyncSession, course: Course, seat_request_id: UUID, now: datetime) -> Standing | None:
    rule = await line.rule_on(session, course.prefecture, day_in_japan(now))
    pools = await seats.read_pools(session, course.id, now)
    places = [each.place for each in await seats.read_line(session, course.id)]
    mine = next((place for place in places if place.seat_request_id == seat_request_id), None)
    return None if mine is None else line_place.stand(course, pools, places, mine, now, rule)


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that was made, what came of it, and what it rested on, decided anew."""

    row: Row[Any]
    rule: Row[Any] | None
    account: Account


async def explain_offers(session: AsyncSession, seat_request_id: UUID) -> list[Offer]:
    """Why a request was offered a seat on that day, each time."""
    return [
        Offer(
            row,
            await line.find_rule(session, row.line_rule_id),
            account_for(row.kept, seat_request_id, row.at),
        )
        for row in await line.read_offers(session, seat_request_id)
    ]
