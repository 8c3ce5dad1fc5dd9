"""Which municipalities a town borrows support from; kept by those who keep its directory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.tables import neighbours
from shared.auth import Actor


@dataclass(frozen=True, slots=True)
class NotServed:
    """Another town's keepers say who its neighbours are."""


@dataclass(frozen=True, slots=True)
class OwnTown:
    """No town is its own neighbour."""


async def set_neighbours(
    session: AsyncSession, municipality: str, names: Collection[str], *, actor: Actor, now: datetime
) -> Sequence[str] | NotServed | OwnTown:
    """Put these in place of those that were there; by code."""
    if not actor.serves(municipality):
        return NotServed()
    if municipality in names:
        return OwnTown()
    await neighbours.set_neighbours(session, municipality, names, by=actor.agency, at=now)
    return sorted(set(names))
