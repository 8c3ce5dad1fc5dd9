"""Emergency access (緊急閲覧): declared with a reason, told to the holder at once, and reviewed by the holder later."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.emergency import Declaration, Emergency, NotDeclared, Verdict, declare
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Action, Denied, Purpose
from services.intake.handlers.access import allowed, key_of, there
from services.intake.tables import cases
from services.intake.tables import emergencies as tables
from shared import vault
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.events import EmergencyAccessDeclared
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan, working_day_after

WORDS = "emergency_words"
"""The field's name in the access log."""


@dataclass(frozen=True, slots=True)
class AlreadyReviewed:
    """There is a verdict, and it stays."""


async def declare_emergency(
    session: AsyncSession,
    case_id: UUID,
    reason: Emergency,
    words: str,
    *,
    emergency_id: UUID,
    actor: Actor,
    now: datetime,
) -> Declaration | Denied | NotDeclared:
    """Begin an hour in which this caller may read this case. Its words are sealed with the case's key."""
    case = there(await cases.lock_case(session, case_id))
    decision = await allowed(session, case, Action.DECLARE, purpose=Purpose.SUPPORT, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    declared = declare(
        by=actor.agency,
        holder=case.holder_agency,
        open_until=await tables.find_end(session, case_id, actor.agency, actor.subject),
        today=day_in_japan(now),
        now=now,
        working_day_after=working_day_after,
    )
    if isinstance(declared, NotDeclared):
        return declared
    key = await key_of(
        session, case_id, vault.Action.WRITE, [WORDS], purpose=Purpose.SUPPORT, basis=decision.basis, actor=actor
    )
    await tables.add_emergency(
        session,
        emergency_id,
        case_id,
        declared,
        actor=actor.subject,
        reason=reason.value,
        words=key.seal(words, tables.words_place(emergency_id)),
        at=now,
    )
    told = EmergencyAccessDeclared(
        case_id=case_id,
        emergency_id=emergency_id,
        agency_id=actor.agency,
        reason=reason.value,
        ends_at=declared.ends_at,
        review_due_on=declared.review_due_on,
    )
    changed = await cases.change_case(session, case)
    codes = told.model_dump(mode="json", exclude={"case_id", "agency_id"}) | {"by": actor.agency}
    await cases.note(session, case_id, "emergency_access_declared", codes, at=now)
    await emit(session, (told, changed.version), at=now)
    return declared


async def get_emergency(
    session: AsyncSession, emergency_id: UUID, *, actor: Actor, now: datetime
) -> tuple[Row[Any], str | None] | Denied:
    """An emergency with the words of its reason, as long as they are kept, for who judges it."""
    row = await _reviewable(session, emergency_id, actor=actor, now=now)
    if isinstance(row, Denied):
        return row
    key = await key_of(
        session, row.case_id, vault.Action.READ, [WORDS], purpose=Purpose.SUPPORT, basis=Basis.OWN_DUTY, actor=actor
    )
    return row, None if row.words is None else key.open(row.words, tables.words_place(emergency_id))


async def review_emergency(
    session: AsyncSession, emergency_id: UUID, verdict: Verdict, *, actor: Actor, now: datetime
) -> Row[Any] | Denied | AlreadyReviewed:
    """Judge it, once. Late is better than never: a review that is overdue can still be made."""
    row = await _reviewable(session, emergency_id, actor=actor, now=now)
    if isinstance(row, Denied):
        return row
    if not await tables.add_review(session, emergency_id, verdict.value, by=actor.agency, at=now):
        return AlreadyReviewed()
    codes = {"emergency_id": str(emergency_id), "verdict": verdict.value, "by": actor.agency}
    await cases.note(session, row.case_id, "emergency_access_reviewed", codes, at=now)
    reviewed = await tables.find_emergency(session, emergency_id)
    assert reviewed is not None
    return reviewed


async def count_overdue(session: AsyncSession, now: datetime) -> int:
    """How many reviews are overdue, at whichever agency."""
    return await tables.count_unreviewed(session, due_before=day_in_japan(now))


async def _reviewable(session: AsyncSession, emergency_id: UUID, *, actor: Actor, now: datetime) -> Row[Any] | Denied:
    row = await tables.find_emergency(session, emergency_id)
    case = None if row is None else await cases.find_case(session, row.case_id)
    if row is None or case is None:
        raise Problem(NOT_FOUND)
    reviewers = tables.declaration(row).reviewers(case.holder_agency)
    decision = await allowed(
        session, case, Action.REVIEW, purpose=Purpose.SUPPORT, reviewers=reviewers, actor=actor, now=now
    )
    return decision if isinstance(decision, Denied) else row
