"""Referrals as numbers: their milestones, declines, outcomes, and the receivers of a case."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Row, and_, cast, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.numbers import GOES_ON, HOPS, SIGNS, Milestone, Way
from services.referral.tables.schema import case_fact, hops_alarm, referral, referral_step
from shared.auth import served


def visible(agency: str, municipalities: frozenset[str]) -> ColumnElement[bool]:
    """Referrals that an agency may count: its own, and those of the municipalities that it serves."""
    own = or_(referral.c.sender == agency, referral.c.receiver == agency)
    return or_(own, served(referral.c.municipality, municipalities))


async def ways(session: AsyncSession, whose: ColumnElement[bool], *, since: datetime, until: datetime) -> list[Way]:
    """The referrals sent in a period, each with the first moment at which it reached each milestone."""
    step = referral_step.c
    reached = [
        func.min(step.at).filter(step.step.in_(sorted(SIGNS[milestone]))).label(milestone) for milestone in Milestone
    ]
    query = (
        select(referral.c.sender, referral.c.receiver, referral.c.sent_at, referral.c.state, *reached)
        .join(referral_step, step.referral_id == referral.c.id)
        .where(whose, referral.c.sent_at >= since, referral.c.sent_at <= until)
        .group_by(referral.c.id)
    )
    return [
        Way(
            sender=row.sender,
            receiver=row.receiver,
            sent_at=row.sent_at,
            reached={each: at for each in Milestone if (at := getattr(row, each)) is not None},
            goes_on=row.state in GOES_ON,
        )
        for row in await session.execute(query)
    ]


async def declines(
    session: AsyncSession, whose: ColumnElement[bool], *, since: datetime, until: datetime
) -> Sequence[tuple[str, str, int]]:
    """By receiver and reason: how many referrals were declined so in a period."""
    step = referral_step.c
    query = (
        select(referral.c.receiver, step.reason, func.count(referral.c.id.distinct()))
        .join(referral_step, step.referral_id == referral.c.id)
        .where(whose, step.step == "decline", step.reason.is_not(None), step.at >= since, step.at <= until)
        .group_by(referral.c.receiver, step.reason)
        .order_by(referral.c.receiver, step.reason)
    )
    return [(row[0], row[1], row[2]) for row in await session.execute(query)]


async def states(
    session: AsyncSession, whose: ColumnElement[bool], *, since: datetime, until: datetime
) -> Mapping[str, int]:
    """Where the referrals sent in a period stand now."""
    query = (
        select(referral.c.state, func.count())
        .where(whose, referral.c.sent_at >= since, referral.c.sent_at <= until)
        .group_by(referral.c.state)
    )
    return {row[0]: row[1] for row in await session.execute(query)}


async def outcomes(session: AsyncSession, sender: str, *, since: datetime, until: datetime) -> Mapping[str, int]:
    """What came of the referrals that an agency sent in a period; one may have come to several, one after another."""
    query = text(
        "SELECT o.outcome, count(DISTINCT r.id) FROM referral_outcome o JOIN referral r ON r.id = o.referral_id"
        " WHERE r.sender = :sender AND r.sent_at >= :since AND r.sent_at <= :until GROUP BY 1"
    )
    rows = await session.execute(query, {"sender": sender, "since": since, "until": until})
    return {row[0]: row[1] for row in rows}


async def hops(
    session: AsyncSession, whose: ColumnElement[bool], *, since: datetime, until: datetime
) -> Mapping[int, int]:
    """How many cases were sent to how many different receivers in a period."""
    cases = (
        select(func.count(referral.c.receiver.distinct()).label("hops"))
        .where(whose, referral.c.sent_at >= since, referral.c.sent_at <= until)
        .group_by(referral.c.case_id)
        .subquery()
    )
    query = select(cases.c.hops, func.count()).group_by(cases.c.hops).order_by(cases.c.hops)
    return {row[0]: row[1] for row in await session.execute(query)}


async def lock_case_of_many_hops(session: AsyncSession) -> tuple[UUID, int] | None:
    """An open case with more receivers than it was last told of, locked; and how many they are."""
    many = (
        select(referral.c.case_id, func.count(referral.c.receiver.distinct()).label("hops"))
        .group_by(referral.c.case_id)
        .having(func.count(referral.c.receiver.distinct()) >= min(HOPS))
        .subquery()
    )
    told = select(func.count()).where(hops_alarm.c.case_id == many.c.case_id).scalar_subquery()
    due = sum((cast(many.c.hops >= literal(threshold), Integer) for threshold in HOPS), literal(0))
    query = (
        select(case_fact.c.case_id, many.c.hops)
        .join(many, many.c.case_id == case_fact.c.case_id)
        .where(case_fact.c.closed_at.is_(None), told < due)
        .limit(1)
        .with_for_update(of=case_fact, skip_locked=True, key_share=True)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row.case_id, row.hops)


async def raised(session: AsyncSession, case_id: UUID) -> frozenset[int]:
    """For which numbers of receivers an alarm was raised."""
    query = select(hops_alarm.c.threshold).where(hops_alarm.c.case_id == case_id)
    return frozenset((await session.execute(query)).scalars())


async def add_alarm(session: AsyncSession, case_id: UUID, *, threshold: int, hops: int, at: datetime) -> None:
    """Write that it was raised."""
    values = {"case_id": case_id, "threshold": threshold, "hops": hops, "raised_at": at}
    await session.execute(upsert(hops_alarm).values(**values).on_conflict_do_nothing())


async def list_alarms(
    session: AsyncSession, agency: str, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """The open cases that an agency holds and that were passed about, the newest alarm first."""
    newest = (
        select(
            hops_alarm.c.case_id,
            func.max(hops_alarm.c.hops).label("hops"),
            func.max(hops_alarm.c.raised_at).label("raised_at"),
        )
        .group_by(hops_alarm.c.case_id)
        .subquery()
    )
    holder = func.coalesce(case_fact.c.holder, case_fact.c.opened_by)
    query = (
        select(newest, case_fact.c.municipality)
        .join(case_fact, case_fact.c.case_id == newest.c.case_id)
        .where(holder == agency, case_fact.c.closed_at.is_(None))
        .order_by(newest.c.raised_at.desc(), newest.c.case_id.desc())
        .limit(limit)
    )
    if after is not None:
        at, case_id = after
        query = query.where(or_(newest.c.raised_at < at, and_(newest.c.raised_at == at, newest.c.case_id < case_id)))
    return (await session.execute(query)).all()
