"""From a held seat to an enrolment: nomination (推薦), countersignature, instruction (受講指示), enrolment (受講開始).

Each is a fact of its own, by a body of its own, recorded with the legal entity in whose name it acted (a free job
placement must not lend its name: 職業安定法 Art. 29 ff.) and the authority mode that was in force.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, assert_never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import steps
from services.training.domain.steps import Authority, Illegal, Move, Moved, NotYours, SeatRequest, State, TooLate
from services.training.handlers.seats import lock_request, tell
from services.training.tables import facts, seats
from shared.auth import Actor, Role
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import Enrolled, Event, InstructionIssued, NominationCountersigned, TrainingNominated
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class Signature:
    """In whose name: corporate number (法人番号) and the number of the notification or permission (届出・許可番号)."""

    legal_entity: str | None = None
    notification_number: str | None = None


Signed = Literal[Move.NOMINATE, Move.COUNTERSIGN, Move.INSTRUCT]
"""The steps that a body takes in a legal entity's name."""
Stopped = Illegal | TooLate | NotYours
"""Why a step was not taken."""


async def take_step(
    session: AsyncSession, seat_request_id: UUID, move: Signed, *, signature: Signature, actor: Actor, now: datetime
) -> Stopped | None:
    """Nominate, countersign or instruct, for a person of the actor's municipalities."""
    _, request = await lock_request(session, seat_request_id)
    if not actor.serves(request.municipality):
        raise Problem(NOT_FOUND)
    authority = await _authority(session, request, now)
    step = _decide(request, move, authority, actor, now)
    if not isinstance(step, Moved):
        return step
    fact_id = await _record(session, move, request, step.state, signature, actor, authority, now)
    event = _told(request, move, authority, by_agency=actor.agency, fact_id=fact_id)
    await emit(session, (event, request.version + 1), at=now)
    return None


def _decide(request: SeatRequest, move: Signed, authority: Authority, actor: Actor, now: datetime) -> Moved | Stopped:
    if move is not Move.INSTRUCT:
        return steps.take_step(request, move, authority=authority, now=now)
    return steps.instruct(
        request,
        authority=authority,
        as_hello_work=Role.HELLO_WORK in actor.roles,
        as_placement=Role.PLACEMENT in actor.roles,
        now=now,
    )


def _told(request: SeatRequest, move: Signed, authority: Authority, *, by_agency: str, fact_id: UUID) -> Event:
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
        case Move.INSTRUCT:
            return InstructionIssued(
                case_id=request.case_id,
                seat_request_id=request.id,
                instruction_id=fact_id,
                referral_id=request.referral_id,
                course_run_id=request.course_run_id,
                by_agency=by_agency,
                authority=authority.value,
            )
        case _:
            assert_never(move)


async def enrol(session: AsyncSession, seat_request_id: UUID, *, actor: Actor, now: datetime) -> Stopped | None:
    """The course's provider takes the person in: the held seat is filled."""
    course, request = await lock_request(session, seat_request_id)
    if course.provider_agency != actor.agency:
        raise Problem(NOT_FOUND)
    authority = await _authority(session, request, now)
    step = steps.take_step(request, Move.ENROL, authority=authority, now=now)
    if not isinstance(step, Moved):
        return step
    await _record(session, Move.ENROL, request, step.state, Signature(), actor, authority, now)
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


async def _authority(session: AsyncSession, request: SeatRequest, now: datetime) -> Authority:
    """As it stands today in the prefecture of the person's municipality, whatever it was at an earlier step."""
    return await facts.authority_in(session, request.municipality[:2], day_in_japan(now))


async def _record(
    session: AsyncSession,
    move: Move,
    request: SeatRequest,
    state: State,
    signature: Signature,
    actor: Actor,
    authority: Authority,
    now: datetime,
) -> UUID:
    ends = None if state in {State.INSTRUCTED, State.ENROLLED} else request.expires_at
    await seats.change_request(session, request.id, state=state, pool_id=request.pool_id, expires_at=ends)
    fact_id = new_id()
    values = {
        "id": fact_id,
        "seat_request_id": request.id,
        "agency": actor.agency,
        "legal_entity": signature.legal_entity,
        "notification_number": signature.notification_number,
        "authority": authority.value,
        "now": now,
    }
    await facts.add_fact(session, move, values)
    return fact_id
