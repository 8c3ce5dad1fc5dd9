"""A whole service in a process of its own that kills itself with SIGKILL at a given moment.

`python -m tests.contract.doomed INTAKE TRAINING BUS CUT TURN ACKNOWLEDGED`: tells events, carries them, hears them, and
at the TURN-th time it passes the moment CUT it is gone, without a goodbye to anybody. It knows keys and versions only.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.bus.inbox import News
from shared.bus.port import Message, Record
from shared.bus.postgres import PostgresTransport
from shared.database import Database
from shared.events import ConsentPending
from tests.contract.mail_house import TOPIC, House, going, take_note

KEYS = [UUID(int=0x019D_0000_0000 << 80 | n) for n in range(1, 7)]
CUTS = (
    "told, before the commit",
    "committed, before the caller knows",
    "read, before publishing",
    "published, before deleting",
    "delivered, before the effect",
    "in the effect, before its commit",
    "effect committed, before the position",
)
POISON = (KEYS[0], 3)
"""This version always fails, so that parking too is interrupted."""


class Fate:
    """Counts how often the chosen moment is passed."""

    def __init__(self, cut: str, turn: int) -> None:
        self._cut, self._left = cut, turn

    def passes(self, moment: str) -> None:
        """Ends everything if this is the moment."""
        if moment == self._cut:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Carrier(PostgresTransport):
    """The real transport, with two moments at which the process may end."""

    fate: Fate

    async def publish(self, batch: Sequence[Message]) -> None:
        self.fate.passes("read, before publishing")
        await super().publish(batch)
        self.fate.passes("published, before deleting")


async def refuse_poison(session: AsyncSession, event: ConsentPending, news: News) -> None:
    """The effect, which one version never has."""
    await take_note(session, event, news)
    if (event.case_id, event.consent_version) == POISON:
        raise ValueError


async def live(intake: str, training: str, bus: str, fate: Fate, acknowledged: Path, seed: int) -> None:
    """Tell, carry and hear until the end."""
    house = House(intake, training)
    carrier = Carrier(bus, pause=0.05)
    carrier.fate = fate
    await carrier.start()
    await carrier.ensure_topics([TOPIC])
    commit = house.listener.commit

    async def commit_or_die(session: AsyncSession) -> None:
        fate.passes("in the effect, before its commit")
        await commit(session)

    house.listener.commit = commit_or_die  # type: ignore[method-assign]
    inbox = house.inbox(refuse_poison)
    database: Database = house.teller
    relay = house.relay(carrier)
    database.after_emit = relay.wake

    async def hear(records: Sequence[Record]) -> None:
        for record in records:
            fate.passes("delivered, before the effect")
            await inbox.deliver([record])
        fate.passes("effect committed, before the position")

    async def before_commit() -> None:
        fate.passes("told, before the commit")

    async with going(relay.run, lambda: carrier.consume("doomed", [TOPIC], hear)):
        draw = random.Random(seed)
        with acknowledged.open("a", buffering=1) as file:
            for _ in range(400):
                key = draw.choice(KEYS)
                version = await house.tell(key, meanwhile=before_commit)
                fate.passes("committed, before the caller knows")
                file.write(f"{key} {version}\n")
                await asyncio.sleep(0.005)


if __name__ == "__main__":
    addresses, cut, turn, path = sys.argv[1:4], sys.argv[4], int(sys.argv[5]), Path(sys.argv[6])
    asyncio.run(live(addresses[0], addresses[1], addresses[2], Fate(cut, turn), path, seed=turn))
