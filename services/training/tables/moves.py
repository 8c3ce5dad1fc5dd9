"""Seats that move from one pool into another: entries of the ledger with a pool on both sides."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.pools import Place
from services.training.tables.seats import origin_of
from shared.database import Hot

_NEXT = Hot(
    "SELECT p.id, o.step, o.municipalities, o.decision_allotment_id FROM pool p JOIN allotment_onward o"
    " ON o.decision_allotment_id = p.decision_allotment_id AND o.step = coalesce(p.onward_step, 0) + 1"
    " WHERE p.id = ANY(CAST(:ids AS uuid[])) AND p.agreement_id IS NULL"
)
_MOVE = Hot(
    "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, to_pool_id, seats, at, by, cause)"
    " SELECT CAST(:command AS uuid), number, course_run_id, :kind, pool_id, to_pool_id, seats, :now, :by, :cause"
    " FROM unnest(CAST(:course_run_ids AS uuid[]), CAST(:pool_ids AS uuid[]), CAST(:to_pool_ids AS uuid[]),"
    " CAST(:seats AS integer[])) WITH ORDINALITY AS entry (course_run_id, pool_id, to_pool_id, seats, number)"
    " ORDER BY number"
)


@dataclass(frozen=True, slots=True)
class Move:
    """So many free seats, from one pool of a course run into another."""

    course_run_id: UUID
    pool_id: UUID
    to_pool_id: UUID
    seats: int


async def read_next_places(session: AsyncSession, pool_ids: Collection[UUID]) -> dict[UUID, Place]:
    """Whom the decisions name next for what goes back from these pools; nobody, for those that are missing."""
    return {
        row["id"]: Place("+".join(row["municipalities"]), row["decision_allotment_id"], row["step"])
        for row in await _NEXT.rows(session, {"ids": list(pool_ids)})
    }


async def move(session: AsyncSession, kind: str, moves: Sequence[Move], *, command: UUID, now: datetime) -> None:
    """All of them in one statement, numbered in their order. A command that is repeated is refused."""
    if not moves:
        return
    values = {
        "command": command,
        "kind": kind,
        "course_run_ids": [each.course_run_id for each in moves],
        "pool_ids": [each.pool_id for each in moves],
        "to_pool_ids": [each.to_pool_id for each in moves],
        "seats": [each.seats for each in moves],
        "now": now,
    }
    await _MOVE.rows(session, values | origin_of(session))
