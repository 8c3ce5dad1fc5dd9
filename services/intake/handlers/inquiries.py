"""Another municipality's desk is asked, with the person's consent; it looks at its own cases, and a person answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case, Consent
from services.intake.domain.links import Answer
from services.intake.domain.matching import Likelihood
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Action, Denied, Purpose
from services.intake.domain.sheet import FieldSet, fields_of
from services.intake.handlers.access import denied_to_match, opened_to, there
from services.intake.handlers.cases import get_case
from services.intake.handlers.fingerprints import COMPARED_FIELDS
from services.intake.handlers.matching import Candidates, compared_values, find_here
from services.intake.tables import cases
from services.intake.tables import links as tables
from services.intake.tables.matching import DOOR
from shared import vault
from shared.auth import Actor
from shared.database import beyond_the_wall
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan

_BATCH = 100


@dataclass(frozen=True, slots=True)
class ConsentMissing:
    """The person has not agreed to it, or no longer does."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """It was asked, or answered, before."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What another desk asks: who asks, and nothing about whom; with the own cases that may be the person's."""

    inquiry: Row[Any]
    own_answer: str | None
    candidates: Candidates


@dataclass(frozen=True, slots=True)
class Sent:
    """What was asked, and the answers to it."""

    inquiry: Row[Any]
    answers: tuple[Row[Any], ...]


async def ask_elsewhere(
    session: AsyncSession, case_id: UUID, municipality: str, *, inquiry_id: UUID, actor: Actor, now: datetime
) -> Denied | ConsentMissing | Repeated | None:
    """Ask a municipality's desks whether they know the person. The answer is a person's, not a machine's."""
    case = there(await cases.lock_case(session, case_id))
    denied = await denied_to_match(session, case, Action.WRITE, actor=actor, now=now)
    if denied is not None:
        return denied
    consent = await cases.find_consent(session, case)
    # Who of the named recipients serves there is not known here; the others will not be shown the inquiry.
    if consent is None or not any(_covers(consent, agency, now) for agency in consent.recipients or {""}):
        return ConsentMissing()
    if not await tables.add_inquiry(session, inquiry_id, case, municipality, by=actor.agency, at=now):
        return Repeated()
    await cases.note(session, case_id, "inquiry_sent", {"municipality": municipality, "by": actor.agency}, at=now)
    return None


async def list_sent(session: AsyncSession, case_id: UUID, *, actor: Actor, now: datetime) -> Sequence[Sent] | Denied:
    """What was asked for a case and what was answered, for who holds it."""
    case = await get_case(session, case_id, actor)
    denied = await denied_to_match(session, case, Action.READ, actor=actor, now=now)
    if denied is not None:
        return denied
    asked = await tables.find_asked(session, case_id)
    answers = await tables.find_answers(session, [row.id for row in asked])
    return [Sent(row, tuple(each for each in answers if each.inquiry_id == row.id)) for row in asked]


async def list_inquiries(
    session: AsyncSession, *, actor: Actor, before: UUID | None, limit: int, now: datetime
) -> list[Row[Any]]:
    """What the caller's municipalities are asked, newest first, as long as the person's consent covers the caller."""
    found: list[Row[Any]] = []
    while len(found) < limit:
        async with beyond_the_wall(session, DOOR):
            batch = await tables.find_inquiries(session, actor.municipalities, before=before, limit=_BATCH)
        found += [row for row, consent in batch if row.asked_by != actor.agency and _covers(consent, actor.agency, now)]
        if len(batch) < _BATCH:
            break
        before = batch[-1][0].id
    return found[:limit]


async def get_inquiry(session: AsyncSession, inquiry_id: UUID, *, actor: Actor, now: datetime) -> Asked:
    """One of them, with the caller's own cases that may be the person's. Of the asking case nothing is shown."""
    inquiry, case, agreed = await _asked_of(session, inquiry_id, actor=actor, now=now)
    fields = [field for field in COMPARED_FIELDS if field in fields_of(agreed)]
    async with beyond_the_wall(session, DOOR):
        values = await compared_values(
            session, case, purpose=Purpose.REFERRAL, basis=Basis.CONSENT, fields=fields, actor=actor
        )
    own = await find_here(session, values, of=case, actor=actor, least=Likelihood.POSSIBLE, basis=Basis.OWN_DUTY)
    return Asked(inquiry, await tables.find_own_answer(session, inquiry_id, actor.agency), own)


async def answer_inquiry(
    session: AsyncSession, inquiry_id: UUID, answer: Answer, case_id: UUID | None, *, actor: Actor, now: datetime
) -> Denied | ConsentMissing | Repeated | None:
    """Answer once. That somebody is known is said by who holds the case, and only if the person agreed to it there."""
    inquiry, asking, _ = await _asked_of(session, inquiry_id, actor=actor, now=now)
    if case_id is not None:
        refused = await _may_say(session, await get_case(session, case_id, actor), inquiry, actor=actor, now=now)
        if refused is not None:
            return refused
    if not await tables.add_answer(session, inquiry_id, answer.value, case_id=case_id, by=actor.agency, at=now):
        return Repeated()
    # Not what was answered: the holder of the case reads that, and not everybody who reads the timeline.
    async with beyond_the_wall(session, DOOR):
        await cases.note(session, asking.id, "inquiry_answered", {"municipality": inquiry.municipality}, at=now)
    return None


async def _may_say(
    session: AsyncSession, known: Case, inquiry: Row[Any], *, actor: Actor, now: datetime
) -> Denied | ConsentMissing | None:
    denied = await denied_to_match(session, known, Action.READ, actor=actor, now=now)
    if denied is not None:
        return denied
    consent = await cases.find_consent(session, known)
    if consent is None or not _covers(consent, inquiry.asked_by, now):
        return ConsentMissing()
    access = actor.access(
        vault.Action.EXPORT, purpose=Purpose.REFERRAL, basis=Basis.CONSENT, fields=(), session=session
    )
    await vault.note_access(session, [known.id], access)
    return None


async def _asked_of(
    session: AsyncSession, inquiry_id: UUID, *, actor: Actor, now: datetime
) -> tuple[Row[Any], Case, frozenset[FieldSet]]:
    async with beyond_the_wall(session, DOOR):
        found = await tables.find_inquiries(session, actor.municipalities, only=inquiry_id, limit=1)
        asking = [await cases.find_case(session, row.case_id) for row, _ in found]
    for (row, consent), case in zip(found, asking, strict=True):
        if case is not None and row.asked_by != actor.agency and _covers(consent, actor.agency, now):
            return row, case, _agreed(consent, actor.agency, now)
    raise Problem(NOT_FOUND)


def _covers(consent: Consent, agency: str, now: datetime) -> bool:
    """Whether the agency may know of the person at all: who they are is what it is asked."""
    return FieldSet.IDENTITY in _agreed(consent, agency, now)


def _agreed(consent: Consent, agency: str, now: datetime) -> frozenset[FieldSet]:
    return opened_to(consent, agency, purpose=Purpose.REFERRAL, today=day_in_japan(now))
