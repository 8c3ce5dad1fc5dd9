"""The directory as it is kept and listed; what routing looks at lies in `tables.nearby`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.directory import Days
from services.referral.tables.listing import area_of, in_area, is_stale
from services.referral.tables.schema import agency, programme
from shared.database import Hot

_AREA = area_of(programme)
_SHOWN: Select[Any] = select(programme, _AREA.label("area"), agency.c.name.label("agency_name")).join(
    agency, agency.c.agency_id == programme.c.agency_id
)
_OFFER = Hot(
    "SELECT p.agency_id, p.ends_on,"
    " CASE WHEN cardinality(p.municipalities) = 0 THEN a.municipalities_served ELSE p.municipalities END AS area"
    " FROM programme p JOIN agency a ON a.agency_id = p.agency_id WHERE p.id = :id"
)


@dataclass(frozen=True, slots=True)
class Offer:
    """Whose programme it is, until when it is offered, and in which municipalities; or whose course run."""

    agency: str
    ends_on: date | None = None
    area: Sequence[str] | None = None
    """None for a course run: its seats answer for themselves."""


async def find_offer(session: AsyncSession, programme_id: UUID) -> Offer | None:
    """What a referral to a programme has to know of it; None where the directory has none."""
    rows = await _OFFER.rows(session, {"id": programme_id})
    return Offer(*rows[0]) if rows else None


async def names_of(session: AsyncSession, agency_ids: Collection[str]) -> dict[str, str]:
    """The names of these agencies, as far as the directory has them."""
    query = select(agency.c.agency_id, agency.c.name).where(agency.c.agency_id.in_(agency_ids))
    return {row.agency_id: row.name for row in await session.execute(query)}


async def needs_of(session: AsyncSession, programme_ids: Collection[UUID]) -> dict[UUID, frozenset[str]]:
    """Which needs each of these programmes answers."""
    if not programme_ids:
        return {}
    query = select(programme.c.id, programme.c.needs).where(programme.c.id.in_(programme_ids))
    return {row.id: frozenset(row.needs) for row in await session.execute(query)}


async def known_agencies(session: AsyncSession, agency_ids: Collection[str]) -> set[str]:
    """Which of these agencies the directory has. No agency ever leaves it, so nothing needs a lock."""
    query = select(agency.c.agency_id).where(agency.c.agency_id.in_(agency_ids))
    return set((await session.execute(query)).scalars())


async def places_of(session: AsyncSession, agency_ids: Collection[str], *, lock: bool = False) -> dict[str, str]:
    """Where each of these agencies is, as the directory has it; locked, so that none moves meanwhile."""
    query = select(agency.c.agency_id, agency.c.municipality).where(agency.c.agency_id.in_(agency_ids))
    if lock:
        query = query.order_by(agency.c.agency_id).with_for_update(key_share=True)
    return {row.agency_id: row.municipality for row in await session.execute(query)}


# Who teaches has pupils from anywhere: at home is a school where its courses are, not where its cases come from.
_KNOWN = Hot(
    "WITH site AS (SELECT provider AS agency_id, site_municipality AS place FROM course_option"
    "  WHERE provider = ANY(:ids)),"
    " work AS (SELECT opened_by AS agency_id, municipality AS place FROM case_fact WHERE opened_by = ANY(:ids)"
    "  UNION SELECT holder, municipality FROM case_fact WHERE holder = ANY(:ids)"
    "  UNION SELECT sender, municipality FROM referral WHERE sender = ANY(:ids))"
    " SELECT agency_id, place FROM site UNION SELECT agency_id, place FROM work"
    " WHERE place IS NOT NULL AND agency_id NOT IN (SELECT agency_id FROM site)"
)


async def known_places(session: AsyncSession, agency_ids: Collection[str]) -> dict[str, frozenset[str]]:
    """Where agencies are known that the directory doesn't have: by courses; else by their cases, or what they sent."""
    if not agency_ids:
        return {}
    rows = await _KNOWN.rows(session, {"ids": sorted(agency_ids)})
    return {
        agency_id: frozenset(row["place"] for row in rows if row["agency_id"] == agency_id)
        for agency_id in {row["agency_id"] for row in rows}
    }


async def list_agencies(
    session: AsyncSession,
    *,
    municipality: str | None,
    kind: str | None,
    stale: bool | None,
    today: date,
    days: Days,
    after: str | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """By id."""
    query = select(agency).order_by(agency.c.agency_id).limit(limit)
    if municipality is not None:
        query = query.where(in_area(municipality, agency.c.municipalities_served))
    if kind is not None:
        query = query.where(agency.c.kind == kind)
    if stale is not None:
        query = query.where(is_stale(agency, today, days) == stale)
    if after is not None:
        query = query.where(agency.c.agency_id > after)
    return (await session.execute(query)).all()


async def list_programmes(
    session: AsyncSession,
    *,
    municipality: str | None,
    function: str | None,
    stage: str | None,
    agency_id: str | None,
    stale: bool | None,
    today: date,
    days: Days,
    after: tuple[str, str] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """By agency and code; each with its agency's name and the area it really covers."""
    query = _SHOWN.order_by(programme.c.agency_id, programme.c.programme_code).limit(limit)
    if municipality is not None:
        query = query.where(in_area(municipality, _AREA))
    wanted = {"function": function, "stage": stage, "agency_id": agency_id}
    query = query.where(*(programme.c[name] == value for name, value in wanted.items() if value is not None))
    if stale is not None:
        query = query.where(is_stale(programme, today, days) == stale)
    if after is not None:
        query = query.where(tuple_(programme.c.agency_id, programme.c.programme_code) > tuple_(*after))
    rows: Sequence[Row[Any]] = (await session.execute(query)).all()
    return rows


async def find_programme_shown(session: AsyncSession, programme_id: object) -> Row[Any] | None:
    """A programme as a list shows it."""
    found: Row[Any] | None = (await session.execute(_SHOWN.where(programme.c.id == programme_id))).one_or_none()
    return found
