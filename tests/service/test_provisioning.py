"""Several containers bring their schemas up to date at once, on any machine; what fails tells nothing secret."""

import asyncio
import traceback

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from embedded.postgres import EmbeddedPostgres
from shared import database
from tests.world import execute_as_admin

WAITS_LONGER_THAN_ITS_PATIENCE = (
    "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND clock_timestamp() - waitstart > interval '50 milliseconds'"
)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOCK_PATIENCE", "1ms")


@pytest.mark.usefixtures("impatient")
async def test_a_migration_waits_for_the_other_services_as_long_as_they_take(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    other = await connect(postgres, database_name)
    await other.execute("SELECT pg_advisory_lock(7470002)")
    migration = asyncio.create_task(database.migrate(postgres.url(database=database_name), schema="intake"))
    try:
        while not migration.done() and not await other.fetchval(WAITS_LONGER_THAN_ITS_PATIENCE):
            pass  # it is the database that is waited for
    finally:
        await other.close()
    await migration


@pytest.mark.usefixtures("impatient")
async def test_a_migration_gives_way_to_a_service_that_uses_its_table(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    service = await connect(postgres, database_name)
    try:
        async with service.transaction():
            await service.execute("LOCK TABLE intake.outbox IN ACCESS SHARE MODE")
            with pytest.raises(DBAPIError, match="lock timeout"):
                await database.migrate(postgres.url(database=database_name), schema="intake", revision="base")
    finally:
        await service.close()


async def test_a_password_that_could_not_be_set_is_not_told(postgres: EmbeddedPostgres, database_name: str) -> None:
    await execute_as_admin(postgres, f"ALTER DATABASE {database_name} SET lock_timeout = '50ms'")
    somebody = await connect(postgres, database_name)
    try:
        async with somebody.transaction():
            await somebody.execute("LOCK TABLE pg_authid IN SHARE MODE")  # roles can be read and not be changed
            with pytest.raises(DBAPIError, match="lock timeout") as failed:
                await database.provision(
                    postgres.url(database=database_name),
                    schema="intake",
                    password=SecretStr("canary-4711"),
                    admin_password=None,
                )
    finally:
        await somebody.close()
    assert "canary" not in "".join(traceback.format_exception(failed.value))


async def connect(postgres: EmbeddedPostgres, name: str) -> asyncpg.Connection:
    """Somebody else on the same database."""
    return await asyncpg.connect(postgres.url(database=name).replace("+asyncpg", ""))
