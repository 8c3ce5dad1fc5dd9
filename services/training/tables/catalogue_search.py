"""Searching the catalogue, and where its sources differ. Who asks sees free seats of the pools open to them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search asks for; what is None, and an empty list, asks for nothing."""

    text: str | None = None
    field: str | None = None
    system: str | None = None
    status: str | None = None
    prefecture: str | None = None
    municipality: str | None = None
    starts_from: date | None = None
    starts_to: date | None = None
    delivery: tuple[str, ...] = ()
    open_at: datetime | None = None
    free: bool | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom free seats are counted: the caller's municipalities, and the target groups that somebody belongs to."""

    municipalities: Collection[str]
    now: datetime
    target_groups: Collection[str] = ()

    @property
    def values(self) -> dict[str, Any]:
        """As the statements call them."""
        return {"mine": sorted(self.municipalities), "groups": sorted(set(self.target_groups)), "now": self.now}


# Only what is asked for stands in the statement, so that each search is planned for itself and finds its index.
_CONDITIONS = {
    "text": "strpos(c.searched, :text) > 0",
    "field": "c.field = :field",
    "system": "c.system = :system",
    "status": "c.status = :status",
    "prefecture": "c.municipality BETWEEN :prefecture || '0000' AND :prefecture || '9999'",
    "municipality": "c.municipality = :municipality",
    "starts_from": "c.begins_on >= :starts_from",
    "starts_to": "c.begins_on <= :starts_to",
    "delivery": "c.delivery @> CAST(:delivery AS text[])",
    # Inclusive: at 16:00:00 sharp one may still apply. What a course run is here counts beside what sources say.
    "open_at": "c.closes_at >= :open_at AND coalesce(c.opens_at, :open_at) <= :open_at"
    " AND coalesce(c.status, '') NOT IN ('closed', 'cancelled', 'finished')"
    " AND r.cancelled_at IS NULL AND coalesce(r.applications_close_at, :open_at) >= :open_at",
    "free": "seats.free > 0",
}
_AFTER = "(c.begins_on, c.id) > (CAST(:after_on AS date), CAST(:after_id AS uuid))"
_SEARCH = """
SELECT c.id, c.course_number, c.version, c.record, c.differences, c.begins_on, r.id AS course_run_id,
    r.version AS run_version, r.capacity AS seats_offered, r.cancelled_at, r.starts_on, r.ends_on,
    r.applications_close_at, seats.free, told.told_by, told.checked_on
FROM catalogue_course c
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT s.source ORDER BY s.source) AS told_by, max(s.checked_on) AS checked_on
    FROM catalogue_statement s WHERE s.course_id = c.id
) AS told
LEFT JOIN course_run r ON r.course_number = c.course_number
LEFT JOIN LATERAL (
    SELECT sum(p.granted - p.held - p.filled) AS free FROM pool p
    WHERE p.course_run_id = r.id AND (
        p.municipalities = '{}' OR EXISTS (
            SELECT FROM unnest(p.municipalities) AS of
            WHERE of = ANY(CAST(:mine AS text[])) OR 'prefecture:' || left(of, 2) = ANY(CAST(:mine AS text[]))
        )
    ) AND (
        p.opens_at IS NULL OR p.opens_at <= CAST(:now AS timestamptz)
        OR p.target_groups && CAST(:groups AS text[])
    ) AND (
        p.decision_allotment_id IS NULL OR decision_in_force(p.decision_allotment_id, CAST(:now AS timestamptz))
    )
) AS seats ON true
"""
_GET = text(f"{_SEARCH} WHERE c.id = :id")
_DIFFERING = text(
    "SELECT c.id, c.course_number FROM catalogue_course c WHERE c.differences <> '{}'"
    " AND (c.municipality = ANY(CAST(:mine AS text[]))"
    " OR 'prefecture:' || left(c.municipality, 2) = ANY(CAST(:mine AS text[])))"
    " AND (CAST(:field AS text) IS NULL OR :field = ANY(c.differences))"
    " AND (CAST(:after AS uuid) IS NULL OR c.id > :after) ORDER BY c.id LIMIT :limit"
)
_STATEMENTS = text(
    "SELECT id, source, checked_on, words, told_by, told_at FROM catalogue_statement"
    " WHERE course_id = :id AND id > :after ORDER BY id LIMIT :limit"
)


async def search(
    session: AsyncSession, wanted: Wanted, *, reader: Reader, after: tuple[date, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """Courses by their first day."""
    statement, values = asking(wanted, reader=reader, after=after, limit=limit)
    return (await session.execute(text(statement), values)).all()


def asking(
    wanted: Wanted, *, reader: Reader, after: tuple[date, UUID] | None, limit: int
) -> tuple[str, dict[str, Any]]:
    """The statement of a search, and what is bound in it."""
    values = {name: value for name, value in asdict(wanted).items() if value not in (None, (), False)}
    conditions = [_CONDITIONS[name] for name in values]
    values |= reader.values | {"limit": limit}
    if "delivery" in values:
        values["delivery"] = list(wanted.delivery)
    if after is not None:
        conditions.append(_AFTER)
        values |= {"after_on": after[0], "after_id": after[1]}
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{_SEARCH}{where} ORDER BY c.begins_on, c.id LIMIT :limit", values


async def find_course(session: AsyncSession, course_id: UUID, *, reader: Reader) -> Row[Any] | None:
    """One course with its free seats."""
    return (await session.execute(_GET, {"id": course_id} | reader.values)).one_or_none()


async def list_differing(
    session: AsyncSession, *, mine: Collection[str], field: str | None, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Courses of one's own area on which sources differ."""
    values = {"mine": sorted(mine), "field": field, "after": after, "limit": limit}
    return (await session.execute(_DIFFERING, values)).all()


async def list_statements(session: AsyncSession, course_id: UUID, *, after: int, limit: int) -> Sequence[Row[Any]]:
    """What was said of a course, as it came in."""
    return (await session.execute(_STATEMENTS, {"id": course_id, "after": after, "limit": limit})).all()
