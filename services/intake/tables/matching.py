"""Keyed fingerprints of what is known about persons: found by equality, read by nobody, replaced with what they are of.

A case's fingerprints are all by one version of the index key (`person_indexed`); version 0 means: not made yet.
"""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case
from services.intake.domain.matching import Kind
from services.intake.tables.cases import case_
from shared.database import Hot

_MOST = 1_000
"""Of each fingerprint, the newest: a shelter's telephone, or a placeholder, stands in many sheets and tells nothing."""
_BEST = 60
"""Three times as many as are shown: who may be sought falls back once the telephone is left out."""

_ADD = (
    "INSERT INTO person_index (case_id, kind, fingerprint) SELECT CAST(:case_id AS uuid), kind, fingerprint"
    " FROM unnest(CAST(:kinds AS text[]), CAST(:fingerprints AS bytea[])) AS made(kind, fingerprint)"
)
_BEGIN = Hot(
    "WITH indexed AS (INSERT INTO person_indexed (case_id, index_version)"
    f" VALUES (CAST(:case_id AS uuid), CAST(:version AS integer))) {_ADD}"
)
# Two statements: in one, the second would not see what the first took away.
_TAKE_AWAY = Hot("DELETE FROM person_index WHERE case_id = :case_id AND kind = ANY(CAST(:kinds AS text[]))")
_PUT = Hot(_ADD)
_DOOR = Hot("SELECT set_config('tsunagu.door', CAST(:door AS text), true)")
_VERSION = text("SELECT index_version FROM person_indexed WHERE case_id = :case_id")
_SET_VERSION = text("UPDATE person_indexed SET index_version = :version WHERE case_id = :case_id")
# From one to the next by the index; DISTINCT would read a row for every case.
_VERSIONS = Hot(
    "WITH RECURSIVE found(version) AS (SELECT min(index_version) FROM person_indexed WHERE index_version > 0 UNION ALL"
    " SELECT (SELECT min(index_version) FROM person_indexed WHERE index_version > version) FROM found"
    " WHERE version IS NOT NULL) SELECT version FROM found WHERE version IS NOT NULL"
)
_OUTDATED = text(
    "SELECT c.id FROM person_indexed i JOIN case_ c ON c.id = i.case_id WHERE i.index_version < :newest"
    " ORDER BY i.index_version, i.case_id LIMIT 1 FOR UPDATE OF c SKIP LOCKED"
)
_FORGET = text(
    "WITH gone AS (DELETE FROM person_index WHERE case_id = :case_id) DELETE FROM person_indexed"
    " WHERE case_id = :case_id"
)

# From the index alone which cases have how much of it; their rows are read, the best first, as far as they are shown.
_RANKED = (
    "SELECT i.case_id, sum(s.points) AS points, array_agg(i.kind ORDER BY i.kind, s.fingerprint) AS kinds,"
    " array_agg(s.fingerprint ORDER BY i.kind, s.fingerprint) AS fingerprints"
    " FROM unnest(CAST(:fingerprints AS bytea[]), CAST(:points AS integer[]), CAST(:finds AS boolean[]))"
    " AS s(fingerprint, points, finds) CROSS JOIN LATERAL (SELECT case_id, kind FROM person_index"
    f" WHERE fingerprint = s.fingerprint ORDER BY case_id DESC LIMIT {_MOST}) i"
    " GROUP BY i.case_id HAVING bool_or(s.finds) AND sum(s.points) >= CAST(:least AS integer)"
    " ORDER BY sum(s.points) DESC, i.case_id DESC"
)
_FOUND = (
    f"SELECT {', '.join(f'c.{column.name}' for column in case_.columns)}, r.kinds, r.fingerprints,"
    " EXISTS (SELECT FROM person_index d WHERE d.case_id = r.case_id AND d.kind = 'birth_date') AS has_day"
    f" FROM ({_RANKED}) r JOIN case_ c ON c.id = r.case_id WHERE c.id IS DISTINCT FROM CAST(:but AS uuid)"
)
_BEST_FIRST = f"ORDER BY r.points DESC, r.case_id DESC LIMIT {_BEST}"
# `Case.concerns` and `Case.tells_of_violence`, as conditions.
_OURS = (
    "(c.opened_by = CAST(:agency AS text) OR c.holder_agency = CAST(:agency AS text)"
    " OR c.municipality = ANY(CAST(:municipalities AS text[]))"
    " OR 'prefecture:' || left(c.municipality, 2) = ANY(CAST(:municipalities AS text[])))"
)
_VIOLENCE = "('violence' = ANY(c.topics) OR 'violence' = ANY(c.urgency))"
_HERE = Hot(f"{_FOUND} AND {_OURS} {_BEST_FIRST}")
_ELSEWHERE = Hot(f"{_FOUND} AND NOT {_OURS} AND NOT {_VIOLENCE} {_BEST_FIRST}")


@dataclass(frozen=True, slots=True)
class Sought:
    """A fingerprint that is looked for: what it is worth, and whether it is enough to find somebody."""

    fingerprint: bytes
    points: int
    finds: bool


@dataclass(frozen=True, slots=True)
class Alike:
    """A case some of whose fingerprints are among those that were looked for."""

    case: Case
    agreeing: tuple[tuple[Kind, bytes], ...]
    other_day: bool
    """A day of birth stands there, and is not among those that agree."""


async def begin_index(
    session: AsyncSession, case_id: UUID, fingerprints: Mapping[Kind, bytes], *, version: int
) -> None:
    """The fingerprints of a new case."""
    await _BEGIN.rows(session, {"case_id": case_id, "version": version} | _columns(fingerprints))


async def replace_index(
    session: AsyncSession, case_id: UUID, kinds: Collection[Kind], fingerprints: Mapping[Kind, bytes]
) -> None:
    """These kinds of a locked case anew; of what they were before nothing stays."""
    await _TAKE_AWAY.rows(session, {"case_id": case_id, "kinds": sorted(kinds)})
    await _PUT.rows(session, {"case_id": case_id} | _columns(fingerprints))


async def index_version(session: AsyncSession, case_id: UUID) -> int | None:
    """Which key a case's fingerprints are by; 0 if they are not made yet, None if there are to be none (erased)."""
    version: int | None = (await session.execute(_VERSION, {"case_id": case_id})).scalar_one_or_none()
    return version


async def set_index_version(session: AsyncSession, case_id: UUID, version: int) -> None:
    """Every fingerprint of a locked case is by this key now."""
    await session.execute(_SET_VERSION, {"case_id": case_id, "version": version})


async def index_versions(session: AsyncSession) -> list[int]:
    """The keys that fingerprints are by: more than one only while they are made anew."""
    return [row["version"] for row in await _VERSIONS.rows(session, {})]


async def take_outdated(session: AsyncSession, newest: int) -> UUID | None:
    """A case whose fingerprints are by an older key, or not made yet; locked."""
    found: UUID | None = (await session.execute(_OUTDATED, {"newest": newest})).scalar_one_or_none()
    return found


async def forget(session: AsyncSession, case_id: UUID) -> None:
    """The case is erased: it is found no more, and no sweep makes its fingerprints again."""
    await session.execute(_FORGET, {"case_id": case_id})


@asynccontextmanager
async def beyond_the_wall(session: AsyncSession) -> AsyncIterator[None]:
    """Look where the caller has no business, for what consent lets it be told. A failure ends the transaction, and so
    the looking.
    """
    await _DOOR.rows(session, {"door": "matching"})
    yield
    await _DOOR.rows(session, {"door": ""})


async def find_alike(
    session: AsyncSession,
    sought: Collection[Sought],
    *,
    least: int,
    agency: str,
    municipalities: Collection[str],
    elsewhere: bool = False,
    but: UUID | None = None,
) -> list[Alike]:
    """Cases that have some of these fingerprints, worth `least` points together at most; the best of them.

    Those that are the caller's business; or, `elsewhere`, those that are not. There nobody who may be sought is found:
    in which town somebody lives now is what must not be learned.
    """
    values = {
        "fingerprints": [each.fingerprint for each in sought],
        "points": [each.points for each in sought],
        "finds": [each.finds for each in sought],
        "least": least,
        "agency": agency,
        "municipalities": list(municipalities),
        "but": but,
    }
    # Both say themselves whose business a case is. Asked of the wall, each hit in another town would cost 0.1 ms.
    async with beyond_the_wall(session):
        return [_alike(row) for row in await (_ELSEWHERE if elsewhere else _HERE).rows(session, values)]


def _alike(row: Record) -> Alike:
    found = tuple((Kind(kind), mark) for kind, mark in zip(row["kinds"], row["fingerprints"], strict=True))
    of_case: dict[str, Any] = {
        column.name: tuple(row[column.name]) if isinstance(row[column.name], list) else row[column.name]
        for column in case_.columns
    }
    return Alike(Case(**of_case), found, row["has_day"] and Kind.BIRTH_DATE not in dict(found))


def _columns(fingerprints: Mapping[Kind, bytes]) -> dict[str, Any]:
    return {"kinds": [kind.value for kind in fingerprints], "fingerprints": list(fingerprints.values())}
