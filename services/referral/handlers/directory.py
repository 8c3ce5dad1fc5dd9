"""Keeping the directory as the files tell it; what is the same already is no change."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.tables import directory
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


async def keep_agencies(session: AsyncSession, entries: Sequence[AgencyEntry]) -> list[Kept]:
    """Write agencies' entries, or bring them up to date; each agency once."""
    written = await directory.keep_agencies(session, [asdict(entry) for entry in entries])
    return [_kept(written.get(entry.agency_id)) for entry in entries]


async def keep_programmes(session: AsyncSession, entries: Sequence[ProgrammeEntry]) -> list[Kept | AgencyNotKnown]:
    """Write programmes' entries, or bring them up to date; each programme once. A programme's id stays."""
    known = await directory.known_agencies(session, {entry.agency_id for entry in entries})
    rows = [{"id": new_id(), **asdict(entry)} for entry in entries if entry.agency_id in known]
    written = await directory.keep_programmes(session, rows)
    return [
        _kept(written.get((entry.agency_id, entry.programme_code))) if entry.agency_id in known else AgencyNotKnown()
        for entry in entries
    ]


def _kept(version: int | None) -> Kept:
    """What became of an entry: only one that says something new is written."""
    if version is None:
        return Kept("unchanged")
    return Kept("created" if version == 1 else "updated")
