"""Where canaries are listened for: what was published, what lies in any table, and any text in whatever form."""

import asyncio
import contextlib
import json
from collections.abc import Collection

import asyncpg

from shared.bus.postgres import PostgresTransport
from shared.bus.relay import Relay
from tests.world import SERVICES, Running, World


def heard_in(text: str | bytes, canaries: Collection[str]) -> set[str]:
    """The canaries in a text, also where it shows bytes as hex, or characters as JSON's escapes."""
    plain = text if isinstance(text, str) else text.decode("utf-8", "replace")
    forms = {canary: (canary, canary.encode().hex(), json.dumps(canary)[1:-1]) for canary in canaries}
    return {canary for canary, each in forms.items() if any(form in plain for form in each)}


async def topics(world: World, running: Running, *, least: int = 2) -> str:
    """What the relay has published of a service, record for record."""
    transport = PostgresTransport(world.url("tsunagu_bus"), password=None)
    await transport.start()
    await transport.ensure_topics([f"tsunagu.{running.service.name}"])
    carrying = asyncio.create_task(Relay(running.service.name, running.database, transport, pause=0.05).run())
    try:
        async with asyncio.timeout(20):
            while await running.rows("SELECT FROM outbox"):  # noqa: ASYNC110 - the relay is watched, not spoken to
                await asyncio.sleep(0.05)
    finally:
        carrying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await carrying
        await transport.stop()
    connection = await _as_admin(world)
    try:
        rows = await connection.fetch("SELECT l::text AS whole, convert_from(value, 'UTF8') AS value FROM bus.log l")
    finally:
        await connection.close()
    assert len(rows) >= least
    return "".join(row["whole"] + row["value"] for row in rows)


async def every_table(world: World) -> str:
    """Every row of every schema, as text."""
    connection = await _as_admin(world)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables"
            " WHERE table_schema = ANY($1) AND table_type = 'BASE TABLE'",
            [*SERVICES, "bus"],
        )
        assert len(tables) > 40
        rows = [
            row for table in tables for row in await connection.fetch(f"SELECT t::text AS whole FROM {table['name']} t")
        ]
    finally:
        await connection.close()
    return "".join(row["whole"] for row in rows)


async def _as_admin(world: World) -> asyncpg.Connection:
    host = str(world.postgres.socket_folder)
    return await asyncpg.connect(user="postgres", database=world.database_name, host=host)
