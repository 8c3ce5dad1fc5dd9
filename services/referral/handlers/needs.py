"""Needs that nobody answers: found when candidates are asked for, and looked for once a day; someone holds each."""

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import Row, or_
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.needs import EndReason, compare, unmet
from services.referral.domain.routing import Routing
from services.referral.tables import needs, schema
from services.referral.tables.asked import AskedOf
from shared.auth import Actor, served
from shared.bus.mailbox import emit
from shared.events import NeedMet, NeedUnmet
from shared.service import JST, day_in_japan

BATCH = 50
"""Cases that are looked at in one transaction."""


async def settle(session: AsyncSession, found: AskedOf, routing: Routing, *, now: datetime) -> None:
    """Bring what is on record in line with what the case lacks now. Twice the same changes nothing."""
    if found.is_over:
        return
    case = found.case
    changes = compare(
        found.on_record,
        unmet(routing, taken=bool(case.taken_targets)),
        wanted=case.asked.wanted,
        served=case.served_needs,
    )
    begun = await needs.begin(
        session,
        changes.begins,
        case_id=case.case_id,
        municipality=case.municipality,
        since=now,
        coordinator=case.coordinator or case.opened_by,
        stage=case.stage,
    )
    ended = await needs.end(session, case.case_id, dict(changes.ends), now=now)
    # The record's own row orders what is told of it: it opens once, and ends once.
    await emit(session, *((_unmet(row), 1) for row in begun), *((_met(row), 2) for row in ended), at=now)


async def end_all(session: AsyncSession, case_id: UUID, reason: EndReason, *, now: datetime) -> None:
    """The case is over: nothing is looked for any more."""
    ends = dict.fromkeys(await needs.on_record(session, case_id), reason)
    ended = await needs.end(session, case_id, ends, now=now)
    await emit(session, *((_met(row), 2) for row in ended), at=now)


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
