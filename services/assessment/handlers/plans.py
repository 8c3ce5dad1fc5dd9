"""Plans on their way: drafted, changed, agreed to, heard, decided, sent back, given up; interrupted with the case."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.moves import NotMoved, advance
from services.assessment.domain.plan import MOVES, Faults, Line, Party, State, faults_of, parties_of
from services.assessment.handlers import plan_work
from services.assessment.handlers.access import OWN_DUTY, concerning, concerns, key_to_write, writable
from services.assessment.handlers.telling import tell
from services.assessment.tables import cases, plans
from services.assessment.tables.cases import Case
from services.assessment.tables.plans import Plan, Step
from shared import vault
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.events import Event, PlanAgreed, PlanDecided
from shared.problems import NOT_FOUND, STALE, Problem
from shared.service import day_in_japan, expect

PURPOSE = "support"
BODY = ("plan_problems", "plan_goal", "plan_lines")
"""What a version holds, by its names in the access log."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a version is to say."""

    problems: str
    goal: str
    lines: tuple[tuple[Line, str], ...]
    monitor_on: date


@dataclass(frozen=True, slots=True)
class Said:
    """What happened to a plan: a move with its day, its code and its words. `version`: which it is about, if not the
    newest."""

    move: str
    on: date
    version: int | None = None
    code: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotOpened:
    """No plan can be drafted: case_closed, plan_at_work."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotYours:
    """Only who holds the case, and the municipality, move a plan."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """A version that is no plan, or to which nobody can agree today any more."""

    faults: Faults


@dataclass(frozen=True, slots=True)
class Ready:
    """A locked plan of a locked case, the move being legal; `plan` already stands where it leads."""

    case: Case
    plan: Plan


async def draft_plan(
    session: AsyncSession, case_id: UUID, written: Written, *, plan_id: UUID, actor: Actor, now: datetime
) -> Plan | NotOpened | NotYours | NotReady:
    """A plan of a case that has none at work."""
    case = writable(concerning(await cases.lock_case(session, case_id), actor))
    if actor.agency != case.holder:
        return NotYours()
    if case.closed_at is not None:
        return NotOpened("case_closed")
    if await plans.lock_at_work(session, case_id) is not None:
        return NotOpened("plan_at_work")
    faults = _faults(written, now)
    if faults:
        return NotReady(faults)
    return await begin(session, case, written, plan_id=plan_id, actor=actor, now=now)


async def begin(
    session: AsyncSession, case: Case, written: Written, *, plan_id: UUID, actor: Actor, now: datetime
) -> Plan:
    """Store the next plan of a locked case, as a draft."""
    number = await plans.last_number(session, case.id) + 1
    plan = Plan(
        id=plan_id,
        case_id=case.id,
        number=number,
        state=State.DRAFT,
        version=1,
        agreed_version=None,
        decided_version=None,
        monitor_on=written.monitor_on,
        steps=1,
        next_plan_id=None,
        created_by=actor.agency,
        created_at=now,
        ended_at=None,
    )
    await plans.add_plan(session, plan)
    await _write(session, plan, written, "draft", actor=actor, now=now)
    return plan


async def revise_plan(
    session: AsyncSession, plan_id: UUID, written: Written, *, read: int, actor: Actor, now: datetime
) -> Plan | NotMoved | NotYours | NotReady:
    """The next version. Nobody agreed to it yet; what was decided stays in force until it is decided too."""
    ready = await take(session, plan_id, "revise", actor=actor)
    if not isinstance(ready, Ready):
        return ready
    expect(ready.plan.steps - 1, read)
    faults = _faults(written, now)
    if faults:
        return NotReady(faults)
    # The day of the next monitoring is the decided version's, until another is decided.
    monitor_on = written.monitor_on if ready.plan.decided_version is None else ready.plan.monitor_on
    plan = replace(ready.plan, version=ready.plan.version + 1, monitor_on=monitor_on)
    await plans.change_plan(session, plan)
    await _write(session, plan, written, "revise", actor=actor, now=now)
    return plan


async def _write(
    session: AsyncSession, plan: Plan, written: Written, move: str, *, actor: Actor, now: datetime
) -> None:
    key = await key_to_write(session, plan.case_id, BODY, purpose=PURPOSE, basis=OWN_DUTY, actor=actor)
    lines = [(new_id(), line, what) for line, what in written.lines]
    version = replace(plan, monitor_on=written.monitor_on)
    await plans.add_version(
        session, key, version, lines, problems=written.problems, goal=written.goal, by=actor.agency, at=now
    )
    step = Step(plan.steps, move, plan.state, plan.version, day_in_japan(now), actor.agency, now)
    await plans.add_step(session, plan.id, step)


def _faults(written: Written, now: datetime) -> Faults:
    return faults_of([line for line, _ in written.lines], monitor_on=written.monitor_on, today=day_in_japan(now))


# --- moves ----------------------------------------------------------------------------------------------------------


async def agree_plan(
    session: AsyncSession, plan_id: UUID, said: Said, *, actor: Actor, now: datetime
) -> Plan | NotMoved | NotYours | NotReady:
    """本人の同意: the person said yes to this version, as it stands today."""
    ready = await take(session, plan_id, said.move, about=said.version, actor=actor)
    if not isinstance(ready, Ready):
        return ready
    version = await plans.find_version(session, plan_id, ready.plan.version)
    assert version is not None
    lines = [stored.line for stored in await plans.find_lines(session, plan_id, version.version)]
    faults = faults_of(lines, monitor_on=version.monitor_on, today=day_in_japan(now))
    if faults:
        return NotReady(faults)
    plan = replace(ready.plan, agreed_version=ready.plan.version)
    await store(session, plan, said, actor=actor, now=now)
    event = PlanAgreed(case_id=plan.case_id, plan_id=plan.id, number=plan.number, version=plan.version)
    await tell(session, plan.case_id, event, now=now)
    return plan


async def note_step(
    session: AsyncSession, plan_id: UUID, said: Said, *, actor: Actor, now: datetime
) -> Plan | NotMoved | NotYours:
    """What changes nothing but where the plan stands: disagree, hear, send_back, give_up."""
    ready = await take(session, plan_id, said.move, about=said.version, actor=actor)
    if not isinstance(ready, Ready):
        return ready
    await store(session, ready.plan, said, actor=actor, now=now)
    return ready.plan


async def decide_plan(
    session: AsyncSession, plan_id: UUID, said: Said, *, actor: Actor, now: datetime
) -> Plan | NotMoved | NotYours:
    """支援決定: from now on this version is carried out, and what it asks for becomes tasks."""
    ready = await take(session, plan_id, said.move, about=said.version, actor=actor)
    if not isinstance(ready, Ready):
        return ready
    version = await plans.find_version(session, plan_id, ready.plan.version)
    assert version is not None
    # It may have lain for long before it was decided: then monitoring is due at once.
    monitor_on = max(version.monitor_on, day_in_japan(now))
    plan = replace(ready.plan, decided_version=ready.plan.version, monitor_on=monitor_on)
    await store(session, plan, said, actor=actor, now=now)
    told = await plan_work.begin(session, ready.case, plan, by=actor.agency, now=now)
    await tell(session, plan.case_id, await _decided(session, plan, said), *told, now=now)
    return plan


async def _decided(session: AsyncSession, plan: Plan, said: Said) -> Event:
    lines = [stored.line for stored in await plans.find_lines(session, plan.id, plan.version)]
    return PlanDecided(
        case_id=plan.case_id,
        plan_id=plan.id,
        number=plan.number,
        version=plan.version,
        decided=said.code or "",
        schemes=sorted({line.scheme for line in lines if line.scheme is not None}),
        agencies=sorted({line.agency for line in lines if line.agency is not None}),
        monitor_on=plan.monitor_on,
    )


async def interrupt_plan(session: AsyncSession, case_id: UUID, *, by: str, now: datetime) -> None:
    """The case was closed: what is at work in it ends, as a fact of its own."""
    plan = await plans.lock_at_work(session, case_id)
    if plan is None:
        return
    moved = advance(MOVES, plan.state, "interrupt", {Party.SERVICE})
    assert not isinstance(moved, NotMoved)
    plan = plans.ended(replace(plan, state=State(moved.state), steps=plan.steps + 1), now)
    await plans.change_plan(session, plan)
    version = plan.decided_version or plan.version
    step = Step(plan.steps, "interrupt", plan.state, version, day_in_japan(now), by, now, "case_closed")
    await plans.add_step(session, plan.id, step)


# --- for every move -------------------------------------------------------------------------------------------------


async def take(
    session: AsyncSession, plan_id: UUID, move: str, *, about: int | None = None, actor: Actor
) -> Ready | NotMoved | NotYours:
    """The plan under its case's lock, moved; 404 where it is not the caller's business, 412 for an older version."""
    found = await plans.find_plan(session, plan_id)
    # The case first, as everywhere: its row is the lock.
    case = None if found is None else await cases.lock_case(session, found.case_id)
    plan = None if case is None else await plans.lock_plan(session, plan_id)
    if case is None or plan is None or not concerns(case, actor):
        raise Problem(NOT_FOUND)
    parties = parties_of(holds=actor.agency == case.holder, kind=actor.kind, serves=actor.serves(case.municipality))
    if not parties:
        return NotYours()
    writable(case)
    moved = advance(MOVES, plan.state, move, parties)
    if isinstance(moved, NotMoved):
        return moved
    if about is not None and about != plan.version:
        raise Problem(STALE)
    return Ready(case, replace(plan, state=State(moved.state), steps=plan.steps + 1))


async def store(session: AsyncSession, plan: Plan, said: Said, *, actor: Actor, now: datetime) -> vault.DataKey | None:
    """Write a step of a locked plan, its words sealed. The key, where there were words."""
    await plans.change_plan(session, plans.ended(plan, now))
    version = said.version or plan.version
    step = Step(plan.steps, said.move, plan.state, version, said.on, actor.agency, now, said.code, said.detail)
    await plans.add_step(session, plan.id, step)
    if not said.words:
        return None
    fields = [f"plan_{name}" for name in said.words]
    key = await key_to_write(session, plan.case_id, fields, purpose=PURPOSE, basis=OWN_DUTY, actor=actor)
    await plans.add_words(session, key, plan.id, plan.steps, said.words)
    return key
