"""Referrals, their steps, outcomes and groups: loads that lock or return domain values."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    insert,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    union,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.holders import HandOn
from services.referral.domain.moves import IN_FLIGHT, NEVER_SENT, OPEN, Referral
from services.referral.domain.states import Clock, Progress, State, Tier, Verb, Waits
from services.referral.tables.schema import case_fact, referral, referral_group, referral_outcome
from shared.database import Hot, later

IN_FLIGHT_STATES = referral.c.state.in_(sorted(IN_FLIGHT))
HAS_LEFT = and_(referral.c.state != State.DRAFT, referral.c.reason.is_distinct_from(NEVER_SENT))
"""`Referral.has_left`: a draft, and one that was thrown away, is nobody else's, and in nobody's numbers."""
# As the partial indexes have them, word by word: with bound values a plan that is made once could not use them.
NOT_CLOSED: ColumnElement[bool] = literal_column("referral.state <> 'closed'")
TAKEN_OVER: ColumnElement[bool] = literal_column(
    "(referral.taken_over OR referral.clock = 'place' AND referral.waits_for = referral.coordinator)"
)
"""What came to the coordinator by a decline or by silence, and has neither ended nor found another place."""


def was_asked_for(alias: str) -> str:
    """Whether a referral began as a request; its verb may have become another since (`keep_holder`).

    Whoever asked for the case took the first step. Within one house who sends is who receives, and asks nobody.
    """
    return (
        f"({alias}.sender <> {alias}.receiver AND EXISTS (SELECT 1 FROM referral_step AS first"
        f" WHERE first.referral_id = {alias}.id AND first.version = 1 AND first.by = {alias}.receiver))"
    )


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


# NO KEY: whoever only points at a row, as every foreign key does when it is checked, waits for no one who moves it.
_FIND = Hot("SELECT * FROM referral WHERE id = :id")
_LOCK = Hot("SELECT * FROM referral WHERE id = :id FOR NO KEY UPDATE")


async def lock_referral(session: AsyncSession, referral_id: UUID) -> Referral | None:
    """The referral, locked against every other mover."""
    rows = await _LOCK.rows(session, {"id": referral_id})
    return _referral(rows[0]) if rows else None


_OF_CASE = "SELECT * FROM referral WHERE case_id = :case_id AND state = ANY(:states)"
_IN_FLIGHT = Hot(f"{_OF_CASE} ORDER BY id FOR NO KEY UPDATE")


async def lock_in_flight(session: AsyncSession, case_id: UUID) -> Sequence[Referral]:
    """The case's unanswered referrals; always locked in the same order."""
    values = {"case_id": case_id, "states": sorted(IN_FLIGHT)}
    return [_referral(row) for row in await _IN_FLIGHT.rows(session, values)]


async def lock_due(session: AsyncSession, *, today: date) -> Referral | None:
    """One referral whose clock has reached its next tier, with its case; what somebody moves now is left to them."""
    whose = referral.join(case_fact, case_fact.c.case_id == referral.c.case_id)
    due = select(referral).select_from(whose).where(referral.c.tier_on <= today)
    query = due.order_by(referral.c.tier_on, referral.c.id).limit(1)
    locked = query.with_for_update(of=[case_fact, referral], skip_locked=True, key_share=True)
    row = (await session.execute(locked)).mappings().one_or_none()
    return None if row is None else _referral(row)


# As the partial index has it. Courses that were seen wait for seats, which have clocks of their own in training; what
# 0.1.0 knew as accepted is left in peace, for there it was the end: nobody shall take over years of good work.
_CLOCKLESS = text("clock IS NULL AND state IN ('sent', 'received') AND (state = 'sent' OR course_run_id IS NULL)")


async def lock_clockless(session: AsyncSession) -> Referral | None:
    """An open referral that waits for nobody, as the release before leaves them."""
    query = select(referral).where(_CLOCKLESS).limit(1).with_for_update(skip_locked=True, key_share=True)
    row = (await session.execute(query)).mappings().one_or_none()
    return None if row is None else _referral(row)


_UNPLACED = Hot("SELECT * FROM referral WHERE case_id = :case_id AND clock = 'place' ORDER BY id FOR NO KEY UPDATE")


async def lock_unplaced(session: AsyncSession, case_id: UUID) -> Sequence[Referral]:
    """What of a case was declined or not answered, and has no place yet; always locked in the same order."""
    return [_referral(row) for row in await _UNPLACED.rows(session, {"case_id": case_id})]


async def find_referral(session: AsyncSession, referral_id: UUID) -> Referral | None:
    """The referral, to look at."""
    rows = await _FIND.rows(session, {"id": referral_id})
    return _referral(rows[0]) if rows else None


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
    others = referral.c.group_id == won.group_id, referral.c.id != won.id, IN_FLIGHT_STATES
    query = select(referral).where(*others).order_by(referral.c.id).with_for_update(key_share=True)
    return [_referral(row) for row in (await session.execute(query)).mappings()]


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


_ALL = [column.name for column in referral.c]
_NEW = ", ".join(_ALL)
_CHANGED = ", ".join(name for name in _ALL if name not in {"id", "task_id"})
_ROW = "json_populate_record(NULL::referral, CAST(:row AS json))"
# A referral and its step are one statement: neither is there without the other.
_STEP = (
    "INSERT INTO referral_step (referral_id, version, step, by, reason, at)"
    " SELECT id, version, CAST(:step AS text), CAST(:by AS text), CAST(:reason AS text), CAST(:at AS timestamptz)"
    " FROM written"
)
_ADD = Hot(f"WITH written AS (INSERT INTO referral ({_NEW}) SELECT {_NEW} FROM {_ROW} RETURNING id, version) {_STEP}")
_MOVE = Hot(
    f"WITH written AS (UPDATE referral SET ({_CHANGED}) = (SELECT {_CHANGED} FROM {_ROW})"
    f" WHERE id = :id RETURNING id, version) {_STEP}"
)


async def add_referral(
    session: AsyncSession, new: Referral, *, step: str, by: str, task_id: UUID | None, at: datetime
) -> None:
    """Write a new referral with its first step."""
    row = to_json(_columns(new) | {"task_id": task_id, "since": at}).decode()
    await _ADD.rows(session, {"row": row, "step": step, "by": by, "reason": new.reason, "at": at})


async def store_move(
    session: AsyncSession, moved: Referral, *, step: str, by: str, reason: str | None, at: datetime
) -> None:
    """Write what a move came to, with its step. The row is locked by whoever calls this."""
    row = to_json(_columns(moved) | {"since": at}).decode()
    await _MOVE.rows(session, {"row": row, "id": moved.id, "step": step, "by": by, "reason": reason, "at": at})


_THERE = Hot(
    "SELECT id FROM referral WHERE case_id = :case_id AND state = ANY(:states)"
    " AND (programme_id = :target OR course_run_id = :target) ORDER BY id LIMIT 1"
)


async def find_open(session: AsyncSession, case_id: UUID, target: UUID) -> UUID | None:
    """An open referral of the case to a programme or course run. The case's row is locked by whoever asks."""
    rows = await _THERE.rows(session, {"case_id": case_id, "states": sorted(OPEN), "target": target})
    return rows[0]["id"] if rows else None


async def list_open_with(session: AsyncSession, case_ids: Collection[UUID], agency: str) -> Sequence[Referral]:
    """Open referrals of these cases of which an agency is a party."""
    column = referral.c
    part = or_(column.sender == agency, column.receiver == agency, column.coordinator == agency)
    query = select(referral).where(column.case_id.in_(case_ids), column.state.in_(sorted(OPEN)), part)
    return [_referral(row) for row in (await session.execute(query)).mappings()]


async def was_told(session: AsyncSession, case_id: UUID, agency: str) -> bool:
    """Whether an agency took part in a referral of the case, so that it knows of it."""
    column = referral.c
    told = and_(column.receiver == agency, column.verb != Verb.REQUEST)
    part = or_(column.sender == agency, told, column.coordinator == agency)
    query = select(referral.c.id).where(column.case_id == case_id, HAS_LEFT, part)
    return (await session.execute(query.limit(1))).one_or_none() is not None


async def hand_ons(session: AsyncSession, accepted: Sequence[UUID]) -> Sequence[HandOn]:
    """From whom to whom each of these acceptances moves its case, in their order."""
    if not accepted:
        return []
    parties = select(referral.c.id, referral.c.sender, referral.c.receiver).where(referral.c.id.in_(accepted))
    found = {row.id: HandOn(row.sender, row.receiver) for row in await session.execute(parties)}
    return [found[each] for each in accepted]


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
    return [_referral(row) for row in (await session.execute(query)).mappings()]


async def store_tier(session: AsyncSession, referral_id: UUID, waits: Waits) -> None:
    """Write that a clock has reached a tier: nobody has moved anything."""
    await session.execute(update(referral).where(referral.c.id == referral_id).values(**_waiting(waits)))


async def store_waits(session: AsyncSession, of: Referral) -> None:
    """Write which clock runs, and who coordinates: nobody has moved anything. The row is locked by whoever calls."""
    values = _waiting(of.waits) | {"coordinator": of.coordinator}
    await session.execute(update(referral).where(referral.c.id == of.id).values(**values))


async def end_waits(session: AsyncSession, referral_ids: Collection[UUID]) -> None:
    """Nobody is waited for there any more. The rows are locked by whoever calls this."""
    await session.execute(update(referral).where(referral.c.id.in_(referral_ids)).values(**_waiting(None)))


async def store_standing(session: AsyncSession, of: Referral) -> None:
    """Write what is known anew of how it stands: nobody has moved anything. The row is locked by whoever calls."""
    await session.execute(update(referral).where(referral.c.id == of.id).values(**_columns(of)))


async def add_outcome(
    session: AsyncSession, referral_id: UUID, outcome: str, *, by: str, at: datetime, corrects: str | None = None
) -> int:
    """Write one more outcome; its number. The referral is locked by whoever calls this.

    `corrects`: an outcome that the same party said before, however often, and that stands no more.
    """
    own = select(referral_outcome).where(referral_outcome.c.referral_id == referral_id)
    rows = (await session.execute(own.order_by(referral_outcome.c.number))).all()
    number = len(rows) + 1
    values = {
        "referral_id": referral_id,
        "number": number,
        "outcome": outcome,
        "by": by,
        "at": at,
        "corrects": [row.number for row in rows if (row.outcome, row.by) == (corrects, by)],
    }
    await session.execute(insert(referral_outcome).values(**values))
    return number


async def outcomes_of(session: AsyncSession, referral_id: UUID) -> Sequence[Row[Any]]:
    """Everything that came of a referral, in order."""
    query = select(referral_outcome).where(referral_outcome.c.referral_id == referral_id)
    return (await session.execute(query.order_by(referral_outcome.c.number))).all()


_STEPS = Hot(
    "SELECT * FROM (SELECT version, step, by, reason, at, link_id IS NOT NULL AS by_link, CAST(NULL AS text)"
    " AS waits_for, receiver_before, course_run_before"
    " FROM referral_step LEFT JOIN link_step USING (referral_id, version)"
    " LEFT JOIN course_change USING (referral_id, version) WHERE referral_id = :id"
    " UNION ALL SELECT version, step, by, reason, at, false, waits_for, NULL, NULL"
    " FROM clock_step WHERE referral_id = :id)"
    " AS each ORDER BY version, waits_for IS NOT NULL, at"
)


async def steps_of(session: AsyncSession, referral_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Everything that happened to a referral, in order; after each step what its clock said."""
    return await _STEPS.rows(session, {"id": referral_id})


def newest(*conditions: ColumnElement[bool], paged: bool) -> Hot:
    """The statement of a list, newest first: `paged` begins before a moment and an id."""
    return Hot.of(_newest(conditions, paged=paged))


def newest_of(any_of: Sequence[ColumnElement[bool]], *conditions: ColumnElement[bool], paged: bool) -> Hot:
    """The same of what any one condition holds: the newest of each, each by its own index, and of those the newest.

    Asked for as one, all that any of them holds would be read and sorted, or everybody else's passed on the way.
    """
    each = union(*(_newest((one, *conditions), paged=paged) for one in any_of)).subquery()
    return Hot.of(select(each).order_by(each.c.sent_at.desc(), each.c.id.desc()).limit(later("limit")))


def _newest(conditions: Sequence[ColumnElement[bool]], *, paged: bool) -> Select[Any]:
    place = referral.c.sent_at, referral.c.id
    query = select(referral).where(*conditions).order_by(*(each.desc() for each in place)).limit(later("limit"))
    return query.where(tuple_(*place) < tuple_(later("before_at"), later("before_id"))) if paged else query


async def list_referrals(session: AsyncSession, listing: Hot, **values: Any) -> Sequence[Referral]:
    """Those of a list."""
    return [_referral(row) for row in await listing.rows(session, values)]


def _referral(row: Mapping[Any, Any]) -> Referral:
    # The release before wrote no coordinator: there the sender was it.
    return Referral(
        id=row["id"],
        case_id=row["case_id"],
        municipality=row["municipality"],
        sender=row["sender"],
        receiver=row["receiver"],
        coordinator=row["coordinator"] or row["sender"],
        verb=Verb(row["verb"]),
        programme_id=row["programme_id"],
        course_run_id=row["course_run_id"],
        seat_request_id=row["seat_request_id"],
        state=State(row["state"]),
        responsible_agency=row["responsible_agency"],
        progress=None if row["progress"] is None else Progress(row["progress"]),
        reason=row["reason"],
        sent_at=row["sent_at"],
        version=row["version"],
        group_id=row["group_id"],
        rerouted_from=row["rerouted_from"],
        before_hold=None if row["before_hold"] is None else State(row["before_hold"]),
        outcome=row["outcome"],
        missing=tuple(row["missing"]),
        review_on=row["review_on"],
        waits=_waits(row),
        proposed_programme_id=row["proposed_programme_id"],
        proposed_course_run_id=row["proposed_course_run_id"],
        taken_over=row["taken_over"],
        seat_since=row["seat_since"],
        seat_course_run_id=row["seat_course_run_id"],
        consent_version=row["consent_version"],
    )


_PLAIN = (
    "id",
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
    "taken_over",
    "seat_since",
    "seat_course_run_id",
    "consent_version",
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


def _waits(row: Mapping[Any, Any]) -> Waits | None:
    if row["clock"] is None:
        return None
    tier = None if row["tier"] is None else Tier(row["tier"])
    return Waits(Clock(row["clock"]), row["waits_for"], row["clock_since"], row["due_on"], tier, row["tier_on"])
