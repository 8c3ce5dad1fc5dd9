"""What a prefecture decided about applications and about alternatives: only added to, in force from a day."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_IN_FORCE = text(
    "SELECT * FROM region_setting WHERE prefecture = :prefecture AND in_force_from <= :day"
    " ORDER BY in_force_from DESC, id DESC LIMIT 1"
)
_ADD = text(
    "INSERT INTO region_setting (prefecture, max_open_applications, alternatives_within_days, answer_within_days,"
    " neighbours, in_force_from, decided_by, recorded_by, recorded_at) VALUES (:prefecture, :max_open_applications,"
    " :alternatives_within_days, :answer_within_days, CAST(:neighbours AS jsonb), :in_force_from, :decided_by,"
    " :recorded_by, :now)"
)


@dataclass(frozen=True, slots=True)
class RegionSetting:
    """What holds where nothing was decided, or what was."""

    max_open_applications: int | None = None
    """How many applications a person may have open at a time; None: as many as they like."""
    alternatives_within_days: int = 60
    """How much later than the course that changed another one may begin."""
    answer_within_days: int = 3
    """Working days in which somebody affected is asked to answer."""
    neighbours: dict[str, list[str]] = field(default_factory=dict)
    """Towns that people of a town can reach."""
    in_force_from: date | None = None
    decided_by: str | None = None


async def read_setting(session: AsyncSession, prefecture: str, day: date) -> RegionSetting:
    """As in force on a day."""
    row = (await session.execute(_IN_FORCE, {"prefecture": prefecture, "day": day})).one_or_none()
    if row is None:
        return RegionSetting()
    return RegionSetting(
        row.max_open_applications,
        row.alternatives_within_days,
        row.answer_within_days,
        row.neighbours,
        row.in_force_from,
        row.decided_by,
    )


async def add_setting(
    session: AsyncSession, prefecture: str, setting: RegionSetting, *, recorded_by: str, now: datetime
) -> None:
    """Added to the record; an earlier decision stays there."""
    values: dict[str, Any] = {
        "prefecture": prefecture,
        "max_open_applications": setting.max_open_applications,
        "alternatives_within_days": setting.alternatives_within_days,
        "answer_within_days": setting.answer_within_days,
        "neighbours": to_json(setting.neighbours).decode(),
        "in_force_from": setting.in_force_from,
        "decided_by": setting.decided_by,
        "recorded_by": recorded_by,
        "now": now,
    }
    await session.execute(_ADD, values)
