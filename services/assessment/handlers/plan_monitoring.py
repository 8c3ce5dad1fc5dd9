"""A plan in force: monitored by entries, and evaluated at its end, with what follows from that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.moves import NotMoved
from services.assessment.domain.plan import Ending, Going
from services.assessment.domain.tasks import Kind, State, Task
from services.assessment.handlers import plan_work
from services.assessment.handlers.plans import NotYours, Ready, Said, Written, begin, store, take
from services.assessment.handlers.tasks import assign
from services.assessment.handlers.telling import tell
from services.assessment.tables import plans, tasks
from services.assessment.tables.plans import Plan
from shared import vault
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.events import Event, PlanEvaluated
from shared.service import day_in_japan, working_day_after

CLOSE_WITHIN = 5
"""Working days in which the holder closes a case whose plan ended so."""
_WHAT_FOLLOWS = {
    Ending.CLOSE: "プランの評価は「終結」です。相談受付でケースを終結してください。"
    " / The plan was evaluated as finished: close the case in intake.",
    Ending.INTERRUPT: "プランの評価は「中断」です。相談受付でケースの中断を記録してください。"
    " / The plan was evaluated as interrupted: record that in intake.",
}


@dataclass(frozen=True, slots=True)
class NoSuchLine:
    """The version in force has no such line, or it was named before."""

    place: int
    reason: str


async def monitor_plan(
    session: AsyncSession,
    plan_id: UUID,
    said: Said,
    monitored: Sequence[tuple[UUID, Going]],
    next_on: date,
    *,
    actor: Actor,
    now: datetime,
) -> Plan | NotMoved | NotYours | NoSuchLine:
    """モニタリング: what was seen, how each line goes, and when it is looked at again."""
    ready = await take(session, plan_id, said.move, actor=actor)
    if not isinstance(ready, Ready):
        return ready
    plan = replace(ready.plan, monitor_on=next_on)
    assert plan.decided_version is not None
    known = {stored.id for stored in await plans.find_lines(session, plan_id, plan.decided_version)}
    unfit = _unfit(monitored, known)
    if unfit is not None:
        return unfit
    detail = {"next_on": next_on.isoformat(), "lines": {str(line_id): going for line_id, going in monitored}}
    said = replace(said, version=plan.decided_version, detail=detail)
    await store(session, plan, said, actor=actor, now=now)
    told = await plan_work.follow_monitoring(session, ready.case, plan, dict(monitored), by=actor.agency, now=now)
    await tell(session, plan.case_id, *told, now=now)
    return plan


def _unfit(monitored: Sequence[tuple[UUID, Going]], known: set[UUID]) -> NoSuchLine | None:
    seen: set[UUID] = set()
    for place, (line_id, _) in enumerate(monitored):
        if line_id not in known or line_id in seen:
            return NoSuchLine(place, "line_twice" if line_id in seen else "no_such_line")
        seen.add(line_id)
    return None


async def evaluate_plan(
    session: AsyncSession, plan_id: UUID, said: Said, ending: Ending, *, next_plan_id: UUID, actor: Actor, now: datetime
) -> Plan | NotMoved | NotYours:
    """評価: whether the goal was reached, what changed, what remains; and a next plan, or the end of the case to come.

    The case itself is intake's: the holder gets a task to close it there.
    """
    ready = await take(session, plan_id, said.move, actor=actor)
    if not isinstance(ready, Ready):
        return ready
    plan = plans.ended(ready.plan, now)
    said = replace(said, version=plan.decided_version, detail={"ending": ending.value})
    key = await store(session, plan, said, actor=actor, now=now)
    assert key is not None
    told = await plan_work.end(session, plan, by=actor.agency, now=now)
    if ending is Ending.NEW_PLAN:
        written = await _what_remains(session, plan, said, key, day_in_japan(now))
        await begin(session, ready.case, written, plan_id=next_plan_id, actor=actor, now=now)
        plan = replace(plan, next_plan_id=next_plan_id)
        await plans.change_plan(session, plan)
    else:
        told.append(await _close(session, ready, ending, key, by=actor.agency, now=now))
    evaluated = PlanEvaluated(
        case_id=plan.case_id, plan_id=plan.id, number=plan.number, reached=said.code or "", ending=ending.value
    )
    await tell(session, plan.case_id, evaluated, *told, now=now)
    return plan


async def _what_remains(session: AsyncSession, plan: Plan, said: Said, key: vault.DataKey, today: date) -> Written:
    """The next plan's first version: what remains, and the lines that are not done. Its days the holder sets anew."""
    assert plan.decided_version is not None
    version = await plans.find_version(session, plan.id, plan.decided_version)
    assert version is not None
    going = await last_seen(session, plan.id)
    lines = [
        (stored.line, key.open(stored.what, plans.line_place(stored.id)))
        for stored in await plans.find_lines(session, plan.id, version.version)
        if going.get(stored.id) is not Going.DONE
    ]
    problems = said.words.get("remains") or key.open(
        version.problems, plans.body_place(plan.id, version.version, "problems")
    )
    goal = key.open(version.goal, plans.body_place(plan.id, version.version, "goal"))
    return Written(problems, goal, tuple(lines), monitor_on=today)


async def last_seen(session: AsyncSession, plan_id: UUID) -> Mapping[UUID, Going]:
    """How each line went when it was last looked at."""
    going: dict[UUID, Going] = {}
    for step in await plans.find_steps(session, plan_id, drafts=True, move="monitor"):
        going |= {UUID(line_id): Going(state) for line_id, state in step.detail["lines"].items()}
    return going


async def _close(
    session: AsyncSession, ready: Ready, ending: Ending, key: vault.DataKey, *, by: str, now: datetime
) -> Event:
    task_id = new_id()
    on = working_day_after(day_in_japan(now), CLOSE_WITHIN)
    task = Task(task_id, ready.case.id, Kind.ACTION, State.OPEN, ready.case.holder, on)
    words = key.seal(_WHAT_FOLLOWS[ending], tasks.words_place(task_id))
    return await assign(session, task, origin=plan_work.ORIGIN, origin_id=ready.plan.id, by=by, now=now, words=words)
