"""Versions of routing's rules: tried against what was proposed, and published for a later day."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import routing_rules as domain
from services.referral.domain.nearby import Directory
from services.referral.domain.open_doors import shuts_every_door
from services.referral.domain.options import Programme
from services.referral.domain.routing import Routing
from services.referral.domain.routing_rules import NotPublished, RuleSet, Tried, Words
from services.referral.handlers.proposals import Given, given
from services.referral.tables import nearby, proposals, routing_rules
from services.referral.tables.routing_rules import Published
from services.referral.tables.vocabulary import vocabulary
from shared.auth import Actor
from shared.service import day_in_japan

LOOKED_BACK = 2_000
"""Cases that rules are tried against: the newest proposal of each, the newest cases first."""
NAMED = 100
"""Cases of each kind that are named; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What rules would have made of what was proposed, and some of the cases that they would change."""

    tried: Tried
    named_others: Sequence[UUID]
    named_none_left: Sequence[UUID]
    could_be_published: bool


@dataclass(frozen=True, slots=True)
class HoldForOthers:
    """There is one version at a time, for every municipality that takes part; the caller doesn't serve them all."""


async def list_rules(session: AsyncSession) -> Sequence[Published]:
    """Every version, the oldest first."""
    return await routing_rules.list_rules(session)


async def publish_rules(
    session: AsyncSession, rules: RuleSet, *, decided_by: str, decided_on: date, actor: Actor, now: datetime
) -> Published | NotPublished | HoldForOthers:
    """The next version, from a later day on; not if it leaves nobody a way, by the directory or for past cases."""
    if not await serves_all(session, actor):
        return HoldForOthers()
    directory = await nearby.directory_in_force(session, now=now)  # before the lock: others wait for that
    known = await routing_rules.lock_rules(session)
    numbered = replace(rules, version=known[-1].rules.version + 1)
    decision = domain.publish(numbered, _words(directory), decided_on=decided_on, today=day_in_japan(now))
    if isinstance(decision, NotPublished):
        return decision
    trial = await _try(session, numbered, directory, actor, now)
    if not trial.could_be_published:
        return NotPublished("excludes_everybody")
    published = Published(numbered, decided_by, decided_on, actor.agency, now, trial.tried)
    await routing_rules.add_rules(session, published)
    return published


async def try_rules(session: AsyncSession, rules: RuleSet, actor: Actor, now: datetime) -> Trial | NotPublished:
    """Nothing is changed. Only cases are looked at that are the caller's business."""
    directory = await nearby.directory_in_force(session, now=now)
    found = domain.fault(rules, _words(directory))
    if found is not None and found.reason != "excludes_everybody":
        return found
    trial = await _try(session, rules, directory, actor, now)
    could = trial.could_be_published and found is None and await serves_all(session, actor)
    return replace(trial, could_be_published=could)


async def serves_all(session: AsyncSession, actor: Actor) -> bool:
    """Whether everybody for whom the rules hold is the caller's business."""
    return all(map(actor.serves, await routing_rules.list_taking_part(session)))


def _words(directory: Directory) -> Words:
    """The directory's list, and what entries of before it use."""
    known = vocabulary()
    functions, groups = set(known.functions), set(known.targets)
    for option in directory.options.values():
        if isinstance(option, Programme):
            functions.add(option.function)
            groups |= option.for_whom
    return Words(frozenset(functions), frozenset(groups))


async def _try(session: AsyncSession, rules: RuleSet, directory: Directory, actor: Actor, now: datetime) -> Trial:
    counts = dict.fromkeys(("cases", "had_candidates", "others", "none_left"), 0)
    others: list[UUID] = []
    none_left: list[UUID] = []
    async for rows in proposals.newest_of_cases(session, actor.municipalities, most=LOOKED_BACK):
        # In a thread of its own: reckoning would keep everybody else's requests waiting.
        for each in await asyncio.to_thread(_compared, await given(session, rows), rules):
            counts["cases"] += 1
            counts["had_candidates"] += each.had_candidates
            counts["others"] += each.differs
            counts["none_left"] += each.none_left
            others += [each.case_id] * each.differs
            none_left += [each.case_id] * each.none_left
    tried = Tried(**counts)
    options = list(directory.options.values())
    shut = await asyncio.to_thread(shuts_every_door, rules, options, now=now, today=day_in_japan(now))
    return Trial(tried, others[:NAMED], none_left[:NAMED], could_be_published=not (tried.excludes_everybody or shut))


@dataclass(frozen=True, slots=True)
class _OfCase:
    """What rules would have made of one case."""

    case_id: UUID
    had_candidates: bool
    differs: bool
    none_left: bool


def _compared(proposed: Iterable[Given], rules: RuleSet) -> list[_OfCase]:
    found = []
    for each in proposed:
        before, again = each.routing, each.again(rules)
        differs = _candidates(before) != _candidates(again)
        none_left = bool(before.items) and not again.items
        found.append(_OfCase(each.row.case_id, bool(before.items), differs, none_left))
    return found


def _candidates(routing: Routing) -> Sequence[UUID]:
    """In their order: another order is another proposal."""
    return [each.option.id for each in routing.items]
