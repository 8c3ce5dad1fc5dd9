"""Trial places beside the seats: after a completed step the next is proposed.

Everything else about them is done where it is done for courses (decision 0057).
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.alternatives import Seeker, find_alternatives
from services.training.domain.quota import Course
from services.training.domain.steps import SeatRequest
from services.training.domain.trial import Step, next_step
from services.training.handlers.reserves import Told
from services.training.tables import late_changes, region_settings, seat_times, trials
from shared.events import NextStepProposed
from shared.service import day_in_japan, working_day_after


async def propose_next(
    session: AsyncSession, course: Course, request: SeatRequest, *, version: int, now: datetime
) -> list[Told]:
    """After a completed step: which places of the next one are free, for who asked for this one. Nothing is held."""
    following = None if course.step is None else next_step(course.step)
    if course.step is None or following is None:
        return []
    asker = await trials.get_asker(session, request.id, following)
    if asker.goes_on:
        return []
    today = day_in_japan(now)
    setting = await region_settings.read_setting(session, course.prefecture, today)
    proposed = NextStepProposed(
        case_id=request.case_id,
        seat_request_id=request.id,
        course_run_id=course.id,
        completed=course.step.value,
        step=following.value,
        places=await _places(session, course, request, following, asker.target_groups, setting, now),
        owner=asker.agency,
        due_on=working_day_after(today, setting.answer_within_days),
    )
    return [(proposed, version)]


async def _places(
    session: AsyncSession,
    course: Course,
    request: SeatRequest,
    following: Step,
    target_groups: tuple[str, ...],
    setting: region_settings.RegionSetting,
    now: datetime,
) -> list[UUID]:
    """As alternatives are looked for after a late change: the same rule, for another step."""
    run = await late_changes.get_run(session, course.id)
    today, within = day_in_japan(now), timedelta(days=setting.alternatives_within_days)
    busy = await seat_times.read_busy(session, [request.case_id], course.id)
    stands_in = await late_changes.read_stands_in(session, [request.case_id])
    seeker = Seeker(
        request.case_id,
        request.municipality,
        run.terms.site_municipality,
        today,
        tuple(busy[request.case_id]),
        frozenset(stands_in[request.case_id]),
        target_groups=target_groups,
        step=following,
        host_workplace_id=run.row["host_workplace_id"],
    )
    prefectures = {request.municipality[:2], run.terms.site_municipality[:2]}
    candidates = await late_changes.read_candidates(
        session, course.id, [following], prefectures, today=today, until=today + within, now=now
    )
    found = find_alternatives(seeker, candidates, neighbours=(), within=within, now=now)
    return [each.course_run_id for each in found.alternatives]
