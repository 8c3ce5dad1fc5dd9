"""Why was this proposed on that day? Proposals as they were given, and made again from the facts that were kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import kept_proposals
from services.referral.domain.kept_proposals import Compared
from services.referral.domain.options import Option
from services.referral.domain.routing import Routing, route
from services.referral.domain.routing_rules import RuleSet
from services.referral.handlers.looking import concerning, concerns
from services.referral.handlers.routing import consent_read, lacking_in
from services.referral.tables import facts, proposals, routing_rules
from shared.auth import Actor
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class Given:
    """A proposal as it was given."""

    row: Row[Any]
    routing: Routing
    options: Sequence[Option]

    def again(self, rules: RuleSet) -> Routing:
        """What these rules make of the same facts at the same moment."""
        kept: Mapping[str, Any] = self.row.facts
        today = day_in_japan(self.row.at)
        return route(
            kept_proposals.case_read(kept["case"]),
            self.options,
            rules,
            now=self.row.at,
            today=today,
            lacking=lacking_in(consent_read(kept["consent"]), today),
            beyond=kept["beyond"],
            reckoned=kept.get("reckoned", 1),
        )


async def list_proposals(
    session: AsyncSession, case_id: UUID, actor: Actor, *, before: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """A case's, newest first."""
    concerning(await facts.find_case_fact(session, case_id), actor)
    return await proposals.list_proposals(session, case_id, before=before, limit=limit)


async def get_proposal(session: AsyncSession, proposal_id: UUID, actor: Actor) -> Given:
    """What was proposed, and why, on that day. For whoever may see the case; for others there is none."""
    row = await proposals.find_proposal(session, proposal_id)
    fact = None if row is None else await facts.find_case_fact(session, row.case_id)
    if row is None or not concerns(fact, actor):
        raise Problem(NOT_FOUND)
    return (await given(session, [row]))[0]


async def replay(session: AsyncSession, found: Given) -> Compared:
    """Make it again from the kept facts by the kept version of the rules."""
    by_version = {each.rules.version: each.rules for each in await routing_rules.list_rules(session)}
    return kept_proposals.compare(found.routing, found.again(by_version[found.row.rule_version]))


async def given(session: AsyncSession, rows: Sequence[Row[Any]]) -> Sequence[Given]:
    """Proposals with the options they were made of, read at once."""
    seen = await proposals.find_options(session, {digest for row in rows for digest in row.option_digests})
    found = []
    for row in rows:
        options = [seen[digest] for digest in row.option_digests]
        routing = kept_proposals.answer_read(row.answer, {option.id: option for option in options})
        found.append(Given(row, routing, options))
    return found


@dataclass(frozen=True, slots=True)
class Replayed:
    """Some of all proposals, made again; `differ` must be empty."""

    looked_at: Sequence[UUID]
    differ: frozenset[UUID]


async def replay_some(session: AsyncSession, *, after: UUID | None, limit: int) -> Replayed:
    """The next ones, the oldest first."""
    rows = await proposals.page_of(session, after=after, limit=limit)
    by_version = {each.rules.version: each.rules for each in await routing_rules.list_rules(session)}
    differ = [
        each.row.id
        for each in await given(session, rows)
        if not kept_proposals.compare(each.routing, each.again(by_version[each.row.rule_version])).identical
    ]
    return Replayed([row.id for row in rows], frozenset(differ))
