"""Keeping the directory as files and agencies tell it; what is the same already is no change, and every change is told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.tables import directory, keeping
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import AgencyListed, Event, ProgrammeListed
from shared.service import day_in_japan

_ROOM = frozenset({"capacity_state", "capacity_total", "capacity_free", "capacity_confirmed_on"})


@dataclass(frozen=True, slots=True)
class AgencyEntry:
    """支援機関, as a file tells it."""

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
    desks: Collection[Mapping[str, Any]] = ()
    opening_hours: Collection[Mapping[str, Any]] = ()
    closed_weekdays: Collection[int] = (5, 6)
    closed_days: Collection[date] = ()
    contact_channel: str | None = None
    contact_email: str | None = None


@dataclass(frozen=True, slots=True)
class ProgrammeEntry:
    """事業, as a file tells it."""

    agency_id: str
    programme_code: str
    name: str
    function: str
    strand: int
    stage: str
    municipalities: Collection[str]
    needs: Collection[str]
    capacity_state: str
    confirmed_by: str
    confirmed_on: date
    for_whom: Collection[str] = ()
    conditions: Collection[Mapping[str, Any]] = ()
    legal_basis: str | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    capacity_total: int | None = None
    capacity_free: int | None = None
    capacity_confirmed_on: date | None = None
    acknowledge_days: int | None = None
    contact_days: int | None = None
    start_days: int | None = None


@dataclass(frozen=True, slots=True)
class ProfessionalEntry:
    """専門職: how many of a profession an agency has, and where they may be called to."""

    agency_id: str
    profession: str
    count: int
    municipalities: Collection[str]
    confirmed_by: str
    confirmed_on: date


@dataclass(frozen=True, slots=True)
class WorkplaceEntry:
    """職親: a workplace with trial places, and the agency that keeps the contact."""

    agency_id: str
    workplace_code: str
    corporate_number: str | None
    name: str
    municipality: str
    industry: str
    steps: Collection[Mapping[str, Any]]
    confirmed_by: str
    confirmed_on: date


@dataclass(frozen=True, slots=True)
class FirmEntry:
    """A firm on its way to certified work training (認定就労訓練), and the agency that follows it up."""

    agency_id: str
    firm_code: str
    corporate_number: str | None
    name: str
    municipality: str
    industry: str
    state: str
    follow_up_on: date | None
    certified_on: date | None
    certified_by: str | None
    confirmed_by: str
    confirmed_on: date


Entry = AgencyEntry | ProgrammeEntry | ProfessionalEntry | WorkplaceEntry | FirmEntry
KIND_OF: Mapping[type[Entry], str] = {
    AgencyEntry: "agency",
    ProgrammeEntry: "programme",
    ProfessionalEntry: "professional",
    WorkplaceEntry: "host_workplace",
    FirmEntry: "training_firm",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """What an entry became in the directory."""

    became: Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class AgencyNotKnown:
    """An entry's agency has to be in the directory first."""


async def keep_entries(
    session: AsyncSession, entries: Sequence[Entry], *, told: Collection[str], by: str, now: datetime
) -> list[Kept | AgencyNotKnown]:
    """Write entries of one kind, or bring them up to date, each once. What the file doesn't tell stays as it is."""
    if not entries:
        return []
    kind, told = KIND_OF[type(entries[0])], set(told)
    if told & _ROOM:
        told |= _ROOM
    known = set() if kind == "agency" else await directory.known_agencies(session, {e.agency_id for e in entries})
    rows = [asdict(entry) for entry in entries if kind == "agency" or entry.agency_id in known]
    if kind != "agency":
        rows = [{"id": new_id(), **row} for row in rows]
    written = await keeping.keep(session, kind, rows, told=told, by=by, now=now, today=day_in_japan(now))
    await tell(session, kind, written, now=now)
    key = keeping.KEYS[kind]
    versions = {tuple(row[name] for name in key): row["version"] for row in written}
    return [
        _kept(versions.get(tuple(getattr(entry, name) for name in key)))
        if kind == "agency" or entry.agency_id in known
        else AgencyNotKnown()
        for entry in entries
    ]


async def tell(session: AsyncSession, kind: str, rows: Sequence[asyncpg.Record], *, now: datetime) -> None:
    """Tell what changed, in ids, codes and days alone. Other kinds stay in this service."""
    if kind == "agency":
        await emit(session, *((_agency_listed(row), row["version"]) for row in rows), at=now)
    elif kind == "programme":
        await emit(session, *((_programme_listed(row), row["version"]) for row in rows), at=now)


def _agency_listed(row: Mapping[str, Any]) -> Event:
    values = {name: row[name] for name in AgencyListed.model_fields if name != "agency_kind"}
    return AgencyListed(agency_kind=row["kind"], **values)


def _programme_listed(row: Mapping[str, Any]) -> Event:
    values = {name: row[name] for name in ProgrammeListed.model_fields if name != "programme_id"}
    return ProgrammeListed(programme_id=row["id"], **values)


def _kept(version: int | None) -> Kept:
    """What became of an entry: only one that says something new is written."""
    if version is None:
        return Kept("unchanged")
    return Kept("created" if version == 1 else "updated")
