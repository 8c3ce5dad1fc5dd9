"""Versions of routing's rules: tried against what was proposed, and published for a later day."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import routing_rules as domain
from services.referral.domain.routing import Routing
from services.referral.domain.routing_rules import NotPublished, RuleSet
from services.referral.handlers.proposals import given
from services.referral.tables import proposals, routing_rules
from services.referral.tables.routing_rules import Published
from shared.auth import Actor
from shared.service import day_in_japan

LOOKED_BACK = 2_000
"""Cases that rules are tried against: the newest proposal of each, the newest cases first."""
NAMED = 100
"""Cases of each kind that are named; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What rules would have made of what was proposed. `none_left`: cases that had candidates, and would have none."""

    cases: int
    had_candidates: int
    others: int
    none_left: int
    named_others: Sequence[UUID]
    named_none_left: Sequence[UUID]

    @property
    def excludes_everybody(self) -> bool:
        """No case that could go somewhere could go anywhere."""
        return 0 < self.had_candidates == self.none_left


async def list_rules(session: AsyncSession) -> Sequence[Published]:
    """Every version, the oldest first."""
    return await routing_rules.list_rules(session)


async def publish_rules(
    session: AsyncSession, rules: RuleSet, *, decided_by: str, decided_on: date, actor: Actor, now: datetime
) -> Published | NotPublished:
    """The next version, from a later day on; not if it would have left every past case without a candidate."""
    known = await routing_rules.lock_rules(session)
    numbered = replace(rules, version=known[-1].rules.version + 1)
    decision = domain.publish(numbered, today=day_in_japan(now))
    if isinstance(decision, NotPublished):
        return decision
    if (await try_rules(session, numbered, actor)).excludes_everybody:
        return NotPublished("excludes_everybody")
    published = Published(numbered, decided_by, decided_on, actor.agency, now)
    await routing_rules.add_rules(session, published)
    return published


async def try_rules(session: AsyncSession, rules: RuleSet, actor: Actor) -> Trial:
    """Nothing is changed. Cases are named to those whose business they are, and counted for all."""
    counts = {"cases": 0, "had": 0, "others": 0, "none": 0}
    others: list[UUID] = []
    none_left: list[UUID] = []
    async for rows in proposals.newest_of_cases(session, most=LOOKED_BACK):
        for each in await given(session, rows):
            again = each.again(rules)
            differs, none = (
                _candidates(each.routing) != _candidates(again),
                bool(each.routing.items) > bool(again.items),
            )
            counts["cases"] += 1
            counts["had"] += bool(each.routing.items)
            counts["others"] += differs
            counts["none"] += none
            if actor.serves(each.row.municipality):
                others += [each.row.case_id] * differs
                none_left += [each.row.case_id] * none
    return Trial(counts["cases"], counts["had"], counts["others"], counts["none"], others[:NAMED], none_left[:NAMED])


def _candidates(routing: Routing) -> Sequence[UUID]:
    """In their order: another order is another proposal."""
    return [each.option.id for each in routing.items]
