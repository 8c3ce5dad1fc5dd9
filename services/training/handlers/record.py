"""Everything that followed from a request, fact by fact, also what was corrected; and which set days are overdue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.policy import Reasons
from services.training.handlers.access import reach
from services.training.handlers.places import positions_of
from services.training.handlers.reading import get_seat_request, sight
from shared.auth import Actor
from shared.service import day_in_japan

_RESULTS = text("SELECT * FROM selection WHERE seat_request_id = :id ORDER BY number")
_MONTHS = text("SELECT * FROM attendance_certificate WHERE seat_request_id = :id ORDER BY month, number")
_REASONS = text(
    "SELECT a.id, r.days FROM attendance_certificate a LEFT JOIN absence_reasons r ON r.certificate_id = a.id"
    " WHERE a.seat_request_id = :id AND (CAST(:agency AS text) IS NULL OR a.agency = :agency)"
)
_ENDS = text("SELECT * FROM training_end WHERE seat_request_id = :id ORDER BY number")
_OUTCOMES = text("SELECT * FROM employment_outcome WHERE seat_request_id = :id ORDER BY checkpoint, number")
_PAPERS = text(
    "SELECT i.*, c.reason AS cancelled_because, c.at AS cancelled_at, c.agency AS cancelled_by FROM instruction i"
    " LEFT JOIN instruction_cancellation c ON c.instruction_id = i.id WHERE i.seat_request_id = :id ORDER BY i.number"
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
    papers: Sequence[Row[Any]]
    months: Sequence[Row[Any]]
    ends: Sequence[Row[Any]]
    outcomes: Sequence[Row[Any]]
    excused: Mapping[UUID, Mapping[str, int]]
    """Reasons of absence by certificate, as far as they are shown."""
    positions: Mapping[UUID, int]
    """Where it stands in the line, if it waits."""
    told_why: Callable[[str], bool]
    """Whether reasons that this agency gave are shown."""


async def read_record(
    session: AsyncSession, seat_request_id: UUID, actor: Actor, *, reasons: bool = False, now: datetime
) -> Record:
    """For those who have a legal basis to read it; the access log says who did."""
    request, _ = await get_seat_request(session, seat_request_id, actor)
    shown = await reach(session, request, reasons=reasons, actor=actor, now=now)
    of = {"id": seat_request_id}
    return Record(
        request,
        (await session.execute(_RESULTS, of)).all(),
        (await session.execute(_PAPERS, of)).all(),
        (await session.execute(_MONTHS, of)).all(),
        (await session.execute(_ENDS, of)).all(),
        (await session.execute(_OUTCOMES, of)).all(),
        await _reasons(session, seat_request_id, shown, actor),
        await positions_of(session, [request], now),
        lambda agency: shown is Reasons.ALL or (shown is Reasons.OWN and agency == actor.agency),
    )


async def _reasons(
    session: AsyncSession, seat_request_id: UUID, shown: Reasons, actor: Actor
) -> dict[UUID, dict[str, int]]:
    if shown is Reasons.NONE:
        return {}
    of = {"id": seat_request_id, "agency": actor.agency if shown is Reasons.OWN else None}
    return {row.id: row.days or {} for row in await session.execute(_REASONS, of)}


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
