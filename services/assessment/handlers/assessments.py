"""Load, ask, store, tell: recording a rating with what follows from it, and reading what was rated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.access import Sees, SeesOwn
from services.assessment.domain.fdp import Axis, Risk
from services.assessment.domain.instruments import FDP, Answer, Found, Instrument, faults_of_answer
from services.assessment.domain.progress import Point, Progress, progress_of
from services.assessment.domain.rule import Consequences, Duty, Rule, assess_prolongation, consequences, rule_on
from services.assessment.handlers import duties
from services.assessment.handlers.access import (
    BASIS,
    OWN_DUTY,
    concerning,
    key_to_read,
    key_to_write,
    reach,
    writable,
)
from services.assessment.handlers.telling import tell
from services.assessment.tables import assessments, cases, instruments, rules
from services.assessment.tables.assessments import Rated
from services.assessment.tables.cases import Case
from shared.auth import Actor
from shared.events import AssessmentRecorded, Event, InstrumentAnswered
from shared.problems import NO_BASIS, NOT_FOUND, Problem
from shared.service import day_in_japan, working_day_after
from shared.vault.log import accesses_of

PURPOSE = "assessment"


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody rated; `rated_at` is None for "just now", or when the corrected one was rated."""

    answer: Answer
    setting: str
    rubric: str | None = None
    """None: the version of FDP that is in use."""
    raters: tuple[str, ...] = ()
    professions: tuple[str, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)
    rated_at: datetime | None = None
    corrects: UUID | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A rating that was recorded, in whose words, and what follows from it."""

    rated: Rated
    instrument: Instrument
    rule: Rule | None
    follows: Consequences | None


@dataclass(frozen=True, slots=True)
class NotRecorded:
    """It can't be: no_such_rubric, no_such_profession, nothing_to_correct, another_instrument, corrected_already,
    case_closed."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """It is no answer to that version of the instrument."""

    instrument: Instrument
    faults: tuple[Found, ...]


async def record_assessment(
    session: AsyncSession, case_id: UUID, given: Given, *, assessment_id: UUID, actor: Actor, now: datetime
) -> Recorded | NotRecorded | NoAnswer:
    """Add a rating to a case. Nothing that was rated before is touched."""
    case = writable(concerning(await cases.lock_case(session, case_id), actor))
    if case.closed_at is not None:
        return NotRecorded("case_closed")
    instrument = await instrument_for(session, given.rubric, now)
    if instrument is None:
        return NotRecorded("no_such_rubric")
    faults = faults_of_answer(instrument, given.answer, told=given.evidence)
    if faults:
        return NoAnswer(instrument, tuple(faults))
    if await instruments.unknown_professions(session, given.professions):
        return NotRecorded("no_such_profession")
    rated_at = await _when(session, case_id, given, instrument, now)
    if isinstance(rated_at, NotRecorded):
        return rated_at
    return await store(
        session, case, given, instrument, assessment_id=assessment_id, rated_at=rated_at, actor=actor, now=now
    )


async def store(
    session: AsyncSession,
    case: Case,
    given: Given,
    instrument: Instrument,
    *,
    assessment_id: UUID,
    rated_at: datetime,
    actor: Actor,
    now: datetime,
    joint_id: UUID | None = None,
) -> Recorded:
    """Write a rating of a locked case, the duties that it brings, and tell it."""
    rule = None
    risk = None
    if instrument.name == FDP:
        rule = rule_on(rules.versions(await rules.list_rules(session)), day_in_japan(now))
        risk = assess_prolongation(axes(given.answer.levels), rule).risk
    rated = Rated(
        id=assessment_id,
        case_id=case.id,
        number=case.assessments + 1,
        instrument=instrument.name,
        rubric=instrument.version,
        setting=given.setting,
        levels=given.answer.levels,
        not_observed=tuple(sorted(given.answer.not_observed)),
        raters=given.raters,
        professions=given.professions,
        rated_by=actor.agency,
        rated_at=rated_at,
        recorded_at=now,
        risk=risk,
        rule_version=None if rule is None else rule.version,
        corrects=given.corrects,
        joint_id=joint_id,
    )
    await assessments.add_assessment(session, rated)
    if given.evidence:
        key = await key_to_write(session, case.id, given.evidence, purpose=PURPOSE, basis=OWN_DUTY, actor=actor)
        await assessments.add_evidence(session, key, assessment_id, given.evidence)
    follows: Consequences | None = None
    told: list[Event] = []
    # What is written down late brings no duties of its own.
    if rule is not None and risk is not None and await assessments.is_last(session, rated):
        follows = consequences(
            rule,
            risk,
            rated_on=day_in_japan(rated_at),
            today=day_in_japan(now),
            working_day_after=working_day_after,
        )
        told = await duties.follow(session, case, rated, follows, by=actor.agency, now=now)
    await tell(session, case.id, _recorded(rated, follows), *told, now=now, rated=1)
    return Recorded(rated, instrument, rule, follows)


async def instrument_for(session: AsyncSession, rubric: str | None, now: datetime) -> Instrument | None:
    """The version of that name; without one, that of FDP which is in use."""
    if rubric is None:
        found = await instruments.version_on(session, FDP, day_in_japan(now))
    else:
        found = await instruments.find_version(session, rubric)
    return None if found is None else found.instrument


async def _when(
    session: AsyncSession, case_id: UUID, given: Given, instrument: Instrument, now: datetime
) -> datetime | NotRecorded:
    """When it was rated. A correction takes the place of what it corrects, or a first rating would become the last."""
    if given.corrects is None:
        return given.rated_at or now
    corrected = await assessments.find_assessment(session, case_id, given.corrects)
    if corrected is None:
        return NotRecorded("nothing_to_correct")
    if corrected.instrument != instrument.name:
        return NotRecorded("another_instrument")
    if await assessments.is_corrected(session, given.corrects):
        return NotRecorded("corrected_already")
    return given.rated_at or corrected.rated_at


def _recorded(rated: Rated, follows: Consequences | None) -> Event:
    if rated.risk is None:
        return InstrumentAnswered(
            case_id=rated.case_id,
            assessment_id=rated.id,
            number=rated.number,
            instrument=rated.instrument,
            rubric=rated.rubric,
            setting=rated.setting,
            rated_at=rated.rated_at,
        )
    dues = {} if follows is None else {due.duty: due.on for due in follows.dues}
    return AssessmentRecorded(
        case_id=rated.case_id,
        assessment_id=rated.id,
        number=rated.number,
        rubric=rated.rubric,
        setting=rated.setting,
        **{str(axis): rated.levels.get(axis) for axis in Axis},
        prolongation_risk=rated.risk.value,
        rated_at=rated.rated_at,
        rule_version=rated.rule_version,
        several_agencies=rated.risk is Risk.TRUE,
        conference_due_on=dues.get(Duty.JOINT_CONFERENCE),
        reassess_on=dues.get(Duty.REASSESSMENT),
    )


# --- reading --------------------------------------------------------------------------------------------------------


async def list_assessments(
    session: AsyncSession,
    case_id: UUID,
    *,
    instrument: str | None,
    actor: Actor,
    now: datetime,
    after: int,
    limit: int,
) -> list[tuple[Rated, Instrument]]:
    """A case's ratings by number, corrected ones included, each with the version it was given in."""
    _, sees = await reach(session, case_id, actor=actor, now=now)
    found = await assessments.find_assessments(
        session, case_id, by=_whose(sees, actor), instrument=instrument, after=after, limit=limit
    )
    versions = await versions_of(session, found)
    return [(rated, versions[rated.rubric]) for rated in found]


async def read_progress(
    session: AsyncSession, case_id: UUID, instrument: str, *, actor: Actor, now: datetime
) -> tuple[Progress | None, Mapping[UUID, Rated], Mapping[str, Instrument]]:
    """First, last and the way in between, as far as the caller may see; and in whose words each was given."""
    _, sees = await reach(session, case_id, actor=actor, now=now)
    found = await assessments.find_assessments(session, case_id, by=_whose(sees, actor), instrument=instrument)
    versions = await versions_of(session, found)
    items = list(versions[found[-1].rubric].levels) if found else []
    return progress_of([point_of(each) for each in found], items), {each.id: each for each in found}, versions


async def read_evidence(
    session: AsyncSession, case_id: UUID, assessment_id: UUID, *, actor: Actor, now: datetime
) -> tuple[Mapping[str, str], frozenset[str]] | None:
    """What was written about a rating, and of which items it is withheld. None: no such rating, for this caller."""
    _, sees = await reach(session, case_id, actor=actor, now=now)
    rated = await assessments.find_assessment(session, case_id, assessment_id)
    if rated is None or (isinstance(sees, SeesOwn) and rated.rated_by != actor.agency):
        return None
    sealed = (await assessments.find_evidence(session, [assessment_id])).get(assessment_id, {})
    withheld: frozenset[str] = frozenset()
    if isinstance(sees, Sees) and not sees.illness and rated.rated_by != actor.agency:
        withheld = (await versions_of(session, [rated]))[rated.rubric].special_care & sealed.keys()
    shown = {item: words for item, words in sealed.items() if item not in withheld}
    if not shown:
        return {}, withheld
    basis = BASIS[sees.ground] if isinstance(sees, Sees) else OWN_DUTY
    key = await key_to_read(session, case_id, shown, purpose=PURPOSE, basis=basis, actor=actor)
    return assessments.opened(key, assessment_id, shown), withheld


async def list_accesses(session: AsyncSession, case_id: UUID, *, after: int, limit: int, actor: Actor) -> Sequence[Any]:
    """Who looked at what is written here about a person, oldest first; for who holds the case, and tells the person."""
    case = concerning(await cases.find_case(session, case_id), actor)
    if actor.agency != case.holder:
        raise Problem(NO_BASIS)
    return await accesses_of(session, case_id, after=after, limit=limit)


async def instrument_in_use(session: AsyncSession, name: str, now: datetime) -> Instrument:
    """The version of an instrument that is in use today. 404 where there is none."""
    found = await instruments.version_on(session, name, day_in_japan(now))
    if found is None:
        raise Problem(NOT_FOUND)
    return found.instrument


async def versions_of(session: AsyncSession, found: Sequence[Rated]) -> dict[str, Instrument]:
    """The versions in which these were given."""
    names = {rated.rubric for rated in found}
    return {name: each.instrument for name in names if (each := await instruments.find_version(session, name))}


def point_of(rated: Rated) -> Point:
    """The rating as far as comparing needs it."""
    return Point(rated.id, rated.number, rated.rubric, rated.rated_at, rated.levels, rated.corrects)


def _whose(sees: Sees | SeesOwn, actor: Actor) -> str | None:
    return actor.agency if isinstance(sees, SeesOwn) else None


def axes(levels: Mapping[str, int]) -> dict[Axis, int | None]:
    """Levels of FDP by axis, as the rule reads them."""
    return {axis: levels.get(axis) for axis in Axis}
