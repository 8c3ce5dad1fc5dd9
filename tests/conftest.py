"""What tests stand on: one real PostgreSQL per run, an empty database per test, tokens, and services to talk to.

Time and transport may be faked here; the database never is.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from embedded.postgres import EmbeddedPostgres
from shared.database import migrate, provision
from tests.stock import Stock
from tests.world import SERVICES, World, execute_as_admin


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server for the whole run."""
    folder = Path(tempfile.mkdtemp(prefix="tsunagu-test-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "pg", extra_conf="fsync = off\nmax_connections = 400\n")
    server.start()
    yield server
    server.destroy()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def template(postgres: EmbeddedPostgres) -> str:
    """A database with every schema migrated, copied for each test."""
    name = f"template_{uuid4().hex[:8]}"
    await execute_as_admin(postgres, f"CREATE DATABASE {name}")
    admin = postgres.url(database=name)
    for schema in ("bus", *SERVICES):
        await provision(admin, schema=schema, password=None, admin_password=None)
        await migrate(admin, schema=schema)
    return name


@pytest.fixture(scope="session")
def stock(postgres: EmbeddedPostgres, template: str) -> Iterator[Stock]:
    """Databases ahead of their tests; a copy takes longer than many a test."""
    with Stock(postgres, template).kept() as stock:
        yield stock


@pytest.fixture
def database_name(stock: Stock) -> Iterator[str]:
    """An empty, migrated database of the test's own."""
    name = stock.take()
    yield name
    stock.give_back(name)


@pytest.fixture
async def admin(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[asyncpg.Connection]:
    """The test's own database as its superuser, who may read everything and take a guard away."""
    connection = await asyncpg.connect(user="postgres", database=database_name, host=str(postgres.socket_folder))
    yield connection
    await connection.close()


@pytest.fixture
async def world(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[World]:
    """Services on the test's own database; see `tests.world`."""
    async with World(postgres, database_name).opened() as world:
        yield world
