"""Needs that nobody answers: one open record for a case and a need, and what became of each."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, Values, and_, column, exists, or_, select, tuple_, update, values
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.holders import TAKING
from services.referral.domain.needs import EndReason, Need, NeedState
from services.referral.tables.schema import case_fact, need_unmet, referral, referral_step
from shared.bus.envelope import new_id
from shared.consent import LAST_WORD

_OPEN = need_unmet.c.state == NeedState.OPEN


async def begin(session: AsyncSession, needs: Collection[Need], **same: Any) -> Sequence[Row[Any]]:
    """Put them on record; those that another put there first are not written again."""
    if not needs:
        return []
    rows = [{"id": new_id(), "need": need, "state": NeedState.OPEN, "version": 1, **same} for need in needs]
    statement = upsert(need_unmet).values(rows).on_conflict_do_nothing().returning(*need_unmet.c)
    return (await session.execute(statement)).all()


async def say(
    session: AsyncSession, case_id: UUID, needs: Collection[Need], *, by: str, review_on: date
) -> Sequence[Row[Any]]:
    """Somebody has looked, and says so of those on record: they stay there, although a candidate is listed.

    Those that another agency coordinated until then.
    """
    moved = await hand_on(session, case_id, dict.fromkeys(needs, by))
    which = or_(*(need_unmet.c.need.is_(None) if need is None else need_unmet.c.need == need for need in needs))
    where = need_unmet.c.case_id == case_id, which, _OPEN
    await session.execute(update(need_unmet).where(*where).values(said_by=by, review_on=review_on))
    return moved


async def hand_on(session: AsyncSession, case_id: UUID, coordinators: Mapping[Need, str]) -> Sequence[Row[Any]]:
    """Give what is open to its coordinator of today; those that were another's until then."""
    if not coordinators:
        return []
    told = _listed(need=coordinators.keys(), coordinator=coordinators.values())
    statement = (
        update(need_unmet)
        .where(need_unmet.c.case_id == case_id, _OPEN, need_unmet.c.need.is_not_distinct_from(told.c.need))
        .where(need_unmet.c.coordinator != told.c.coordinator)
        .values(coordinator=told.c.coordinator, version=need_unmet.c.version + 1)
    )
    return _in_order(await session.execute(statement.returning(*need_unmet.c)))


def _listed(need: Iterable[Need], **more: Iterable[str]) -> Values:
    """Rows to join with, whatever their number; in one order, in which everybody locks what they change."""
    named = (column(name, Text) for name in ("need", *more))
    return values(*named, name="told").data(sorted(zip(need, *more.values(), strict=True), key=_last_the_whole))


def _in_order(found: Iterable[Row[Any]]) -> Sequence[Row[Any]]:
    return sorted(found, key=lambda row: _last_the_whole((row.need,)))


def _last_the_whole(row: Sequence[Need]) -> tuple[bool, str]:
    return row[0] is None, row[0] or ""


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
    """End them; those that another ended first are left.

    So is what somebody has said since the case was looked at: a candidate doesn't answer that (`domain.needs`).
    """
    if not ends:
        return []
    told = _listed(
        need=ends.keys(),
        state=(reason.state for reason in ends.values()),
        reason=(reason.value for reason in ends.values()),
    )
    statement = (
        update(need_unmet)
        .where(need_unmet.c.case_id == case_id, _OPEN, need_unmet.c.need.is_not_distinct_from(told.c.need))
        .where(or_(need_unmet.c.said_by.is_(None), told.c.reason != EndReason.CANDIDATE_FOUND))
        .values(state=told.c.state, ended_at=now, reason=told.c.reason, version=need_unmet.c.version + 1)
    )
    return _in_order(await session.execute(statement.returning(*need_unmet.c)))


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
        .where(referral_step.c.step.in_(sorted(TAKING)), referral_step.c.at > case_fact.c.needs_looked_at)
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
