"""Everything that followed from a request, fact by fact, also what was corrected; and which set days are overdue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.handlers.reading import get_seat_request, sight
from shared.auth import Actor
from shared.service import day_in_japan

_RESULTS = text("SELECT * FROM selection WHERE seat_request_id = :id ORDER BY number")
_MONTHS = text("SELECT * FROM attendance_certificate WHERE seat_request_id = :id ORDER BY month, number")
_ENDS = text("SELECT * FROM training_end WHERE seat_request_id = :id ORDER BY number")
_OUTCOMES = text("SELECT * FROM employment_outcome WHERE seat_request_id = :id ORDER BY checkpoint, number")
_INSTRUCTION = text(
    "SELECT i.*, c.reason AS cancelled_because, c.at AS cancelled_at, c.agency AS cancelled_by FROM instruction i"
    " LEFT JOIN instruction_cancellation c ON c.instruction_id = i.id WHERE i.seat_request_id = :id"
)
# The set days as the domain reckons them (`due_on`): so many months later, or the last day of a shorter month.
_OVERDUE = text(
    "SELECT r.id AS seat_request_id, r.case_id, r.course_run_id, r.municipality, c.provider_agency, due.checkpoint,"
    " due.day AS due_on FROM seat_request r JOIN course_run c ON c.id = r.course_run_id CROSS JOIN LATERAL ("
    "SELECT ended_on FROM training_end WHERE seat_request_id = r.id ORDER BY number DESC LIMIT 1"
    ") e CROSS JOIN LATERAL (VALUES ('at_end', e.ended_on), ('one_month', (e.ended_on + interval '1 month')::date),"
    " ('three_months', (e.ended_on + interval '3 months')::date)) AS due (checkpoint, day)"
    " WHERE (r.municipality = ANY(CAST(:municipalities AS text[]))"
    " OR 'prefecture:' || left(r.municipality, 2) = ANY(CAST(:municipalities AS text[]))"
    " OR c.provider_agency = :provider) AND r.state = 'enrolled' AND due.day < :today"
    " AND NOT EXISTS (SELECT FROM employment_outcome o"
    " WHERE o.seat_request_id = r.id AND o.checkpoint = due.checkpoint)"
    " AND (CAST(:after_on AS date) IS NULL OR (due.day, r.id, due.checkpoint) > (:after_on, :after_id, :after_point))"
    " ORDER BY due.day, r.id, due.checkpoint LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class Record:
    """A request and all that followed."""

    request: Row[Any]
    results: Sequence[Row[Any]]
    instruction: Row[Any] | None
    months: Sequence[Row[Any]]
    ends: Sequence[Row[Any]]
    outcomes: Sequence[Row[Any]]


async def read_record(session: AsyncSession, seat_request_id: UUID, actor: Actor) -> Record:
    """For those whose business the request is; 404 for others."""
    request, _ = await get_seat_request(session, seat_request_id, actor)
    of = {"id": seat_request_id}
    return Record(
        request,
        (await session.execute(_RESULTS, of)).all(),
        (await session.execute(_INSTRUCTION, of)).one_or_none(),
        (await session.execute(_MONTHS, of)).all(),
        (await session.execute(_ENDS, of)).all(),
        (await session.execute(_OUTCOMES, of)).all(),
    )


async def list_overdue(
    session: AsyncSession, actor: Actor, *, after: tuple[date, UUID, str] | None, limit: int, now: datetime
) -> Sequence[Row[Any]]:
    """The set days that have passed without a word, for those who may say it; the longest overdue first."""
    after_on, after_id, after_point = after or (None, None, None)
    values = {
        "today": day_in_japan(now),
        "after_on": after_on,
        "after_id": after_id,
        "after_point": after_point,
        "limit": limit,
    }
    return (await session.execute(_OVERDUE, values | sight(actor))).all()
