"""Looking on: who follows the feed or the figures waits here for what is new.

A commit in this process rings the bell; besides, everybody looks once a second by themselves, since the commit may have
been another process's. No session stays open while somebody waits.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.dashboard.domain import Figures
from services.dashboard.tables import Page, read_figures, read_page
from shared.database import Database

_log = structlog.get_logger()

LOOK_EVERY = 1.0
BETWEEN_READINGS = 0.5
STREAM_LASTS = 300.0
"""Then it ends and the listener comes back: with a token that is still good, at the place where it was."""
PAGE = 200

OUTAGE = (DBAPIError, PoolTimeout, OSError, TimeoutError)


class Bell:
    """Wakes everybody who waits for news. One for the process: a needless wake costs one look."""

    def __init__(self) -> None:
        self.rung = 0
        self._listeners: set[asyncio.Event] = set()

    def ring(self) -> None:
        """There is something new."""
        self.rung += 1
        for listener in self._listeners:
            listener.set()

    @contextlib.contextmanager
    def heard(self) -> Iterator[asyncio.Event]:
        """Set at every ring from now on. Clear it before looking, or a ring between look and wait is lost."""
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


bell = Bell()


class Lookout:
    """One app's view of its tables for all who look on; stands in `app.state.lookout`."""

    def __init__(self, database: Database, ending: asyncio.Event) -> None:
        self._database = database
        self._ending = ending
        self._reading = asyncio.Lock()
        self._figures: Figures | None = None
        self._read_at = float("-inf")
        self._rung_before = -1
        self.lasts = STREAM_LASTS

    async def figures(self) -> Figures:
        """The figures as of now or later. However many ask, they are read at most twice a second, and shared."""
        wanted = bell.rung
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if self._figures is not None and self._rung_before >= wanted and now - self._read_at < LOOK_EVERY:
                return self._figures
            await asyncio.sleep(self._read_at + BETWEEN_READINGS - now)
            rung_before = bell.rung
            async with self._database.session() as session:
                self._figures = await read_figures(session)
            self._rung_before = rung_before
            self._read_at = asyncio.get_running_loop().time()
            return self._figures

    @property
    def last_figures(self) -> Figures | None:
        """What was read last, however old: better than nothing while the database is away."""
        return self._figures

    async def page(self, *, after: int | None, types: Sequence[str], limit: int) -> Page:
        """Lines of the feed after a number."""
        async with self._database.session() as session:
            return await read_page(session, after=after, types=types, limit=limit)

    async def follow_figures(self) -> AsyncIterator[Figures]:
        """The figures now, and again whenever the feed went on."""
        position = -1
        async for _ in self._looks():
            figures = await self.figures()
            if figures.position != position:
                position = figures.position
                yield figures

    async def follow_feed(self, *, after: int, types: Sequence[str]) -> AsyncIterator[Page]:
        """The feed from a number on: page after page what is there, then what comes."""
        async for _ in self._looks():
            while True:
                page = await self.page(after=after, types=types, limit=PAGE)
                yield page
                after = max(page.reached, page.first - 1)
                if after >= page.last or self._ending.is_set():
                    break

    async def _looks(self) -> AsyncIterator[None]:
        """When to look: at once, at every ring, and every second; until the stream's time is over, or the server's."""
        loop = asyncio.get_running_loop()
        over = loop.time() + self.lasts
        with bell.heard() as rung:
            while not self._ending.is_set() and loop.time() < over:
                rung.clear()
                yield
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(rung.wait(), LOOK_EVERY)


@contextlib.contextmanager
def ended_by_outage() -> Iterator[None]:
    """A stream whose database went away just ends: its listener comes back to the same place by itself."""
    try:
        yield
    except OUTAGE as error:
        _log.warning("stream_ended", error=type(error).__name__)
