"""The relay: one per service at a time, it carries the outbox to the transport and deletes what was taken.

No transaction is open while the broker is spoken to. If publishing fails, nothing is deleted and the same batch goes
again from its first row: duplicates are possible, disorder is not.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from zlib import crc32

import asyncpg
import structlog
from prometheus_client import Counter

from shared.bus.envelope import headers_of
from shared.bus.port import Message, Transport
from shared.database import Database

_log = structlog.get_logger()
_PUBLISHED = Counter("tsunagu_events_published", "Events handed to the transport", ["service"])

BATCH = 2_000
GATHER = 0.02
"""Seconds between two batches of a busy service: what is told meanwhile travels together, at a tenth of the cost."""
_READ = "SELECT seq, id, topic, key, type, value FROM outbox ORDER BY seq LIMIT $1"
_DELETE = "DELETE FROM outbox WHERE seq = ANY($1::bigint[])"


class Relay:
    """Carries one service's outbox; `wake` it after a commit, otherwise it looks once a second."""

    def __init__(self, service: str, database: Database, transport: Transport, *, pause: float = 1.0) -> None:
        self._service = service
        self._database = database
        self._transport = transport
        self._pause = pause
        self._woken = asyncio.Event()
        self.published_twice = 0
        self._twice = False

    def publish_next_batch_twice(self) -> None:
        """Rehearse what a relay does that is killed between publishing and deleting: the same batch goes out again."""
        self._twice = True

    def wake(self) -> None:
        """Something was committed."""
        self._woken.set()

    async def run(self) -> None:
        """Lead and carry until the connection is lost or the task is cancelled."""
        async with self._database.engine.connect() as connection:
            try:
                # The driver's own, on which every statement is a transaction of its own, and rows are not copied.
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                while not await self._leads(driver):  # noqa: ASYNC110 - the lock is another process's
                    await asyncio.sleep(self._pause)
                _log.info("relay_leads", service=self._service)
                await self._carry_on(driver)
            finally:
                # Given back to the pool, the connection would keep the lock, and nobody could lead any more.
                await connection.invalidate()

    async def _carry_on(self, connection: asyncpg.Connection) -> None:
        while True:
            self._woken.clear()
            carried = await self._carry(connection)
            if carried == BATCH:
                continue
            if carried:
                await asyncio.sleep(GATHER)
            with contextlib.suppress(TimeoutError):
                # Not wait_for: on Python 3.11 it can swallow a cancellation that comes in the same tick.
                async with asyncio.timeout(self._pause):
                    await self._woken.wait()

    async def _leads(self, connection: asyncpg.Connection) -> bool:
        """A session lock: it ends with the connection, so a killed leader is followed within seconds."""
        return bool(await connection.fetchval("SELECT pg_try_advisory_lock(7470003, $1)", _signed(self._service)))

    async def _carry(self, connection: asyncpg.Connection) -> int:
        rows = await connection.fetch(_READ, BATCH)
        if not rows:
            return 0
        await self._transport.publish(_messages(rows))
        if self._twice:
            await self._transport.publish(_messages(rows))
            self._twice = False
            self.published_twice += len(rows)
        await connection.execute(_DELETE, [row["seq"] for row in rows])
        _PUBLISHED.labels(self._service).inc(len(rows))
        return len(rows)


def _messages(rows: Sequence[asyncpg.Record]) -> list[Message]:
    return [
        Message(topic, key, value, headers_of(event_id=event_id, type_=type_, subject=key, topic=topic))
        for _, event_id, topic, key, type_, value in rows
    ]


def _signed(name: str) -> int:
    """A lock number of 32 signed bits."""
    return crc32(name.encode()) - 2**31
