"""Closing aiokafka's clients within seconds, also while the broker is away, when their own `stop` waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

_log = structlog.get_logger()

CLOSE_TIMEOUT = 2.0
"""For each of the two tries to close a client: `stop` returns within a few seconds, whatever the broker does."""


async def close_admin(admin: AIOKafkaAdminClient) -> None:
    """It has nothing in flight: its connections are all there is to end."""
    await _within_close_timeout(admin.close())


async def close_producer(producer: AIOKafkaProducer, *, flush: bool = True) -> None:
    """With `flush`, what is queued may still go out first."""
    if flush and await _within_close_timeout(producer.stop()):
        return
    # The connections first: what waits for an answer fails, and the sender's task can end. Then again, for the sender
    # may have opened one in between.
    await _within_close_timeout(producer.client.close())
    await _within_close_timeout(producer._sender.close())  # noqa: SLF001 - `stop` waits for the broker, this does not
    await _within_close_timeout(producer.client.close())
    producer._closed = True  # noqa: SLF001 - or it warns, when collected, that nobody closed it


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group if the broker answers; else it finds out by the session's timeout."""
    if await _within_close_timeout(consumer.stop()):
        return
    # `stop` waits for the broker to let us leave the group. Here nobody answers: end the client's tasks by hand.
    coordinator, fetcher, client = consumer._coordinator, consumer._fetcher, consumer._client  # noqa: SLF001
    await _within_close_timeout(client.close())
    tasks: list[asyncio.Task[Any] | None] = []
    if coordinator is not None:
        tasks += [coordinator._coordination_task, coordinator._heartbeat_task, coordinator._commit_refresh_task]  # noqa: SLF001
    if fetcher is not None:
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]  # noqa: SLF001
    running = {task for task in tasks if task is not None and not task.done()}
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=CLOSE_TIMEOUT)
    await _within_close_timeout(client.close())


async def _within_close_timeout(closing: Coroutine[Any, Any, None]) -> bool:
    """Whether it ended well. In a task of its own, for aiokafka's `stop` may raise a CancelledError of its inside."""
    task = asyncio.ensure_future(closing)
    done, _ = await asyncio.wait({task}, timeout=CLOSE_TIMEOUT)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=CLOSE_TIMEOUT)
        return False
    if task.cancelled():
        return False
    error = task.exception()
    if error is not None:
        _log.info("bus.close_failed", error=type(error).__name__)
    return error is None
