"""What a conference decides: planned while it sits, and all of it to be done, told at once, when it concludes."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain import conference as domain
from services.assessment.domain.conference import Lane, NotDecided
from services.assessment.domain.moves import NotMoved, advance
from services.assessment.domain.tasks import ELSEWHERE, MOVES, DropReason, Kind, Party, State, Task
from services.assessment.handlers import tasks as handlers
from services.assessment.handlers.access import key_to_write
from services.assessment.handlers.conferences import (
    PURPOSE,
    NotYours,
    Seen,
    begin_move,
    covered,
    store_move,
    tell_in_lane,
)
from services.assessment.handlers.telling import tell
from services.assessment.tables import cases, conference_words, conferences, tasks
from services.assessment.tables.tasks import Row
from shared.auth import Actor
from shared.events import ConferenceConcluded, Event, ReferralDecided


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that is to happen: what, by whom, until when."""

    kind: Kind
    owner: str
    due_on: date
    programme_id: UUID | None = None
    course_run_id: UUID | None = None
    words: str | None = None


@dataclass(frozen=True, slots=True)
class NotConcluded:
    """It can't be: no_minutes, nobody_present, not_a_member."""

    reason: str


async def decide(
    session: AsyncSession, conference_id: UUID, decision: Decision, *, task_id: UUID, actor: Actor, now: datetime
) -> Seen | NotMoved | NotYours | NotDecided:
    """Write a decision down. Nobody is told before the conference concludes."""
    begun = await begin_move(session, conference_id, "decide", actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, _ = begun
    refused = domain.decide(
        seen.held,
        decision.kind,
        owner=decision.owner,
        due_on=decision.due_on,
        holder=seen.case.holder,
        covered=decision.owner in covered(seen.case, {decision.owner}, seen.today),
        today=seen.today,
    )
    if refused is not None:
        return refused
    task = Task(task_id, seen.case.id, decision.kind, State.PLANNED, decision.owner, decision.due_on)
    await handlers.assign(
        session,
        task,
        origin="conference",
        origin_id=conference_id,
        by=actor.agency,
        now=now,
        lane=seen.held.lane.value,
        programme_id=decision.programme_id,
        course_run_id=decision.course_run_id,
        words=await _sealed(session, seen, decision, task_id, actor),
    )
    return await store_move(session, seen, seen.held, "decide", by=actor.agency, now=now)


async def _sealed(session: AsyncSession, seen: Seen, decision: Decision, task_id: UUID, actor: Actor) -> bytes | None:
    if decision.words is None:
        return None
    purpose, basis = PURPOSE[seen.held.lane], seen.basis(actor.agency)
    key = await key_to_write(session, seen.case.id, [handlers.WORDS], purpose=purpose, basis=basis, actor=actor)
    return key.seal(decision.words, tasks.words_place(task_id))


async def undo_decision(
    session: AsyncSession, conference_id: UUID, task_id: UUID, *, actor: Actor, now: datetime
) -> Seen | NotMoved | NotYours | None:
    """Take a decision back before the conference concludes. None: it has no such decision."""
    begun = await begin_move(session, conference_id, "undo_decision", actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, _ = begun
    for row in await _planned(session, seen):
        if row.task.id == task_id:
            await handlers.drop(session, row, DropReason.MISTAKE, by=actor.agency, now=now)
            return await store_move(session, seen, seen.held, "undo_decision", by=actor.agency, now=now)
    return None


async def conclude(
    session: AsyncSession,
    conference_id: UUID,
    present: Collection[tuple[str, str]],
    *,
    actor: Actor,
    now: datetime,
) -> Seen | NotMoved | NotYours | NotConcluded:
    """End it: every decision begins, in one transaction, and is told with it."""
    begun = await begin_move(session, conference_id, "conclude", actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, state = begun
    places = {(member.agency, member.profession) for member in seen.held.members}
    if not set(present) <= places:
        return NotConcluded("not_a_member")
    if not present:
        return NotConcluded("nobody_present")
    if await conference_words.find_minutes(session, conference_id, by=None) is None:
        return NotConcluded("no_minutes")
    await conferences.store_present(session, conference_id, present)
    members = tuple(replace(m, present=(m.agency, m.profession) in present) for m in seen.held.members)
    held = replace(seen.held, state=state, members=members)
    concluded = await store_move(session, seen, held, "conclude", by=actor.agency, now=now)
    planned = await _planned(session, seen)
    begins = [event for row in planned for event in await _begin(session, seen, row, by=actor.agency, now=now)]
    ends = await _meet_duty(session, seen, by=actor.agency, now=now)
    event = ConferenceConcluded(
        case_id=held.case_id,
        conference_id=held.id,
        chair=held.chair,
        present=sorted({agency for agency, _ in present}),
        held_on=held.held_on,
        decisions=len(planned),
    )
    await tell_in_lane(session, held, event, *begins, *ends, now=now)
    return concluded


async def _begin(session: AsyncSession, seen: Seen, row: Row, *, by: str, now: datetime) -> list[Event]:
    """A decision is to be done from now on; what another service carries out is told to it as well."""
    told = [await handlers.begin(session, row, by=by, now=now)]
    if row.task.kind in ELSEWHERE:
        told.append(
            ReferralDecided(
                case_id=seen.case.id,
                task_id=row.task.id,
                owner=row.task.owner,
                municipality=seen.case.municipality,
                programme_id=row.programme_id,
                course_run_id=row.course_run_id,
                due_on=row.task.due_on,
                consent_version=await cases.consent_version(session, seen.case.id),
            )
        )
    return told


async def _meet_duty(session: AsyncSession, seen: Seen, *, by: str, now: datetime) -> list[Event]:
    """A conference with consent meets the rule's duty. One by Art. 9 leaves it: that it is met would tell of it."""
    if seen.held.lane is Lane.ART_9:
        return []
    waiting = await tasks.lock_waiting(session, seen.case.id, {Kind.JOINT_CONFERENCE})
    return [await handlers.finish(session, row, by=by, now=now) for row in waiting]


async def _planned(session: AsyncSession, seen: Seen) -> list[Row]:
    rows = await tasks.lock_of_conferences(session, seen.case.id)
    return [row for row in rows if row.origin_id == seen.held.id and row.task.state is State.PLANNED]


async def decisions_of(session: AsyncSession, conference_id: UUID) -> list[Row]:
    """What it decided, or is about to; what was taken back is left out."""
    rows = await tasks.find_of_origin(session, conference_id)
    taken_back = {DropReason.MISTAKE.value, DropReason.CONFERENCE_CANCELLED.value}
    return [row for row in rows if not (row.task.state is State.DROPPED and row.reason in taken_back)]


# --- what becomes of it in another service --------------------------------------------------------------------------


async def referral_left(
    session: AsyncSession,
    case_id: UUID,
    task_id: UUID,
    referral_id: UUID,
    *,
    passed_on: bool,
    by: str,
    now: datetime,
) -> None:
    """A decided referral was sent, or passed on: the task waits for what becomes of it there."""
    row = await _of_referral(session, case_id, task_id)
    if row is not None:
        name = "pass_on" if passed_on else "arrive"
        await _follow(session, row, name, None, referral_id=referral_id, by=by, now=now)


async def referral_stayed(
    session: AsyncSession, case_id: UUID, task_id: UUID, *, reason: str, by: str, now: datetime
) -> None:
    """It can't be sent: back to its owner, with the reason."""
    row = await _of_referral(session, case_id, task_id)
    if row is not None:
        await _follow(session, row, "come_back", reason, referral_id=row.referral_id, by=by, now=now)


async def referral_ended(
    session: AsyncSession, case_id: UUID, referral_id: UUID, *, reason: str | None, by: str, now: datetime
) -> None:
    """It was accepted (no reason), or declined or taken back, with one."""
    if await cases.lock_case(session, case_id) is None:
        return
    for row in await tasks.lock_of_referral(session, referral_id):
        if row.task.case_id == case_id:
            name = "finish" if reason is None else "come_back"
            await _follow(session, row, name, reason, referral_id=referral_id, by=by, now=now)


async def _of_referral(session: AsyncSession, case_id: UUID, task_id: UUID) -> Row | None:
    if await cases.lock_case(session, case_id) is None:
        return None
    row = await tasks.lock_task(session, task_id)
    fits = row is not None and row.task.case_id == case_id and row.task.kind in ELSEWHERE
    return row if fits else None


async def _follow(
    session: AsyncSession,
    row: Row,
    name: str,
    reason: str | None,
    *,
    referral_id: UUID | None,
    by: str,
    now: datetime,
) -> None:
    moved = advance(MOVES, row.task.state, name, {Party.NEWS})
    if isinstance(moved, NotMoved):
        return  # it was dropped or finished meanwhile
    task = replace(row.task, state=State(moved.state))
    await tasks.change_task(session, task, name, reason=reason, referral_id=referral_id, by=by, at=now)
    if task.state is State.DONE:
        await tell(session, task.case_id, handlers.ended(task, None), now=now)


async def consent_found(session: AsyncSession, case_id: UUID, *, by: str, now: datetime) -> None:
    """The person said yes: what was to seek that is done, in a locked case."""
    told = [
        (row.lane, await handlers.finish(session, row, by=by, now=now))
        for row in await tasks.lock_waiting(session, case_id, {Kind.CONSENT_TO_SEEK})
        if row.origin != "plan"  # that one is done once every agency of the plan is reached
    ]
    events = [event for lane, event in told if lane == Lane.CONSENT]
    if events:
        await tell(session, case_id, *events, now=now)
