"""What people read: the catalogue with its free seats, the line, and requests with their facts."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.tables.seat_times import HAS_ANOTHER_SEAT
from shared.auth import Actor, Role
from shared.problems import NOT_FOUND, Problem

_COURSES = """
SELECT c.*, f.at AS confirmed_at, seats.pools, seats.free
FROM course_run c LEFT JOIN course_confirmation f ON f.course_run_id = c.id
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
               'pool_id', p.id, 'kind', p.kind, 'municipality', p.municipality, 'municipalities', p.municipalities,
               'target_groups', p.target_groups, 'opens_at', p.opens_at,
               'decision_allotment_id', p.decision_allotment_id, 'in_force', p.in_force,
               'source_pool_id', p.source_pool_id, 'agreement_id', p.agreement_id, 'onward_step', p.onward_step,
               'granted', p.granted, 'held', p.held,
               'filled', p.filled, 'free', p.granted - p.held - p.filled, 'waiting', (
                   SELECT count(*) FROM seat_request w WHERE w.pool_id = p.id AND w.state = 'waiting'
               ), 'version', p.version
           ) ORDER BY p.kind, p.municipalities, p.id) AS pools,
           coalesce(sum(p.granted - p.held - p.filled) FILTER (WHERE
               CAST(:municipality AS text) IS NULL
               OR p.in_force AND p.opened AND (p.kind <> 'delegated' OR :municipality = ANY(p.municipalities))
           ), 0) AS free,
           coalesce(sum(p.granted) FILTER (WHERE
               CAST(:municipality AS text) IS NULL
               OR p.in_force AND p.kept IS DISTINCT FROM 0
               AND (p.kind <> 'delegated' OR :municipality = ANY(p.municipalities))
           ), 0) AS granted
    FROM (
        SELECT *, decision_allotment_id IS NULL
            OR decision_in_force(decision_allotment_id, CAST(:now AS timestamptz)) AS in_force,
            coalesce(opens_at <= CAST(:now AS timestamptz), true) AS opened
        FROM pool WHERE course_run_id = c.id
    ) AS p
) AS seats
"""
_LIST_COURSES = text(
    _COURSES + " WHERE (CAST(:field AS text) IS NULL OR c.field = :field)"
    " AND (CAST(:system AS text) IS NULL OR c.system = :system)"
    " AND (CAST(:municipality AS text) IS NULL OR seats.granted > 0) AND (NOT :with_free OR seats.free > 0)"
    " AND (CAST(:after_id AS uuid) IS NULL OR (c.starts_on, c.id) > (CAST(:after_on AS date), CAST(:after_id AS uuid)))"
    " ORDER BY c.starts_on, c.id LIMIT :limit"
)
_GET_COURSE = text(_COURSES + " WHERE c.id = :id")

_COURSE_IS_THERE = text("SELECT id FROM course_run WHERE id = :id")
_GRANT = text(
    "SELECT p.id AS pool_id, p.course_run_id, p.kind AS pool_kind, p.municipalities, a.id AS decision_allotment_id,"
    " p.agreement_id, p.onward_step, (SELECT municipalities[1] FROM pool WHERE id = p.source_pool_id) AS lent_by,"
    " a.decision_id, a.seats AS allotted, d.effective_at, d.ends_at,"
    " s.prefecture || '-' || d.fiscal_year || '-' || lpad(CAST(d.serial AS text), 3, '0') AS number, v.title,"
    " decision_state(d.id, CAST(:now AS timestamptz)) AS state"
    " FROM pool p LEFT JOIN decision_allotment a ON a.id = p.decision_allotment_id"
    " LEFT JOIN decision d ON d.id = a.decision_id LEFT JOIN sub_committee s ON s.id = d.sub_committee_id"
    " LEFT JOIN motion_version v ON v.motion_id = d.motion_id AND v.version = d.motion_version"
    " WHERE p.id = :pool_id AND (CAST(:course_run_id AS uuid) IS NULL OR p.course_run_id = :course_run_id)"
)

_LINE = text(
    "SELECT * FROM ("
    "SELECT r.id AS seat_request_id, r.case_id, r.municipality, r.pool_id, p.kind AS pool_kind,"
    " array_to_string(p.municipalities, '+') || ' ' || p.id AS pool_of, r.line_no, r.requested_at"
    " FROM seat_request r JOIN pool p ON p.id = r.pool_id WHERE r.course_run_id = :id AND r.state = 'waiting'"
    ") AS line WHERE CAST(:line_no AS integer) IS NULL"
    " OR (pool_kind, pool_of, line_no) > (CAST(:pool_kind AS text), CAST(:pool_of AS text), CAST(:line_no AS integer))"
    " ORDER BY pool_kind, pool_of, line_no LIMIT :limit"
)

_ENTRIES = text(
    "SELECT e.id AS entry_id, e.at, e.kind, l.account, l.pool_id, l.seats, e.by, e.cause, e.seat_request_id,"
    " r.municipality FROM seat_leg l JOIN seat_entry e ON e.id = l.entry_id"
    " LEFT JOIN seat_request r ON r.id = e.seat_request_id"
    " WHERE l.course_run_id = :id AND l.account = :account"
    " AND l.pool_id IS NOT DISTINCT FROM CAST(:pool_id AS uuid) AND l.entry_id > :after"
    " ORDER BY l.entry_id LIMIT :limit"
)
_BALANCES = text(
    "SELECT account, pool_id, sum(seats) AS seats FROM seat_leg"
    " WHERE course_run_id = :id AND (CAST(:at AS timestamptz) IS NULL OR at <= :at)"
    " GROUP BY account, pool_id ORDER BY array_position(ARRAY['outside', 'run', 'free', 'held', 'filled'], account),"
    " pool_id"
)

_REQUESTS = f"""
SELECT r.*, p.kind AS pool_kind, c.provider_agency, c.system, c.field, (
           SELECT result FROM selection WHERE seat_request_id = r.id ORDER BY number DESC LIMIT 1
       ) AS result, (
           SELECT ending FROM training_end WHERE seat_request_id = r.id ORDER BY number DESC LIMIT 1
       ) AS ending,
       CASE WHEN r.state = 'waiting' AND {HAS_ANOTHER_SEAT} THEN 'overlapping_seat' END AS passed_over
FROM seat_request r JOIN pool p ON p.id = r.pool_id JOIN course_run c ON c.id = r.course_run_id
WHERE (
    r.municipality = ANY(CAST(:municipalities AS text[]))
    OR 'prefecture:' || left(r.municipality, 2) = ANY(CAST(:municipalities AS text[]))
    OR c.provider_agency = :provider
)
"""  # noqa: S608 - own words
_LIST_REQUESTS = text(
    _REQUESTS + " AND (CAST(:case_id AS uuid) IS NULL OR r.case_id = :case_id)"
    " AND (CAST(:course_run_id AS uuid) IS NULL OR r.course_run_id = :course_run_id)"
    " AND (CAST(:state AS text) IS NULL OR r.state = :state)"
    " AND (CAST(:after_id AS uuid) IS NULL OR r.id > :after_id) ORDER BY r.id LIMIT :limit"
)
_GET_REQUEST = text(_REQUESTS + " AND r.id = :id")
_FACTS = text(
    "SELECT 'nominated' AS step, agency, legal_entity, notification_number, authority, at, NULL::uuid AS id"
    " FROM nomination WHERE seat_request_id = :id"
    " UNION ALL SELECT 'countersigned', agency, legal_entity, notification_number, authority, at, NULL"
    " FROM countersignature WHERE seat_request_id = :id"
    " UNION ALL SELECT 'instructed', agency, legal_entity, notification_number, authority, at, id"
    " FROM instruction WHERE seat_request_id = :id"
    " UNION ALL SELECT 'instruction_cancelled', c.agency, c.legal_entity, c.notification_number, i.authority,"
    " c.at, i.id"
    " FROM instruction i JOIN instruction_cancellation c ON c.instruction_id = i.id WHERE i.seat_request_id = :id"
    " UNION ALL SELECT 'enrolled', agency, legal_entity, notification_number, authority, at, NULL"
    " FROM enrolment WHERE seat_request_id = :id ORDER BY at"
)


async def list_course_runs(
    session: AsyncSession,
    *,
    field: str | None,
    system: str | None,
    municipality: str | None,
    with_free: bool,
    now: datetime,
    after: tuple[date, UUID] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """The catalogue by first day. With a municipality: only what is open to its people, and only those free seats."""
    values = {
        "field": field,
        "system": system,
        "municipality": municipality,
        "with_free": with_free,
        "now": now,
        "after_on": None if after is None else after[0],
        "after_id": None if after is None else after[1],
        "limit": limit,
    }
    return (await session.execute(_LIST_COURSES, values)).all()


async def get_course_run(session: AsyncSession, course_run_id: UUID, now: datetime) -> Row[Any]:
    """One course run with its pools."""
    values = {"id": course_run_id, "municipality": None, "now": now}
    found = (await session.execute(_GET_COURSE, values)).one_or_none()
    if found is None:
        raise Problem(NOT_FOUND)
    return found


async def _get_course(session: AsyncSession, course_run_id: UUID) -> None:
    """404 if there is none."""
    if (await session.execute(_COURSE_IS_THERE, {"id": course_run_id})).one_or_none() is None:
        raise Problem(NOT_FOUND)


async def get_grant(
    session: AsyncSession, pool_id: UUID, *, course_run_id: UUID | None = None, now: datetime
) -> Row[Any]:
    """Which decision granted the seats of a pool, and where it stands now."""
    values = {"pool_id": pool_id, "course_run_id": course_run_id, "now": now}
    found = (await session.execute(_GRANT, values)).one_or_none()
    if found is None:
        raise Problem(NOT_FOUND)
    return found


async def list_line(
    session: AsyncSession, course_run_id: UUID, *, after: tuple[str, str, int] | None, limit: int
) -> Sequence[Row[Any]]:
    """Who waits: pool by pool, in the order of asking; where they stand, `read_positions` says."""
    await _get_course(session, course_run_id)
    pool_kind, pool_of, line_no = (None, None, None) if after is None else after
    values = {"id": course_run_id, "pool_kind": pool_kind, "pool_of": pool_of, "line_no": line_no, "limit": limit}
    return (await session.execute(_LINE, values)).all()


async def list_entries(
    session: AsyncSession, course_run_id: UUID, *, account: str, pool_id: UUID | None, after: int, limit: int
) -> Sequence[Row[Any]]:
    """The entries whose sum an account's number is, oldest first."""
    await _get_course(session, course_run_id)
    values = {"id": course_run_id, "account": account, "pool_id": pool_id, "after": after, "limit": limit}
    return (await session.execute(_ENTRIES, values)).all()


async def replay(session: AsyncSession, course_run_id: UUID, *, at: datetime | None) -> Sequence[Row[Any]]:
    """Every account's number, summed up anew from the entries until a moment."""
    await _get_course(session, course_run_id)
    return (await session.execute(_BALANCES, {"id": course_run_id, "at": at})).all()


async def list_seat_requests(
    session: AsyncSession,
    actor: Actor,
    *,
    case_id: UUID | None,
    course_run_id: UUID | None,
    state: str | None,
    after: UUID | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Requests for people of the caller's municipalities; for a provider, those in its own courses."""
    values = {"case_id": case_id, "course_run_id": course_run_id, "state": state, "after_id": after, "limit": limit}
    return (await session.execute(_LIST_REQUESTS, values | sight(actor))).all()


async def get_seat_request(
    session: AsyncSession, seat_request_id: UUID, actor: Actor
) -> tuple[Row[Any], list[Row[Any]]]:
    """A request and the facts that followed from it: who did what, in whose name, on what authority."""
    found = (await session.execute(_GET_REQUEST, {"id": seat_request_id} | sight(actor))).one_or_none()
    if found is None:
        raise Problem(NOT_FOUND)
    return found, list(await session.execute(_FACTS, {"id": seat_request_id}))


def sight(actor: Actor) -> dict[str, Any]:
    """Which requests are the caller's business."""
    provider = actor.agency if Role.PROVIDER in actor.roles else None
    return {"municipalities": sorted(actor.municipalities), "provider": provider}
