"""The school's results (選考). A rejection frees the seat and offers it on at once, also below capacity."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import assert_never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import selection
from services.training.domain.instruction import Act, AnothersName, NotRegistered, Signature, act_at
from services.training.domain.selection import Rejected, Result, Selected, Selection, Unselectable
from services.training.domain.steps import TooLate
from services.training.handlers import registrations
from services.training.handlers.motions import begin_of
from services.training.handlers.reserves import told_of
from services.training.handlers.seats import lock_request, release_hold
from services.training.tables import training_facts
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

_INSTANT = timedelta(microseconds=1)


async def select(
    session: AsyncSession, seat_request_id: UUID, said: Selection, *, signature: Signature, actor: Actor, now: datetime
) -> Unselectable | TooLate | NotRegistered | AnothersName | None:
    """What the school says about somebody who applied; an earlier word stays on record."""
    course, request = await lock_request(session, seat_request_id)
    if course.provider_agency != actor.agency:
        raise Problem(NOT_FOUND)
    applicants = await training_facts.read_applicants(session, course.id)
    before = next((each.result for each in applicants if each.seat_request_id == request.id), None)
    others = [each for each in applicants if each.seat_request_id != request.id]
    outcome = selection.select(
        request, said, before=before, others=others, starts_on=course.starts_on, today=day_in_japan(now), now=now
    )
    if isinstance(outcome, Unselectable | TooLate):
        return outcome
    signed = await registrations.sign(session, actor, signature, act_at(Act.SELECT, course.step), now=now)
    if isinstance(signed, NotRegistered | AnothersName):
        return signed
    await training_facts.add_result(session, new_id(), request.id, said, signed=signed, now=now)
    match outcome:
        case Rejected():
            version = await training_facts.touch(session, request.id)
            told, rejected = (told_of(request, said), version), replace(request, version=version)
            await release_hold(session, course, rejected, reason=said.result.value, because=[told], now=now)
            return None
        case Selected() if request.expires_at is None:  # Nothing runs out any more, whatever is said.
            await emit(session, (told_of(request, said), await training_facts.touch(session, request.id)), at=now)
            return None
        case Selected(keeps_until=day):
            version, until = await training_facts.keep_until(session, request.id, last_moment_of(day))
            await emit(session, (told_of(request, said, expires_at=until), version), at=now)
            return None
        case _:
            assert_never(outcome)


def last_moment_of(day: date) -> datetime:
    """The last moment of a day in Japan."""
    return begin_of(day + timedelta(days=1)) - _INSTANT


async def is_accepted(session: AsyncSession, seat_request_id: UUID, course_run_id: UUID) -> bool:
    """Whether the school's word, or its silence, lets the person be instructed."""
    result: Result | None = await training_facts.find_result(session, seat_request_id)
    selects = await training_facts.school_selects(session, course_run_id)
    return selection.may_be_instructed(result, school_selects=selects)
