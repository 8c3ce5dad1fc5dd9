"""Referrals, their steps, outcomes and groups: loads that lock or return domain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import IN_FLIGHT, OPEN, Referral
from services.referral.domain.states import Clock, Progress, State, Tier, Verb, Waits
from services.referral.tables.schema import referral, referral_group, referral_outcome, referral_step

IN_FLIGHT_STATES = referral.c.state.in_(sorted(IN_FLIGHT))
OPEN_STATES = referral.c.state.in_(sorted(OPEN))


@dataclass(frozen=True, slots=True)
class Group:
    """What was sent together: parts of one thing, or rivals of whom the first to accept has it."""

    id: UUID
    case_id: UUID
    municipality: str
    sender: str
    mode: str
    sent_at: datetime
    winner: UUID | None = None


async def lock_referral(session: AsyncSession, referral_id: UUID) -> Referral | None:
    """The referral, locked against every other mover."""
    query = select(referral).where(referral.c.id == referral_id).with_for_update()
    row = (await session.execute(query)).one_or_none()
    return None if row is None else as_referral(row)


async def lock_in_flight(
    session: AsyncSession, case_id: UUID, *, course_run_id: UUID | None = None
) -> Sequence[Referral]:
    """The case's unanswered referrals, to one course run or to anything; always locked in the same order."""
    query = select(referral).where(referral.c.case_id == case_id, IN_FLIGHT_STATES).order_by(referral.c.id)
    if course_run_id is not None:
        query = query.where(referral.c.course_run_id == course_run_id)
    return [as_referral(row) for row in await session.execute(query.with_for_update())]


async def lock_due(session: AsyncSession, *, today: date) -> Referral | None:
    """One referral whose clock has reached its next tier; one that somebody moves just now is left to them."""
    query = select(referral).where(referral.c.tier_on <= today).order_by(referral.c.tier_on, referral.c.id).limit(1)
    row = (await session.execute(query.with_for_update(skip_locked=True))).one_or_none()
    return None if row is None else as_referral(row)


async def find_referral(session: AsyncSession, referral_id: UUID) -> Referral | None:
    """The referral, to look at."""
    row = (await session.execute(select(referral).where(referral.c.id == referral_id))).one_or_none()
    return None if row is None else as_referral(row)


async def find_group(session: AsyncSession, group_id: UUID) -> Group:
    """A group; the case's row is its lock."""
    return Group(*(await session.execute(select(referral_group).where(referral_group.c.id == group_id))).one())


async def add_group(session: AsyncSession, group: Group) -> None:
    """Write a new group."""
    await session.execute(insert(referral_group).values(**{name: getattr(group, name) for name in Group.__slots__}))


async def set_winner(session: AsyncSession, group_id: UUID, referral_id: UUID) -> None:
    """Which of the rivals has it. The case's row is locked by whoever calls this."""
    await session.execute(update(referral_group).where(referral_group.c.id == group_id).values(winner=referral_id))


async def lock_rivals(session: AsyncSession, won: Referral) -> Sequence[Referral]:
    """The unanswered others of a group."""
    query = select(referral).where(referral.c.group_id == won.group_id, referral.c.id != won.id, IN_FLIGHT_STATES)
    return [as_referral(row) for row in await session.execute(query.order_by(referral.c.id).with_for_update())]


async def chain_of(session: AsyncSession, last: Referral) -> Sequence[Referral]:
    """The places a referral has come through by rerouting, the first one first, itself last."""
    chain = [last]
    while (before := chain[0].rerouted_from) is not None:
        found = await find_referral(session, before)
        assert found is not None  # the database holds what is referred to
        chain.insert(0, found)
    return chain


async def next_in_chain(session: AsyncSession, referral_id: UUID) -> UUID | None:
    """Where a rerouted referral went on to."""
    query = select(referral.c.id).where(referral.c.rerouted_from == referral_id).order_by(referral.c.id).limit(1)
    return (await session.execute(query)).scalar_one_or_none()


async def add_referral(
    session: AsyncSession, new: Referral, *, step: str, by: str, task_id: UUID | None, at: datetime
) -> None:
    """Write a new referral with its first step."""
    await session.execute(insert(referral).values(id=new.id, task_id=task_id, since=at, **_columns(new)))
    await _add_step(session, new, step=step, by=by, reason=new.reason, at=at)


async def store_move(
    session: AsyncSession, moved: Referral, *, step: str, by: str, reason: str | None, at: datetime
) -> None:
    """Write what a move came to. The row is locked by whoever calls this."""
    await session.execute(update(referral).where(referral.c.id == moved.id).values(since=at, **_columns(moved)))
    await _add_step(session, moved, step=step, by=by, reason=reason, at=at)


async def task_of(session: AsyncSession, referral_id: UUID) -> UUID | None:
    """The task of a joint case conference that a referral carries out."""
    query = select(referral.c.task_id).where(referral.c.id == referral_id)
    return (await session.execute(query)).scalar_one_or_none()


async def list_waiting(
    session: AsyncSession, *conditions: ColumnElement[bool], after: tuple[date, UUID] | None, limit: int
) -> Sequence[Referral]:
    """What waits for somebody, the earliest day first."""
    waits = referral.c.waits_for.is_not(None)
    query = select(referral).where(waits, *conditions).order_by(referral.c.due_on, referral.c.id).limit(limit)
    if after is not None:
        query = query.where(tuple_(referral.c.due_on, referral.c.id) > tuple_(*after))
    return [as_referral(row) for row in await session.execute(query)]


async def store_tier(session: AsyncSession, referral_id: UUID, waits: Waits) -> None:
    """Write that a clock has reached a tier: nobody has moved anything."""
    await session.execute(update(referral).where(referral.c.id == referral_id).values(**_waiting(waits)))


async def store_proposal(session: AsyncSession, of: Referral) -> None:
    """Where the coordinator may look next. The row is locked by whoever calls this."""
    await session.execute(update(referral).where(referral.c.id == of.id).values(**_columns(of)))


async def add_outcome(session: AsyncSession, of: Referral, *, by: str, at: datetime) -> int:
    """Write one more outcome; its number. The referral is locked by whoever calls this."""
    count = select(func.count()).select_from(referral_outcome).where(referral_outcome.c.referral_id == of.id)
    number = int((await session.execute(count)).scalar_one()) + 1
    values = {"referral_id": of.id, "number": number, "outcome": of.outcome, "by": by, "at": at}
    await session.execute(insert(referral_outcome).values(**values))
    return number


async def outcomes_of(session: AsyncSession, referral_id: UUID) -> Sequence[Row[Any]]:
    """Everything that came of a referral, in order."""
    query = select(referral_outcome).where(referral_outcome.c.referral_id == referral_id)
    return (await session.execute(query.order_by(referral_outcome.c.number))).all()


async def steps_of(session: AsyncSession, referral_id: UUID) -> Sequence[Row[Any]]:
    """Everything that happened to a referral, in order."""
    query = select(referral_step).where(referral_step.c.referral_id == referral_id).order_by(referral_step.c.version)
    return (await session.execute(query)).all()


async def list_referrals(
    session: AsyncSession, *conditions: ColumnElement[bool], before: UUID | None, limit: int
) -> Sequence[Referral]:
    """Newest first (ids grow with time)."""
    query = select(referral).where(*conditions).order_by(referral.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(referral.c.id < before)
    return [as_referral(row) for row in await session.execute(query)]


def as_referral(row: Row[Any]) -> Referral:
    """A row as the domain knows it. The release before wrote no coordinator: there the sender was it."""
    return Referral(
        id=row.id,
        case_id=row.case_id,
        municipality=row.municipality,
        sender=row.sender,
        receiver=row.receiver,
        coordinator=row.coordinator or row.sender,
        verb=Verb(row.verb),
        programme_id=row.programme_id,
        course_run_id=row.course_run_id,
        seat_request_id=row.seat_request_id,
        state=State(row.state),
        responsible_agency=row.responsible_agency,
        progress=None if row.progress is None else Progress(row.progress),
        reason=row.reason,
        sent_at=row.sent_at,
        version=row.version,
        group_id=row.group_id,
        rerouted_from=row.rerouted_from,
        before_hold=None if row.before_hold is None else State(row.before_hold),
        outcome=row.outcome,
        missing=tuple(row.missing),
        review_on=row.review_on,
        waits=_waits(row),
        proposed_programme_id=row.proposed_programme_id,
        proposed_course_run_id=row.proposed_course_run_id,
    )


_PLAIN = (
    "case_id",
    "municipality",
    "sender",
    "receiver",
    "coordinator",
    "verb",
    "programme_id",
    "course_run_id",
    "seat_request_id",
    "state",
    "responsible_agency",
    "progress",
    "reason",
    "sent_at",
    "version",
    "group_id",
    "rerouted_from",
    "before_hold",
    "outcome",
    "missing",
    "review_on",
    "proposed_programme_id",
    "proposed_course_run_id",
)


def _columns(of: Referral) -> dict[str, Any]:
    return {name: getattr(of, name) for name in _PLAIN} | _waiting(of.waits)


def _waiting(waits: Waits | None) -> dict[str, Any]:
    if waits is None:
        return dict.fromkeys(("waits_for", "clock", "clock_since", "due_on", "tier", "tier_on"))
    return {
        "waits_for": waits.agency,
        "clock": waits.clock,
        "clock_since": waits.since,
        "due_on": waits.due_on,
        "tier": waits.tier,
        "tier_on": waits.tier_on,
    }


def _waits(row: Row[Any]) -> Waits | None:
    if row.clock is None:
        return None
    tier = None if row.tier is None else Tier(row.tier)
    return Waits(Clock(row.clock), row.waits_for, row.clock_since, row.due_on, tier, row.tier_on)


async def _add_step(
    session: AsyncSession, of: Referral, *, step: str, by: str, reason: str | None, at: datetime
) -> None:
    values = {"referral_id": of.id, "version": of.version, "step": step, "by": by, "reason": reason, "at": at}
    await session.execute(insert(referral_step).values(**values))
