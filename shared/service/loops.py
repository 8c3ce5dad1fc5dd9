"""Loops that outlive any single failure: a service whose relay or ears died silently would look healthy and be deaf."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import structlog
from prometheus_client import Counter

from shared.service.logs import where

_log = structlog.get_logger()
_FAILED = Counter("tsunagu_loop_failures", "Times a background loop failed and was begun again", ["service", "loop"])


TELL_AGAIN = 60.0
"""Seconds until the same failure of a loop is logged once more: while a broker is away it comes every second."""


async def forever(service: str, name: str, run: Callable[[], Awaitable[None]], *, pause: float = 1.0) -> None:
    """Run again and again, whatever happens, until cancelled."""
    clock = asyncio.get_running_loop().time
    told: dict[tuple[str, ...], float] = {}
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - a loop must outlive whatever happened
            _FAILED.labels(service, name).inc()
            kind, place = type(error).__name__, where(error)
            if told.get((kind, *place), -TELL_AGAIN) + TELL_AGAIN <= clock():
                told[kind, *place] = clock()
                _log.error("loop_failed", service=service, loop=name, error=kind, where=place)
        await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def running(service: str, loops: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Keep the loops running while the block lasts; end them within three seconds."""
    tasks = [asyncio.create_task(forever(service, name, run), name=f"{service}-{name}") for name, run in loops.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=3) if tasks else None
