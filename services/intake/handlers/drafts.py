"""Drafts are never lost: saved as they grow, taken up on another machine of the agency, put away only on purpose."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Action, Denied, Purpose
from services.intake.handlers.access import allowed, refuse_erased, there
from services.intake.tables import cases
from services.intake.tables import drafts as tables
from services.intake.tables.drafts import Draft
from shared import vault
from shared.auth import Actor
from shared.problems import NOT_FOUND, Problem


@dataclass(frozen=True, slots=True)
class Typed:
    """A draft with what was typed so far."""

    draft: Draft
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Somebody else of the agency saved it meanwhile: theirs lies under the draft, ours is still unsent."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PutAway:
    """It was discarded, or is a case or a record already."""

    case_id: UUID | None


@dataclass(frozen=True, slots=True)
class NoSuchDraft:
    """The draft that was named was put away, is done with already, is another agency's, or is about something else."""


async def begin_record_draft(
    session: AsyncSession,
    draft_id: UUID,
    content: Mapping[str, Any],
    *,
    about: UUID,
    purpose: Purpose,
    actor: Actor,
    now: datetime,
) -> Denied | None:
    """A new draft of a support record (支援記録), by who may add one to the case."""
    case = there(await cases.lock_case(session, about))
    decision = await allowed(session, case, Action.RECORD, purpose=purpose, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    await refuse_erased(session, about)
    await begin_draft(session, draft_id, content, about=about, actor=actor, now=now)
    return None


async def begin_draft(
    session: AsyncSession,
    draft_id: UUID,
    content: Mapping[str, Any],
    *,
    about: UUID | None = None,
    actor: Actor,
    now: datetime,
) -> None:
    """A new draft; from the first key typed it lies on the server."""
    key = await vault.make_key(session, draft_id, _access(actor, vault.Action.WRITE, sorted(content), session))
    sealed = key.seal(_text(content), tables.place_of(draft_id, 1))
    await tables.add_draft(
        session,
        draft_id,
        about=about,
        agency=actor.agency,
        by=actor.subject,
        sealed=sealed,
        fields=sorted(content),
        now=now,
    )


async def save_draft(
    session: AsyncSession,
    draft_id: UUID,
    content: Mapping[str, Any],
    *,
    about: UUID | None = None,
    read: int,
    actor: Actor,
    now: datetime,
) -> int | Overtaken | PutAway:
    """The whole of what is typed now, in place of the last. The version that now stands.

    What is typed stays the agency's to keep, also where the case has meanwhile gone to another.
    """
    draft = await _lock(session, draft_id, actor)
    if draft.about != about:
        raise Problem(NOT_FOUND)  # a sheet is no record, and none of another case
    if draft.discarded_at is not None or draft.case_id is not None:
        return PutAway(draft.case_id)
    if read != draft.version:
        return Overtaken(draft.saved_by, draft.saved_at)
    access = _access(actor, vault.Action.WRITE, sorted(content), session)
    key = (await vault.unlock(session, [draft_id], access)).of(draft_id)
    version = draft.version + 1
    sealed = key.seal(_text(content), tables.place_of(draft_id, version))
    await tables.save_draft(
        session, draft_id, version=version, by=actor.subject, sealed=sealed, fields=sorted(content), now=now
    )
    return version


async def get_draft(session: AsyncSession, draft_id: UUID, *, actor: Actor) -> Typed:
    """A draft of the own agency, to go on with."""
    draft = await tables.find_draft(session, draft_id, actor.agency)
    if draft is None:
        raise Problem(NOT_FOUND)
    access = _access(actor, vault.Action.READ, draft.fields, session)
    unlocked = await vault.unlock(session, [draft_id], access)
    if draft_id not in unlocked.keys:
        raise Problem(NOT_FOUND)  # put away long ago, and erased since
    return Typed(draft, json.loads(draft.opened(unlocked.of(draft_id))))


async def discard_draft(session: AsyncSession, draft_id: UUID, *, actor: Actor, now: datetime) -> PutAway | None:
    """Put a draft away, on purpose; until its period is over it can be taken out again."""
    draft = await _lock(session, draft_id, actor)
    if draft.case_id is not None:
        return PutAway(draft.case_id)
    if draft.discarded_at is None:
        await tables.mark_discarded(session, draft_id, now, now=now)
    return None


async def restore_draft(session: AsyncSession, draft_id: UUID, *, actor: Actor, now: datetime) -> PutAway | None:
    """Take a draft out again."""
    draft = await _lock(session, draft_id, actor)
    if draft.case_id is not None or await vault.erasure_of(session, draft_id) is not None:
        return PutAway(draft.case_id)
    await tables.mark_discarded(session, draft_id, None, now=now)
    return None


async def _lock(session: AsyncSession, draft_id: UUID, actor: Actor) -> Draft:
    draft = await tables.find_draft(session, draft_id, actor.agency, lock=True)
    if draft is None:
        raise Problem(NOT_FOUND)
    return draft


def _access(actor: Actor, action: vault.Action, fields: Sequence[str], session: AsyncSession) -> vault.Access:
    return actor.access(action, purpose=Purpose.SUPPORT, basis=Basis.OWN_DUTY, fields=fields, session=session)


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
