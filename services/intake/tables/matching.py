"""Keyed fingerprints of what is known about persons: found by equality, read by nobody, replaced with what they are of.

A case's fingerprints are all by one version of the index key (`person_indexed`); version 0 means: not made yet.
"""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case
from services.intake.domain.matching import Kind, is_dayless
from services.intake.tables.cases import case_
from shared.database import Hot, beyond_the_wall

DOOR = "matching"
"""For what consent lets a caller be told of other towns' cases."""
_MOST = 1_000
"""Of each fingerprint in a town, the newest: a shelter's telephone, or a placeholder, stands in many sheets and tells
nothing."""

_ADD = (
    "INSERT INTO person_index (case_id, kind, fingerprint, dayless, municipality)"
    " SELECT c.id, kind, fingerprint, dayless, c.municipality FROM case_ c CROSS JOIN"
    " unnest(CAST(:kinds AS text[]), CAST(:fingerprints AS bytea[]), CAST(:dayless AS boolean[]))"
    " AS made(kind, fingerprint, dayless) WHERE c.id = CAST(:case_id AS uuid)"
)
_BEGIN = Hot(
    "WITH indexed AS (INSERT INTO person_indexed (case_id, index_version)"
    f" VALUES (CAST(:case_id AS uuid), CAST(:version AS integer))) {_ADD}"
)
# Two statements: in one, the second would not see what the first took away.
_TAKE_AWAY = Hot("DELETE FROM person_index WHERE case_id = :case_id AND kind = ANY(CAST(:kinds AS text[]))")
_PUT = Hot(_ADD)
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


def _each(town: str, of: str) -> str:
    """The towns of some cases, from one to the next by an index; DISTINCT would read all of them."""
    least = f"SELECT min(municipality) FROM case_ WHERE {of}"
    return (
        f"{town}(town) AS ({least} UNION ALL SELECT ({least} AND municipality > {town}.town) FROM {town}"
        f" WHERE {town}.town IS NOT NULL)"
    )


# Where the caller has business: what it serves, and where it opened or holds a case.
_TOWNS = Hot(
    "WITH RECURSIVE "
    + _each("opened", "opened_by = CAST(:agency AS text)")
    + ", "
    + _each("held", "holder_agency = CAST(:agency AS text)")
    + ", within(code, town) AS (SELECT code, code || '0000' FROM unnest(CAST(:prefectures AS text[])) AS code UNION ALL"
    " SELECT code, (SELECT min(municipality) FROM case_ WHERE municipality > within.town"
    " AND municipality <= code || '9999') FROM within WHERE within.town IS NOT NULL)"
    " SELECT town FROM opened UNION SELECT town FROM held UNION SELECT town FROM within"
)
_SOUGHT = (
    "sought AS (SELECT * FROM unnest(CAST(:fingerprints AS bytea[]), CAST(:points AS integer[]),"
    " CAST(:previous AS integer[]), CAST(:contact AS boolean[]), CAST(:dayless AS boolean[]),"
    " CAST(:finds AS boolean[])) AS s(fingerprint, points, previous, contact, dayless, finds))"
)
_HIT = (
    "s.fingerprint, s.contact, CASE WHEN i.kind LIKE 'previous%' THEN s.previous ELSE s.points END AS points,"
    " i.case_id, i.kind, i.municipality"
)
_IN_TOWN = (
    f"SELECT {_HIT} FROM sought s CROSS JOIN unnest(CAST(:towns AS text[])) AS near(town) CROSS JOIN LATERAL"
    " (SELECT case_id, kind, municipality FROM person_index p WHERE p.fingerprint = s.fingerprint"
    " AND p.municipality = near.town AND p.dayless = s.dayless"
    f" ORDER BY p.case_id DESC LIMIT {_MOST}) i WHERE s.finds"
)
_ANYWHERE = (
    f"SELECT {_HIT} FROM sought s CROSS JOIN LATERAL (SELECT case_id, kind, municipality FROM person_index p"
    f" WHERE p.fingerprint = s.fingerprint AND p.dayless = s.dayless ORDER BY p.case_id DESC LIMIT {_MOST}) i"
    " WHERE s.finds"
)
# As `likeness` weighs it: the best of the names and days, and the best of telephones and mail.
_POINTS = (
    "coalesce(max(h.points) FILTER (WHERE NOT h.contact), 0) + coalesce(max(h.points) FILTER (WHERE h.contact), 0)"
)
# What finds nobody by itself is looked for in those who were found. All of it from the index alone; of the cases
# themselves as many are read as are shown, the best first.
_RANKED = (
    f"SELECT h.case_id, {_POINTS} AS points, array_agg(h.kind) AS kinds, array_agg(h.fingerprint) AS fingerprints"
    " FROM (SELECT * FROM first UNION ALL"
    f" SELECT {_HIT} FROM (SELECT DISTINCT case_id, municipality FROM first) f CROSS JOIN sought s"
    " JOIN person_index i ON i.fingerprint = s.fingerprint AND i.municipality = f.municipality"
    " AND i.dayless = s.dayless AND i.case_id = f.case_id WHERE NOT s.finds) h"
    f" GROUP BY h.case_id HAVING {_POINTS} >= CAST(:least AS integer) ORDER BY points DESC, h.case_id DESC"
)
_FOUND = (
    f"SELECT {', '.join(f'c.{column.name}' for column in case_.columns)}, r.kinds, r.fingerprints,"
    " CAST(:dated AS boolean) AND EXISTS (SELECT FROM person_index d WHERE d.case_id = r.case_id"
    " AND d.kind = 'birth_date') AS has_day"
    f" FROM ({_RANKED}) r JOIN case_ c ON c.id = r.case_id WHERE c.id IS DISTINCT FROM CAST(:but AS uuid)"
)
_BEST_FIRST = "ORDER BY r.points DESC, r.case_id DESC LIMIT CAST(:best AS integer)"
# `Case.concerns` and `Case.tells_of_violence`, as conditions.
_OURS = (
    "(c.opened_by = CAST(:agency AS text) OR c.holder_agency = CAST(:agency AS text)"
    " OR c.municipality = ANY(CAST(:municipalities AS text[]))"
    " OR 'prefecture:' || left(c.municipality, 2) = ANY(CAST(:municipalities AS text[])))"
)
_VIOLENCE = "('violence' = ANY(c.topics) OR 'violence' = ANY(c.urgency))"
_HERE = Hot(f"WITH {_SOUGHT}, first AS ({_IN_TOWN}) {_FOUND} AND {_OURS} {_BEST_FIRST}")
_ELSEWHERE = Hot(f"WITH {_SOUGHT}, first AS ({_ANYWHERE}) {_FOUND} AND NOT {_OURS} AND NOT {_VIOLENCE} {_BEST_FIRST}")


@dataclass(frozen=True, slots=True)
class Sought:
    """A fingerprint that is looked for, among names without a day of birth or among all else: what it is worth, and
    whether it is enough to find somebody.
    """

    fingerprint: bytes
    points: int
    previous_points: int
    """Where it is a previous name's there."""
    contact: bool
    dayless: bool
    finds: bool


@dataclass(frozen=True, slots=True)
class Alike:
    """A case some of whose fingerprints are among those that were looked for."""

    case: Case
    agreeing: tuple[tuple[Kind, bytes], ...]
    other_day: bool
    """A day of birth was asked for; another stands there."""


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


async def find_alike(
    session: AsyncSession,
    sought: Collection[Sought],
    *,
    least: int,
    best: int,
    dated: bool,
    agency: str,
    municipalities: Collection[str],
    elsewhere: bool = False,
    but: UUID | None = None,
) -> list[Alike]:
    """Cases that have some of these fingerprints, worth `least` points together at most; so many of the best of them.

    Those that are the caller's business; or, `elsewhere`, those that are not. There nobody who may be sought is found:
    in which town somebody lives now is what must not be learned.
    """
    values = {
        "fingerprints": [each.fingerprint for each in sought],
        "points": [each.points for each in sought],
        "previous": [each.previous_points for each in sought],
        "contact": [each.contact for each in sought],
        "dayless": [each.dayless for each in sought],
        "finds": [each.finds for each in sought],
        "least": least,
        "best": best,
        "dated": dated,
        "agency": agency,
        "municipalities": list(municipalities),
        "but": but,
    }
    # Both say themselves whose business a case is. Asked of the wall, each hit in another town would cost 0.1 ms; and
    # planned anew each time, the statement would cost ten times what it does.
    async with beyond_the_wall(session, DOOR, planned_once=True):
        if not elsewhere:
            values["towns"] = await _towns(session, agency, municipalities)
        return [_alike(row) for row in await (_ELSEWHERE if elsewhere else _HERE).rows(session, values)]


async def _towns(session: AsyncSession, agency: str, municipalities: Collection[str]) -> list[str]:
    prefectures = [each.removeprefix("prefecture:") for each in municipalities if each.startswith("prefecture:")]
    rows = await _TOWNS.rows(session, {"agency": agency, "prefectures": prefectures})
    return sorted({*municipalities, *(row["town"] for row in rows if row["town"] is not None)})


def _alike(row: Record) -> Alike:
    found = tuple((Kind(kind), mark) for kind, mark in zip(row["kinds"], row["fingerprints"], strict=True))
    of_case: dict[str, Any] = {
        column.name: tuple(row[column.name]) if isinstance(row[column.name], list) else row[column.name]
        for column in case_.columns
    }
    return Alike(Case(**of_case), found, row["has_day"] and Kind.BIRTH_DATE not in dict(found))


def _columns(fingerprints: Mapping[Kind, bytes]) -> dict[str, Any]:
    return {
        "kinds": [kind.value for kind in fingerprints],
        "fingerprints": list(fingerprints.values()),
        "dayless": [is_dayless(kind, fingerprints) for kind in fingerprints],
    }
