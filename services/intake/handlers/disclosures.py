"""The holder lets another agency read (提供), lists it, and ends it early. Reading itself is in `persons`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case
from services.intake.domain.disclosures import DisclosureReason, NotDisclosed, disclose
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Action, Denied, Disclosure, Purpose
from services.intake.handlers.access import allowed, opened_to, there
from services.intake.tables import cases
from services.intake.tables import disclosures as tables
from shared.auth import Actor
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan


async def add_disclosure(
    session: AsyncSession,
    case_id: UUID,
    said: Disclosure,
    reason: DisclosureReason,
    *,
    disclosure_id: UUID,
    actor: Actor,
    now: datetime,
) -> Row[Any] | Denied | NotDisclosed:
    """Let an agency read named sets until a day. The case is locked, so that consent can't be taken back meanwhile."""
    case = there(await cases.lock_case(session, case_id))
    decision = await allowed(session, case, Action.DISCLOSE, purpose=said.purpose, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    today = day_in_japan(now)
    consent = await cases.find_consent(session, case)
    outcome = disclose(
        said,
        holder=case.holder_agency,
        violence=case.tells_of_violence,
        agreed=opened_to(consent, said.recipient, purpose=said.purpose, today=today),
        today=today,
    )
    if isinstance(outcome, NotDisclosed):
        return outcome
    row = await tables.add_disclosure(
        session,
        disclosure_id,
        case_id,
        outcome,
        consent_version=case.consent_version if said.basis is Basis.CONSENT else None,
        reason=reason.value,
        by=actor.agency,
        at=now,
    )
    codes = {
        "disclosure_id": str(disclosure_id),
        "recipient": said.recipient,
        "purpose": said.purpose.value,
        "basis": said.basis.value,
        "until": said.until.isoformat(),
        "by": actor.agency,
    }
    await cases.note(session, case_id, "disclosed", codes, at=now)
    return row


async def list_disclosures(
    session: AsyncSession, case_id: UUID, *, after: UUID | None, limit: int, actor: Actor
) -> Sequence[Row[Any]]:
    """All of a case's for its holder; its own for a recipient. 404 for whom there is none."""
    case = there(await cases.find_case(session, case_id))
    holds = case.holder_agency == actor.agency
    found = await tables.find_disclosures(
        session, case_id, recipient=None if holds else actor.agency, after=after, limit=limit
    )
    if not (holds or found or case.concerns(actor.agency, actor.serves)):
        raise Problem(NOT_FOUND)
    return found


async def end_disclosure(
    session: AsyncSession, case_id: UUID, disclosure_id: UUID, *, actor: Actor, now: datetime
) -> Row[Any] | Denied:
    """End it before its day, by who holds the case now. What is ended stays so."""
    case = there(await cases.lock_case(session, case_id))
    row = await tables.find_disclosure(session, case_id, disclosure_id)
    if row is None:
        raise Problem(NOT_FOUND)
    decision = await allowed(session, case, Action.DISCLOSE, purpose=Purpose(row.purpose), actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    if row.ended_at is None and await tables.end_disclosure(session, disclosure_id, by=actor.agency, at=now):
        await _note_end(session, row, by=actor.agency, now=now)
    found = await tables.find_disclosure(session, case_id, disclosure_id)
    assert found is not None
    return found


async def take_back(session: AsyncSession, case: Case, *, by: str, now: datetime) -> None:
    """End what rested on consent and the newest of it no longer covers; the database's wall closes with it."""
    for disclosure_id in await tables.take_back(session, case.id, case.consent_version, by=by, at=now):
        row = await tables.find_disclosure(session, case.id, disclosure_id)
        assert row is not None
        await _note_end(session, row, by=by, now=now)


async def _note_end(session: AsyncSession, row: Row[Any], *, by: str, now: datetime) -> None:
    codes = {"disclosure_id": str(row.id), "recipient": row.recipient, "by": by}
    await cases.note(session, row.case_id, "disclosure_ended", codes, at=now)
