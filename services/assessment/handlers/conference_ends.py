"""A conference that is not held, or broken off: by its chair, by what the person says about consent, with the case."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.conference import State, ended_by_consent
from services.assessment.domain.moves import NotMoved
from services.assessment.domain.tasks import ELSEWHERE, DropReason
from services.assessment.domain.tasks import State as TaskState
from services.assessment.handlers.conferences import NotYours, Seen, begin_move, get_conference, tell_in_lane
from services.assessment.handlers.tasks import drop
from services.assessment.handlers.telling import tell
from services.assessment.tables import conferences, tasks
from services.assessment.tables.cases import Case
from services.assessment.tables.conferences import Row
from shared.auth import Actor
from shared.consent import FOR_CONFERENCE, Consent, takes_back
from shared.events import ConferenceCancelled


async def cancel(
    session: AsyncSession, conference_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> Seen | NotMoved | NotYours:
    """It is not held, or broken off. What it was about to decide goes; the rule's duty waits on."""
    begun = await begin_move(session, conference_id, "cancel", actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, _ = begun
    await _end(session, seen.row, reason, DropReason.CONFERENCE_CANCELLED, by=actor.agency, now=now)
    return await get_conference(session, conference_id, actor=actor, now=now)


async def follow_consent(session: AsyncSession, case: Case, consent: Consent, *, by: str, now: datetime) -> None:
    """What the person said last about consent to a locked case: what rests on it alone stops."""
    over = consent.state in {"withdrawn", "refused"}
    for row in await conferences.lock_open(session, case.id):
        gone = takes_back(consent, purposes=FOR_CONFERENCE, receiver=row.conference.chair)
        if ended_by_consent(row.conference, holder=case.holder, over=over, chair_taken_back=gone):
            await _end(session, row, DropReason.CONSENT_ENDED.value, DropReason.CONSENT_ENDED, by=by, now=now)
    told = [
        (row.task.state, await drop(session, row, DropReason.CONSENT_ENDED, by=by, now=now))
        for row in await tasks.lock_of_conferences(session, case.id)
        if row.lane == "consent"
        and row.task.kind not in ELSEWHERE  # what became of it there is told by that service
        and row.task.owner != case.holder
        and takes_back(consent, purposes=FOR_CONFERENCE, receiver=row.task.owner)
    ]
    events = [event for state, event in told if state is not TaskState.PLANNED]
    if events:
        await tell(session, case.id, *events, now=now)


async def end_all(session: AsyncSession, case_id: UUID, *, by: str, now: datetime) -> None:
    """A locked case is closed: nothing of it is still to be held."""
    for row in await conferences.lock_open(session, case_id):
        await _end(session, row, DropReason.CASE_CLOSED.value, DropReason.CASE_CLOSED, by=by, now=now)


async def _end(session: AsyncSession, row: Row, reason: str, dropped: DropReason, *, by: str, now: datetime) -> None:
    """Cancel a locked conference. Nobody was told of what was only planned, and nobody is told that it goes."""
    held = replace(row.conference, state=State.CANCELLED)
    await conferences.change_conference(session, held, "cancel", reason=reason, by=by, at=now)
    for planned in await tasks.lock_of_conferences(session, held.case_id):
        if planned.origin_id == held.id:
            await drop(session, planned, dropped, by=by, now=now)
    event = ConferenceCancelled(case_id=held.case_id, conference_id=held.id, chair=held.chair, reason=reason)
    await tell_in_lane(session, held, event, now=now)
