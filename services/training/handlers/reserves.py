"""A reserve (補欠) moves up when somebody accepted withdraws or is rejected after all: in the same transaction."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.quota import Course
from services.training.domain.selection import Result, Selection, moves_up
from services.training.domain.steps import SeatRequest, State
from services.training.tables import seats, training_facts
from shared.bus.envelope import new_id
from shared.events import Event, TrainingSelected
from shared.service import day_in_japan

Told = tuple[Event, int]

_MAY_BE_ACCEPTED = {State.NOMINATED, State.COUNTERSIGNED, State.INSTRUCTED}


async def move_up(session: AsyncSession, course: Course, withdrawn: SeatRequest, *, now: datetime) -> list[Told]:
    """After a withdrawal: the first reserve of the course run is accepted, if the one who withdrew had been.

    A school that corrects its acceptance to a rejection withdraws the person too.
    The reserve's own seat is held already. The seat that came free went to the line.
    """
    if withdrawn.state not in _MAY_BE_ACCEPTED:
        return []
    if not await training_facts.was_accepted(session, withdrawn.id):
        return []
    applicants = await training_facts.read_applicants(session, course.id)
    reserves = [each for each in applicants if each.seat_request_id != withdrawn.id]
    following = moves_up(reserves, starts_on=course.starts_on, today=day_in_japan(now), now=now)
    request = None if following is None else await seats.find_request(session, following.seat_request_id)
    if request is None:
        return []
    said = Selection(Result.ACCEPTED, day_in_japan(now))
    await training_facts.move_up(session, new_id(), request.id, said.result_on, now=now)
    version = await training_facts.touch(session, request.id)
    return [(told_of(request, said, expires_at=request.expires_at, moved_up=True), version)]


def told_of(
    request: SeatRequest, said: Selection, *, expires_at: datetime | None = None, moved_up: bool = False
) -> TrainingSelected:
    """The result, and until when the seat is held; its rank and reason are the school's and the municipality's."""
    return TrainingSelected(
        case_id=request.case_id,
        seat_request_id=request.id,
        referral_id=request.referral_id,
        course_run_id=request.course_run_id,
        result=said.result.value,
        result_on=said.result_on,
        moved_up=moved_up,
        expires_at=expires_at,
    )
