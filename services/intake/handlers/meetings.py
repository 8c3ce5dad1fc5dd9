"""Statutory meetings (支援会議, 調整会議): convened, cases put on them, and what is said, which never leaves them.

Nothing of this is told: no event, no entry in a timeline, nothing on a sheet or in an export.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case
from services.intake.domain.meetings import Meeting, MeetingKind, NotConvened, convene
from services.intake.domain.policy import Action, Denied, Purpose
from services.intake.handlers.access import decide_in_meeting, key_of
from services.intake.tables import cases
from services.intake.tables import meetings as tables
from services.intake.tables.meetings import Convocation
from shared import vault
from shared.auth import Actor
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

NOTE = "meeting_note"
"""The field's name in the access log, which tells who read on which basis, and nothing of the meeting."""


@dataclass(frozen=True, slots=True)
class Note:
    """What was said about a case, by which member, and when; without words once they were kept long enough."""

    id: UUID
    written_by: str
    at: datetime
    text: str | None


async def convene_meeting(
    session: AsyncSession,
    *,
    meeting_id: UUID,
    municipality: str,
    kind: MeetingKind,
    held_on: date,
    topic: str,
    members: frozenset[str],
    actor: Actor,
    now: datetime,
) -> Convocation | NotConvened:
    """Call a meeting of agencies for a day."""
    if not actor.serves(municipality):
        return NotConvened("not_the_desk")
    meeting = convene(kind, held_on, by=actor.agency, by_kind=actor.kind, members=members, today=day_in_japan(now))
    if isinstance(meeting, NotConvened):
        return meeting
    convocation = Convocation(meeting_id, municipality, topic, meeting, ())
    await tables.add_meeting(session, convocation, at=now)
    return convocation


async def get_meeting(session: AsyncSession, meeting_id: UUID, *, actor: Actor, now: datetime) -> Convocation:
    """For its members; whom it is about they see on its day, and the convening desk always. 404 for everybody else."""
    convocation = await tables.find_meeting(session, meeting_id, actor.agency)
    if convocation is None:
        raise Problem(NOT_FOUND)
    return _as_seen(convocation, actor, now)


async def list_meetings(
    session: AsyncSession, *, before: UUID | None, limit: int, actor: Actor, now: datetime
) -> Sequence[Convocation]:
    """The caller's, newest first."""
    found = await tables.find_meetings(session, actor.agency, before=before, limit=limit)
    return [_as_seen(convocation, actor, now) for convocation in found]


async def put_case(
    session: AsyncSession, meeting_id: UUID, case_id: UUID, *, actor: Actor, now: datetime
) -> Convocation | Denied:
    """Put a case of the meeting's municipality on its agenda, until its day is over: the convening desk does."""
    convocation = await tables.find_meeting(session, meeting_id, actor.agency)
    if convocation is None:
        raise Problem(NOT_FOUND)
    if convocation.meeting.convened_by != actor.agency:
        return Denied("not_yours")
    if day_in_japan(now) > convocation.meeting.held_on:
        return Denied("meeting_over")
    case = await cases.find_case(session, case_id)
    if case is None or case.municipality != convocation.municipality or not actor.serves(case.municipality):
        raise Problem(NOT_FOUND)
    await tables.put_case(session, meeting_id, case_id, by=actor.agency, at=now)
    return await get_meeting(session, meeting_id, actor=actor, now=now)


async def add_note(
    session: AsyncSession,
    meeting_id: UUID,
    case_id: UUID,
    words: str,
    *,
    note_id: UUID,
    actor: Actor,
    now: datetime,
) -> UUID | Denied:
    """Write down what was said, on the day, by a member."""
    meeting, case = await _on_agenda(session, meeting_id, case_id, actor)
    decision = decide_in_meeting(case, Action.WRITE, meeting, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    key = await key_of(
        session, case_id, vault.Action.WRITE, [NOTE], purpose=Purpose.MEETING, basis=decision.basis, actor=actor
    )
    sealed = key.seal(words, tables.note_place(note_id))
    await tables.add_note(session, note_id, meeting_id, case_id, sealed=sealed, by=actor.agency, at=now)
    return note_id


async def list_notes(
    session: AsyncSession,
    meeting_id: UUID,
    case_id: UUID,
    *,
    after: UUID | None,
    limit: int,
    actor: Actor,
    now: datetime,
) -> Sequence[Note] | Denied:
    """On the day all that was said, for members; afterwards what the convening desk wrote, for itself."""
    meeting, case = await _on_agenda(session, meeting_id, case_id, actor)
    author = None
    decision = decide_in_meeting(case, Action.READ, meeting, actor=actor, now=now)
    if isinstance(decision, Denied):
        author = actor.agency
        decision = decide_in_meeting(case, Action.READ, replace(meeting, written_by=author), actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    key = await key_of(
        session, case_id, vault.Action.READ, [NOTE], purpose=Purpose.MEETING, basis=decision.basis, actor=actor
    )
    found = await tables.find_notes(session, meeting_id, case_id, author=author, after=after, limit=limit)
    return [Note(row.id, row.written_by, row.at, _words(key, row)) for row in found]


def _words(key: vault.DataKey, row: Row[Any]) -> str | None:
    return None if row.sealed is None else key.open(row.sealed, tables.note_place(row.id))


def _as_seen(convocation: Convocation, actor: Actor, now: datetime) -> Convocation:
    meeting = convocation.meeting
    if actor.agency == meeting.convened_by or day_in_japan(now) == meeting.held_on:
        return convocation
    return replace(convocation, cases=())


async def _on_agenda(session: AsyncSession, meeting_id: UUID, case_id: UUID, actor: Actor) -> tuple[Meeting, Case]:
    convocation = await tables.find_meeting(session, meeting_id, actor.agency)
    case = None if convocation is None else await cases.find_case(session, case_id)
    if convocation is None or case is None or case_id not in convocation.cases:
        raise Problem(NOT_FOUND)
    return convocation.meeting, case
