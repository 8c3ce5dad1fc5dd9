"""The line's rules, what each offer rested on and was answered, pauses, and from when on a line must be looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.line import BY_ASKING, Criterion, LineRule
from services.training.domain.steps import SeatRequest
from services.training.tables.seats import origin_of
from shared.database import Hot

# --- rules ----------------------------------------------------------------------------------------------------------

# A prefecture's own rule comes before that of all; of two from the same day the later version.
_RULE_ON = Hot(
    "SELECT id, criteria FROM line_rule WHERE (prefecture = :prefecture OR prefecture IS NULL)"
    " AND effective_on <= CAST(:day AS date) ORDER BY prefecture NULLS LAST, effective_on DESC, version DESC LIMIT 1"
)
_LOCK_RULES = text("SELECT pg_advisory_xact_lock(hashtext('training.line_rule'))")
_NEXT_VERSION = text(
    "SELECT coalesce(max(version), 0) + 1 AS version, max(effective_on) AS newest FROM line_rule"
    " WHERE prefecture IS NOT DISTINCT FROM CAST(:prefecture AS text)"
)
_ADD_RULE = text(
    "INSERT INTO line_rule (id, prefecture, version, effective_on, criteria, decided_by, decision_id, recorded_by,"
    " recorded_at) VALUES (:id, :prefecture, :version, :effective_on, :criteria, :decided_by, :decision_id,"
    " :recorded_by, :now)"
)
_RULES = text(
    "SELECT l.*, coalesce(l.effective_on <= CAST(:today AS date) AND NOT EXISTS (SELECT FROM line_rule n"
    " WHERE n.prefecture IS NOT DISTINCT FROM l.prefecture AND n.effective_on <= CAST(:today AS date)"
    " AND (n.effective_on, n.version) > (l.effective_on, l.version)), false) AS in_force FROM line_rule l"
    " WHERE (CAST(:prefecture AS text) IS NULL OR l.prefecture = :prefecture OR l.prefecture IS NULL)"
    " AND (CAST(:after AS uuid) IS NULL OR l.id > :after) ORDER BY l.id LIMIT :limit"
)
_RULE = text("SELECT * FROM line_rule WHERE id = :id")
_DECISION_IS_OF = text(
    "SELECT c.prefecture FROM decision d JOIN sub_committee c ON c.id = d.sub_committee_id WHERE d.id = :id"
)


async def rule_on(session: AsyncSession, prefecture: str, day: date) -> LineRule:
    """The order of the line in a prefecture on a day; the order of asking where nobody decided another."""
    rows = await _RULE_ON.rows(session, {"prefecture": prefecture, "day": day})
    return LineRule(tuple(map(Criterion, rows[0]["criteria"])), rows[0]["id"]) if rows else BY_ASKING


async def lock_next_version(session: AsyncSession, prefecture: str | None) -> tuple[int, date | None]:
    """The next version of a prefecture's rule, or of that for all, and the last day from which one holds so far."""
    await session.execute(_LOCK_RULES)
    row = (await session.execute(_NEXT_VERSION, {"prefecture": prefecture})).one()
    return row.version, row.newest


async def add_rule(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """One version more; none is ever changed."""
    await session.execute(_ADD_RULE, dict(values))


async def list_rules(
    session: AsyncSession, prefecture: str | None, *, today: date, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Versions as they were recorded: a prefecture's and those for all, or every one."""
    values = {"prefecture": prefecture, "today": today, "after": after, "limit": limit}
    return (await session.execute(_RULES, values)).all()


async def find_rule(session: AsyncSession, rule_id: UUID | None) -> Row[Any] | None:
    """A version with who decided it."""
    return None if rule_id is None else (await session.execute(_RULE, {"id": rule_id})).one_or_none()


async def prefecture_of_decision(session: AsyncSession, decision_id: UUID) -> str | None:
    """Whose sub-committee made a decision."""
    found: str | None = (await session.execute(_DECISION_IS_OF, {"id": decision_id})).scalar_one_or_none()
    return found


# --- offers ---------------------------------------------------------------------------------------------------------

# The round, and each of its offers with the number that the request has by now.
_ADD_ROUND = Hot(
    "WITH round AS (INSERT INTO line_round (id, course_run_id, line_rule_id, kept, by, cause, at)"
    " VALUES (:id, :course_run_id, :line_rule_id, CAST(:kept AS jsonb), :by, :cause, :now) RETURNING id)"
    " INSERT INTO seat_offer (seat_request_id, number, round_id, pool_id, expires_at)"
    " SELECT r.id, r.offers, round.id, r.pool_id, r.expires_at FROM round, seat_request r"
    " WHERE r.id = ANY(CAST(:offered AS uuid[]))"
)
_ANSWER = Hot(
    "INSERT INTO seat_offer_answer (seat_request_id, number, answer, reason, by, at)"
    " VALUES (:seat_request_id, :number, :answer, :reason, :by, :now)"
)
_OFFERS = text(
    "SELECT o.seat_request_id, o.number, o.pool_id, o.expires_at, p.kind AS pool_kind, r.at, r.kept, r.line_rule_id,"
    " a.answer, a.reason, a.at AS answered_at FROM seat_offer o JOIN line_round r ON r.id = o.round_id"
    " JOIN pool p ON p.id = o.pool_id LEFT JOIN seat_offer_answer a USING (seat_request_id, number)"
    " WHERE o.seat_request_id = :id ORDER BY o.number"
)


async def add_round(
    session: AsyncSession,
    round_id: UUID,
    course_run_id: UUID,
    rule: LineRule,
    kept: Mapping[str, Any],
    offered: Sequence[UUID],
    now: datetime,
) -> None:
    """Keep what offers rested on, once the requests have their seats."""
    values = {"id": round_id, "course_run_id": course_run_id, "line_rule_id": rule.id, "kept": to_json(kept).decode()}
    await _ADD_ROUND.rows(session, values | {"offered": offered, "now": now} | origin_of(session))


async def answer_offer(
    session: AsyncSession, request: SeatRequest, answer: str, *, reason: str | None = None, now: datetime
) -> None:
    """What was said to the request's last offer, once."""
    values = {"seat_request_id": request.id, "number": request.offers, "answer": answer, "reason": reason, "now": now}
    await _ANSWER.rows(session, values | {"by": origin_of(session)["by"]})


async def read_offers(session: AsyncSession, seat_request_id: UUID) -> Sequence[Row[Any]]:
    """Every offer that a request had, with what it rested on."""
    return (await session.execute(_OFFERS, {"id": seat_request_id})).all()


# --- places ---------------------------------------------------------------------------------------------------------

_PAUSE = text("UPDATE seat_request SET paused_until = :until, version = version + 1 WHERE id = :id")
_BEHIND = text(
    "WITH place AS (UPDATE pool SET next_line_no = next_line_no + 1 WHERE id = :pool_id RETURNING next_line_no)"
    " UPDATE seat_request SET state = 'waiting', offered = false, line_no = place.next_line_no - 1, line_since = :now,"
    " together_id = NULL, expires_at = :until, paused_until = :paused_until, pool_id = :pool_id, version = version + 1"
    " FROM place WHERE id = :id"
)
_ACCEPT = text("UPDATE seat_request SET offered = false, expires_at = :until, version = version + 1 WHERE id = :id")
_ASKED = text("SELECT hold_until, paused_until, together_id, target_groups FROM seat_request WHERE id = :id")
_TOGETHER = text(
    "UPDATE seat_request SET together_id = :together_id, version = version + :step WHERE id = ANY(CAST(:ids AS uuid[]))"
)
_LOOK_AGAIN = Hot(
    "UPDATE course_run c SET line_due_at = LEAST("
    "(SELECT min(r.paused_until) FROM seat_request r WHERE r.course_run_id = c.id AND r.state = 'waiting'"
    " AND r.paused_until > CAST(:now AS timestamptz)),"
    " (SELECT min(p.opens_at) FROM pool p WHERE p.course_run_id = c.id AND p.opens_at > CAST(:now AS timestamptz)))"
    " WHERE c.id = ANY(CAST(:ids AS uuid[]))"
)
_LOCK_NEXT_LINE = Hot(
    "SELECT c.id FROM course_run c JOIN ("
    "(SELECT id FROM course_run WHERE line_due_at <= CAST(:now AS timestamptz) ORDER BY line_due_at LIMIT 100)"
    " UNION (SELECT course_run_id FROM seat_to_offer ORDER BY id LIMIT 100)"
    ") AS due USING (id) LIMIT 1 FOR UPDATE OF c SKIP LOCKED"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was said with a request: how long to hold, from when on to offer, with whom, and for whom it is."""

    hold_until: datetime | None
    paused_until: datetime | None
    together_id: UUID | None
    target_groups: tuple[str, ...]

    def is_paused(self, now: datetime) -> bool:
        """Whether no seat is to be offered yet."""
        return self.paused_until is not None and now < self.paused_until


async def pause(session: AsyncSession, seat_request_id: UUID, until: datetime | None) -> None:
    """The place stays, and is passed over until then; None: no longer."""
    await session.execute(_PAUSE, {"id": seat_request_id, "until": until})


async def wait_behind(
    session: AsyncSession,
    seat_request_id: UUID,
    *,
    pool_id: UUID,
    until: datetime,
    paused_until: datetime,
    now: datetime,
) -> None:
    """A place at the end of the pool's line, as if asked for now."""
    values = {"id": seat_request_id, "pool_id": pool_id, "until": until, "paused_until": paused_until, "now": now}
    await session.execute(_BEHIND, values)


async def accept(session: AsyncSession, seat_request_id: UUID, until: datetime) -> None:
    """An offer becomes an ordinary hold."""
    await session.execute(_ACCEPT, {"id": seat_request_id, "until": until})


async def get_wish(session: AsyncSession, seat_request_id: UUID) -> Wish:
    """What was said with a request that there is."""
    row = (await session.execute(_ASKED, {"id": seat_request_id})).one()
    return Wish(row.hold_until, row.paused_until, row.together_id, tuple(row.target_groups))


async def put_together(session: AsyncSession, seat_request_ids: Sequence[UUID], together_id: UUID | None) -> None:
    """These want seats together, or no longer."""
    values = {"ids": list(seat_request_ids), "together_id": together_id, "step": int(together_id is None)}
    await session.execute(_TOGETHER, values)


async def look_again(session: AsyncSession, course_run_ids: Sequence[UUID], now: datetime) -> None:
    """Note from when on these lines have to be gone through by the clock alone."""
    await _LOOK_AGAIN.rows(session, {"ids": list(course_run_ids), "now": now})


async def lock_next_line(session: AsyncSession, now: datetime) -> UUID | None:
    """A course run, locked, whose line is due, or in whose line somebody has time again; locked ones are passed by."""
    rows = await _LOCK_NEXT_LINE.rows(session, {"now": now})
    return rows[0]["id"] if rows else None
