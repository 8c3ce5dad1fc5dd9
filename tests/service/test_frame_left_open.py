"""A transaction that somebody was cancelled in the middle of beginning is nobody else's: what is answered is kept."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from embedded.postgres import EmbeddedPostgres
from shared.database import BY_COMMAND, Database, begin, connect


@pytest.fixture
async def database(postgres: EmbeddedPostgres, database_name: str) -> Database:
    url = postgres.url(user="tsunagu_referral", database=database_name)
    # One connection: whoever comes next has the one that was left.
    return connect(url, schema="referral", pool=1)


async def kept(postgres: EmbeddedPostgres, database_name: str) -> int:
    """What anybody else sees."""
    own = await asyncpg.connect(user="postgres", database=database_name, host=str(postgres.socket_folder))
    try:
        return int(await own.fetchval("SELECT count(*) FROM referral.neighbour"))
    finally:
        await own.close()


async def write(database: Database, number: int) -> None:
    async with database.transaction(BY_COMMAND) as session:
        driver = await begin(session)
        await driver.execute(
            "INSERT INTO neighbour (municipality, neighbour, set_by, set_at) VALUES ('a', $1, 'x', now())", str(number)
        )


async def hot(session: AsyncSession) -> None:
    await (await begin(session)).fetch("SELECT 1")


async def plain(session: AsyncSession) -> None:
    await session.execute(text("SELECT 1"))


async def whole(session: AsyncSession) -> None:
    await hot(session)
    session.info.pop("driver")
    await session.commit()


async def cancelled(database: Database, does: Callable[[AsyncSession], Awaitable[None]], ticks: int) -> None:
    async def work() -> None:
        async with database.session(BY_COMMAND) as session:
            await does(session)

    task = asyncio.create_task(work())
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("does", [hot, plain, whole])
async def test_what_was_committed_after_a_cancelled_beginning_is_there(
    database: Database,
    postgres: EmbeddedPostgres,
    database_name: str,
    does: Callable[[AsyncSession], Awaitable[None]],
) -> None:
    await write(database, -1)
    for ticks in range(24):
        await cancelled(database, does, ticks)
        await write(database, ticks)
        assert await kept(postgres, database_name) == ticks + 2, f"cancelled after {ticks} turns of the loop"
    await database.dispose()


async def test_a_transaction_that_was_left_open_is_nobody_elses(
    database: Database, postgres: EmbeddedPostgres, database_name: str
) -> None:
    async with database.engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        await connection.commit()
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        await raw.driver_connection.execute("BEGIN")  # as a beginning leaves it that was cut off before it was noted
    await write(database, 1)
    assert await kept(postgres, database_name) == 1
    await database.dispose()
