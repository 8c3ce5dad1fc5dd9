"""Many who ask for seats of one course are decided in one transaction, and get what they would have got one by one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from services.training.handlers import seats
from services.training.handlers.seats import AgencyOrder, ReferralOrder, SeatOrder
from services.training.tables import cases as case_tables
from services.training.tables import seats as tables
from services.training.tables.seats import Placed
from shared.auth import Actor, Role
from shared.bus.envelope import open_envelope
from shared.bus.mailbox import Origin
from shared.consent import Consent
from shared.service.clock import wall_time
from tests.service.training_courses import (
    ask,
    broken_promises,
    consented,
    desk,
    known_case,
    offered,
    opened,
    state_of,
    told_since,
)
from tests.service.training_courses import seat as seat_for
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Running, World

PREFECTURE = Actor(
    "desk", "desk", "self_reliance_desk", frozenset({"prefecture:46"}), frozenset({Role.COUNSELLOR}), ("desk",)
)


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


async def together(training: Running, course: UUID, cases: Sequence[UUID]) -> list[Any]:
    """Ask over HTTP, all while a transaction about the course is in flight."""
    gathering = training.desk.gathering
    async with training.database.transaction() as session:
        await tables.lock_course(session, course)
        first = asyncio.create_task(ask(training, course, case_id=uuid4()))
        while not any(not line for line in gathering._lines.values()):  # noqa: ASYNC110 - it changes elsewhere
            await asyncio.sleep(0)
        asked = [asyncio.create_task(ask(training, course, case_id=case_id)) for case_id in cases]
        while sum(map(len, gathering._lines.values())) < len(cases):  # noqa: ASYNC110 - it changes elsewhere
            await asyncio.sleep(0)
    assert (await first).status_code == 404, "only there to be in flight"
    return await asyncio.gather(*asked)


async def test_each_of_a_group_gets_his_own_answer_and_the_refused_leave_no_trace(training: Running) -> None:
    course = await offered(training, capacity=3, delegated={KAGOSHIMA: 1})
    cases = [await known_case(training) for _ in range(5)]
    cases[2:2] = [await known_case(training, KIRISHIMA), uuid4(), cases[0]]
    without = uuid4()
    await training.hear(opened(without))
    before, kept = len(await training.told()), len(await training.rows("SELECT FROM idempotency"))
    answers = await together(training, course, [*cases, without])
    found = [
        answer.json().get("outcome", answer.json()["code"] if answer.status_code != 201 else "") for answer in answers
    ]
    assert found == [
        "held", "held", "case_not_known", "case_not_known", "already_requested", "held", "waiting", "waiting",
        "consent_missing",
    ]  # fmt: skip
    assert [answer.json()["pool_kind"] for answer in answers if answer.status_code == 201] == [
        "delegated", "general", "general", "delegated", "delegated",
    ]  # fmt: skip
    assert [answer.json()["position"] for answer in answers[6:8]] == [1, 2]
    assert len(await training.rows("SELECT FROM idempotency")) == kept + 5
    assert len(await training.rows("SELECT DISTINCT requested_at FROM seat_request")) == 1, "decided at one moment"
    told = (await training.rows("SELECT value FROM outbox ORDER BY seq"))[before:]
    causes = [open_envelope(row["value"], {}).cause for row in told]
    requests = [answer.headers["x-request-id"] for answer in answers if answer.status_code == 201]
    assert causes == [each for request in requests for each in (request, request)], "each tells of its own request"
    entries = await training.rows("SELECT cause, by FROM seat_entry WHERE kind = 'hold' ORDER BY id")
    assert [row["cause"] for row in entries] == requests[:3]
    assert {row["by"] for row in entries} == {"desk-462012"}
    assert await broken_promises(training, [course]) == []


async def test_a_course_that_nobody_offers_is_not_found_by_any_of_a_group(training: Running) -> None:
    cases = [await known_case(training) for _ in range(3)]
    nowhere = uuid4()
    answers = await asyncio.gather(*(ask(training, nowhere, case_id=case_id) for case_id in cases))
    assert {answer.status_code for answer in answers} == {404}
    assert await training.rows("SELECT FROM idempotency") == []


async def test_all_cases_of_a_group_are_locked_before_the_course(training: Running) -> None:
    """Whoever takes a consent back has the case and wants the course; the other way round would be a knot."""
    course = await offered(training)
    cases = sorted([await known_case(training) for _ in range(3)])
    orders = [AgencyOrder(case_id, PREFECTURE, Origin()) for case_id in reversed(cases)]

    async def asking() -> list[Any]:
        async with training.database.transaction() as session:
            return await seats.request_seats(session, course, orders, now=await training.desk.clock.now(session))

    async with training.database.transaction() as session:
        await case_tables.keep_consent(session, cases[1], Consent("withdrawn"), 2)
        asked = asyncio.create_task(asking())
        waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        async with asyncio.timeout(10):
            while not asked.done() and not await training.rows(waiting):  # noqa: ASYNC110 - it changes elsewhere
                await asyncio.sleep(0)
        assert await tables.lock_course(session, course), "nobody who waits for a case has the course"
    assert [type(outcome).__name__ for outcome in await asked] == ["Placed", "ConsentLacking", "Placed"]


async def test_the_ids_of_a_group_rise_in_the_order_in_which_they_came(training: Running) -> None:
    """They are decided at one moment, so a free seat goes to the lower id of those who wait in several lines."""
    course = await offered(training)
    answers = await together(training, course, [await known_case(training) for _ in range(6)])
    ids = [answer.json()["seat_request_id"] for answer in answers]
    assert ids == sorted(ids)


async def test_who_waits_in_line_is_not_overtaken_by_a_group(training: Running) -> None:
    course = await offered(training, capacity=1)
    first = await seat_for(training, course)
    waits = await seat_for(training, course)
    cases = [await known_case(training) for _ in range(3)]
    before = len(await training.told())
    answers = await together(training, course, cases)
    assert [answer.json()["position"] for answer in answers] == [2, 3, 4]
    path = f"/v1/seat-requests/{first['seat_request_id']}/release"
    assert (await desk(training).post(path, {"reason": "withdrawn"})).status_code == 200
    assert await state_of(training, waits) == "held"
    changed = [event for event in await told_since(training, before) if event.type.endswith("pool-changed.v1")]
    assert [getattr(event, "waiting", None) for event in changed] == [2, 3, 4, 3], "each pool change is told in turn"
    assert await broken_promises(training, [course]) == []


# --- as if each had come by itself ----------------------------------------------------------------------------------

TOWNS = (KAGOSHIMA, KIRISHIMA, ZAMA)


@dataclass(frozen=True, slots=True)
class Wish:
    """An order in the making: its referral, if any, and until when it is to be held, in hours from now."""

    case: int
    referral: int | None
    hours: int | None


WISHES: SearchStrategy[Wish] = st.builds(
    Wish,
    case=st.integers(0, 7),
    referral=st.none() | st.integers(0, 3),
    hours=st.none() | st.sampled_from([-1, 1, 200]),
)


@given(
    wishes=st.lists(WISHES, min_size=1, max_size=9),
    capacity=st.integers(0, 4),
    delegated=st.dictionaries(st.sampled_from(TOWNS[:2]), st.integers(0, 2)),
)
@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def as_one_by_one(
    training: Running,
    loop: asyncio.AbstractEventLoop,
    wishes: list[Wish],
    capacity: int,
    delegated: dict[str, int],
) -> None:
    """The same orders for two equal courses, in one transaction and in many."""
    # One moment for both, and no seat is held at a time before its transaction began.
    now = wall_time() + timedelta(minutes=5)

    async def compared() -> None:
        cases = await heard_of(training)
        seats_of_all = capacity + sum(delegated.values())
        # One after the other: nobody holds two seats at a time.
        halves = (date(2027, 4, 1), date(2027, 9, 30)), (date(2027, 10, 1), date(2028, 3, 31))
        in_one, in_many = [
            await offered(training, capacity=seats_of_all, delegated=delegated, starts_on=first, ends_on=last)
            for first, last in halves
        ]
        before = len(await training.told())
        one = await asked(training, in_one, [orders_of(wishes, cases, now)], now)
        middle = len(await training.told())
        many = await asked(training, in_many, [[order] for order in orders_of(wishes, cases, now)], now)
        assert one == many
        assert await standing(training, in_one) == await standing(training, in_many)
        told = await news(training)
        assert told[before:middle] == told[middle:]
        assert await broken_promises(training, [in_one, in_many]) == []

    asyncio.run_coroutine_threadsafe(compared(), loop).result(timeout=60)


async def heard_of(training: Running) -> list[UUID]:
    """Cases of two towns and a foreign one; without consent, with it taken back, and one that nobody told of."""
    cases = [uuid4() for _ in range(8)]
    for number, town in enumerate((KAGOSHIMA, KIRISHIMA, KAGOSHIMA, KIRISHIMA, ZAMA, KAGOSHIMA, KAGOSHIMA)):
        await training.hear(opened(cases[number], town))
        if number != 5:
            await training.hear(consented(cases[number]))
    async with training.database.transaction() as session:
        await case_tables.keep_consent(session, cases[6], Consent("withdrawn"), 2)
    return cases


def orders_of(wishes: Sequence[Wish], cases: Sequence[UUID], now: datetime) -> list[SeatOrder]:
    """The orders; every course has referrals of its own."""
    referrals = [uuid4() for _ in range(4)]
    orders: list[SeatOrder] = []
    for number, wish in enumerate(wishes):
        until = None if wish.hours is None else now + timedelta(hours=wish.hours)
        origin = Origin(by=f"desk {number}", cause=f"request {number}")
        if wish.referral is None:
            orders.append(AgencyOrder(cases[wish.case], PREFECTURE, origin, until))
        else:
            town = TOWNS[wish.case % 2]
            orders.append(ReferralOrder(cases[wish.case], referrals[wish.referral], town, "desk", origin, until))
    return orders


async def asked(
    training: Running, course: UUID, groups: Sequence[Sequence[SeatOrder]], now: datetime
) -> list[tuple[Any, ...]]:
    """What came of the orders, without ids."""
    outcomes: list[tuple[Any, ...]] = []
    for orders in groups:
        async with training.database.transaction() as session:
            for outcome in await seats.request_seats(session, course, orders, now=now):
                if isinstance(outcome, Placed):
                    pool = outcome.outcome.pool
                    figures = (pool.kind, pool.municipality, pool.granted, pool.held, pool.waiting, pool.version)
                    place = getattr(outcome.outcome, "position", None), getattr(outcome.outcome, "line_no", None)
                    outcomes.append((type(outcome.outcome), *figures, *place, outcome.outcome.expires_at))
                else:
                    outcomes.append((outcome,))
    return outcomes


STANDING = (
    """SELECT r.case_id, p.kind, p.municipality, r.municipality AS town, r.state, r.line_no, r.hold_until, r.expires_at,
       r.requested_at, r.requested_by, r.version, r.referral_id IS NULL AS by_agency
       FROM seat_request r JOIN pool p ON p.id = r.pool_id WHERE r.course_run_id = $1 ORDER BY r.case_id""",
    """SELECT e.kind, p.municipality, e.number, r.case_id, e.at, e.by, e.cause
       FROM seat_entry e JOIN pool p ON p.id = e.pool_id JOIN seat_request r ON r.id = e.seat_request_id
       WHERE e.course_run_id = $1 ORDER BY e.id""",
    """SELECT kind, municipality, granted, held, filled, next_line_no, version FROM pool
       WHERE course_run_id = $1 ORDER BY kind, municipality""",
)


async def standing(training: Running, course: UUID) -> list[Any]:
    """Requests, ledger and pools of a course, without ids."""
    found = [await training.rows(sql, course) for sql in STANDING]
    return [[tuple(row) for row in rows] for rows in found]


async def news(training: Running) -> list[tuple[Any, ...]]:
    """What was told, in order: each event with its version, by whom and why, without ids."""
    told = []
    for row in await training.rows("SELECT value FROM outbox ORDER BY seq"):
        envelope = open_envelope(row["value"], {})
        figures = {name: value for name, value in envelope.data.items() if not name.endswith("_id")}
        told.append((envelope.type, figures, envelope.sequence, envelope.by, envelope.cause, envelope.time))
    return told


async def test_a_group_gets_what_its_members_would_have_got_one_by_one(training: Running) -> None:
    await asyncio.to_thread(as_one_by_one, training, asyncio.get_running_loop())
