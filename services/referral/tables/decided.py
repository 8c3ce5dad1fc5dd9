"""Referrals that a conference decided elsewhere, until they are sent or given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.tables.schema import decided_referral

WAITS = decided_referral.c.state == "waiting"


@dataclass(frozen=True, slots=True)
class Decided:
    """To refer a case, in the owner's name; `consent_version`: the word about consent on which that rests."""

    task_id: UUID
    case_id: UUID
    owner: str
    programme_id: UUID | None
    course_run_id: UUID | None
    consent_version: int
    decided_at: datetime


async def keep(session: AsyncSession, decided: Decided) -> bool:
    """Remember it, once: whether it is new."""
    values = {name: getattr(decided, name) for name in Decided.__slots__}
    statement = upsert(decided_referral).values(**values, state="waiting", try_at=decided.decided_at)
    written = statement.on_conflict_do_nothing().returning(decided_referral.c.task_id)
    return (await session.execute(written)).one_or_none() is not None


async def lock_waiting(session: AsyncSession, task_id: UUID) -> Decided | None:
    """One that still waits, held until the transaction ends."""
    query = select(decided_referral).where(decided_referral.c.task_id == task_id, WAITS).with_for_update(key_share=True)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else _decided(row)


async def find_waiting(session: AsyncSession, *conditions: ColumnElement[bool], limit: int) -> Sequence[Decided]:
    """Those that wait, the oldest first."""
    query = select(decided_referral).where(WAITS, *conditions).order_by(decided_referral.c.try_at).limit(limit)
    return [_decided(row) for row in await session.execute(query)]


async def change(session: AsyncSession, task_id: UUID, **values: Any) -> None:
    """What became of one that is locked."""
    await session.execute(update(decided_referral).where(decided_referral.c.task_id == task_id).values(**values))


def _decided(row: Any) -> Decided:
    return Decided(*(getattr(row, name) for name in Decided.__slots__))
