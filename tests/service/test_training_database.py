"""The database itself keeps the promises: whoever goes round the code, with the service's own role, is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.tables.seats import find_request_of_referral, led_to_requests
from shared.service.clock import wall_time
from tests.service.training_courses import broken_promises, offered, seat
from tests.world import KAGOSHIMA, Running, World

_ENTRY = (
    "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, seat_request_id, at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, now())"
)
_REQUEST = (
    "INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, requested_by, state, expires_at,"
    " requested_at) VALUES ($1, $2, $3, $4, $5, 'desk', 'held', now() + interval '1 day', now())"
)


class Office:
    """A course run of one seat with its pool, and raw SQL as role tsunagu_training."""

    def __init__(self, training: Running, course: UUID, pool: UUID) -> None:
        self.training, self.course, self.pool = training, course, pool

    async def run(self, sql: str, *values: object) -> None:
        await self.training.rows(sql, *values)

    async def enter(self, kind: str, request: UUID | None = None, *, seats: int = 1, number: int = 1) -> None:
        pool = None if kind in {"open", "close"} else self.pool
        values = (request or uuid4(), number, self.course, kind, pool, seats, request)
        async with self.training.database.engine.begin() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None
            await raw.driver_connection.execute(_ENTRY, *values)

    async def hold(self, request: UUID, at: datetime) -> None:
        sql = _ENTRY.replace("now()", "$8")
        await self.training.rows(sql, request, 1, self.course, "hold", self.pool, 1, request, at)

    async def request(self) -> UUID:
        made = uuid4()
        async with self.training.database.engine.begin() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None
            await raw.driver_connection.execute(_REQUEST, made, self.course, self.pool, uuid4(), KAGOSHIMA)
        return made

    async def counters(self) -> tuple[int, int, int]:
        row = (await self.training.rows("SELECT granted, held, filled FROM pool"))[0]
        return row["granted"], row["held"], row["filled"]


@pytest.fixture
async def office(world: World) -> Office:
    training = world.service("training")
    assert (await training.rows("SELECT current_user AS role"))[0]["role"] == "tsunagu_training"
    course = await offered(training, capacity=1)
    pool = (await training.rows("SELECT id FROM pool"))[0]["id"]
    return Office(training, course, pool)


async def test_an_entry_moves_the_counters(office: Office) -> None:
    request = await office.request()
    await office.enter("hold", request)
    assert await office.counters() == (1, 1, 0)
    await office.enter("enrol", request, number=2)
    assert await office.counters() == (1, 0, 1)


async def test_an_oversell_is_refused(office: Office) -> None:
    await office.enter("hold", await office.request())
    with pytest.raises(asyncpg.CheckViolationError, match="pool_never_oversold"):
        await office.enter("hold", await office.request())
    assert await office.counters() == (1, 1, 0)


async def test_more_seats_than_the_course_has_are_not_granted(office: Office) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="course_run_grants_within_capacity"):
        await office.enter("grant")
    await office.enter("open", seats=2)
    await office.enter("grant", seats=2)
    assert await office.counters() == (3, 0, 0)


async def test_a_capacity_below_what_is_granted_is_refused(office: Office) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="course_run_grants_within_capacity"):
        await office.enter("close")
    await office.enter("return")
    await office.enter("close")
    assert (await office.training.rows("SELECT capacity FROM course_run"))[0]["capacity"] == 0


async def test_a_request_that_has_a_seat_is_given_no_second_one(office: Office) -> None:
    request = await office.request()
    await office.enter("open", seats=5)
    await office.enter("grant", seats=5)
    await office.enter("hold", request)
    with pytest.raises(asyncpg.CheckViolationError, match="has a seat already"):
        await office.enter("hold", request, number=2)
    await office.enter("enrol", request, number=2)
    with pytest.raises(asyncpg.CheckViolationError, match="has a seat already"):
        await office.enter("hold", request, number=3)
    assert await office.counters() == (6, 0, 1)


async def test_a_seat_that_was_given_back_may_be_held_again(office: Office) -> None:
    request = await office.request()
    await office.enter("hold", request)
    await office.enter("expire", request, number=2)
    await office.enter("hold", request, number=3)
    assert await office.counters() == (1, 1, 0)


async def test_a_hold_ends_once(office: Office) -> None:
    request = await office.request()
    await office.enter("hold", request)
    await office.enter("release", request, number=2)
    with pytest.raises(asyncpg.CheckViolationError, match="holds no seat"):
        await office.enter("expire", request, number=3)
    assert await office.counters() == (1, 0, 0)


async def test_the_same_command_again_enters_nothing(office: Office) -> None:
    request = await office.request()
    await office.enter("hold", request, number=4)
    for again in ("hold", "release", "enrol"):
        with pytest.raises((asyncpg.UniqueViolationError, asyncpg.CheckViolationError)):
            await office.enter(again, request, number=4)
    assert await office.counters() == (1, 1, 0)


async def test_two_at_once_with_the_same_command_enter_one(office: Office) -> None:
    request = await office.request()
    outcomes = await asyncio.gather(*(office.enter("hold", request) for _ in range(6)), return_exceptions=True)
    assert outcomes.count(None) == 1
    assert await office.counters() == (1, 1, 0)


async def test_what_was_never_held_is_not_given_back(office: Office) -> None:
    await office.enter("hold", await office.request())
    with pytest.raises(asyncpg.CheckViolationError, match="holds no seat"):
        await office.enter("release", await office.request())


async def test_another_pool_gives_back_nothing_for_it(office: Office) -> None:
    asked = await seat(office.training, await offered(office.training, capacity=5))
    with pytest.raises(asyncpg.CheckViolationError, match="holds no seat"):
        await office.enter("release", UUID(asked["seat_request_id"]), number=2)


async def test_entries_of_a_request_follow_one_another(office: Office) -> None:
    """A seat that was given back is given back once more, between the two: somebody else's would be sold twice."""
    await office.enter("open", seats=1)
    await office.enter("grant", seats=1)
    gone, stays = await office.request(), await office.request()
    await office.enter("hold", gone)
    await office.enter("hold", stays)
    await office.enter("release", gone, number=9)
    for again in ("release", "expire", "enrol", "hold"):
        with pytest.raises(asyncpg.CheckViolationError, match="follow one another"):
            await office.enter(again, gone, number=5)
    assert await office.counters() == (2, 1, 0)


async def test_a_request_is_given_no_seat_of_another_course_run(office: Office) -> None:
    other = await offered(office.training, capacity=5)
    request = await office.request()
    pool = (await office.training.rows("SELECT id FROM pool WHERE course_run_id = $1", other))[0]["id"]
    values = (request, 1, other, "hold", pool, 1, request)
    with pytest.raises(asyncpg.CheckViolationError, match="for another course run"):
        await office.training.rows(_ENTRY, *values)


async def test_no_seat_is_held_after_applications_closed_or_by_another_clock(office: Office) -> None:
    closes = (await office.training.rows("SELECT applications_close_at FROM course_run"))[0]["applications_close_at"]
    request = await office.request()
    for at, because in (
        (closes + timedelta(microseconds=1), "applications for that course run are closed"),
        (wall_time() - timedelta(hours=1), "at the time of the database"),
    ):
        with pytest.raises(asyncpg.CheckViolationError, match=because):
            await office.hold(request, at)
    await office.hold(request, closes)
    assert await office.counters() == (1, 1, 0)


_WITHOUT_A_SEAT = (
    (
        "INSERT INTO nomination (seat_request_id, agency, legal_entity, notification_number, authority, at)"
        " SELECT $1, agency, legal_entity, number, 'current_law', now() FROM registration"
        " WHERE basis = 'free_placement_notification' LIMIT 1"
    ),
    (
        "INSERT INTO countersignature (seat_request_id, agency, authority, at)"
        " VALUES ($1, 'hello-work-kagoshima', 'current_law', now())"
    ),
    (
        "INSERT INTO selection (id, seat_request_id, number, result, result_on, agency, at)"
        " VALUES (gen_random_uuid(), $1, 1, 'accepted', now(), 'kagoshima-school', now())"
    ),
    (
        "INSERT INTO instruction (id, seat_request_id, agency, authority, at)"
        " VALUES (gen_random_uuid(), $1, 'hello-work-kagoshima', 'current_law', now())"
    ),
    (
        "INSERT INTO enrolment (seat_request_id, agency, authority, at)"
        " VALUES ($1, 'kagoshima-school', 'current_law', now())"
    ),
)


@pytest.mark.parametrize("insert", _WITHOUT_A_SEAT)
async def test_no_fact_follows_a_seat_that_is_not_there(office: Office, insert: str) -> None:
    request = await office.request()
    with pytest.raises(asyncpg.CheckViolationError, match="nobody has a seat"):
        await office.training.rows(insert, request)
    await office.enter("hold", request)
    await office.enter("release", request, number=2)
    with pytest.raises(asyncpg.CheckViolationError, match="nobody has a seat"):
        await office.training.rows(insert, request)
    await office.enter("hold", request, number=3)
    await office.training.rows(insert, request)


async def test_seats_that_are_taken_are_not_returned(office: Office) -> None:
    await office.enter("hold", await office.request())
    with pytest.raises(asyncpg.CheckViolationError, match="pool_never_oversold"):
        await office.enter("return")


async def test_an_entry_has_the_accounts_of_its_kind(office: Office) -> None:
    request = await office.request()
    wrong: list[tuple[str, UUID | None, int]] = [
        ("hold", None, 1),
        ("hold", request, 2),
        ("hold", request, 0),
        ("grant", request, 1),
        ("open", request, 1),
        ("grant", None, -1),
        ("open", None, 0),
        ("gift", None, 1),
    ]
    for kind, about, seats in wrong:
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.CaseNotFoundError)):
            await office.enter(kind, about, seats=seats)
    assert await office.counters() == (1, 0, 0)


async def test_both_sides_of_every_entry_stand_in_the_ledger(office: Office) -> None:
    request = await office.request()
    await office.enter("hold", request)
    await office.enter("enrol", request, number=2)
    await office.enter("open", seats=4)
    await office.enter("grant", seats=3)
    rows = await office.training.rows("SELECT account, sum(seats) AS seats FROM seat_leg GROUP BY account")
    assert {row["account"]: row["seats"] for row in rows} == {
        "outside": -5, "run": 1, "free": 3, "held": 0, "filled": 1,
    }  # fmt: skip
    sides = await office.training.rows("SELECT entry_id FROM seat_leg GROUP BY 1 HAVING sum(seats) <> 0")
    assert sides == []


FORBIDDEN = (
    "UPDATE pool SET granted = 99",
    "UPDATE pool SET held = 0",
    "UPDATE pool SET filled = 0",
    "DELETE FROM pool",
    "INSERT INTO pool (id, course_run_id, kind, granted) SELECT id, course_run_id, kind, 9 FROM pool",
    "UPDATE course_run SET granted = 0",
    "DELETE FROM course_run",
    "UPDATE seat_entry SET seats = 2",
    "DELETE FROM seat_entry",
    "TRUNCATE seat_entry",
    "UPDATE seat_request SET case_id = gen_random_uuid()",
    "DELETE FROM seat_request",
    "UPDATE nomination SET agency = 'other'",
    "DELETE FROM countersignature",
    "UPDATE instruction SET legal_entity = '8000020130001'",
    "DELETE FROM enrolment",
    "UPDATE region_authority SET mode = 'delegated'",
    "ALTER TABLE seat_entry DISABLE TRIGGER ALL",
    "DROP TRIGGER count_seat_entry ON seat_entry",
    "CREATE OR REPLACE FUNCTION count_seat_entry() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "SET session_replication_role = 'replica'",
)


async def test_what_the_service_itself_may_not_do(office: Office) -> None:
    done = []
    for sql in FORBIDDEN:
        try:
            await office.run(sql)
        except asyncpg.InsufficientPrivilegeError:
            continue
        done.append(sql)
    assert done == []


async def test_a_temporary_table_does_not_deceive_the_trigger(office: Office) -> None:
    request = await office.request()
    async with office.training.database.engine.begin() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        async with raw.driver_connection.transaction():
            await raw.driver_connection.execute("CREATE TEMPORARY TABLE pool ON COMMIT DROP AS TABLE training.pool")
            await raw.driver_connection.execute("GRANT ALL ON pg_temp.pool TO PUBLIC")
            values = (request, 1, office.course, "hold", office.pool, 1, request)
            await raw.driver_connection.execute(_ENTRY, *values)
    assert await office.counters() == (1, 1, 0)
    assert await broken_promises(office.training) == []


_SCANS = text("SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'seat_request'")


@pytest.mark.parametrize(
    "look",
    [lambda session: led_to_requests(session, [uuid4()]), lambda session: find_request_of_referral(session, uuid4())],
)
async def test_a_request_is_found_by_its_referral_without_reading_all(
    office: Office, look: Callable[[AsyncSession], Awaitable[object]]
) -> None:
    async with office.training.database.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        before = (await session.execute(_SCANS)).scalar_one()
        await look(session)
        assert (await session.execute(_SCANS)).scalar_one() == before
