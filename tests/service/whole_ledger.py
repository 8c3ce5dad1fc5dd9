"""What must hold of the whole ledger of seats after whatever happened, said by reading the rows alone."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.service.late_changes_room import LOST, OVERLAPS
from tests.service.training_courses import broken_promises
from tests.world import Running

Rows = Mapping[UUID, Mapping[str, Any]]

_CHECKS = {
    "an entry takes what it doesn't give": "SELECT FROM seat_leg GROUP BY entry_id HAVING sum(seats) <> 0",
    "a pool's numbers are not its entries'": """
        SELECT FROM pool p WHERE (p.granted, p.held, p.filled) <> (
            SELECT coalesce(sum(seats), 0), coalesce(sum(seats) FILTER (WHERE account = 'held'), 0),
                   coalesce(sum(seats) FILTER (WHERE account = 'filled'), 0) FROM seat_leg WHERE pool_id = p.id)""",
    "the parts are not the whole": """
        SELECT FROM course_run c WHERE (c.capacity, c.granted) <> (
            SELECT coalesce(-sum(seats) FILTER (WHERE account = 'outside'), 0),
                   coalesce(sum(seats) FILTER (WHERE account NOT IN ('outside', 'run')), 0)
            FROM seat_leg WHERE course_run_id = c.id)
        OR c.granted <> (SELECT coalesce(sum(granted), 0) FROM pool WHERE course_run_id = c.id)
        OR c.granted > c.capacity""",
    "a seat is somebody's by the ledger alone, or by the request alone": """
        SELECT FROM seat_request r LEFT JOIN LATERAL (
            SELECT kind, pool_id FROM seat_entry e WHERE e.command = r.id ORDER BY number DESC LIMIT 1
        ) AS last ON true
        WHERE (r.state NOT IN ('waiting', 'released')) <> coalesce(last.kind IN ('hold', 'enrol'), false)
        OR (r.state = 'enrolled') <> coalesce(last.kind = 'enrol', false)
        OR r.state NOT IN ('waiting', 'released') AND last.pool_id <> r.pool_id""",
    "a decision's seats are more than it allotted, or not where they were granted": """
        SELECT FROM decision_allotment a JOIN pool p ON p.decision_allotment_id = a.id GROUP BY a.id
        HAVING sum(p.granted) > allotment_seats(a.id) OR sum(p.granted) <> (
            SELECT coalesce(sum(CASE e.kind WHEN 'grant' THEN e.seats ELSE -e.seats END), 0) FROM seat_entry e
            JOIN pool q ON q.id = e.pool_id WHERE q.decision_allotment_id = a.id
            AND e.kind IN ('grant', 'return', 'course_cancelled'))""",
    "seats are delegated by no decision": """
        SELECT FROM seat_entry e JOIN pool p ON p.id = e.pool_id WHERE e.kind = 'grant' AND p.kind = 'delegated'
        AND (p.decision_allotment_id IS NULL OR NOT decision_in_force(p.decision_allotment_id, e.at)
             OR e.at >= p.cut_off_at)""",
    "a person has two seats at a time": OVERLAPS,
    "somebody is lost": LOST,
    "a swap has one leg": "SELECT FROM seat_entry WHERE kind = 'swap' GROUP BY command HAVING count(*) <> 2",
    "a referral has two places": """
        SELECT FROM seat_request WHERE referral_id IS NOT NULL AND state <> 'released'
        GROUP BY referral_id HAVING count(*) > 1""",
    "something was parked": "SELECT FROM parked",
}


async def faults(training: Running, runs: Sequence[UUID], *, idle: bool) -> list[str]:
    """What is not as it must be; with `idle`, also a seat beside somebody who could have it."""
    broken = await broken_promises(training, runs)
    found = broken if idle else [each for each in broken if not each.startswith("a free seat")]
    return found + [words for words, sql in _CHECKS.items() if await training.rows(sql)]


_REQUESTS = """
SELECT r.*, coalesce(r.paused_until > clock_timestamp() + $2, false) AS is_paused,
    coalesce(r.expires_at < clock_timestamp() + $2, false) AS is_over,
    EXISTS (SELECT FROM seat_time t JOIN course_run c ON c.id = r.course_run_id WHERE t.case_id = r.case_id
        AND t.first_on <= c.ends_on AND t.last_on >= c.starts_on AND t.seat_request_id <> r.id) AS is_busy
FROM seat_request r WHERE r.course_run_id = ANY($1)
"""


async def read_requests(training: Running, runs: Sequence[UUID], *, offset: timedelta) -> Rows:
    """Everybody who asked, as they stand."""
    return {row["id"]: row for row in await training.rows(_REQUESTS, list(runs), offset)}


def overtaken(before: Rows, now: Rows, *, by: Collection[UUID]) -> list[str]:
    """Whoever in the same line was there first, could have had the seat, and still waits for it.

    Of people whom nothing tells apart but when they asked: what a rule of the line makes of others is the line's own
    machine's to say.
    """
    return [
        f"{key} came before {other}"
        for key in by
        for other, first in before.items()
        if now[other]["state"] == "waiting"
        and first["state"] == "waiting"
        and _alike(first, before.get(key, now[key]))
        and (key not in before or first["line_no"] < before[key]["line_no"])
    ]


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    same = ("course_run_id", "municipality", "target_groups")
    ready = not (one["is_paused"] or one["is_busy"] or one["is_over"] or one["together_id"] or other["together_id"])
    in_line = other["state"] != "waiting" or one["pool_id"] == other["pool_id"]
    return ready and in_line and all(one[name] == other[name] for name in same)
