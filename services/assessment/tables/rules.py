"""Versions of the prolongation rule; nothing here is about a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.rule import Rule

_COLUMNS = (
    "version, effective_from, low, conference_within, reassess_flagged, reassess_undetermined, reassess_clear,"
    " decided_by, decided_on, published_by, published_at"
)
_ALL = text(f"SELECT {_COLUMNS} FROM rule_version ORDER BY version")  # noqa: S608 - our own column names
_LOCK = text("SELECT pg_advisory_xact_lock(7470011)")
_ADD = text(
    f"INSERT INTO rule_version ({_COLUMNS}) VALUES ({', '.join(f':{name}' for name in _COLUMNS.split(', '))})"  # noqa: S608 - as above
)


@dataclass(frozen=True, slots=True)
class Published:
    """A version of the rule, with who decided it (a council, say) and who wrote it down."""

    rule: Rule
    decided_by: str
    decided_on: date
    published_by: str
    published_at: datetime


async def list_rules(session: AsyncSession) -> list[Published]:
    """Every version, the first included."""
    return [_published(row) for row in await session.execute(_ALL)]


async def lock_rules(session: AsyncSession) -> list[Published]:
    """The same, with nobody else publishing meanwhile."""
    await session.execute(_LOCK)
    return await list_rules(session)


async def add_rule(session: AsyncSession, published: Published) -> None:
    """One more version."""
    rule = published.rule
    values = {
        "version": rule.version,
        "effective_from": rule.effective_from,
        "low": rule.low,
        "conference_within": rule.conference_within,
        "reassess_flagged": rule.reassess_flagged,
        "reassess_undetermined": rule.reassess_undetermined,
        "reassess_clear": rule.reassess_clear,
        "decided_by": published.decided_by,
        "decided_on": published.decided_on,
        "published_by": published.published_by,
        "published_at": published.published_at,
    }
    await session.execute(_ADD, values)


def versions(published: Sequence[Published]) -> list[Rule]:
    """The rules alone."""
    return [each.rule for each in published]


def _published(row: Any) -> Published:
    rule = Rule(
        row.version,
        row.effective_from,
        row.low,
        row.conference_within,
        row.reassess_flagged,
        row.reassess_undetermined,
        row.reassess_clear,
    )
    return Published(rule, row.decided_by, row.decided_on, row.published_by, row.published_at)
