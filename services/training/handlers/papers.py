"""Papers that send into training (受講指示・支援指示・受講推薦): issued, changed, cancelled, one after another."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import papers
from services.training.domain.instruction import (
    Act,
    AnothersName,
    Issuer,
    Kind,
    NotRegistered,
    Signature,
    act_of_issuing,
)
from services.training.domain.outcomes import Unfit
from services.training.domain.papers import Series
from services.training.domain.steps import Move, Moved
from services.training.handlers import registrations
from services.training.handlers.seats import lock_request
from services.training.handlers.selection import is_accepted, last_moment_of
from services.training.handlers.steps import NotAccepted, Stopped, authority_over, record_step
from services.training.tables import papers as tables
from services.training.tables import seats, training_facts
from shared.auth import Actor, Role
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import InstructionCancelled, InstructionIssued
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

_ISSUERS = {Role.HELLO_WORK: Issuer.HELLO_WORK, Role.PLACEMENT: Issuer.PLACEMENT}


@dataclass(frozen=True, slots=True)
class Paper:
    """Which paper is issued, the number that it carries, and which one it changes."""

    kind: Kind = Kind.INSTRUCTION
    document_number: str | None = None
    changes: UUID | None = None


async def issue_paper(
    session: AsyncSession, seat_request_id: UUID, paper: Paper, *, signature: Signature, actor: Actor, now: datetime
) -> Stopped | None:
    """The next paper of a request, for a person of the actor's municipalities."""
    course, request = await lock_request(session, seat_request_id)
    if not actor.serves(request.municipality):
        raise Problem(NOT_FOUND)
    authority = await authority_over(session, request, now)
    series = await series_of(session, request.id)
    as_ = {issuer for role, issuer in _ISSUERS.items() if role in actor.roles}
    step = papers.issue(
        request,
        paper.kind,
        series=series,
        changes=paper.changes,
        authority=authority,
        as_=as_,
        now=now,
        is_trial=course.is_trial,
    )
    if not isinstance(step, Moved):
        return step
    if step.state is not request.state and not await is_accepted(session, request.id, request.course_run_id):
        return NotAccepted()
    signed = await registrations.sign(session, actor, signature, act_of_issuing(paper.kind, authority), now=now)
    if isinstance(signed, NotRegistered | AnothersName):
        return signed
    issued = InstructionIssued(
        case_id=request.case_id,
        seat_request_id=request.id,
        instruction_id=new_id(),
        referral_id=request.referral_id,
        course_run_id=request.course_run_id,
        by_agency=actor.agency,
        authority=authority.value,
        kind=paper.kind.value,
        number=1 if series.last is None else series.last.number + 1,
        changes=paper.changes,
    )
    fact = {
        "id": issued.instruction_id,
        "number": issued.number,
        "changes": paper.changes,
        "kind": paper.kind.value,
        "document_number": paper.document_number,
    }
    await record_step(session, Move.INSTRUCT, request, step.state, signed, authority, now, fact)
    await emit(session, (issued, request.version + 1), at=now)
    return None


async def cancel_paper(
    session: AsyncSession, seat_request_id: UUID, *, reason: str, signature: Signature, actor: Actor, now: datetime
) -> Unfit | NotRegistered | AnothersName | None:
    """A support instruction (支援指示) that is no longer needed. Another paper may follow."""
    course, request = await lock_request(session, seat_request_id)
    if not actor.serves(request.municipality):
        raise Problem(NOT_FOUND)
    outcome = papers.cancel(
        request,
        await tables.find_last(session, request.id),
        countersigned=await tables.is_countersigned(session, request.id),
        starts_on=course.starts_on,
        today=day_in_japan(now),
    )
    if isinstance(outcome, Unfit):
        return outcome
    signed = await registrations.sign(session, actor, signature, Act.CANCEL, now=now)
    if isinstance(signed, NotRegistered | AnothersName):
        return signed
    await tables.add_cancellation(session, outcome.paper_id, reason, signed=signed, now=now)
    until = None if outcome.keeps_until is None else last_moment_of(outcome.keeps_until)
    if outcome.state is request.state:
        version = await training_facts.touch(session, request.id)
    else:
        version = request.version + 1
        await seats.change_request(session, request.id, state=outcome.state, pool_id=request.pool_id, expires_at=until)
    told = InstructionCancelled(
        case_id=request.case_id,
        seat_request_id=request.id,
        instruction_id=outcome.paper_id,
        referral_id=request.referral_id,
        course_run_id=request.course_run_id,
        by_agency=actor.agency,
        state=outcome.state.value,
        expires_at=until,
    )
    await emit(session, (told, version), at=now)
    return None


async def series_of(session: AsyncSession, seat_request_id: UUID) -> Series:
    """What the next paper depends on."""
    ended = await training_facts.find_end(session, seat_request_id) is not None
    return Series(await tables.find_last(session, seat_request_id), ended)
