"""What follows a seat, fact by fact: results of selection, attendance, the end, what came of it. Only added to.

Whoever adds a fact has locked the course run, and raises the request's version with `touch`: news keep their order.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.attendance import Excuse, Month
from services.training.domain.outcomes import Checkpoint, End, Ending, Left, Outcome
from services.training.domain.selection import Applicant, Result, Selection

_TOUCH = text("UPDATE seat_request SET version = version + 1 WHERE id = :id RETURNING version")
_KEEP = text(
    "UPDATE seat_request SET version = version + 1, expires_at = greatest(expires_at, :until) WHERE id = :id"
    " RETURNING version"
)
_DAYS = text("SELECT starts_on, ends_on FROM course_run WHERE id = :id")


async def touch(session: AsyncSession, seat_request_id: UUID) -> int:
    """The request's next version."""
    version: int = (await session.execute(_TOUCH, {"id": seat_request_id})).scalar_one()
    return version


async def keep_until(session: AsyncSession, seat_request_id: UUID, until: datetime) -> int:
    """The seat is held at least so long; the request's next version."""
    version: int = (await session.execute(_KEEP, {"id": seat_request_id, "until": until})).scalar_one()
    return version


async def days_of(session: AsyncSession, course_run_id: UUID) -> tuple[date, date]:
    """First and last day of a course run."""
    row = (await session.execute(_DAYS, {"id": course_run_id})).one()
    return row.starts_on, row.ends_on


# --- selection ------------------------------------------------------------------------------------------------------

_RESULT = text("SELECT result FROM selection WHERE seat_request_id = :id ORDER BY number DESC LIMIT 1")
_WAS_ACCEPTED = text(
    "SELECT result = 'accepted' FROM selection WHERE seat_request_id = :id AND result <> 'rejected'"
    " ORDER BY number DESC LIMIT 1"
)
_APPLICANTS = text(
    "SELECT r.id, s.result, s.rank, r.expires_at FROM seat_request r CROSS JOIN LATERAL"
    " (SELECT result, rank FROM selection WHERE seat_request_id = r.id ORDER BY number DESC LIMIT 1) s"
    " WHERE r.course_run_id = :course_run_id AND r.state IN ('nominated', 'countersigned')"
)
_SELECTS = text(
    "SELECT EXISTS (SELECT FROM seat_request r JOIN selection s ON s.seat_request_id = r.id"
    " WHERE r.course_run_id = :course_run_id)"
)
_ADD_RESULT = text(
    "INSERT INTO selection (id, seat_request_id, number, result, rank, reason, result_on, moved_up, agency, at)"
    " SELECT :id, :seat_request_id, 1 + coalesce(max(number), 0), :result, CAST(:rank AS integer), :reason, :result_on,"
    " :moved_up, :agency, :now FROM selection WHERE seat_request_id = :seat_request_id"
)


async def find_result(session: AsyncSession, seat_request_id: UUID) -> Result | None:
    """What the school said last."""
    found = (await session.execute(_RESULT, {"id": seat_request_id})).scalar_one_or_none()
    return None if found is None else Result(found)


async def was_accepted(session: AsyncSession, seat_request_id: UUID) -> bool:
    """Whether the school's word was an acceptance, before it may have been corrected to a rejection."""
    return bool((await session.execute(_WAS_ACCEPTED, {"id": seat_request_id})).scalar_one_or_none())


async def read_applicants(session: AsyncSession, course_run_id: UUID) -> list[Applicant]:
    """Who is under selection in a course run, each with the last result."""
    rows = await session.execute(_APPLICANTS, {"course_run_id": course_run_id})
    return [Applicant(row.id, Result(row.result), row.rank, row.expires_at) for row in rows]


async def school_selects(session: AsyncSession, course_run_id: UUID) -> bool:
    """Whether the school ever gave anybody in this course run a result."""
    found: bool = (await session.execute(_SELECTS, {"course_run_id": course_run_id})).scalar_one()
    return found


async def add_result(
    session: AsyncSession,
    fact_id: UUID,
    seat_request_id: UUID,
    said: Selection,
    *,
    agency: str,
    now: datetime,
    moved_up: bool = False,
) -> None:
    """One more result; it is the one that stands."""
    values = {
        "id": fact_id,
        "seat_request_id": seat_request_id,
        "result": said.result.value,
        "rank": said.rank,
        "reason": said.because,
        "result_on": said.result_on,
        "moved_up": moved_up,
        "agency": agency,
        "now": now,
    }
    await session.execute(_ADD_RESULT, values)


# --- attendance, the end, what came of it ---------------------------------------------------------------------------

_MONTHS = text(
    "SELECT DISTINCT ON (month) * FROM attendance_certificate WHERE seat_request_id = :id ORDER BY month, number DESC"
)
_ADD_MONTH = text(
    "INSERT INTO attendance_certificate (id, seat_request_id, month, number, days_held, days_present, days_excused,"
    " excused, days_to_come, agency, at) VALUES (:id, :seat_request_id, :month, :number, :held, :present,"
    " :days_excused, CAST(:excused AS jsonb), :to_come, :agency, :now)"
)
_END = text("SELECT * FROM training_end WHERE seat_request_id = :id ORDER BY number DESC LIMIT 1")
_ADD_END = text(
    "INSERT INTO training_end (id, seat_request_id, number, ending, reason, ended_on, agency, at)"
    " VALUES (:id, :seat_request_id, :number, :ending, :reason, :ended_on, :agency, :now)"
)
_OUTCOME = text(
    "SELECT * FROM employment_outcome WHERE seat_request_id = :id AND checkpoint = :checkpoint"
    " ORDER BY number DESC LIMIT 1"
)
_ADD_OUTCOME = text(
    "INSERT INTO employment_outcome (id, seat_request_id, checkpoint, number, outcome, agency, at)"
    " VALUES (:id, :seat_request_id, :checkpoint, :number, :outcome, :agency, :now)"
)


@dataclass(frozen=True, slots=True)
class Stands:
    """The row that stands for something, which a correction names."""

    id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class New:
    """A row to add: after which, by whom, when."""

    id: UUID
    seat_request_id: UUID
    after: Stands | None
    agency: str
    now: datetime

    @property
    def values(self) -> dict[str, Any]:
        """As the statements call them."""
        number = 1 if self.after is None else self.after.number + 1
        return {
            "id": self.id,
            "seat_request_id": self.seat_request_id,
            "number": number,
            "agency": self.agency,
            "now": self.now,
        }


async def read_months(session: AsyncSession, seat_request_id: UUID) -> dict[date, tuple[Stands, Month]]:
    """The certificate that stands for each month."""
    rows = await session.execute(_MONTHS, {"id": seat_request_id})
    return {row.month: (Stands(row.id, row.number), month_of(row)) for row in rows}


def month_of(row: Row[Any]) -> Month:
    """A certificate as a value."""
    excused = {Excuse(code): days for code, days in row.excused.items()}
    return Month(row.month, row.days_held, row.days_present, excused, row.days_to_come)


async def add_month(session: AsyncSession, new: New, said: Month) -> None:
    """A certificate, or its correction."""
    values = {
        "month": said.month,
        "held": said.held,
        "present": said.present,
        "days_excused": said.days_excused,
        "excused": to_json({code.value: days for code, days in said.excused.items()}).decode(),
        "to_come": said.to_come,
    }
    await session.execute(_ADD_MONTH, new.values | values)


async def find_end(session: AsyncSession, seat_request_id: UUID) -> tuple[Stands, End] | None:
    """How training ended, as it was said last."""
    row = (await session.execute(_END, {"id": seat_request_id})).one_or_none()
    if row is None:
        return None
    return Stands(row.id, row.number), End(Ending(row.ending), row.ended_on, Left(row.reason) if row.reason else None)


async def add_end(session: AsyncSession, new: New, said: End) -> None:
    """An end, or its correction."""
    values = {"ending": said.ending.value, "reason": said.left, "ended_on": said.ended_on}
    await session.execute(_ADD_END, new.values | values)


async def find_outcome(session: AsyncSession, seat_request_id: UUID, checkpoint: Checkpoint) -> Stands | None:
    """What was said last about one of the set days."""
    row = (await session.execute(_OUTCOME, {"id": seat_request_id, "checkpoint": checkpoint.value})).one_or_none()
    return None if row is None else Stands(row.id, row.number)


async def add_outcome(session: AsyncSession, new: New, checkpoint: Checkpoint, outcome: Outcome) -> None:
    """What came of it on one of the set days, or its correction."""
    await session.execute(_ADD_OUTCOME, new.values | {"checkpoint": checkpoint.value, "outcome": outcome.value})


# --- the paper ------------------------------------------------------------------------------------------------------

_INSTRUCTION = text(
    "SELECT i.id, i.kind, c.instruction_id IS NOT NULL AS cancelled FROM instruction i"
    " LEFT JOIN instruction_cancellation c ON c.instruction_id = i.id WHERE i.seat_request_id = :id"
)
_CANCEL = text(
    "INSERT INTO instruction_cancellation (instruction_id, reason, agency, legal_entity, notification_number,"
    " registration_id, at) VALUES (:instruction_id, :reason, :agency, :legal_entity, :notification_number,"
    " :registration_id, :now)"
)


async def find_instruction(session: AsyncSession, seat_request_id: UUID) -> Row[Any] | None:
    """The paper that was issued, and whether it was cancelled."""
    return (await session.execute(_INSTRUCTION, {"id": seat_request_id})).one_or_none()


async def cancel_instruction(session: AsyncSession, values: dict[str, Any]) -> None:
    """A support instruction ends; it stays on record."""
    await session.execute(_CANCEL, values)
