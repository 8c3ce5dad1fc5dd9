"""Keeping the directory as the files tell it; what is the same already is no change."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from sqlalchemy import Row, insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.tables import directory, schema
from shared.bus.envelope import new_id


@dataclass(frozen=True, slots=True)
class AgencyEntry:
    """支援機関, as a directory file tells it."""

    agency_id: str
    corporate_number: str | None
    name: str
    kana: str
    kind: str
    municipality: str
    municipalities_served: Collection[str]
    phone: str | None
    confirmed_by: str
    confirmed_on: date


@dataclass(frozen=True, slots=True)
class ProgrammeEntry:
    """事業, as a directory file tells it."""

    agency_id: str
    programme_code: str
    name: str
    function: str
    strand: int
    stage: str
    municipalities: Collection[str]
    needs: Collection[str]
    capacity_state: str
    confirmed_on: date


@dataclass(frozen=True, slots=True)
class Kept:
    """What a row became in the directory."""

    became: Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class AgencyNotKnown:
    """A programme's agency has to be in the directory first."""


async def keep_agency(session: AsyncSession, entry: AgencyEntry) -> Kept:
    """Write an agency's entry, or bring it up to date."""
    values = _values(entry)
    known = await directory.lock_agency(session, entry.agency_id)
    if known is None:
        await session.execute(insert(schema.agency).values(**values, version=1))
        return Kept("created")
    if _says_the_same(known, values):
        return Kept("unchanged")
    same = schema.agency.c.agency_id == entry.agency_id
    await session.execute(update(schema.agency).where(same).values(**values, version=known.version + 1))
    return Kept("updated")


async def keep_programme(session: AsyncSession, entry: ProgrammeEntry) -> Kept | AgencyNotKnown:
    """Write a programme's entry, or bring it up to date; its id stays."""
    values = _values(entry)
    if await directory.lock_agency(session, entry.agency_id) is None:
        return AgencyNotKnown()
    known = await directory.lock_programme(session, entry.agency_id, entry.programme_code)
    if known is None:
        await session.execute(insert(schema.programme).values(id=new_id(), **values, version=1))
        return Kept("created")
    if _says_the_same(known, values):
        return Kept("unchanged")
    same = schema.programme.c.id == known.id
    await session.execute(update(schema.programme).where(same).values(**values, version=known.version + 1))
    return Kept("updated")


def _values(entry: AgencyEntry | ProgrammeEntry) -> dict[str, Any]:
    fields = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
    return {name: list(value) if isinstance(value, tuple | list) else value for name, value in fields.items()}


def _says_the_same(known: Row[Any], values: Mapping[str, Any]) -> bool:
    return all(getattr(known, name) == value for name, value in values.items())
