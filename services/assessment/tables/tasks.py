"""Tasks and every step of them. A task's words are sealed in the place (task, words, its id)."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from services.assessment.domain.tasks import WAITING, Kind, State, Task
from shared.vault import Place

_COLUMNS = (
    "id, case_id, kind, state, owner, due_on, tier, lane, origin, origin_id, programme_id, course_run_id, referral_id,"
    " reason, words, version, created_at"
)
_IS_WAITING = "state IN (" + ", ".join(f"'{state}'" for state in sorted(WAITING)) + ")"
_ADD = text(f"INSERT INTO task ({_COLUMNS}) VALUES ({', '.join(f':{name}' for name in _COLUMNS.split(', '))})")
# One message for both: a rating ends the duty before it, so this stands in its way.
_CHANGE = text(
    "WITH changed AS ("
    "UPDATE task SET state = :state, owner = :owner, due_on = :due_on, tier = :tier, referral_id = :referral_id,"
    " reason = :reason, version = version + 1 WHERE id = :id RETURNING id, version)"
    " INSERT INTO task_step (task_id, number, name, state, owner, due_on, reason, by, at)"
    " SELECT id, version, :name, :state, :owner, :due_on, :reason, :by, :at FROM changed RETURNING number"
)
_ADD_STEP = text(
    "INSERT INTO task_step (task_id, number, name, state, owner, due_on, reason, by, at)"
    " VALUES (:task_id, :number, :name, :state, :owner, :due_on, :reason, :by, :at)"
)
_LOCK = text(f"SELECT {_COLUMNS} FROM task WHERE id = :id FOR UPDATE")
_FIND = text(f"SELECT {_COLUMNS} FROM task WHERE id = :id")
_OF_CASE = text(
    f"SELECT {_COLUMNS} FROM task WHERE case_id = :case_id AND kind = ANY (:kinds) AND {_IS_WAITING}"
    " ORDER BY id FOR UPDATE"
).bindparams(bindparam("kinds", type_=ARRAY(Text)))
_TOLD = text(
    f"SELECT {_COLUMNS} FROM task WHERE case_id = :case_id AND lane = 'consent' AND state <> 'planned'"
    " AND (CAST(:owner AS text) IS NULL OR owner = :owner) ORDER BY id DESC LIMIT :limit"
)
_OF_ORIGIN = text(f"SELECT {_COLUMNS} FROM task WHERE origin_id = :origin_id ORDER BY id")
_WAITING_IN = text(
    f"SELECT {_COLUMNS} FROM task WHERE case_id = :case_id AND lane = 'consent' AND {_IS_WAITING}"
    " AND (CAST(:owner AS text) IS NULL OR owner = :owner) ORDER BY due_on, id"
)
_OF_CONFERENCES = text(
    f"SELECT {_COLUMNS} FROM task WHERE case_id = :case_id AND origin = 'conference'"
    f" AND (state = 'planned' OR {_IS_WAITING}) ORDER BY id FOR UPDATE"
)
_OF_REFERRAL = text(f"SELECT {_COLUMNS} FROM task WHERE referral_id = :referral_id AND {_IS_WAITING} FOR UPDATE")
_STEPS = text(
    "SELECT number, name, state, owner, due_on, reason, by, at FROM task_step WHERE task_id = :task_id ORDER BY number"
)
_WITH_CASE = (
    f"SELECT {', '.join(f't.{name}' for name in _COLUMNS.split(', '))},"
    " coalesce(k.holder, k.opened_by) AS holder, k.municipality FROM task t"
)
# For an agency: its own, those of the cases it holds, and what has been overdue for long in its municipality.
_LIST = text(
    f"{_WITH_CASE}"
    f" LEFT JOIN case_fact k ON k.case_id = t.case_id WHERE t.{_IS_WAITING}"
    " AND (CASE :whose WHEN 'own' THEN t.owner = :agency WHEN 'held' THEN coalesce(k.holder, k.opened_by) = :agency"
    "  AND t.lane = 'consent' ELSE t.tier = 2 AND t.lane = 'consent' END)"
    " AND (CAST(:until AS date) IS NULL OR t.due_on <= :until)"
    " AND (CAST(:case_id AS uuid) IS NULL OR t.case_id = :case_id)"
    " AND (t.due_on, t.id) > (:after_day, :after_id) ORDER BY t.due_on, t.id LIMIT :limit"
)
_LATE = text(
    f"{_WITH_CASE}"
    f" JOIN case_fact k ON k.case_id = t.case_id WHERE t.{_IS_WAITING} AND t.due_on < :before AND t.tier < :tier"
    " ORDER BY t.due_on, t.id LIMIT 1 FOR UPDATE OF t, k SKIP LOCKED"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A task as it stands in the table."""

    task: Task
    lane: str
    origin: str
    origin_id: UUID
    programme_id: UUID | None
    course_run_id: UUID | None
    referral_id: UUID | None
    reason: str | None
    words: bytes | None
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A task on somebody's list, with who holds its case."""

    row: Row
    holder: str
    municipality: str


def words_place(task_id: UUID) -> Place:
    """Where a task's words stand."""
    return Place("task", "words", str(task_id))


async def add_task(session: AsyncSession, row: Row, *, by: str) -> None:
    """One more thing to do, with its first step."""
    task = row.task
    values = {
        "id": task.id,
        "case_id": task.case_id,
        "kind": task.kind.value,
        "state": task.state.value,
        "owner": task.owner,
        "due_on": task.due_on,
        "tier": task.tier,
        "lane": row.lane,
        "origin": row.origin,
        "origin_id": row.origin_id,
        "programme_id": row.programme_id,
        "course_run_id": row.course_run_id,
        "referral_id": row.referral_id,
        "reason": row.reason,
        "words": row.words,
        "version": row.version,
        "created_at": row.created_at,
    }
    await session.execute(_ADD, values)
    name = "plan" if task.state is State.PLANNED else "begin"
    await _add_step(session, task, 1, name, None, by=by, at=row.created_at)


async def change_task(
    session: AsyncSession,
    task: Task,
    name: str,
    *,
    reason: str | None = None,
    referral_id: UUID | None = None,
    by: str,
    at: datetime,
) -> int:
    """What became of a locked task, as its next step; its version."""
    values = {
        "id": task.id,
        "state": task.state.value,
        "owner": task.owner,
        "due_on": task.due_on,
        "tier": task.tier,
        "referral_id": referral_id,
        "reason": reason,
        "name": name,
        "by": by,
        "at": at,
    }
    return int((await session.execute(_CHANGE, values)).scalar_one())


async def lock_task(session: AsyncSession, task_id: UUID) -> Row | None:
    """A task, held until the transaction ends."""
    return _found((await session.execute(_LOCK, {"id": task_id})).one_or_none())


async def find_task(session: AsyncSession, task_id: UUID) -> Row | None:
    """A task, to look at."""
    return _found((await session.execute(_FIND, {"id": task_id})).one_or_none())


async def lock_waiting(session: AsyncSession, case_id: UUID, kinds: Collection[Kind]) -> list[Row]:
    """What of these kinds waits in a case."""
    values = {"case_id": case_id, "kinds": sorted(kinds)}
    return [_row(row) for row in await session.execute(_OF_CASE, values)]


async def find_of_origin(session: AsyncSession, origin_id: UUID) -> list[Row]:
    """What a conference decided, or what a plan brought."""
    return [_row(row) for row in await session.execute(_OF_ORIGIN, {"origin_id": origin_id})]


async def find_waiting(session: AsyncSession, case_id: UUID, *, owner: str | None) -> list[Row]:
    """What waits in a case, to look at; of one agency, if named. Of what Art. 9 brought nothing."""
    return [_row(row) for row in await session.execute(_WAITING_IN, {"case_id": case_id, "owner": owner})]


async def lock_of_conferences(session: AsyncSession, case_id: UUID) -> list[Row]:
    """What conferences have decided in a case, or are about to, and what is not done."""
    return [_row(row) for row in await session.execute(_OF_CONFERENCES, {"case_id": case_id})]


async def find_told(session: AsyncSession, case_id: UUID, *, owner: str | None, limit: int) -> list[Row]:
    """What somebody had to do in a case, or one agency; not what a conference only plans, nor anything by Art. 9."""
    rows = await session.execute(_TOLD, {"case_id": case_id, "owner": owner, "limit": limit})
    return [_row(row) for row in rows]


async def lock_of_referral(session: AsyncSession, referral_id: UUID) -> list[Row]:
    """The tasks that wait for a referral."""
    return [_row(row) for row in await session.execute(_OF_REFERRAL, {"referral_id": referral_id})]


async def find_steps(session: AsyncSession, task_id: UUID) -> Sequence[Any]:
    """Everything that happened to a task."""
    return (await session.execute(_STEPS, {"task_id": task_id})).all()


async def list_tasks(
    session: AsyncSession,
    agency: str,
    *,
    whose: str,
    until: date | None,
    case_id: UUID | None,
    after: tuple[date, UUID],
    limit: int,
) -> list[Listed]:
    """What waits, the first to be due first: `own`, `held` (of the agency's cases), or `late` in the municipality."""
    values = {
        "agency": agency,
        "whose": whose,
        "until": until,
        "case_id": case_id,
        "after_day": after[0],
        "after_id": after[1],
        "limit": limit,
    }
    return [_listed(row) for row in await session.execute(_LIST, values)]


async def lock_late(session: AsyncSession, *, before: date, tier: int) -> Listed | None:
    """A task that was due before a day and of which not so many were told."""
    row = (await session.execute(_LATE, {"before": before, "tier": tier})).one_or_none()
    return None if row is None else _listed(row)


async def _add_step(
    session: AsyncSession, task: Task, number: int, name: str, reason: str | None, *, by: str, at: datetime
) -> None:
    values = {
        "task_id": task.id,
        "number": number,
        "name": name,
        "state": task.state.value,
        "owner": task.owner,
        "due_on": task.due_on,
        "reason": reason,
        "by": by,
        "at": at,
    }
    await session.execute(_ADD_STEP, values)


def _listed(row: Any) -> Listed:
    return Listed(_row(row), row.holder, row.municipality)


def _found(row: Any) -> Row | None:
    return None if row is None else _row(row)


def _row(row: Any) -> Row:
    task = Task(row.id, row.case_id, Kind(row.kind), State(row.state), row.owner, row.due_on, row.tier)
    return Row(
        task,
        row.lane,
        row.origin,
        row.origin_id,
        row.programme_id,
        row.course_run_id,
        row.referral_id,
        row.reason,
        row.words,
        row.version,
        row.created_at,
    )
