"""Rings: the places where a transport can be tried, and a listener that a test can wait for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from shared.bus.kafka import Pace
from shared.bus.port import Handler, Message, Record, Transport

PATIENCE = 30
"""Seconds until a test that waits for something gives up. Nothing is asserted about time itself."""

# Members hear of one another with their heartbeats; on the mock, a rebalance waits for a session to run out.
KAFKA_PACE = Pace(session_timeout=6, heartbeat_interval=0.2)
MOCK_PACE = Pace(timeout=3, session_timeout=2, heartbeat_interval=0.2, longest_retry_delay=1, watch_interval=0.3)
RINGS = ["postgres", "mock", pytest.param("kafka", marks=pytest.mark.kafka)]


@dataclass(frozen=True)
class Ring:
    """A place where a transport can be tried. `connect` gives what a new process of a service would have."""

    name: str
    connect: Callable[[], Transport]
    create_topics: Callable[[Sequence[str]], None] | None = None
    down: Callable[[], AbstractContextManager[None]] | None = None


class Listener:
    """A handler that keeps what it took, and lets a test wait for it."""

    def __init__(self) -> None:
        self.deliveries: list[list[Record]] = []
        self._news = asyncio.Condition()

    @property
    def records(self) -> list[Record]:
        return [record for delivery in self.deliveries for record in delivery]

    @property
    def values(self) -> list[bytes]:
        return [record.value for record in self.records]

    async def __call__(self, records: Sequence[Record]) -> None:
        async with self._news:
            self.deliveries.append(list(records))
            self._news.notify_all()

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(enough)

    async def until_taken(self, count: int) -> None:
        await self.until(lambda: len(self.records) >= count)


@asynccontextmanager
async def consuming(transport: Transport, group: str, topic: str, handler: Handler) -> AsyncIterator[None]:
    task = asyncio.create_task(transport.consume(group, [topic], handler))
    try:
        yield
    finally:
        assert not task.done(), "consume ends only when it is cancelled"
        task.cancel()
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({task})


async def nothing_left(transport: Transport, group: str, topic: str) -> None:
    """A handler has returned a moment before its position is kept; wait for that moment."""
    async with asyncio.timeout(PATIENCE):
        while (await transport.lag(group, [topic]))[topic]:  # noqa: ASYNC110 - it changes in the broker
            await asyncio.sleep(0.05)


def messages(topic: str, count: int, *, keys: int = 20, first: int = 0) -> list[Message]:
    return [Message(topic, f"key-{n % keys}", str(n).encode()) for n in range(first, first + count)]
