"""Plans of training seats: versions, lines, and the ledger between them. An entry moves seats by a trigger alone."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.plan import Frame, Line, LineKind
from services.training.domain.plan_moves import Move, Taught
from services.training.domain.trial import TRIAL

_ADD_PLAN = text(
    "INSERT INTO plan (id, fiscal_year, prefecture) VALUES (:id, :fiscal_year, :prefecture)"
    " ON CONFLICT (fiscal_year, prefecture) DO NOTHING"
)
_PLAN = "SELECT id, fiscal_year, prefecture, in_force, version FROM plan"
_FIND_BY_YEAR = text(f"{_PLAN} WHERE fiscal_year = :fiscal_year AND prefecture = :prefecture")
_FIND = text(f"{_PLAN} WHERE id = :id")
_LOCK_BY_YEAR = text(f"{_FIND_BY_YEAR.text} FOR NO KEY UPDATE")
_LOCK = text(f"{_FIND.text} FOR NO KEY UPDATE")
_VERSIONS = text(
    "SELECT version_no, effective_on, decided_by, source, decision_id, recorded_by, recorded_at FROM plan_version"
    " WHERE plan_id = :id ORDER BY version_no"
)
_LINES = text(
    "SELECT key, parent, kind, seats, percent, quarter, system, field, target_group, municipalities, minimum_lot,"
    " per_course, label FROM plan_line WHERE plan_id = :id AND version_no = :version_no ORDER BY place"
)
_ACCOUNTS = text("SELECT line, seats FROM plan_account WHERE plan_id = :id")
_LAST_MOVE = text("SELECT max(at) AS at FROM plan_command WHERE plan_id = :id AND kind <> 'opening'")
_COMMAND = text("SELECT kind, asked, at FROM plan_command WHERE plan_id = :id AND command_id = :command_id")
_ENTRIES_OF = text(
    "SELECT from_line, to_line, seats FROM plan_entry WHERE plan_id = :id AND command_id = :command_id ORDER BY id"
)
_ADD_VERSION = text(
    "INSERT INTO plan_version (plan_id, version_no, effective_on, decided_by, source, decision_id, recorded_by,"
    " recorded_at)"
    " VALUES (:plan_id, :version_no, :effective_on, :decided_by, :source, :decision_id, :recorded_by, :now)"
)
_ADD_LINES = text(
    "INSERT INTO plan_line (plan_id, version_no, place, key, parent, kind, seats, percent, quarter, system, field,"
    " target_group, municipalities, minimum_lot, per_course, label)"
    " SELECT :plan_id, :version_no, place, key, parent, kind, seats, percent, quarter, system, field, target_group,"
    " municipalities, minimum_lot, per_course, label FROM json_to_recordset(CAST(:lines AS json)) AS l (place int,"
    " key text, parent text, kind text, seats int, percent numeric, quarter int, system text, field text,"
    " target_group text, municipalities text[], minimum_lot int, per_course boolean, label text)"
)
_ADD_COMMAND = text(
    "INSERT INTO plan_command (plan_id, command_id, kind, version_no, asked, reason, decision_id, by, at)"
    " VALUES (:plan_id, :command_id, :kind, :version_no, CAST(:asked AS jsonb), :reason, :decision_id, :by, :now)"
)
_ADD_ENTRIES = text(
    "INSERT INTO plan_entry (plan_id, command_id, kind, from_line, to_line, seats)"
    " SELECT :plan_id, :command_id, :kind, from_line, to_line, seats"
    " FROM json_to_recordset(CAST(:moves AS json)) AS m (from_line text, to_line text, seats int)"
)
_IN_FORCE = text("UPDATE plan SET in_force = :version_no WHERE id = :id")
_TOUCH = text("UPDATE plan SET version = version + 1 WHERE id = :id RETURNING version")
_DUE = text(
    "SELECT DISTINCT p.id FROM plan p JOIN plan_version v ON v.plan_id = p.id"
    " WHERE v.version_no > coalesce(p.in_force, 0) AND v.effective_on <= :today ORDER BY p.id"
)
_FISCAL_QUARTER = "(((CAST(extract(month FROM c.starts_on) AS integer) + 8) % 12) / 3 + 1)"
# Trial places (職親の受入れ) are course runs for the ledger of seats alone: they are in no plan.
_IN_PLAN = (
    "c.prefecture = :prefecture AND c.starts_on >= make_date(:fiscal_year, 4, 1)"
    f" AND c.starts_on < make_date(:fiscal_year + 1, 4, 1) AND c.system <> '{TRIAL}'"
)
_TAUGHT = text(
    f"SELECT {_FISCAL_QUARTER} AS quarter, c.system, c.field, c.site_municipality, sum(c.capacity) AS seats,"
    f" count(*) AS runs, max(c.capacity) AS largest FROM course_run c WHERE {_IN_PLAN} GROUP BY 1, 2, 3, 4"
)
_RUNS = text(
    "SELECT c.id, c.course_number, c.title, c.system, c.field, c.site_municipality, c.starts_on, c.capacity"
    " FROM course_run c JOIN json_to_recordset(CAST(:taught AS json))"
    " AS t (quarter int, system text, field text, municipality text)"
    f" ON t.quarter = {_FISCAL_QUARTER} AND t.system = c.system AND t.field = c.field"
    f" AND t.municipality = c.site_municipality WHERE {_IN_PLAN}"
    " AND (CAST(:after_id AS uuid) IS NULL OR (c.starts_on, c.id) > (CAST(:after_on AS date), CAST(:after_id AS uuid)))"
    " ORDER BY c.starts_on, c.id LIMIT :limit"
)
_ENDED = text(
    "SELECT p.id FROM plan p WHERE p.fiscal_year = :fiscal_year AND p.in_force IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM plan_quarter_end e WHERE e.plan_id = p.id AND e.quarter = :quarter)"
    # A plan that was written down afterwards, such as another year's, is left as it was written.
    " AND EXISTS (SELECT FROM plan_version v WHERE v.plan_id = p.id AND v.recorded_at < :ended_at)"
    " ORDER BY p.id LIMIT 1 FOR NO KEY UPDATE OF p SKIP LOCKED"
)
_END_QUARTER = text("INSERT INTO plan_quarter_end (plan_id, quarter, at) VALUES (:id, :quarter, :now)")


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan's row."""

    id: UUID
    fiscal_year: int
    prefecture: str
    in_force: int | None
    """The version that holds; none before the first one's day."""
    version: int


@dataclass(frozen=True, slots=True)
class Version:
    """Who decided a version, and from which day it holds."""

    version_no: int
    effective_on: date
    decided_by: str
    source: str
    decision_id: UUID | None
    recorded_by: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Command:
    """What was asked of the ledger, once: the same again changes nothing."""

    command_id: UUID
    kind: str
    asked: Mapping[str, Any]
    by: str | None
    """None: the clock."""
    reason: str | None = None
    decision_id: UUID | None = None


# --- plans and versions ---------------------------------------------------------------------------------------------


async def add_plan(session: AsyncSession, plan_id: UUID, *, fiscal_year: int, prefecture: str) -> None:
    """A plan without a version, unless there is one of that year and prefecture."""
    await session.execute(_ADD_PLAN, {"id": plan_id, "fiscal_year": fiscal_year, "prefecture": prefecture})


async def find_plan_of(session: AsyncSession, *, fiscal_year: int, prefecture: str, lock: bool = False) -> Plan | None:
    """The plan of a year and a prefecture."""
    values = {"fiscal_year": fiscal_year, "prefecture": prefecture}
    return _plan((await session.execute(_LOCK_BY_YEAR if lock else _FIND_BY_YEAR, values)).one_or_none())


async def find_plan(session: AsyncSession, plan_id: UUID, *, lock: bool = False) -> Plan | None:
    """A plan. Only what is read after it was locked may be decided on."""
    return _plan((await session.execute(_LOCK if lock else _FIND, {"id": plan_id})).one_or_none())


async def read_versions(session: AsyncSession, plan_id: UUID) -> list[Version]:
    """Every version, the oldest first."""
    return [Version(**row._asdict()) for row in await session.execute(_VERSIONS, {"id": plan_id})]


async def read_lines(session: AsyncSession, plan_id: UUID, version_no: int) -> list[Line]:
    """The lines of a version, in the order in which they were decided."""
    rows = await session.execute(_LINES, {"id": plan_id, "version_no": version_no})
    return [
        Line(
            key=row.key,
            kind=LineKind(row.kind),
            parent=row.parent,
            seats=row.seats,
            percent=None if row.percent is None else Decimal(row.percent),
            frame=Frame(row.quarter, row.system, row.field, row.target_group, frozenset(row.municipalities)),
            minimum_lot=row.minimum_lot,
            per_course=row.per_course,
            label=row.label,
        )
        for row in rows
    ]


async def add_version(
    session: AsyncSession, plan_id: UUID, version: Version, lines: Sequence[Line], *, now: datetime
) -> None:
    """A version with all its lines; the database looks at their sums itself."""
    values = {
        "plan_id": plan_id,
        "version_no": version.version_no,
        "effective_on": version.effective_on,
        "decided_by": version.decided_by,
        "source": version.source,
        "decision_id": version.decision_id,
        "recorded_by": version.recorded_by,
        "now": now,
    }
    await session.execute(_ADD_VERSION, values)
    rows = [_line(place, line) for place, line in enumerate(lines)]
    where = {"plan_id": plan_id, "version_no": version.version_no}
    await session.execute(_ADD_LINES, where | {"lines": to_json(rows).decode()})


async def put_in_force(session: AsyncSession, plan_id: UUID, version_no: int) -> None:
    """The version that holds from now on; the database looks whether the ledger has its seats."""
    await session.execute(_IN_FORCE, {"id": plan_id, "version_no": version_no})


async def touch(session: AsyncSession, plan_id: UUID) -> int:
    """The plan's next version, as events count them."""
    version: int = (await session.execute(_TOUCH, {"id": plan_id})).scalar_one()
    return version


async def list_due_plans(session: AsyncSession, today: date) -> Sequence[UUID]:
    """Plans with a version whose day has come."""
    return (await session.execute(_DUE, {"today": today})).scalars().all()


async def lock_ended_plan(session: AsyncSession, fiscal_year: int, quarter: int, ended_at: datetime) -> UUID | None:
    """A plan that knew of the quarter before its end, and has not been closed for it."""
    values = {"fiscal_year": fiscal_year, "quarter": quarter, "ended_at": ended_at}
    found: UUID | None = (await session.execute(_ENDED, values)).scalar_one_or_none()
    return found


async def end_quarter(session: AsyncSession, plan_id: UUID, quarter: int, now: datetime) -> None:
    """The quarter was closed, once."""
    await session.execute(_END_QUARTER, {"id": plan_id, "quarter": quarter, "now": now})


# --- the ledger -----------------------------------------------------------------------------------------------------


async def read_accounts(session: AsyncSession, plan_id: UUID) -> dict[str, int]:
    """The seats of each line, as the ledger has them by now."""
    return {row.line: row.seats for row in await session.execute(_ACCOUNTS, {"id": plan_id})}


async def last_moved_at(session: AsyncSession, plan_id: UUID) -> datetime | None:
    """When seats were last moved, versions aside."""
    found: datetime | None = (await session.execute(_LAST_MOVE, {"id": plan_id})).scalar_one()
    return found


async def find_command(session: AsyncSession, plan_id: UUID, command_id: UUID) -> Row[Any] | None:
    """What was asked under this id before."""
    return (await session.execute(_COMMAND, {"id": plan_id, "command_id": command_id})).one_or_none()


async def read_moves(session: AsyncSession, plan_id: UUID, command_id: UUID) -> list[Move]:
    """The entries of a command."""
    rows = await session.execute(_ENTRIES_OF, {"id": plan_id, "command_id": command_id})
    return [Move(row.from_line, row.to_line, row.seats) for row in rows]


async def enter(
    session: AsyncSession, plan_id: UUID, version_no: int, command: Command, moves: Sequence[Move], *, now: datetime
) -> None:
    """The command and its entries; the database moves the seats by them, or refuses."""
    values = {
        "plan_id": plan_id,
        "command_id": command.command_id,
        "kind": command.kind,
        "version_no": version_no,
        "asked": json.dumps(command.asked, sort_keys=True),
        "reason": command.reason,
        "decision_id": command.decision_id,
        "by": command.by,
        "now": now,
    }
    await session.execute(_ADD_COMMAND, values)
    entries = [{"from_line": move.from_line, "to_line": move.to_line, "seats": move.seats} for move in moves]
    about = {"plan_id": plan_id, "command_id": command.command_id, "kind": command.kind}
    await session.execute(_ADD_ENTRIES, about | {"moves": json.dumps(entries)})


# --- what course runs use -------------------------------------------------------------------------------------------


async def read_taught(session: AsyncSession, plan: Plan) -> list[Taught]:
    """The catalogue's course runs of the plan's year and prefecture, put together where they are alike for it."""
    values = {"fiscal_year": plan.fiscal_year, "prefecture": plan.prefecture}
    return [
        Taught(row.quarter, row.system, row.field, row.site_municipality, row.seats, row.runs, row.largest)
        for row in await session.execute(_TAUGHT, values)
    ]


async def list_runs(
    session: AsyncSession, plan: Plan, taught: Sequence[Taught], *, after: tuple[date, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """The course runs behind a number."""
    wanted = [
        {"quarter": each.quarter, "system": each.system, "field": each.field, "municipality": each.municipality}
        for each in taught
    ]
    values = {
        "taught": json.dumps(wanted),
        "fiscal_year": plan.fiscal_year,
        "prefecture": plan.prefecture,
        "after_on": None if after is None else after[0],
        "after_id": None if after is None else after[1],
        "limit": limit,
    }
    return (await session.execute(_RUNS, values)).all()


# --- lists ----------------------------------------------------------------------------------------------------------

_LIST_PLANS = text(
    "SELECT p.id, p.fiscal_year, p.prefecture, p.in_force, v.effective_on, v.decided_by, v.source, v.decision_id,"
    " (SELECT coalesce(sum(a.seats), 0) FROM plan_account a WHERE a.plan_id = p.id) AS seats"
    " FROM plan p LEFT JOIN plan_version v ON v.plan_id = p.id AND v.version_no = p.in_force"
    " WHERE (CAST(:id AS uuid) IS NULL OR p.id = :id)"
    " AND (CAST(:prefecture AS text) IS NULL OR p.prefecture = :prefecture)"
    " AND (CAST(:fiscal_year AS integer) IS NULL OR p.fiscal_year = :fiscal_year)"
    " AND (CAST(:after_year AS integer) IS NULL"
    " OR (p.fiscal_year, p.prefecture) > (CAST(:after_year AS integer), CAST(:after_prefecture AS text)))"
    " ORDER BY p.fiscal_year, p.prefecture LIMIT :limit"
)
_LIST_ENTRIES = text(
    "SELECT e.id, e.command_id, e.kind, e.from_line, e.to_line, e.seats, c.version_no, c.reason, c.decision_id, c.by,"
    " c.at FROM plan_entry e JOIN plan_command c USING (plan_id, command_id) WHERE e.plan_id = :id"
    " AND (CAST(:line AS text) IS NULL OR :line IN (e.from_line, e.to_line)) AND e.id > :after"
    " ORDER BY e.id LIMIT :limit"
)


async def list_plans(
    session: AsyncSession,
    *,
    plan_id: UUID | None = None,
    prefecture: str | None = None,
    fiscal_year: int | None = None,
    after: tuple[int, str] | None = None,
    limit: int = 1,
) -> Sequence[Row[Any]]:
    """Plans by year and prefecture, each with the version in force."""
    values = {
        "id": plan_id,
        "prefecture": prefecture,
        "fiscal_year": fiscal_year,
        "after_year": None if after is None else after[0],
        "after_prefecture": None if after is None else after[1],
        "limit": limit,
    }
    return (await session.execute(_LIST_PLANS, values)).all()


async def list_entries(
    session: AsyncSession, plan_id: UUID, *, line: str | None, after: int, limit: int
) -> Sequence[Row[Any]]:
    """The ledger, in its order; of one line, what it gave and what it took."""
    values = {"id": plan_id, "line": line, "after": after, "limit": limit}
    return (await session.execute(_LIST_ENTRIES, values)).all()


# --- rows as values -------------------------------------------------------------------------------------------------


def _plan(row: Row[Any] | None) -> Plan | None:
    return None if row is None else Plan(row.id, row.fiscal_year, row.prefecture, row.in_force, row.version)


def _line(place: int, line: Line) -> dict[str, Any]:
    frame = line.frame
    return {
        "place": place,
        "key": line.key,
        "parent": line.parent,
        "kind": line.kind.value,
        "seats": line.seats,
        "percent": line.percent,
        "quarter": frame.quarter,
        "system": frame.system,
        "field": frame.field,
        "target_group": frame.target_group,
        "municipalities": sorted(frame.municipalities),
        "minimum_lot": line.minimum_lot,
        "per_course": line.per_course,
        "label": line.label,
    }
