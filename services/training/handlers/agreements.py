"""Municipalities lend, recall and swap seats: proposed by one, answered by the other, moved in one transaction.

A proposal binds nobody: whether the seats are still there is looked at again when the other side agrees. Course runs
are locked before the agreement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import agreements as rules
from services.training.domain.agreements import Agreement, AgreementKind, AgreementMove, AgreementState, Leg, Step
from services.training.domain.quota import Course, Pool
from services.training.domain.refusals import Denied, NotNow
from services.training.handlers.deliberation_reading import MOST_LINES, TOO_MANY
from services.training.handlers.layouts import layout
from services.training.handlers.motions import begin_of
from services.training.handlers.pools import move_seats, settle_pools
from services.training.handlers.seats import offer_free_seats, tell
from services.training.tables import agreements, seats
from services.training.tables.moves import Move
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.codes import place_name
from shared.events import SeatAgreementChanged
from shared.problems import FORBIDDEN, NOT_FOUND, Problem
from shared.service import day_in_japan, working_day_after
from shared.service.exports import Layout


@dataclass(frozen=True, slots=True)
class Part:
    """Seats of a pool that are to be lent, until the end of a day."""

    pool_id: UUID
    seats: int
    until_on: date


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is proposed: seats of a pool for another municipality, for nothing or for other seats."""

    proposed_for: str
    taker: str
    part: Part
    in_return: Part | None
    answer_within: int


async def propose(session: AsyncSession, wanted: Wanted, *, actor: Actor, now: datetime) -> Agreement | Denied:
    """One of the two proposes, whichever; the other has so many working days to answer."""
    if not actor.serves(wanted.proposed_for):
        raise Problem(NOT_FOUND)
    parts = [wanted.part, *([] if wanted.in_return is None else [wanted.in_return])]
    pools, about = await _pools(session, [part.pool_id for part in parts], now)
    giver = pools[wanted.part.pool_id].municipality
    if giver is None:
        return Denied("not_theirs_to_lend", "pool_id")
    if wanted.proposed_for not in {giver, wanted.taker} or giver == wanted.taker:
        return Denied("not_between_two", "proposed_for")
    sides = [(giver, wanted.taker), (wanted.taker, giver)]
    today = day_in_japan(now)
    legs = tuple(
        Leg(part.pool_id, gives, takes, part.seats, part.until_on)
        for part, (gives, takes) in zip(parts, sides, strict=False)
    )
    ends = [begin_of(part.until_on + timedelta(days=1)) for part in parts]
    agreement = Agreement(
        id=new_id(),
        kind=AgreementKind.LEND if wanted.in_return is None else AgreementKind.SWAP,
        proposed_by=actor.agency,
        proposed_for=wanted.proposed_for,
        asked=giver if wanted.proposed_for == wanted.taker else wanted.taker,
        # An answer that came when the seats are due would move nothing.
        answer_before=min(begin_of(working_day_after(today, wanted.answer_within) + timedelta(days=1)), *ends),
        legs=legs,
    )
    lendable = {pool_id: agreements.lendable(pool, about[pool_id]) for pool_id, pool in pools.items()}
    denied = rules.check(agreement, lendable, now=now, today=today)
    if denied is not None:
        return denied
    await agreements.add_agreement(session, agreement, now)
    await _tell(session, agreement, AgreementState.PROPOSED, 1, now)
    return agreement


async def _pools(
    session: AsyncSession, pool_ids: Sequence[UUID], now: datetime
) -> tuple[dict[UUID, Pool], dict[UUID, Mapping[str, Any]]]:
    about = await agreements.courses_of(session, pool_ids)
    if not about.keys() >= set(pool_ids):
        raise Problem(NOT_FOUND)
    runs = {row["course_run_id"] for row in about.values()}
    found = await seats.read_pools_of(session, runs, now)
    return {pool.id: pool for pools in found.values() for pool in pools if pool.id in about}, about


async def take(
    session: AsyncSession, agreement_id: UUID, move: AgreementMove, *, actor: Actor, now: datetime
) -> Agreement | Denied | NotNow:
    """One side's next step. With a yes the seats move, with a recall they come back, at once."""
    agreement = await _find(session, agreement_id, actor)
    runs = await _lock_courses(session, agreement)
    await agreements.lock_agreement(session, agreement_id)
    agreement = await _find(session, agreement_id, actor)
    step = agreement.take(move, now)
    if isinstance(step, NotNow):
        return step
    _own_side_only(agreement, step, actor)
    if step.move is AgreementMove.AGREE:
        denied = await _agree(session, agreement, runs, actor=actor, now=now)
        if denied is not None:
            return denied
    else:
        await agreements.add_step(session, agreement, step.to, by=actor.agency, now=now)
        if step.of is AgreementState.AGREED:
            await _offer(session, runs, set(), now)
    await _tell(session, agreement, step.to, agreement.version + 1, now)
    return agreement


async def _find(session: AsyncSession, agreement_id: UUID, actor: Actor) -> Agreement:
    return agreements.agreement_of(await get_agreement(session, agreement_id, actor))


async def _lock_courses(session: AsyncSession, agreement: Agreement) -> dict[UUID, Course]:
    about = await agreements.courses_of(session, [leg.pool_id for leg in agreement.legs])
    runs = sorted({row["course_run_id"] for row in about.values()})
    await seats.lock_courses(session, runs)
    found = {run: await seats.lock_course(session, run) for run in runs}
    return {run: course for run, course in found.items() if course is not None}


def _own_side_only(agreement: Agreement, step: Step, actor: Actor) -> None:
    who = agreement.who(step.by)
    # Who stands for both municipalities has still to be two agencies for an agreement of two.
    if not actor.serves(who) or (step.of is AgreementState.PROPOSED and _is_both(agreement, step, actor)):
        raise Problem(
            FORBIDDEN,
            detail="That is the other municipality's to say.",
            detail_ja="相手の市町村が行う手続です。",
        )


def _is_both(agreement: Agreement, step: Step, actor: Actor) -> bool:
    return step.move is AgreementMove.AGREE and actor.agency == agreement.proposed_by


async def _agree(
    session: AsyncSession, agreement: Agreement, runs: Mapping[UUID, Course], *, actor: Actor, now: datetime
) -> Denied | None:
    """Both sides of a swap, or none: the seats as they are now, in one statement of the ledger."""
    touched: set[UUID] = set()
    for run in runs:
        await settle_pools(session, run, touched, now)
    pools, about = await _pools(session, [leg.pool_id for leg in agreement.legs], now)
    lendable = {pool_id: agreements.lendable(pool, about[pool_id]) for pool_id, pool in pools.items()}
    denied = rules.check(agreement, lendable, now=now, today=day_in_japan(now))
    if denied is not None:
        return denied
    await agreements.add_step(session, agreement, AgreementState.AGREED, by=actor.agency, now=now)
    lent = [new_id() for _ in agreement.legs]
    await agreements.add_lent_pools(session, agreement.id, lent)
    moves = [
        Move(about[leg.pool_id]["course_run_id"], leg.pool_id, pool_id, leg.seats)
        for leg, pool_id in zip(agreement.legs, lent, strict=True)
    ]
    standing = {
        pool.id: pool for pools_of in (await seats.read_pools_of(session, runs, now)).values() for pool in pools_of
    }
    await move_seats(session, agreement.kind.value, moves, standing, command=agreement.id, now=now)
    await _offer(session, runs, touched | {pool for each in moves for pool in (each.pool_id, each.to_pool_id)}, now)
    return None


async def _offer(session: AsyncSession, runs: Mapping[UUID, Course], touched: set[UUID], now: datetime) -> None:
    """Whoever waits is offered what came, in the same transaction; of each course run its own pools are told."""
    for run, course in runs.items():
        changed: set[UUID] = set()
        told = await offer_free_seats(session, course, changed, now)
        changed |= touched & {pool.id for pool in await seats.read_pools(session, run, now)}
        await tell(session, run, told, changed, now)


async def lapse_next(session: AsyncSession, now: datetime) -> bool:
    """A proposal lapsed by itself when its time was over; here it is told, once."""
    agreement_id = await agreements.lock_next_lapsed(session, now)
    found = None if agreement_id is None else await agreements.find_agreement(session, agreement_id)
    if found is None:
        return False
    agreement = agreements.agreement_of(found)
    if agreement.step is AgreementState.PROPOSED:
        await agreements.add_step(session, agreement, AgreementState.LAPSED, by=None, now=now)
        await _tell(session, agreement, AgreementState.LAPSED, agreement.version + 1, now)
    return True


async def _tell(
    session: AsyncSession, agreement: Agreement, state: AgreementState, version: int, now: datetime
) -> None:
    changed = SeatAgreementChanged(
        agreement_id=agreement.id,
        kind=agreement.kind.value,
        state=state.value,
        proposed_for=agreement.proposed_for,
        asked=agreement.asked,
        answer_before=agreement.answer_before,
        seats=agreement.seats,
    )
    await emit(session, (changed, version), at=now)


# --- reading --------------------------------------------------------------------------------------------------------


async def get_agreement(session: AsyncSession, agreement_id: UUID, actor: Actor) -> Mapping[str, Any]:
    """Of one's own municipality; 404 for everybody else."""
    found = await agreements.find_agreement(session, agreement_id)
    if found is None or not any(map(actor.serves, (found["proposed_for"], found["asked"]))):
        raise Problem(NOT_FOUND)
    return found


async def list_agreements(
    session: AsyncSession, actor: Actor, *, state: str | None, now: datetime, after: UUID | None, limit: int
) -> Sequence[Mapping[str, Any]]:
    """The caller's own."""
    return await agreements.list_agreements(
        session, actor.municipalities, state=state, now=now, after=after, limit=limit
    )


_FIELDS = frozenset(
    {
        "agreement_id",
        "kind",
        "state",
        "proposed_by",
        "proposed_for",
        "answer_before",
        "course_number",
        "title",
        "giver",
        "giver_name",
        "taker",
        "taker_name",
        "seats",
        "until_on",
        "outstanding",
        "taken",
    }
)


async def agreement_lines(session: AsyncSession, actor: Actor, *, now: datetime) -> list[dict[str, Any]]:
    """A line for what each gives, in the order in which it was proposed."""
    rows = await list_agreements(session, actor, state=None, now=now, after=None, limit=MOST_LINES + 1)
    lines = [line for row in rows for line in _lines_of(row, now)]
    if len(lines) > MOST_LINES:
        raise Problem(TOO_MANY)
    return lines


def _lines_of(row: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    about = {
        "agreement_id": str(row["id"]),
        "kind": row["kind"],
        "state": agreements.agreement_of(row).state(now).value,
        "proposed_by": row["proposed_by"],
        "proposed_for": row["proposed_for"],
        "answer_before": row["answer_before"],
    }
    return [
        about
        | leg
        | {
            "until_on": date.fromisoformat(leg["until_on"]),
            "giver_name": place_name(leg["giver"]),
            "taker_name": place_name(leg["taker"]),
        }
        for leg in row["legs"]
    ]


def agreements_layout(session: AsyncSession) -> Layout:
    """The columns of the file."""
    return layout(session, "seat_agreements", _FIELDS)
