"""A teller and a listener on real tables, for tests of the whole way: outbox, relay, transport, inbox, effect.

The teller writes into the schema of intake, the listener into that of training. What was told stands in `aggregate` (a
key and its version), what took effect in `effect`; comparing the two finds every loss, repeat and disorder.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.bus.envelope import headers_of, new_id, seal
from shared.bus.inbox import Ears, Inbox, News
from shared.bus.mailbox import emit
from shared.bus.port import Handler, Message, Record, Transport
from shared.bus.relay import Relay
from shared.database import Database, connect
from shared.events import ConsentPending, topic_of
from shared.service.clock import wall_time

TOPIC = topic_of("intake")
PATIENCE = 60
TABLES = """
SET ROLE tsunagu_intake_owner;
CREATE TABLE intake.aggregate (key uuid PRIMARY KEY, version int NOT NULL);
SET ROLE tsunagu_training_owner;
CREATE TABLE training.effect (place bigint GENERATED ALWAYS AS IDENTITY, key uuid NOT NULL, version int NOT NULL);
RESET ROLE;
"""

React = Callable[[AsyncSession, ConsentPending, News], Awaitable[None]]


async def take_note(session: AsyncSession, event: ConsentPending, _news: News) -> None:
    """The effect."""
    await session.execute(
        text("INSERT INTO effect (key, version) VALUES (:key, :version)"),
        {"key": event.case_id, "version": event.consent_version},
    )


async def take_notes(session: AsyncSession, news: Sequence[News]) -> None:
    """The same for a read model."""
    for item in news:
        if isinstance(item.event, ConsentPending):
            await take_note(session, item.event, item)


class House:
    """Both databases; `intake` and `training` are their addresses."""

    def __init__(self, intake: str, training: str) -> None:
        self.teller: Database = connect(intake, schema="intake", pool=16)
        self.listener: Database = connect(training, schema="training", pool=16)
        self.ears = Ears({ConsentPending: take_note})

    async def tell(self, key: UUID, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> int:
        """Raise the key's version and tell it; returns the version once it is committed."""
        async with self.teller.transaction() as session:
            found = await session.execute(
                text(
                    "INSERT INTO aggregate (key, version) VALUES (:key, 1)"
                    " ON CONFLICT (key) DO UPDATE SET version = aggregate.version + 1 RETURNING version"
                ),
                {"key": key},
            )
            version: int = found.scalar_one()
            event = ConsentPending(case_id=key, consent_version=version)
            await emit(session, (event, version), at=wall_time())
            if meanwhile is not None:
                await meanwhile()
        return version

    async def told(self) -> dict[UUID, list[int]]:
        """What was told, by key."""
        async with self.teller.session() as session:
            rows = (await session.execute(text("SELECT key, version FROM aggregate"))).all()
        return {row.key: list(range(1, row.version + 1)) for row in rows}

    async def effects(self) -> dict[UUID, list[int]]:
        """What took effect, by key, in the order in which it did."""
        async with self.listener.session() as session:
            rows = (await session.execute(text("SELECT key, version FROM effect ORDER BY place"))).all()
        heard: dict[UUID, list[int]] = defaultdict(list)
        for row in rows:
            heard[row.key].append(row.version)
        return dict(heard)

    async def parked(self) -> list[tuple[str, str, str | None]]:
        """What was set aside: key, reason, error."""
        async with self.listener.session() as session:
            rows = await session.execute(
                text("SELECT key, reason, error FROM parked WHERE dropped_at IS NULL ORDER BY id")
            )
            return [(row.key, row.reason, row.error) for row in rows]

    async def unsent(self) -> int:
        """How many events wait in the outbox."""
        async with self.teller.session() as session:
            return int((await session.execute(text("SELECT count(*) FROM outbox"))).scalar_one())

    def inbox(self, react: React = take_note) -> Inbox:
        """The listener's inbox, without pauses."""
        return Inbox("training", self.listener, Ears({ConsentPending: react}), pauses=(0.0,))

    def relay(self, transport: Transport) -> Relay:
        """The teller's relay."""
        return Relay("intake", self.teller, transport, pause=0.05)

    async def until_all_arrived(self) -> None:
        """Wait until as much took effect as was told; the comparison itself is the test's."""
        async with asyncio.timeout(PATIENCE):
            while True:
                told, heard = await self.told(), await self.effects()
                enough = {key: len(versions) for key, versions in told.items()}
                if all(len(heard.get(key, [])) >= count for key, count in enough.items()) and not await self.unsent():
                    return
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Give everything back."""
        await self.teller.dispose()
        await self.listener.dispose()


class OwnTopic:
    """A transport on a topic of the test's own, which its users know by the usual name: others use the same broker."""

    def __init__(self, inner: Transport, topic: str) -> None:
        self._inner, self._topic = inner, topic
        self.start, self.stop = inner.start, inner.stop

    async def ensure_topics(self, topics: Sequence[str]) -> None:
        """Make the topic."""
        await self._inner.ensure_topics([self._topic])

    async def publish(self, batch: Sequence[Message]) -> None:
        """Send it there."""
        await self._inner.publish([replace(message, topic=self._topic) for message in batch])

    async def consume(self, group: str, topics: Sequence[str], handler: Handler) -> None:
        """Hear what is there, under its usual name."""

        async def renamed(records: Sequence[Record]) -> None:
            await handler([replace(record, topic=TOPIC) for record in records])

        await self._inner.consume(group, [self._topic], renamed)

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[str, int]:
        """How far the group is behind."""
        return {TOPIC: (await self._inner.lag(group, [self._topic]))[self._topic]}


@contextlib.asynccontextmanager
async def going(*loops: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run the loops again and again, as the frame does, while the block lasts."""

    async def again(run: Callable[[], Awaitable[None]]) -> None:
        while True:
            with contextlib.suppress(Exception):
                await run()
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(again(run)) for run in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)


def record(key: UUID | str, version: int, *, offset: int | None = None, event_id: UUID | None = None) -> Record:
    """A record as the transport would bring it."""
    made = event_id or new_id()
    event = ConsentPending(case_id=UUID(str(key)), consent_version=version)
    value = seal(event, event_id=made, at=wall_time(), sequence=version, by="desk", cause=None)
    headers = headers_of(event_id=made, type_=event.type, subject=event.subject, topic=TOPIC)
    return Record(TOPIC, 0, version if offset is None else offset, str(key), value, headers)
