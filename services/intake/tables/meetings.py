"""Statutory meetings: their members and cases, and what was said about each case, sealed. Only added to."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from services.intake.domain.meetings import Meeting, MeetingKind
from shared.vault import Place

_COLUMNS = (
    "m.id, m.municipality, m.kind, m.held_on, m.topic, m.convened_by,"
    " ARRAY(SELECT a.agency FROM meeting_member a WHERE a.meeting_id = m.id ORDER BY a.agency) AS members,"
    " ARRAY(SELECT c.case_id FROM meeting_case c WHERE c.meeting_id = m.id ORDER BY c.case_id) AS cases"
)
_ADD = text(
    "INSERT INTO meeting (id, municipality, kind, held_on, topic, convened_by, at)"
    " VALUES (:id, :municipality, :kind, :held_on, :topic, :by, :at)"
)
_ADD_MEMBERS = text(
    "INSERT INTO meeting_member (meeting_id, agency) SELECT :id, unnest(CAST(:members AS text[]))"
).bindparams(bindparam("members", type_=ARRAY(Text)))
_FIND = text(
    f"SELECT {_COLUMNS} FROM meeting m WHERE m.id = :id"
    " AND EXISTS (SELECT FROM meeting_member a WHERE a.meeting_id = m.id AND a.agency = :agency)"
)
_LIST = text(
    f"SELECT {_COLUMNS} FROM meeting m JOIN meeting_member own ON own.meeting_id = m.id AND own.agency = :agency"
    " WHERE (CAST(:before AS uuid) IS NULL OR m.id < :before) ORDER BY m.id DESC LIMIT :limit"
)
_PUT = text(
    "INSERT INTO meeting_case (meeting_id, case_id, put_by, at) VALUES (:id, :case_id, :by, :at)"
    " ON CONFLICT DO NOTHING RETURNING case_id"
)
_ADD_NOTE = text(
    "INSERT INTO meeting_note (id, meeting_id, case_id, sealed, written_by, at)"
    " VALUES (:id, :meeting_id, :case_id, :sealed, :by, :at)"
)
_NOTES = text(
    "SELECT id, written_by, at, sealed FROM meeting_note WHERE meeting_id = :meeting_id AND case_id = :case_id"
    " AND (CAST(:author AS text) IS NULL OR written_by = :author)"
    " AND (CAST(:after AS uuid) IS NULL OR id > :after) ORDER BY id LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class Convocation:
    """A meeting with the cases on its agenda."""

    id: UUID
    municipality: str
    topic: str
    meeting: Meeting
    cases: tuple[UUID, ...]


def note_place(note_id: UUID) -> Place:
    """Where a note's words stand."""
    return Place("meeting_note", "sealed", str(note_id))


async def add_meeting(session: AsyncSession, convocation: Convocation, *, at: datetime) -> None:
    """A meeting, with its members for good: who comes another day comes to another meeting."""
    meeting = convocation.meeting
    values = {
        "id": convocation.id,
        "municipality": convocation.municipality,
        "kind": meeting.kind.value,
        "held_on": meeting.held_on,
        "topic": convocation.topic,
        "by": meeting.convened_by,
        "at": at,
    }
    await session.execute(_ADD, values)
    await session.execute(_ADD_MEMBERS, {"id": convocation.id, "members": sorted(meeting.members)})


async def find_meeting(session: AsyncSession, meeting_id: UUID, agency: str) -> Convocation | None:
    """A meeting, for one of its members."""
    row = (await session.execute(_FIND, {"id": meeting_id, "agency": agency})).one_or_none()
    return None if row is None else _convocation(row)


async def find_meetings(session: AsyncSession, agency: str, *, before: UUID | None, limit: int) -> list[Convocation]:
    """The meetings of which an agency is a member, newest first."""
    rows = await session.execute(_LIST, {"agency": agency, "before": before, "limit": limit})
    return [_convocation(row) for row in rows]


async def put_case(session: AsyncSession, meeting_id: UUID, case_id: UUID, *, by: str, at: datetime) -> bool:
    """Put a case on the agenda; False if it stands there."""
    values = {"id": meeting_id, "case_id": case_id, "by": by, "at": at}
    return (await session.execute(_PUT, values)).one_or_none() is not None


async def add_note(
    session: AsyncSession, note_id: UUID, meeting_id: UUID, case_id: UUID, *, sealed: bytes, by: str, at: datetime
) -> None:
    """What was said."""
    values = {"id": note_id, "meeting_id": meeting_id, "case_id": case_id, "sealed": sealed, "by": by, "at": at}
    await session.execute(_ADD_NOTE, values)


async def find_notes(
    session: AsyncSession, meeting_id: UUID, case_id: UUID, *, author: str | None, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """What was said about a case in a meeting, by anybody or by one agency, in order, still sealed."""
    values = {"meeting_id": meeting_id, "case_id": case_id, "author": author, "after": after, "limit": limit}
    return (await session.execute(_NOTES, values)).all()


def _convocation(row: Row[Any]) -> Convocation:
    meeting = Meeting(MeetingKind(row.kind), row.held_on, row.convened_by, frozenset(row.members))
    return Convocation(row.id, row.municipality, row.topic, meeting, tuple(row.cases))
