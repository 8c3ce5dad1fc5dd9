"""Hot statements go to the driver itself, and still belong to the session's transaction."""

import contextlib
from uuid import uuid4

import asyncpg
import pytest

from shared.database import Hot, savepoint
from tests.world import World

_NOTE = Hot("INSERT INTO inbox (event_id) VALUES (:id)")
_TWICE = Hot("SELECT CAST(:a AS text) || CAST(:b AS text) || CAST(:a AS text) AS joined")


async def test_the_first_statement_of_a_transaction_is_rolled_back_with_it(world: World) -> None:
    async with world.service("intake").database.session() as session:
        await _NOTE.rows(session, {"id": uuid4()})
        await session.rollback()
    assert await world.service("intake").rows("SELECT FROM inbox") == []


async def test_it_is_committed_with_the_transaction(world: World) -> None:
    database = world.service("intake").database
    async with database.transaction() as session:
        await _NOTE.rows(session, {"id": uuid4()})
    assert len(await world.service("intake").rows("SELECT FROM inbox")) == 1


@pytest.mark.parametrize("ends", ["by a failure", "by hand"])
async def test_what_a_savepoint_undoes_is_undone_and_the_rest_stays(world: World, ends: str) -> None:
    kept, undone = uuid4(), uuid4()
    async with world.service("intake").database.transaction() as session:
        await _NOTE.rows(session, {"id": kept})
        with contextlib.suppress(ZeroDivisionError):
            async with savepoint(session) as place:
                await _NOTE.rows(session, {"id": undone})
                if ends == "by hand":
                    await place.rollback()
                else:
                    raise ZeroDivisionError
    assert [row["event_id"] for row in await world.service("intake").rows("SELECT event_id FROM inbox")] == [kept]


async def test_a_name_may_stand_twice(world: World) -> None:
    async with world.service("intake").database.transaction() as session:
        rows = await _TWICE.rows(session, {"a": "x", "b": "-"})
    assert rows[0]["joined"] == "x-x"


async def test_a_refused_statement_leaves_nothing_and_the_next_transaction_works(world: World) -> None:
    database = world.service("intake").database
    event_id = uuid4()
    async with database.session() as session:
        await _NOTE.rows(session, {"id": event_id})
        with pytest.raises(asyncpg.UniqueViolationError):
            await _NOTE.rows(session, {"id": event_id})
    async with database.transaction() as session:
        await _NOTE.rows(session, {"id": event_id})
    assert len(await world.service("intake").rows("SELECT FROM inbox")) == 1
