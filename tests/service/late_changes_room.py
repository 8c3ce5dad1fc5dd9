"""A course run that changes late, for the tests of changes and of cancellations."""

from typing import Any
from uuid import UUID

import httpx2

from tests.service.training_courses import KAGOSHIMA, desk, school
from tests.world import Running

LOST = """
SELECT a.id FROM affected a LEFT JOIN affected_answer n ON n.affected_id = a.id
LEFT JOIN seat_request r ON r.id = coalesce(a.next_request_id, a.seat_request_id)
WHERE n.answer = 'accept' AND NOT EXISTS (
    SELECT FROM seat_entry e WHERE e.seat_request_id = n.moved_to AND e.kind = 'hold'
)
OR a.afterwards = 'first_in_line' AND NOT EXISTS (SELECT FROM seat_request m WHERE m.moved_from = a.seat_request_id)
OR n.affected_id IS NULL AND r.state = 'released'
    AND r.released_reason NOT IN ('withdrawn', 'expired', 'offer_lapsed', 'course_cancelled', 'capacity_lowered',
        'overlapping_seat', 'moved')
"""
"""Affected people of whom nobody knows any more where they are."""
OVERLAPS = """
SELECT a.id FROM seat_request a JOIN course_run c ON c.id = a.course_run_id
JOIN seat_request b ON b.case_id = a.case_id AND b.id > a.id JOIN course_run d ON d.id = b.course_run_id
WHERE a.state NOT IN ('waiting', 'released') AND b.state NOT IN ('waiting', 'released')
AND c.starts_on <= d.ends_on AND d.starts_on <= c.ends_on
"""


async def tried(training: Running, course: UUID, **change: Any) -> dict[str, Any]:
    """Try a change, as the course's school."""
    answer = await school(training).post(f"/v1/course-runs/{course}/change-trials", {"reason": "operator"} | change)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def make(training: Running, course: UUID, sign: str, **change: Any) -> httpx2.Response:
    """Make a change that was tried."""
    body = {"reason": "operator", "sign": sign} | change
    return await school(training).post(f"/v1/course-runs/{course}/changes", body)


async def changed(training: Running, course: UUID, **change: Any) -> dict[str, Any]:
    """Try a change and make it."""
    trial = await tried(training, course, **change)
    answer = await make(training, course, trial["sign"], **change)
    assert answer.status_code == 201, answer.text
    return trial


async def affected(training: Running, municipality: str = KAGOSHIMA, **params: Any) -> list[dict[str, Any]]:
    """The records of a municipality's people."""
    found: list[dict[str, Any]] = await desk(training, municipality).whole("/v1/affected", **params)
    return sorted(found, key=lambda each: (each["change_id"], each["place"]))


async def answered(
    training: Running, record: dict[str, Any], answer: str, *, course: str | None = None, municipality: str = KAGOSHIMA
) -> httpx2.Response:
    """Record what a person said."""
    body = {"answer": answer} | ({"course_run_id": course} if course else {})
    return await desk(training, municipality).post(f"/v1/affected/{record['affected_id']}/answer", body)
