"""The directory, and what of it and of the courses may answer a case."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, case, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.directory import Days, room_today
from services.referral.domain.routing import Capacity, CourseRun, Pool, Programme, Stage
from services.referral.tables.listing import is_stale
from services.referral.tables.schema import agency, course_option, course_pool, programme
from services.referral.tables.vocabulary import vocabulary
from shared.database import Hot
from shared.service import day_in_japan

_AREA = case(
    (func.cardinality(programme.c.municipalities) == 0, agency.c.municipalities_served),
    else_=programme.c.municipalities,
)
_SHOWN: Select[Any] = select(programme, _AREA.label("area"), agency.c.name.label("agency_name")).join(
    agency, agency.c.agency_id == programme.c.agency_id
)
_WITHIN_REACH = 500
_STILL_TOLD = timedelta(days=14)
"""A deadline just missed is worth knowing; older course runs are history."""


_AGENCY_OF = Hot("SELECT agency_id FROM programme WHERE id = :id")


async def agency_of(session: AsyncSession, programme_id: UUID) -> str | None:
    """Whose programme it is; None where the directory has none."""
    rows = await _AGENCY_OF.rows(session, {"id": programme_id})
    return rows[0]["agency_id"] if rows else None


async def options_near(session: AsyncSession, municipality: str, now: datetime) -> Sequence[Programme | CourseRun]:
    """Everything that may be an answer: the prefecture's programmes and course runs, and pools of the municipality."""
    programmes = await _programmes_near(session, municipality, day_in_japan(now))
    return [*programmes, *await _courses_near(session, municipality, now)]


async def _programmes_near(session: AsyncSession, municipality: str, today: date) -> Iterable[Programme]:
    query = (
        select(programme, _AREA.label("area"))
        .join(agency, agency.c.agency_id == programme.c.agency_id)
        .where(_written_in(_AREA, municipality[:2]))
        # Whoever serves the municipality itself comes first, so that the limit never costs a nearer answer.
        .order_by(_in_area(municipality, _AREA).desc(), programme.c.id)
        .limit(_WITHIN_REACH)
    )
    return [
        Programme(
            id=row.id,
            agency_id=row.agency_id,
            name=row.name,
            function=row.function,
            stage=Stage(row.stage),
            municipalities=frozenset(row.area),
            needs=frozenset(row.needs),
            capacity=room_today(Capacity(row.capacity_state), row.capacity_confirmed_on, today, vocabulary().days),
        )
        for row in await session.execute(query)
    ]


async def _courses_near(session: AsyncSession, municipality: str, now: datetime) -> Iterable[CourseRun]:
    own = select(course_pool.c.course_run_id).where(course_pool.c.municipality == municipality)
    query = (
        select(course_option)
        .where(
            course_option.c.applications_close_at > now - _STILL_TOLD,
            or_(
                func.left(course_option.c.site_municipality, 2) == municipality[:2],
                course_option.c.course_run_id.in_(own),
            ),
        )
        .order_by(course_option.c.applications_close_at.desc(), course_option.c.course_run_id)
        .limit(_WITHIN_REACH)
    )
    rows = (await session.execute(query)).all()
    pools: dict[UUID, list[Pool]] = {row.course_run_id: [] for row in rows}
    for pool in await session.execute(select(course_pool).where(course_pool.c.course_run_id.in_(pools))):
        pools[pool.course_run_id].append(Pool(pool.municipality, pool.granted, pool.held, pool.filled, pool.waiting))
    return [
        CourseRun(
            id=row.course_run_id,
            number=row.course_number,
            provider=row.provider,
            field=row.field,
            system=row.system,
            municipality=row.site_municipality,
            starts_on=row.starts_on,
            ends_on=row.ends_on,
            applications_close_at=row.applications_close_at,
            pools=tuple(pools[row.course_run_id]),
        )
        for row in rows
    ]


async def known_agencies(session: AsyncSession, agency_ids: Collection[str]) -> set[str]:
    """Which of these agencies the directory has. No agency ever leaves it, so nothing needs a lock."""
    query = select(agency.c.agency_id).where(agency.c.agency_id.in_(agency_ids))
    return set((await session.execute(query)).scalars())


async def list_agencies(
    session: AsyncSession,
    *,
    municipality: str | None,
    stale: bool | None,
    today: date,
    days: Days,
    after: str | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """By id."""
    query = select(agency).order_by(agency.c.agency_id).limit(limit)
    if municipality is not None:
        query = query.where(_in_area(municipality, agency.c.municipalities_served))
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
        query = query.where(_in_area(municipality, _AREA))
    wanted = {"function": function, "stage": stage, "agency_id": agency_id}
    query = query.where(*(programme.c[name] == value for name, value in wanted.items() if value is not None))
    if stale is not None:
        query = query.where(is_stale(programme, today, days) == stale)
    if after is not None:
        query = query.where(tuple_(programme.c.agency_id, programme.c.programme_code) > tuple_(*after))
    rows: Sequence[Row[Any]] = (await session.execute(query)).all()
    return rows


async def find_programme_shown(session: AsyncSession, programme_id: UUID) -> Row[Any] | None:
    """A programme as a list shows it."""
    found: Row[Any] | None = (await session.execute(_SHOWN.where(programme.c.id == programme_id))).one_or_none()
    return found


def _in_area(municipality: str, area: ColumnElement[Any]) -> ColumnElement[bool]:
    """`domain.covers`, as a condition."""
    return or_(_written_in(area, municipality), _written_in(area, f"{municipality[:2]}000"))


def _written_in(area: ColumnElement[Any], beginning: str) -> ColumnElement[bool]:
    """Whether a code of the area begins like that. Codes are digits, so that a blank always parts two of them."""
    return (literal(" ") + func.array_to_string(area, " ")).like(f"% {beginning}%")
