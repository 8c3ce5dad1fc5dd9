"""The order of the line is decided by a prefecture, or for all of them, and recorded in versions that never change."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.line import Criterion
from services.training.tables import line
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class Recorded:
    """The version stands, and holds from its day on."""

    id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class Unrecordable:
    """The rule that stands against it; `about` names the field."""

    reason: str
    about: str


async def record_line_rule(
    session: AsyncSession,
    *,
    prefecture: str | None,
    criteria: Sequence[Criterion],
    effective_on: date,
    decided_by: str,
    decision_id: UUID | None,
    actor: Actor,
    now: datetime,
) -> Recorded | Unrecordable:
    """A version more. It holds from a later day, so that nobody's place changes under their feet."""
    if len(set(criteria)) < len(criteria):
        return Unrecordable("criterion_twice", "criteria")
    if decision_id is not None and (
        prefecture is None or await line.prefecture_of_decision(session, decision_id) != prefecture
    ):
        return Unrecordable("decision_of_others", "decision_id")
    version, newest = await line.lock_next_version(session, prefecture)
    if effective_on <= day_in_japan(now) or (newest is not None and effective_on < newest):
        return Unrecordable("rule_begins_later", "effective_on")
    recorded = Recorded(new_id(), version)
    values = {
        "id": recorded.id,
        "prefecture": prefecture,
        "version": version,
        "effective_on": effective_on,
        "criteria": [each.value for each in criteria],
        "decided_by": decided_by,
        "decision_id": decision_id,
        "recorded_by": actor.agency,
        "now": now,
    }
    await line.add_rule(session, values)
    return recorded
