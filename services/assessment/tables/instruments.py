"""Versions of instruments, and the list of professions. Nothing here is about a person."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.instruments import Anchor, Instrument, Item

_COLUMNS = "version, instrument, CAST(content AS text) AS content, published_by, published_at, effective_from"
_FIND = text(f"SELECT {_COLUMNS} FROM instrument_version WHERE version = :version")
_CURRENT = text(
    f"SELECT {_COLUMNS} FROM instrument_version WHERE instrument = :name AND effective_from <= :day"
    " ORDER BY effective_from DESC, published_at DESC LIMIT 1"
)
_LIST = text(
    f"SELECT {_COLUMNS} FROM instrument_version WHERE (CAST(:name AS text) IS NULL OR instrument = :name)"
    " AND (instrument, version) > (:after_name, :after_version) ORDER BY instrument, version LIMIT :limit"
)
# Who publishes versions of one instrument comes one after the other.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 7470010))")
_ADD = text(
    "INSERT INTO instrument_version (version, instrument, content, published_by, published_at, effective_from)"
    " VALUES (:version, :name, CAST(:content AS jsonb), :by, :at, :effective_from) ON CONFLICT DO NOTHING"
    " RETURNING version"
)


@dataclass(frozen=True, slots=True)
class Published:
    """A version, who published it, and from which day it is the one in use."""

    instrument: Instrument
    published_by: str
    published_at: datetime
    effective_from: date


async def find_version(session: AsyncSession, version: str) -> Published | None:
    """A version by its name, however old."""
    return _published((await session.execute(_FIND, {"version": version})).one_or_none())


async def version_on(session: AsyncSession, name: str, day: date) -> Published | None:
    """Which version of an instrument is in use on a day."""
    return _published((await session.execute(_CURRENT, {"name": name, "day": day})).one_or_none())


async def find_versions(
    session: AsyncSession, name: str | None, *, after: tuple[str, str], limit: int
) -> list[Published]:
    """The versions of an instrument, or of all."""
    values = {"name": name, "after_name": after[0], "after_version": after[1], "limit": limit}
    rows = await session.execute(_LIST, values)
    return [published for row in rows if (published := _published(row)) is not None]


async def lock_versions(session: AsyncSession, name: str) -> None:
    """Nobody else publishes a version of this instrument meanwhile."""
    await session.execute(_LOCK, {"name": name})


async def add_version(session: AsyncSession, published: Published) -> bool:
    """One more version; False if there is one of that name."""
    instrument = published.instrument
    values = {
        "version": instrument.version,
        "name": instrument.name,
        "content": json.dumps(asdict(instrument), ensure_ascii=False),
        "by": published.published_by,
        "at": published.published_at,
        "effective_from": published.effective_from,
    }
    return (await session.execute(_ADD, values)).one_or_none() is not None


def _published(row: Any) -> Published | None:
    if row is None:
        return None
    return Published(_read(row.content), row.published_by, row.published_at, row.effective_from)


@lru_cache(maxsize=64)
def _read(content: str) -> Instrument:
    """Asked for with every rating, and never changed: the same text is read once."""
    return _instrument(json.loads(content))


def _instrument(content: Mapping[str, Any]) -> Instrument:
    items = tuple(
        Item(**{**item, "anchors": tuple(Anchor(**anchor) for anchor in item["anchors"])}) for item in content["items"]
    )
    return Instrument(**{**content, "items": items})


# --- professions ----------------------------------------------------------------------------------------------------

_PROFESSIONS = text(
    "SELECT code, english, japanese, in_use, version, changed_by, changed_at FROM profession ORDER BY code"
)
_KNOWN = text("SELECT code FROM profession WHERE code = ANY (:codes) AND in_use")
_PROFESSION = text("SELECT version FROM profession WHERE code = :code FOR UPDATE")
_PUT = text(
    "INSERT INTO profession AS p (code, english, japanese, in_use, changed_by, changed_at)"
    " VALUES (:code, :english, :japanese, :in_use, :by, :at) ON CONFLICT (code) DO UPDATE SET"
    " english = excluded.english, japanese = excluded.japanese, in_use = excluded.in_use,"
    " changed_by = excluded.changed_by, changed_at = excluded.changed_at, version = p.version + 1"
    " RETURNING version"
)


async def list_professions(session: AsyncSession) -> Sequence[Any]:
    """All of them, those that are out of use included: old conferences name them."""
    return (await session.execute(_PROFESSIONS)).all()


async def unknown_professions(session: AsyncSession, codes: Sequence[str]) -> list[str]:
    """Those that are not on the list, or out of use."""
    known = set((await session.execute(_KNOWN, {"codes": list(codes)})).scalars())
    return [code for code in codes if code not in known]


async def lock_profession(session: AsyncSession, code: str) -> int | None:
    """The version of an entry, held until the transaction ends."""
    return (await session.execute(_PROFESSION, {"code": code})).scalar_one_or_none()


async def put_profession(
    session: AsyncSession, code: str, *, english: str, japanese: str, in_use: bool, by: str, at: datetime
) -> int:
    """Write an entry; its version."""
    values = {"code": code, "english": english, "japanese": japanese, "in_use": in_use, "by": by, "at": at}
    return int((await session.execute(_PUT, values)).scalar_one())
