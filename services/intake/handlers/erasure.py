"""A case is ordered to be erased, or kept from it, or no longer used; and what goes with its key."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain import erasure
from services.intake.domain.cases import Case
from services.intake.domain.erasure import HoldReason, Reason, Refused, StopReason
from services.intake.handlers.access import concerning
from services.intake.tables import cases, drafts, lists, matching
from shared import vault
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.database import database_time
from shared.events import CaseErased
from shared.vault import Forget
from shared.vault.erasing import add_hold, lock_hold


@dataclass(frozen=True, slots=True)
class Standing:
    """What was ordered about a case, if anything, and whether it must be kept."""

    case: Case
    order: Row[Any] | None
    hold: Row[Any] | None

    @property
    def held(self) -> bool:
        """Whether a legal hold stands."""
        return self.hold is not None and self.hold.step == "placed"


async def order_erasure(
    session: AsyncSession, case_id: UUID, reason: Reason, *, actor: Actor, now: datetime
) -> Standing | Refused:
    """Committed, the order is carried out within seconds, whatever happens to this process."""
    case = concerning(await cases.lock_case(session, case_id), actor)
    standing = await get_standing(session, case)
    decision = erasure.order_erasure(
        case.custody, by=actor.agency, held=standing.held, ordered=standing.order is not None
    )
    if isinstance(decision, Refused):
        return decision
    ordered = await vault.order_erasure(
        session, [case_id], agency=actor.agency, actor=actor.subject, reason=reason.value
    )
    assert ordered
    await cases.note(session, case_id, "erasure_ordered", {"reason": reason.value, "by": actor.agency}, at=now)
    return await get_standing(session, case)


async def place_hold(
    session: AsyncSession, case_id: UUID, reason: HoldReason, *, actor: Actor, now: datetime
) -> Standing | Refused:
    """From now on the case is kept, however long ago it was closed."""
    case = concerning(await cases.lock_case(session, case_id), actor)
    standing = await get_standing(session, case)
    decision = erasure.place_hold(case.custody, by=actor.agency, held=standing.held, ordered=standing.order is not None)
    if isinstance(decision, Refused):
        return decision
    return await _enter(session, standing, "placed", reason, actor=actor, now=now)


async def lift_hold(
    session: AsyncSession, case_id: UUID, reason: HoldReason, *, actor: Actor, now: datetime
) -> Standing | Refused:
    """The case may be erased again, when its time has come."""
    case = concerning(await cases.lock_case(session, case_id), actor)
    standing = await get_standing(session, case)
    decision = erasure.lift_hold(case.custody, by=actor.agency, held=standing.held)
    if isinstance(decision, Refused):
        return decision
    return await _enter(session, standing, "lifted", reason, actor=actor, now=now)


async def stop_use(
    session: AsyncSession, case_id: UUID, reason: StopReason, *, actor: Actor, now: datetime
) -> Standing | Refused:
    """利用停止: from now on the data is kept, and told to nobody but the person."""
    case = concerning(await cases.lock_case(session, case_id), actor)
    ordered = await vault.erasure_of(session, case_id) is not None
    decision = erasure.stop_use(case.custody, by=actor.agency, stopped=case.use_stopped, ordered=ordered)
    if isinstance(decision, Refused):
        return decision
    return await _use(session, case, reason, stopped=True, actor=actor, now=now)


async def resume_use(
    session: AsyncSession, case_id: UUID, reason: StopReason, *, actor: Actor, now: datetime
) -> Standing | Refused:
    """The data may be used again."""
    case = concerning(await cases.lock_case(session, case_id), actor)
    decision = erasure.resume_use(case.custody, by=actor.agency, stopped=case.use_stopped)
    if isinstance(decision, Refused):
        return decision
    return await _use(session, case, reason, stopped=False, actor=actor, now=now)


async def get_standing(session: AsyncSession, case: Case) -> Standing:
    """Orders and holds of a case, with nobody else at them."""
    hold = await lock_hold(session, case.id)
    return Standing(case, await vault.erasure_of(session, case.id), hold)


async def _use(
    session: AsyncSession, case: Case, reason: StopReason, *, stopped: bool, actor: Actor, now: datetime
) -> Standing:
    changed = await cases.change_case(session, case, use_stopped=stopped)
    kind = "use_stopped" if stopped else "use_resumed"
    await cases.note(session, case.id, kind, {"reason": reason.value, "by": actor.agency}, at=now)
    return await get_standing(session, changed)


async def _enter(
    session: AsyncSession,
    standing: Standing,
    step: str,
    reason: HoldReason,
    *,
    actor: Actor,
    now: datetime,
) -> Standing:
    case = standing.case
    number = 1 if standing.hold is None else standing.hold.number + 1
    await add_hold(
        session, case.id, number, step=step, reason=reason.value, agency=actor.agency, actor=actor.subject, at=now
    )
    await cases.note(session, case.id, f"hold_{step}", {"reason": reason.value, "by": actor.agency}, at=now)
    return await get_standing(session, case)


# --- what goes with a key -------------------------------------------------------------------------------------------


async def _forget_drafts(session: AsyncSession, subject: UUID) -> None:
    """The sheet and its records were typed as drafts first, with keys of their own; some are still being typed."""
    await _order_with_it(session, await drafts.find_drafts_of(session, subject))


async def _forget_lists(session: AsyncSession, subject: UUID) -> None:
    """The case was a line of another agency's list, whose file has a key of its own."""
    await _order_with_it(session, await lists.forget_lines(session, subject))


async def _order_with_it(session: AsyncSession, subjects: Sequence[UUID]) -> None:
    agency = "tsunagu-intake"
    await vault.order_erasure(session, subjects, agency=agency, actor=agency, reason="case_erased")


async def _tell(session: AsyncSession, subject: UUID) -> None:
    """Whoever keeps something about the case elsewhere ends it too. Drafts and lists are nobody's but ours."""
    case = await cases.lock_case(session, subject)
    order = None if case is None else await vault.erasure_of(session, subject)
    if case is None or order is None:
        return
    now = await database_time(session)  # as the tombstone's own moment, which no clock of a sweep decides
    erased = await cases.change_case(session, case)
    await cases.note(session, subject, "case_erased", {"reason": order.reason}, at=now)
    told = CaseErased(case_id=subject, agency_id=case.holder_agency, reason=order.reason, erased_at=now)
    await emit(session, (told, erased.version), at=now)


FORGETTERS: tuple[Forget, ...] = (_forget_drafts, _forget_lists, matching.forget, cases.forget_old_next_step, _tell)
"""In the transaction in which the key goes. Fingerprints, and whatever else is derived from a person, belong here."""
