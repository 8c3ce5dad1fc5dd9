"""A plan of training seats is recorded in versions, and its seats move; what course runs use is read, not changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, assert_never
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.decisions import DecisionState
from services.training.domain.plan import Fault, Line, Tree, check_plan, day_after, fiscal_quarter
from services.training.domain.plan_moves import (
    Book,
    Move,
    Moved,
    Refused,
    applied,
    carry_over,
    carry_remainders,
    open_to_all,
    revise,
    transfer,
    use_of,
)
from services.training.handlers.motions import begin_of
from services.training.tables import decisions, plans
from services.training.tables.plans import Command, Plan, Version
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import QuotaMoved, QuotaPlanInForce
from shared.problems import FORBIDDEN, NOT_FOUND, Problem, ProblemType
from shared.service import JST, day_in_japan

_log = structlog.get_logger()

CORRECTED_WITHIN = timedelta(days=31)
"""Of a year that is over: so soon a correction of its plan holds."""
COMMAND_REUSED = ProblemType(
    "command_reused",
    409,
    "This command_id was used for something else in this plan: give a new act a new one",
    "この command_id は同じ計画の別の操作で使われています。新しい操作には新しいIDを付けてください",
)


# --- versions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan as somebody wants it to hold."""

    fiscal_year: int
    prefecture: str
    effective_on: date
    decided_by: str
    source: str
    lines: Sequence[Line]
    decision_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """The version is on record, and holds from its day on."""

    plan_id: UUID
    version_no: int


async def examine_plan(session: AsyncSession, draft: Draft, now: datetime) -> tuple[Fault, ...]:
    """Everything that keeps the plan from being recorded as it stands now; nothing is kept."""
    plan = await plans.find_plan_of(session, fiscal_year=draft.fiscal_year, prefecture=draft.prefecture)
    return await _faults(session, draft, plan, now)


async def record_plan(session: AsyncSession, draft: Draft, actor: Actor, now: datetime) -> Recorded | Refused:
    """A new plan, or the next version of the one that there is; whole, or not at all."""
    if faults := check_plan(draft.prefecture, draft.lines):
        return Refused(tuple(faults))
    where: dict[str, Any] = {"fiscal_year": draft.fiscal_year, "prefecture": draft.prefecture}
    await plans.add_plan(session, new_id(), **where)
    plan = await plans.find_plan_of(session, **where, lock=True)
    assert plan is not None
    if found := await _faults(session, draft, plan, now):
        return Refused(found)
    versions = await plans.read_versions(session, plan.id)
    version = Version(
        version_no=len(versions) + 1,
        effective_on=draft.effective_on,
        decided_by=draft.decided_by,
        source=draft.source,
        decision_id=draft.decision_id,
        recorded_by=actor.agency,
        recorded_at=now,
    )
    await plans.add_version(session, plan.id, version, draft.lines, now=now)
    if draft.effective_on <= day_in_japan(now):
        await _open(session, plan, version, now)
    return Recorded(plan.id, version.version_no)


async def _faults(session: AsyncSession, draft: Draft, plan: Plan | None, now: datetime) -> tuple[Fault, ...]:
    faults = check_plan(draft.prefecture, draft.lines)
    latest = max(day_after(draft.fiscal_year, 4) - timedelta(days=1), day_in_japan(now) + CORRECTED_WITHIN)
    if draft.effective_on > latest:
        # No later version could hold before that day: a slip of the pen would end all changes of the plan.
        faults.append(Fault("effective_after_the_year", "", numbers={"latest": latest.isoformat()}))
    if draft.decision_id is not None:
        at = max(now, begin_of(draft.effective_on))
        faults += await _decision_faults(session, draft.prefecture, draft.decision_id, at)
    if plan is None:
        return tuple(faults)
    versions = await plans.read_versions(session, plan.id)
    if versions and draft.effective_on < versions[-1].effective_on:
        last = versions[-1].effective_on.isoformat()
        faults.append(Fault("effective_before_last_version", "", numbers={"last": last}))
    moved_at = await plans.last_moved_at(session, plan.id)
    if moved_at is not None and draft.effective_on < day_in_japan(moved_at):
        last = day_in_japan(moved_at).isoformat()
        faults.append(Fault("effective_before_last_move", "", numbers={"last": last}))
    if faults:
        return tuple(faults)
    outcome = await _after_all(session, plan, versions, Tree(draft.lines))
    match outcome:
        case Refused():
            places = {line.key: place for place, line in enumerate(draft.lines)}
            return tuple(replace(fault, place=places.get(fault.line)) for fault in outcome.faults)
        case Moved():
            return ()
        case _:
            assert_never(outcome)


async def _decision_faults(
    session: AsyncSession, prefecture: str, decision_id: UUID, at: datetime, *, in_force: bool = False
) -> list[Fault]:
    """Whether the sub-committee decided that, for good: what may still lapse would leave seats moved by nobody.

    `in_force`: it has to be so still; a plan may be written down after its decision ended.
    """
    found = await decisions.find_decision(session, decision_id, at)
    if found is None or found.prefecture != prefecture:
        return [Fault("unknown_decision", "")]
    if found.ratify_before is not None and found.ratification != "ratified":
        return [Fault("decision_not_ratified", "", numbers={"number": found.number})]
    if found.state == DecisionState.NOT_YET_IN_FORCE or (in_force and found.state != DecisionState.IN_FORCE):
        return [Fault("decision_not_in_force", "", numbers={"number": found.number})]
    return []


async def _after_all(session: AsyncSession, plan: Plan, versions: Sequence[Version], new: Tree) -> Moved | Refused:
    """Whether the version could take effect after those that are to come."""
    seats = await plans.read_accounts(session, plan.id)
    tree = await _tree(session, plan)
    for coming in await _coming(session, plan, versions):
        outcome = revise(tree, seats, coming)
        if isinstance(outcome, Moved):
            tree, seats = coming, applied(seats, outcome.moves)
    return revise(tree, seats, new)


async def open_due_version(session: AsyncSession, now: datetime) -> bool:
    """The clock: one plan's version whose day has come holds from now on; whether there was one."""
    for plan_id in await plans.list_due_plans(session, day_in_japan(now)):
        plan = await plans.find_plan(session, plan_id, lock=True)
        assert plan is not None
        due = [each for each in await plans.read_versions(session, plan.id) if each.effective_on <= day_in_japan(now)]
        if due[-1].version_no > (plan.in_force or 0) and await _open(session, plan, due[-1], now):
            return True
    return False


async def _open(session: AsyncSession, plan: Plan, version: Version, now: datetime) -> bool:
    """The version takes effect: its seats come into the ledger, by what they are more or fewer than before."""
    new = Tree(await plans.read_lines(session, plan.id, version.version_no))
    outcome = revise(await _tree(session, plan), await plans.read_accounts(session, plan.id), new)
    if isinstance(outcome, Refused):
        # Every move since was asked whether this version could bear it, so somebody must have gone round the code.
        rules = sorted({fault.rule for fault in outcome.faults})
        _log.error("plan_version_not_opened", plan_id=str(plan.id), version_no=version.version_no, rules=rules)
        return False
    asked = {"version_no": version.version_no}
    command = Command(new_id(), "opening", asked, version.recorded_by, decision_id=version.decision_id)
    await plans.enter(session, plan.id, version.version_no, command, outcome.moves, now=now)
    await plans.put_in_force(session, plan.id, version.version_no)
    told = QuotaPlanInForce(
        plan_id=plan.id,
        version_no=version.version_no,
        fiscal_year=plan.fiscal_year,
        prefecture=plan.prefecture,
        effective_on=version.effective_on,
        seats=sum(new.planned().values()),
        decision_id=version.decision_id,
    )
    await emit(session, (told, await plans.touch(session, plan.id)), at=now)
    return True


# --- moves ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CarryOver:
    """Seats of a quarter go on to the next: those that are named, or else every remainder below the minimum lot."""

    quarter: int
    seats: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """Seats go to another line of the same period."""

    from_line: str
    to_line: str
    seats: int


@dataclass(frozen=True, slots=True)
class OpenToAll:
    """What nobody claims opens to all."""

    line: str
    seats: int


Order = CarryOver | Transfer | OpenToAll


@dataclass(frozen=True, slots=True)
class Act:
    """An order, with who gives it and why; `command_id` makes it one, however often it is sent."""

    command_id: UUID
    order: Order
    reason: str
    decision_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The entries that the act made, now or when it was first sent."""

    command_id: UUID
    kind: str
    moves: tuple[Move, ...]
    at: datetime
    repeated: bool


async def move_seats(session: AsyncSession, plan_id: UUID, act: Act, actor: Actor, now: datetime) -> Done | Refused:
    """Carry over, transfer or open; all of it, or nothing. The same command again changes nothing."""
    plan = await get_plan(session, plan_id, lock=True)
    if not actor.serves(f"{plan.prefecture}0000"):
        raise not_yours()
    kind, asked = _asked(act.order)
    if (before := await plans.find_command(session, plan.id, act.command_id)) is not None:
        if (before.kind, before.asked) != (kind, asked):
            raise Problem(COMMAND_REUSED)
        moves = await plans.read_moves(session, plan.id, act.command_id)
        return Done(act.command_id, kind, tuple(moves), before.at, repeated=True)
    if plan.in_force is None:
        return Refused((Fault("not_in_force", ""),))
    if act.decision_id is not None and (
        found := await _decision_faults(session, plan.prefecture, act.decision_id, now, in_force=True)
    ):
        return Refused(tuple(found))
    outcome = _decide(await read_book(session, plan), act.order)
    match outcome:
        case Refused():
            return outcome
        case Moved(moves=moved):
            command = Command(act.command_id, kind, asked, actor.agency, act.reason, act.decision_id)
            await _enter(session, plan, command, moved, now)
            return Done(act.command_id, kind, moved, now, repeated=False)
        case _:
            assert_never(outcome)


def _decide(book: Book, order: Order) -> Moved | Refused:
    match order:
        case CarryOver():
            return carry_over(book, order.quarter, order.seats)
        case Transfer():
            return transfer(book, Move(order.from_line, order.to_line, order.seats))
        case OpenToAll():
            return open_to_all(book, order.line, order.seats)
        case _:
            assert_never(order)


def _asked(order: Order) -> tuple[str, dict[str, Any]]:
    match order:
        case CarryOver():
            named = None if order.seats is None else dict(order.seats)
            return "carry_over", {"quarter": order.quarter, "seats": named}
        case Transfer():
            return "transfer", {"from_line": order.from_line, "to_line": order.to_line, "seats": order.seats}
        case OpenToAll():
            return "open_to_all", {"line": order.line, "seats": order.seats}
        case _:
            assert_never(order)


async def _enter(session: AsyncSession, plan: Plan, command: Command, moves: Sequence[Move], now: datetime) -> None:
    assert plan.in_force is not None
    await plans.enter(session, plan.id, plan.in_force, command, moves, now=now)
    told = QuotaMoved(
        plan_id=plan.id,
        command_id=command.command_id,
        kind=command.kind,
        entries=len(moves),
        seats=sum(move.seats for move in moves),
        decision_id=command.decision_id,
    )
    await emit(session, (told, await plans.touch(session, plan.id)), at=now)


async def close_quarter(session: AsyncSession, now: datetime) -> bool:
    """The clock: remainders of a quarter that has ended go to the next, once; whether there was such a plan."""
    today = day_in_japan(now)
    fiscal_year, current = fiscal_quarter(today)
    for quarter in range(1, current):
        over = datetime.combine(day_after(fiscal_year, quarter), time.min, tzinfo=JST)
        plan_id = await plans.lock_ended_plan(session, fiscal_year, quarter, over)
        if plan_id is not None:
            plan = await get_plan(session, plan_id)
            if moves := carry_remainders(await read_book(session, plan), quarter):
                # Nobody asked for it but the rule.
                command = Command(new_id(), "carry_over", {"quarter": quarter, "seats": None}, by=None)
                await _enter(session, plan, command, moves, now)
            await plans.end_quarter(session, plan.id, quarter, now)
            return True
    return False


# --- reading --------------------------------------------------------------------------------------------------------


async def get_plan(session: AsyncSession, plan_id: UUID, *, lock: bool = False) -> Plan:
    """A plan, or 404."""
    plan = await plans.find_plan(session, plan_id, lock=lock)
    if plan is None:
        raise Problem(NOT_FOUND)
    return plan


async def read_book(session: AsyncSession, plan: Plan) -> Book:
    """The plan as it stands: lines of the version in force, seats, and what the catalogue's course runs use of them."""
    tree = await _tree(session, plan) or Tree(())
    taught = await plans.read_taught(session, plan)
    coming = await _coming(session, plan, await plans.read_versions(session, plan.id))
    return Book(tree, await plans.read_accounts(session, plan.id), use_of(tree, taught), coming)


async def _tree(session: AsyncSession, plan: Plan) -> Tree | None:
    return None if plan.in_force is None else Tree(await plans.read_lines(session, plan.id, plan.in_force))


async def _coming(session: AsyncSession, plan: Plan, versions: Sequence[Version]) -> list[Tree]:
    """Versions on record that are still to take effect; one that another of the same day replaces never will."""
    later = {each.effective_on: each.version_no for each in versions if each.version_no > (plan.in_force or 0)}
    return [Tree(await plans.read_lines(session, plan.id, number)) for number in sorted(later.values())]


def not_yours() -> Problem:
    """Another prefecture's plan is read by all and changed by none of them."""
    return Problem(
        FORBIDDEN,
        detail="Only for a prefecture that you serve.",
        detail_ja="担当する都道府県についてだけ記録できます。",
    )
