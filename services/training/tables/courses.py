"""Course runs in the catalogue, and their pools before the ledger grants them seats."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.offers import CourseOffer

_OFFER_COLUMNS = (
    "title, provider_agency, prefecture, site_municipality, system, field, starts_on, ends_on, applications_close_at,"
    " capacity, hold_hours, source, checked_on"
)
_FIND_OFFER = text(
    f"SELECT id, version, course_number, {_OFFER_COLUMNS} FROM course_run WHERE course_number = :course_number"
)
_ADD_COURSE = text(
    f"INSERT INTO course_run (id, course_number, {_OFFER_COLUMNS}) VALUES (:id, :course_number, "
    + ", ".join(f":{column}" for column in _OFFER_COLUMNS.split(", "))
    + ") ON CONFLICT (course_number) DO NOTHING RETURNING id"
)
_CHANGE_COURSE = text(
    "UPDATE course_run SET version = version + 1, "
    + ", ".join(f"{column} = :{column}" for column in _OFFER_COLUMNS.split(", "))
    + " WHERE id = :id RETURNING version"
)
_ADD_POOL = text(
    "INSERT INTO pool (id, course_run_id, kind, municipality) VALUES (:id, :course_run_id, :kind, :municipality)"
)


async def find_offer(session: AsyncSession, course_number: str) -> Row[Any] | None:
    """A course run's entry in the catalogue, by its number."""
    return (await session.execute(_FIND_OFFER, {"course_number": course_number})).one_or_none()


async def add_course(session: AsyncSession, course_run_id: UUID, offer: CourseOffer) -> bool:
    """A new entry; False if the number is taken."""
    values = {"id": course_run_id, "course_number": offer.course_number} | offer_values(offer)
    return (await session.execute(_ADD_COURSE, values)).one_or_none() is not None


async def change_course(session: AsyncSession, course_run_id: UUID, offer: CourseOffer) -> int:
    """The entry as it is offered now, and its version."""
    version: int = (await session.execute(_CHANGE_COURSE, {"id": course_run_id} | offer_values(offer))).scalar_one()
    return version


async def add_pool(session: AsyncSession, pool_id: UUID, course_run_id: UUID, municipality: str | None) -> None:
    """A pool without seats; the ledger grants them."""
    kind = "general" if municipality is None else "delegated"
    values = {"id": pool_id, "course_run_id": course_run_id, "kind": kind, "municipality": municipality}
    await session.execute(_ADD_POOL, values)


def offer_values(offer: CourseOffer) -> dict[str, Any]:
    """The offer's columns."""
    return {column: getattr(offer, column) for column in _OFFER_COLUMNS.split(", ")}
