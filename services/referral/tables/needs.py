"""Needs that nobody answers: one open record for a case and a need, and what became of each."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, exists, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.needs import EndReason, Need, NeedState
from services.referral.tables.schema import case_fact, need_unmet, referral, referral_step
from shared.bus.envelope import new_id
from shared.consent import LAST_WORD

_OPEN = need_unmet.c.state == NeedState.OPEN
_TAKING = ("accept", "overrule_forward", "enrol")
"""Steps by which somebody takes a case on."""


async def begin(session: AsyncSession, needs: Collection[Need], **values: Any) -> Sequence[Row[Any]]:
    """Put them on record; those that another put there first are not written again."""
    if not needs:
        return []
    rows = [{"id": new_id(), "need": need, "state": NeedState.OPEN, **values} for need in needs]
    statement = upsert(need_unmet).values(rows).on_conflict_do_nothing().returning(*need_unmet.c)
    return (await session.execute(statement)).all()


async def say(session: AsyncSession, case_id: UUID, needs: Collection[Need], *, by: str, review_on: date) -> None:
    """Somebody has looked, and says so of those on record: they stay there, although a candidate is listed."""
    which = or_(*(need_unmet.c.need.is_(None) if need is None else need_unmet.c.need == need for need in needs))
    where = need_unmet.c.case_id == case_id, which, _OPEN
    await session.execute(update(need_unmet).where(*where).values(said_by=by, coordinator=by, review_on=review_on))


async def lock_need(session: AsyncSession, need_id: UUID) -> Row[Any] | None:
    """One record, locked."""
    query = select(need_unmet).where(need_unmet.c.id == need_id).with_for_update(key_share=True)
    return (await session.execute(query)).one_or_none()


async def set_review(session: AsyncSession, need_id: UUID, review_on: date) -> Row[Any]:
    """When somebody looks again."""
    change = update(need_unmet).where(need_unmet.c.id == need_id).values(review_on=review_on)
    return (await session.execute(change.returning(*need_unmet.c))).one()


async def list_waiting(
    session: AsyncSession, *conditions: ColumnElement[bool], after: tuple[date, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """What is on record, by the day on which somebody looks again."""
    place = need_unmet.c.review_on, need_unmet.c.id
    query = select(need_unmet).where(_OPEN, *conditions).order_by(*place).limit(limit)
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(*after))
    return (await session.execute(query)).all()


async def end(
    session: AsyncSession, case_id: UUID, ends: Mapping[Need, EndReason], *, now: datetime
) -> Sequence[Row[Any]]:
    """End them; those that another ended first are left."""
    ended: list[Row[Any]] = []
    for need, reason in ends.items():
        which = need_unmet.c.need.is_(None) if need is None else need_unmet.c.need == need
        statement = (
            update(need_unmet)
            .where(need_unmet.c.case_id == case_id, which, _OPEN)
            .values(state=reason.state, ended_at=now, reason=reason.value)
            .returning(*need_unmet.c)
        )
        ended += (await session.execute(statement)).all()
    return ended


async def on_record(session: AsyncSession, case_id: UUID) -> Sequence[Need]:
    """What of a case is open."""
    return (
        (await session.execute(select(need_unmet.c.need).where(need_unmet.c.case_id == case_id, _OPEN))).scalars().all()
    )


async def lock_due(session: AsyncSession, *, before: datetime, limit: int) -> Sequence[UUID]:
    """Open cases that nobody has looked at since, or that somebody took on since; others' hands are passed by."""
    taken = (
        exists()
        .where(need_unmet.c.case_id == case_fact.c.case_id, _OPEN)
        .where(referral.c.case_id == case_fact.c.case_id, referral_step.c.referral_id == referral.c.id)
        .where(referral_step.c.step.in_(_TAKING), referral_step.c.at > case_fact.c.needs_looked_at)
    )
    is_open = and_(
        case_fact.c.municipality.is_not(None),
        case_fact.c.closed_at.is_(None),
        or_(case_fact.c.consent_version.is_(None), case_fact.c.consent_version != LAST_WORD),
    )
    not_looked = or_(case_fact.c.needs_looked_at.is_(None), case_fact.c.needs_looked_at < before)
    for condition in (not_looked, taken):
        query = select(case_fact.c.case_id).where(is_open, condition).limit(limit)
        found = (await session.execute(query.with_for_update(skip_locked=True, key_share=True))).scalars().all()
        if found:
            return found
    return []


async def looked_at(session: AsyncSession, case_ids: Collection[UUID], now: datetime) -> None:
    """Write down that they were looked at."""
    await session.execute(update(case_fact).where(case_fact.c.case_id.in_(case_ids)).values(needs_looked_at=now))


async def list_needs(
    session: AsyncSession, *conditions: ColumnElement[bool], before: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Newest first (ids grow with time)."""
    query = select(need_unmet).where(*conditions).order_by(need_unmet.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(need_unmet.c.id < before)
    return (await session.execute(query)).all()
