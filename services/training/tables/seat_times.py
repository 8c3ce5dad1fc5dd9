"""The days of the seats that people have, as the ledger's trigger keeps them: who is busy when, and who is passed over.

The database refuses two seats of a person that overlap; what is read here is what lets the code say so beforehand.
"""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.alternatives import Days
from services.training.domain.trial import TRIAL
from shared.database import Hot

HAS_ANOTHER_SEAT = (
    "EXISTS (SELECT FROM seat_time t WHERE t.case_id = r.case_id"
    " AND t.first_on <= c.ends_on AND t.last_on >= c.starts_on)"
)
"""Whether somebody who waits, `r`, has a seat elsewhere while the course run `c` goes on."""
_TODAY = "CAST(CAST(:now AS timestamptz) AT TIME ZONE 'Asia/Tokyo' AS date)"


def busy_at(cases: str) -> str:
    """Those of the cases that have a seat elsewhere while the course run goes on; for the statement of the hot path."""
    return (
        "ARRAY(SELECT t.case_id FROM seat_time t, course_run c WHERE c.id = :course_run_id"
        f" AND t.case_id = {cases} AND t.course_run_id <> c.id"
        " AND t.first_on <= c.ends_on AND t.last_on >= c.starts_on)"
    )


def _is_trial(course_run_id: str) -> str:
    return f"EXISTS (SELECT FROM course_run t WHERE t.id = {course_run_id} AND t.system = '{TRIAL}')"


def at_limit(cases: str) -> str:
    """Those that have as many open applications as the course's region lets them have."""
    return (
        "ARRAY(SELECT r.case_id FROM seat_request r, (SELECT g.max_open_applications FROM course_run c"
        f" JOIN region_setting g ON g.prefecture = c.prefecture AND g.in_force_from <= {_TODAY}"
        " WHERE c.id = :course_run_id ORDER BY g.in_force_from DESC, g.id DESC LIMIT 1) AS setting"
        f" WHERE r.case_id = {cases} AND r.state NOT IN ('enrolled', 'released')"
        # Rule 5 is of courses: a trial place is not limited, and not counted.
        f" AND NOT {_is_trial('r.course_run_id')} AND NOT {_is_trial('CAST(:course_run_id AS uuid)')}"
        " AND setting.max_open_applications IS NOT NULL"
        " GROUP BY r.case_id, setting.max_open_applications HAVING count(*) >= setting.max_open_applications)"
    )


_BUSY = Hot(
    "SELECT case_id, first_on, last_on FROM seat_time"
    " WHERE case_id = ANY(CAST(:case_ids AS uuid[])) AND course_run_id <> :course_run_id ORDER BY case_id, first_on"
)
SOMEBODY_HAS_TIME = "EXISTS (SELECT FROM seat_to_offer WHERE course_run_id = :course_run_id)"
"""Whether somebody who waits may have time again since the line was looked through last."""
_LOOKED_THROUGH = Hot("DELETE FROM seat_to_offer WHERE course_run_id = :id")


async def read_busy(session: AsyncSession, case_ids: Collection[UUID], course_run_id: UUID) -> dict[UUID, list[Days]]:
    """The days of the seats that these cases have elsewhere than in this course run."""
    busy: dict[UUID, list[Days]] = {case_id: [] for case_id in case_ids}
    for row in await _BUSY.rows(session, {"case_ids": list(case_ids), "course_run_id": course_run_id}):
        busy[row["case_id"]].append((row["first_on"], row["last_on"]))
    return busy


async def note_no_more(session: AsyncSession, course_run_id: UUID) -> None:
    """The line is about to be looked through. Before, never after: what is noted meanwhile has to stay."""
    await _LOOKED_THROUGH.rows(session, {"id": course_run_id})
