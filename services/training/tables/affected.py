"""Whom changes affected, what they answered, and course runs on which a decision is due."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

# Who is affected once more is asked by the newest record alone, of the request or of the place that goes on for it.
_ASKED_ANEW = (
    "EXISTS (SELECT FROM affected l WHERE l.id > a.id AND l.seat_request_id IN (a.seat_request_id, a.next_request_id))"
)
_OPEN = f"(n.affected_id IS NULL AND a.stood <> 'enrolled' AND NOT {_ASKED_ANEW})"
_AFFECTED = (
    "SELECT a.*, h.course_run_id, h.kind, h.reason, c.course_number, c.title, c.provider_agency, n.answer,"
    f" n.moved_to, n.agency AS answered_by, n.at AS answered_at, {_OPEN} AS open, {_ASKED_ANEW} AS asked_anew"
    " FROM affected a JOIN course_change h ON h.id = a.change_id JOIN course_run c ON c.id = h.course_run_id"
    " LEFT JOIN affected_answer n ON n.affected_id = a.id"
)
_IN_SIGHT = (
    "(a.municipality = ANY(CAST(:municipalities AS text[]))"
    " OR 'prefecture:' || left(a.municipality, 2) = ANY(CAST(:municipalities AS text[]))"
    " OR c.provider_agency = :provider)"
)
_LIST = text(
    f"{_AFFECTED} WHERE {_IN_SIGHT}"
    " AND (CAST(:course_run_id AS uuid) IS NULL OR h.course_run_id = :course_run_id)"
    " AND (CAST(:case_id AS uuid) IS NULL OR a.case_id = :case_id)"
    f" AND (CAST(:is_open AS boolean) IS NULL OR {_OPEN} = :is_open)"
    " AND (CAST(:after_id AS uuid) IS NULL"
    " OR (a.answer_by, a.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid)))"
    " ORDER BY a.answer_by, a.id LIMIT :limit"
)
_GET = text(f"{_AFFECTED} WHERE a.id = :id")
_ANSWER = text(
    "INSERT INTO affected_answer (affected_id, answer, moved_to, agency, at)"
    " VALUES (:affected_id, :answer, :moved_to, :agency, :now)"
)
_LOCK_CASE = text("SELECT FROM case_fact WHERE case_id = :case_id FOR NO KEY UPDATE")
_CHANGES = text(
    "SELECT h.*, (SELECT count(*) FROM affected a WHERE a.change_id = h.id) AS affected FROM course_change h"
    " WHERE h.course_run_id = :course_run_id AND (CAST(:after AS uuid) IS NULL OR h.id > :after)"
    " ORDER BY h.id LIMIT :limit"
)


async def list_affected(
    session: AsyncSession, sight: Mapping[str, Any], *, after: tuple[datetime, UUID] | None, **narrowed: Any
) -> Sequence[Row[Any]]:
    """By the day by which an answer is asked for."""
    values = {"after_at": None if after is None else after[0], "after_id": None if after is None else after[1]}
    return (await session.execute(_LIST, values | dict(sight) | narrowed)).all()


async def find_affected(session: AsyncSession, affected_id: UUID) -> Row[Any] | None:
    """One person, with the answer if there is one."""
    return (await session.execute(_GET, {"id": affected_id})).one_or_none()


async def lock_case(session: AsyncSession, case_id: UUID) -> None:
    """The case before the course runs, as everybody does."""
    await session.execute(_LOCK_CASE, {"case_id": case_id})


async def add_answer(
    session: AsyncSession, affected_id: UUID, answer: str, *, moved_to: UUID | None, agency: str, now: datetime
) -> None:
    """What the person said, once."""
    values = {"affected_id": affected_id, "answer": answer, "moved_to": moved_to, "agency": agency, "now": now}
    await session.execute(_ANSWER, values)


async def list_changes(
    session: AsyncSession, course_run_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """The changes of a course run, in the order in which they were made."""
    values = {"course_run_id": course_run_id, "after": after, "limit": limit}
    return (await session.execute(_CHANGES, values)).all()


# --- to be decided --------------------------------------------------------------------------------------------------

_APPLICANTS = "(SELECT count(*) FROM seat_request r WHERE r.course_run_id = c.id AND r.state <> 'released')"
_LOCK_NEXT_DUE = text(
    f"SELECT c.id, c.cancel_decision_on, c.min_enrolment, c.version, {_APPLICANTS} AS applicants FROM course_run c"
    " WHERE c.cancel_decision_on <= :today AND c.cancel_decision_on IS NOT NULL AND c.cancelled_at IS NULL"
    f" AND c.starts_on > :today AND c.min_enrolment > {_APPLICANTS}"
    " AND NOT EXISTS (SELECT FROM cancellation_due d WHERE d.course_run_id = c.id)"
    " AND NOT EXISTS (SELECT FROM course_confirmation f WHERE f.course_run_id = c.id)"
    " ORDER BY c.id LIMIT 1 FOR UPDATE OF c SKIP LOCKED"
)
_ADD_DUE = text(
    "INSERT INTO cancellation_due (course_run_id, decide_on, applicants, min_enrolment, at)"
    " VALUES (:course_run_id, :decide_on, :applicants, :min_enrolment, :now)"
)
_DUE = text(
    f"SELECT d.*, c.course_number, c.title, c.provider_agency, c.starts_on, {_APPLICANTS} AS applicants_now"
    " FROM cancellation_due d JOIN course_run c ON c.id = d.course_run_id"
    " WHERE c.cancelled_at IS NULL AND c.starts_on > :today"
    " AND NOT EXISTS (SELECT FROM course_confirmation f WHERE f.course_run_id = c.id)"
    " AND (c.provider_agency = :provider OR c.site_municipality = ANY(CAST(:municipalities AS text[]))"
    " OR 'prefecture:' || c.prefecture = ANY(CAST(:municipalities AS text[])))"
    " AND (CAST(:after_id AS uuid) IS NULL OR (c.starts_on, c.id) > (CAST(:after_on AS date), CAST(:after_id AS uuid)))"
    " ORDER BY c.starts_on, c.id LIMIT :limit"
)


_CONFIRM = text(
    "INSERT INTO course_confirmation (course_run_id, applicants, min_enrolment, agency, at)"
    f" SELECT c.id, {_APPLICANTS}, c.min_enrolment, :agency, :now FROM course_run c WHERE c.id = :id"
    " RETURNING applicants, min_enrolment"
)


async def add_confirmation(session: AsyncSession, course_run_id: UUID, *, agency: str, now: datetime) -> Row[Any]:
    """That the course run begins, once; with how many applicants, of how many that it needs."""
    return (await session.execute(_CONFIRM, {"id": course_run_id, "agency": agency, "now": now})).one()


async def lock_next_due(session: AsyncSession, today: date) -> Row[Any] | None:
    """A course run, locked, for which too few applied by the day of the decision, and nobody was reminded."""
    return (await session.execute(_LOCK_NEXT_DUE, {"today": today})).one_or_none()


async def add_due(session: AsyncSession, due: Row[Any], now: datetime) -> None:
    """That it was reminded of, once."""
    values = {"course_run_id": due.id, "decide_on": due.cancel_decision_on, "applicants": due.applicants}
    await session.execute(_ADD_DUE, values | {"min_enrolment": due.min_enrolment, "now": now})


async def list_due(
    session: AsyncSession, sight: Mapping[str, Any], *, today: date, after: tuple[date, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """Course runs to be cancelled or let begin, by their first day."""
    values = {"after_on": None if after is None else after[0], "after_id": None if after is None else after[1]}
    return (await session.execute(_DUE, values | dict(sight) | {"today": today, "limit": limit})).all()
