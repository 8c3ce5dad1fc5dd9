"""Versions of routing's rules; nothing here is about a person."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.routing_rules import RuleSet, Tried, read, told
from services.referral.tables.schema import case_fact, coordinator, routing_rule

_LOCK = text("SELECT pg_advisory_xact_lock(7470038)")


@dataclass(frozen=True, slots=True)
class Published:
    """A version of the rules, with who decided it (a council, say) and who wrote it down."""

    rules: RuleSet
    decided_by: str
    decided_on: date
    published_by: str
    published_at: datetime
    tried: Tried | None
    """What was counted before; None: of versions published before counts were kept."""


async def list_rules(session: AsyncSession) -> Sequence[Published]:
    """Every version, the oldest first."""
    rows = await session.execute(select(routing_rule).order_by(routing_rule.c.version))
    return [_published(row) for row in rows]


async def lock_rules(session: AsyncSession) -> Sequence[Published]:
    """The same, with nobody else publishing meanwhile."""
    await session.execute(_LOCK)
    return await list_rules(session)


async def list_taking_part(session: AsyncSession) -> Sequence[str]:
    """The municipalities for which the rules hold: those with open cases, and those that have named a coordinator."""
    # A case is of no municipality while only what others say of it was heard, and not its opening.
    is_open = case_fact.c.municipality.is_not(None), case_fact.c.closed_at.is_(None)
    with_cases = select(case_fact.c.municipality).where(*is_open)
    return (await session.execute(with_cases.union(select(coordinator.c.municipality)))).scalars().all()


async def add_rules(session: AsyncSession, published: Published) -> None:
    """One more version."""
    rules = published.rules
    await session.execute(
        insert(routing_rule).values(
            version=rules.version,
            effective_from=rules.effective_from,
            rules=told(rules),
            decided_by=published.decided_by,
            decided_on=published.decided_on,
            published_by=published.published_by,
            published_at=published.published_at,
            tried=None if published.tried is None else asdict(published.tried),
        )
    )


def _published(row: Any) -> Published:
    rules = read(row.rules, version=row.version, effective_from=row.effective_from)
    tried = None if row.tried is None else Tried(**row.tried)
    return Published(rules, row.decided_by, row.decided_on, row.published_by, row.published_at, tried)
