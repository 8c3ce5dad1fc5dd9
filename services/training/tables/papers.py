"""The papers of a request: numbered, only added to; the last one stands, unless it was cancelled."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.instruction import Kind, Registration
from services.training.domain.papers import Issued
from services.training.tables.training_facts import in_the_name_of

_LAST = text(
    "SELECT i.id, i.number, i.kind, c.instruction_id IS NOT NULL AS cancelled FROM instruction i"
    " LEFT JOIN instruction_cancellation c ON c.instruction_id = i.id WHERE i.seat_request_id = :id"
    " ORDER BY i.number DESC LIMIT 1"
)
_COUNTERSIGNED = text("SELECT EXISTS (SELECT FROM countersignature WHERE seat_request_id = :id)")
_CANCEL = text(
    "INSERT INTO instruction_cancellation (instruction_id, reason, agency, legal_entity, notification_number,"
    " registration_id, at) VALUES (:instruction_id, :reason, :agency, :legal_entity, :notification_number,"
    " :registration_id, :now)"
)


async def find_last(session: AsyncSession, seat_request_id: UUID) -> Issued | None:
    """The paper that was issued last."""
    row = (await session.execute(_LAST, {"id": seat_request_id})).one_or_none()
    return None if row is None else Issued(row.id, row.number, Kind(row.kind), row.cancelled)


async def is_countersigned(session: AsyncSession, seat_request_id: UUID) -> bool:
    """Whether Hello Work agreed to the nomination once: that stays."""
    found: bool = (await session.execute(_COUNTERSIGNED, {"id": seat_request_id})).scalar_one()
    return found


async def add_cancellation(
    session: AsyncSession, paper_id: UUID, reason: str, *, signed: Registration, now: datetime
) -> None:
    """A support instruction ends; it stays on record."""
    values: dict[str, Any] = {"instruction_id": paper_id, "reason": reason, "now": now}
    await session.execute(_CANCEL, values | in_the_name_of(signed))
