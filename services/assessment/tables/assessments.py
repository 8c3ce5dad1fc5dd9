"""Ratings and the evidence for them: added, never changed. Evidence is sealed in the place (evidence, item, rating)."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from services.assessment.domain.fdp import Axis, Risk
from services.assessment.domain.instruments import FDP
from shared.database import beyond_the_wall
from shared.vault import DataKey, Place

_AXES = ", ".join(Axis)
_COLUMNS = (
    f"id, case_id, number, instrument, rubric, setting, {_AXES}, levels, not_observed, raters, professions, rated_by,"
    " rated_at, recorded_at, prolongation_risk, rule_version, corrects_id, joint_id"
)
_ADD = text(
    f"INSERT INTO assessment ({_COLUMNS}) VALUES (:id, :case_id, :number, :instrument, :rubric, :setting,"
    f" {', '.join(f':{axis}' for axis in Axis)}, CAST(:levels AS jsonb), :not_observed, :raters, :professions,"
    " :rated_by, :rated_at, :recorded_at, :prolongation_risk, :rule_version, :corrects_id, :joint_id)"
).bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("not_observed", "raters", "professions")))
_FIND = text(f"SELECT {_COLUMNS} FROM assessment WHERE case_id = :case_id AND id = :id")
_IS_CORRECTED = text("SELECT EXISTS (SELECT FROM assessment WHERE corrects_id = :id)")
_HAS_RATED = text("SELECT EXISTS (SELECT FROM assessment WHERE case_id = :case_id AND rated_by = :agency)")
# As `domain.progress.standing` has it: by the day on which people rated, and what is corrected counts no more.
_IS_LAST = text(
    "SELECT NOT EXISTS (SELECT FROM assessment o WHERE o.case_id = :case_id AND o.instrument = :instrument"
    " AND (o.rated_at, o.number) > (:rated_at, :number)"
    " AND NOT EXISTS (SELECT FROM assessment c WHERE c.corrects_id = o.id))"
)
_LIST = text(
    f"SELECT {_COLUMNS} FROM assessment WHERE case_id = :case_id AND number > :after"
    " AND (CAST(:by AS text) IS NULL OR rated_by = :by)"
    " AND (CAST(:instrument AS text) IS NULL OR instrument = :instrument) ORDER BY number LIMIT :limit"
)
# Over every case, as counts without one: a door of the report's own lets it look.
_PROFILES = text(
    f"SELECT {_AXES}, prolongation_risk, count(*) AS n FROM assessment WHERE instrument = 'fdp'"
    f" GROUP BY {_AXES}, prolongation_risk"
)
# By what the first rating of a case said: how long the cases that are closed took, and how many are open.
_DURATIONS = text(
    "SELECT first.prolongation_risk AS risk, first.rule_version, count(*) AS n,"
    " count(*) FILTER (WHERE k.closed_at IS NULL) AS still_open,"
    " count(*) FILTER (WHERE coalesce(k.closed_at, :now) - k.opened_at >= make_interval(days => :long)) AS took_long,"
    " percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP"
    "  (ORDER BY extract(epoch FROM k.closed_at - k.opened_at) / 86400) AS days"
    " FROM case_fact k JOIN LATERAL (SELECT a.prolongation_risk, a.rule_version FROM assessment a"
    "  WHERE a.case_id = k.case_id AND a.instrument = 'fdp' ORDER BY a.rated_at, a.number LIMIT 1) first ON true"
    " WHERE k.opened_at IS NOT NULL AND (k.closed_at IS NULL OR k.closed_at >= k.opened_at)"
    " GROUP BY first.prolongation_risk, first.rule_version ORDER BY first.rule_version, first.prolongation_risk"
)
_FLAGS = text(
    f"SELECT {_AXES}, prolongation_risk, rule_version, (recorded_at AT TIME ZONE 'Asia/Tokyo')::date AS day,"
    " count(*) AS n FROM assessment WHERE instrument = 'fdp'"
    f" GROUP BY {_AXES}, prolongation_risk, rule_version, day"
)
_ADD_EVIDENCE = text("INSERT INTO evidence (assessment_id, item, sealed) VALUES (:assessment_id, :item, :sealed)")
_EVIDENCE = text("SELECT assessment_id, item, sealed FROM evidence WHERE assessment_id = ANY (:ids)").bindparams(
    bindparam("ids")
)
_NEVER = 1_000
"""More ratings than a case ever has; reads are bounded all the same."""


@dataclass(frozen=True, slots=True)
class Rated:
    """A rating as it stands in the table. `levels` holds what was observed."""

    id: UUID
    case_id: UUID
    number: int
    instrument: str
    rubric: str
    setting: str
    levels: Mapping[str, int]
    not_observed: tuple[str, ...]
    raters: tuple[str, ...]
    professions: tuple[str, ...]
    rated_by: str
    rated_at: datetime
    recorded_at: datetime
    risk: Risk | None
    rule_version: int | None
    corrects: UUID | None
    joint_id: UUID | None = None


async def add_assessment(session: AsyncSession, rated: Rated) -> None:
    """One more rating of a locked case."""
    fdp = rated.instrument == FDP
    axes = {str(axis): rated.levels.get(axis) if fdp else None for axis in Axis}
    values = {
        "id": rated.id,
        "case_id": rated.case_id,
        "number": rated.number,
        "instrument": rated.instrument,
        "rubric": rated.rubric,
        "setting": rated.setting,
        **axes,
        "levels": None if fdp else json.dumps(dict(rated.levels)),
        "not_observed": list(rated.not_observed),
        "raters": list(rated.raters),
        "professions": list(rated.professions),
        "rated_by": rated.rated_by,
        "rated_at": rated.rated_at,
        "recorded_at": rated.recorded_at,
        "prolongation_risk": None if rated.risk is None else rated.risk.value,
        "rule_version": rated.rule_version,
        "corrects_id": rated.corrects,
        "joint_id": rated.joint_id,
    }
    await session.execute(_ADD, values)


async def find_assessment(session: AsyncSession, case_id: UUID, assessment_id: UUID) -> Rated | None:
    """A rating of this case."""
    row = (await session.execute(_FIND, {"case_id": case_id, "id": assessment_id})).one_or_none()
    return None if row is None else _rated(row)


async def is_corrected(session: AsyncSession, assessment_id: UUID) -> bool:
    """Whether another rating corrects this one."""
    return bool((await session.execute(_IS_CORRECTED, {"id": assessment_id})).scalar_one())


async def is_last(session: AsyncSession, rated: Rated) -> bool:
    """Whether nobody rated later with that instrument."""
    at = {"case_id": rated.case_id, "instrument": rated.instrument, "rated_at": rated.rated_at, "number": rated.number}
    return bool((await session.execute(_IS_LAST, at)).scalar_one())


async def has_rated(session: AsyncSession, case_id: UUID, agency: str) -> bool:
    """Whether an agency rated this case."""
    return bool((await session.execute(_HAS_RATED, {"case_id": case_id, "agency": agency})).scalar_one())


async def find_assessments(
    session: AsyncSession,
    case_id: UUID,
    *,
    by: str | None = None,
    instrument: str | None = None,
    after: int = 0,
    limit: int = _NEVER,
) -> list[Rated]:
    """The ratings of a case by number; those of one agency, or of one instrument, if named."""
    values = {"case_id": case_id, "by": by, "instrument": instrument, "after": after, "limit": limit}
    return [_rated(row) for row in await session.execute(_LIST, values)]


async def count_profiles(session: AsyncSession) -> list[tuple[dict[Axis, int | None], Risk, int]]:
    """How often each profile of FDP was rated, in every case, and how it was flagged."""
    async with beyond_the_wall(session, "report"):
        rows = (await session.execute(_PROFILES)).all()
    return [(_axes_of(row), Risk(row.prolongation_risk), row.n) for row in rows]


async def count_flags(session: AsyncSession) -> list[tuple[dict[Axis, int | None], Risk, int, date, int]]:
    """The same with the rule's version, and the day on which it was flagged."""
    async with beyond_the_wall(session, "report"):
        rows = (await session.execute(_FLAGS)).all()
    return [(_axes_of(row), Risk(row.prolongation_risk), row.rule_version, row.day, row.n) for row in rows]


async def count_durations(session: AsyncSession, *, long_days: int, now: datetime) -> list[Any]:
    """How long cases took, by what their first rating said."""
    async with beyond_the_wall(session, "report"):
        return list((await session.execute(_DURATIONS, {"long": long_days, "now": now})).all())


def _axes_of(row: Any) -> dict[Axis, int | None]:
    return {axis: getattr(row, axis) for axis in Axis}


async def add_evidence(session: AsyncSession, key: DataKey, assessment_id: UUID, words: Mapping[str, str]) -> None:
    """What was seen, item by item."""
    sealed = [
        {"assessment_id": assessment_id, "item": item, "sealed": key.seal(said, _place(assessment_id, item))}
        for item, said in sorted(words.items())
    ]
    await session.execute(_ADD_EVIDENCE, sealed)


async def find_evidence(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, dict[str, bytes]]:
    """The evidence of these ratings, still sealed."""
    found: dict[UUID, dict[str, bytes]] = {}
    for row in await session.execute(_EVIDENCE, {"ids": list(ids)}):
        found.setdefault(row.assessment_id, {})[row.item] = row.sealed
    return found


def opened(key: DataKey, assessment_id: UUID, sealed: Mapping[str, bytes]) -> dict[str, str]:
    """The words of a rating."""
    return {item: key.open(value, _place(assessment_id, item)) for item, value in sealed.items()}


def _place(assessment_id: UUID, item: str) -> Place:
    return Place("evidence", item, str(assessment_id))


def _rated(row: Any) -> Rated:
    levels = row.levels if row.instrument != FDP else {str(axis): getattr(row, axis) for axis in Axis}
    return Rated(
        id=row.id,
        case_id=row.case_id,
        number=row.number,
        instrument=row.instrument,
        rubric=row.rubric,
        setting=row.setting,
        levels={item: level for item, level in levels.items() if level is not None},
        not_observed=tuple(row.not_observed),
        raters=tuple(row.raters),
        professions=tuple(row.professions),
        rated_by=row.rated_by,
        rated_at=row.rated_at,
        recorded_at=row.recorded_at,
        risk=None if row.prolongation_risk is None else Risk(row.prolongation_risk),
        rule_version=row.rule_version,
        corrects=row.corrects_id,
        joint_id=row.joint_id,
    )
