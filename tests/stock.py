"""A stock of empty databases, so that no test waits for its own: the next are copied while the last one is used."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator
from uuid import uuid4

import asyncpg

from embedded.postgres import EmbeddedPostgres

_AHEAD = 2
_PATIENCE = 120.0


class Stock:
    """Copies of a template, made and thrown away in a thread of their own."""

    def __init__(self, postgres: EmbeddedPostgres, template: str) -> None:
        self._postgres = postgres
        self._template = template
        self._ready: queue.Queue[str | BaseException] = queue.Queue(maxsize=_AHEAD)
        self._spent: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._keep()), name="databases", daemon=True)

    @contextlib.contextmanager
    def kept(self) -> Iterator["Stock"]:
        """Filled for as long as it is needed."""
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join(_PATIENCE)

    def take(self) -> str:
        """An empty, migrated database."""
        taken = self._ready.get(timeout=_PATIENCE)
        if isinstance(taken, BaseException):
            raise taken
        return taken

    def give_back(self, name: str) -> None:
        """It is thrown away, in a while."""
        self._spent.put(name)

    async def _keep(self) -> None:
        try:
            host = str(self._postgres.socket_folder)
            connection = await asyncpg.connect(user="postgres", database="postgres", host=host)
            while not self._over.is_set():
                await self._throw_away(connection)
                name = f"test_{uuid4().hex[:12]}"
                await connection.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
                self._offer(name)
            await connection.close()
        except BaseException as error:  # told to whoever waits for a database, and would wait in vain
            self._offer(error)
            raise

    async def _throw_away(self, connection: asyncpg.Connection) -> None:
        while True:
            try:
                name = self._spent.get_nowait()
            except queue.Empty:
                return
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _offer(self, made: str | BaseException) -> None:
        while not self._over.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(made, timeout=0.2)
                return
