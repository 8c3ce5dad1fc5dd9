"""A person decides which cases are of one person, and may take it back; custody and data stay where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain import links
from services.intake.domain.cases import Case
from services.intake.domain.links import Link, Linking, Refused, Step, Unlinking
from services.intake.domain.policy import Action, Denied
from services.intake.handlers.access import concerning, denied_to_match
from services.intake.handlers.cases import get_case
from services.intake.tables import cases
from services.intake.tables import links as tables
from shared.auth import Actor


@dataclass(frozen=True, slots=True)
class Linked:
    """Another case of the same person, as was decided."""

    case: Case
    reason: str
    by: str
    at: datetime


async def link_cases(
    session: AsyncSession, case_id: UUID, other_id: UUID, reason: Linking, *, actor: Actor, now: datetime
) -> Linked | Refused | Denied:
    """They are of one person, says who holds one of them."""
    return await _decide(session, case_id, other_id, Step.LINKED, reason, actor=actor, now=now)


async def unlink_cases(
    session: AsyncSession, case_id: UUID, other_id: UUID, reason: Unlinking, *, actor: Actor, now: datetime
) -> Linked | Refused | Denied:
    """They are not, or are not to be seen together."""
    return await _decide(session, case_id, other_id, Step.UNLINKED, reason, actor=actor, now=now)


async def list_links(session: AsyncSession, case_id: UUID, *, actor: Actor) -> Sequence[Linked]:
    """The linked cases, as far as they are the caller's business."""
    await get_case(session, case_id, actor)
    standing = {row.other: row for row in await tables.find_links(session, case_id) if Step(row.step) is Step.LINKED}
    return [
        Linked(case, standing[case.id].reason, standing[case.id].by, standing[case.id].at)
        for case in await cases.find_several(session, standing.keys())
        if case.concerns(actor.agency, actor.serves)
    ]


async def _decide(
    session: AsyncSession,
    case_id: UUID,
    other_id: UUID,
    step: Step,
    reason: Linking | Unlinking,
    *,
    actor: Actor,
    now: datetime,
) -> Linked | Refused | Denied:
    pair = links.pair(case_id, other_id)
    # In one order, whoever asks: two who link the same cases from both ends wait for one another, and never both.
    locked = {each: concerning(await cases.lock_case(session, each), actor) for each in pair}
    if all([await denied_to_match(session, case, Action.WRITE, actor=actor, now=now) for case in locked.values()]):
        return Denied("not_yours")
    present = await tables.find_last(session, pair)
    decision: Link | Refused = links.link(present) if step is Step.LINKED else links.unlink(present)
    if isinstance(decision, Refused):
        return decision
    await tables.add_step(session, pair, decision, reason=reason.value, by=actor.agency, at=now)
    for each in pair:
        # Not which other case: who reads this timeline may have no business there.
        await cases.note(session, each, f"case_{step}", {"reason": reason.value, "by": actor.agency}, at=now)
    return Linked(locked[other_id], reason.value, actor.agency, now)
