"""From a held seat to an enrolment: nomination (推薦), countersignature, enrolment (受講開始); papers: `papers`.

Each is a fact of its own, by a body of its own, recorded with the legal entity in whose name it acted (a free job
placement must not lend its name: 職業安定法 Art. 29 ff.) and the authority mode that was in force.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, assert_never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import steps
from services.training.domain.instruction import (
    Act,
    AnothersName,
    Issuer,
    NotRegistered,
    NotYours,
    Registration,
    Signature,
    act_at,
)
from services.training.domain.outcomes import Unfit
from services.training.domain.steps import Authority, Illegal, Move, Moved, SeatRequest, State, TooLate
from services.training.handlers import registrations
from services.training.handlers.seats import lock_request, tell
from services.training.handlers.selection import is_accepted
from services.training.tables import facts, line, seats
from services.training.tables.training_facts import in_the_name_of
from shared.auth import Actor, Role
from shared.bus.mailbox import emit
from shared.events import Enrolled, Event, NominationCountersigned, TrainingNominated
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

Signed = Literal[Move.NOMINATE, Move.COUNTERSIGN]
_ACTS: Mapping[Signed, Act] = {Move.NOMINATE: Act.NOMINATE, Move.COUNTERSIGN: Act.COUNTERSIGN}


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """The school selects, and has not accepted this person."""


Stopped = Illegal | TooLate | NotYours | NotRegistered | AnothersName | NotAccepted | Unfit
"""Why a step was not taken."""


async def take_step(
    session: AsyncSession,
    seat_request_id: UUID,
    move: Signed,
    *,
    signature: Signature,
    actor: Actor,
    now: datetime,
) -> Stopped | None:
    """Nominate or countersign, for a person of the actor's municipalities."""
    course, request = await lock_request(session, seat_request_id)
    if not actor.serves(request.municipality):
        raise Problem(NOT_FOUND)
    authority = await authority_over(session, request, now)
    act = act_at(_ACTS[move], course.step)
    if act is Act.NOMINATE and Role.PLACEMENT not in actor.roles:
        return NotYours(authority, Issuer.PLACEMENT)
    step = steps.take_step(request, move, authority=authority, now=now, is_trial=course.is_trial)
    if not isinstance(step, Moved):
        return step
    signed = await registrations.sign(session, actor, signature, act, now=now)
    if isinstance(signed, NotRegistered | AnothersName):
        return signed
    if request.is_offered:  # Who is nominated for a seat out of the line has accepted it.
        await line.answer_offer(session, request, "accepted", now=now)
    await record_step(session, move, request, step.state, signed, authority, now, is_trial=course.is_trial)
    event = _told(request, move, authority, by_agency=actor.agency)
    await emit(session, (event, request.version + 1), at=now)
    return None


def _told(request: SeatRequest, move: Signed, authority: Authority, *, by_agency: str) -> Event:
    match move:
        case Move.NOMINATE:
            return TrainingNominated(
                case_id=request.case_id,
                seat_request_id=request.id,
                course_run_id=request.course_run_id,
                by_agency=by_agency,
                authority=authority.value,
            )
        case Move.COUNTERSIGN:
            return NominationCountersigned(
                case_id=request.case_id,
                seat_request_id=request.id,
                course_run_id=request.course_run_id,
                by_agency=by_agency,
            )
        case _:
            assert_never(move)


async def enrol(
    session: AsyncSession, seat_request_id: UUID, *, signature: Signature, actor: Actor, now: datetime
) -> Stopped | None:
    """The course's provider takes the person in: the held seat is filled."""
    course, request = await lock_request(session, seat_request_id)
    if course.provider_agency != actor.agency:
        raise Problem(NOT_FOUND)
    authority = await authority_over(session, request, now)
    step = steps.take_step(request, Move.ENROL, authority=authority, now=now, is_trial=course.is_trial)
    if not isinstance(step, Moved):
        return step
    # Into a course nobody comes without a paper, which asks the same.
    if course.is_trial and not await is_accepted(session, request.id, course.id):
        return NotAccepted()
    signed = await registrations.sign(session, actor, signature, act_at(Act.ENROL, course.step), now=now)
    if isinstance(signed, NotRegistered | AnothersName):
        return signed
    await record_step(session, Move.ENROL, request, step.state, signed, authority, now)
    await seats.enter(session, "enrol", request, pool_id=request.pool_id, now=now)
    enrolled = Enrolled(
        case_id=request.case_id,
        seat_request_id=request.id,
        referral_id=request.referral_id,
        course_run_id=request.course_run_id,
        pool_id=request.pool_id,
        starts_on=course.starts_on,
    )
    await tell(session, course.id, [(enrolled, request.version + 1)], {request.pool_id}, now)
    return None


async def authority_over(session: AsyncSession, request: SeatRequest, now: datetime) -> Authority:
    """As it stands today in the prefecture of the person's municipality, whatever it was at an earlier step."""
    return await facts.authority_in(session, request.municipality[:2], day_in_japan(now))


async def record_step(
    session: AsyncSession,
    move: Move,
    request: SeatRequest,
    state: State,
    signed: Registration,
    authority: Authority,
    now: datetime,
    more: Mapping[str, Any] | None = None,
    *,
    is_trial: bool = False,
) -> None:
    """The request's next state, and the fact: who took the step, in whose name, in which mode."""
    ends = None if steps.outlasts_the_clock(state, is_trial=is_trial) else request.expires_at
    await seats.change_request(session, request.id, state=state, pool_id=request.pool_id, expires_at=ends)
    values = {"seat_request_id": request.id, "authority": authority.value, "now": now}
    await facts.add_fact(session, move, values | in_the_name_of(signed) | dict(more or {}))
