"""Load, ask, store, tell: recording a rating, and reading what was rated."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment import tables
from services.assessment.domain.fdp import Axis, Change, Rating, assess_prolongation, compare, standing
from services.assessment.domain.reading import Reach, reach
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.consent import FOR_ASSESSMENT, consent_gap
from shared.events import AssessmentRecorded
from shared.problems import ERASED, NO_BASIS, Problem, case_not_known
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class Rated:
    """What an agency rated; `rated_at` is None for "just now", or when the corrected one was rated."""

    levels: Mapping[Axis, int | None]
    setting: str
    rubric: str
    raters: tuple[str, ...]
    rated_at: datetime | None
    corrects: UUID | None


@dataclass(frozen=True, slots=True)
class NothingToCorrect:
    """The case has no such assessment."""


@dataclass(frozen=True, slots=True)
class CorrectedAlready:
    """Another assessment corrects it; that one can be corrected in its turn."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The case is closed: who is not supported is not rated."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first and the last rating that stand, and what changed in between."""

    initial: Row[Any]
    latest: Row[Any]
    changes: tuple[Change, ...]


async def record_assessment(
    session: AsyncSession, case_id: UUID, rated: Rated, *, assessment_id: UUID, actor: Actor, now: datetime
) -> Row[Any] | NothingToCorrect | CorrectedAlready | Closed:
    """Add a rating to a case. Nothing that was rated before is touched."""
    case = await tables.lock_case(session, case_id)
    if case is None or not _concerns(case, actor):
        raise case_not_known()
    if case.erased_at is not None:
        raise Problem(ERASED)
    if case.closed_at is not None:
        return Closed()
    rated_at = rated.rated_at or now
    if rated.corrects is not None:
        corrected = await tables.find_assessment(session, case_id, rated.corrects)
        if corrected is None:
            return NothingToCorrect()
        if await tables.is_corrected(session, rated.corrects):
            return CorrectedAlready()
        # A correction takes the place of what it corrects, in time as well: else a first rating would become the last.
        rated_at = rated.rated_at or corrected.rated_at
    number = case.assessments + 1
    found = assess_prolongation(rated.levels)
    row = await tables.add_assessment(
        session,
        {
            "id": assessment_id,
            "case_id": case_id,
            "number": number,
            "rubric": rated.rubric,
            "setting": rated.setting,
            **{str(axis): rated.levels.get(axis) for axis in Axis},
            "raters": list(rated.raters),
            "rated_by": actor.agency,
            "rated_at": rated_at,
            "recorded_at": now,
            "prolongation_risk": str(found.risk),
            "corrects_id": rated.corrects,
        },
    )
    await emit(session, (_recorded(row), number), at=now)
    return row


async def list_assessments(
    session: AsyncSession, case_id: UUID, *, actor: Actor, now: datetime, after: int, limit: int
) -> list[Row[Any]]:
    """A case's assessments by number, corrected ones included, as far as the caller may read them."""
    by = await _readable(session, case_id, actor, now)
    return list(await tables.find_assessments(session, case_id, by=by, after=after, limit=limit))


async def compare_assessments(
    session: AsyncSession, case_id: UUID, *, actor: Actor, now: datetime
) -> Comparison | None:
    """First and last that the caller may read; None as long as nothing was rated."""
    by = await _readable(session, case_id, actor, now)
    rows: dict[UUID, Row[Any]] = {}
    ratings: list[Rating] = []
    for rating, row in await tables.find_ratings(session, case_id, by=by):
        rows[rating.id] = row
        ratings.append(rating)
    stand = standing(ratings)
    if not stand:
        return None
    initial, latest = stand[0], stand[-1]
    return Comparison(rows[initial.id], rows[latest.id], compare(initial, latest))


async def _readable(session: AsyncSession, case_id: UUID, actor: Actor, now: datetime) -> str | None:
    """Whose ratings the caller may read: everybody's (None), or one agency's. For others there is a reason, or no case.

    Read when it is asked, and not when it was rated: consent that was taken back since shows nothing.
    """
    case = await tables.find_case(session, case_id)
    if case is None:
        raise case_not_known()
    consent = tables.consent_of(case)
    gap = consent_gap(consent, purposes=FOR_ASSESSMENT, receiver=actor.agency, today=day_in_japan(now))
    found = reach(
        holds=tables.holder_of(case) == actor.agency,
        concerned=_concerns(case, actor) or actor.agency in consent.recipients,
        agreed=gap is None,
        rated=await tables.has_rated(session, case_id, actor.agency),
    )
    if found is Reach.NO_CASE:
        raise case_not_known()
    if case.erased_at is not None:
        raise Problem(ERASED)
    if found is Reach.NO_BASIS:
        raise Problem(NO_BASIS)
    return actor.agency if found is Reach.OWN else None


def _concerns(case: Row[Any], actor: Actor) -> bool:
    """Whose business a case is: who opened it or holds it, and its municipality's agencies."""
    return actor.agency in {case.opened_by, tables.holder_of(case)} or actor.serves(case.municipality)


def _recorded(row: Row[Any]) -> AssessmentRecorded:
    return AssessmentRecorded(
        case_id=row.case_id,
        assessment_id=row.id,
        number=row.number,
        rubric=row.rubric,
        setting=row.setting,
        interpersonal=row.interpersonal,
        mental=row.mental,
        stress=row.stress,
        thinking=row.thinking,
        environment=row.environment,
        prolongation_risk=row.prolongation_risk,
        rated_at=row.rated_at,
    )
