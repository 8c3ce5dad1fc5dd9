"""The yearly report: load, reckon, hide; what stands behind its numbers, and its lines as CSV."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.report import (
    COUNTED,
    MEASURES,
    OF_NO_GROUP,
    RATES,
    Cell,
    Count,
    Dimension,
    Measure,
    Place,
    codes_of,
    show,
    tell,
)
from services.training.handlers import access
from services.training.handlers.deliberation_reading import MOST_LINES, TOO_MANY
from services.training.handlers.layouts import layout
from services.training.handlers.reading import sight
from services.training.handlers.target_groups import target_groups
from services.training.tables import report as tables
from services.training.tables.report import Year
from shared.auth import Actor
from shared.codes import place_name
from shared.problems import FORBIDDEN, NOT_FOUND, Problem
from shared.service import day_in_japan
from shared.service.exports import Layout

_FIELDS = {
    *("line", "fiscal_year", "prefecture", "origin", "system", "field", "municipality", "municipality_name"),
    *("target_group", "target_group_name"),
    *(each.measure.value for each in MEASURES),
    *(rate.name.value for rate in RATES),
}
KINDS_BEHIND: Mapping[str, tuple[str, ...]] = {
    "granted": ("grant",),
    "returned": ("return", "course_cancelled"),
    "taken": ("hold", "release", "expire"),
    "enrolled": ("enrol",),
}
"""Which entries of the ledger make up a number of the delegated share."""


_SEATS_ALONE = {Measure.CAPACITY, Measure.APPLICATIONS, Measure.ENROLLED}
"""What tells of nobody's attendance, end or work, but who has a seat."""


async def read_report(
    session: AsyncSession, year: Year, by: Collection[Dimension], *, actor: Actor, now: datetime
) -> Sequence[Cell]:
    """The report's cells, as this caller may see them."""
    (cells,) = await _told(session, year, [by], actor, now)
    return cells


async def report_lines(
    session: AsyncSession, year: Year, by: Collection[Dimension], *, actor: Actor, now: datetime
) -> list[dict[str, Any]]:
    """A line for each cell, and one for all together."""
    cells, whole = await _told(session, year, [by, ()], actor, now)
    groups = {code: ja for code, (ja, _) in target_groups(session).items()} | {OF_NO_GROUP: "該当なし"}
    told = [("cell", cell) for cell in cells] + [("total", cell) for cell in whole]
    return [_line(year, kind, cell, groups) for kind, cell in told]


async def _told(
    session: AsyncSession, year: Year, ways: Sequence[Collection[Dimension]], actor: Actor, now: datetime
) -> list[Sequence[Cell]]:
    apart = {dimension for by in ways for dimension in by}
    persons = await tables.read_persons(session, year, sight(actor), by=apart, today=day_in_japan(now))
    seats = await tables.read_seats(session, year)
    # In a thread of its own: while a nation's year is reckoned, nobody else has to wait.
    return [await asyncio.to_thread(tell, persons, seats, by) for by in ways]


def _line(year: Year, kind: str, cell: Cell, groups: Mapping[str, str]) -> dict[str, Any]:
    town, group = cell.place.municipality, cell.place.target_group
    return {
        "line": kind,
        "fiscal_year": year.fiscal_year,
        "prefecture": None if year.prefecture is None else place_name(year.prefecture),
        **cell.place._asdict(),
        "municipality_name": None if town is None else place_name(town),
        "target_group_name": None if group is None else groups.get(group, group),
        **{measure.value: _written(cell.count(measure)) for measure in COUNTED},
        **{rate.name.value: cell.rate(rate) for rate in RATES},
    }


def _written(count: Count | None) -> str | int | None:
    if count is None:
        return None
    return f"{count.at_least}以上" if count.count is None else count.count


def report_layout(session: AsyncSession) -> Layout:
    """The columns of the file."""
    return layout(session, "training_report", _FIELDS)


async def list_requests(
    session: AsyncSession,
    year: Year,
    place: Place,
    measure: Measure,
    *,
    actor: Actor,
    now: datetime,
    after: UUID | None,
    limit: int,
) -> Sequence[asyncpg.Record]:
    """The requests that a number counts, as far as they are the caller's business."""
    codes, today = codes_of(measure), day_in_japan(now)
    found = await tables.list_requests(session, year, place, codes, sight(actor), today=today, after=after, limit=limit)
    fields = [] if measure in _SEATS_ALONE else [measure.value]
    fields += [] if place.target_group is None else ["target_groups"]
    if fields:
        cases = [row["case_id"] for row in found]
        await access.note(session, cases, fields, basis=access.OWN_DUTY, actor=actor)
    return found


async def list_delegated(
    session: AsyncSession, year: Year, *, actor: Actor, now: datetime, after: tables.DelegatedKey | None, limit: int
) -> list[tuple[asyncpg.Record, Count]]:
    """What decisions allotted and what became of it, each with how many are enrolled, as this caller may see that."""
    values = {"fiscal_year": year.fiscal_year, "prefecture": year.prefecture, "now": now}
    rows = await tables.list_delegated(session, values, after=after, limit=limit)
    return [(row, show(row["enrolled"], own=_own_share(actor, row))) for row in rows]


_SHARE_FIELDS = frozenset(
    {
        *("decision_number", "state", "prefecture", "municipalities", "municipality_names", "course_number", "system"),
        *("field", "quarter", "allotted", "carried_in", "carried_out", "granted", "returned", "taken", "enrolled"),
    }
)


async def delegated_lines(session: AsyncSession, year: Year, *, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """A line for each allotment; those who are enrolled as far as this caller may see them."""
    shares = await list_delegated(session, year, actor=actor, now=now, after=None, limit=MOST_LINES + 1)
    if len(shares) > MOST_LINES:
        raise Problem(TOO_MANY, detail="Choose a prefecture.", detail_ja="都道府県を指定してください。")
    return [
        {**row}
        | {
            "prefecture": place_name(row["prefecture"]),
            "municipality_names": [place_name(code) for code in row["municipalities"]],
            "carried_in": max(0, row["carried_over"]),
            "carried_out": max(0, -row["carried_over"]),
            "enrolled": _written(enrolled),
        }
        for row, enrolled in shares
    ]


def delegated_layout(session: AsyncSession) -> Layout:
    """The columns of the file."""
    return layout(session, "delegated_share", _SHARE_FIELDS)


def _own_share(actor: Actor, allotment: Mapping[str, Any]) -> bool:
    """Whether all persons that an allotment is for are the caller's business."""
    provider = sight(actor)["provider"]
    return all(map(actor.serves, allotment["whose_persons"])) or (
        provider is not None and provider == allotment["provider_agency"]
    )


async def list_delegated_entries(
    session: AsyncSession, allotment_id: UUID, number: str, *, actor: Actor, after: int, limit: int
) -> Sequence[asyncpg.Record]:
    """The entries of the ledger that make up a number of the delegated share; those of persons only for their own."""
    allotment = await tables.find_allotment(session, allotment_id)
    if allotment is None:
        raise Problem(NOT_FOUND)
    if number == "enrolled" and not _own_share(actor, allotment):
        raise Problem(
            FORBIDDEN,
            detail="Only for who serves all municipalities of the allotment, and for its course's school.",
            detail_ja="入校者の記帳は、その配分の市町村をすべて担当する機関と、その講座の訓練機関だけが見られます。",
        )
    return await tables.list_delegated_entries(session, allotment_id, KINDS_BEHIND[number], after=after, limit=limit)
