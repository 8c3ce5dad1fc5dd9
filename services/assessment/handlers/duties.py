"""What a rating asks of the agencies becomes tasks: a conference, and the next rating, which ends the one before."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.fdp import Risk
from services.assessment.domain.rule import Consequences, Duty
from services.assessment.domain.tasks import DropReason, Kind, State, Task
from services.assessment.handlers.tasks import assign, drop, finish
from services.assessment.tables import tasks
from services.assessment.tables.assessments import Rated
from services.assessment.tables.cases import Case
from shared.bus.envelope import new_id
from shared.events import Event

_KIND = {Duty.JOINT_CONFERENCE: Kind.JOINT_CONFERENCE, Duty.REASSESSMENT: Kind.REASSESSMENT}


async def follow(
    session: AsyncSession, case: Case, rated: Rated, follows: Consequences, *, by: str, now: datetime
) -> list[Event]:
    """Carry out what follows from the newest rating of a locked case. What is to be told of it."""
    waiting = await tasks.lock_waiting(session, case.id, set(_KIND.values()))
    told: list[Event] = []
    for row in waiting:
        if row.task.kind is Kind.REASSESSMENT:
            told.append(await finish(session, row, by=by, now=now))
        elif rated.risk is Risk.FALSE and row.origin == "rule":
            told.append(await drop(session, row, DropReason.NO_LONGER_FLAGGED, by=by, now=now))
    has_conference = any(row.task.kind is Kind.JOINT_CONFERENCE for row in waiting)
    for due in follows.dues:
        if due.duty is Duty.JOINT_CONFERENCE and has_conference:
            continue  # the day on which it was first due stays
        told.append(await _begin(session, case, _KIND[due.duty], due.on, origin_id=rated.id, by=by, now=now))
    return told


async def _begin(
    session: AsyncSession, case: Case, kind: Kind, on: date, *, origin_id: UUID, by: str, now: datetime
) -> Event:
    task = Task(new_id(), case.id, kind, State.OPEN, case.holder, on)
    return await assign(session, task, origin="rule", origin_id=origin_id, by=by, now=now)
