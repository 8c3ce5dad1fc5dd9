"""What people read of the catalogue: searches, statements, differences, and its lines as CSV."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.catalogue import FIELDS
from services.training.handlers.catalogue import get_entry
from services.training.handlers.layouts import layout
from services.training.tables import catalogue as tables
from services.training.tables import catalogue_search
from services.training.tables.catalogue import Entry
from services.training.tables.catalogue_search import Reader, Wanted
from shared.codes import place_name
from shared.problems import NOT_FOUND, Problem
from shared.service.exports import Layout

_CSV_FIELDS = {
    *FIELDS,
    "course_number",
    "municipality_name",
    "seats_offered",
    "seats_free",
    "here",
    "differences",
    "sources",
    "checked_on",
}


async def search(
    session: AsyncSession, wanted: Wanted, *, reader: Reader, after: tuple[date, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """Courses by their first day."""
    return await catalogue_search.search(session, wanted, reader=reader, after=after, limit=limit)


async def get_course(session: AsyncSession, course_id: UUID, *, reader: Reader) -> Row[Any]:
    """One course with its free seats."""
    found = await catalogue_search.find_course(session, course_id, reader=reader)
    if found is None:
        raise Problem(NOT_FOUND)
    return found


async def list_statements(session: AsyncSession, course_id: UUID, *, after: int, limit: int) -> Sequence[Row[Any]]:
    """What was said of a course, oldest first."""
    await get_entry(session, course_id)
    return await catalogue_search.list_statements(session, course_id, after=after, limit=limit)


async def list_differing(
    session: AsyncSession, *, mine: Collection[str], field: str | None, after: UUID | None, limit: int
) -> list[Entry]:
    """Courses of one's own area on which sources differ, by their ids."""
    rows = await catalogue_search.list_differing(session, mine=mine, field=field, after=after, limit=limit)
    entries = await tables.find_entries(session, [row.course_number for row in rows])
    return [entries[row.course_number] for row in rows]


def catalogue_layout(session: AsyncSession) -> Layout:
    """The office's own layout, where it has one, and else the one that comes along."""
    return layout(session, "catalogue", _CSV_FIELDS)


def catalogue_line(item: Mapping[str, Any], here: Sequence[str], names: Mapping[str, str]) -> dict[str, Any]:
    """A course as a line of the file; `here`: what became of its course run that no source says; `names` of sources."""
    record: dict[str, Any] = item["record"]
    seats = item["seats"] or {}
    code = record["site_municipality"]
    delegated = record["delegated"]
    return record | {
        "course_number": item["course_number"],
        "municipality_name": None if code is None else place_name(code),
        "delegated": delegated and " ".join(f"{place}:{count}" for place, count in delegated.items()),
        "visits_at": record["visits_at"] and [f"{visit:%Y-%m-%d %H:%M}" for visit in record["visits_at"]],
        "seats_offered": seats.get("offered"),
        "seats_free": seats.get("free"),
        "here": here,
        "sources": [names.get(source, source) for source in item["told_by"]],
        "checked_on": item["checked_on"],
        "differences": item["differences"],
    }
