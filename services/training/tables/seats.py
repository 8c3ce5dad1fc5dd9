"""Course runs locked, pools and requests read, and the ledger of seats written.

Whoever changes seats locks the course run first and reads afterwards, in another statement: under READ COMMITTED only
that one sees what the lock's previous holder committed. Nothing here ever writes a pool's counters; the ledger does.
"""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.line import InLine
from services.training.domain.quota import Course, Held, Pool, Waitlisted
from services.training.domain.steps import SeatRequest, State
from services.training.domain.trial import Skip, step_of
from services.training.tables.cases import UNHEARD_OF, KnownCase, known_case
from services.training.tables.seat_times import HAS_ANOTHER_SEAT, SOMEBODY_HAS_TIME, at_limit, busy_at
from shared.bus.mailbox import Origin
from shared.database import Hot

_COURSE = (
    "c.id, c.provider_agency, c.applications_close_at, c.hold_hours, c.starts_on, c.prefecture, c.hold_days,"
    " c.offer_days, c.line_due_at, c.cancelled_at, c.system, c.field"
)
_WAITING = "(SELECT count(*) FROM seat_request w WHERE w.pool_id = p.id AND w.state = 'waiting')"
# A general pool rests on no decision, and asks about none: the hot path stays as short as it was.
_IN_FORCE = (
    "(p.decision_allotment_id IS NULL"
    " OR decision_in_force(p.decision_allotment_id, CAST(:now AS timestamptz))) AS in_force"
)
_POOL = (
    f"p.id, p.kind, p.municipalities, p.granted, p.held, p.filled, {_WAITING} AS waiting, p.next_line_no, p.version,"
    f" p.decision_allotment_id, {_IN_FORCE}, p.cut_off_at, p.kept, p.source_pool_id, p.agreement_id, p.onward_step,"
    " p.target_groups, p.opens_at <= CAST(:now AS timestamptz) AS opened"
)
_REQUEST = (
    "r.id, r.course_run_id, r.pool_id, r.case_id, r.municipality, r.referral_id, r.state, r.expires_at, r.version,"
    " r.offered, r.offers"
)

# --- locks ----------------------------------------------------------------------------------------------------------

_GET_COURSE = Hot(f"SELECT {_COURSE} FROM course_run c WHERE c.id = :id")
_PREFECTURES = Hot("SELECT id, prefecture FROM course_run WHERE id = ANY(CAST(:ids AS uuid[]))")
_LOCK_COURSE = Hot(f"SELECT {_COURSE} FROM course_run c WHERE c.id = :id FOR UPDATE")
# Wrapped, so that a plan is as good for one as for many: PostgreSQL would make a new one for each request otherwise.
_ANY_CASE = "ANY(CAST((SELECT CAST(:case_ids AS uuid[])) AS uuid[]))"
# The cases before the course, always, and in one order: whoever takes a consent back locks in that order too. The CTE
# reads the facts as they stand after the wait for them, all before the first row of the course comes to be locked, and
# nobody changes them before this transaction ends.
_LOCK_COURSE_FOR = Hot(
    "WITH fact AS (SELECT case_id, municipality, consent_state, consent_purposes, consent_recipients,"
    f" consent_valid_until, consent_valid_from, consent_version FROM case_fact WHERE case_id = {_ANY_CASE}"
    " ORDER BY case_id FOR NO KEY UPDATE),"
    " known AS (SELECT array_agg(fact) AS cases FROM fact)"
    f" SELECT {_COURSE}, cases FROM known CROSS JOIN course_run c WHERE c.id = :id FOR UPDATE OF c"
)
_LOCK_COURSES = Hot("SELECT FROM course_run WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE")
_LOCK_COURSE_OF = Hot(
    f"SELECT {_COURSE} FROM course_run c"
    " WHERE c.id = (SELECT course_run_id FROM seat_request WHERE id = :id) FOR UPDATE OF c"
)
_LOCK_NEXT_DUE = Hot(
    f"SELECT {_COURSE}, r.id AS seat_request_id FROM seat_request r JOIN course_run c ON c.id = r.course_run_id"
    " WHERE r.expires_at < :now ORDER BY r.expires_at, r.id LIMIT 1 FOR UPDATE OF c SKIP LOCKED"
)


async def lock_course(session: AsyncSession, course_run_id: UUID) -> Course | None:
    """The course run, locked: the one scarce thing, and so the only lock that a change of seats takes."""
    rows = await _LOCK_COURSE.rows(session, {"id": course_run_id})
    return course_of(rows[0]) if rows else None


async def lock_course_for(
    session: AsyncSession, course_run_id: UUID, case_ids: Sequence[UUID]
) -> tuple[Course, dict[UUID, KnownCase]] | None:
    """The course run, locked, and what is known of the cases that ask; nobody takes their consent back meanwhile."""
    rows = await _LOCK_COURSE_FOR.rows(session, {"id": course_run_id, "case_ids": case_ids})
    if not rows:
        return None
    known = {case_id: known_case(*fact) for case_id, *fact in rows[0]["cases"] or ()}
    return course_of(rows[0]), {case_id: known.get(case_id, UNHEARD_OF) for case_id in case_ids}


async def lock_courses(session: AsyncSession, course_run_ids: Collection[UUID]) -> None:
    """Course runs, locked in the order that everybody keeps who locks more than one."""
    await _LOCK_COURSES.rows(session, {"ids": list(course_run_ids)})


async def lock_course_of(session: AsyncSession, seat_request_id: UUID) -> Course | None:
    """The course run that a request is for, locked."""
    rows = await _LOCK_COURSE_OF.rows(session, {"id": seat_request_id})
    return course_of(rows[0]) if rows else None


async def lock_next_due(session: AsyncSession, now: datetime) -> tuple[Course, UUID] | None:
    """A course run, locked, and its request that may have run out; courses somebody else works on are passed by."""
    rows = await _LOCK_NEXT_DUE.rows(session, {"now": now})
    return (course_of(rows[0]), rows[0]["seat_request_id"]) if rows else None


async def read_prefectures(session: AsyncSession, course_run_ids: Collection[UUID]) -> dict[UUID, str]:
    """In which prefecture each course run is."""
    rows = await _PREFECTURES.rows(session, {"ids": list(course_run_ids)})
    return {row["id"]: row["prefecture"] for row in rows}


async def get_course(session: AsyncSession, course_run_id: UUID) -> Course:
    """The course run as it stands, to be read and not to be decided on."""
    (row,) = await _GET_COURSE.rows(session, {"id": course_run_id})
    return course_of(row)


# --- loads ----------------------------------------------------------------------------------------------------------

_POOLS = Hot(f"SELECT {_POOL} FROM pool p WHERE p.course_run_id = :course_run_id ORDER BY p.kind, p.id")
_POOLS_OF = Hot(
    f"SELECT p.course_run_id, {_POOL} FROM pool p WHERE p.course_run_id = ANY(CAST(:ids AS uuid[]))"
    " ORDER BY p.kind, p.id"
)
_POOLS_FOR = Hot(
    f"SELECT {_POOL}, ARRAY(SELECT r.case_id FROM seat_request r WHERE r.course_run_id = :course_run_id"
    f" AND r.case_id = {_ANY_CASE} AND r.state <> 'released') AS already_requested,"
    f" {busy_at(_ANY_CASE)} AS busy, {at_limit(_ANY_CASE)} AS at_limit, {SOMEBODY_HAS_TIME} AS somebody_has_time,"
    " EXISTS (SELECT FROM line_rule) AS is_ruled FROM pool p WHERE p.course_run_id = :course_run_id"
)
_LED_TO_REQUESTS = Hot("SELECT referral_id FROM seat_request WHERE referral_id = ANY(CAST(:ids AS uuid[]))")
_FIND_REQUEST = text(f"SELECT {_REQUEST} FROM seat_request r WHERE r.id = :id")
_FIND_BENEFIT_END = text("SELECT benefit_ends_on FROM seat_request WHERE id = :id")
_FIND_BY_REFERRAL = text(
    f"SELECT {_REQUEST} FROM seat_request r WHERE r.referral_id = :referral_id"
    # After a change another request may go on for it.
    " ORDER BY r.state = 'released', r.requested_at DESC, r.id DESC LIMIT 1"
)
_FIND_REQUESTS_OF_CASE = text(
    f"SELECT {_REQUEST} FROM seat_request r WHERE r.case_id = :case_id AND r.state NOT IN ('enrolled', 'released')"
    " ORDER BY r.course_run_id"
)
# Of the person, and not of this request: who left and asks again was offered a seat all the same.
_OFFERED = (
    "(SELECT sum(o.offers) FROM seat_request o WHERE o.case_id = r.case_id AND o.course_run_id = r.course_run_id)"
    " AS offered_so_far"
)
_LINE = text(
    f"SELECT {_REQUEST}, {_OFFERED}, r.line_no, coalesce(r.line_since, r.requested_at) AS since, r.paused_until,"
    f" r.together_id, r.target_groups, {HAS_ANOTHER_SEAT} AS is_busy"
    " FROM seat_request r JOIN course_run c ON c.id = r.course_run_id"
    " WHERE r.course_run_id = ANY(CAST(:ids AS uuid[])) AND r.state = 'waiting' ORDER BY r.pool_id, r.line_no"
)


async def read_pools(session: AsyncSession, course_run_id: UUID, now: datetime) -> list[Pool]:
    """The pools of a course run."""
    return [_pool(row) for row in await _POOLS.rows(session, {"course_run_id": course_run_id, "now": now})]


async def read_pools_of(
    session: AsyncSession, course_run_ids: Collection[UUID], now: datetime
) -> dict[UUID, list[Pool]]:
    """The pools of each course run."""
    pools: dict[UUID, list[Pool]] = {course_run_id: [] for course_run_id in course_run_ids}
    for row in await _POOLS_OF.rows(session, {"ids": list(course_run_ids), "now": now}):
        pools[row["course_run_id"]].append(_pool(row))
    return pools


@dataclass(frozen=True, slots=True)
class Asking:
    """Those of the cases that have a request in the course, a seat at the same time, or all that they may ask for."""

    already: frozenset[UUID] = frozenset()
    busy: frozenset[UUID] = frozenset()
    at_limit: frozenset[UUID] = frozenset()
    somebody_has_time: bool = False
    """Whether somebody in the line may be offered a seat, who was passed over for another one before."""
    is_ruled: bool = False
    """Whether anybody ever decided an order of the line."""


async def read_pools_for(
    session: AsyncSession, course_run_id: UUID, case_ids: Sequence[UUID], now: datetime
) -> tuple[list[Pool], Asking]:
    """The pools, and what stands against any of the cases; one statement, for the hot path."""
    rows = await _POOLS_FOR.rows(session, {"course_run_id": course_run_id, "case_ids": case_ids, "now": now})
    if not rows:
        return [], Asking()
    first = rows[0]
    already, busy, limited = (frozenset(first[name]) for name in ("already_requested", "busy", "at_limit"))
    asking = Asking(already, busy, limited, first["somebody_has_time"], first["is_ruled"])
    return [_pool(row) for row in rows], asking


async def led_to_requests(session: AsyncSession, referral_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the referrals that led to a request before."""
    if not referral_ids:
        return set()
    return {row["referral_id"] for row in await _LED_TO_REQUESTS.rows(session, {"ids": referral_ids})}


async def find_request(session: AsyncSession, seat_request_id: UUID) -> SeatRequest | None:
    """A request. Only what is read after its course was locked may be decided on."""
    row = (await session.execute(_FIND_REQUEST, {"id": seat_request_id})).one_or_none()
    return None if row is None else request_of(row)


async def find_benefit_end(session: AsyncSession, seat_request_id: UUID) -> date | None:
    """Until when the person has a benefit, as it was said when the seat was asked for."""
    found: date | None = (await session.execute(_FIND_BENEFIT_END, {"id": seat_request_id})).scalar_one_or_none()
    return found


async def find_request_of_referral(session: AsyncSession, referral_id: UUID) -> SeatRequest | None:
    """The request that a referral led to."""
    row = (await session.execute(_FIND_BY_REFERRAL, {"referral_id": referral_id})).one_or_none()
    return None if row is None else request_of(row)


async def find_requests_of_case(session: AsyncSession, case_id: UUID) -> list[SeatRequest]:
    """A case's requests that may still be given back, by course, so that everybody locks courses in one order."""
    return [request_of(row) for row in await session.execute(_FIND_REQUESTS_OF_CASE, {"case_id": case_id})]


@dataclass(frozen=True, slots=True)
class Standing:
    """A request that waits, and its place in the line."""

    request: SeatRequest
    place: InLine


async def read_line(session: AsyncSession, course_run_id: UUID) -> list[Standing]:
    """Everybody who waits for a seat of the course."""
    return await read_lines(session, [course_run_id])


async def read_lines(session: AsyncSession, course_run_ids: Collection[UUID]) -> list[Standing]:
    """Everybody who waits for a seat of any of these courses."""
    rows = await session.execute(_LINE, {"ids": list(course_run_ids)})
    return [
        Standing(
            request_of(row),
            InLine(
                seat_request_id=row.id,
                pool_id=row.pool_id,
                municipality=row.municipality,
                line_no=row.line_no,
                requested_at=row.since,
                waits_until=row.expires_at,
                paused_until=row.paused_until,
                together_id=row.together_id,
                referred=row.referral_id is not None,
                offers=row.offered_so_far,
                target_groups=tuple(row.target_groups),
                is_busy=row.is_busy,
            ),
        )
        for row in rows
    ]


# --- requests and the ledger ----------------------------------------------------------------------------------------

# One text for any number of requests: their rows, an entry of the ledger for each seat, and the pools' next versions.
_ADD_REQUESTS = Hot(
    "WITH asked AS (SELECT asked.* FROM unnest(CAST(:requests AS text[])) AS one, json_to_record(CAST(one AS json))"
    " AS asked (id uuid, pool_id uuid, case_id uuid, municipality text, referral_id uuid, requested_by text,"
    " moved_from uuid, benefit_ends_on date,"
    " state text, line_no int, hold_until timestamptz, expires_at timestamptz, by text, cause text,"
    " target_groups text[], skipped_because text)),"
    " added AS (INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, referral_id,"
    " requested_by, state, line_no, hold_until, expires_at, requested_at, moved_from, benefit_ends_on, target_groups,"
    " skipped_because)"
    " SELECT id, :course_run_id, pool_id, case_id, municipality, referral_id, requested_by, state, line_no,"
    " hold_until, expires_at, :now, moved_from, benefit_ends_on, target_groups, skipped_because FROM asked),"
    " told AS (UPDATE pool p SET version = version + n.requests, next_line_no = next_line_no + n.waiting"
    " FROM (SELECT pool_id, count(*) AS requests, count(line_no) AS waiting FROM asked GROUP BY pool_id) n"
    " WHERE p.course_run_id = :course_run_id AND p.id = n.pool_id)"
    " INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, seat_request_id, at, by, cause)"
    " SELECT id, 1, :course_run_id, 'hold', pool_id, 1, id, :now, by, cause FROM asked WHERE state = 'held'"
)
_ADD_CLAIMS = Hot(
    "INSERT INTO target_group_claim (seat_request_id, target_group, basis, by, at) SELECT id, target_group, basis, by,"
    " :now FROM unnest(CAST(:ids AS uuid[]), CAST(:groups AS text[]), CAST(:bases AS text[]), CAST(:by AS text[]))"
    " AS claimed (id, target_group, basis, by)"
)
_CLAIMS = text("SELECT target_group, basis FROM target_group_claim WHERE seat_request_id = :id ORDER BY target_group")
_CHANGE = text(
    "UPDATE seat_request SET state = :state, expires_at = :expires_at, released_reason = :reason, pool_id = :pool_id,"
    " offered = :offered, offers = offers + CAST(CAST(:offered AS boolean) AS integer), version = version + 1"
    " WHERE id = :id"
)
_ENTER = text(
    "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, seat_request_id, at, by, cause)"
    " VALUES (:seat_request_id, :number, :course_run_id, :kind, :pool_id, 1, :seat_request_id, :now, :by, :cause)"
)
_SHARE_OUT = Hot(
    "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, at, by, cause)"
    " SELECT CAST(:command AS uuid), number, course_run_id, kind, pool_id, seats, :now, :by, :cause"
    " FROM unnest(CAST(:course_run_ids AS uuid[]), CAST(:kinds AS text[]), CAST(:pool_ids AS uuid[]),"
    " CAST(:seats AS integer[])) WITH ORDINALITY AS entry (course_run_id, kind, pool_id, seats, number)"
    " ORDER BY number"
)
# As domain/selection.py has it: the day of the result, and once it is known the first day. The start may have moved.
_KEPT_FOR_RESULT = (
    "(SELECT (LEAST(c.starts_on, CASE s.result WHEN 'in_selection' THEN s.result_on END) + 1)::timestamp"
    " AT TIME ZONE 'Asia/Tokyo' - interval '1 microsecond' FROM selection s WHERE s.seat_request_id = r.id"
    " ORDER BY s.number DESC LIMIT 1)"
)
# As domain/papers.py has it: who lost a paper has until the first day for another, or until the day of losing it.
_KEPT_FOR_PAPER = (
    "(SELECT (greatest(c.starts_on, (x.at AT TIME ZONE 'Asia/Tokyo')::date) + 1)::timestamp AT TIME ZONE 'Asia/Tokyo'"
    " - interval '1 microsecond' FROM instruction i JOIN instruction_cancellation x ON x.instruction_id = i.id"
    " WHERE i.seat_request_id = r.id ORDER BY i.number DESC LIMIT 1)"
)
# Somebody who waits may wait as long as the deadline says now; a hold is shortened by an earlier one, never lengthened.
# Once the school has an application, its own day counts as well: GREATEST passes over one that is not there.
_FOLLOW_DEADLINES = text(
    "WITH following AS (SELECT r.id, CASE r.state WHEN 'waiting' THEN LEAST(c.applications_close_at, r.hold_until)"
    f" ELSE GREATEST({_KEPT_FOR_RESULT}, {_KEPT_FOR_PAPER}, LEAST(c.applications_close_at, r.expires_at)) END AS until"
    " FROM seat_request r JOIN course_run c ON c.id = r.course_run_id"
    " WHERE r.course_run_id = ANY(CAST(:ids AS uuid[])) AND r.expires_at IS NOT NULL)"
    " UPDATE seat_request r SET version = r.version + 1, expires_at = f.until FROM following f"
    f" WHERE r.id = f.id AND r.expires_at <> f.until RETURNING {_REQUEST}"
)
_TOUCH_POOLS = Hot(f"UPDATE pool p SET version = version + 1 WHERE p.id = ANY(CAST(:ids AS uuid[])) RETURNING {_POOL}")


@dataclass(frozen=True, slots=True)
class Claim:
    """That the person belongs to a target group, as the municipality says, and on what basis."""

    target_group: str
    basis: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A request stands: with a seat, or in line."""

    request: SeatRequest
    outcome: Held | Waitlisted
    hold_until: datetime | None
    requested_by: str
    origin: Origin
    moved_from: UUID | None = None
    """The request that this one goes on for, after a change."""
    consent_version: int = 0
    """Then: the word about consent on which the person agreed to this course run."""
    benefit_ends_on: date | None = None
    claims: Sequence[Claim] = ()
    skipped_because: Skip | None = None
    """Why the steps before that of a trial place were not gone through."""


async def read_claims(session: AsyncSession, seat_request_id: UUID) -> list[Claim]:
    """To which target groups the person belongs, as it was said when the seat was asked for."""
    rows = await session.execute(_CLAIMS, {"id": seat_request_id})
    return [Claim(row.target_group, row.basis) for row in rows]


async def add_requests(session: AsyncSession, course_run_id: UUID, placed: Sequence[Placed], *, now: datetime) -> None:
    """The requests, the ledger's entries for seats held, and the pools' next versions, in one statement."""
    requests = [to_json(_row(each)).decode() for each in placed]
    await _ADD_REQUESTS.rows(session, {"requests": requests, "course_run_id": course_run_id, "now": now})
    if claims := [(each, claim) for each in placed for claim in each.claims]:
        values = {
            "ids": [each.request.id for each, _ in claims],
            "groups": [claim.target_group for _, claim in claims],
            "bases": [claim.basis for _, claim in claims],
            "by": [each.origin.by for each, _ in claims],
        }
        await _ADD_CLAIMS.rows(session, values | {"now": now})


def _row(placed: Placed) -> dict[str, Any]:
    request, outcome = placed.request, placed.outcome
    return {
        "id": request.id,
        "pool_id": request.pool_id,
        "case_id": request.case_id,
        "municipality": request.municipality,
        "referral_id": request.referral_id,
        "requested_by": placed.requested_by,
        "moved_from": placed.moved_from,
        "benefit_ends_on": placed.benefit_ends_on,
        "state": request.state,
        "line_no": outcome.line_no if isinstance(outcome, Waitlisted) else None,
        "hold_until": placed.hold_until,
        "expires_at": request.expires_at,
        "by": placed.origin.by,
        "cause": placed.origin.cause,
        "target_groups": sorted({claim.target_group for claim in placed.claims}),
        "skipped_because": placed.skipped_because,
    }


async def change_request(
    session: AsyncSession,
    seat_request_id: UUID,
    *,
    state: State,
    pool_id: UUID,
    expires_at: datetime | None = None,
    reason: str | None = None,
    offered: bool = False,
) -> None:
    """A request's next state and version; `offered`: out of the line, to be accepted."""
    values = {"id": seat_request_id, "state": state.value, "pool_id": pool_id, "expires_at": expires_at}
    await session.execute(_CHANGE, values | {"reason": reason, "offered": offered})


async def enter(session: AsyncSession, kind: str, request: SeatRequest, *, pool_id: UUID, now: datetime) -> None:
    """A request's seat in the ledger; the database moves the pool's counters by it, or refuses it."""
    about = {"kind": kind, "pool_id": pool_id, "course_run_id": request.course_run_id, "seat_request_id": request.id}
    # The version that the step makes: a step that is repeated would be entered twice, and is refused.
    await session.execute(_ENTER, about | {"number": request.version + 1, "now": now} | origin_of(session))


@dataclass(frozen=True, slots=True)
class Share:
    """So many seats more or, below zero, fewer: of a course run as a whole (its capacity), or of one of its pools."""

    course_run_id: UUID
    pool_id: UUID | None
    seats: int
    is_cancelled: bool = False

    @property
    def kind(self) -> str:
        """From where to where they go."""
        if self.pool_id is None:
            return "open" if self.seats > 0 else "close"
        if self.is_cancelled:
            return "course_cancelled"
        return "grant" if self.seats > 0 else "return"


async def share_out(session: AsyncSession, shares: Sequence[Share], *, command: UUID, now: datetime) -> None:
    """Seats come into course runs and pools, or leave them, in this order. A command that is repeated is refused."""
    entries = [share for share in shares if share.seats]
    if not entries:
        return
    values = {
        "command": command,
        "course_run_ids": [share.course_run_id for share in entries],
        "kinds": [share.kind for share in entries],
        "pool_ids": [share.pool_id for share in entries],
        "seats": [abs(share.seats) for share in entries],
        "now": now,
    }
    await _SHARE_OUT.rows(session, values | origin_of(session))


async def follow_deadlines(session: AsyncSession, course_run_ids: Collection[UUID]) -> list[SeatRequest]:
    """Let holds and waits follow the deadlines and starts of these course runs; those whose time changed."""
    rows = await session.execute(_FOLLOW_DEADLINES, {"ids": list(course_run_ids)})
    return [request_of(row) for row in rows]


async def touch_pools(session: AsyncSession, pool_ids: Iterable[UUID], now: datetime) -> list[Pool]:
    """The next version of each pool that changed, with its figures as they now stand."""
    rows = await _TOUCH_POOLS.rows(session, {"ids": sorted(pool_ids), "now": now})
    return sorted((_pool(row) for row in rows), key=lambda pool: (pool.kind, pool.municipalities, pool.id))


def origin_of(session: AsyncSession) -> dict[str, str | None]:
    """Who acts and why, as the door that opened the session knows it; stands in every entry of the ledger."""
    origin = session.info.get("origin")
    return {"by": getattr(origin, "by", None), "cause": getattr(origin, "cause", None)}


# --- rows as values -------------------------------------------------------------------------------------------------


def course_of(row: Mapping[str, Any]) -> Course:
    return Course(
        row["id"],
        row["provider_agency"],
        row["applications_close_at"],
        timedelta(hours=row["hold_hours"]),
        row["starts_on"],
        row["prefecture"],
        row["hold_days"],
        row["offer_days"],
        line_due_at=row["line_due_at"],
        is_cancelled=row["cancelled_at"] is not None,
        step=step_of(row["system"], row["field"]),
    )


def _pool(row: Mapping[str, Any]) -> Pool:
    return Pool(
        id=row["id"],
        kind=row["kind"],
        municipalities=tuple(row["municipalities"]),
        granted=row["granted"],
        held=row["held"],
        filled=row["filled"],
        waiting=row["waiting"],
        next_line_no=row["next_line_no"],
        version=row["version"],
        decision_allotment_id=row["decision_allotment_id"],
        in_force=row["in_force"],
        cut_off_at=row["cut_off_at"],
        kept=row["kept"],
        source_pool_id=row["source_pool_id"],
        agreement_id=row["agreement_id"],
        onward_step=row["onward_step"],
        target_groups=tuple(row["target_groups"]),
        opened=bool(row["opened"]),
    )


def request_of(row: Row[Any]) -> SeatRequest:
    return SeatRequest(
        id=row.id,
        course_run_id=row.course_run_id,
        pool_id=row.pool_id,
        case_id=row.case_id,
        municipality=row.municipality,
        referral_id=row.referral_id,
        state=State(row.state),
        expires_at=row.expires_at,
        version=row.version,
        offered=row.offered,
        offers=row.offers,
    )
