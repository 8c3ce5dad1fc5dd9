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

from services.training.domain.attendance import Month
from services.training.domain.instruction import Registration
from services.training.domain.outcomes import Checkpoint, End, Ending, Left, Outcome
from services.training.domain.selection import Applicant, Result, Selection

_TOUCH = text("UPDATE seat_request SET version = version + 1 WHERE id = :id RETURNING version")
_KEEP = text(
    "UPDATE seat_request SET version = version + 1, expires_at = greatest(expires_at, :until) WHERE id = :id"
    " RETURNING version, expires_at"
)
_DAYS = text("SELECT starts_on, ends_on FROM course_run WHERE id = :id")


async def touch(session: AsyncSession, seat_request_id: UUID) -> int:
    """The request's next version."""
    version: int = (await session.execute(_TOUCH, {"id": seat_request_id})).scalar_one()
    return version


async def keep_until(session: AsyncSession, seat_request_id: UUID, until: datetime) -> tuple[int, datetime]:
    """The seat is held at least so long; the request's next version, and until when it is held now."""
    row = (await session.execute(_KEEP, {"id": seat_request_id, "until": until})).one()
    return row.version, row.expires_at


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
    "INSERT INTO selection (id, seat_request_id, number, result, rank, reason, result_on, agency, legal_entity,"
    " notification_number, registration_id, at)"
    " SELECT :id, :seat_request_id, 1 + coalesce(max(number), 0), :result, CAST(:rank AS integer), :reason, :result_on,"
    " :agency, :legal_entity, :notification_number, :registration_id, :now"
    " FROM selection WHERE seat_request_id = :seat_request_id"
)
# In the school's name, on the registration under which it ranked the person: its ranks decided it, whoever's
# withdrawal set it off, and whatever became of that registration since.
_MOVE_UP = text(
    "INSERT INTO selection (id, seat_request_id, number, result, result_on, moved_up, agency, legal_entity,"
    " notification_number, registration_id, at) SELECT :id, seat_request_id, number + 1, 'accepted', :result_on, true,"
    " agency, legal_entity, notification_number, registration_id, :now"
    " FROM selection WHERE seat_request_id = :seat_request_id ORDER BY number DESC LIMIT 1"
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
    signed: Registration,
    now: datetime,
) -> None:
    """One more result; it is the one that stands."""
    values = {
        "id": fact_id,
        "seat_request_id": seat_request_id,
        "result": said.result.value,
        "rank": said.rank,
        "reason": said.because,
        "result_on": said.result_on,
        "now": now,
    }
    await session.execute(_ADD_RESULT, values | in_the_name_of(signed))


async def move_up(
    session: AsyncSession, fact_id: UUID, seat_request_id: UUID, result_on: date, *, now: datetime
) -> None:
    """A reserve is accepted (繰上げ)."""
    values = {"id": fact_id, "seat_request_id": seat_request_id, "result_on": result_on, "now": now}
    await session.execute(_MOVE_UP, values)


def in_the_name_of(signed: Registration) -> dict[str, Any]:
    """Whose act it is, as the statements call it."""
    return {
        "agency": signed.agency,
        "legal_entity": signed.legal_entity,
        "notification_number": signed.number,
        "registration_id": signed.id,
    }


# --- attendance, the end, what came of it ---------------------------------------------------------------------------

_MONTHS = text(
    "SELECT DISTINCT ON (month) * FROM attendance_certificate WHERE seat_request_id = :id ORDER BY month, number DESC"
)
_ADD_MONTH = text(
    "WITH reasons AS (INSERT INTO absence_reasons (certificate_id, days)"
    " SELECT :id, CAST(:reasons AS jsonb) WHERE CAST(:reasons AS jsonb) <> '{}')"
    " INSERT INTO attendance_certificate (id, seat_request_id, month, number, days_held, days_present, days_excused,"
    " days_to_come, agency, legal_entity, notification_number, registration_id, at) VALUES (:id, :seat_request_id,"
    " :month, :number, :held, :present, :days_excused, :to_come, :agency, :legal_entity, :notification_number,"
    " :registration_id, :now)"
)
_FORGET_REASONS = text(
    "DELETE FROM absence_reasons WHERE certificate_id IN (SELECT a.id FROM attendance_certificate a"
    " JOIN seat_request r ON r.id = a.seat_request_id WHERE r.case_id = :case_id)"
)
_END = text("SELECT * FROM training_end WHERE seat_request_id = :id ORDER BY number DESC LIMIT 1")
_ADD_END = text(
    "INSERT INTO training_end (id, seat_request_id, number, ending, reason, ended_on, agency, legal_entity,"
    " notification_number, registration_id, at) VALUES (:id, :seat_request_id, :number, :ending, :reason, :ended_on,"
    " :agency, :legal_entity, :notification_number, :registration_id, :now)"
)
_OUTCOME = text(
    "SELECT * FROM employment_outcome WHERE seat_request_id = :id AND checkpoint = :checkpoint"
    " ORDER BY number DESC LIMIT 1"
)
_ADD_OUTCOME = text(
    "INSERT INTO employment_outcome (id, seat_request_id, checkpoint, number, outcome, agency, legal_entity,"
    " notification_number, registration_id, at) VALUES (:id, :seat_request_id, :checkpoint, :number, :outcome,"
    " :agency, :legal_entity, :notification_number, :registration_id, :now)"
)


@dataclass(frozen=True, slots=True)
class Stands:
    """The row that stands for something, which a correction names."""

    id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class New:
    """A row to add: after which, in whose name, when."""

    id: UUID
    seat_request_id: UUID
    after: Stands | None
    signed: Registration
    now: datetime

    @property
    def values(self) -> dict[str, Any]:
        """As the statements call them."""
        number = 1 if self.after is None else self.after.number + 1
        return {
            "id": self.id,
            "seat_request_id": self.seat_request_id,
            "number": number,
            "now": self.now,
            **in_the_name_of(self.signed),
        }


async def read_months(session: AsyncSession, seat_request_id: UUID) -> dict[date, tuple[Stands, Month]]:
    """The certificate that stands for each month."""
    rows = await session.execute(_MONTHS, {"id": seat_request_id})
    return {row.month: (Stands(row.id, row.number), month_of(row)) for row in rows}


def month_of(row: Row[Any]) -> Month:
    """A certificate as a value, without the reasons of absence: no rule asks them."""
    return Month(row.month, row.days_held, row.days_present, {None: row.days_excused}, row.days_to_come)


async def add_month(session: AsyncSession, new: New, said: Month) -> None:
    """A certificate, or its correction."""
    values = {
        "month": said.month,
        "held": said.held,
        "present": said.present,
        "days_excused": said.days_excused,
        "reasons": to_json({code: days for code, days in said.excused.items() if code and days}).decode(),
        "to_come": said.to_come,
    }
    await session.execute(_ADD_MONTH, new.values | values)


async def forget_reasons(session: AsyncSession, case_id: UUID) -> None:
    """The reasons of absence go for good; the days stay."""
    await session.execute(_FORGET_REASONS, {"case_id": case_id})


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
