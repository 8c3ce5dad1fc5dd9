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
from services.training.domain.instruction import (
    AnothersName,
    Issuer,
    Kind,
    NotRegistered,
    NotYours,
    Registration,
    Signature,
    issue,
    issuer_of,
)
from services.training.domain.steps import Authority, Illegal, Move, Moved, SeatRequest, State, TooLate
from services.training.handlers import registrations
from services.training.handlers.seats import lock_request, tell
from services.training.handlers.selection import is_accepted
from services.training.tables import facts, seats
from shared.auth import Actor, Role
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import Enrolled, Event, InstructionIssued, NominationCountersigned, TrainingNominated
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

_ISSUERS = {Role.HELLO_WORK: Issuer.HELLO_WORK, Role.PLACEMENT: Issuer.PLACEMENT}
Signed = Literal[Move.NOMINATE, Move.COUNTERSIGN, Move.INSTRUCT]
"""The steps that a body takes in a legal entity's name."""


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """The school selects, and has not accepted this person."""


Stopped = Illegal | TooLate | NotYours | NotRegistered | AnothersName | NotAccepted
"""Why a step was not taken."""


@dataclass(frozen=True, slots=True)
class Paper:
    """Which paper is issued, and the number that it carries."""

    kind: Kind = Kind.INSTRUCTION
    document_number: str | None = None


async def take_step(
    session: AsyncSession,
    seat_request_id: UUID,
    move: Signed,
    *,
    signature: Signature,
    actor: Actor,
    now: datetime,
    paper: Paper | None = None,
) -> Stopped | None:
    """Nominate, countersign or instruct, for a person of the actor's municipalities."""
    _, request = await lock_request(session, seat_request_id)
    if not actor.serves(request.municipality):
        raise Problem(NOT_FOUND)
    authority = await _authority(session, request, now)
    paper = paper or Paper()
    step = _decide(request, move, authority, actor, paper.kind, now)
    if not isinstance(step, Moved):
        return step
    if move is Move.INSTRUCT and not await is_accepted(session, request.id, request.course_run_id):
        return NotAccepted()
    signed = await registrations.sign(session, actor, signature, move, _acts_as(move, paper.kind, authority), now=now)
    if isinstance(signed, NotRegistered | AnothersName):
        return signed
    fact_id = await _record(session, move, request, step.state, signed, actor, authority, now, paper)
    event = _told(request, move, authority, paper.kind, by_agency=actor.agency, fact_id=fact_id)
    await emit(session, (event, request.version + 1), at=now)
    return None


def _acts_as(move: Signed, kind: Kind, authority: Authority) -> Issuer:
    match move:
        case Move.NOMINATE:
            return Issuer.PLACEMENT
        case Move.COUNTERSIGN:
            return Issuer.HELLO_WORK
        case Move.INSTRUCT:
            return issuer_of(kind, authority)
        case _:
            assert_never(move)


def _decide(
    request: SeatRequest, move: Signed, authority: Authority, actor: Actor, kind: Kind, now: datetime
) -> Moved | Illegal | TooLate | NotYours:
    if move is not Move.INSTRUCT:
        return steps.take_step(request, move, authority=authority, now=now)
    as_ = {issuer for role, issuer in _ISSUERS.items() if role in actor.roles}
    return issue(request, kind, authority=authority, as_=as_, now=now)


def _told(
    request: SeatRequest, move: Signed, authority: Authority, kind: Kind, *, by_agency: str, fact_id: UUID
) -> Event:
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
                kind=kind.value,
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
    await _record(session, Move.ENROL, request, step.state, None, actor, authority, now)
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
    signed: Registration | None,
    actor: Actor,
    authority: Authority,
    now: datetime,
    paper: Paper | None = None,
) -> UUID:
    ends = None if state in {State.INSTRUCTED, State.ENROLLED} else request.expires_at
    await seats.change_request(session, request.id, state=state, pool_id=request.pool_id, expires_at=ends)
    fact_id = new_id()
    values = {
        "id": fact_id,
        "seat_request_id": request.id,
        "agency": actor.agency,
        "legal_entity": signed and signed.legal_entity,
        "notification_number": signed and signed.number,
        "registration_id": signed and signed.id,
        "kind": paper and paper.kind.value,
        "document_number": paper and paper.document_number,
        "authority": authority.value,
        "now": now,
    }
    await facts.add_fact(session, move, values)
    return fact_id
