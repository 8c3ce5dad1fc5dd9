"""Ends services and the broker (-9) at moments that nobody knows, again and again."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from tests.e2e.processes import Platform, wait_until_ready

BROKER = "broker"


class Killer:
    """Ends one after the other of `names`, whenever so many more are `done`, until it is told to stop."""

    def __init__(
        self,
        platform: Platform,
        broker: Callable[[], Awaitable[None]],
        names: Sequence[str],
        *,
        done: Callable[[], int],
        between: int,
    ) -> None:
        self.platform, self.broker, self.names = platform, broker, names
        self.done, self.between = done, between
        self.dice = random.Random(20261129)
        self.kills: Counter[str] = Counter()
        self.over = asyncio.Event()

    async def run(self) -> None:
        """In turns."""
        before = 0
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), self.dice.uniform(0.3, 1.5))
                return
            # News has to come through in between, or nothing is under way that could be lost: over Kafka a killed
            # member is missed only after its session, and until then nobody hears anything.
            if self.done() < before + self.between:
                continue
            before = self.done()
            name = self.names[self.kills.total() % len(self.names)]
            self.kills[name] += 1
            if name == BROKER:
                await self.broker()
            else:
                await self.kill(name)

    async def kill(self, name: str) -> None:
        """End one, and begin it again."""
        await asyncio.to_thread(self.platform.kill, name)
        self.platform.begin(name)
        # Its own process: while it was away, anybody on this machine may have taken its port and answer there.
        process = self.platform.processes[name]
        port = self.platform.ports.get(name)
        place = f"{self.platform.url}/{name}" if port is None else f"http://127.0.0.1:{port}"
        await asyncio.to_thread(wait_until_ready, f"{place}/health/ready", 120, process=process)
        assert process.poll() is None, self.platform.output(name)[-2000:]
