"""Referrals and their steps: loads that lock or return domain values."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import OPEN, Progress, Referral, State
from services.referral.tables.schema import referral, referral_step

OPEN_STATES = referral.c.state.in_(sorted(OPEN))


async def lock_referral(session: AsyncSession, referral_id: UUID) -> Referral | None:
    """The referral, locked against every other mover."""
    query = select(referral).where(referral.c.id == referral_id).with_for_update()
    row = (await session.execute(query)).one_or_none()
    return None if row is None else as_referral(row)


async def lock_open_referrals(
    session: AsyncSession, case_id: UUID, *, course_run_id: UUID | None = None
) -> Sequence[Referral]:
    """The case's unanswered referrals, to one course run or to anything; always locked in the same order."""
    query = select(referral).where(referral.c.case_id == case_id, OPEN_STATES).order_by(referral.c.id)
    if course_run_id is not None:
        query = query.where(referral.c.course_run_id == course_run_id)
    return [as_referral(row) for row in await session.execute(query.with_for_update())]


async def find_referral(session: AsyncSession, referral_id: UUID) -> Referral | None:
    """The referral, to look at."""
    row = (await session.execute(select(referral).where(referral.c.id == referral_id))).one_or_none()
    return None if row is None else as_referral(row)


async def add_referral(session: AsyncSession, sent: Referral, *, at: datetime) -> None:
    """Write a new referral with its first step."""
    await session.execute(insert(referral).values(id=sent.id, **_columns(sent)))
    await _add_step(session, sent, step="send", by=sent.sender, at=at)


async def store_move(session: AsyncSession, moved: Referral, *, step: str, by: str, at: datetime) -> None:
    """Write what a move came to. The row is locked by whoever calls this."""
    await session.execute(update(referral).where(referral.c.id == moved.id).values(**_columns(moved)))
    await _add_step(session, moved, step=step, by=by, at=at)


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
    """A row as the domain knows it."""
    return Referral(
        id=row.id,
        case_id=row.case_id,
        municipality=row.municipality,
        sender=row.sender,
        receiver=row.receiver,
        programme_id=row.programme_id,
        course_run_id=row.course_run_id,
        seat_request_id=row.seat_request_id,
        state=State(row.state),
        progress=None if row.progress is None else Progress(row.progress),
        reason=row.reason,
        sent_at=row.sent_at,
        version=row.version,
    )


def _columns(of: Referral) -> dict[str, Any]:
    return {
        "case_id": of.case_id,
        "municipality": of.municipality,
        "sender": of.sender,
        "receiver": of.receiver,
        "programme_id": of.programme_id,
        "course_run_id": of.course_run_id,
        "seat_request_id": of.seat_request_id,
        "state": of.state,
        "responsible_agency": of.responsible_agency,
        "progress": of.progress,
        "reason": of.reason,
        "sent_at": of.sent_at,
        "version": of.version,
    }


async def _add_step(session: AsyncSession, of: Referral, *, step: str, by: str, at: datetime) -> None:
    values = {"referral_id": of.id, "version": of.version, "step": step, "by": by, "reason": of.reason, "at": at}
    await session.execute(insert(referral_step).values(**values))
