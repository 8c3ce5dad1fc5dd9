"""Several eyes on one person: asked, given unseen, laid side by side, agreed; then it is a rating like any other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.agreement import quarter_of
from services.assessment.domain.fdp import Setting
from services.assessment.domain.instruments import Answer, Instrument, faults_of_answer
from services.assessment.domain.joint import (
    Gap,
    Joint,
    Refused,
    Seat,
    State,
    agree,
    close,
    gaps,
    give,
    pairs,
    seen_by,
)
from services.assessment.handlers import assessments
from services.assessment.handlers.access import (
    OWN_DUTY,
    concerning,
    covered,
    key_to_read,
    key_to_write,
    withheld_from,
    writable,
)
from services.assessment.handlers.assessments import Given, NoAnswer, Recorded
from services.assessment.tables import agreement, cases, instruments
from services.assessment.tables import joint as tables
from services.assessment.tables.cases import Case
from services.assessment.tables.joint import Row
from shared.auth import Actor
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

PURPOSE = "case_conference"
REASON = "joint_reason"
"""The field's name in the access log."""
CONSENT_LANE = "consent"
_MANY = 1_000
"""More than one case ever has: what a caller may not see is left out before a page is cut."""


@dataclass(frozen=True, slots=True)
class NotBegun:
    """It can't be: no_such_rubric, no_such_profession, case_closed, not_covered (agencies), nobody_else."""

    reason: str
    agencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A joint rating as an agency may see it: others' levels, gaps and the agreed level only once it is closed."""

    row: Row
    instrument: Instrument
    seen: Mapping[Seat, Answer]
    gaps: tuple[Gap, ...] = ()
    waiting: frozenset[Seat] | None = None
    """Who has not answered; for the chair, to remind them. None for everybody else."""


@dataclass(frozen=True, slots=True)
class Eye:
    """What a member gives."""

    profession: str
    answer: Answer
    rater: str | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


async def begin_joint(
    session: AsyncSession,
    case_id: UUID,
    seats: frozenset[Seat],
    *,
    rubric: str | None,
    joint_id: UUID,
    actor: Actor,
    now: datetime,
    lane: str = CONSENT_LANE,
    conference_id: UUID | None = None,
) -> Shown | NotBegun:
    """Ask members to rate, each for itself. In the lane of consent each must be one that consent reaches."""
    case = writable(concerning(await cases.lock_case(session, case_id), actor))
    if case.closed_at is not None:
        return NotBegun("case_closed")
    instrument = await assessments.instrument_for(session, rubric, now)
    if instrument is None:
        return NotBegun("no_such_rubric")
    if await instruments.unknown_professions(session, sorted({seat.profession for seat in seats})):
        return NotBegun("no_such_profession")
    if len(seats) < 2:
        return NotBegun("nobody_else")
    strangers = {seat.agency for seat in seats if not covered(case, seat.agency, chair=actor.agency, now=now)}
    if lane == CONSENT_LANE and strangers:
        return NotBegun("not_covered", tuple(sorted(strangers)))
    joint = Joint(actor.agency, seats)
    row = Row(joint_id, case_id, conference_id, lane, instrument.name, instrument.version, joint, None, now, None, None)
    await tables.add_joint(session, row)
    return Shown(row, instrument, {}, waiting=joint.waiting)


async def give_levels(
    session: AsyncSession, joint_id: UUID, eye: Eye, *, actor: Actor, now: datetime
) -> Shown | Refused | NoAnswer:
    """A member's levels, once, unseen by the others until the last is in or the chair closes."""
    case, row = await _lock(session, joint_id, actor, now)
    seat = Seat(actor.agency, eye.profession)
    decision = Refused("case_closed") if case.closed_at else give(row.joint, seat)
    if isinstance(decision, Refused):
        return decision
    instrument = await _instrument(session, row)
    faults = faults_of_answer(instrument, eye.answer, told=eye.reasons)
    if faults:
        return NoAnswer(instrument, tuple(faults))
    key = None
    if eye.reasons:
        key = await key_to_write(session, case.id, [REASON], purpose=PURPOSE, basis=_basis(row, actor), actor=actor)
    await tables.give(session, joint_id, seat, eye.answer, rater=eye.rater, key=key, reasons=eye.reasons, at=now)
    if decision.joint.state is State.SIDE_BY_SIDE:
        await _lay_side_by_side(session, row, instrument, now)
    return await get_joint(session, joint_id, actor=actor, now=now)


async def close_joint(session: AsyncSession, joint_id: UUID, *, actor: Actor, now: datetime) -> Shown | Refused:
    """The chair ends it: who has not answered by now does not."""
    case, row = await _lock(session, joint_id, actor, now)
    decision = Refused("case_closed") if case.closed_at else close(row.joint, by=actor.agency)
    if isinstance(decision, Refused):
        return decision
    await _lay_side_by_side(session, row, await _instrument(session, row), now)
    return await get_joint(session, joint_id, actor=actor, now=now)


async def agree_joint(
    session: AsyncSession,
    joint_id: UUID,
    answer: Answer,
    *,
    evidence: Mapping[str, str],
    assessment_id: UUID,
    actor: Actor,
    now: datetime,
) -> tuple[Shown, Recorded | None] | Refused | NoAnswer:
    """The agreed level for each item. In the lane of consent it becomes the case's rating, with what follows from it.

    What was agreed in a statutory meeting stays there: nothing of it is told, and no duty shows it to anybody.
    """
    case, row = await _lock(session, joint_id, actor, now)
    decision = Refused("case_closed") if case.closed_at else agree(row.joint, by=actor.agency)
    if isinstance(decision, Refused):
        return decision
    instrument = await _instrument(session, row)
    faults = faults_of_answer(instrument, answer, told=evidence)
    if faults:
        return NoAnswer(instrument, tuple(faults))
    await tables.agree(session, joint_id, answer, at=now)
    recorded = None
    if row.lane == CONSENT_LANE:
        recorded = await _record(session, case, row, answer, evidence, assessment_id, instrument, actor, now)
    return await get_joint(session, joint_id, actor=actor, now=now), recorded


async def get_joint(session: AsyncSession, joint_id: UUID, *, actor: Actor, now: datetime) -> Shown:
    """As the caller may see it: the chair, members that consent reaches, and the holder. 404 for everybody else."""
    row = await tables.find_joint(session, joint_id)
    case = None if row is None else await cases.find_case(session, row.case_id)
    if row is None or case is None or not may_see(row, case, actor, now):
        raise Problem(NOT_FOUND)
    writable(case)
    return await _shown(session, row, actor)


async def list_joints(
    session: AsyncSession, case_id: UUID, *, after: UUID | None, limit: int, actor: Actor, now: datetime
) -> list[Row]:
    """Those of a case that the caller may see."""
    case = await cases.find_case(session, case_id)
    if case is None:
        raise Problem(NOT_FOUND)
    found = await tables.find_joints(session, case_id, after=after, limit=_MANY)
    return [row for row in found if may_see(row, writable(case), actor, now)][:limit]


async def read_reasons(
    session: AsyncSession, joint_id: UUID, *, actor: Actor, now: datetime
) -> tuple[Mapping[Seat, Mapping[str, str]], frozenset[str]]:
    """What each gave as reason, as far as the caller may see it; and of which items words about illness are kept."""
    shown = await get_joint(session, joint_id, actor=actor, now=now)
    case = await cases.find_case(session, shown.row.case_id)
    assert case is not None
    sealed = await tables.find_reasons(session, joint_id)
    hidden = withheld_from(case, shown.instrument.special_care, actor)
    readable = {
        seat: {item: words for item, words in said.items() if seat.agency == actor.agency or item not in hidden}
        for seat, said in sealed.items()
        if seat in shown.seen
    }
    withheld = hidden & {
        item for seat, said in sealed.items() if seat in shown.seen and seat.agency != actor.agency for item in said
    }
    if not any(readable.values()):
        return {}, withheld
    basis = _basis(shown.row, actor) if actor.agency != case.holder else OWN_DUTY
    key = await key_to_read(session, case.id, [REASON], purpose=PURPOSE, basis=basis, actor=actor)
    return {seat: tables.opened(key, joint_id, seat, said) for seat, said in readable.items() if said}, withheld


async def _shown(session: AsyncSession, row: Row, actor: Actor) -> Shown:
    instrument = await _instrument(session, row)
    seen = seen_by(row.joint, actor.agency, await tables.find_eyes(session, row.id))
    apart = () if row.joint.state is State.RATING else tuple(gaps(seen, instrument.levels))
    waiting = row.joint.waiting if actor.agency == row.joint.chair else None
    return Shown(row, instrument, seen, apart, waiting)


async def _lock(session: AsyncSession, joint_id: UUID, actor: Actor, now: datetime) -> tuple[Case, Row]:
    found = await tables.find_joint(session, joint_id)
    case = None if found is None else await cases.lock_case(session, found.case_id)
    row = None if case is None else await tables.lock_joint(session, joint_id)
    if case is None or row is None or not may_see(row, case, actor, now):
        raise Problem(NOT_FOUND)
    return writable(case), row


def may_see(row: Row, case: Case, actor: Actor, now: datetime) -> bool:
    """A member that consent no longer reaches sees nothing any more, not even what it gave itself."""
    member = actor.agency in {seat.agency for seat in row.joint.seats}
    if row.lane != CONSENT_LANE:
        # Its members on its day, and its chair: nobody else hears that it was.
        same_day = day_in_japan(now) == day_in_japan(row.begun_at)
        return actor.agency == row.joint.chair or (member and same_day)
    if actor.agency == case.holder:
        return True
    part = member or actor.agency == row.joint.chair
    return part and covered(case, actor.agency, chair=row.joint.chair, now=now)


def _basis(row: Row, actor: Actor) -> str:
    if row.lane != CONSENT_LANE:
        return row.lane
    return OWN_DUTY if actor.agency == row.joint.chair else "consent"


async def _instrument(session: AsyncSession, row: Row) -> Instrument:
    found = await instruments.find_version(session, row.rubric)
    assert found is not None
    return found.instrument


async def _lay_side_by_side(session: AsyncSession, row: Row, instrument: Instrument, now: datetime) -> None:
    await tables.close(session, row.id, at=now)
    if row.lane != CONSENT_LANE:
        return  # a count of who rated together would tell that they met
    seen = await tables.find_eyes(session, row.id)  # the wall shows all of them from here on
    await agreement.add_pairs(
        session,
        row.id,
        pairs(seen),
        seen,
        items=sorted(instrument.levels),
        instrument=instrument.name,
        quarter=quarter_of(day_in_japan(now)),
        vignette=False,
    )


async def _record(
    session: AsyncSession,
    case: Case,
    row: Row,
    answer: Answer,
    evidence: Mapping[str, str],
    assessment_id: UUID,
    instrument: Instrument,
    actor: Actor,
    now: datetime,
) -> Recorded:
    given = Given(
        answer,
        Setting.JOINT_CONFERENCE.value,
        row.rubric,
        raters=tuple(sorted({seat.agency for seat in row.joint.given})),
        professions=tuple(sorted({seat.profession for seat in row.joint.given})),
        evidence=evidence,
    )
    return await assessments.store(
        session,
        case,
        given,
        instrument,
        assessment_id=assessment_id,
        rated_at=row.closed_at or now,
        actor=actor,
        now=now,
        joint_id=row.id,
    )
