"""Needs that nobody answers: found when candidates are asked for, and looked for once a day; someone holds each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import Row, or_
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.clocks import NEED_REVIEW, after
from services.referral.domain.needs import (
    Compared,
    EndReason,
    Need,
    NeedState,
    compare,
    coordinated_by,
    still_said,
    unmet,
)
from services.referral.domain.routing import Case, Routing
from services.referral.tables import calendars, needs, schema
from services.referral.tables.asked import AskedOf
from shared.auth import Actor, served
from shared.bus.mailbox import emit
from shared.events import Event, NeedMet, NeedUnmet
from shared.service import JST, day_in_japan

BATCH = 50
"""Cases that are looked at in one transaction."""


Told = list[tuple[Event, int]]


def differs(found: AskedOf, routing: Routing) -> bool:
    """Whether what is on record is not what the case lacks now, or not with who coordinates it now."""
    lacking, changes = _looked_at(found, routing)
    return bool(changes.begins or changes.ends or _moves(found, lacking))


async def settle(session: AsyncSession, found: AskedOf, routing: Routing, *, now: datetime) -> Told:
    """Bring what is on record in line with what the case lacks now; what there is to tell. Twice changes nothing.

    The case's row was locked before it was looked at: else it may have been closed since, and nobody would end the
    record; or somebody may have said just now what this knows nothing of.
    """
    if found.is_over:
        return []
    case = found.case
    lacking, changes = _looked_at(found, routing)
    coordinator = case.coordinator or case.holder
    begun = await needs.begin(
        session,
        changes.begins,
        case_id=case.case_id,
        municipality=case.municipality,
        since=now,
        coordinator=coordinator,
        stage=case.stage,
        review_on=await _review_day(session, coordinator, now) if changes.begins else None,
    )
    ended = await needs.end(session, case.case_id, dict(changes.ends), now=now)
    moved = await needs.hand_on(session, case.case_id, _moves(found, lacking))
    # The record's own row orders what is told of it: it opens, may get another coordinator, and ends once.
    told = [*map(_unmet, begun), *map(_unmet, moved), *map(_met, ended)]
    return list(zip(told, (row.version for row in (*begun, *moved, *ended)), strict=True))


def _looked_at(found: AskedOf, routing: Routing) -> tuple[Collection[Need], Compared]:
    """What the case lacks, and what of it isn't on record so."""
    case, taken = found.case, bool(found.case.taken_targets)
    wanted, served_needs = case.asked.wanted, case.served_needs
    lacking = unmet(routing, taken=taken) | still_said(
        found.said_unmet, wanted=wanted, served=served_needs, taken=taken
    )
    return lacking, compare(found.on_record, lacking, wanted=wanted, served=served_needs, taken=taken)


def _moves(found: AskedOf, lacking: Collection[Need]) -> dict[Need, str]:
    """What stays on record goes to who coordinates it now: the one from before may be none any more."""
    holder = found.case.holder
    coordinator = found.case.coordinator or holder
    return {
        record.need: whose
        for record in found.records
        if record.need in lacking
        and (whose := coordinated_by(record.said_by, holder=holder, coordinator=coordinator)) != record.coordinator
    }


async def end_all(session: AsyncSession, case_id: UUID, reason: EndReason, *, now: datetime) -> None:
    """The case is over: nothing is looked for any more."""
    ends = dict.fromkeys(await needs.on_record(session, case_id), reason)
    ended = await needs.end(session, case_id, ends, now=now)
    await emit(session, *((_met(row), row.version) for row in ended), at=now)


async def say_unmet(session: AsyncSession, case: Case, lacking: Collection[Need], *, by: str, now: datetime) -> Told:
    """Put on record what somebody says who looked for a place and found none. The case's row is locked."""
    review_on = await _review_day(session, by, now)
    moved = await needs.say(session, case.case_id, lacking, by=by, review_on=review_on)
    begun = await needs.begin(
        session,
        lacking,
        case_id=case.case_id,
        municipality=case.municipality,
        since=now,
        coordinator=by,
        stage=case.stage,
        review_on=review_on,
        said_by=by,
    )
    return [(_unmet(row), row.version) for row in (*moved, *begun)]


async def _review_day(session: AsyncSession, coordinator: str, now: datetime) -> date:
    calendar = await calendars.calendar_of(session, coordinator)
    return after(day_in_japan(now), NEED_REVIEW, calendar.is_open)


@dataclass(frozen=True, slots=True)
class NotTheCoordinator:
    """Only who coordinates it says when it is looked at again."""


@dataclass(frozen=True, slots=True)
class NoneOpen:
    """It is met, or has ended; or there is no such record."""


async def review_need(
    session: AsyncSession, need_id: UUID, review_on: date, *, actor: Actor
) -> Row[Any] | NotTheCoordinator | NoneOpen:
    """Somebody has looked, and says when they look again."""
    row = await needs.lock_need(session, need_id)
    if row is None or not (row.coordinator == actor.agency or actor.serves(row.municipality)):
        return NoneOpen()
    if row.coordinator != actor.agency:
        return NotTheCoordinator()
    if row.state != NeedState.OPEN:
        return NoneOpen()
    return await needs.set_review(session, need_id, review_on)


async def list_waiting(
    session: AsyncSession, actor: Actor, *, mine: bool, after: tuple[date, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """What is on record, by the day of review: of my agency, or of the municipalities that it serves."""
    column = schema.need_unmet.c
    own = column.coordinator == actor.agency
    seen = own if mine else or_(own, served(column.municipality, actor.municipalities))
    return await needs.list_waiting(session, seen, after=after, limit=limit)


async def get_need(session: AsyncSession, need_id: UUID, actor: Actor) -> Row[Any] | None:
    """One record, of my agency or of the municipalities that it serves."""
    column = schema.need_unmet.c
    seen = or_(column.coordinator == actor.agency, served(column.municipality, actor.municipalities))
    found = await needs.list_needs(session, seen, column.id == need_id, before=None, limit=1)
    return found[0] if found else None


def start_of_day(now: datetime) -> datetime:
    """Midnight in Japan: each open case is looked at once a day."""
    return datetime.combine(day_in_japan(now), time(), JST)


async def list_needs(
    session: AsyncSession,
    actor: Actor,
    *,
    box: str | None,
    state: str | None,
    municipality: str | None,
    before: UUID | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """What my agency coordinates (`mine`), or everything of the municipalities that it serves."""
    column = schema.need_unmet.c
    mine = column.coordinator == actor.agency
    conditions = [mine if box == "mine" else or_(mine, served(column.municipality, actor.municipalities))]
    if state is not None:
        conditions.append(column.state == state)
    if municipality is not None:
        conditions.append(column.municipality == municipality)
    return await needs.list_needs(session, *conditions, before=before, limit=limit)


def _unmet(row: Row[Any]) -> NeedUnmet:
    return NeedUnmet(
        case_id=row.case_id,
        need=row.need,
        municipality=row.municipality,
        coordinator=row.coordinator,
        stage=row.stage,
    )


def _met(row: Row[Any]) -> NeedMet:
    return NeedMet(case_id=row.case_id, need=row.need, reason=row.reason)
