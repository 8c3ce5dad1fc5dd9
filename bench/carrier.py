"""The processes of the bus benchmark: who carries, who hears, who tells; and the same by bare aiokafka for comparison.

Each reads words from stdin and answers with lines of JSON, with moments of the machine's monotonic clock, which all
processes share. `python -m bench.carrier ROLE PLAN`, where PLAN is JSON.
"""

import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text, Uuid
from uvicorn.loops.auto import auto_loop_factory

from shared.bus.envelope import new_id
from shared.bus.inbox import Ears, Inbox, News
from shared.bus.kafka import MAX_BATCH_BYTES
from shared.bus.mailbox import emit
from shared.bus.port import Message, Record, Transport
from shared.bus.relay import BATCH, Relay
from shared.database import Database, connect
from shared.events import SeatHeld, topic_of
from shared.service.app import make_transport
from shared.service.clock import wall_time
from shared.service.logs import configure_logs
from shared.settings import Settings

EFFECT_TABLE = "CREATE TABLE dashboard.bench_effect (event_id uuid PRIMARY KEY, key text NOT NULL)"
_ONE = text("INSERT INTO bench_effect (event_id, key) VALUES (:id, :key)")
_MANY = text("INSERT INTO bench_effect (event_id, key) SELECT * FROM unnest(:ids, :keys)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("keys", type_=ARRAY(Text))
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process is told at its start."""

    url: str
    schema: str
    settings: Settings
    topic: str
    group: str
    batched: bool
    messages: Path

    @classmethod
    def read(cls, given: str) -> "Plan":
        """From the command line."""
        known = json.loads(given)
        settings = Settings(**known["settings"], log_level="warning")
        return cls(
            known["url"], known["schema"], settings, known["topic"], known["group"], known["batched"],
            Path(known["messages"]),
        )  # fmt: skip


def held(case_id: UUID) -> SeatHeld:
    """The event that travels: of a usual size."""
    return SeatHeld(
        case_id=case_id,
        seat_request_id=new_id(),
        referral_id=None,
        course_run_id=new_id(),
        pool_id=new_id(),
        pool_kind="general",
        expires_at=wall_time() + timedelta(days=3),
    )


# --- through the frame ----------------------------------------------------------------------------------------------


async def carry(plan: Plan) -> None:
    """`go`: carry what stands in the outbox."""
    relay, _ = await _relay(plan, await _transport(plan), pause=3600)
    _say(ready=True)
    async for word in _words():
        if word == "go":
            _say(at=time.monotonic())
            relay.wake()


async def hear(plan: Plan) -> None:
    """`expect N`: say when N more have taken effect."""
    counted = _Counted()
    database = connect(plan.url, schema=plan.schema)
    transport = await _transport(plan)
    ears = Ears({}, projection=_project) if plan.batched else Ears({SeatHeld: _react})
    inbox = Inbox(plan.schema, database, ears)

    async def deliver(records: Sequence[Record]) -> None:
        # An event counts on its publisher's own topic alone, so the record gets its name back.
        own = topic_of("training")
        await inbox.deliver([Record(own, r.partition, r.offset, r.key, r.value, r.headers) for r in records])
        counted.add([record.key for record in records])

    await transport.ensure_topics([plan.topic])
    listening = asyncio.create_task(transport.consume(plan.group, [plan.topic], deliver))
    await _report(counted)
    listening.cancel()
    await asyncio.wait([listening], timeout=5)
    await transport.stop()


async def tell(plan: Plan) -> None:
    """`tell N`: commit N facts, one at a time with pauses, as a quiet day has them; say when each was committed."""
    relay, database = await _relay(plan, _OnOneTopic(await _transport(plan), plan.topic), pause=1.0)
    database.after_emit = relay.wake
    generator = random.Random(7)
    _say(ready=True)
    async for word in _words():
        told = {}
        for _ in range(int(word.removeprefix("tell "))):
            case_id = new_id()
            async with database.session() as session:
                await emit(session, (held(case_id), 1), at=wall_time())
                await database.commit(session)
                told[str(case_id)] = time.monotonic()
            await asyncio.sleep(generator.uniform(0.02, 0.08))
        _say(told=told)


async def _relay(plan: Plan, transport: Transport, *, pause: float) -> tuple[Relay, Database]:
    database = connect(plan.url, schema=plan.schema)
    await transport.ensure_topics([plan.topic])
    relay = Relay(plan.schema, database, transport, pause=pause)
    _background.add(asyncio.create_task(relay.run()))
    return relay, database


async def _transport(plan: Plan) -> Transport:
    transport = make_transport(plan.settings, client="bench")
    await transport.start()
    return transport


async def _project(session: AsyncSession, news: Sequence[News]) -> None:
    await session.execute(_MANY, {"ids": [item.event_id for item in news], "keys": [item.record.key for item in news]})


async def _react(session: AsyncSession, event: SeatHeld, news: News) -> None:
    await session.execute(_ONE, {"id": news.event_id, "key": str(event.case_id)})


class _OnOneTopic:
    """The transport with this run's own topic, for what `emit` tells: nobody's real topics are written to."""

    def __init__(self, transport: Transport, topic: str) -> None:
        self._transport = transport
        self._topic = topic

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def publish(self, batch: Sequence[Message]) -> None:
        await self._transport.publish([replace(message, topic=self._topic) for message in batch])


# --- by bare aiokafka -----------------------------------------------------------------------------------------------


async def produce(plan: Plan) -> None:
    """`go`: send the same bytes, in batches of the relay's size, each waited for."""
    messages = [
        (key.encode(), value.encode(), [(name, text.encode()) for name, text in headers.items()])
        for key, value, headers in json.loads(plan.messages.read_text(encoding="utf-8"))
    ]
    producer = AIOKafkaProducer(
        bootstrap_servers=plan.settings.kafka_bootstrap_servers,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=MAX_BATCH_BYTES,
    )
    await producer.start()
    _say(ready=True)
    async for word in _words():
        chosen = messages if word == "go" else messages[:100]
        _say(at=time.monotonic())
        for start in range(0, len(chosen), BATCH):
            batch = chosen[start : start + BATCH]
            sent = [await producer.send(plan.topic, value, key=key, headers=heads) for key, value, heads in batch]
            await asyncio.gather(*sent)
    await producer.stop()


async def consume(plan: Plan) -> None:
    """`expect N`: fetch, count, commit; say when N more were there."""
    counted = _Counted()
    consumer = AIOKafkaConsumer(
        plan.topic,
        bootstrap_servers=plan.settings.kafka_bootstrap_servers,
        group_id=plan.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=200,
    )
    await consumer.start()

    async def fetch() -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
            if batches:
                await consumer.commit()
                counted.add([record.key.decode() for batch in batches.values() for record in batch])

    fetching = asyncio.create_task(fetch())
    await _report(counted)
    fetching.cancel()
    await asyncio.wait([fetching], timeout=5)
    await consumer.stop()


# --- words ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Counted:
    """How many came, and when each key did."""

    moments: dict[str, float] = field(default_factory=dict)
    count: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, keys: Sequence[str]) -> None:
        self.count += len(keys)
        now = time.monotonic()
        self.moments.update(dict.fromkeys(keys, now))
        self.changed.set()

    async def reach(self, number: int) -> None:
        while self.count < number:
            self.changed.clear()
            await self.changed.wait()


async def _report(counted: _Counted) -> None:
    _say(ready=True)
    async for word in _words():
        if word == "moments":
            _say(moments=counted.moments)
            continue
        counted.count, counted.moments = 0, {}
        _say(expecting=True)
        await counted.reach(int(word.removeprefix("expect ")))
        _say(at=time.monotonic())


async def _words() -> Any:
    loop = asyncio.get_running_loop()
    while word := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        if word == "spent":
            _say(spent=time.process_time())
            continue
        yield word


def _say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


_background: set[asyncio.Task[None]] = set()
_ROLES: dict[str, Callable[[Plan], Awaitable[None]]] = {
    "carry": carry, "hear": hear, "tell": tell, "produce": produce, "consume": consume,
}  # fmt: skip


def main() -> None:
    """For `python -m bench.carrier`."""
    plan = Plan.read(sys.argv[2])
    configure_logs(plan.settings)

    async def work() -> None:
        gc.collect()
        gc.freeze()  # as a service does once it has started; bare aiokafka's processes too
        await _ROLES[sys.argv[1]](plan)

    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(work())


if __name__ == "__main__":
    main()
