"""制度の壁の記録: one click says which boundary between schemes blocked a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Row, or_
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.friction import Boundary, Counted, quarters_of, read_boundaries
from services.referral.tables import directory, facts, referrals
from services.referral.tables import friction as tables
from services.referral.tables.friction import Friction
from services.referral.tables.schema import friction
from shared.auth import Actor, served
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import FrictionRecorded
from shared.problems import case_not_known
from shared.service import day_in_japan

_LIST = Path(__file__).resolve().parent.parent / "layouts" / "boundaries.toml"


@dataclass(frozen=True, slots=True)
class Recorded:
    """It stands in the register; `new` unless it did already today."""

    friction: Friction
    new: bool


@dataclass(frozen=True, slots=True)
class BoundaryNotKnown:
    """No such boundary in the list."""


@dataclass(frozen=True, slots=True)
class ProgrammeNotKnown:
    """No such programme in the directory."""


@cache
def boundaries() -> Mapping[str, Boundary]:
    """The list, by code."""
    return read_boundaries(_LIST.read_text(encoding="utf-8"))


async def record_friction(
    session: AsyncSession, *, case_id: UUID, boundary: str, programme_id: UUID | None, actor: Actor, now: datetime
) -> Recorded | BoundaryNotKnown | ProgrammeNotKnown:
    """Write down which boundary blocked a person."""
    # The case's row is the lock: two clicks at once are one record.
    fact = await facts.lock_case_fact(session, case_id)
    if fact is None or not await _knows(session, fact, actor):
        raise case_not_known()
    if boundary not in boundaries():
        return BoundaryNotKnown()
    if programme_id is not None and await directory.find_offer(session, programme_id) is None:
        return ProgrammeNotKnown()
    day = day_in_japan(now)
    record = Friction(new_id(), case_id, fact.municipality, boundary, programme_id, actor.agency, day, now)
    if not await tables.add_friction(session, record):
        return Recorded(await tables.find_friction(session, case_id, boundary, day), new=False)
    told = FrictionRecorded(case_id=case_id, boundary=boundary, municipality=record.municipality, agency=actor.agency)
    await emit(session, (told, await tables.count_of_case(session, case_id)), at=now)
    return Recorded(record, new=True)


async def _knows(session: AsyncSession, fact: Row[Any], actor: Actor) -> bool:
    # Also who works with the person by a referral, wherever it is: the boundary blocks them at its own door.
    if actor.agency in {fact.opened_by, fact.holder} or actor.serves(fact.municipality):
        return True
    return await referrals.was_told(session, fact.case_id, actor.agency)


async def list_frictions(
    session: AsyncSession,
    actor: Actor,
    *,
    case_id: UUID | None,
    boundary: str | None,
    before: UUID | None,
    limit: int,
) -> Sequence[Friction]:
    """What the caller's agency wrote, and what was written about cases of the municipalities that it serves."""
    column = friction.c
    chosen = [or_(column.agency_id == actor.agency, served(column.municipality, actor.municipalities))]
    if case_id is not None:
        chosen.append(column.case_id == case_id)
    if boundary is not None:
        chosen.append(column.boundary == boundary)
    return await tables.list_frictions(session, *chosen, before=before, limit=limit)


async def count_frictions(session: AsyncSession, prefecture: str, year: int) -> list[Counted]:
    """A fiscal year by boundary, municipality and quarter."""
    first, _, _, last = quarters_of(year)
    end = date(last.year, 4, 1) - timedelta(days=1)
    return await tables.count_by_quarter(session, prefecture, since=first, until=end)
