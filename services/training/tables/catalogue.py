"""The catalogue's tables: statements and settlements, which only grow, and what stands, reckoned from them."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.catalogue import OURS, Settlement, Standing, Statement, Words, newest_words, searchable
from services.training.domain.trial import TRIAL
from shared.bus.envelope import new_id
from shared.codes import place_name
from shared.database import Hot


@dataclass(frozen=True, slots=True)
class Entry:
    """A course of the catalogue with everything that was said and decided of it."""

    id: UUID
    course_number: str
    version: int
    record: Mapping[str, Any]
    differences: tuple[str, ...]
    words: Words
    settlements: tuple[Settlement, ...]


# --- load and store ---------------------------------------------------------------------------------------------------

_ENTRY = "SELECT id, course_number, version, record::text AS record, differences FROM catalogue_course"
_BY_NUMBER = Hot(f"{_ENTRY} WHERE course_number = ANY(CAST(:numbers AS text[])) ORDER BY id")
_BY_NUMBER_LOCKED = Hot(f"{_ENTRY} WHERE course_number = ANY(CAST(:numbers AS text[])) ORDER BY id FOR UPDATE")
_BY_ID = Hot(f"{_ENTRY} WHERE id = :id")
_BY_ID_LOCKED = Hot(f"{_ENTRY} WHERE id = :id FOR UPDATE")
_STATEMENTS = Hot(
    "SELECT course_id, source, checked_on, told_at, words::text AS words FROM catalogue_statement"
    " WHERE course_id = ANY(CAST(:ids AS uuid[])) ORDER BY id"
)
_SETTLEMENTS = Hot(
    "SELECT course_id, field, source, value::text AS value, heard::text AS heard, by, at, reason"
    " FROM catalogue_settlement WHERE course_id = ANY(CAST(:ids AS uuid[])) ORDER BY id"
)
_OPEN = Hot(
    "INSERT INTO catalogue_course (id, course_number)"
    " SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS text[])) ON CONFLICT (course_number) DO NOTHING"
    " RETURNING course_number"
)
_ADD_STATEMENTS = Hot(
    "INSERT INTO catalogue_statement (course_id, source, checked_on, words, told_by, told_at)"
    " SELECT course_id, source, checked_on, words, told_by, told_at"
    " FROM json_populate_recordset(NULL::catalogue_statement, CAST(:rows AS json))"
)
_ADD_SETTLEMENT = Hot(
    "INSERT INTO catalogue_settlement (course_id, field, source, value, heard, reason, by, at)"
    " SELECT course_id, field, source, value, heard, reason, by, at"
    " FROM json_populate_record(NULL::catalogue_settlement, CAST(:row AS json))"
)
_COLUMNS = (
    "record, differences, system, field, municipality, begins_on, opens_at, closes_at, delivery, status, searched"
)
_STAND = Hot(
    "UPDATE catalogue_course c SET version = c.version + 1, "
    + ", ".join(f"{column} = s.{column}" for column in _COLUMNS.split(", "))
    + " FROM json_populate_recordset(NULL::catalogue_course, CAST(:rows AS json)) s WHERE c.id = s.id"
)


async def find_entries(session: AsyncSession, numbers: Collection[str], *, lock: bool = False) -> dict[str, Entry]:
    """Courses by their numbers. With `lock`, one after the other in the order of their ids."""
    statement = _BY_NUMBER_LOCKED if lock else _BY_NUMBER
    entries = await _whole(session, await statement.rows(session, {"numbers": list(numbers)}))
    return {entry.course_number: entry for entry in entries}


async def find_entry(session: AsyncSession, course_id: UUID, *, lock: bool = False) -> Entry | None:
    """One course by its id."""
    entries = await _whole(session, await (_BY_ID_LOCKED if lock else _BY_ID).rows(session, {"id": course_id}))
    return entries[0] if entries else None


async def _whole(session: AsyncSession, rows: Sequence[Any]) -> list[Entry]:
    ids = {"ids": [row["id"] for row in rows]}
    said: dict[UUID, list[Statement]] = {each: [] for each in ids["ids"]}
    settled: dict[UUID, list[Settlement]] = {each: [] for each in ids["ids"]}
    for row in await _STATEMENTS.rows(session, ids):
        said[row["course_id"]].append(
            Statement(row["source"], row["checked_on"], row["told_at"], from_json(row["words"]))
        )
    for row in await _SETTLEMENTS.rows(session, ids):
        values = {name: from_json(row[name]) for name in ("value", "heard")}
        plain = {name: row[name] for name in ("field", "source", "by", "at", "reason")}
        settled[row["course_id"]].append(Settlement(**plain, **values))
    return [
        Entry(
            id=row["id"],
            course_number=row["course_number"],
            version=row["version"],
            record=from_json(row["record"]),
            differences=tuple(row["differences"]),
            words=newest_words(said[row["id"]]),
            settlements=tuple(settled[row["id"]]),
        )
        for row in rows
    ]


_OURS = Hot(
    "SELECT r.id, r.course_number, r.title, r.system, r.field, r.site_municipality, r.starts_on, r.ends_on, r.capacity,"
    " r.min_enrolment, r.applications_close_at, r.cancel_decision_on, r.cancelled_at, r.host_workplace_name,"
    " r.from_time, r.until_time, r.checked_on,"
    " (SELECT max(h.at) FROM course_change h WHERE h.course_run_id = r.id) AS changed_at"
    " FROM course_run r LEFT JOIN LATERAL ("
    f"SELECT bool_or(s.source = '{OURS}') AS ours FROM catalogue_course c JOIN catalogue_statement s"
    " ON s.course_id = c.id WHERE c.course_number = r.course_number"
    f") AS told ON true WHERE r.id = ANY(CAST(:ids AS uuid[])) AND (r.system = '{TRIAL}' OR coalesce(told.ours, true))"
    " ORDER BY r.course_number"
)


async def read_ours(session: AsyncSession, course_run_ids: Collection[UUID]) -> Sequence[Mapping[str, Any]]:
    """Those of the course runs that speak for themselves: trial places, and what no other source told of first."""
    return await _OURS.rows(session, {"ids": list(course_run_ids)})


async def open_entries(session: AsyncSession, numbers: Collection[str]) -> set[str]:
    """Empty entries for numbers that are new; which of them were."""
    ids = [new_id() for _ in numbers]
    return {row["course_number"] for row in await _OPEN.rows(session, {"ids": ids, "numbers": list(numbers)})}


async def add_statements(session: AsyncSession, statements: Mapping[UUID, Statement], *, told_by: str) -> None:
    """What sources say, added to what they said before."""
    rows = [
        {
            "course_id": course_id,
            "source": each.source,
            "checked_on": each.checked_on,
            "words": each.words,
            "told_by": told_by,
            "told_at": each.told_at,
        }
        for course_id, each in statements.items()
    ]
    await _ADD_STATEMENTS.rows(session, {"rows": to_json(rows).decode()})


async def add_settlement(session: AsyncSession, course_id: UUID, settlement: Settlement) -> None:
    """What the planner decided."""
    row = {"course_id": course_id} | {
        name: getattr(settlement, name) for name in ("field", "source", "value", "heard", "reason", "by", "at")
    }
    await _ADD_SETTLEMENT.rows(session, {"row": to_json(row).decode()})


async def stand(
    session: AsyncSession, standing: Mapping[UUID, Mapping[str, Standing]], numbers: Mapping[UUID, str]
) -> None:
    """What stands from now on, and what people search by."""
    rows = [_columns(course_id, numbers[course_id], each) for course_id, each in standing.items()]
    await _STAND.rows(session, {"rows": to_json(rows).decode()})


def _columns(course_id: UUID, number: str, standing: Mapping[str, Standing]) -> dict[str, Any]:
    record = {field: each.value for field, each in standing.items()}
    return {
        "id": course_id,
        "record": record,
        "differences": [field for field, each in standing.items() if each.differs],
        "system": record.get("system"),
        "field": record.get("field"),
        "municipality": record.get("site_municipality"),
        "begins_on": record.get("starts_on", date.max.isoformat()),
        "opens_at": record.get("applications_open_at"),
        "closes_at": record.get("applications_close_at"),
        "delivery": record.get("delivery", []),
        "status": record.get("status"),
        "searched": searchable(number, *(str(record[name]) for name in _SEARCHED if name in record), _place(record)),
    }


_SEARCHED = ("title", "operator_name", "site_address", "qualification", "external_number", "eligibility")


def _place(record: Mapping[str, Any]) -> str:
    code = record.get("site_municipality")
    return "" if code is None else place_name(code)
