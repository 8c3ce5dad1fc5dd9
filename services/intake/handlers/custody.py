"""Who holds a case: closed with a reason, reopened at any door, handed on by an accepted referral; proven each day."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain import custody, responsibility
from services.intake.domain.cases import FIRST_STEP, Case
from services.intake.domain.custody import Interruption, Moved, Outcome, Proof, Refused
from services.intake.handlers import persons
from services.intake.handlers.access import agreed_to_work_on, concerning, refuse_erased
from services.intake.tables import cases
from services.intake.tables import custody as tables
from services.intake.tables import responsibility as referral_ledger
from shared import vault
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.events import CaseClosed, CaseHandedOver, CaseNotHandedOver, CaseReopened
from shared.service import JST, day_in_japan


async def close_case(
    session: AsyncSession, case_id: UUID, ended: Outcome | Interruption, *, actor: Actor, now: datetime
) -> Case | Refused:
    """終結・中断: the holder ends the support, with what was reached or why it ends without."""
    case = concerning(await cases.lock_case(session, case_id), actor)
    decision = custody.close(case.custody, by=actor.agency, ended=ended)
    if isinstance(decision, Refused):
        return decision
    closed = await tables.add_step(session, case, decision, ended=ended.value, by=actor.agency, at=now)
    closed = await cases.change_case(session, closed)
    await cases.note(session, case_id, "case_closed", {"ended": ended.value, "by": actor.agency}, at=now)
    told = CaseClosed(
        case_id=case_id, agency_id=actor.agency, ended=ended.value, interrupted=isinstance(ended, Interruption)
    )
    await emit(session, (told, closed.version), at=now)
    return closed


async def reopen_case(session: AsyncSession, case_id: UUID, *, actor: Actor, now: datetime) -> Case | Refused:
    """The person came back: who takes them up holds the case, with everything that was known before."""
    case = concerning(await cases.lock_case(session, case_id), actor)
    decision = custody.reopen(
        case.custody,
        by=actor.agency,
        agreed=await agreed_to_work_on(session, case, actor.agency, now),
        hides=case.tells_of_violence,
    )
    if isinstance(decision, Refused):
        return decision
    await refuse_erased(session, case_id)
    reopened = CaseReopened(case_id=case_id, agency_id=actor.agency)
    return await _take_up(session, case, decision, reopened, anchor=actor.subject, now=now)


async def accepted(
    session: AsyncSession, case_id: UUID, referral_id: UUID, *, sender: str, receiver: str, now: datetime
) -> None:
    """A referral that moves the case was accepted. Where its sender did not hold it, its holder stays, and is told.

    The holder reads it in the timeline. The referral service makes a `refer` of it, so that the receiver reads there
    what it took on, and both books say the same. Where the receiver held the case already, that is told as well: the
    referral service counts what it has yet to be answered.
    """
    decision = await hand_over(session, case_id, referral_id, sender=sender, receiver=receiver, now=now)
    case = await cases.lock_case(session, case_id)
    if isinstance(decision, Moved) or case is None or await vault.erasure_of(session, case_id) is not None:
        return
    about: dict[str, Any] = {"referral_id": referral_id, "sender": sender, "receiver": receiver}
    if isinstance(decision, Refused):
        codes = {name: str(value) for name, value in about.items()} | {"holder": case.holder_agency}
        await cases.note(session, case_id, "case_not_handed_over", codes, at=now)
    answered = await cases.change_case(session, case)
    told = CaseNotHandedOver(case_id=case_id, agency_id=case.holder_agency, **about)
    await emit(session, (told, answered.version), at=now)


async def hand_over(
    session: AsyncSession, case_id: UUID, referral_id: UUID, *, sender: str, receiver: str, now: datetime
) -> Moved | Refused | None:
    """Let the receiver of an accepted referral hold the case, if its sender did.

    Events name agencies and no person (decision 0007): the receiver itself is the anchor until it names one. They name
    the referral: who accepted it may have handed the case on before this word reaches where that is known.
    """
    case = await cases.lock_case(session, case_id)
    if case is None:
        return None
    decision = custody.hand_over(case.custody, sender=sender, receiver=receiver)
    if not isinstance(decision, Moved):
        return decision
    if decision.step is custody.Step.REOPENED:
        if await vault.erasure_of(session, case_id) is not None:
            return None  # nobody is left to be taken up: who comes again opens a case
        taken_up = CaseReopened(case_id=case_id, agency_id=receiver, referral_id=referral_id)
        await _take_up(session, case, decision, taken_up, anchor=receiver, now=now)
        return decision
    waiting = await tables.find_hand_off(session, case_id)
    moved = await tables.add_step(session, case, decision, ended=None, by=receiver, at=now)
    waits = waiting is not None and waiting.outlives(receiver)
    moved = await cases.change_case(session, moved, hand_off_open=waits)
    told = CaseHandedOver(case_id=case_id, agency_id=receiver, before=case.holder_agency, referral_id=referral_id)
    await emit(session, (told, moved.version), at=now)
    return decision


async def acknowledge(session: AsyncSession, case_id: UUID, referral_id: UUID) -> None:
    """A receiver has seen the referral: the hand-off (つなぎ) that it carries is no longer open."""
    case = await cases.lock_case(session, case_id)
    waiting = None if case is None else await tables.find_hand_off(session, case_id)
    sent = None if waiting is None else await tables.find_sent(session, case_id, referral_id)
    if case is None or waiting is None or sent is None or not custody.acknowledges(sent, waiting):
        return
    await cases.change_case(session, case, hand_off_open=False)


async def _take_up(
    session: AsyncSession, case: Case, decision: Moved, told: CaseReopened, *, anchor: str, now: datetime
) -> Case:
    """A closed case lives again: it needs a next step and an anchor at once, like every other."""
    by = told.agency_id
    reopened = await tables.add_step(session, case, decision, ended=None, by=by, at=now)
    version = await persons.write_first_step(session, reopened, FIRST_STEP, by=by, now=now)
    named = anchor if reopened.anchor in {None, by} else reopened.anchor
    reopened = await cases.change_case(
        session, reopened, next_step_on=day_in_japan(now), sheet_version=version, anchor=named
    )
    await cases.note(session, case.id, "case_reopened", {"by": by}, at=now)
    await emit(session, (told, reopened.version), at=now)
    return reopened


# --- the daily proof ------------------------------------------------------------------------------------------------


async def prove(session: AsyncSession, agency: str, day: date, *, until: datetime) -> Mapping[str, Any]:
    """Make the agency's proof of a day and chain it to the one before; a day that has one keeps it."""
    last = await tables.lock_proofs(session, agency)
    if last is not None and last.day >= day:
        found: Mapping[str, Any] = last.document
        return found
    before = custody.first_link(agency) if last is None else last.document["digest"]
    made = custody.document(await _proof(session, agency, day, before, until=until))
    await tables.add_proof(session, agency, day, made)
    return made


async def standing(session: AsyncSession, agency: str, *, now: datetime) -> Mapping[str, Any]:
    """How it stands at this moment, on demand: the same list and counts, chained to the last proof, and not kept."""
    last = await tables.lock_proofs(session, agency)
    before = custody.first_link(agency) if last is None else last.document["digest"]
    return custody.document(await _proof(session, agency, day_in_japan(now), before, until=now))


async def _proof(session: AsyncSession, agency: str, day: date, before: str, *, until: datetime) -> Proof:
    cases_ = custody.standings(agency, await tables.entries_of_agency(session, agency, until=until))
    answered = await referral_ledger.entries_of_agency(session, agency, until=until)
    return Proof(agency, day, before, cases_, responsibility.standings(agency, answered))


async def prove_yesterday(session: AsyncSession, now: datetime) -> bool:
    """One agency's proof of the day that has ended in Japan. False when every agency has one."""
    midnight = datetime.combine(day_in_japan(now), time.min, tzinfo=JST)
    yesterday = day_in_japan(now) - timedelta(days=1)
    agency = await tables.find_unproven(session, yesterday, until=midnight)
    if agency is None:
        return False
    await prove(session, agency, yesterday, until=midnight)
    return True
