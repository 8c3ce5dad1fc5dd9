"""The port on Apache Kafka: aiokafka, at least once, every partition on its own.

aiokafka may wait for ever, so every call stands under a timeout, and a client that failed is thrown away and built
anew. One exception: while the broker itself is away, a consumer is kept. It is still a member when the broker is back
and goes on at once; a new one would wait until the broker has given the old one up.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import ConsumerRecord

from shared.bus.kafka_closing import close_admin, close_consumer, close_producer
from shared.bus.kafka_pacing import unhurried_consumer, unhurried_producer
from shared.bus.port import AT_ONCE, PARTITIONS, Handler, Message, Record

log = structlog.get_logger()

# It repeats the same complaint ten times a second while a broker is away. What matters is raised, and told by us.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

RETENTION_DAYS = 30
"""How long a topic remembers. The inbox remembers longer, or a replay would take effect twice."""

MAX_BATCH_BYTES = 512 * 1024
"""Half of what a broker takes at once unless it is told otherwise; more than any row of an outbox."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait for what, in seconds."""

    timeout: float = 10.0
    """For one exchange with the broker; `publish` raises after it."""
    session_timeout: float = 30.0
    """A member that is silent for so long loses its partitions. The client's own 10 s are little for a busy loop."""
    heartbeat_interval: float = 3.0
    retry_delay: float = 0.2
    """After a failure; doubled each time, up to the longest."""
    longest_retry_delay: float = 5.0
    watch_interval: float = 30.0
    """Between two looks for partitions that have records and do not move."""


USUAL_PACE = Pace()


class KafkaTransport:
    """See `shared.bus.port`. End the `consume` tasks before `stop`: a consumer belongs to its task."""

    def __init__(
        self, bootstrap_servers: str, client_id: str, *, replication_factor: int = 1, pace: Pace = USUAL_PACE
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._client_id = client_id
        self._replication_factor = replication_factor
        self._pace = pace
        self._producer: AIOKafkaProducer | None = None
        self._producer_lock = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Nothing to do: clients connect when first used, so a broker that is away delays nobody's start."""

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            self._retire(close_producer(producer))
        if self._closing:
            await asyncio.wait(self._closing)

    # ------------------------------------------------------------------------------------------------------ topics

    async def ensure_topics(self, topics: Sequence[str]) -> None:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self._bootstrap_servers,
            client_id=self._client_id,
            request_timeout_ms=_ms(self._pace.timeout),
        )
        try:
            async with asyncio.timeout(self._pace.timeout * 2):
                await admin.start()
                missing = sorted(set(topics) - set(await admin.list_topics()))
                if missing:
                    answer = await admin.create_topics([self._new_topic(name) for name in missing])
                    _refuse_errors(answer.topic_errors)
        finally:
            await self._retire(close_admin(admin))

    def _new_topic(self, name: str) -> NewTopic:
        copies = self._replication_factor
        return NewTopic(
            name,
            PARTITIONS,
            copies,
            topic_configs={
                "cleanup.policy": "delete",  # compaction would remove the middle of a case's story
                "retention.ms": str(RETENTION_DAYS * 24 * 60 * 60 * 1000),
                # `acks=all` means all replicas in step, which may be one: ask for a majority of three.
                "min.insync.replicas": str(max(1, copies - 1)),
            },
        )

    # ----------------------------------------------------------------------------------------------------- publish

    async def publish(self, batch: Sequence[Message]) -> None:
        if not batch:
            return
        producer: AIOKafkaProducer | None = None
        sent: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(self._pace.timeout):
                producer = await self._connected_producer()
                for place, records in await _packed(producer, batch):
                    # `send_batch` only queues, in order; the waiting is done once, for all of them.
                    sent.append(await producer.send_batch(records, place.topic, partition=place.partition))
                await asyncio.gather(*sent)
        except BaseException:
            # What was queued may still arrive, later than what the next producer sends: the caller sends everything
            # again from the first message, so the first arrival of each is in order, and repeats are the inbox's work.
            for future in sent:
                future.add_done_callback(_look_at_outcome)
            if producer is not None and producer is self._producer:
                self._producer = None
                self._retire(close_producer(producer, flush=False))
            raise

    async def _connected_producer(self) -> AIOKafkaProducer:
        async with self._producer_lock:
            if self._producer is not None:
                return self._producer
            settings = {
                "bootstrap_servers": self._bootstrap_servers,
                "client_id": self._client_id,
                "request_timeout_ms": _ms(self._pace.timeout),
            }
            producer = unhurried_producer(
                AIOKafkaProducer(
                    enable_idempotence=True, acks="all", linger_ms=0, max_batch_size=MAX_BATCH_BYTES, **settings
                ),
                **settings,
            )
            try:
                await producer.start()
            except BaseException:
                self._retire(close_producer(producer, flush=False))
                raise
            self._producer = producer
            return producer

    # ----------------------------------------------------------------------------------------------------- consume

    async def consume(self, group: str, topics: Sequence[str], handler: Handler) -> None:
        delay = self._pace.retry_delay
        while True:
            membership = _Membership(self._new_consumer(group), group, handler, self._pace)
            try:
                await self._consume_until_failure(membership, topics)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong inside a client, the ears must grow back
                log.warning("bus.consumer_failed", group=group, error=type(error).__name__, again_in=delay)
            if membership.taken:
                delay = self._pace.retry_delay
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._pace.longest_retry_delay)

    async def _consume_until_failure(self, membership: "_Membership", topics: Sequence[str]) -> None:
        consumer = membership.consumer
        try:
            async with asyncio.timeout(self._pace.timeout):
                await consumer.start()
            # After `start`, which would otherwise wait for the partitions: that may take as long as the slowest
            # member needs to let go, and a timeout in the middle of it would begin the whole exchange again.
            consumer.subscribe(topics, listener=membership)
            await self._watch(membership)
        finally:
            await membership.end()
            await self._retire(close_consumer(consumer))

    def _new_consumer(self, group: str) -> AIOKafkaConsumer:
        settings = {
            "bootstrap_servers": self._bootstrap_servers,
            "client_id": f"{self._client_id}-{group}",
            # The request to join is answered when the slowest member has joined or was given up: an earlier timeout
            # makes the client ask anew, as one more member to wait for. Our own calls have timeouts of their own.
            "request_timeout_ms": _ms(self._pace.session_timeout + self._pace.timeout),
            "metadata_max_age_ms": 30_000,  # a topic made later is found in this time
        }
        consumer = AIOKafkaConsumer(
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # the default would let a new group miss everything before it
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),  # each more costs a join of its own
            session_timeout_ms=_ms(self._pace.session_timeout),
            heartbeat_interval_ms=_ms(self._pace.heartbeat_interval),
            rebalance_timeout_ms=_ms(self._pace.session_timeout),
            # A partition that gets free again may have to wait for the running fetch of the others: keep it short.
            fetch_max_wait_ms=200,
            **settings,
        )
        return unhurried_consumer(consumer, **settings)

    async def _watch(self, membership: "_Membership") -> None:
        """Return never: raise when the consumer is broken, also when it does not know that itself."""
        loop = asyncio.get_running_loop()
        next_look = loop.time() + self._pace.watch_interval
        behind: Mapping[TopicPartition, int] = {}
        while True:
            await membership.failure(within=min(1.0, self._pace.watch_interval))
            # Asks for a partition nobody has: yields no records, but raises what the group's coordination met, and
            # tells the client that we live, which it would otherwise doubt while every handler is busy.
            await membership.bounded(
                lambda: membership.consumer.getmany(_NOBODYS, timeout_ms=0), timeout=self._pace.session_timeout * 3
            )
            if loop.time() >= next_look:
                behind = await self._refuse_standstill(membership, behind)
                next_look = loop.time() + self._pace.watch_interval

    async def _refuse_standstill(
        self, membership: "_Membership", before: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int]:
        """Raise when an idle partition is behind at the same place twice: such clients were seen to wait for ever."""
        consumer, idle = membership.consumer, membership.idle()
        try:
            async with asyncio.timeout(self._pace.timeout):
                ends = await consumer.end_offsets(idle)
        except (KafkaError, TimeoutError) as error:
            log.warning("bus.broker_away", group=membership.group, error=type(error).__name__)
            return {}
        async with asyncio.timeout(self._pace.timeout):
            # What was taken from us since the question is no longer ours to look at.
            places = {tp: await consumer.position(tp) for tp in idle if tp in consumer.assignment()}
        behind = {tp: place for tp, place in places.items() if place < ends[tp]}
        for tp, place in behind.items():
            if before.get(tp) == place:
                raise StandstillError(f"{tp.topic}/{tp.partition} stands at {place} of {ends[tp]}")
        return behind

    # --------------------------------------------------------------------------------------------------------- lag

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[str, int]:
        consumer = self._new_consumer(group)  # it never subscribes, so it never becomes a member
        try:
            async with asyncio.timeout(self._pace.timeout):
                await consumer.start()
                existing = await consumer.topics()
                places = [TopicPartition(topic, p) for topic in topics if topic in existing for p in range(PARTITIONS)]
                begins, ends, taken = await asyncio.gather(
                    consumer.beginning_offsets(places),
                    consumer.end_offsets(places),
                    asyncio.gather(*(consumer.committed(place) for place in places)),
                )
        finally:
            await self._retire(close_consumer(consumer))
        behind = dict.fromkeys(topics, 0)
        for place, offset in zip(places, taken, strict=True):
            # Retention may have passed a group that was away for long: what is gone is not waiting.
            behind[place.topic] += ends[place] - max(begins[place], offset or 0)
        return behind

    def _retire(self, closing: Coroutine[Any, Any, None]) -> "asyncio.Future[None]":
        """Close a client in a task of its own: it ends also if we are cancelled, and `stop` waits for it."""
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return asyncio.shield(task)


class StandstillError(Exception):
    """Records wait and nothing moves, while the client believes that all is well."""


_NOBODYS = TopicPartition("", 0)


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """One consumer's share of a group: a worker for each partition, so that a slow one holds up nobody else."""

    def __init__(self, consumer: AIOKafkaConsumer, group: str, handler: Handler, pace: Pace) -> None:
        self.consumer = consumer
        self.taken = 0
        self.group = group
        self._handler = handler
        self._pace = pace
        self._workers: dict[TopicPartition, asyncio.Task[None]] = {}
        self._busy: set[TopicPartition] = set()
        self._committing: set[TopicPartition] = set()
        self._failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        for tp in assigned:
            worker = asyncio.create_task(self._work(tp), name=f"bus {self.group} {tp.topic}/{tp.partition}")
            worker.add_done_callback(self._worker_ended)
            self._workers[tp] = worker

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """The group goes on only when this returns: until then nobody else may touch these partitions."""
        del revoked  # always all of them: aiokafka knows no cooperative rebalance
        await self.end()

    async def end(self) -> None:
        """Cancel the workers and wait for them; only a position on its way to the broker may arrive first."""
        workers, self._workers = self._workers, {}
        committing = {worker for tp, worker in workers.items() if tp in self._committing}
        for worker in workers.values():
            if worker not in committing:
                worker.cancel()
        if committing:
            _, late = await asyncio.wait(committing, timeout=1)
            for worker in late:
                worker.cancel()
        if workers:
            # Bounded: a handler that will not be cancelled must not keep the whole group waiting.
            _, stubborn = await asyncio.wait(workers.values(), timeout=self._pace.timeout)
            if stubborn:
                log.error("bus.handler_ignores_cancel", group=self.group, workers=len(stubborn))

    async def failure(self, *, within: float) -> None:
        """Raise what ended a worker; return if nothing did within this time."""
        done, _ = await asyncio.wait({self._failed}, timeout=within)
        if done:
            raise self._failed.result()

    def idle(self) -> list[TopicPartition]:
        return [tp for tp in self._workers if tp not in self._busy]

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if worker.cancelled() else worker.exception()
        if error is not None and not isinstance(error, asyncio.CancelledError) and not self._failed.done():
            self._failed.set_result(error)

    async def _work(self, tp: TopicPartition) -> None:
        while self._workers.get(tp) is asyncio.current_task():
            fetched = await self.consumer.getmany(tp, timeout_ms=1000, max_records=AT_ONCE)
            for batch in fetched.values():
                self._busy.add(tp)
                try:
                    await self._hand_over(tp, [_record(raw) for raw in batch])
                    self._committing.add(tp)
                    await self._commit({tp: batch[-1].offset + 1})
                    self.taken += len(batch)
                finally:
                    self._busy.discard(tp)
                    self._committing.discard(tp)

    async def _hand_over(self, tp: TopicPartition, records: Sequence[Record]) -> None:
        """Give the same records to the handler until it takes them: held here, they need no second fetch."""
        delay = self._pace.retry_delay
        while not await self._handled(tp, records):
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._pace.longest_retry_delay)

    async def _handled(self, tp: TopicPartition, records: Sequence[Record]) -> bool:
        try:
            await self._handler(records)
        except asyncio.CancelledError:
            if _being_cancelled():
                raise
            error = "CancelledError"  # something inside the handler was cancelled, not we
        except Exception as raised:  # noqa: BLE001 - raising is the handler's way to say "again"
            error = type(raised).__name__
        else:
            return True
        log.warning(
            "bus.handler_failed",
            group=self.group,
            topic=tp.topic,
            partition=tp.partition,
            offset=records[0].offset,
            records=len(records),
            error=error,
        )
        return False

    async def _commit(self, position: Mapping[TopicPartition, int]) -> None:
        try:
            await self.bounded(lambda: self.consumer.commit(position), timeout=self._pace.timeout)
        except CommitFailedError:
            # The group has moved on and will take this partition from us in a moment. Failing at once would start
            # another round for all members; waiting lets the one that runs end.
            await asyncio.sleep(self._pace.timeout)
            raise

    async def bounded(self, call: Callable[[], Awaitable[object]], *, timeout: float) -> None:
        """Call again and again while the broker is away; give up when it answers others and not us."""
        unheard = 0
        while True:
            try:
                async with asyncio.timeout(timeout):
                    await call()
            except TimeoutError:
                # Twice, for it may just have come back.
                unheard = unheard + 1 if await self._broker_answers() else 0
                if unheard == 2:
                    raise
            else:
                return

    async def _broker_answers(self) -> bool:
        try:
            async with asyncio.timeout(self._pace.timeout):
                await self.consumer.topics()
        except (KafkaError, TimeoutError):
            return False
        return True


def _record(raw: "ConsumerRecord[bytes | None, bytes | None]") -> Record:
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        # A stranger's record may hold anything: refusing it here would stop the partition for ever. Written out byte by
        # byte, two strange keys stay two keys; replaced, they would wait behind one another in quarantine.
        key=(raw.key or b"").decode(errors="backslashreplace"),
        value=raw.value or b"",
        headers={name: (value or b"").decode(errors="backslashreplace") for name, value in raw.headers},
    )


async def _packed(producer: AIOKafkaProducer, batch: Sequence[Message]) -> list[tuple[TopicPartition, BatchBuilder]]:
    """The messages as the broker will store them: by partition, in order, in as few pieces as the client allows.

    Packed here, a message costs a third of what it does through `send`, which makes a future for each.
    """
    partitions = {topic: len(await producer.partitions_for(topic)) for topic in {message.topic for message in batch}}
    packed: list[tuple[TopicPartition, BatchBuilder]] = []
    last: dict[TopicPartition, BatchBuilder] = {}
    now = int(time.time() * 1000)
    for message in batch:
        place = TopicPartition(message.topic, _partition_of(message.key, partitions[message.topic]))
        record = {
            "timestamp": now,
            "key": message.key.encode(),
            "value": message.value,
            "headers": [(name, value.encode()) for name, value in message.headers.items()],
        }
        if place not in last or last[place].append(**record) is None:
            packed.append((place, producer.create_batch()))
            last[place] = packed[-1][1]
            last[place].append(**record)
    return packed


@functools.lru_cache(maxsize=16_384)
def _partition_of(key: str, partitions: int) -> int:
    """As every client of Kafka's own says it. Worked out in Python it is dear, and a case has many events."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % partitions)


def _refuse_errors(topic_errors: Iterable[Sequence[Any]]) -> None:
    for topic, code, *_ in topic_errors:
        error = for_code(code)
        if code != 0 and error is not TopicAlreadyExistsError:  # another service was faster
            raise error(topic)


def _look_at_outcome(future: "asyncio.Future[Any]") -> None:
    """An exception nobody looks at is reported when the future is collected, long after we raised our own."""
    if not future.cancelled():
        future.exception()


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
