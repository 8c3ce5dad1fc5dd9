"""One promise, every transport: the sentences of shared/bus/port.py, told to each of them.

Three rings: PostgreSQL and aiokafka on librdkafka's mock broker always, a real Kafka where one is named.
Topics and groups are fresh in every test, so nothing needs to be cleaned and nothing depends on order.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.consumer.fetcher import Fetcher

from embedded.postgres import EmbeddedPostgres
from shared.bus.kafka import KafkaTransport
from shared.bus.port import PARTITIONS, Handler, Message, Record, Transport
from shared.bus.postgres import PostgresTransport
from shared.database import migrate, provision
from tests.contract.kafka_brokers import MockBroker, let_followers_sync_first
from tests.contract.rings import (
    KAFKA_PACE,
    MOCK_PACE,
    PATIENCE,
    RINGS,
    Listener,
    Ring,
    consuming,
    messages,
    nothing_left,
)
from tests.world import execute_as_admin

# Members hear of one another with their heartbeats; on the mock, a rebalance waits for a session to run out.


@pytest.fixture(scope="session")
async def postgres_ring(postgres: EmbeddedPostgres) -> Ring:
    name = f"contract_{uuid4().hex[:8]}"
    await execute_as_admin(postgres, f"CREATE DATABASE {name}")
    # Only the bus: a service's broken migration is not the transport's affair.
    await provision(postgres.url(database=name), schema="bus", password=None, admin_password=None)
    await migrate(postgres.url(database=name), schema="bus")
    return Ring("postgres", lambda: PostgresTransport(postgres.url(database=name)))


@pytest.fixture(scope="session")
def mock_ring() -> Iterator[Ring]:
    broker = MockBroker()

    def connect() -> Transport:
        return KafkaTransport(broker.bootstrap, "contract", pace=MOCK_PACE)

    yield Ring("mock", connect, broker.create_topics, broker.down)
    broker.close()


@pytest.fixture(scope="session")
def kafka_ring(kafka_bootstrap: str) -> Ring:
    def connect() -> Transport:
        return KafkaTransport(kafka_bootstrap, "contract", pace=KAFKA_PACE)

    return Ring("kafka", connect)


@pytest.fixture(params=RINGS)
def ring(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ring:
    ring: Ring = request.getfixturevalue(f"{request.param}_ring")
    if ring.name == "mock":
        let_followers_sync_first(monkeypatch)
    return ring


@pytest.fixture
async def connect(ring: Ring) -> AsyncIterator[Callable[[], Awaitable[Transport]]]:
    """Makes transports, each as a process of its own would have it, and stops them at the end."""
    made: list[Transport] = []

    async def new_transport() -> Transport:
        transport = ring.connect()
        made.append(transport)
        await transport.start()
        return transport

    yield new_transport
    for transport in made:
        async with asyncio.timeout(PATIENCE):
            await transport.stop()


@pytest.fixture
async def transport(connect: Callable[[], Awaitable[Transport]]) -> Transport:
    return await connect()


@pytest.fixture
async def topic(ring: Ring, transport: Transport) -> str:
    name = f"contract.{uuid4().hex}"
    if ring.create_topics is not None:
        ring.create_topics([name])
    await transport.ensure_topics([name])
    return name


# ------------------------------------------------------------------------------------------------- what is promised


async def test_what_is_published_arrives_byte_for_byte(transport: Transport, topic: str, group: str) -> None:
    sent = Message(topic, "事件-１２３", bytes(range(256)), {"ce_type": "jp.tsunagu.相談.v1", "empty": ""})
    listener = Listener()
    async with consuming(transport, group, topic, listener):
        await transport.publish([sent])
        await listener.until_taken(1)
    (got,) = listener.records
    assert (got.topic, got.key, got.value, dict(got.headers)) == (sent.topic, sent.key, sent.value, dict(sent.headers))
    assert 0 <= got.partition < PARTITIONS
    assert got.offset == 0


async def test_a_large_value_arrives_whole(transport: Transport, topic: str, group: str) -> None:
    value = random.Random(1).randbytes(900_000)
    listener = Listener()
    async with consuming(transport, group, topic, listener):
        await transport.publish([Message(topic, "small", b"1"), Message(topic, "large", value)])
        await listener.until_taken(2)
    assert sorted(listener.values, key=len) == [b"1", value]


async def test_more_than_goes_out_in_one_piece_arrives_whole_and_in_order(
    transport: Transport, topic: str, group: str
) -> None:
    sent = [Message(topic, f"key-{n % 3}", f"{n:05d}".encode() + bytes(3_000)) for n in range(1_200)]
    listener = Listener()
    async with consuming(transport, group, topic, listener):
        await transport.publish(sent)
        await listener.until_taken(len(sent))
    by_key = defaultdict(list)
    for record in listener.records:
        by_key[record.key].append(record.value)
    assert by_key == {f"key-{k}": [each.value for each in sent[k::3]] for k in range(3)}
    assert max(len(delivery) for delivery in listener.deliveries) <= 500


async def test_the_order_of_a_key_is_kept(transport: Transport, topic: str, group: str) -> None:
    sent = messages(topic, 600)
    listener = Listener()
    async with consuming(transport, group, topic, listener):
        await transport.publish(sent[:500])
        for n in range(500, 600, 10):
            await transport.publish(sent[n : n + 10])
        await listener.until_taken(600)
    by_key: dict[str, list[int]] = defaultdict(list)
    partitions: dict[str, set[int]] = defaultdict(set)
    for record in listener.records:
        by_key[record.key].append(int(record.value))
        partitions[record.key].add(record.partition)
    assert by_key == {f"key-{k}": list(range(k, 600, 20)) for k in range(20)}
    assert all(len(places) == 1 for places in partitions.values())
    assert len(set.union(*partitions.values())) > 1, "the keys are spread over partitions"


async def test_a_delivery_is_of_one_partition_and_without_gaps(transport: Transport, topic: str, group: str) -> None:
    await transport.publish(messages(topic, 500))
    listener = Listener()
    async with consuming(transport, group, topic, listener):
        await listener.until_taken(500)
    next_offset: dict[int, int] = defaultdict(int)
    for delivery in listener.deliveries:
        (partition,) = {record.partition for record in delivery}
        start = next_offset[partition]
        assert [record.offset for record in delivery] == list(range(start, start + len(delivery)))
        next_offset[partition] += len(delivery)


async def test_an_empty_batch_publishes_nothing(transport: Transport, topic: str, group: str) -> None:
    listener = Listener()
    await transport.publish([])
    await transport.publish([Message(topic, "k", b"only")])
    async with consuming(transport, group, topic, listener):
        await listener.until_taken(1)
    assert listener.values == [b"only"]


async def test_topics_may_be_ensured_again_and_at_the_same_time(
    connect: Callable[[], Awaitable[Transport]], ring: Ring, topic: str
) -> None:
    names = [f"contract.{uuid4().hex}" for _ in range(3)]
    if ring.create_topics is not None:
        ring.create_topics(names)
    services = [await connect() for _ in range(3)]
    await asyncio.gather(*(service.ensure_topics([topic, *names]) for service in services))
    await services[0].publish([Message(name, "k", b"1") for name in names])
    assert await services[0].lag("nobody", names) == dict.fromkeys(names, 1)


# --------------------------------------------------------------------------------------------------------- delivery


async def test_raising_brings_the_same_records_again_in_the_same_order(
    transport: Transport, topic: str, group: str
) -> None:
    await transport.publish(messages(topic, 30, keys=1))
    listener = Listener()
    refused: list[list[bytes]] = []

    async def refuse_twice(records: Sequence[Record]) -> None:
        if len(refused) < 2:
            refused.append([record.value for record in records])
            raise RuntimeError("not now")
        await listener(records)

    async with consuming(transport, group, topic, refuse_twice):
        await listener.until_taken(30)
    first, second = refused
    assert second[: len(first)] == first
    assert listener.values == [str(n).encode() for n in range(30)]


@pytest.mark.parametrize("trouble", ["raises", "never ends"])
async def test_a_partition_in_trouble_holds_up_no_other(
    transport: Transport, topic: str, group: str, trouble: str
) -> None:
    keys = [f"key-{n}" for n in range(30)]
    healthy = Listener()
    async with consuming(transport, f"{group}-first", topic, healthy):
        await transport.publish([Message(topic, key, b"where do you live") for key in keys])
        await healthy.until_taken(30)
    partition_of = {record.key: record.partition for record in healthy.records}
    troubled = partition_of["key-0"]
    listener = Listener()
    met = asyncio.Event()

    async def handler(records: Sequence[Record]) -> None:
        if records[0].partition != troubled:
            await listener(records)
            return
        met.set()
        if trouble == "raises":
            raise RuntimeError("always")
        await asyncio.Event().wait()

    async with consuming(transport, group, topic, handler):
        async with asyncio.timeout(PATIENCE):
            await met.wait()
        # Only now, with the troubled one well stuck, the news for the others.
        for n in range(3):
            await transport.publish([Message(topic, key, str(n).encode()) for key in keys])
        others = [key for key in keys if partition_of[key] != troubled]
        await listener.until_taken(len(others) * 4)
    assert {record.key for record in listener.records} == set(others)


async def test_groups_hear_everything_each_for_itself(transport: Transport, topic: str, group: str) -> None:
    slow, quick = Listener(), Listener()

    async def refuse(records: Sequence[Record]) -> None:
        await slow(records)
        raise RuntimeError("this group takes nothing")

    async with consuming(transport, f"{group}-a", topic, refuse), consuming(transport, f"{group}-b", topic, quick):
        await transport.publish(messages(topic, 100))
        await quick.until_taken(100)
        await slow.until_taken(1)
        await nothing_left(transport, f"{group}-b", topic)
    assert sorted(quick.values) == sorted(str(n).encode() for n in range(100))
    assert await transport.lag(f"{group}-a", [topic]) == {topic: 100}


async def test_a_new_group_starts_at_the_earliest_record(transport: Transport, topic: str, group: str) -> None:
    old, new = Listener(), Listener()
    async with consuming(transport, f"{group}-old", topic, old):
        await transport.publish(messages(topic, 20))
        await old.until_taken(20)
    async with consuming(transport, f"{group}-new", topic, new):
        await new.until_taken(20)
    assert sorted(new.values) == sorted(old.values)


async def test_lag_counts_what_a_group_has_not_taken(transport: Transport, topic: str, group: str) -> None:
    await transport.publish(messages(topic, 40))
    assert await transport.lag(group, [topic]) == {topic: 40}
    listener = Listener()
    async with consuming(transport, group, topic, listener):
        await nothing_left(transport, group, topic)
    await transport.publish(messages(topic, 5))
    assert await transport.lag(group, [topic]) == {topic: 5}


# -------------------------------------------------------------------------------------------- processes come and go


async def test_a_group_resumes_where_it_stopped(
    connect: Callable[[], Awaitable[Transport]], topic: str, group: str
) -> None:
    before, after = Listener(), Listener()
    first = await connect()
    async with consuming(first, group, topic, before):
        await first.publish(messages(topic, 50))
        await before.until_taken(50)
        await nothing_left(first, group, topic)
    await first.stop()
    second = await connect()
    await second.publish(messages(topic, 50, first=50))
    async with consuming(second, group, topic, after):
        await after.until_taken(50)
        await nothing_left(second, group, topic)
    assert sorted(map(int, after.values)) == list(range(50, 100))


async def test_a_cancelled_handler_took_nothing(
    connect: Callable[[], Awaitable[Transport]], topic: str, group: str
) -> None:
    first, listener = await connect(), Listener()
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def never_ends(records: Sequence[Record]) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    await first.publish([Message(topic, "k", b"in the middle")])
    async with consuming(first, group, topic, never_ends):
        async with asyncio.timeout(PATIENCE):
            await begun.wait()
    assert cancelled.is_set()
    assert await first.lag(group, [topic]) == {topic: 1}
    async with consuming(await connect(), group, topic, listener):
        await listener.until_taken(1)
    assert listener.values == [b"in the middle"]


async def test_two_members_share_the_work_and_never_a_partition(
    connect: Callable[[], Awaitable[Transport]], topic: str, group: str
) -> None:
    held: dict[int, str] = {}
    workers: set[str] = set()
    seen: set[bytes] = set()
    overlaps: list[tuple[int, str, str]] = []

    def member(name: str) -> Handler:
        async def handler(records: Sequence[Record]) -> None:
            partition = records[0].partition
            if partition in held:
                overlaps.append((partition, held[partition], name))
            held[partition] = name
            try:
                await asyncio.sleep(0.005)  # long enough for a second holder to show itself
                seen.update(record.value for record in records)
                workers.add(name)
            finally:
                held.pop(partition, None)

        return handler

    publisher, first, second = [await connect() for _ in range(3)]
    published = 0
    async with consuming(first, group, topic, member("first")), consuming(second, group, topic, member("second")):
        async with asyncio.timeout(PATIENCE):
            while len(workers) < 2 or len(seen) < published:
                if len(workers) < 2:
                    await publisher.publish(messages(topic, 60, first=published))
                    published += 60
                await asyncio.sleep(0.02)
    assert overlaps == []
    assert len(seen) == published


@pytest.mark.parametrize("ring", RINGS[1:], indirect=True)
async def test_a_partition_is_let_go_before_another_member_gets_it(
    connect: Callable[[], Awaitable[Transport]], topic: str, group: str
) -> None:
    """Kafka moves partitions while a handler works; in PostgreSQL the row lock makes this impossible."""
    first, second = [await connect() for _ in range(2)]
    working: set[int] = set()
    stuck = asyncio.Event()
    let_go_before = Listener()

    async def never_ends(records: Sequence[Record]) -> None:
        working.add(records[0].partition)
        try:
            if len(working) == PARTITIONS:
                stuck.set()
            await asyncio.Event().wait()
        finally:
            working.discard(records[0].partition)

    async def takes(records: Sequence[Record]) -> None:
        assert records[0].partition not in working
        await let_go_before(records)

    await first.publish(messages(topic, 60))
    async with consuming(first, group, topic, never_ends):
        async with asyncio.timeout(PATIENCE):
            await stuck.wait()
        async with consuming(second, group, topic, takes):
            await let_go_before.until_taken(1)


# ------------------------------------------------------------------------------------------------- the broker is away


async def test_publishing_raises_while_the_broker_is_down_and_works_afterwards(
    connect: Callable[[], Awaitable[Transport]], ring: Ring, topic: str, group: str
) -> None:
    if ring.down is None:
        pytest.skip("nobody may take this one down")
    listener = Listener()
    settled, newcomer = await connect(), await connect()
    async with consuming(settled, group, topic, listener):
        await settled.publish([Message(topic, "k", b"before")])
        await listener.until_taken(1)
        with ring.down():
            for transport in (settled, newcomer):
                async with asyncio.timeout(PATIENCE):
                    with pytest.raises(Exception):  # noqa: B017, PT011 - which one is the transport's own affair
                        await transport.publish([Message(topic, "k", b"lost")])
            late = await connect()  # starting needs no broker
        for transport in (settled, newcomer, late):
            await published(transport, Message(topic, "k", b"after"))
        await listener.until(lambda: listener.values.count(b"after") >= 3)


async def published(transport: Transport, message: Message) -> None:
    """Publish as the relay does: again and again, until it is taken."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await transport.publish([message])
            except Exception:  # noqa: BLE001 - the relay does not ask either
                await asyncio.sleep(0.1)


async def test_stopping_takes_seconds_also_when_the_broker_is_down(ring: Ring, topic: str, group: str) -> None:
    transport = ring.connect()
    await transport.start()
    listener = Listener()
    async with consuming(transport, group, topic, listener):
        await transport.publish([Message(topic, "k", b"1")])
        await listener.until_taken(1)
        down = ring.down() if ring.down is not None else nullcontext()
        with down:
            async with asyncio.timeout(10):
                await transport.stop()


@pytest.mark.parametrize("ring", ["mock"], indirect=True)
async def test_a_consumer_that_fell_silent_is_replaced(
    transport: Transport, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such clients were seen: they fetch nothing, raise nothing, and the group believes that all is well."""
    fetch = Fetcher._proc_fetch_request
    silent: list[Fetcher] = []

    async def fetch_unless_silent(self: Fetcher, *request: Any) -> bool:
        if not silent:
            silent.append(self)
        if self is silent[0]:
            await asyncio.Event().wait()
        heard: bool = await fetch(self, *request)
        return heard

    monkeypatch.setattr(Fetcher, "_proc_fetch_request", fetch_unless_silent)
    listener = Listener()
    async with consuming(transport, group, topic, listener):
        await transport.publish([Message(topic, "k", b"1")])
        await listener.until_taken(1)
    assert listener.values == [b"1"]
