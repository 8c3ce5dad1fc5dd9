"""Support records are written by who may, and read as far as the story may be: sealed in, logged and opened out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import CAREER_NEEDS
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Action, Denied, Purpose
from services.intake.domain.sheet import FieldSet
from services.intake.handlers.access import allowed, key_of, there
from services.intake.handlers.drafts import NoSuchDraft
from services.intake.tables import cases, drafts
from services.intake.tables import records as tables
from services.intake.tables.records import SupportRecord
from shared import vault
from shared.auth import Actor

WORDS = "records"
"""The field's name in the access log. The words belong to the sheet's set `story`."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a counsellor writes down after a contact."""

    on_day: date
    way: str
    with_whom: Sequence[str]
    minutes: int
    needs: Sequence[str]
    words: str


@dataclass(frozen=True, slots=True)
class NoSuchRecord:
    """The entry that was to be corrected is not there, or was corrected already: correct the newest."""


async def add_record(
    session: AsyncSession,
    case_id: UUID,
    written: Written,
    *,
    corrects: UUID | None,
    draft_id: UUID | None,
    purpose: Purpose,
    record_id: UUID,
    actor: Actor,
    now: datetime,
) -> SupportRecord | Denied | NoSuchRecord | NoSuchDraft:
    """Add an entry, or one in place of another that stays; the draft that it was typed in is done with."""
    case = there(await cases.lock_case(session, case_id))
    decision = await allowed(session, case, Action.RECORD, purpose=purpose, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    if corrects is not None and not await _may_correct(session, case_id, corrects, actor):
        return NoSuchRecord()
    if draft_id is not None and not await drafts.became_record(
        session, draft_id, case_id, agency=actor.agency, now=now
    ):
        return NoSuchDraft()
    key = await key_of(
        session, case_id, vault.Action.WRITE, [WORDS], purpose=purpose, basis=decision.basis, actor=actor
    )
    record = SupportRecord(
        id=record_id,
        case_id=case_id,
        on_day=written.on_day,
        way=written.way,
        with_whom=list(written.with_whom),
        minutes=written.minutes,
        needs=list(written.needs),
        sealed=key.seal(written.words, tables.place_of(case_id, record_id)),
        corrects=corrects,
        agency=actor.agency,
        author=actor.subject,
        at=now,
    )
    await tables.add_record(session, record)
    codes = {"record_id": str(record_id), "way": record.way, "needs": record.needs, "by": actor.agency}
    await cases.note(session, case_id, "support_recorded", codes, at=now)
    if CAREER_NEEDS & set(written.needs):
        await cases.touch_career(session, case_id, at=now)
    return record


async def find_records(
    session: AsyncSession,
    case_id: UUID,
    *,
    purpose: Purpose,
    basis: Basis | None,
    before: tuple[date, UUID] | None,
    limit: int,
    actor: Actor,
    now: datetime,
) -> list[tuple[SupportRecord, str]] | Denied:
    """The entries that stand, the newest first, each with its words; for who may read the story."""
    case = there(await cases.find_case(session, case_id))
    decision = await allowed(session, case, Action.READ, purpose=purpose, basis=basis, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    if FieldSet.STORY not in decision.sets:
        return Denied("other_purpose")
    key = await key_of(session, case_id, vault.Action.READ, [WORDS], purpose=purpose, basis=decision.basis, actor=actor)
    found = await tables.find_records(session, case_id, before=before, limit=limit)
    return [(record, record.opened(key)) for record in found]


async def _may_correct(session: AsyncSession, case_id: UUID, corrects: UUID, actor: Actor) -> bool:
    """Its own agency's entry, and the newest of its line."""
    found = await tables.find_record(session, case_id, corrects)
    return found is not None and found.agency == actor.agency
