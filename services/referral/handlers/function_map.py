"""The map of functions: drawn from what holds now, kept by month, compared, and opened to the records behind it."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.function_map import (
    Cell,
    Picture,
    draw,
    judge_kept,
    needs_answered,
    offers_behind,
    to_keep,
)
from services.referral.domain.map_supply import Kind, Record, RecordKind, Thresholds
from services.referral.domain.map_views import Change, Seen, changes, see
from services.referral.tables import function_map as tables
from services.referral.tables.vocabulary import vocabulary
from shared.auth import Actor
from shared.service import day_in_japan

PERIOD = timedelta(days=365)
"""How far back refusals for lack of room are counted."""
SUPPLY = frozenset({"programmes", "with_room", "stale", "unknown", "places"})
"""Numbers behind which programmes and course runs stand."""
_PEOPLE = {
    "open_needs": RecordKind.CASE,
    "wanting": RecordKind.CASE,
    "waiting": RecordKind.REFERRAL,
    "turned_away": RecordKind.REFERRAL,
    "unmet": RecordKind.NEED_UNMET,
}
"""What stands behind all others."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a map is looked at; None: all of it."""

    prefecture: str
    function: str | None = None
    stage: str | None = None
    strand: int | None = None
    municipality: str | None = None

    def holds(self, cell: Cell) -> bool:
        """Whether a cell belongs to it. Municipalities beyond the prefecture only lend; their own map is another."""
        return (
            cell.municipality[:2] == self.prefecture
            and self.municipality in {None, cell.municipality}
            and self.function in {None, cell.kind.function}
            and self.stage in {None, cell.kind.stage}
            and self.strand in {None, cell.kind.strand}
        )


@dataclass(frozen=True, slots=True)
class NotServed:
    """Records of people are for agencies of the municipality, or for a sum of the whole prefecture."""


@dataclass(frozen=True, slots=True)
class NoSnapshot:
    """No map is kept of that month."""


async def draw_map(session: AsyncSession, wanted: Wanted, *, actor: Actor, now: datetime) -> list[Seen]:
    """The map as of now, as the caller may see it; by kind and municipality."""
    picture = await _look(session, wanted.prefecture, now)
    # In a thread of its own: a second of reckoning would keep everybody else's requests waiting.
    cells = await asyncio.to_thread(draw, picture, _thresholds(), own=actor.serves)
    chosen = sorted(
        (cell for cell in cells.values() if wanted.holds(cell)), key=lambda cell: (cell.kind, cell.municipality)
    )
    return [see(cell, own=actor.serves) for cell in chosen]


async def records_behind(
    session: AsyncSession,
    number: str,
    *,
    place: str,
    kind: Kind,
    actor: Actor,
    now: datetime,
    after: UUID | None,
    limit: int,
) -> Sequence[Record] | NotServed:
    """What a cell's number counts, by id; or what a sum of people does, of a prefecture's own code."""
    # What there is on offer is nobody's secret.
    if number not in SUPPLY and not actor.serves(place):
        return NotServed()
    picture, by = await _look(session, place[:2], now), _thresholds()
    if number in SUPPLY:
        records = await asyncio.to_thread(offers_behind, picture, by, number, place, kind)
        return [each for each in records if after is None or each.id > after][:limit]
    is_sum = place == f"{place[:2]}000"
    ids = await tables.behind(
        session,
        number,
        towns={town for town in picture.municipalities if town[:2] == place[:2]} if is_sum else {place},
        kind=kind,
        needs=await asyncio.to_thread(needs_answered, picture, by, kind),
        since=now - PERIOD,
        until=now,
        after=after,
        limit=limit,
    )
    return [Record(each, _PEOPLE[number]) for each in ids]


async def keep_snapshot(session: AsyncSession, now: datetime) -> bool:
    """Keep this month's map of one prefecture, as early in the month as the clock's door opens."""
    month = day_in_japan(now).replace(day=1)
    prefecture = await tables.find_prefecture_to_draw(session, month)
    if prefecture is None:
        return False
    kept = await asyncio.to_thread(to_keep, await _look(session, prefecture, now), _thresholds())
    await tables.keep_snapshot(session, prefecture, month, kept, now=now)
    return True


async def list_snapshots(session: AsyncSession, prefecture: str) -> Sequence[Mapping[str, Any]]:
    """The months of which a map is kept, newest first."""
    return await tables.list_snapshots(session, prefecture)


async def compare_months(
    session: AsyncSession, wanted: Wanted, *, earlier: date, later: date, actor: Actor
) -> Sequence[Change] | NoSnapshot:
    """What the caller sees differ between two kept maps."""
    kept = {row["month"] for row in await tables.list_snapshots(session, wanted.prefecture)}
    if not {earlier, later} <= kept:
        return NoSnapshot()
    before, after = [
        [cell for cell in await _kept(session, wanted.prefecture, month, actor) if wanted.holds(cell)]
        for month in (earlier, later)
    ]
    return changes(before, after, own=actor.serves)


async def _kept(session: AsyncSession, prefecture: str, month: date, actor: Actor) -> Collection[Cell]:
    """A month's map, judged for who reads it."""
    kept = await tables.find_snapshot(session, prefecture, month)
    return await asyncio.to_thread(judge_kept, kept, own=actor.serves)


async def _look(session: AsyncSession, prefecture: str, now: datetime) -> Picture:
    return await tables.look(session, prefecture, now=now, today=day_in_japan(now), since=now - PERIOD)


def _thresholds() -> Thresholds:
    """An entry is stale on the map when it is stale in the directory."""
    return Thresholds(stale_days=vocabulary().days.stale)
