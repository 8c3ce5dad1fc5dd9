"""Tasks: assigned, done, handed on, dropped; looked through by the clock, so that nothing overdue is invisible."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.moves import NotMoved, advance, legal
from services.assessment.domain.tasks import (
    MOVES,
    SECOND_TIER,
    DropReason,
    Kind,
    Party,
    State,
    Task,
    moves_of,
    tier_on,
)
from services.assessment.handlers.access import OWN_DUTY, concerns, key_to_read
from services.assessment.handlers.telling import tell
from services.assessment.tables import cases, conferences, tasks
from services.assessment.tables.cases import Case
from services.assessment.tables.tasks import Listed, Row
from shared.auth import Actor
from shared.consent import FOR_CONFERENCE, consent_gap
from shared.events import Event, TaskAssigned, TaskEnded, TaskOverdue
from shared.problems import NO_BASIS, NOT_FOUND, Problem
from shared.service import day_in_japan, expect, working_day_after

PURPOSE = "support"
WORDS = "task"
"""The field's name in the access log."""


@dataclass(frozen=True, slots=True)
class NotYours:
    """Only the owner and the holder of the case move a task."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a task: to whom, until when, or why it need not be done."""

    name: str
    owner: str | None = None
    due_on: date | None = None
    reason: DropReason | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A task with what the caller may do with it now."""

    row: Row
    holder: str | None
    legal: tuple[str, ...]
    overdue: bool


async def change_task(
    session: AsyncSession, task_id: UUID, change: Change, *, read: int | None, actor: Actor, now: datetime
) -> Shown | NotMoved | NotYours:
    """Finish, hand on, postpone or drop a task."""
    found = await tasks.find_task(session, task_id)
    # The case first, as everywhere: its row is the lock, and what is told of it is counted there.
    case = None if found is None else await cases.lock_case(session, found.task.case_id)
    row = None if case is None else await tasks.lock_task(session, task_id)
    if row is None or case is None:
        raise Problem(NOT_FOUND)
    holder = await _steward(session, row, case.holder)
    if not _sees(row, case, holder, actor):
        raise Problem(NOT_FOUND)
    parties = row.task.parties(actor.agency, holder)
    if not parties:
        return NotYours()
    if read is not None:
        expect(row.version, read)
    moved = advance(moves_of(row.task.kind, row.lane), row.task.state, change.name, parties)
    if isinstance(moved, NotMoved):
        return moved
    changed = replace(
        row.task,
        state=State(moved.state),
        owner=change.owner or row.task.owner,
        due_on=change.due_on or row.task.due_on,
        # Who gets more time, or takes it over, begins anew.
        tier=0 if change.owner or change.due_on else row.task.tier,
    )
    reason = None if change.reason is None else change.reason.value
    version = await tasks.change_task(
        session, changed, change.name, reason=reason, referral_id=row.referral_id, by=actor.agency, at=now
    )
    if row.lane == "consent":
        event = _assigned(replace(row, task=changed)) if change.owner or change.due_on else ended(changed, reason)
        await tell(session, case.id, event, now=now)
    # Who handed it on may have no business with it any more, and hears all the same what became of it.
    return _shown(replace(row, task=changed, reason=reason, version=version), holder, actor, now)


async def get_task(session: AsyncSession, task_id: UUID, *, actor: Actor, now: datetime) -> Shown:
    """A task, for its owner, and for whose business its case is."""
    row = await tasks.find_task(session, task_id)
    case = None if row is None else await cases.find_case(session, row.task.case_id)
    if row is None or case is None:
        raise Problem(NOT_FOUND)
    holder = await _steward(session, row, case.holder)
    if not _sees(row, case, holder, actor):
        raise Problem(NOT_FOUND)
    return _shown(row, holder, actor, now)


async def read_words(session: AsyncSession, task_id: UUID, *, actor: Actor, now: datetime) -> str | None:
    """What is to be done, in words: for who has to do it, and who holds the case. None where nothing was written."""
    shown = await get_task(session, task_id, actor=actor, now=now)
    if actor.agency not in {shown.row.task.owner, shown.holder}:
        raise Problem(NOT_FOUND)
    if shown.row.words is None:
        return None
    case_id = shown.row.task.case_id
    basis = await _basis(session, shown, actor, now)
    key = await key_to_read(session, case_id, [WORDS], purpose=PURPOSE, basis=basis, actor=actor)
    return key.open(shown.row.words, tasks.words_place(task_id))


async def list_tasks(
    session: AsyncSession,
    *,
    whose: str,
    until: date | None,
    case_id: UUID | None,
    after: tuple[date, UUID],
    limit: int,
    actor: Actor,
    now: datetime,
) -> list[Shown]:
    """What waits for the caller, in the cases it holds, or for too long in its municipality."""
    found = await tasks.list_tasks(
        session, actor.agency, whose=whose, until=until, case_id=case_id, after=after, limit=limit
    )
    return [_shown(each.row, await _steward(session, each.row, each.holder), actor, now) for each in found]


async def list_steps(session: AsyncSession, task_id: UUID, *, actor: Actor, now: datetime) -> Sequence[Any]:
    """Everything that happened to a task."""
    await get_task(session, task_id, actor=actor, now=now)
    return await tasks.find_steps(session, task_id)


def _sees(row: Row, case: Case, holder: str, actor: Actor) -> bool:
    """In the lane of a statutory meeting who has to do it, and who called it; else for whose business the case is.

    What was only planned in a conference is told by that conference alone.
    """
    if row.task.state is State.PLANNED:
        return False
    return actor.agency in {row.task.owner, holder} or (row.lane == "consent" and concerns(case, actor))


async def _steward(session: AsyncSession, row: Row, holder: str) -> str:
    """Who answers for a task besides its owner: the holder of the case; of what Art. 9 brought, who called it."""
    if row.lane == "consent":
        return holder
    return await conferences.find_chair(session, row.origin_id) or row.task.owner


async def _basis(session: AsyncSession, shown: Shown, actor: Actor, now: datetime) -> str:
    """On what its words are read. What a conference decided rests on consent, and is asked for it each time."""
    row = shown.row
    if row.lane != "consent":
        return row.lane
    if row.origin != "conference" or actor.agency == shown.holder:
        return OWN_DUTY
    case = await cases.find_case(session, row.task.case_id)
    today = day_in_japan(now)
    if case is None or consent_gap(case.consent, purposes=FOR_CONFERENCE, receiver=actor.agency, today=today):
        raise Problem(NO_BASIS)
    return "consent"


def _shown(row: Row, holder: str | None, actor: Actor, now: datetime) -> Shown:
    parties = row.task.parties(actor.agency, holder or "")
    allowed = legal(moves_of(row.task.kind, row.lane), row.task.state, parties)
    return Shown(row, holder, allowed, row.task.overdue(day_in_japan(now)))


# --- for whatever brings and ends tasks -----------------------------------------------------------------------------


async def assign(
    session: AsyncSession,
    task: Task,
    *,
    origin: str,
    origin_id: UUID,
    by: str,
    now: datetime,
    lane: str = "consent",
    programme_id: UUID | None = None,
    course_run_id: UUID | None = None,
    words: bytes | None = None,
) -> Event:
    """One more thing to do in a locked case. What is to be told of it."""
    row = Row(task, lane, origin, origin_id, programme_id, course_run_id, None, None, words, 1, now)
    await tasks.add_task(session, row, by=by)
    return _assigned(row)


async def begin(session: AsyncSession, row: Row, *, by: str, now: datetime) -> Event:
    """What was planned is to be done from now on. What is to be told of it."""
    moved = advance(MOVES, row.task.state, "begin", {Party.SERVICE})
    assert not isinstance(moved, NotMoved)
    begun = replace(row, task=replace(row.task, state=State(moved.state)))
    await tasks.change_task(session, begun.task, "begin", by=by, at=now)
    return _assigned(begun)


async def finish(session: AsyncSession, row: Row, *, by: str, now: datetime) -> Event:
    """A waiting task is done, by what happened. What is to be told of it."""
    return await _end(session, row, "finish", State.DONE, None, by=by, now=now)


async def drop(session: AsyncSession, row: Row, reason: DropReason, *, by: str, now: datetime) -> Event:
    """A task need not be done any more. What is to be told of it."""
    return await _end(session, row, "drop", State.DROPPED, reason.value, by=by, now=now)


async def hand_on(session: AsyncSession, row: Row, owner: str, *, by: str, now: datetime) -> Event:
    """A waiting task is another agency's from now on. What is to be told of it."""
    moved = replace(row.task, owner=owner, tier=0)
    await tasks.change_task(session, moved, "hand_on", referral_id=row.referral_id, by=by, at=now)
    return _assigned(replace(row, task=moved))


async def _end(
    session: AsyncSession, row: Row, name: str, state: State, reason: str | None, *, by: str, now: datetime
) -> Event:
    moved = advance(MOVES, row.task.state, name, {Party.SERVICE})
    assert not isinstance(moved, NotMoved)
    task = replace(row.task, state=state)
    await tasks.change_task(session, task, name, reason=reason, referral_id=row.referral_id, by=by, at=now)
    return ended(task, reason)


async def drop_all(session: AsyncSession, case_id: UUID, reason: DropReason, *, by: str, now: datetime) -> None:
    """Nothing waits any more in a locked case."""
    rows = await tasks.lock_waiting(session, case_id, set(Kind))
    told = [(row, await drop(session, row, reason, by=by, now=now)) for row in rows]
    events = [event for row, event in told if row.lane == "consent"]
    if events:
        await tell(session, case_id, *events, now=now)


async def drop_of(
    session: AsyncSession, case_id: UUID, kind: Kind, origin_id: UUID, reason: DropReason, *, by: str, now: datetime
) -> None:
    """What one thing elsewhere had brought waits no more in a locked case."""
    rows = [row for row in await tasks.lock_waiting(session, case_id, {kind}) if row.origin_id == origin_id]
    told = [await drop(session, row, reason, by=by, now=now) for row in rows]
    if told:
        await tell(session, case_id, *told, now=now)


async def follow_holder(session: AsyncSession, case_id: UUID, *, holder: str, before: str, now: datetime) -> None:
    """The rule's duties are the holder's: they go along with a locked case to the new one."""
    kinds = {Kind.JOINT_CONFERENCE, Kind.REASSESSMENT, Kind.MONITORING, Kind.NEXT_STEP}
    told = [
        await hand_on(session, row, holder, by=before, now=now)
        for row in await tasks.lock_waiting(session, case_id, kinds)
        if row.task.owner == before and row.origin != "conference"
    ]
    if told:
        await tell(session, case_id, *told, now=now)


# --- the clock ------------------------------------------------------------------------------------------------------


async def tell_overdue(session: AsyncSession, now: datetime) -> bool:
    """Tell of one task whose day has passed: first the holder, then the municipality. False when there is none."""
    today = day_in_japan(now)
    late = await tasks.lock_late(session, before=today, tier=1) or await tasks.lock_late(
        session, before=_second_before(today), tier=2
    )
    if late is None:
        return False
    await _escalate(session, late, today, now)
    return True


def _second_before(today: date) -> date:
    """A task that was due before this day is told of a second time."""
    day = today
    while working_day_after(day, SECOND_TIER) >= today:
        day = date.fromordinal(day.toordinal() - 1)
    return date.fromordinal(day.toordinal() + 1)


async def _escalate(session: AsyncSession, late: Listed, today: date, now: datetime) -> None:
    row = late.row
    task = replace(row.task, tier=tier_on(row.task, today, working_day_after))
    by = "tsunagu-assessment"
    await tasks.change_task(session, task, "escalate", referral_id=row.referral_id, by=by, at=now)
    if row.lane != "consent":
        return  # what comes of a statutory meeting is told to nobody
    event = TaskOverdue(
        case_id=task.case_id,
        task_id=task.id,
        task=task.kind.value,
        owner=task.owner,
        holder=late.holder,
        due_on=task.due_on,
        tier=task.tier,
    )
    await tell(session, task.case_id, event, now=now)


def _assigned(row: Row) -> Event:
    task = row.task
    return TaskAssigned(
        case_id=task.case_id,
        task_id=task.id,
        task=task.kind.value,
        owner=task.owner,
        due_on=task.due_on,
        origin=row.origin,
        origin_id=row.origin_id,
    )


def ended(task: Task, reason: str | None) -> Event:
    """That a task is done, or need not be done any more."""
    return TaskEnded(
        case_id=task.case_id,
        task_id=task.id,
        task=task.kind.value,
        owner=task.owner,
        state=task.state.value,
        reason=reason,
    )
