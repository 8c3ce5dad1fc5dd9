"""Looking entries of the directory up: one, locked or not; whole lists; what waits to be confirmed; versions."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    String,
    Table,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.directory import Days
from services.referral.domain.firms import Firm, FirmState
from services.referral.domain.options import ROOM_IS_NEWS_FOR
from services.referral.tables import keeping, schema
from services.referral.tables.schema import (
    agency,
    coordinator,
    directory_version,
    host_workplace,
    professional,
    programme,
    training_firm,
    training_firm_step,
)

_OF_AGENCIES: Mapping[str, Table] = {
    "programme": programme,
    "professional": professional,
    "host_workplace": host_workplace,
    "training_firm": training_firm,
}


class Waiting(NamedTuple):
    """An entry, or the room of one, that its agency is asked about."""

    kind: str
    entry_id: str
    what: str
    name: str
    confirmed_on: date | None


async def find_entry(session: AsyncSession, kind: str, entry_id: object, *, lock: bool = False) -> Row[Any] | None:
    """One entry, with the municipality of its agency, which says whose business it is."""
    table: Table = schema.metadata.tables[kind]
    key = table.c.id if "id" in table.c else table.c[keeping.KEYS[kind][0]]
    query: Select[Any] = select(table).where(key == entry_id)
    if kind != "agency":
        place = agency.c.municipality.label("agency_municipality")
        query = (
            select(table, place, agency.c.name.label("agency_name"), agency.c.municipalities_served)
            .join(agency, agency.c.agency_id == table.c.agency_id)
            .where(key == entry_id)
        )
    found: Row[Any] | None = (await session.execute(query.with_for_update(of=table) if lock else query)).one_or_none()
    return found


async def list_of_agencies(
    session: AsyncSession,
    kind: str,
    *,
    wheres: Sequence[ColumnElement[bool]] = (),
    after: UUID | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Entries of one kind, in the order in which they came, each with its agency's name."""
    table = _OF_AGENCIES[kind]
    query: Select[Any] = (
        select(table, agency.c.name.label("agency_name"))
        .join(agency, agency.c.agency_id == table.c.agency_id)
        .where(*wheres)
        .order_by(table.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(table.c.id > after)
    rows: Sequence[Row[Any]] = (await session.execute(query)).all()
    return rows


async def whole_entries(
    session: AsyncSession, kind: str, *, after: tuple[str, ...] | None, limit: int
) -> Sequence[Row[Any]]:
    """Entries as they are kept, by their keys: for a file."""
    table: Table = schema.metadata.tables[kind]
    key = [table.c[name] for name in keeping.KEYS[kind]]
    query: Select[Any] = select(table).order_by(*key).limit(limit)
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    rows: Sequence[Row[Any]] = (await session.execute(query)).all()
    return rows


async def entries_of(session: AsyncSession, kind: str, agency_ids: Collection[str]) -> Sequence[Row[Any]]:
    """Every entry of one kind that these agencies have, by its key."""
    table: Table = schema.metadata.tables[kind]
    query: Select[Any] = select(table).where(table.c.agency_id.in_(agency_ids))
    rows: Sequence[Row[Any]] = (
        await session.execute(query.order_by(*(table.c[name] for name in keeping.KEYS[kind])))
    ).all()
    return rows


def area_of(table: Table) -> ColumnElement[Any]:
    """Where an entry holds: its own municipalities, or its agency's where it names none."""
    return case(
        (func.cardinality(table.c.municipalities) == 0, agency.c.municipalities_served), else_=table.c.municipalities
    )


def in_area(municipality: str, area: ColumnElement[Any]) -> ColumnElement[bool]:
    """`domain.covers`, as a condition."""
    return or_(_written_in(area, municipality), _written_in(area, f"{municipality[:2]}000"))


def _written_in(area: ColumnElement[Any], beginning: str) -> ColumnElement[bool]:
    """Whether a code of the area begins like that. Codes are digits, so that a blank always parts two of them."""
    return (literal(" ") + func.array_to_string(area, " ")).like(f"% {beginning}%")


def is_stale(table: Table, today: date, days: Days) -> ColumnElement[bool]:
    """`freshness` is stale or unknown: nobody vouches for it."""
    confirmed_on = table.c.confirmed_on
    return or_(confirmed_on.is_(None), confirmed_on <= today - timedelta(days=days.stale), confirmed_on > today)


async def list_coordinators(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[Row[Any]]:
    """By municipality, each with the agency's name."""
    query: Select[Any] = (
        select(coordinator, agency.c.name.label("agency_name"))
        .join(agency, agency.c.agency_id == coordinator.c.agency_id)
        .order_by(coordinator.c.municipality)
        .limit(limit)
    )
    if after is not None:
        query = query.where(coordinator.c.municipality > after)
    rows: Sequence[Row[Any]] = (await session.execute(query)).all()
    return rows


async def find_coordinator(session: AsyncSession, municipality: str) -> tuple[str, int | None] | None:
    """The agency that coordinates in a municipality, and in how many days it places; if one was named."""
    columns = coordinator.c.agency_id, coordinator.c.place_days
    row = (await session.execute(select(*columns).where(coordinator.c.municipality == municipality))).one_or_none()
    return None if row is None else (row.agency_id, row.place_days)


async def known_firms(session: AsyncSession, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Firm]:
    """Where firms stand, locked, so that none moves meanwhile."""
    table = training_firm
    query = (
        select(table)
        .where(tuple_(table.c.agency_id, table.c.firm_code).in_(list(keys)))
        .order_by(table.c.id)
        .with_for_update()
    )
    return {(row.agency_id, row.firm_code): as_firm(row) for row in await session.execute(query)}


def as_firm(row: Any) -> Firm:
    """A row as the domain sees it."""
    return Firm(FirmState(row.state), row.follow_up_on, row.certified_on, row.certified_by)


async def note_firm_steps(session: AsyncSession, steps: Sequence[Mapping[str, Any]]) -> None:
    """Add to the firms' history."""
    if steps:
        await session.execute(training_firm_step.insert(), list(steps))


async def list_firm_steps(session: AsyncSession, firm_id: UUID, *, after: int | None, limit: int) -> Sequence[Row[Any]]:
    """A firm's way so far, oldest first: each step and call, with the day that was then set for the next call."""
    step, kept = training_firm_step, directory_version
    query: Select[Any] = (
        select(step, kept.c.entry)
        .outerjoin(
            kept,
            (kept.c.kind == "training_firm")
            & (kept.c.entry_id == cast(step.c.firm_id, String))
            & (kept.c.version == step.c.version),
        )
        .where(step.c.firm_id == firm_id)
        .order_by(step.c.version)
        .limit(limit)
    )
    if after is not None:
        query = query.where(step.c.version > after)
    rows: Sequence[Row[Any]] = (await session.execute(query)).all()
    return rows


async def list_versions(
    session: AsyncSession, kind: str, entry_id: str, *, at: datetime | None, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """Newest first; with a moment, the one that held then."""
    table = directory_version
    query: Select[Any] = (
        select(table)
        .where(table.c.kind == kind, table.c.entry_id == entry_id)
        .order_by(table.c.version.desc())
        .limit(limit if at is None else 1)
    )
    if at is not None:
        query = query.where(table.c.at <= at)
    if before is not None:
        query = query.where(table.c.version < before)
    rows: Sequence[Row[Any]] = (await session.execute(query)).all()
    return rows


async def list_waiting(
    session: AsyncSession,
    agency_id: str,
    *,
    today: date,
    days: Days,
    after: tuple[str, str, str] | None,
    limit: int,
) -> list[Waiting]:
    """What an agency should confirm: entries that age, and room or trial places that were not told of for a while."""
    old = [
        select(
            literal(kind).label("kind"),
            cast(table.c.agency_id if kind == "agency" else table.c.id, String).label("entry_id"),
            literal("entry").label("what"),
            table.c["profession" if kind == "professional" else "name"].label("name"),
            table.c.confirmed_on.label("confirmed_on"),
        ).where(
            table.c.agency_id == agency_id,
            or_(table.c.confirmed_on <= today - timedelta(days=days.ageing), table.c.confirmed_on > today),
        )
        for kind, table in {"agency": agency, **_OF_AGENCIES}.items()
    ]
    confirmed_on = programme.c.capacity_confirmed_on
    room = select(
        literal("programme"), cast(programme.c.id, String), literal("room"), programme.c.name, confirmed_on
    ).where(
        programme.c.agency_id == agency_id,
        or_(confirmed_on.is_(None), confirmed_on <= today - ROOM_IS_NEWS_FOR, confirmed_on > today),
        or_(programme.c.ends_on.is_(None), programme.c.ends_on >= today),
    )
    said_on = host_workplace.c.steps_said_on
    places = select(
        literal("host_workplace"), cast(host_workplace.c.id, String), literal("room"), host_workplace.c.name, said_on
    ).where(
        host_workplace.c.agency_id == agency_id,
        or_(said_on.is_(None), said_on <= today - ROOM_IS_NEWS_FOR, said_on > today),
    )
    every = union_all(*old, room, places).subquery()
    query = select(every).order_by(every.c.kind, every.c.entry_id, every.c.what).limit(limit)
    if after is not None:
        query = query.where(tuple_(every.c.kind, every.c.entry_id, every.c.what) > tuple_(*after))
    return [Waiting(*row) for row in await session.execute(query)]
