"""What comes first: locks in one order, a cut-off before the end of its decision, an earlier seat counted once."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.offers import Denied
from services.training.handlers.courses import Offered
from services.training.handlers.seats import note_consent
from shared.consent import AFTER_ERASURE, LAST_WORD
from shared.service import JST
from shared.service.clock import wall_time
from tests.service.deliberation_room import KAGOSHIMA, KIRISHIMA, Room, line, the_room
from tests.service.training_courses import (
    LATER,
    an_offer,
    broken_promises,
    consented,
    offer_again,
    offered,
    opened,
    planner,
    seat,
)
from tests.world import Running, World

BOTH = f"{KAGOSHIMA}+{KIRISHIMA}"


@pytest.fixture
async def training(world: World) -> Running:
    return world.service("training")


@pytest.fixture
async def room(training: Running) -> Room:
    return await the_room(training)


async def seats_of(training: Running, course: UUID) -> dict[tuple[str, bool], tuple[int, int]]:
    run = (await planner(training).get(f"/v1/course-runs/{course}")).json()
    return {
        ("+".join(pool["municipalities"]) or "all", pool["in_force"]): (pool["granted"], pool["held"] + pool["filled"])
        for pool in run["pools"]
        if pool["granted"]
    }


# --- a seat of before counts once -----------------------------------------------------------------------------------


async def test_a_seat_taken_under_the_old_decision_counts_once_under_the_new(training: Running, room: Room) -> None:
    """Its own and its shared allotment both are for these municipalities and this course; the seat is one."""
    number = an_offer().course_number
    terms = [line(2, [KAGOSHIMA], course_number=number), line(2, [KAGOSHIMA, KIRISHIMA], fiscal_year=2027, field=None)]
    old = await room.decide(allotments=terms)
    offer = an_offer(course_number=number, capacity=6, delegated={KAGOSHIMA: 2}, hold_hours=2400)
    course = await offered(training, offer)
    for _ in range(2):
        assert (await seat(training, course))["pool_kind"] == "delegated"
    await room.decide(allotments=terms, supersedes=[old])
    outcome = await offer_again(training, replace(offer, delegated={KAGOSHIMA: 2, BOTH: 2}))
    assert isinstance(outcome, Offered), outcome
    assert await seats_of(training, course) == {
        (KAGOSHIMA, False): (2, 2), (BOTH, True): (2, 0), ("all", True): (2, 0),
    }  # fmt: skip
    assert await offer_again(training, replace(offer, delegated={KAGOSHIMA: 2, BOTH: 3})) == Denied(
        "more_than_allotted", "delegated"
    )
    assert await broken_promises(training) == []


async def test_what_one_allotment_has_no_room_for_counts_in_the_next(training: Running, room: Room) -> None:
    """Three are taken; of two new allotments of two seats each one seat is left, wherever it is counted."""
    number = an_offer().course_number
    old = await room.decide(allotments=[line(3, course_number=number)])
    offer = an_offer(course_number=number, capacity=6, delegated={KAGOSHIMA: 3}, hold_hours=2400)
    course = await offered(training, offer)
    for _ in range(3):
        await seat(training, course)
    both = line(2, [KAGOSHIMA, KIRISHIMA], fiscal_year=2027, field=None)
    await room.decide(allotments=[line(2, course_number=number), both], supersedes=[old])
    more = replace(offer, delegated={KAGOSHIMA: 3, BOTH: 2})
    assert await offer_again(training, more) == Denied("more_than_allotted", "delegated")
    assert isinstance(await offer_again(training, replace(offer, delegated={KAGOSHIMA: 3, BOTH: 1})), Offered)


# --- course runs, then the sub-committee ------------------------------------------------------------------------------


@asynccontextmanager
async def somebody_else(training: Running) -> AsyncIterator[AsyncSession]:
    """Another transaction, which waits for no lock longer than a moment."""
    async with training.database.transaction() as session:
        await session.execute(text("SET LOCAL lock_timeout = '4s'"))
        yield session


async def waits(training: Running) -> None:
    """Until somebody waits for a lock."""
    for _ in range(200):
        async with training.database.transaction() as session:
            found = await session.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
            if found.scalar_one():
                return
        await asyncio.sleep(0.02)
    raise AssertionError("nobody waits")


async def both_at_once(training: Running, begin: str, values: dict[str, Any], work: Coroutine[Any, Any, Any]) -> Any:
    """Somebody has a course run and then wants the sub-committee, while the work goes on."""
    async with somebody_else(training) as session:
        await session.execute(text(begin), values)
        task = asyncio.create_task(work)
        await waits(training)
        await session.execute(text("SELECT FROM sub_committee FOR UPDATE"))
        await session.execute(text("SELECT 1"))
    return await task


async def stranded_run(
    training: Running, room: Room, towns: list[str], case_id: UUID | None = None, **days: Any
) -> UUID:
    """A course run with a seat whose decision is over, found by nobody yet; the case holds another one."""
    number = an_offer().course_number
    old = await room.decide(allotments=[line(3, towns, course_number=number)])
    course = await offered(
        training, an_offer(course_number=number, capacity=4, delegated={"+".join(sorted(towns)): 3}, **days)
    )
    if case_id is not None:
        await seat(training, course, case_id=case_id)
    await room.decide(allotments=[], supersedes=[old])
    return course


async def test_a_consent_taken_back_locks_all_its_course_runs_before_any_sub_committee(
    training: Running, room: Room
) -> None:
    case_id = uuid4()
    await training.hear(opened(case_id), consented(case_id))
    courses = sorted([await stranded_run(training, room, [KAGOSHIMA], case_id, **days) for days in ({}, LATER)])

    async def take_back() -> None:
        # By itself: whoever hears it as news tries again after a deadlock.
        async with training.database.transaction() as session:
            now = await training.desk.clock.now(session)
            await note_consent(session, case_id, AFTER_ERASURE, version=LAST_WORD, now=now)

    lock = "SELECT FROM course_run WHERE id = :id FOR UPDATE"
    await both_at_once(training, lock, {"id": courses[1]}, take_back())
    states = await training.rows("SELECT DISTINCT state FROM seat_request")
    assert [row["state"] for row in states] == ["released"]
    assert await broken_promises(training) == []


_TAKEN = (
    "WITH claimed AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended('{number}', 46)))"
    " INSERT INTO course_run (id, course_number, title, provider_agency, prefecture, site_municipality, system, field,"
    " starts_on, ends_on, applications_close_at, hold_hours, source, checked_on) SELECT gen_random_uuid(), '{number}',"
    " 'x', 's', '46', '462012', 'job_seeker_practical', 'web_design', '2027-04-01', '2027-09-30', now(), 72, 'x',"
    " '2026-01-05' FROM claimed"
)


async def test_who_finds_a_number_taken_has_not_locked_the_sub_committee(training: Running, room: Room) -> None:
    offer = an_offer(delegated={KAGOSHIMA: 2})
    await room.decide(allotments=[line(2, course_number=offer.course_number)])
    begin = _TAKEN.format(number=offer.course_number)
    outcome = await both_at_once(training, begin, {}, offer_again(training, offer))
    assert outcome.became == "updated"


async def test_a_line_that_is_denied_leaves_no_course_run_behind(training: Running, room: Room) -> None:
    await room.decide(allotments=[line(2, fiscal_year=2027)])
    assert isinstance(await offer_again(training, an_offer(delegated={KAGOSHIMA: 3})), Denied)
    assert await training.rows("SELECT FROM course_run") == []


# --- the cut-off, then the end of the decision ----------------------------------------------------------------------


async def test_at_one_moment_the_cut_off_comes_before_the_end_of_its_decision(training: Running, room: Room) -> None:
    """As if it had come an instant earlier: the part that goes back is for all, the rest under the next decision."""
    last, number = await room.today(10), an_offer().course_number
    terms: dict[str, Any] = {"course_number": number, "returns_percent": 50}
    await room.decide(allotments=[line(4, cut_off_on=last.isoformat(), **terms)], ends_on=last.isoformat())
    next_day = (last + timedelta(days=1)).isoformat()
    new = await room.decide(allotments=[line(4, **terms)], effective_from=next_day)
    course = await offered(training, an_offer(course_number=number, capacity=4, delegated={KAGOSHIMA: 4}))
    training.desk.clock.offset = datetime.combine(last + timedelta(days=1), time(), JST).astimezone(UTC) - wall_time()
    await training.sweep()
    assert await room.state(new) == "in_force"
    assert await seats_of(training, course) == {(KAGOSHIMA, True): (2, 0), ("all", True): (2, 0)}
    assert await training.sweep() == 0
    assert await broken_promises(training) == []


async def test_a_decision_that_was_over_before_its_cut_off_has_none(training: Running, room: Room) -> None:
    """However late the sweep comes: its seats went on to the next decision, whole."""
    last, number = await room.today(10), an_offer().course_number
    terms: dict[str, Any] = {"course_number": number, "returns_percent": 50}
    old = await room.decide(allotments=[line(4, cut_off_on=last.isoformat(), **terms)])
    course = await offered(training, an_offer(course_number=number, capacity=4, delegated={KAGOSHIMA: 4}))
    await room.decide(allotments=[line(4, **terms)], supersedes=[old])
    training.desk.clock.offset = datetime.combine(last + timedelta(days=2), time(), JST).astimezone(UTC) - wall_time()
    await training.sweep()
    assert await seats_of(training, course) == {(KAGOSHIMA, True): (4, 0)}
