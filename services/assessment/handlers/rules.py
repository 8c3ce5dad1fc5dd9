"""The prolongation rule's versions: published for a later day, tried against what was rated, and replayed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain import rule as domain
from services.assessment.domain.fdp import Risk
from services.assessment.domain.rule import Flagged, NotPublished, Rule, assess_prolongation, replay
from services.assessment.tables import assessments, rules
from services.assessment.tables.rules import Published
from shared.auth import Actor
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class Trial:
    """What a rule would have flagged of everything rated so far, without flagging anything."""

    rated: int
    flagged: int
    would_be: int
    differ: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """Everything that was flagged, made again by its own version; `differ` must be 0."""

    rated: int
    differ: int


async def list_rules(session: AsyncSession) -> Sequence[Published]:
    """Every version, the oldest first."""
    return await rules.list_rules(session)


async def publish_rule(
    session: AsyncSession, rule: Rule, *, decided_by: str, decided_on: date, actor: Actor, now: datetime
) -> Published | NotPublished:
    """The next version, from a later day on."""
    known = await rules.lock_rules(session)
    numbered = replace(rule, version=known[-1].rule.version + 1)
    decision = domain.publish(numbered, today=day_in_japan(now))
    if isinstance(decision, NotPublished):
        return decision
    published = Published(numbered, decided_by, decided_on, actor.agency, now)
    await rules.add_rule(session, published)
    return published


async def try_rule(session: AsyncSession, rule: Rule) -> Trial:
    """Count what it would do; nothing is changed."""
    rated = flagged = would_be = differ = 0
    for levels, risk, count in await assessments.count_profiles(session):
        found = assess_prolongation(levels, rule).risk
        rated += count
        flagged += count * (risk is Risk.TRUE)
        would_be += count * (found is Risk.TRUE)
        differ += count * (found is not risk)
    return Trial(rated, flagged, would_be, differ)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Cases whose first rating was flagged so, by one version: how long they really took."""

    risk: str
    rule_version: int
    cases: int
    still_open: int
    took_long: int
    days: tuple[float, float, float] | None
    """Quartiles of those that are closed."""


async def calibrate(session: AsyncSession, *, long_days: int, now: datetime) -> list[Calibrated]:
    """Compare flags with real durations. A case that is still open has taken long once it is so old."""
    return [
        Calibrated(
            row.risk,
            row.rule_version,
            row.n,
            row.still_open,
            row.took_long,
            None if row.days is None or row.days[0] is None else tuple(row.days),
        )
        for row in await assessments.count_durations(session, long_days=long_days, now=now)
    ]


async def replay_rules(session: AsyncSession) -> Replayed:
    """Make every flag again, by the version and on the day it was made."""
    published = rules.versions(await rules.list_rules(session))
    rated = differ = 0
    for levels, risk, version, day, count in await assessments.count_flags(session):
        rated += count
        differ += count * len(replay(published, [Flagged(levels, day, version, risk)]))
    return Replayed(rated, differ)
