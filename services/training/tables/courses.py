"""Course runs in the catalogue, and their pools before the ledger grants them seats."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.offers import CourseOffer
from services.training.domain.pools import Place
from services.training.domain.trial import TRIAL
from shared.database import Hot

_OFFER_COLUMNS = (
    "title, provider_agency, prefecture, site_municipality, system, field, starts_on, ends_on, applications_close_at,"
    " hold_hours, source, checked_on, min_enrolment, cancel_decision_on, hold_days, offer_days, priority_opens_at,"
    " shared_as, host_workplace_id, host_workplace_name, from_time, until_time"
)
"""Its capacity is moved by the ledger alone."""
HOLD_HOURS = 72
"""As long as a seat is held where nothing else is said."""
_FIND_OFFERS = Hot(
    f"SELECT id, version, course_number, capacity, cancelled_at, {_OFFER_COLUMNS},"
    # What the operator changed by hand; files follow one another.
    " (SELECT max(h.at) FROM course_change h WHERE h.course_run_id = course_run.id AND h.reason <> 'file')"
    " AS changed_at FROM course_run"
    " WHERE course_number = ANY(CAST(:course_numbers AS text[]))"
)
_ADD_COURSES = Hot(
    f"INSERT INTO course_run (id, course_number, {_OFFER_COLUMNS}) SELECT id, course_number, {_OFFER_COLUMNS}"
    " FROM json_populate_recordset(NULL::course_run, CAST(:offers AS json))"
    " ON CONFLICT (course_number) DO NOTHING RETURNING id"
)
# In the order of the locks themselves, so that no two files wait for one another.
_CLAIM_NUMBERS = Hot(
    "SELECT pg_advisory_xact_lock(claimed.number) FROM (SELECT DISTINCT hashtextextended(course_number, 46) AS number"
    " FROM unnest(CAST(:course_numbers AS text[])) AS course_number ORDER BY 1) AS claimed"
)
_CHANGE_COURSES = Hot(
    "UPDATE course_run c SET version = c.version + 1, "
    + ", ".join(f"{column} = o.{column}" for column in _OFFER_COLUMNS.split(", "))
    + " FROM json_populate_recordset(NULL::course_run, CAST(:offers AS json)) o WHERE c.id = o.id"
    " RETURNING c.id, c.version"
)
# What nobody claimed opens to all, at the latest when applications close.
_OPENS_AT = "LEAST(c.priority_opens_at, c.applications_close_at)"
_ADD_POOLS = Hot(
    "INSERT INTO pool (id, course_run_id, kind, municipality, municipalities, decision_allotment_id, onward_step,"
    " target_groups, opens_at) SELECT added.id, course_run_id, CASE WHEN groups IS NOT NULL THEN 'priority'"
    " WHEN whose IS NULL THEN 'general' ELSE 'delegated' END, CASE WHEN position('+' IN whose) = 0 THEN whose END,"
    " coalesce(string_to_array(whose, '+'), '{}'), allotment_id, onward_step,"
    " coalesce(string_to_array(groups, '+'), '{}'),"
    f" CASE WHEN groups IS NOT NULL THEN {_OPENS_AT} END"
    " FROM unnest(CAST(:ids AS uuid[]), CAST(:course_run_ids AS uuid[]), CAST(:whose AS text[]),"
    " CAST(:groups AS text[]), CAST(:allotment_ids AS uuid[]), CAST(:onward_steps AS integer[]))"
    " AS added (id, course_run_id, whose, groups, allotment_id, onward_step)"
    " JOIN course_run c ON c.id = added.course_run_id"
)
_OPEN_POOLS = Hot(
    f"UPDATE pool p SET opens_at = {_OPENS_AT} FROM course_run c WHERE c.id = p.course_run_id AND p.kind = 'priority'"
    " AND c.id = ANY(CAST(:ids AS uuid[]))"
)


async def find_offers(session: AsyncSession, course_numbers: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Course runs' entries in the catalogue, by their numbers."""
    rows = await _FIND_OFFERS.rows(session, {"course_numbers": list(course_numbers)})
    return {row["course_number"]: row for row in rows}


async def claim_numbers(session: AsyncSession, course_numbers: Collection[str]) -> None:
    """Nobody else adds these before this transaction ends; who did so first is waited for here."""
    await _CLAIM_NUMBERS.rows(session, {"course_numbers": list(course_numbers)})


async def add_courses(session: AsyncSession, offers: Mapping[UUID, CourseOffer]) -> set[UUID]:
    """New entries; which of them were added, since a number may be taken."""
    return {row["id"] for row in await _ADD_COURSES.rows(session, {"offers": _as_json(offers)})}


async def change_courses(session: AsyncSession, offers: Mapping[UUID, CourseOffer]) -> dict[UUID, int]:
    """The entries as they are offered now, and their versions."""
    return {row["id"]: row["version"] for row in await _CHANGE_COURSES.rows(session, {"offers": _as_json(offers)})}


async def add_pools(session: AsyncSession, pools: Mapping[UUID, tuple[UUID, Place]]) -> None:
    """Pools without seats, each of its course run, for all or on an allotment; the ledger grants the seats."""
    values = {
        "ids": list(pools),
        "course_run_ids": [course_run_id for course_run_id, _ in pools.values()],
        "whose": [None if place.target_groups else place.whose for _, place in pools.values()],
        "groups": [place.target_groups for _, place in pools.values()],
        "allotment_ids": [place.allotment_id for _, place in pools.values()],
        "onward_steps": [place.onward_step for _, place in pools.values()],
    }
    await _ADD_POOLS.rows(session, values)


async def open_priority_pools(session: AsyncSession, course_run_ids: Collection[UUID]) -> None:
    """Let priority pools open when their course runs say so now."""
    await _OPEN_POOLS.rows(session, {"ids": list(course_run_ids)})


def offer_values(offer: CourseOffer) -> dict[str, Any]:
    """The offer's columns."""
    values = {column: getattr(offer, column) for column in _OFFER_COLUMNS.split(", ")}
    return values | {"hold_hours": HOLD_HOURS if offer.hold_hours is None else offer.hold_hours}


def trial_of(values: Mapping[str, Any]) -> tuple[str, UUID] | None:
    """What a trial place stays: its step and its host. A course has neither."""
    return (values["field"], values["host_workplace_id"]) if values["system"] == TRIAL else None


def _as_json(offers: Mapping[UUID, CourseOffer]) -> str:
    rows = [{"id": key, "course_number": offer.course_number} | offer_values(offer) for key, offer in offers.items()]
    return to_json(rows).decode()
