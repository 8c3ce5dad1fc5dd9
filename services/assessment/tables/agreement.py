"""Pairs of agencies that looked at the same, and vignettes to practise on. Read as counts, never per case or worker."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import SmallInteger

from services.assessment.domain.instruments import Answer
from services.assessment.domain.joint import Seat
from shared.database import beyond_the_wall

DOOR = "agreement"
_ADD = text(
    "INSERT INTO co_rating (source_id, seat_a, seat_b, vignette, instrument, quarter, agency_a, agency_b, levels_a,"
    " levels_b) VALUES (:source_id, :seat_a, :seat_b, :vignette, :instrument, :quarter, :agency_a, :agency_b,"
    " :levels_a, :levels_b)"
).bindparams(bindparam("levels_a", type_=ARRAY(SmallInteger)), bindparam("levels_b", type_=ARRAY(SmallInteger)))
# A hundred thousand rows are unfolded into half a million cells and counted at once: a few thousand leave.
_CELLS = (
    "SELECT {names}, unnest(levels_a) AS a, unnest(levels_b) AS b, generate_subscripts(levels_a, 1) AS place"
    " FROM co_rating WHERE instrument = :instrument AND vignette = :vignette AND quarter >= :since"
)
_WITH_NAMES = "(CAST(:agency AS text) IS NULL OR :agency IN (agency_a, agency_b))"
_COUNT_PAIRS = text(
    "SELECT one, other, place, a, b, count(*) AS n FROM ("  # noqa: S608 - our own words
    + _CELLS.format(
        names=f"CASE WHEN {_WITH_NAMES} THEN agency_a END AS one, CASE WHEN {_WITH_NAMES} THEN agency_b END AS other"
    )
    + ") cell WHERE a IS NOT NULL AND b IS NOT NULL GROUP BY one, other, place, a, b"
)
# The agency's own level comes first.
_COUNT_QUARTERS = text(
    "SELECT quarter, place, CASE WHEN first THEN a ELSE b END AS mine, CASE WHEN first THEN b ELSE a END AS theirs,"  # noqa: S608 - as above
    " count(*) AS n FROM ("
    + _CELLS.format(names="quarter, agency_a = :agency AS first")
    + " AND :agency IN (agency_a, agency_b)) cell"
    " WHERE a IS NOT NULL AND b IS NOT NULL GROUP BY quarter, place, mine, theirs"
)
_ADD_VIGNETTE = text(
    "INSERT INTO vignette (id, instrument, title, title_ja, story, story_ja, published_by, published_at)"
    " VALUES (:id, :instrument, :title, :title_ja, :story, :story_ja, :by, :at)"
)
_VIGNETTE = text("SELECT id, instrument, title, title_ja, story, story_ja, published_by FROM vignette WHERE id = :id")
_VIGNETTES = text(
    "SELECT id, instrument, title, title_ja, story, story_ja, published_by FROM vignette"
    " WHERE (CAST(:after AS uuid) IS NULL OR id > :after) ORDER BY id LIMIT :limit"
)
# Whoever rates a vignette comes one after the other, so that every pair is counted once.
_LOCK_VIGNETTE = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:id AS text), 7470012))").bindparams(
    bindparam("id")
)
_RATE_VIGNETTE = text(
    "INSERT INTO vignette_rating (vignette_id, agency, quarter, rubric, levels, not_observed, at)"
    " VALUES (:id, :agency, :quarter, :rubric, CAST(:levels AS jsonb), :not_observed, :at)"
    " ON CONFLICT DO NOTHING RETURNING agency"
)
_RATINGS = text(
    "SELECT agency, levels, not_observed FROM vignette_rating WHERE vignette_id = :id AND quarter = :quarter"
)


@dataclass(frozen=True, slots=True)
class Counted:
    """How often these two levels of an item were said, the first by the first. `place`: the item's, from 0."""

    of: tuple[str, str] | date | None
    """Two agencies, a quarter, or all pairs of which nothing else is told."""
    place: int
    a: int
    b: int
    n: int


@dataclass(frozen=True, slots=True)
class Vignette:
    """An invented person to practise on."""

    id: UUID
    instrument: str
    title: str
    title_ja: str
    story: str
    story_ja: str
    published_by: str


async def add_pairs(
    session: AsyncSession,
    source_id: UUID,
    pairs: Sequence[tuple[Seat, Seat]],
    seen: Mapping[Seat, Answer],
    *,
    items: Sequence[str],
    instrument: str,
    quarter: date,
    vignette: bool,
) -> None:
    """Everybody that looked at the same, two and two, without saying at whom."""
    if not pairs:
        return
    values = [
        {
            "source_id": source_id,
            "seat_a": one.profession,
            "seat_b": other.profession,
            "vignette": vignette,
            "instrument": instrument,
            "quarter": quarter,
            "agency_a": one.agency,
            "agency_b": other.agency,
            "levels_a": [seen[one].levels.get(item) for item in items],
            "levels_b": [seen[other].levels.get(item) for item in items],
        }
        for one, other in pairs
    ]
    async with beyond_the_wall(session, DOOR):
        await session.execute(_ADD, values)


async def count_pairs(
    session: AsyncSession, instrument: str, *, vignette: bool, since: date, agency: str | None
) -> list[Counted]:
    """All of them, as counts: each pair in which this agency is by itself, and all others together; None: each pair."""
    values = {"instrument": instrument, "vignette": vignette, "since": since, "agency": agency}
    async with beyond_the_wall(session, DOOR):
        rows = (await session.execute(_COUNT_PAIRS, values)).all()
    return [Counted(None if one is None else (one, other), place - 1, a, b, n) for one, other, place, a, b, n in rows]


async def count_quarters(
    session: AsyncSession, instrument: str, *, vignette: bool, since: date, agency: str
) -> list[Counted]:
    """One agency beside all others, by quarter; its own level is the first."""
    values = {"instrument": instrument, "vignette": vignette, "since": since, "agency": agency}
    async with beyond_the_wall(session, DOOR):
        rows = (await session.execute(_COUNT_QUARTERS, values)).all()
    return [Counted(quarter, place - 1, mine, theirs, n) for quarter, place, mine, theirs, n in rows]


async def add_vignette(session: AsyncSession, vignette: Vignette, *, at: datetime) -> None:
    """One more to practise on."""
    values = {name: getattr(vignette, name) for name in Vignette.__slots__ if name != "published_by"}
    await session.execute(_ADD_VIGNETTE, values | {"by": vignette.published_by, "at": at})


async def find_vignette(session: AsyncSession, vignette_id: UUID) -> Vignette | None:
    """A vignette."""
    row = (await session.execute(_VIGNETTE, {"id": vignette_id})).one_or_none()
    return None if row is None else Vignette(*row)


async def find_vignettes(session: AsyncSession, *, after: UUID | None, limit: int) -> list[Vignette]:
    """All of them, the oldest first."""
    return [Vignette(*row) for row in await session.execute(_VIGNETTES, {"after": after, "limit": limit})]


async def rate_vignette(
    session: AsyncSession,
    vignette_id: UUID,
    answer: Answer,
    *,
    agency: str,
    quarter: date,
    rubric: str,
    at: datetime,
) -> Mapping[Seat, Answer] | None:
    """What an agency saw, once a quarter; everybody's then. None: it rated this quarter already."""
    await session.execute(_LOCK_VIGNETTE, {"id": str(vignette_id)})
    values = {
        "id": vignette_id,
        "agency": agency,
        "quarter": quarter,
        "rubric": rubric,
        "levels": json.dumps(dict(answer.levels)),
        "not_observed": sorted(answer.not_observed),
        "at": at,
    }
    if (await session.execute(_RATE_VIGNETTE, values)).one_or_none() is None:
        return None
    return await ratings_of(session, vignette_id, quarter)


async def ratings_of(session: AsyncSession, vignette_id: UUID, quarter: date) -> Mapping[Seat, Answer]:
    """What all agencies saw in a quarter; only to be shown to one that has rated."""
    async with beyond_the_wall(session, DOOR):
        rows: Sequence[Any] = (await session.execute(_RATINGS, {"id": vignette_id, "quarter": quarter})).all()
    return {Seat(row.agency, ""): Answer(row.levels, frozenset(row.not_observed)) for row in rows}
