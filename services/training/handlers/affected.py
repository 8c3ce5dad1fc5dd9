"""Somebody whom a change affects answers: another course run, staying, or leaving; and decisions that are due: to
cancel a course run for which too few applied, or to let it begin.

Whoever moves gives back what there was and holds the new seat in one transaction: both, or neither.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.late_changes import Denied
from services.training.domain.quota import Held
from services.training.domain.steps import SeatRequest, State
from services.training.handlers.late_changes import may_change
from services.training.handlers.seats import AgencyOrder, Unmet, release_hold, request_seats
from services.training.tables import affected, late_changes, seats
from services.training.tables.seats import Placed
from shared.auth import Actor
from shared.bus.mailbox import Origin, emit
from shared.events import CancellationDue, CourseConfirmed
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

Answer = Literal["accept", "stay", "leave"]


@dataclass(frozen=True, slots=True)
class NotHeld:
    """The seat that was offered can't be held: nothing may stand of what was done for it."""

    because: Unmet | None
    """None: it is taken by now."""


async def answer(
    session: AsyncSession,
    affected_id: UUID,
    said: Answer,
    *,
    course_run_id: UUID | None,
    actor: Actor,
    now: datetime,
) -> Denied | NotHeld | None:
    """What the person said, once. After `NotHeld` the caller rolls back."""
    found = await affected.find_affected(session, affected_id)
    if found is None or not actor.serves(found.municipality):
        raise Problem(NOT_FOUND)
    offered = {UUID(offer["course_run_id"]) for offer in found.offers}
    if said == "accept" and course_run_id not in offered:
        return Denied("not_offered", "course_run_id")
    await affected.lock_case(session, found.case_id)
    await seats.lock_courses(session, {found.course_run_id} | ({course_run_id} if course_run_id else set()))
    found = await affected.find_affected(session, affected_id)
    assert found is not None  # nothing is deleted
    request = await seats.find_request(session, found.next_request_id or found.seat_request_id)
    assert request is not None
    if found.answer is not None:
        return Denied("is_answered", "")
    if found.asked_anew:
        return Denied("asked_anew", "")
    if request.state is State.ENROLLED:
        return Denied("has_begun", "")
    if said == "stay" and request.state is State.RELEASED:
        return Denied("nothing_to_stay_in", "answer")
    moved_to = None
    if said == "accept":
        assert course_run_id is not None
        placed = await _move(session, request, course_run_id, actor=actor, now=now)
        if isinstance(placed, NotHeld):
            return placed
        moved_to = placed.request.id
    elif said == "leave":
        await _give_back(session, request, reason="withdrawn", now=now)
    await affected.add_answer(session, affected_id, said, moved_to=moved_to, agency=actor.agency, now=now)
    return None


async def _move(
    session: AsyncSession, request: SeatRequest, course_run_id: UUID, *, actor: Actor, now: datetime
) -> Placed | NotHeld:
    moves = request
    if request.state is State.RELEASED:
        moves = replace(request, referral_id=None)  # it has come back to its sender
    else:
        # The old days first: until then the new ones may overlap with them. The referral goes on with the new seat.
        await _give_back(session, replace(request, referral_id=None), reason="moved", now=now)
    benefit_ends_on = await seats.find_benefit_end(session, request.id)
    claims = await seats.read_claims(session, request.id)
    origin = session.info.get("origin", Origin())
    order = AgencyOrder(request.case_id, actor, origin, benefit_ends_on=benefit_ends_on, moves=moves, claims=claims)
    (outcome,) = await request_seats(session, course_run_id, [order], now=now)
    if isinstance(outcome, Placed):
        return outcome if isinstance(outcome.outcome, Held) else NotHeld(None)
    return NotHeld(outcome)


async def _give_back(session: AsyncSession, request: SeatRequest, *, reason: str, now: datetime) -> None:
    course = await seats.lock_course(session, request.course_run_id)
    assert course is not None
    await release_hold(session, course, request, reason=reason, now=now)


async def remind_next(session: AsyncSession, now: datetime) -> bool:
    """Too few applied by the day of the decision: whoever runs the course is reminded, once."""
    due = await affected.lock_next_due(session, day_in_japan(now))
    if due is None:
        return False
    await affected.add_due(session, due, now)
    told = CancellationDue(
        course_run_id=due.id,
        decide_on=due.cancel_decision_on,
        applicants=due.applicants,
        min_enrolment=due.min_enrolment,
    )
    await emit(session, (told, due.version), at=now)
    return True


async def confirm_course(session: AsyncSession, course_run_id: UUID, *, actor: Actor, now: datetime) -> Denied | None:
    """Whoever runs the course, or plans for its place, decides that it begins (開講決定), however few applied.

    From then on it is cancelled for nothing that anybody could have chosen otherwise.
    """
    await seats.lock_courses(session, {course_run_id})
    run = await late_changes.find_run(session, course_run_id)
    if run is None or not may_change(run, actor):
        raise Problem(NOT_FOUND)
    if run.row["cancelled_at"] is not None:
        return Denied("is_cancelled", "")
    if run.row["confirmed_at"] is not None:
        return Denied("is_confirmed", "")
    if day_in_japan(now) >= run.terms.starts_on:
        return Denied("course_has_begun", "")
    if run.row["min_enrolment"] is None:
        return Denied("nothing_to_confirm", "")
    begins = await affected.add_confirmation(session, run.id, agency=actor.agency, now=now)
    told = CourseConfirmed(
        course_run_id=run.id,
        applicants=begins.applicants,
        min_enrolment=begins.min_enrolment,
        by_agency=actor.agency,
    )
    await emit(session, (told, run.row["version"]), at=now)
    return None
