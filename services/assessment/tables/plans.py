"""Plans: versions and lines, steps and their words. Words are sealed in the place of their row, line by line."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.plan import AT_WORK, TO_DECIDE, Line, Rhythm, State, Who
from shared.vault import DataKey, Place

_COLUMNS = (
    "id, case_id, number, state, version, agreed_version, decided_version, monitor_on, steps, next_plan_id, created_by,"
    " created_at, ended_at"
)
_ADD = text(f"INSERT INTO plan ({_COLUMNS}) VALUES ({', '.join(f':{name}' for name in _COLUMNS.split(', '))})")
_CHANGE = text(
    "UPDATE plan SET state = :state, version = :version, agreed_version = :agreed_version,"
    " decided_version = :decided_version, monitor_on = :monitor_on, steps = :steps, next_plan_id = :next_plan_id,"
    " ended_at = :ended_at WHERE id = :id"
)
_FIND = text(f"SELECT {_COLUMNS} FROM plan WHERE id = :id")
_LOCK = text(f"SELECT {_COLUMNS} FROM plan WHERE id = :id FOR UPDATE")
_LOCK_AT_WORK = text(f"SELECT {_COLUMNS} FROM plan WHERE case_id = :case_id AND ended_at IS NULL FOR UPDATE")
_LAST_NUMBER = text("SELECT coalesce(max(number), 0) FROM plan WHERE case_id = :case_id")
_OF_CASE = text(
    f"SELECT {_COLUMNS} FROM plan WHERE case_id = :case_id AND number > :after"
    " AND (:drafts OR agreed_version IS NOT NULL)"
    " AND (CAST(:carrier AS text) IS NULL OR EXISTS (SELECT FROM plan_line l WHERE l.plan_id = plan.id"
    "  AND l.version <= plan.agreed_version AND l.agency = :carrier)) ORDER BY number LIMIT :limit"
)
_WAITING = "state IN (" + ", ".join(f"'{state}'" for state in TO_DECIDE) + ")"
_LIST = text(
    f"SELECT {', '.join(f'p.{name.strip()}' for name in _COLUMNS.split(','))} FROM plan p"
    " JOIN case_fact k ON k.case_id = p.case_id WHERE p.id > :after AND p.ended_at IS NULL"
    " AND (CASE :whose WHEN 'held' THEN coalesce(k.holder, k.opened_by) = :agency"
    f"  ELSE p.{_WAITING} AND (k.municipality = ANY (:served)"
    "   OR 'prefecture:' || left(k.municipality, 2) = ANY (:served)) END) ORDER BY p.id LIMIT :limit"
)
_ADD_VERSION = text(
    "INSERT INTO plan_version (plan_id, version, problems, goal, monitor_on, written_by, written_at)"
    " VALUES (:plan_id, :version, :problems, :goal, :monitor_on, :written_by, :written_at)"
)
_VERSION = text(
    "SELECT version, problems, goal, monitor_on, written_by, written_at FROM plan_version"
    " WHERE plan_id = :plan_id AND version = :version"
)
_ADD_LINE = text(
    "INSERT INTO plan_line (id, plan_id, version, place, who, agency, what, begins_on, ends_on, rhythm, scheme)"
    " VALUES (:id, :plan_id, :version, :place, :who, :agency, :what, :begins_on, :ends_on, :rhythm, :scheme)"
)
_LINES = text(
    "SELECT id, place, who, agency, what, begins_on, ends_on, rhythm, scheme FROM plan_line"
    " WHERE plan_id = :plan_id AND version = :version ORDER BY place"
)
_CARRIES = text(
    "SELECT EXISTS (SELECT FROM plan p JOIN plan_line l ON l.plan_id = p.id AND l.version <= p.agreed_version"
    " WHERE p.id = :plan_id AND l.agency = :agency)"
)
_ADD_STEP = text(
    "INSERT INTO plan_step (plan_id, number, move, state, version, on_day, code, detail, by, at)"
    " VALUES (:plan_id, :number, :move, :state, :version, :on_day, :code, CAST(:detail AS jsonb), :by, :at)"
)
_ADD_WORD = text("INSERT INTO plan_word (plan_id, number, field, sealed) VALUES (:plan_id, :number, :field, :sealed)")
_STEPS = text(
    "SELECT number, move, state, version, on_day, code, detail, by, at FROM plan_step"
    " WHERE plan_id = :plan_id AND number > :after AND (CAST(:move AS text) IS NULL OR move = :move)"
    " AND (:drafts OR version IN (SELECT a.version FROM plan_step a WHERE a.plan_id = :plan_id AND a.move = 'agree'))"
    " ORDER BY number LIMIT :limit"
)
_WORDS = text("SELECT number, field, sealed FROM plan_word WHERE plan_id = :plan_id AND number = ANY (:numbers)")
_ADD_TASK = text("INSERT INTO plan_task (task_id, line_id) VALUES (:task_id, :line_id)")
_TASKS = text(
    "SELECT pt.line_id, pt.task_id FROM plan_task pt JOIN plan_line l ON l.id = pt.line_id WHERE l.plan_id = :plan_id"
    " ORDER BY pt.task_id"
)
_TASKS_OF_AGENCIES = text(
    "SELECT pt.task_id FROM plan_task pt JOIN plan_line l ON l.id = pt.line_id"
    " WHERE pt.task_id = ANY (:tasks) AND l.agency IS NOT NULL"
)
MANY = 1_000
"""More steps than a plan ever has; reads are bounded all the same."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as it stands in the table. `version`: the newest; `steps`: how much happened to it."""

    id: UUID
    case_id: UUID
    number: int
    state: State
    version: int
    agreed_version: int | None
    decided_version: int | None
    monitor_on: date
    steps: int
    next_plan_id: UUID | None
    created_by: str
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Version:
    """What a version says, still sealed."""

    version: int
    problems: bytes
    goal: bytes
    monitor_on: date
    written_by: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line of a version, its words still sealed."""

    id: UUID
    place: int
    line: Line
    what: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a plan: codes, days and ids."""

    number: int
    move: str
    state: State
    version: int
    on: date
    by: str
    at: datetime
    code: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


async def add_plan(session: AsyncSession, plan: Plan) -> None:
    """A plan of a locked case."""
    await session.execute(_ADD, _values(plan))


async def change_plan(session: AsyncSession, plan: Plan) -> None:
    """What became of a locked plan."""
    await session.execute(_CHANGE, _values(plan))


async def find_plan(session: AsyncSession, plan_id: UUID) -> Plan | None:
    """A plan, to look at."""
    return _found((await session.execute(_FIND, {"id": plan_id})).one_or_none())


async def lock_plan(session: AsyncSession, plan_id: UUID) -> Plan | None:
    """A plan, held until the transaction ends."""
    return _found((await session.execute(_LOCK, {"id": plan_id})).one_or_none())


async def lock_at_work(session: AsyncSession, case_id: UUID) -> Plan | None:
    """The plan of a locked case that has not ended."""
    return _found((await session.execute(_LOCK_AT_WORK, {"case_id": case_id})).one_or_none())


async def last_number(session: AsyncSession, case_id: UUID) -> int:
    """How many plans a locked case has had."""
    return int((await session.execute(_LAST_NUMBER, {"case_id": case_id})).scalar_one())


async def find_of_case(
    session: AsyncSession, case_id: UUID, *, drafts: bool, carrier: str | None, after: int, limit: int
) -> list[Plan]:
    """The plans of a case by number; those to which nobody ever agreed only with `drafts`; those with its lines."""
    values = {"case_id": case_id, "drafts": drafts, "carrier": carrier, "after": after, "limit": limit}
    return [_plan(row) for row in await session.execute(_OF_CASE, values)]


async def list_plans(
    session: AsyncSession, agency: str, served: Collection[str], *, whose: str, after: UUID, limit: int
) -> list[Plan]:
    """Plans at work: `held`, of the agency's cases; `to_decide`, of those that wait for a municipality's decision."""
    values = {"agency": agency, "served": sorted(served), "whose": whose, "after": after, "limit": limit}
    return [_plan(row) for row in await session.execute(_LIST, values)]


# --- versions -------------------------------------------------------------------------------------------------------


async def add_version(
    session: AsyncSession,
    key: DataKey,
    plan: Plan,
    lines: Sequence[tuple[UUID, Line, str]],
    *,
    problems: str,
    goal: str,
    by: str,
    at: datetime,
) -> None:
    """What a plan's newest version says, sealed."""
    values = {
        "plan_id": plan.id,
        "version": plan.version,
        "problems": key.seal(problems, body_place(plan.id, plan.version, "problems")),
        "goal": key.seal(goal, body_place(plan.id, plan.version, "goal")),
        "monitor_on": plan.monitor_on,
        "written_by": by,
        "written_at": at,
    }
    await session.execute(_ADD_VERSION, values)
    if lines:
        await session.execute(_ADD_LINE, [_line_values(key, plan, place, *each) for place, each in enumerate(lines, 1)])


def _line_values(key: DataKey, plan: Plan, place: int, line_id: UUID, line: Line, what: str) -> dict[str, Any]:
    return {
        "id": line_id,
        "plan_id": plan.id,
        "version": plan.version,
        "place": place,
        "who": line.who.value,
        "agency": line.agency,
        "what": key.seal(what, line_place(line_id)),
        "begins_on": line.begins_on,
        "ends_on": line.ends_on,
        "rhythm": line.rhythm.value,
        "scheme": line.scheme,
    }


async def find_version(session: AsyncSession, plan_id: UUID, version: int) -> Version | None:
    """A version without its lines."""
    row = (await session.execute(_VERSION, {"plan_id": plan_id, "version": version})).one_or_none()
    return None if row is None else Version(*row)


async def find_lines(session: AsyncSession, plan_id: UUID, version: int) -> list[StoredLine]:
    """The lines of a version in their order."""
    return [
        StoredLine(
            row.id,
            row.place,
            Line(Who(row.who), row.agency, row.begins_on, row.ends_on, Rhythm(row.rhythm), row.scheme),
            row.what,
        )
        for row in await session.execute(_LINES, {"plan_id": plan_id, "version": version})
    ]


async def carries_line(session: AsyncSession, plan_id: UUID, agency: str) -> bool:
    """Whether a line is, or was, the agency's in a version that the person may have agreed to."""
    return bool((await session.execute(_CARRIES, {"plan_id": plan_id, "agency": agency})).scalar_one())


def body_place(plan_id: UUID, version: int, column: str) -> Place:
    """Where a version's problems, or its goal, stand."""
    return Place("plan_version", column, f"{plan_id}/{version}")


def line_place(line_id: UUID) -> Place:
    """Where a line's words stand."""
    return Place("plan_line", "what", str(line_id))


# --- steps ----------------------------------------------------------------------------------------------------------


async def add_step(session: AsyncSession, plan_id: UUID, step: Step) -> None:
    """One more thing that happened to a locked plan."""
    values = {
        "plan_id": plan_id,
        "number": step.number,
        "move": step.move,
        "state": step.state.value,
        "version": step.version,
        "on_day": step.on,
        "code": step.code,
        "detail": json.dumps(dict(step.detail)),
        "by": step.by,
        "at": step.at,
    }
    await session.execute(_ADD_STEP, values)


async def add_words(session: AsyncSession, key: DataKey, plan_id: UUID, number: int, words: Mapping[str, str]) -> None:
    """What was said in a step, field by field."""
    sealed = [
        {"plan_id": plan_id, "number": number, "field": name, "sealed": key.seal(said, _place(plan_id, number, name))}
        for name, said in sorted(words.items())
    ]
    await session.execute(_ADD_WORD, sealed)


async def find_steps(
    session: AsyncSession, plan_id: UUID, *, drafts: bool, move: str | None = None, after: int = 0, limit: int = MANY
) -> list[Step]:
    """What happened, the oldest first; about versions that nobody agreed to only with `drafts`."""
    values = {"plan_id": plan_id, "drafts": drafts, "move": move, "after": after, "limit": limit}
    return [
        Step(
            row.number, row.move, State(row.state), row.version, row.on_day, row.by, row.at, row.code, dict(row.detail)
        )
        for row in await session.execute(_STEPS, values)
    ]


async def find_words(session: AsyncSession, plan_id: UUID, numbers: Collection[int]) -> dict[int, dict[str, bytes]]:
    """The words of these steps, still sealed."""
    found: dict[int, dict[str, bytes]] = {}
    for row in await session.execute(_WORDS, {"plan_id": plan_id, "numbers": sorted(numbers)}):
        found.setdefault(row.number, {})[row.field] = row.sealed
    return found


def opened(key: DataKey, plan_id: UUID, number: int, sealed: Mapping[str, bytes]) -> dict[str, str]:
    """The words of a step."""
    return {name: key.open(value, _place(plan_id, number, name)) for name, value in sealed.items()}


def _place(plan_id: UUID, number: int, name: str) -> Place:
    return Place("plan_word", name, f"{plan_id}/{number}")


# --- tasks of lines -------------------------------------------------------------------------------------------------


async def add_line_task(session: AsyncSession, line_id: UUID, task_id: UUID) -> None:
    """A line brought a task."""
    await session.execute(_ADD_TASK, {"task_id": task_id, "line_id": line_id})


async def find_line_tasks(session: AsyncSession, plan_id: UUID) -> dict[UUID, list[UUID]]:
    """The tasks that lines of any version brought, by line, the oldest first."""
    found: dict[UUID, list[UUID]] = {}
    for row in await session.execute(_TASKS, {"plan_id": plan_id}):
        found.setdefault(row.line_id, []).append(row.task_id)
    return found


async def find_tasks_of_agencies(session: AsyncSession, tasks: Sequence[UUID]) -> frozenset[UUID]:
    """Which of these tasks a line of a named agency brought."""
    return frozenset((await session.execute(_TASKS_OF_AGENCIES, {"tasks": list(tasks)})).scalars())


def ended(plan: Plan, at: datetime) -> Plan:
    """The same, with the moment at which it ended if it did."""
    return plan if plan.state in AT_WORK else replace(plan, ended_at=plan.ended_at or at)


def _values(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.id,
        "case_id": plan.case_id,
        "number": plan.number,
        "state": plan.state.value,
        "version": plan.version,
        "agreed_version": plan.agreed_version,
        "decided_version": plan.decided_version,
        "monitor_on": plan.monitor_on,
        "steps": plan.steps,
        "next_plan_id": plan.next_plan_id,
        "created_by": plan.created_by,
        "created_at": plan.created_at,
        "ended_at": plan.ended_at,
    }


def _found(row: Any) -> Plan | None:
    return None if row is None else _plan(row)


def _plan(row: Any) -> Plan:
    return Plan(
        row.id,
        row.case_id,
        row.number,
        State(row.state),
        row.version,
        row.agreed_version,
        row.decided_version,
        row.monitor_on,
        row.steps,
        row.next_plan_id,
        row.created_by,
        row.created_at,
        row.ended_at,
    )
