"""Late changes of course runs: who stands in one, other course runs that may do, and what is kept of a change.

Everything is read and written in so many statements, whether one person is affected or three hundred.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.alternatives import Candidate
from services.training.domain.late_changes import TERMS, Claim, Terms
from services.training.domain.selection import Result
from services.training.domain.steps import SeatRequest
from services.training.tables import seats
from services.training.tables.seats import course_of, origin_of, request_of
from shared.database import Hot

# --- reading --------------------------------------------------------------------------------------------------------

_RUN = Hot(
    "SELECT c.*, f.at AS confirmed_at FROM course_run c LEFT JOIN course_confirmation f ON f.course_run_id = c.id"
    " WHERE c.id = :id"
)
_CLAIMS = text(
    "SELECT r.*, (SELECT s.result FROM selection s WHERE s.seat_request_id = r.id ORDER BY s.number DESC LIMIT 1)"
    " AS result FROM seat_request r WHERE r.course_run_id = :id AND r.state <> 'released' ORDER BY r.id"
)
_STANDS_IN = text(
    "SELECT case_id, course_run_id FROM seat_request"
    " WHERE case_id = ANY(CAST(:case_ids AS uuid[])) AND state <> 'released'"
)
_CANDIDATES = Hot(
    "SELECT c.*, coalesce(k.delivery && ARRAY['online', 'e_learning'], false) AS online FROM course_run c"
    " LEFT JOIN catalogue_course k ON k.course_number = c.course_number"
    " WHERE c.field = ANY(CAST(:fields AS text[])) AND c.id <> :id AND c.starts_on > :today AND c.starts_on <= :until"
    " AND c.cancelled_at IS NULL AND c.applications_close_at >= :now AND c.granted > 0"
    " AND (c.prefecture = ANY(CAST(:prefectures AS text[])) OR k.delivery && ARRAY['online', 'e_learning'])"
    " ORDER BY c.starts_on, c.id LIMIT 200"
)
_COLLIDING = Hot(
    "SELECT DISTINCT moved.id FROM unnest(CAST(:ids AS uuid[]), CAST(:firsts AS date[]), CAST(:lasts AS date[]))"
    " AS moved (id, first_on, last_on) JOIN seat_time t ON t.course_run_id = moved.id JOIN seat_time o"
    " ON o.case_id = t.case_id AND o.course_run_id <> t.course_run_id"
    " AND o.first_on <= moved.last_on AND o.last_on >= moved.first_on"
)


@dataclass(frozen=True, slots=True)
class Run:
    """A course run as it stands, with what of it may change late."""

    id: UUID
    terms: Terms
    row: Mapping[str, Any]


async def find_run(session: AsyncSession, course_run_id: UUID) -> Run | None:
    """What is read after it was locked may be decided on."""
    rows = await _RUN.rows(session, {"id": course_run_id})
    if not rows:
        return None
    row: Mapping[str, Any] = rows[0]
    return Run(row["id"], Terms(*(row[name] for name in TERMS)), row)


async def get_run(session: AsyncSession, course_run_id: UUID) -> Run:
    """One that is known to be there."""
    run = await find_run(session, course_run_id)
    assert run is not None
    return run


async def read_claims(session: AsyncSession, course_run_id: UUID) -> list[Claim]:
    """Everybody who stands in the course run, in line or with a seat."""
    return [
        Claim(
            request_of(row),
            row.requested_at,
            row.requested_by,
            row.line_no,
            None if row.result is None else Result(row.result),
            row.hold_until,
            row.benefit_ends_on,
            target_groups=tuple(row.target_groups),
            paused_until=row.paused_until,
        )
        for row in await session.execute(_CLAIMS, {"id": course_run_id})
    ]


async def read_stands_in(session: AsyncSession, case_ids: Collection[UUID]) -> dict[UUID, set[UUID]]:
    """The course runs in which each of the cases stands."""
    found: dict[UUID, set[UUID]] = {case_id: set() for case_id in case_ids}
    for row in await session.execute(_STANDS_IN, {"case_ids": list(case_ids)}):
        found[row.case_id].add(row.course_run_id)
    return found


async def read_candidates(
    session: AsyncSession,
    besides: UUID,
    fields: Sequence[str],
    prefectures: Collection[str],
    *,
    today: date,
    until: date,
    now: datetime,
) -> list[Candidate]:
    """Course runs of these fields, `besides` one, that still take people and begin by then, with their pools."""
    values = {"id": besides, "fields": list(fields), "prefectures": sorted(prefectures)}
    values |= {"today": today, "until": until, "now": now}
    rows = await _CANDIDATES.rows(session, values)
    pools = await seats.read_pools_of(session, [row["id"] for row in rows], now)
    return [
        Candidate(
            course_of(row),
            row["ends_on"],
            row["site_municipality"],
            row["online"],
            tuple(pools[row["id"]]),
            row["host_workplace_id"],
        )
        for row in rows
    ]


async def read_colliding(session: AsyncSession, moved: Mapping[UUID, tuple[date, date]]) -> set[UUID]:
    """Those of the course runs on whose new days somebody would have two seats."""
    values = {
        "ids": list(moved),
        "firsts": [first for first, _ in moved.values()],
        "lasts": [last for _, last in moved.values()],
    }
    return {row["id"] for row in await _COLLIDING.rows(session, values)}


# --- writing --------------------------------------------------------------------------------------------------------

_END = Hot(
    "UPDATE seat_request r SET state = 'released', expires_at = NULL, released_reason = e.reason,"
    " version = r.version + 1 FROM unnest(CAST(:ids AS uuid[]), CAST(:reasons AS text[])) AS e (id, reason)"
    " WHERE r.id = e.id"
)
# The version that the step makes, as everywhere: a step that is repeated is refused.
_GIVE_BACK = Hot(
    "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, seat_request_id, at, by, cause)"
    " SELECT r.id, r.version, r.course_run_id, 'release', r.pool_id, 1, r.id, :now, :by, :cause"
    " FROM seat_request r WHERE r.id = ANY(CAST(:ids AS uuid[])) ORDER BY r.id"
)
_FOLLOW = Hot(
    "WITH claim AS (INSERT INTO target_group_claim (seat_request_id, target_group, basis, by, at)"
    " SELECT n.id, k.target_group, k.basis, k.by, k.at"
    " FROM unnest(CAST(:ids AS uuid[]), CAST(:old_ids AS uuid[])) AS n (id, old_id)"
    " JOIN target_group_claim k ON k.seat_request_id = n.old_id)"
    " INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, referral_id, requested_by, state,"
    " line_no, hold_until, expires_at, requested_at, benefit_ends_on, moved_from, target_groups)"
    " SELECT n.id, r.course_run_id, n.pool_id, r.case_id, r.municipality, r.referral_id, r.requested_by, 'waiting',"
    " n.line_no, r.hold_until, LEAST(r.hold_until, c.applications_close_at), r.requested_at, r.benefit_ends_on, r.id,"
    " r.target_groups FROM unnest(CAST(:ids AS uuid[]), CAST(:old_ids AS uuid[]), CAST(:pool_ids AS uuid[]),"
    " CAST(:line_nos AS integer[])) AS n (id, old_id, pool_id, line_no)"
    " JOIN seat_request r ON r.id = n.old_id JOIN course_run c ON c.id = r.course_run_id"
)
_STAND = Hot(
    "UPDATE course_run SET starts_on = :starts_on, ends_on = :ends_on, applications_close_at = :applications_close_at,"
    " site_municipality = :site_municipality, version = version + 1 WHERE id = :id RETURNING version"
)
_ADD_CHANGE = Hot(
    "INSERT INTO course_change (id, course_run_id, kind, reason, before, after, agency, at)"
    " VALUES (:id, :course_run_id, :kind, :reason, :before, :after, :agency, :now)"
)
_ADD_AFFECTED = Hot(
    "INSERT INTO affected (id, change_id, place, seat_request_id, case_id, municipality, stood, effect, afterwards,"
    " next_request_id, offers, others, owner, answer_by, at)"
    " SELECT id, change_id, place, seat_request_id, case_id, municipality, stood, effect, afterwards,"
    " next_request_id, offers, others, owner, answer_by, at"
    " FROM json_populate_recordset(NULL::affected, CAST(:rows AS json))"
)


async def end_requests(
    session: AsyncSession, ending: Mapping[UUID, str], seats_of: Collection[UUID], now: datetime
) -> None:
    """Requests end, each for its reason; those with a seat give it back by an entry."""
    await _END.rows(session, {"ids": list(ending), "reasons": list(ending.values())})
    await _GIVE_BACK.rows(session, {"ids": list(seats_of), "now": now} | origin_of(session))


@dataclass(frozen=True, slots=True)
class Following:
    """A place in the line that goes on for a request which lost its seat."""

    id: UUID
    request: SeatRequest
    pool_id: UUID
    line_no: int


async def add_following(session: AsyncSession, following: Sequence[Following]) -> None:
    """Places in the line, with everything that was asked for before: no referral and no day is lost."""
    values = {
        "ids": [each.id for each in following],
        "old_ids": [each.request.id for each in following],
        "pool_ids": [each.pool_id for each in following],
        "line_nos": [each.line_no for each in following],
    }
    await _FOLLOW.rows(session, values)


async def stand(session: AsyncSession, course_run_id: UUID, terms: Terms) -> int:
    """The course run as it stands from now on; its capacity is moved by the ledger alone. Its next version."""
    values = {
        "id": course_run_id,
        "starts_on": terms.starts_on,
        "ends_on": terms.ends_on,
        "applications_close_at": terms.applications_close_at,
        "site_municipality": terms.site_municipality,
    }
    (row,) = await _STAND.rows(session, values)
    version: int = row["version"]
    return version


async def add_change(
    session: AsyncSession,
    change_id: UUID,
    course_run_id: UUID,
    *,
    before: Terms,
    after: Terms | None,
    reason: str,
    agency: str,
    now: datetime,
) -> None:
    """The change on record; a cancellation's record cancels the course run."""
    values = {
        "id": change_id,
        "course_run_id": course_run_id,
        "kind": "changed" if after else "cancelled",
        "reason": reason,
        "before": to_json(before).decode(),
        "after": to_json(after).decode() if after else None,
        "agency": agency,
        "now": now,
    }
    await _ADD_CHANGE.rows(session, values)


async def add_affected(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Whom the change affects, in their order."""
    await _ADD_AFFECTED.rows(session, {"rows": to_json(rows).decode()})
