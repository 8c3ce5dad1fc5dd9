"""What course runs here say of themselves in the catalogue, so that whoever searches finds every seat that there is.

Typed once: a course that no source has told of stands there by the file that offered its seats, as a source of its own.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.catalogue import OURS, Statement
from services.training.domain.trial import TRIAL
from services.training.handlers.catalogue import Told, tell_of_ours
from services.training.tables import catalogue as tables
from services.training.tables.seats import origin_of
from shared.service import JST, day_in_japan


async def show_in_catalogue(session: AsyncSession, course_run_ids: Collection[UUID], *, now: datetime) -> None:
    """What stands of these course runs; a course of which others alone have told is left to them."""
    runs = await tables.read_ours(session, course_run_ids)
    if runs:
        said = [Told(row["course_number"], _statement(row, now)) for row in runs]
        await tell_of_ours(session, said, by=origin_of(session)["by"] or "training")


def _statement(row: Mapping[str, Any], now: datetime) -> Statement:
    """Of a trial place nobody else tells: it is the host's own word of today. A course is as old as its file."""
    if row["system"] == TRIAL:
        return Statement("provider", day_in_japan(now), now, _words(row))
    changed_at = row["changed_at"]
    checked_on = row["checked_on"] if changed_at is None else max(row["checked_on"], day_in_japan(changed_at))
    return Statement(OURS, checked_on, now, _words(row))


def _words(row: Mapping[str, Any]) -> dict[str, Any]:
    hours = {name: None if row[name] is None else f"{row[name]:%H:%M}" for name in ("from_time", "until_time")}
    days = {name: row[name].isoformat() for name in ("starts_on", "ends_on")}
    decide_on = row["cancel_decision_on"]
    return {
        "system": row["system"],
        "field": row["field"],
        "title": row["title"],
        "operator_name": row["host_workplace_name"],
        "site_municipality": row["site_municipality"],
        **days,
        **hours,
        "capacity": row["capacity"],
        "min_enrolment": row["min_enrolment"],
        # As files spell it, or the same moment would be another word.
        "applications_close_at": row["applications_close_at"].astimezone(JST).isoformat(),
        "cancel_decision_on": None if decide_on is None else decide_on.isoformat(),
        "status": "recruiting" if row["cancelled_at"] is None else "cancelled",
    }
