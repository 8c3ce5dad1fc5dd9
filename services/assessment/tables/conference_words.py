"""What is written in a conference: agenda, problem map, minutes. Words are sealed, rows are only added."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from services.assessment.domain.conference import Mapped
from shared.vault import Place

_ADD_WORDS = {
    table: text(
        f"INSERT INTO {table} (id, conference_id, words, written_by, at)"
        " VALUES (:id, :conference_id, :words, :written_by, :at)"
    )
    for table in ("agenda_item", "conference_minutes")
}
_ADD_PROBLEM = text(
    "INSERT INTO mapped_problem (id, conference_id, need, covered_by, could, words, written_by, at)"
    " VALUES (:id, :conference_id, :need, :covered_by, :could, :words, :written_by, :at)"
).bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("covered_by", "could")))
_OF = "WHERE conference_id = :conference_id AND (CAST(:by AS text) IS NULL OR written_by = :by)"
_AGENDA = text(f"SELECT id, words, written_by, at FROM agenda_item {_OF} ORDER BY id")
_MINUTES = text(f"SELECT id, words, written_by, at FROM conference_minutes {_OF} ORDER BY id DESC LIMIT 1")
# Of each need the last word counts; the earlier ones stay.
_MAP = text(
    "SELECT * FROM (SELECT DISTINCT ON (need) id, need, covered_by, could, words, written_by, at"
    f" FROM mapped_problem {_OF} ORDER BY need, id DESC) latest ORDER BY id"
)


@dataclass(frozen=True, slots=True)
class Written:
    """Words that were written down, still sealed."""

    id: UUID
    words: bytes
    written_by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """A line of the problem map; its note still sealed."""

    id: UUID
    mapped: Mapped
    words: bytes | None
    written_by: str
    at: datetime


def place_of(table: str, row_id: UUID) -> Place:
    """Where words stand: agenda_item, mapped_problem, conference_minutes."""
    return Place(table, "words", str(row_id))


async def add_words(session: AsyncSession, table: str, conference_id: UUID, written: Written) -> None:
    """One more item of the agenda, or the minutes as they stand now."""
    values = {
        "id": written.id,
        "conference_id": conference_id,
        "words": written.words,
        "written_by": written.written_by,
        "at": written.at,
    }
    await session.execute(_ADD_WORDS[table], values)


async def add_problem(session: AsyncSession, conference_id: UUID, problem: Problem) -> None:
    """A line of the problem map, in place of an earlier one of the same need."""
    values = {
        "id": problem.id,
        "conference_id": conference_id,
        "need": problem.mapped.need,
        "covered_by": sorted(problem.mapped.covered_by),
        "could": sorted(problem.mapped.could),
        "words": problem.words,
        "written_by": problem.written_by,
        "at": problem.at,
    }
    await session.execute(_ADD_PROBLEM, values)


async def find_agenda(session: AsyncSession, conference_id: UUID, *, by: str | None) -> list[Written]:
    """The agenda; what one agency wrote, if named."""
    return [_written(row) for row in await session.execute(_AGENDA, {"conference_id": conference_id, "by": by})]


async def find_minutes(session: AsyncSession, conference_id: UUID, *, by: str | None) -> Written | None:
    """The minutes as they stand."""
    row = (await session.execute(_MINUTES, {"conference_id": conference_id, "by": by})).one_or_none()
    return None if row is None else _written(row)


async def find_map(session: AsyncSession, conference_id: UUID, *, by: str | None) -> list[Problem]:
    """The problem map, a line for each need."""
    return [_problem(row) for row in await session.execute(_MAP, {"conference_id": conference_id, "by": by})]


def _written(row: Any) -> Written:
    return Written(row.id, row.words, row.written_by, row.at)


def _problem(row: Any) -> Problem:
    mapped = Mapped(row.need, frozenset(row.covered_by), frozenset(row.could))
    return Problem(row.id, mapped, row.words, row.written_by, row.at)
