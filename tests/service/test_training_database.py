"""The database itself keeps the promises: whoever goes round the code, with the service's own role, is refused."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.service.training_courses import broken_promises, offered, seat
from tests.world import KAGOSHIMA, Running, World

_ENTRY = (
    "INSERT INTO seat_entry"
    " (pool_id, course_run_id, kind, granted_delta, held_delta, filled_delta, seat_request_id, at)"
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

    async def enter(
        self, kind: str, granted: int = 0, held: int = 0, filled: int = 0, request: UUID | None = None
    ) -> None:
        async with self.training.database.engine.begin() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None
            await raw.driver_connection.execute(_ENTRY, self.pool, self.course, kind, granted, held, filled, request)

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
    await office.enter("hold", held=1, request=request)
    assert await office.counters() == (1, 1, 0)
    await office.enter("enrol", held=-1, filled=1, request=request)
    assert await office.counters() == (1, 0, 1)


async def test_an_oversell_is_refused(office: Office) -> None:
    await office.enter("hold", held=1, request=await office.request())
    with pytest.raises(asyncpg.CheckViolationError, match="pool_never_oversold"):
        await office.enter("hold", held=1, request=await office.request())
    assert await office.counters() == (1, 1, 0)


async def test_more_seats_than_the_course_has_are_not_granted(office: Office) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="course_run_grants_within_capacity"):
        await office.enter("grant", granted=1)


async def test_a_capacity_below_what_is_granted_is_refused(office: Office) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="course_run_grants_within_capacity"):
        await office.run("UPDATE course_run SET capacity = 0")


async def test_a_second_hold_for_a_request_is_refused(office: Office) -> None:
    training = office.training
    course = await offered(training, capacity=5)
    asked = await seat(training, course)
    office.course, office.pool = course, UUID(asked["pool_id"])
    with pytest.raises(asyncpg.UniqueViolationError, match="seat_entry_held_once"):
        await office.enter("hold", held=1, request=UUID(asked["seat_request_id"]))


async def test_a_hold_ends_once(office: Office) -> None:
    training = office.training
    course = await offered(training, capacity=5)
    first, _ = await seat(training, course), await seat(training, course)
    office.course, office.pool = course, UUID(first["pool_id"])
    await office.enter("release", held=-1, request=UUID(first["seat_request_id"]))
    with pytest.raises(asyncpg.UniqueViolationError, match="seat_entry_ended_once"):
        await office.enter("expire", held=-1, request=UUID(first["seat_request_id"]))


async def test_what_was_never_held_is_not_given_back(office: Office) -> None:
    await office.enter("hold", held=1, request=await office.request())
    with pytest.raises(asyncpg.CheckViolationError, match="holds no seat"):
        await office.enter("release", held=-1, request=await office.request())


async def test_seats_that_are_taken_are_not_returned(office: Office) -> None:
    await office.enter("hold", held=1, request=await office.request())
    with pytest.raises(asyncpg.CheckViolationError, match="pool_never_oversold"):
        await office.enter("return", granted=-1)


async def test_an_entry_moves_what_its_kind_says(office: Office) -> None:
    wrong = [
        ("hold", (0, 2, 0)),
        ("hold", (0, -1, 0)),
        ("release", (0, 1, 0)),
        ("expire", (1, -1, 0)),
        ("enrol", (0, 0, 1)),
        ("gift", (0, 1, 0)),
    ]
    for kind, deltas in wrong:
        with pytest.raises(asyncpg.CheckViolationError):
            await office.enter(kind, *deltas, request=await office.request())
    assert await office.counters() == (1, 0, 0)


FORBIDDEN = (
    "UPDATE pool SET granted = 99",
    "UPDATE pool SET held = 0",
    "UPDATE pool SET filled = 0",
    "DELETE FROM pool",
    "INSERT INTO pool (id, course_run_id, kind, granted) SELECT id, course_run_id, kind, 9 FROM pool",
    "UPDATE course_run SET granted = 0",
    "DELETE FROM course_run",
    "UPDATE seat_entry SET held_delta = 0",
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
            await raw.driver_connection.execute(_ENTRY, office.pool, office.course, "hold", 0, 1, 0, request)
    assert await office.counters() == (1, 1, 0)
    assert await broken_promises(office.training) == []
