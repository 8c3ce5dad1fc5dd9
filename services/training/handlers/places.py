"""Where people stand in the line, by the rule that holds: the same in every view, and in what is told.

Whoever is put into the line is told it too.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import line_place
from services.training.domain.line import InLine
from services.training.domain.quota import Course, Waitlisted
from services.training.domain.steps import State
from services.training.tables import line, seats
from services.training.tables.seats import Placed
from shared.service import day_in_japan


async def read_positions(session: AsyncSession, course_run_ids: Collection[UUID], now: datetime) -> dict[UUID, int]:
    """Of everybody who waits in these course runs: the place in the line, by the rule that holds."""
    if not course_run_ids:
        return {}
    prefectures = await seats.read_prefectures(session, course_run_ids)
    today = day_in_japan(now)
    rules = {each: await line.rule_on(session, each, today) for each in sorted(set(prefectures.values()))}
    pools = await seats.read_pools_of(session, prefectures, now)
    places: dict[UUID, list[InLine]] = {course_run_id: [] for course_run_id in prefectures}
    for each in await seats.read_lines(session, prefectures):
        places[each.request.course_run_id].append(each.place)
    return {
        seat_request_id: number
        for course_run_id, prefecture in prefectures.items()
        for seat_request_id, (_, number) in line_place.positions(
            pools[course_run_id], places[course_run_id], rules[prefecture]
        ).items()
    }


async def positions_of(session: AsyncSession, requests: Collection[Row[Any]], now: datetime) -> dict[UUID, int]:
    """The same of these requests, and whoever waits beside them."""
    waiting = {request.course_run_id for request in requests if request.state == State.WAITING.value}
    return await read_positions(session, waiting, now)


async def say_places(session: AsyncSession, course: Course, placed: Sequence[Placed], now: datetime) -> list[Placed]:
    """Who was put into the line a moment ago, each with the place in it. It reads the whole line."""
    if not any(isinstance(each.outcome, Waitlisted) for each in placed):
        return list(placed)
    places = await read_positions(session, [course.id], now)
    return [
        replace(each, outcome=replace(each.outcome, position=places[each.request.id]))
        if isinstance(each.outcome, Waitlisted)
        else each
        for each in placed
    ]
