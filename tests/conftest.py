"""What tests stand on: one real PostgreSQL per run, an empty database per test, tokens, and services to talk to.

Time and transport may be faked here; the database never is.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from embedded.postgres import EmbeddedPostgres
from shared.database import migrate, provision
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
    """A database with every schema migrated, copied for each test in about 0.1 s."""
    name = f"template_{uuid4().hex[:8]}"
    await execute_as_admin(postgres, f"CREATE DATABASE {name}")
    admin = postgres.url(database=name)
    for schema in ("bus", *SERVICES):
        await provision(admin, schema=schema, password=None, admin_password=None)
        await migrate(admin, schema=schema)
    return name


@pytest.fixture
async def database_name(postgres: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    """An empty, migrated database of the test's own."""
    name = f"test_{uuid4().hex[:12]}"
    await execute_as_admin(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield name
    await execute_as_admin(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def world(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[World]:
    """Services on the test's own database; see `tests.world`."""
    async with World(postgres, database_name).opened() as world:
        yield world
