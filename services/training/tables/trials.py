"""What of trial places (職親の受入れ) is asked beside the seats: who completed which step, and asked for which."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.trial import TRIAL, Step, skips
from shared.database import Hot

_COMPLETED = Hot(
    "SELECT r.case_id, array_agg(DISTINCT c.field) AS steps FROM seat_request r"
    f" JOIN course_run c ON c.id = r.course_run_id AND c.system = '{TRIAL}'"
    " JOIN training_end e ON e.seat_request_id = r.id AND NOT EXISTS ("
    "SELECT FROM training_end WHERE seat_request_id = e.seat_request_id AND number = e.number + 1)"
    " WHERE r.case_id = ANY(CAST(:case_ids AS uuid[])) AND e.ending = 'completed' GROUP BY r.case_id"
)
_GOES_ON = (
    "EXISTS (SELECT FROM seat_request n JOIN course_run d ON d.id = n.course_run_id"
    f" WHERE n.case_id = r.case_id AND n.state NOT IN ('enrolled', 'released') AND d.system = '{TRIAL}'"
    " AND d.field = :step) AS goes_on"
)
_ASKED_BY = Hot(f"SELECT r.requested_by, r.target_groups, {_GOES_ON} FROM seat_request r WHERE r.id = :id")


async def read_skipping(session: AsyncSession, step: Step, case_ids: Collection[UUID]) -> frozenset[UUID]:
    """Those of the cases that have not completed the step before, wherever that would have been."""
    rows = await _COMPLETED.rows(session, {"case_ids": list(case_ids)})
    completed = {row["case_id"]: [Step(each) for each in row["steps"]] for row in rows}
    return frozenset(case_id for case_id in case_ids if skips(step, completed.get(case_id, [])))


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked for a place, for whom it is, and whether the person has asked for the next step already."""

    agency: str
    target_groups: tuple[str, ...]
    goes_on: bool


async def get_asker(session: AsyncSession, seat_request_id: UUID, following: Step) -> Asker:
    """Of a request; `following`: the step that comes next."""
    (row,) = await _ASKED_BY.rows(session, {"id": seat_request_id, "step": following.value})
    return Asker(row["requested_by"], tuple(row["target_groups"]), row["goes_on"])
