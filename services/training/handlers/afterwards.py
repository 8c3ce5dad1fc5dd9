"""After the enrolment: attendance month by month, the end of training, what came of it.

Each is a fact of its own, written once. A correction names what it corrects, so that two who correct the same thing
don't undo one another.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import attendance, outcomes
from services.training.domain.attendance import Month, Standing, Uncertifiable
from services.training.domain.instruction import Act, AnothersName, NotRegistered, Signature, act_at
from services.training.domain.outcomes import Checkpoint, End, Ending, Left, Outcome, Unfit
from services.training.domain.quota import Course
from services.training.domain.steps import SeatRequest, State
from services.training.handlers import registrations
from services.training.handlers.reserves import Told
from services.training.handlers.seats import lock_request
from services.training.handlers.trials import propose_next
from services.training.tables import training_facts
from services.training.tables.training_facts import New, Stands
from shared.auth import Actor, Role
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import (
    AttendanceWarned,
    AttendanceWarningLifted,
    EmploymentRecorded,
    Event,
    TrainingEnded,
)
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

Unsigned = NotRegistered | AnothersName
"""In whose name it should be done is not to be had."""


async def certify_attendance(
    session: AsyncSession,
    seat_request_id: UUID,
    said: Month,
    *,
    corrects: UUID | None,
    signature: Signature,
    actor: Actor,
    now: datetime,
) -> Uncertifiable | Unsigned | None:
    """The school certifies a month; whoever supports the person is warned when 80 % is in danger."""
    course, request = await _enrolled(session, seat_request_id, actor)
    starts_on, ends_on = await training_facts.days_of(session, course.id)
    ended = await training_facts.find_end(session, request.id)
    left_on = ended[1].ended_on if ended is not None and ended[1].ending is Ending.LEFT else None
    unfit = attendance.certify(said, starts_on=starts_on, ends_on=ends_on, left_on=left_on, today=day_in_japan(now))
    if unfit is not None:
        return unfit
    certified = await training_facts.read_months(session, request.id)
    before = certified[said.month][0] if said.month in certified else None
    if (rule := _corrects(before, corrects)) is not None:
        return Uncertifiable(rule, "corrects")
    signed = await registrations.sign(session, actor, signature, act_at(Act.CERTIFY, course.step), now=now)
    if isinstance(signed, NotRegistered | AnothersName):
        return signed
    await training_facts.add_month(session, New(new_id(), request.id, before, signed, now), said)
    months = {month: each for month, (_, each) in certified.items()}
    was, stands = (
        attendance.standing(months.values()),
        attendance.standing((months | {said.month: said}).values()),
    )
    version = await training_facts.touch(session, request.id)
    # At a trial place no benefit rests on 80 %.
    if was is not stands and not course.is_trial:
        await emit(session, (_warned(request, stands), version), at=now)
    return None


def _warned(request: SeatRequest, stands: Standing) -> Event:
    of = {"case_id": request.case_id, "seat_request_id": request.id, "course_run_id": request.course_run_id}
    if stands is Standing.ON_TRACK:
        return AttendanceWarningLifted(**of)
    return AttendanceWarned(**of, standing=stands.value)


async def end_training(
    session: AsyncSession,
    seat_request_id: UUID,
    said: End,
    *,
    corrects: UUID | None,
    signature: Signature,
    actor: Actor,
    now: datetime,
) -> Unfit | Unsigned | None:
    """Completed, or left."""
    course, request = await _enrolled(session, seat_request_id, actor)
    starts_on, ends_on = await training_facts.days_of(session, course.id)
    certified = await training_facts.read_months(session, request.id)
    unfit = outcomes.end_training(
        said,
        starts_on=starts_on,
        ends_on=ends_on,
        today=day_in_japan(now),
        attended_last=max((month for month, (_, each) in certified.items() if each.present), default=None),
    )
    if unfit is not None:
        return unfit
    ended = await training_facts.find_end(session, request.id)
    before = None if ended is None else ended[0]
    if (rule := _corrects(before, corrects)) is not None:
        return Unfit(rule, "corrects")
    signed = await registrations.sign(session, actor, signature, act_at(Act.END, course.step), now=now)
    if isinstance(signed, NotRegistered | AnothersName):
        return signed
    await training_facts.add_end(session, New(new_id(), request.id, before, signed, now), said)
    told = TrainingEnded(
        case_id=request.case_id,
        seat_request_id=request.id,
        referral_id=request.referral_id,
        course_run_id=request.course_run_id,
        ending=said.ending.value,
        ended_on=said.ended_on,
        for_work=said.left is Left.FOUND_WORK,
    )
    version = await training_facts.touch(session, request.id)
    proposed: list[Told] = []
    if said.ending is Ending.COMPLETED and (ended is None or ended[1].ending is not Ending.COMPLETED):
        proposed = await propose_next(session, course, request, version=version, now=now)
    await emit(session, (told, version), *proposed, at=now)
    return None


async def record_outcome(
    session: AsyncSession,
    seat_request_id: UUID,
    checkpoint: Checkpoint,
    outcome: Outcome,
    *,
    corrects: UUID | None,
    signature: Signature,
    actor: Actor,
    now: datetime,
) -> Unfit | Unsigned | None:
    """What the person does on a set day: from the school, or from those who support the person."""
    course, request = await lock_request(session, seat_request_id)
    if not (_is_provider(course, actor) or actor.serves(request.municipality)):
        raise Problem(NOT_FOUND)
    ended = await training_facts.find_end(session, request.id)
    ended_on: date | None = None if ended is None else ended[1].ended_on
    unfit = outcomes.record_outcome(checkpoint, ended_on=ended_on, today=day_in_japan(now))
    if unfit is not None:
        return unfit
    before = await training_facts.find_outcome(session, request.id, checkpoint)
    if (rule := _corrects(before, corrects)) is not None:
        return Unfit(rule, "corrects")
    signed = await registrations.sign(session, actor, signature, Act.RECORD_OUTCOME, now=now)
    if isinstance(signed, NotRegistered | AnothersName):
        return signed
    new = New(new_id(), request.id, before, signed, now)
    await training_facts.add_outcome(session, new, checkpoint, outcome)
    told = EmploymentRecorded(
        case_id=request.case_id,
        seat_request_id=request.id,
        course_run_id=request.course_run_id,
        checkpoint=checkpoint.value,
        outcome=outcome.value,
        referral_id=request.referral_id,
    )
    await emit(session, (told, await training_facts.touch(session, request.id)), at=now)
    return None


async def _enrolled(session: AsyncSession, seat_request_id: UUID, actor: Actor) -> tuple[Course, SeatRequest]:
    """For the course's own school, of somebody who is enrolled."""
    course, request = await lock_request(session, seat_request_id)
    if not _is_provider(course, actor) or request.state is not State.ENROLLED:
        raise Problem(NOT_FOUND)
    return course, request


def _is_provider(course: Course, actor: Actor) -> bool:
    return Role.PROVIDER in actor.roles and course.provider_agency == actor.agency


def _corrects(before: Stands | None, corrects: UUID | None) -> str | None:
    """The rule that stands against it: what stands is corrected by its name, and nothing else is."""
    if before is None:
        return None if corrects is None else "not_the_one_that_stands"
    if corrects is None:
        return "is_on_record"
    return None if corrects == before.id else "not_the_one_that_stands"
