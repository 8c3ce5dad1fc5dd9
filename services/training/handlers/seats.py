"""Seats are asked for, given back, run out, and go to the next in line, always in one transaction.

Whatever frees or grants seats ends with `offer_free_seats`: otherwise a newcomer would overtake those who wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import assert_never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import line as in_line
from services.training.domain import quota, steps
from services.training.domain.line import Lapsed, PassedOver, Promoted
from services.training.domain.line_record import keep
from services.training.domain.quota import Ask, Course, Held, Pool, Reason, Refused, Repeated, Waitlisted
from services.training.domain.steps import Illegal, Moved, SeatRequest, State, TooLate
from services.training.domain.trial import Skip
from services.training.handlers.deadlines import holding, offering
from services.training.handlers.places import say_places
from services.training.handlers.pools import settle_pools
from services.training.handlers.reserves import Told, move_up
from services.training.tables import cases, cut_offs, line, seat_times, seats, trials
from services.training.tables.allotments import lock_next_stranded
from services.training.tables.seats import Claim, Placed
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.bus.mailbox import Origin, emit
from shared.consent import FOR_TRAINING, Consent, ConsentLacking, consent_gap, takes_back
from shared.events import PoolChanged, SeatHeld, SeatReleased, SeatWaitlisted
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

EXPIRED = "expired"
OFFER_LAPSED = "offer_lapsed"


@dataclass(frozen=True, slots=True)
class AgencyOrder:
    """An agency asks for a seat for a case of a municipality that it serves."""

    case_id: UUID
    actor: Actor
    origin: Origin
    hold_until: datetime | None = None
    benefit_ends_on: date | None = None
    """Until when the person has a benefit, where it is known: another course run has to start before it ends."""
    moves: SeatRequest | None = None
    """The request that this one goes on for, in another course run."""
    claims: Sequence[Claim] = ()
    skip: Skip | None = None
    """Why the person need not have completed the step before, of a trial place."""

    @property
    def requested_by(self) -> str:
        """The agency."""
        return self.actor.agency


@dataclass(frozen=True, slots=True)
class ReferralOrder:
    """A referral leads to a course."""

    case_id: UUID
    referral_id: UUID
    municipality: str
    requested_by: str
    origin: Origin
    hold_until: datetime | None = None


SeatOrder = AgencyOrder | ReferralOrder


@dataclass(frozen=True, slots=True)
class Stranger:
    """The case is not known here, or is another municipality's."""


Unmet = Refused | Repeated | ConsentLacking | Stranger
"""Why no request came to be. Nothing was written or told: each door says it in its own way."""


async def request_seats(
    session: AsyncSession, course_run_id: UUID, orders: Sequence[SeatOrder], *, together: bool = False, now: datetime
) -> list[Placed | Unmet]:
    """Ask for seats of one course, one order after the other, as if each had come by itself.

    `together`: a seat for each of them or for none yet; if one can't ask, nobody does.
    """
    found = await seats.lock_course_for(session, course_run_id, [order.case_id for order in orders])
    if found is None:
        return [Refused(Reason.NO_SUCH_COURSE) for _ in orders]
    course, known = found
    judged = [_may_ask(order, course, known[order.case_id], now) for order in orders]
    asks = [each for each in judged if isinstance(each, Ask)]
    if together and len(asks) < len(orders):
        return [Repeated() if isinstance(each, Ask) else each for each in judged]
    answers, by_asking = await _decide(session, course, asks, now, together=together)
    decided = iter(answers)
    # In rising order: decided at the same moment, who came first is told by the id alone.
    ids = sorted(new_id() for _ in orders)
    outcomes = [
        _placed(seat_request_id, course, known[order.case_id], order, each, next(decided))
        if isinstance(each, Ask)
        else each
        for seat_request_id, order, each in zip(ids, orders, judged, strict=True)
    ]
    placed = [outcome for outcome in outcomes if isinstance(outcome, Placed)]
    if placed and not (together and len(placed) < len(orders)):
        await seats.add_requests(session, course.id, placed, now=now)
        placed = placed if by_asking else await say_places(session, course, placed, now)
        said = iter(placed)
        outcomes = [next(said) if isinstance(each, Placed) else each for each in outcomes]
        told = [fact for each in placed for fact in _told_of(each)]
        await emit(session, *told, at=now, origins=[each.origin for each in placed for _ in range(2)])
        if together and placed[0].request.state is State.WAITING:
            # Seats that are free in several pools may be enough for all of them.
            await line.put_together(session, [each.request.id for each in placed], new_id())
            await _settle(session, course, now)
    return outcomes


def _may_ask(order: SeatOrder, course: Course, case: cases.KnownCase, now: datetime) -> Ask | ConsentLacking | Stranger:
    """An agency asks for its own municipality's cases, as far as the person agreed; a referral's consent was judged."""
    match order:
        case AgencyOrder():
            if case.municipality is None or not order.actor.serves(case.municipality):
                return Stranger()
            today = day_in_japan(now)
            lacking = consent_gap(case.consent, purposes=FOR_TRAINING, receiver=course.provider_agency, today=today)
            groups = tuple(sorted({claim.target_group for claim in order.claims}))
            may_skip = order.skip is not None or order.moves is not None
            return lacking or Ask(
                order.case_id, case.municipality, order.hold_until, target_groups=groups, may_skip=may_skip
            )
        case ReferralOrder():
            # It may have been taken back before the referral came here.
            withdrawn = case.consent.state == "withdrawn"
            return Ask(order.case_id, order.municipality, order.hold_until, order.referral_id, withdrawn)
        case _:
            assert_never(order)


async def _decide(
    session: AsyncSession, course: Course, asks: Sequence[Ask], now: datetime, *, together: bool
) -> tuple[list[Held | Waitlisted | Refused | Repeated], bool]:
    """The answers, and whether the order of asking, which the pools' rows know, is all that makes their places."""
    if not asks:
        return [], True
    referrals = await seats.led_to_requests(session, [ask.referral_id for ask in asks if ask.referral_id is not None])
    case_ids = [ask.case_id for ask in asks]
    pools, asking = await seats.read_pools_for(session, course.id, case_ids, now)
    if (
        course.line_is_due(now)
        or asking.somebody_has_time
        or any(pool.is_due(now) or (pool.free > 0 and pool.waiting > 0) for pool in pools)
    ):
        # Seldom: a decision ended, a cut-off came, a pause is over, or who waits may not be able to take what is free.
        # Those who wait come before whoever asks now; what they can't have then, nobody has to leave for them.
        await _settle(session, course, now)
        pools, asking = await seats.read_pools_for(session, course.id, case_ids, now)
        pools = [replace(pool, passed_over=pool.waiting) for pool in pools]
    skipping = frozenset() if course.step is None else await trials.read_skipping(session, course.step, case_ids)
    decide = quota.request_together if together else quota.request_seats
    answers = decide(
        holding(course, now),
        pools,
        asks,
        cases=asking.already,
        referrals=referrals,
        now=now,
        busy=asking.busy,
        at_limit=asking.at_limit,
        skipping=skipping,
    )
    return answers, not asking.is_ruled and all(pool.is_open for pool in pools)


def _placed(
    seat_request_id: UUID,
    course: Course,
    case: cases.KnownCase,
    order: SeatOrder,
    ask: Ask,
    outcome: Held | Waitlisted | Refused | Repeated,
) -> Placed | Refused | Repeated:
    if isinstance(outcome, Refused | Repeated):
        return outcome
    moves = order.moves if isinstance(order, AgencyOrder) else None
    request = SeatRequest(
        id=seat_request_id,
        course_run_id=course.id,
        pool_id=outcome.pool.id,
        case_id=ask.case_id,
        municipality=ask.municipality,
        referral_id=moves.referral_id if moves else ask.referral_id,
        state=State.HELD if isinstance(outcome, Held) else State.WAITING,
        expires_at=outcome.expires_at,
        version=1,
    )
    placed = Placed(request, outcome, ask.hold_until, order.requested_by, order.origin)
    if isinstance(order, AgencyOrder):
        skip = None if course.step is None else order.skip
        placed = replace(placed, claims=order.claims, benefit_ends_on=order.benefit_ends_on, skipped_because=skip)
        if moves:
            return replace(placed, moved_from=moves.id, consent_version=case.consent_version)
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
    known = await seats.find_request_of_referral(session, referral_id)
    if known is not None:
        course, request = await lock_request(session, known.id)
        await release_hold(session, course, request, reason=reason, now=now)


async def note_consent(
    session: AsyncSession,
    case_id: UUID,
    consent: Consent,
    *,
    version: int,
    now: datetime,
    because: str = "consent_withdrawn",
) -> None:
    """Keep the newest word about consent. Once it is taken back everything is given back, except an enrolment.

    A narrower yes takes back what was asked for here. Whether a referral still stands is referral's judgement, which
    may be newer than what was heard here so far.
    """
    newest = await cases.keep_consent(session, case_id, consent, version)
    if not newest:
        return
    asked = await seats.find_requests_of_case(session, case_id)
    # All of them before the first seat is offered on, which may lock the sub-committee: course runs come before it.
    await seats.lock_courses(session, {known.course_run_id for known in asked})
    for known in asked:
        course, request = await lock_request(session, known.id)
        narrower = takes_back(consent, purposes=FOR_TRAINING, receiver=course.provider_agency)
        if consent.state == "withdrawn" or (narrower and request.referral_id is None):
            await release_hold(session, course, request, reason=because, now=now)


async def expire_hold(session: AsyncSession, now: datetime) -> bool:
    """One hold, or one wait, that ran out. Whether there was one to look at."""
    due = await seats.lock_next_due(session, now)
    if due is None:
        return False
    course, seat_request_id = due
    # Found before the lock was had: only what is read now counts.
    request = await seats.find_request(session, seat_request_id)
    if request is not None and request.has_run_out(now):
        reason = OFFER_LAPSED if request.is_offered else EXPIRED
        await release_hold(session, course, request, reason=reason, now=now)
    return True


async def return_stranded(session: AsyncSession, now: datetime) -> bool:
    """A decision was superseded, ended or lapsed: seats that nobody has go on from one course run."""
    return await _settle_run(session, await lock_next_stranded(session, now), now)


async def cut_off_next(session: AsyncSession, now: datetime) -> bool:
    """A cut-off came: what nobody holds goes back and on from one course run, whose lock is held for a moment only."""
    return await _settle_run(session, await cut_offs.lock_next_due(session, now), now)


async def return_surplus(session: AsyncSession, now: datetime) -> bool:
    """A seat was left in its pool after the cut-off: it goes on from one course run."""
    return await _settle_run(session, await cut_offs.lock_next_surplus(session), now)


async def go_on_with_line(session: AsyncSession, now: datetime) -> bool:
    """A pause is over, a priority pool opens to all, or somebody gave back a seat elsewhere at the same time."""
    return await _settle_run(session, await line.lock_next_line(session, now), now)


async def _settle_run(session: AsyncSession, course_run_id: UUID | None, now: datetime) -> bool:
    course = None if course_run_id is None else await seats.lock_course(session, course_run_id)
    if course is None:
        return False
    await _settle(session, course, now)
    return True


async def _settle(session: AsyncSession, course: Course, now: datetime) -> None:
    touched: set[UUID] = set()
    await seat_times.note_no_more(session, course.id)
    told = await offer_free_seats(session, course, touched, now)
    if course.line_is_due(now):
        await line.look_again(session, [course.id], now)
    await tell(session, course.id, told, touched, now)


async def lock_request(session: AsyncSession, seat_request_id: UUID) -> tuple[Course, SeatRequest]:
    """A request as it stands, with its course run locked. 404 if there is none."""
    course = await seats.lock_course_of(session, seat_request_id)
    request = await seats.find_request(session, seat_request_id)
    if course is None or request is None:
        raise Problem(NOT_FOUND)
    return course, request


async def release_hold(
    session: AsyncSession,
    course: Course,
    request: SeatRequest,
    *,
    reason: str,
    now: datetime,
    because: Sequence[Told] = (),
    because_offer: str | None = None,
) -> Illegal | None:
    """Give back a seat or a place in line, and offer what came free, at once. Needs the course's lock.

    `because`: what there is to tell before it. `because_offer`: why an offered seat is declined, in particular.
    """
    # What may be given back does not depend on the authority mode.
    step = steps.take_step(request, steps.Move.RELEASE, authority=steps.Authority.CURRENT_LAW, now=now)
    match step:
        case Illegal():
            return step
        case TooLate():
            raise AssertionError("giving back is never too late")
        case Moved():
            touched = {request.pool_id}
            told = [*because, await _end(session, request, reason=reason, because_offer=because_offer, now=now)]
            told += await offer_free_seats(session, course, touched, now)
            told += await move_up(session, course, request, now=now)
            await tell(session, course.id, told, touched, now)
            return None
        case _:
            assert_never(step)


async def _end(
    session: AsyncSession, request: SeatRequest, *, reason: str, because_offer: str | None = None, now: datetime
) -> Told:
    await seats.change_request(session, request.id, state=State.RELEASED, pool_id=request.pool_id, reason=reason)
    if request.is_offered:
        answer, because = ("lapsed", None) if reason == OFFER_LAPSED else ("left", because_offer or reason)
        await line.answer_offer(session, request, answer, reason=because, now=now)
    if request.holds_a_seat:
        kind = "expire" if reason in {EXPIRED, OFFER_LAPSED} else "release"
        await seats.enter(session, kind, request, pool_id=request.pool_id, now=now)
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
    pools = await settle_pools(session, course.id, touched, now)
    if not any(pool.free > 0 for pool in pools) or not any(pool.waiting for pool in pools):
        return []
    standing = await seats.read_line(session, course.id)
    places = [each.place for each in standing]
    waiting = {each.request.id: each.request for each in standing}
    rule = await line.rule_on(session, course.prefecture, day_in_japan(now))
    course = offering(course, now)
    outcomes = in_line.offer_free_seats(course, pools, places, now, rule)
    told: list[Told] = []
    offered: list[UUID] = []
    for outcome in outcomes:
        request = waiting[outcome.place.seat_request_id]
        match outcome:
            case Lapsed():
                touched.add(request.pool_id)
                told.append(await _end(session, request, reason=EXPIRED, now=now))
            case Promoted(pool_id=pool_id):
                touched.update({request.pool_id, pool_id})
                told.append(await _promote(session, request, outcome, pools, now))
                offered.append(request.id)
            case PassedOver():
                pass
            case _:
                assert_never(outcome)
    if offered:
        kept = keep(course, pools, places, outcomes, rule)
        await line.add_round(session, new_id(), course.id, rule, kept, offered, now)
    return told


async def _promote(
    session: AsyncSession, request: SeatRequest, promoted: Promoted, pools: Sequence[Pool], now: datetime
) -> Told:
    pool_id, until = promoted.pool_id, promoted.expires_at
    await seats.change_request(session, request.id, state=State.HELD, pool_id=pool_id, expires_at=until, offered=True)
    await seats.enter(session, "hold", request, pool_id=pool_id, now=now)
    kind = next(pool.kind for pool in pools if pool.id == pool_id)
    held = seat_held(request, pool_id=pool_id, pool_kind=kind, expires_at=until, offered=True)
    return held, request.version + 1


def seat_held(
    request: SeatRequest, *, pool_id: UUID, pool_kind: str, expires_at: datetime, offered: bool = False
) -> SeatHeld:
    """The fact that a request has a seat, until a moment."""
    return SeatHeld(
        case_id=request.case_id,
        seat_request_id=request.id,
        referral_id=request.referral_id,
        course_run_id=request.course_run_id,
        pool_id=pool_id,
        pool_kind=pool_kind,
        expires_at=expires_at,
        offered=offered,
    )


async def tell(session: AsyncSession, course_run_id: UUID, told: list[Told], touched: set[UUID], now: datetime) -> None:
    """Tell what happened, then how each changed pool stands now."""
    pools = await seats.touch_pools(session, touched, now)
    await emit(session, *told, *(pool_changed(course_run_id, pool) for pool in pools), at=now)


def _told_of(placed: Placed) -> list[Told]:
    """What became of the request, and how its pool stands then: nobody else can change it before the commit."""
    request, outcome = placed.request, placed.outcome
    event: SeatHeld | SeatWaitlisted
    match outcome:
        case Held(pool=pool, expires_at=expires_at):
            event = seat_held(request, pool_id=pool.id, pool_kind=pool.kind, expires_at=expires_at)
            event = event.model_copy(update={"consent_version": placed.consent_version})
        case Waitlisted(pool=pool, position=position):
            event = SeatWaitlisted(
                case_id=request.case_id,
                seat_request_id=request.id,
                referral_id=request.referral_id,
                course_run_id=request.course_run_id,
                pool_id=pool.id,
                position=position,
            )
        case _:
            assert_never(outcome)
    return [(event, request.version), pool_changed(request.course_run_id, outcome.leaves)]


def pool_changed(course_run_id: UUID, pool: Pool) -> Told:
    """How a pool stands now."""
    changed = PoolChanged(
        pool_id=pool.id,
        course_run_id=course_run_id,
        kind=pool.kind,
        municipality=pool.municipality,
        municipalities=list(pool.municipalities),
        granted=pool.granted,
        held=pool.held,
        filled=pool.filled,
        waiting=pool.waiting,
    )
    return changed, pool.version
