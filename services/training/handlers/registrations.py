"""In whose name agencies may act (法人番号, 届出・許可番号): kept by the platform's operator, asked at every act."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import instruction
from services.training.domain.instruction import Act, AnothersName, NotRegistered, Registration, Signature
from services.training.tables import registrations
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class NotStanding:
    """The registration that was to be corrected is not this agency's, or was corrected before."""


async def sign(
    session: AsyncSession, actor: Actor, signature: Signature, act: Act, *, now: datetime
) -> Registration | NotRegistered | AnothersName:
    """The registration of the actor's own agency that this act rests on, today."""
    own = await registrations.registrations_of(session, actor.agency)
    return instruction.sign(own, signature, act, day=day_in_japan(now))


async def register(
    session: AsyncSession, registration: Registration, *, supersedes: UUID | None, actor: Actor, now: datetime
) -> Registration | NotStanding:
    """Record one, or correct or end an earlier one by another that takes its place. What was done under it stays."""
    await registrations.lock_agency(session, registration.agency)
    standing = {each.id for each in await registrations.registrations_of(session, registration.agency)}
    if supersedes is not None and supersedes not in standing:
        return NotStanding()
    made = replace(registration, id=new_id())
    await registrations.add_registration(session, made, supersedes=supersedes, by=actor.agency, now=now)
    return made
