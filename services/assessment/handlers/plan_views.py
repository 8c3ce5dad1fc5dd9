"""Reading plans: whoever asks, as far as `domain.plan.view` lets them; the log is written before words come out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain import access
from services.assessment.domain.access import Hidden, NoBasis, Sees, SeesOwn
from services.assessment.domain.moves import legal
from services.assessment.domain.plan import (
    DECIDES,
    MOVES,
    Going,
    Ground,
    Line,
    OwnLines,
    View,
    Whole,
    parties_of,
    version_shown,
    view,
)
from services.assessment.handlers.access import BASIS, OWN_DUTY, concerns, key_to_read, sight, writable
from services.assessment.handlers.plan_monitoring import last_seen
from services.assessment.handlers.plans import PURPOSE
from services.assessment.tables import cases, plans
from services.assessment.tables.cases import Case
from services.assessment.tables.plans import Plan, Step, StoredLine, Version
from shared.auth import Actor
from shared.consent import FOR_PLAN, consent_gap
from shared.problems import NO_BASIS, NOT_FOUND, Problem, case_not_known
from shared.service import day_in_japan
from shared.vault import DataKey

_CONSENT = BASIS[access.Ground.CONSENT]


@dataclass(frozen=True, slots=True)
class Seen:
    """A plan with how much of it the caller sees, and what the caller may do with it now."""

    plan: Plan
    case: Case
    view: Whole | OwnLines
    legal: tuple[str, ...]

    @property
    def basis(self) -> str:
        """On which legal basis it is read."""
        on_duty = isinstance(self.view, Whole) and self.view.ground is Ground.DUTY
        return OWN_DUTY if on_duty else _CONSENT

    @property
    def drafts(self) -> bool:
        """Whether versions to which nobody agreed are seen."""
        return isinstance(self.view, Whole) and self.view.drafts

    @property
    def illness(self) -> bool:
        """Whether words that may tell of illness are seen."""
        return isinstance(self.view, Whole) and self.view.illness


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line with its words, how it went last, and the task that it brought last."""

    id: UUID
    place: int
    line: Line
    what: str
    going: Going | None
    task_id: UUID | None


@dataclass(frozen=True, slots=True)
class ShownVersion:
    """What a version says, as far as the caller sees it; `withheld`: what is there, and not shown."""

    seen: Seen
    version: Version
    problems: str | None
    goal: str
    lines: tuple[ShownLine, ...]
    withheld: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A step with its words; `withheld`: the fields that are there, and not shown."""

    step: Step
    words: Mapping[str, str]
    withheld: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A version for paper, with what was last said about it on its way."""

    shown: ShownVersion
    agreed: ShownStep | None
    heard: ShownStep | None
    decided: ShownStep | None

    @property
    def is_draft(self) -> bool:
        """Whether the person has not agreed to it."""
        return self.agreed is None

    @property
    def written_on(self) -> date:
        """The day on which the version was written."""
        return day_in_japan(self.shown.version.written_at)

    @property
    def monitor_on(self) -> date:
        """When it is looked at next: the plan's day once this version is carried out, before that its own."""
        plan, version = self.shown.seen.plan, self.shown.version
        return plan.monitor_on if plan.decided_version == version.version else version.monitor_on


async def list_plans(
    session: AsyncSession, case_id: UUID, *, actor: Actor, now: datetime, after: int, limit: int
) -> list[Plan]:
    """A case's plans by number: for an agency that carries lines, those in which it does."""
    case = await cases.find_case(session, case_id)
    if case is None:
        raise case_not_known()
    seen = _allowed(case, await _view(session, case, carries=True, actor=actor, now=now), case_not_known())
    found = await _of_case(session, case, seen, actor=actor, after=after, limit=limit)
    if isinstance(seen, OwnLines) and not found and not after:
        raise Problem(NO_BASIS) if concerns(case, actor) else case_not_known()
    return found


async def plans_beside(
    session: AsyncSession, case: Case, ratings: Sees | SeesOwn, *, limit: int, actor: Actor, now: datetime
) -> list[Plan]:
    """The same for somebody who sees a case's ratings so far: none where there is nothing for it."""
    seen = _judged(case, ratings, carries=True, actor=actor, now=now)
    if isinstance(seen, Hidden | NoBasis):
        return []
    return await _of_case(session, case, seen, actor=actor, after=0, limit=limit)


async def _of_case(
    session: AsyncSession, case: Case, seen: Whole | OwnLines, *, actor: Actor, after: int, limit: int
) -> list[Plan]:
    own = actor.agency if isinstance(seen, OwnLines) else None
    drafts = isinstance(seen, Whole) and seen.drafts
    return await plans.find_of_case(session, case.id, drafts=drafts, carrier=own, after=after, limit=limit)


async def list_waiting(session: AsyncSession, *, whose: str, after: UUID, limit: int, actor: Actor) -> list[Plan]:
    """Plans at work in the cases that the caller holds; or those that wait for its decision."""
    if whose == "to_decide" and actor.kind not in DECIDES:
        return []
    return await plans.list_plans(session, actor.agency, actor.municipalities, whose=whose, after=after, limit=limit)


async def get_plan(session: AsyncSession, plan_id: UUID, *, actor: Actor, now: datetime) -> Seen:
    """A plan for whom it concerns: 404 for others, and 403 where there is no basis to read it."""
    plan = await plans.find_plan(session, plan_id)
    case = None if plan is None else await cases.find_case(session, plan.case_id)
    if plan is None or case is None:
        raise Problem(NOT_FOUND)
    carries = await plans.carries_line(session, plan_id, actor.agency)
    seen = _allowed(case, await _view(session, case, carries=carries, actor=actor, now=now), Problem(NOT_FOUND))
    if plan.agreed_version is None and not (isinstance(seen, Whole) and seen.drafts):
        raise Problem(NOT_FOUND)
    parties = parties_of(holds=actor.agency == case.holder, kind=actor.kind, serves=actor.serves(case.municipality))
    return Seen(plan, case, seen, legal(MOVES, plan.state, parties))


async def read_version(
    session: AsyncSession, plan_id: UUID, version: int | None, *, actor: Actor, now: datetime
) -> ShownVersion:
    """A version's words. None asked for: the one that counts for the caller now."""
    seen = await get_plan(session, plan_id, actor=actor, now=now)
    plan = seen.plan
    number = version or version_shown(
        seen.view, state=plan.state, version=plan.version, agreed=plan.agreed_version, decided=plan.decided_version
    )
    found = None if number is None else await plans.find_version(session, plan_id, number)
    if found is None or not (seen.drafts or await _was_agreed(session, plan_id, found.version)):
        raise Problem(NOT_FOUND)
    lines = await plans.find_lines(session, plan_id, found.version)
    if isinstance(seen.view, OwnLines):
        own = [each for each in lines if each.line.agency == actor.agency]
        if not own:
            raise Problem(NOT_FOUND)
        return await _opened(session, seen, found, own, hidden=len(own) < len(lines), actor=actor)
    return await _opened(session, seen, found, lines, hidden=False, actor=actor)


async def list_steps(
    session: AsyncSession, plan_id: UUID, *, after: int, limit: int, actor: Actor, now: datetime
) -> list[ShownStep]:
    """What happened to a plan, the oldest first, with its words."""
    seen = await get_plan(session, plan_id, actor=actor, now=now)
    if isinstance(seen.view, OwnLines):
        raise Problem(NO_BASIS)
    found = await plans.find_steps(session, plan_id, drafts=seen.drafts, after=after, limit=limit)
    return await _with_words(session, seen, found, actor=actor)


async def read_sheet(
    session: AsyncSession, plan_id: UUID, version: int | None, *, actor: Actor, now: datetime
) -> Sheet:
    """A version with the person's agreement, the meeting's opinion and the decision, for whoever reads the whole."""
    shown = await read_version(session, plan_id, version, actor=actor, now=now)
    if isinstance(shown.seen.view, OwnLines):
        raise Problem(NO_BASIS)
    steps = await plans.find_steps(session, plan_id, drafts=shown.seen.drafts)
    of_version = [step for step in steps if step.version == shown.version.version]
    last = {step.move: step for step in of_version if step.move in {"agree", "hear", "decide"}}
    found = await _with_words(session, shown.seen, list(last.values()), actor=actor)
    by_move = {each.step.move: each for each in found}
    return Sheet(shown, by_move.get("agree"), by_move.get("hear"), by_move.get("decide"))


async def _opened(
    session: AsyncSession,
    seen: Seen,
    version: Version,
    lines: Sequence[StoredLine],
    *,
    hidden: bool,
    actor: Actor,
) -> ShownVersion:
    plan = seen.plan
    fields = ["plan_goal", "plan_lines", *(["plan_problems"] if seen.illness else [])]
    key = await key_to_read(session, plan.case_id, fields, purpose=PURPOSE, basis=seen.basis, actor=actor)
    problems = plans.body_place(plan.id, version.version, "problems")
    return ShownVersion(
        seen,
        version,
        problems=key.open(version.problems, problems) if seen.illness else None,
        goal=key.open(version.goal, plans.body_place(plan.id, version.version, "goal")),
        lines=await _shown_lines(session, plan, lines, key),
        withheld=(*(() if seen.illness else ("problems",)), *(("lines",) if hidden else ())),
    )


async def _shown_lines(
    session: AsyncSession, plan: Plan, lines: Sequence[StoredLine], key: DataKey
) -> tuple[ShownLine, ...]:
    going, brought = await last_seen(session, plan.id), await plans.find_line_tasks(session, plan.id)
    return tuple(
        ShownLine(
            each.id,
            each.place,
            each.line,
            key.open(each.what, plans.line_place(each.id)),
            going.get(each.id),
            brought[each.id][-1] if each.id in brought else None,
        )
        for each in lines
    )


async def _with_words(session: AsyncSession, seen: Seen, found: Sequence[Step], *, actor: Actor) -> list[ShownStep]:
    plan = seen.plan
    sealed = await plans.find_words(session, plan.id, [step.number for step in found])
    if not sealed:
        return [ShownStep(step, {}, ()) for step in found]
    if not seen.illness:
        return [ShownStep(step, {}, tuple(sorted(sealed.get(step.number, {})))) for step in found]
    fields = sorted({f"plan_{name}" for words in sealed.values() for name in words})
    key = await key_to_read(session, plan.case_id, fields, purpose=PURPOSE, basis=seen.basis, actor=actor)
    return [ShownStep(step, plans.opened(key, plan.id, step.number, sealed.get(step.number, {})), ()) for step in found]


async def _was_agreed(session: AsyncSession, plan_id: UUID, version: int) -> bool:
    agreed = await plans.find_steps(session, plan_id, drafts=True, move="agree")
    return any(step.version == version for step in agreed)


async def _view(session: AsyncSession, case: Case, *, carries: bool, actor: Actor, now: datetime) -> View:
    ratings = await sight(session, case, actor=actor, now=now)
    return _judged(case, ratings, carries=carries, actor=actor, now=now)


def _judged(
    case: Case, ratings: Sees | SeesOwn | NoBasis | Hidden, *, carries: bool, actor: Actor, now: datetime
) -> View:
    gap = consent_gap(case.consent, purposes=FOR_PLAN, receiver=actor.agency, today=day_in_japan(now))
    decides = actor.kind in DECIDES and actor.serves(case.municipality)
    return view(ratings, decides=decides, carries=carries and gap is None)


def _allowed(case: Case, found: View, unknown: Problem) -> Whole | OwnLines:
    match found:
        case Hidden():
            raise unknown
        case NoBasis():
            raise Problem(NO_BASIS)
        case _:
            writable(case)
            return found
