"""What a plan in force asks for, as tasks: monitoring, what an agency does once, and consent that is still missing."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.plan import Going, Line, Who, asks
from services.assessment.domain.tasks import WAITING, DropReason, Kind, State, Task
from services.assessment.handlers.tasks import assign, drop, finish, hand_on
from services.assessment.handlers.telling import tell
from services.assessment.tables import cases, plans, tasks
from services.assessment.tables.cases import Case
from services.assessment.tables.plans import Plan, StoredLine
from services.assessment.tables.tasks import Row
from shared.bus.envelope import new_id
from shared.consent import FOR_PLAN, consent_gap
from shared.events import Event
from shared.service import day_in_japan

_BY = "tsunagu-assessment"
ORIGIN = "plan"


async def begin(session: AsyncSession, case: Case, plan: Plan, *, by: str, now: datetime) -> list[Event]:
    """What the version that was just decided asks for, in place of what the one before did. What is to be told."""
    told = [await drop(session, row, DropReason.PLAN_CHANGED, by=by, now=now) for row in await _waiting(session, plan)]
    told.append(await _assign(session, case, plan, Kind.MONITORING, case.holder, plan.monitor_on, by=by, now=now))
    lines = await _lines(session, plan)
    told += await _follow_lines(session, case, plan, lines, by=by, now=now)
    strangers = _out_of_reach(case, lines, day_in_japan(now))
    if strangers:
        on = max(min(line.begins_on for line in strangers), day_in_japan(now))
        told.append(await _assign(session, case, plan, Kind.CONSENT_TO_SEEK, case.holder, on, by=by, now=now))
    return told


async def follow_consent(session: AsyncSession, case_id: UUID, *, now: datetime) -> None:
    """Another word on consent: an agency that it reaches now is told what it is asked for, and one that it doesn't
    reach any more is asked for nothing."""
    case = await cases.lock_case(session, case_id)
    plan = None if case is None else await plans.lock_at_work(session, case_id)
    if case is None or plan is None or plan.decided_version is None:
        return
    lines = await _lines(session, plan)
    told = await _follow_lines(session, case, plan, lines, by=_BY, now=now)
    if not _out_of_reach(case, lines, day_in_japan(now)):
        sought = [row for row in await _waiting(session, plan) if row.task.kind is Kind.CONSENT_TO_SEEK]
        told += [await finish(session, row, by=_BY, now=now) for row in sought]
    if told:
        await tell(session, case_id, *told, now=now)


async def follow_monitoring(
    session: AsyncSession, case: Case, plan: Plan, going: Mapping[UUID, Going], *, by: str, now: datetime
) -> list[Event]:
    """It was looked at how the plan goes: that is done, and due again; what is done or stopped waits no more."""
    told: list[Event] = []
    of_lines = await plans.find_line_tasks(session, plan.id)
    ended = {task_id: going[line_id] for line_id, found in of_lines.items() if line_id in going for task_id in found}
    for row in await _waiting(session, plan):
        if row.task.kind is Kind.MONITORING or ended.get(row.task.id) is Going.DONE:
            told.append(await finish(session, row, by=by, now=now))
        elif ended.get(row.task.id) is Going.STOPPED:
            told.append(await drop(session, row, DropReason.NOT_NEEDED, by=by, now=now))
    told.append(await _assign(session, case, plan, Kind.MONITORING, case.holder, plan.monitor_on, by=by, now=now))
    return told


async def end(session: AsyncSession, plan: Plan, *, by: str, now: datetime) -> list[Event]:
    """The plan was evaluated, and with that monitored for the last time; it asks for nothing any more."""
    return [
        await finish(session, row, by=by, now=now)
        if row.task.kind is Kind.MONITORING
        else await drop(session, row, DropReason.PLAN_ENDED, by=by, now=now)
        for row in await _waiting(session, plan)
    ]


async def follow_holder(session: AsyncSession, case_id: UUID, *, holder: str, before: str, now: datetime) -> None:
    """What a plan asks of the holder goes along with a locked case to the new one; an agency's line stays its own."""
    waiting = await tasks.lock_waiting(session, case_id, {Kind.ACTION, Kind.CONSENT_TO_SEEK})
    rows = [row for row in waiting if row.origin == ORIGIN and row.task.owner == before]
    of_agencies = await plans.find_tasks_of_agencies(session, [row.task.id for row in rows])
    told = [await hand_on(session, row, holder, by=before, now=now) for row in rows if row.task.id not in of_agencies]
    if told:
        await tell(session, case_id, *told, now=now)


async def _follow_lines(
    session: AsyncSession, case: Case, plan: Plan, lines: Sequence[StoredLine], *, by: str, now: datetime
) -> list[Event]:
    brought, told = await plans.find_line_tasks(session, plan.id), list[Event]()
    rows = {row.task.id: row for row in await tasks.find_of_origin(session, plan.id)}
    today = day_in_japan(now)
    for stored in lines:
        if not asks(stored.line):
            continue
        last = rows[brought[stored.id][-1]] if stored.id in brought else None
        reached = _reaches(case, stored.line, today)
        if reached and (last is None or last.reason == DropReason.CONSENT_ENDED):
            owner, on = stored.line.agency or case.holder, max(stored.line.ends_on, today)
            told.append(
                await _assign(session, case, plan, Kind.ACTION, owner, on, line_id=stored.id, by=by, now=now),
            )
        elif not reached and last is not None and last.task.state in WAITING:
            told.append(await drop(session, last, DropReason.CONSENT_ENDED, by=by, now=now))
    return told


def _out_of_reach(case: Case, lines: Sequence[StoredLine], today: date) -> list[Line]:
    """What is asked of agencies that must not know of it yet."""
    return [each.line for each in lines if each.line.ends_on >= today and not _reaches(case, each.line, today)]


def _reaches(case: Case, line: Line, today: date) -> bool:
    """Whether a line may be told to whom it asks."""
    if line.who is not Who.AGENCY or line.agency is None or line.agency == case.holder:
        return True
    return consent_gap(case.consent, purposes=FOR_PLAN, receiver=line.agency, today=today) is None


async def _lines(session: AsyncSession, plan: Plan) -> list[StoredLine]:
    assert plan.decided_version is not None
    return await plans.find_lines(session, plan.id, plan.decided_version)


async def _waiting(session: AsyncSession, plan: Plan) -> list[Row]:
    return [row for row in await tasks.find_of_origin(session, plan.id) if row.task.state in WAITING]


async def _assign(
    session: AsyncSession,
    case: Case,
    plan: Plan,
    kind: Kind,
    owner: str,
    on: date,
    *,
    line_id: UUID | None = None,
    by: str,
    now: datetime,
) -> Event:
    """Without words: what is asked for is read in the plan, where consent is asked each time."""
    task = Task(new_id(), case.id, kind, State.OPEN, owner, on)
    event = await assign(session, task, origin=ORIGIN, origin_id=plan.id, by=by, now=now)
    if line_id is not None:
        await plans.add_line_task(session, line_id, task.id)
    return event
