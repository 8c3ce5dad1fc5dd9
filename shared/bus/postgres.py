"""The PostgreSQL transport: a log in the schema `bus`, exactly as strong as Kafka and not stronger.

Offsets come from a counter row per partition, which the publishing transaction keeps locked until it commits; so they
have no gaps and become visible in order, and a plain `off >= position` is safe. A partition is claimed by locking its
`grp` row (SKIP LOCKED): a crash lets go of it, a zombie's update dies with its connection.
"""

import asyncio
import contextlib
import functools
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from zlib import crc32

import asyncpg
import structlog
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from shared.bus.envelope import header_text
from shared.bus.port import AT_ONCE, PARTITIONS, Handler, Message, Record

_log = structlog.get_logger()

_CHANNEL = "tsunagu_bus"
_WORKERS = 4
_HANDLER_SECONDS = 30
_FAILED, _ANOTHERS = -2, -1
_UNREACHABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)


class PostgresTransport:
    """A transport for installations of one machine; see `port.Transport` for what it promises."""

    def __init__(self, url: str, *, password: SecretStr | None = None, pool: int = 24, pause: float = 1.0) -> None:
        self._dsn = _dsn(url, password)
        self._pool_size = pool
        self._pause = pause
        self._pool: asyncpg.Pool | None = None
        self._listener: asyncio.Task[None] | None = None
        self._news: set[asyncio.Event] = set()

    async def start(self) -> None:
        """Connections are made as they are needed, so a database that is still starting does no harm."""
        self._pool = asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=self._pool_size,
            timeout=5,
            # Idle connections of a quiet night are given back.
            max_inactive_connection_lifetime=120,
            server_settings={
                "search_path": "bus",
                "application_name": "tsunagu-bus",
                # A handler may take 30 s; a consumer that vanished must not keep a partition much longer.
                "idle_in_transaction_session_timeout": "60s",
                "lock_timeout": "10s",
                "jit": "off",
            },
        )
        await self._pool
        self._listener = asyncio.create_task(self._listen(), name="bus-listener")

    async def stop(self) -> None:
        """Let go of everything."""
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None
        if self._pool is not None:
            try:
                async with asyncio.timeout(3):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()
            self._pool = None

    async def ensure_topics(self, topics: Sequence[str]) -> None:
        """Make the counter rows."""
        async with self._connection() as connection:
            await connection.execute(
                "INSERT INTO part (topic, p) SELECT t, p FROM unnest($1::text[]) t, generate_series(0, $2 - 1) p"
                " ORDER BY 1, 2 ON CONFLICT DO NOTHING",
                list(topics),
                PARTITIONS,
            )

    async def publish(self, batch: Sequence[Message]) -> None:
        """Append the batch in one transaction: all of it, or nothing."""
        if not batch:
            return
        by_partition: dict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in batch:
            by_partition[message.topic, crc32(message.key.encode()) % PARTITIONS].append(message)
        places = sorted(by_partition)
        async with self._connection() as connection, connection.transaction():
            # Locked in one order by everybody, so publishers can't block one another for ever.
            rows = await connection.fetch(
                "SELECT topic, p, next_off FROM part JOIN unnest($1::text[], $2::int[]) n(t, q) ON topic = t AND p = q"
                " ORDER BY topic, p FOR UPDATE OF part",
                [topic for topic, _ in places],
                [p for _, p in places],
            )
            if len(rows) != len(places):
                raise LookupError("topic_unknown")
            entries = [
                (topic, p, first + place, message.key, message.value, header_text(message.headers))
                for topic, p, first in rows
                for place, message in enumerate(by_partition[topic, p])
            ]
            await connection.execute(
                "INSERT INTO log (topic, p, off, key, value, headers) SELECT * FROM"
                " unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::bytea[], $6::text[])",
                *(list(column) for column in zip(*entries, strict=True)),
            )
            await connection.execute(
                "UPDATE part SET next_off = next_off + n FROM unnest($1::text[], $2::int[], $3::bigint[]) c(t, q, n)"
                " WHERE topic = t AND p = q",
                [topic for topic, _, _ in rows],
                [p for _, p, _ in rows],
                [len(by_partition[topic, p]) for topic, p, _ in rows],
            )
            await connection.execute(f"NOTIFY {_CHANNEL}")

    async def consume(self, group: str, topics: Sequence[str], handler: Handler) -> None:
        """Look for unread partitions, and work on up to four of them at once."""
        news = asyncio.Event()
        self._news.add(news)
        busy: dict[tuple[str, int], asyncio.Task[bool]] = {}
        room = asyncio.Semaphore(_WORKERS)

        def done(place: tuple[str, int], task: asyncio.Task[bool]) -> None:
            del busy[place]
            # Something may have come in between the last look and now; what another member holds is not ours to ask.
            if not task.cancelled() and task.result():
                news.set()

        try:
            joined = False
            while True:
                news.clear()
                try:
                    joined = joined or await self._join(group, topics)
                    for place in await self._unread(group, topics):
                        if place not in busy:
                            busy[place] = asyncio.create_task(self._work(group, place, handler, room))
                            busy[place].add_done_callback(functools.partial(done, place))
                except _UNREACHABLE as error:
                    _log.warning("bus_unreachable", group=group, error=type(error).__name__)
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: on Python 3.11 it can swallow a cancellation that comes in the same tick.
                    async with asyncio.timeout(self._pause):
                        await news.wait()
        finally:
            self._news.discard(news)
            tasks = list(busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[str, int]:
        """Records not yet taken, by topic."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                "SELECT part.topic, sum(next_off - coalesce(off, 0))::bigint AS behind FROM part"
                " LEFT JOIN grp ON grp = $1 AND grp.topic = part.topic AND grp.p = part.p"
                " WHERE part.topic = ANY($2) GROUP BY part.topic",
                group,
                list(topics),
            )
        return {row["topic"]: row["behind"] for row in rows}

    async def prune(self, days: int = 30) -> int:
        """Delete what is older than `days` and has been read by every group. Returns how many records went."""
        async with self._connection() as connection:
            gone = await connection.execute(
                "DELETE FROM log WHERE at < now() - make_interval(days => $1) AND off <"
                " (SELECT min(g.off) FROM grp g WHERE g.topic = log.topic AND g.p = log.p)",
                days,
            )
        return int(gone.split()[-1])

    async def _join(self, group: str, topics: Sequence[str]) -> bool:
        """Make the group's positions; a new group starts at the earliest record."""
        await self.ensure_topics(topics)
        async with self._connection() as connection:
            await connection.execute(
                "INSERT INTO grp (grp, topic, p) SELECT $1, topic, p FROM part WHERE topic = ANY($2)"
                " ORDER BY topic, p ON CONFLICT DO NOTHING",
                group,
                list(topics),
            )
        return True

    async def _unread(self, group: str, topics: Sequence[str]) -> list[tuple[str, int]]:
        async with self._connection() as connection:
            rows = await connection.fetch(
                "SELECT topic, p FROM grp JOIN part USING (topic, p)"
                " WHERE grp = $1 AND topic = ANY($2) AND off < next_off",
                group,
                list(topics),
            )
        return [(row["topic"], row["p"]) for row in rows]

    async def _work(self, group: str, place: tuple[str, int], handler: Handler, room: asyncio.Semaphore) -> bool:
        """Empty one partition, batch by batch; whether it was ours to empty.

        After a failure it waits a little with the partition given back, so that another member may try.
        """
        pause = 0.1
        while True:
            async with room:
                try:
                    taken = await self._take(group, place, handler)
                    pause = 0.1
                except Exception as error:  # noqa: BLE001 - a handler may raise anything; its records come again
                    # Whatever the handler met, its records are still unread: they come again.
                    _log.warning("bus_again", group=group, topic=place[0], p=place[1], error=type(error).__name__)
                    taken = _FAILED
            if taken == _FAILED:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            elif taken <= 0:
                return taken == 0

    async def _take(self, group: str, place: tuple[str, int], handler: Handler) -> int:
        topic, p = place
        async with self._connection() as connection, connection.transaction():
            off = await connection.fetchval(
                "SELECT off FROM grp WHERE grp = $1 AND topic = $2 AND p = $3 FOR UPDATE SKIP LOCKED", group, topic, p
            )
            if off is None:
                return _ANOTHERS
            rows = await connection.fetch(
                "SELECT off, key, value, headers FROM log WHERE topic = $1 AND p = $2 AND off >= $3"
                " ORDER BY off LIMIT $4",
                topic,
                p,
                off,
                AT_ONCE,
            )
            if not rows:
                return 0
            records = [
                Record(topic, p, row["off"], row["key"], row["value"], json.loads(row["headers"])) for row in rows
            ]
            async with asyncio.timeout(_HANDLER_SECONDS):
                await handler(records)
            await connection.execute(
                "UPDATE grp SET off = $4 WHERE grp = $1 AND topic = $2 AND p = $3",
                group,
                topic,
                p,
                records[-1].offset + 1,
            )
            return len(records)

    async def _listen(self) -> None:
        """Wake the consumers on NOTIFY. Not the only way: they also look once a second by themselves."""
        while True:
            try:
                connection = await asyncpg.connect(self._dsn, timeout=5)
                try:
                    await connection.add_listener(_CHANNEL, lambda *_: self._wake())
                    self._wake()
                    while not connection.is_closed():  # noqa: ASYNC110 - the driver has no event for a closed connection
                        await asyncio.sleep(self._pause)
                finally:
                    await connection.close(timeout=1)
            except _UNREACHABLE as error:
                _log.warning("bus_listener_lost", error=type(error).__name__)
                await asyncio.sleep(self._pause)

    def _wake(self) -> None:
        for news in self._news:
            news.set()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        if self._pool is None:
            raise ConnectionError("the transport is not started")
        async with self._pool.acquire(timeout=10) as connection:
            yield connection


def _dsn(url: str, password: SecretStr | None) -> str:
    parsed = make_url(url).set(drivername="postgresql")
    if password is not None:
        parsed = parsed.set(password=password.get_secret_value())
    return parsed.render_as_string(hide_password=False)
