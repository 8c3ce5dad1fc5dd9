"""Conferences, their members and every step of them. Whose words they hold stands in `conference_words`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from services.assessment.domain.conference import OPEN, Answer, Conference, Lane, Member, State

_IS_OPEN = "c.state IN (" + ", ".join(f"'{state}'" for state in sorted(OPEN)) + ")"
_ADD = text(
    "INSERT INTO conference (id, case_id, lane, chair, state, held_on, begins_at, task_id, called_at)"
    " VALUES (:id, :case_id, :lane, :chair, :state, :held_on, :begins_at, :task_id, :at)"
)
_ADD_MEMBER = text(
    "INSERT INTO conference_member (conference_id, agency, profession, answer)"
    " VALUES (:conference_id, :agency, :profession, :answer) ON CONFLICT DO NOTHING"
)
_ADD_STEP = text(
    "INSERT INTO conference_step (conference_id, number, name, state, held_on, reason, by, at)"
    " VALUES (:conference_id, :number, :name, :state, :held_on, :reason, :by, :at)"
)
_CHANGE = text(
    "UPDATE conference SET state = :state, held_on = :held_on, reason = :reason, version = version + 1"
    " WHERE id = :id RETURNING version"
)
_ANSWER = text(
    "UPDATE conference_member SET answer = :answer WHERE conference_id = :conference_id AND agency = :agency"
    " AND (CAST(:profession AS text) IS NULL OR profession = :profession)"
)
_PRESENT = text(
    "UPDATE conference_member SET present = (agency || ' ' || profession = ANY (:present))"
    " WHERE conference_id = :conference_id"
).bindparams(bindparam("present", type_=ARRAY(Text)))
# Neither an agency's name nor a profession's code holds a space.
_SELECT = (
    "SELECT c.id, c.case_id, c.lane, c.chair, c.state, c.held_on, c.begins_at, c.task_id, c.reason, c.version,"
    " c.called_at, ARRAY(SELECT concat_ws(' ', m.agency, m.profession, m.answer, m.present)"
    " FROM conference_member m WHERE m.conference_id = c.id ORDER BY m.agency, m.profession) AS members"
    " FROM conference c"
)
_FIND = text(f"{_SELECT} WHERE c.id = :id")
_LOCK = text(f"{_SELECT} WHERE c.id = :id FOR UPDATE OF c")
_LOCK_OPEN = text(f"{_SELECT} WHERE c.case_id = :case_id AND {_IS_OPEN} ORDER BY c.id FOR UPDATE OF c")
_OF_CASE = text(
    f"{_SELECT} WHERE c.case_id = :case_id AND (c.held_on, c.id) > (:day, :id) ORDER BY c.held_on, c.id LIMIT :limit"
)
_OWN = text(
    f"{_SELECT} WHERE {_IS_OPEN} AND (c.chair = :agency OR EXISTS ("
    "  SELECT FROM conference_member m WHERE m.conference_id = c.id AND m.agency = :agency))"
    " AND (c.held_on, c.id) > (:day, :id) ORDER BY c.held_on, c.id LIMIT :limit"
)
_FOR_TASK = text("SELECT EXISTS (SELECT FROM conference WHERE task_id = :task_id AND state <> 'cancelled')")
_SITS = text(
    "SELECT EXISTS (SELECT FROM conference c JOIN conference_member m ON m.conference_id = c.id"
    " WHERE c.case_id = :case_id AND c.lane = 'consent' AND c.state <> 'cancelled' AND m.agency = :agency)"
)
_CHAIR = text("SELECT chair FROM conference WHERE id = :id")
_STEPS = text(
    "SELECT number, name, state, held_on, reason, by, at FROM conference_step WHERE conference_id = :id ORDER BY number"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A conference as it stands in the table. `task_id`: the duty that it is to meet."""

    conference: Conference
    begins_at: str | None
    task_id: UUID | None
    reason: str | None
    version: int
    called_at: datetime


async def add_conference(session: AsyncSession, row: Row) -> None:
    """A conference is called, with its members and its first step."""
    held = row.conference
    values = {
        "id": held.id,
        "case_id": held.case_id,
        "lane": held.lane.value,
        "chair": held.chair,
        "state": held.state.value,
        "held_on": held.held_on,
        "begins_at": row.begins_at,
        "task_id": row.task_id,
        "at": row.called_at,
    }
    await session.execute(_ADD, values)
    await add_members(session, held.id, held.members)
    await _add_step(session, held, 1, "call", None, by=held.chair, at=row.called_at)


async def add_members(session: AsyncSession, conference_id: UUID, members: Collection[Member]) -> None:
    """More places; who has one keeps it."""
    values = [
        {"conference_id": conference_id, "agency": m.agency, "profession": m.profession, "answer": m.answer.value}
        for m in members
    ]
    await session.execute(_ADD_MEMBER, values)


async def change_conference(
    session: AsyncSession, held: Conference, name: str, *, reason: str | None = None, by: str, at: datetime
) -> int:
    """What became of a locked conference, as its next step; its version."""
    values = {"id": held.id, "state": held.state.value, "held_on": held.held_on, "reason": reason}
    version = int((await session.execute(_CHANGE, values)).scalar_one())
    await _add_step(session, held, version, name, reason, by=by, at=at)
    return version


async def store_answer(
    session: AsyncSession, conference_id: UUID, agency: str, profession: str | None, answer: Answer
) -> None:
    """What an agency said for one of its places, or for all of them."""
    values = {"conference_id": conference_id, "agency": agency, "profession": profession, "answer": answer.value}
    await session.execute(_ANSWER, values)


async def store_present(session: AsyncSession, conference_id: UUID, present: Collection[tuple[str, str]]) -> None:
    """Who was there; everybody else was not."""
    names = [f"{agency} {profession}" for agency, profession in sorted(present)]
    await session.execute(_PRESENT, {"conference_id": conference_id, "present": names})


async def find_conference(session: AsyncSession, conference_id: UUID) -> Row | None:
    """A conference, to look at."""
    row = (await session.execute(_FIND, {"id": conference_id})).one_or_none()
    return None if row is None else _row(row)


async def lock_conference(session: AsyncSession, conference_id: UUID) -> Row | None:
    """A conference, held until the transaction ends."""
    row = (await session.execute(_LOCK, {"id": conference_id})).one_or_none()
    return None if row is None else _row(row)


async def lock_open(session: AsyncSession, case_id: UUID) -> list[Row]:
    """What of a locked case is still to be held."""
    return [_row(row) for row in await session.execute(_LOCK_OPEN, {"case_id": case_id})]


async def list_of_case(session: AsyncSession, case_id: UUID, *, after: tuple[date, UUID], limit: int) -> list[Row]:
    """All of a case, by day."""
    values = {"case_id": case_id, "day": after[0], "id": after[1], "limit": limit}
    return [_row(row) for row in await session.execute(_OF_CASE, values)]


async def list_own(session: AsyncSession, agency: str, *, after: tuple[date, UUID], limit: int) -> list[Row]:
    """Those that are still to be held and in which an agency sits, by day."""
    values = {"agency": agency, "day": after[0], "id": after[1], "limit": limit}
    return [_row(row) for row in await session.execute(_OWN, values)]


async def is_linked(session: AsyncSession, task_id: UUID) -> bool:
    """Whether a conference meets this duty, or is to meet it."""
    return bool((await session.execute(_FOR_TASK, {"task_id": task_id})).scalar_one())


async def sits_with_consent(session: AsyncSession, case_id: UUID, agency: str) -> bool:
    """Whether an agency was asked to a conference about this case with the person's consent."""
    return bool((await session.execute(_SITS, {"case_id": case_id, "agency": agency})).scalar_one())


async def find_chair(session: AsyncSession, conference_id: UUID) -> str | None:
    """Who called it."""
    return (await session.execute(_CHAIR, {"id": conference_id})).scalar_one_or_none()


async def find_steps(session: AsyncSession, conference_id: UUID) -> Sequence[Any]:
    """Everything that happened to a conference."""
    return (await session.execute(_STEPS, {"id": conference_id})).all()


async def _add_step(
    session: AsyncSession, held: Conference, number: int, name: str, reason: str | None, *, by: str, at: datetime
) -> None:
    values = {
        "conference_id": held.id,
        "number": number,
        "name": name,
        "state": held.state.value,
        "held_on": held.held_on,
        "reason": reason,
        "by": by,
        "at": at,
    }
    await session.execute(_ADD_STEP, values)


def _row(row: Any) -> Row:
    held = Conference(
        row.id,
        row.case_id,
        Lane(row.lane),
        row.chair,
        State(row.state),
        row.held_on,
        tuple(_member(told) for told in row.members),
    )
    return Row(held, row.begins_at, row.task_id, row.reason, row.version, row.called_at)


def _member(told: str) -> Member:
    agency, profession, answer, *present = told.split(" ")
    return Member(agency, profession, Answer(answer), present[0] == "t" if present else None)
