"""Each service has a database role of its own: it reads no other service's schema and can't change its own tables."""

import asyncpg
import pytest

from embedded.postgres import EmbeddedPostgres
from tests.world import SERVICES

A_TABLE = {**dict.fromkeys(SERVICES, "outbox"), "bus": "log"}


@pytest.mark.parametrize("schema", A_TABLE)
async def test_a_role_has_its_own_rows_and_nothing_else(
    postgres: EmbeddedPostgres, database_name: str, schema: str
) -> None:
    role = await asyncpg.connect(
        user=f"tsunagu_{schema}", database=database_name, host=str(postgres.socket_folder), timeout=30
    )
    assert await role.fetch(f"SELECT * FROM {schema}.{A_TABLE[schema]}") == []
    forbidden = [f"SELECT * FROM {other}.{table}" for other, table in A_TABLE.items() if other != schema]
    forbidden += [
        f"CREATE TABLE {schema}.more (x int)",
        f"ALTER TABLE {schema}.{A_TABLE[schema]} ADD more int",
        f"DROP TABLE {schema}.{A_TABLE[schema]}",
        f"TRUNCATE {schema}.{A_TABLE[schema]}",
        f"SET ROLE tsunagu_{schema}_owner",
        "CREATE ROLE another",
        "CREATE SCHEMA another",
    ]
    for statement in forbidden:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await role.execute(statement)
    await role.close()
