"""A whole service that kills itself with SIGKILL at a given moment, again and again, with everything left as it lies.

`python -m tests.contract.doomed INTAKE TRAINING BROKER TOPIC ACKNOWLEDGED ROUNDS`: each life tells events, carries them
and hears them, and ends without a goodbye to anybody at its moment; in every round each of the moments comes once.
Lives are forked from a process that has imported everything, which is most of what a start takes; it ends with 0 if all
of them were killed. A life knows keys and versions only.
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
from shared.bus.kafka import KafkaTransport, Pace
from shared.bus.port import Message, Record, Transport
from shared.bus.postgres import PostgresTransport
from shared.events import ConsentPending
from tests.contract.mail_house import PATIENCE, TOPIC, House, OwnTopic, going, take_note

KEYS = [UUID(int=0x019D_0000_0000 << 80 | n) for n in range(1, 7)]
CUTS = (
    "told, before the commit",
    "committed, before the caller knows",
    "read, before publishing",
    "half published",
    "published, before deleting",
    "delivered, before the effect",
    "in the effect, before its commit",
    "effect committed, before the position",
)
POISON = (KEYS[0], 3)
"""This version always fails, so that parking too is interrupted."""
GROUP = "doomed"
PACE = Pace(timeout=5, session_timeout=1, heartbeat_interval=0.1, longest_retry_delay=0.5)
"""A killed member is given up after a second: the broker must allow it (`group.min.session.timeout.ms`, ops/kafka)."""


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


def transport_at(broker: str, topic: str) -> Transport:
    """PostgreSQL's log at an address of a database, Kafka at any other."""
    if broker.startswith("postgresql"):
        return OwnTopic(PostgresTransport(broker, pause=0.05), topic)
    return OwnTopic(KafkaTransport(broker, GROUP, pace=PACE), topic)


class Carrier:
    """The real transport, with moments at which the process may end."""

    def __init__(self, inner: Transport, fate: Fate) -> None:
        self._inner, self._fate = inner, fate
        self.start, self.stop = inner.start, inner.stop
        self.ensure_topics, self.consume, self.lag = inner.ensure_topics, inner.consume, inner.lag

    async def publish(self, batch: Sequence[Message]) -> None:
        """In two parts: a broker may have taken any part of a batch when the process ends."""
        self._fate.passes("read, before publishing")
        await self._inner.publish(batch[: len(batch) // 2])
        self._fate.passes("half published")
        await self._inner.publish(batch[len(batch) // 2 :])
        self._fate.passes("published, before deleting")


async def refuse_poison(session: AsyncSession, event: ConsentPending, news: News) -> None:
    """The effect, which one version never has."""
    await take_note(session, event, news)
    if (event.case_id, event.consent_version) == POISON:
        raise ValueError


async def live(house: House, transport: Transport, fate: Fate, acknowledged: Path, draw: random.Random) -> None:
    """Tell, carry and hear until the end."""
    carrier = Carrier(transport, fate)
    await carrier.start()
    commit = house.listener.commit

    async def commit_or_die(session: AsyncSession) -> None:
        fate.passes("in the effect, before its commit")
        await commit(session)

    house.listener.commit = commit_or_die  # type: ignore[method-assign]
    inbox = house.inbox(refuse_poison)
    relay = house.relay(carrier)
    house.teller.after_emit = relay.wake

    async def hear(records: Sequence[Record]) -> None:
        for record in records:
            fate.passes("delivered, before the effect")
            await inbox.deliver([record])
        fate.passes("effect committed, before the position")

    async def before_commit() -> None:
        fate.passes("told, before the commit")

    async with going(relay.run, lambda: carrier.consume(GROUP, [TOPIC], hear)), asyncio.timeout(PATIENCE):
        with acknowledged.open("a", buffering=1) as file:
            while True:
                key = draw.choice(KEYS)
                version = await house.tell(key, meanwhile=before_commit)
                fate.passes("committed, before the caller knows")
                file.write(f"{key} {version}\n")
                await asyncio.sleep(0.005)


def main(intake: str, training: str, broker: str, topic: str, acknowledged: str, rounds: str) -> None:
    """One life after another."""
    draw = random.Random(20260401)
    for cut in CUTS * int(rounds):
        fate, seed = Fate(cut, draw.randint(1, 6)), draw.random()
        child = os.fork()
        if child == 0:
            house, transport = House(intake, training), transport_at(broker, topic)
            asyncio.run(live(house, transport, fate, Path(acknowledged), random.Random(seed)))
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit(f"{cut}: it was to be killed, and ended with {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
