"""The whole way of an event on real tables: nothing lost, nothing twice, in order per key, poison set aside."""

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from embedded.postgres import EmbeddedPostgres
from shared.bus import postgres as postgres_transport
from shared.bus.envelope import new_id, seal
from shared.bus.inbox import ATTEMPTS, Ears, Inbox, News, drop_parked, parked_events, retry_parked
from shared.bus.kafka import KafkaTransport
from shared.bus.port import Message, Record, Transport
from shared.bus.postgres import PostgresTransport
from shared.bus.relay import Relay
from shared.database import NOBODY, Acting, connect
from shared.events import ConsentPending, PoolChanged, topic_of
from shared.service.clock import wall_time
from tests.contract.mail_house import (
    PATIENCE,
    TOPIC,
    House,
    OwnTopic,
    going,
    record,
    take_note,
)


@pytest.fixture
async def log(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Transport]:
    """The PostgreSQL transport on the test's own database."""
    transport = PostgresTransport(postgres.url(user="tsunagu_bus", database=database_name), pause=0.05)
    await transport.start()
    await transport.ensure_topics([TOPIC])
    yield transport
    await transport.stop()


@pytest.fixture
async def kafka(kafka_bootstrap: str, topic_on_kafka: str) -> AsyncIterator[Transport]:
    transport = OwnTopic(KafkaTransport(kafka_bootstrap, "mailbox"), topic_on_kafka)
    await transport.start()
    await transport.ensure_topics([TOPIC])
    yield transport
    await transport.stop()


@pytest.fixture(params=["log", pytest.param("kafka", marks=pytest.mark.kafka)])
def transport(request: pytest.FixtureRequest) -> Transport:
    found: Transport = request.getfixturevalue(request.param)
    return found


class Through:
    """A transport with an accident on the way."""

    def __init__(self, inner: Transport, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._inner, self._before, self._after = inner, before, after

    async def publish(self, batch: Sequence[Message]) -> None:
        self._before()
        await self._inner.publish(batch)
        self._after()

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def ensure_topics(self, topics: Sequence[str]) -> None: ...
    async def consume(self, group: str, topics: Sequence[str], handler: object) -> None: ...
    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[str, int]:
        return {}


def group() -> str:
    return f"mailbox-{uuid4().hex}"


async def compare(house: House) -> None:
    """Everything that was told took effect, once, in order."""
    assert await house.effects() == await house.told()
    assert await house.parked() == []


# --------------------------------------------------------------------------------------------------------- the journey


async def test_twelve_writers_on_fifty_keys_arrive_in_order_and_once(house: House, transport: Transport) -> None:
    keys = [uuid4() for _ in range(50)]

    class Undone(Exception):
        """Some transactions change their mind after telling."""

    async def change_of_mind() -> None:
        raise Undone

    async def write(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(60):
            try:
                await house.tell(draw.choice(keys), meanwhile=change_of_mind if draw.random() < 0.15 else None)
            except Undone:
                continue

    relay, inbox, ours = house.relay(transport), house.inbox(), group()
    async with going(relay.run, lambda: transport.consume(ours, [TOPIC], inbox.deliver)):
        await asyncio.gather(*(write(seed) for seed in range(12)))
        await house.until_all_arrived()
    await compare(house)
    assert sum(len(versions) for versions in (await house.told()).values()) > 500


async def test_what_is_delivered_twice_takes_effect_once(house: House, transport: Transport) -> None:
    inbox, ours = house.inbox(), group()

    async def twice(records: Sequence[Record]) -> None:
        await inbox.deliver(records)
        await inbox.deliver(records[::-1])
        await asyncio.gather(inbox.deliver(records), inbox.deliver(records))

    keys = [uuid4() for _ in range(8)]
    async with going(house.relay(transport).run, lambda: transport.consume(ours, [TOPIC], twice)):
        for n in range(64):
            await house.tell(keys[n % 8])
        await house.until_all_arrived()
    await compare(house)


async def test_a_batch_too_slow_for_the_transports_patience_is_taken_by_and_by(
    house: House, log: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under load, where each transaction has to wait: what was done is not done again, or nobody would come on."""
    begin = house.listener.transaction

    @contextlib.asynccontextmanager
    async def late(acting: Acting = NOBODY) -> AsyncIterator[AsyncSession]:
        await asyncio.sleep(0.02)
        async with begin(acting) as session:
            yield session

    monkeypatch.setattr(house.listener, "transaction", late)
    monkeypatch.setattr(postgres_transport, "_HANDLER_SECONDS", 1.0)
    inbox = house.inbox()
    given_up = 0

    async def deliver(records: Sequence[Record]) -> None:
        nonlocal given_up
        try:
            await inbox.deliver(records)
        except asyncio.CancelledError:
            given_up += 1
            raise

    told = [record("00000000-0000-4000-8000-000000000001", n) for n in range(1, 201)]
    await log.publish([Message(each.topic, each.key, each.value, each.headers) for each in told])
    async with going(lambda: log.consume("training", [TOPIC], deliver)), asyncio.timeout(PATIENCE):
        while await log.lag("training", [TOPIC]) != {TOPIC: 0}:  # noqa: ASYNC110 - it changes elsewhere
            await asyncio.sleep(0.1)
    assert given_up >= 2
    assert [len(heard) for heard in (await house.effects()).values()] == [200]


async def test_what_means_nothing_here_or_is_said_anew_at_once_costs_no_transaction(house: House) -> None:
    first, second = uuid4(), uuid4()
    heard: list[tuple[UUID, int]] = []

    async def note(_: AsyncSession, event: PoolChanged, _news: News) -> None:
        heard.append((event.pool_id, event.held))

    def of_pool(pool: UUID, held: int, kind: str = "general") -> Record:
        event = PoolChanged(pool_id=pool, course_run_id=first, kind=kind, granted=9, held=held, filled=0, waiting=0)
        value = seal(event, event_id=new_id(), at=wall_time(), sequence=held, by=None, cause=None)
        return Record(topic_of("training"), 0, len(heard), str(pool), value)

    ears = Ears({PoolChanged: note}, concerns=lambda event: isinstance(event, PoolChanged) and event.kind == "general")
    inbox = Inbox("training", house.listener, ears)
    other = of_pool(second, 8, "priority")
    await inbox.deliver([of_pool(first, 1), of_pool(second, 2), of_pool(first, 3), other])
    assert heard == [(second, 2), (first, 3)]
    await inbox.deliver([other])
    await inbox.deliver([of_pool(first, 4)])
    assert heard[2:] == [(first, 4)]
    async with house.listener.session() as session:
        assert (await session.execute(text("SELECT count(*) FROM inbox"))).scalar_one() == 3


# ----------------------------------------------------------------------------------------------------------- the relay


async def test_a_broker_that_fails_costs_neither_events_nor_order(house: House, log: Transport) -> None:
    draw = random.Random(7)
    failures = {"before": 0, "after": 0}

    def fail(where: str) -> Callable[[], None]:
        def maybe() -> None:
            if draw.random() < 0.4:
                failures[where] += 1
                raise ConnectionError(where)

        return maybe

    relay, inbox = house.relay(Through(log, fail("before"), fail("after"))), house.inbox()
    keys = [uuid4() for _ in range(5)]

    async def write() -> None:
        for n in range(100):
            await house.tell(keys[n % 5])

    async with going(relay.run, lambda: log.consume("training", [TOPIC], inbox.deliver)):
        await write()
        async with asyncio.timeout(PATIENCE):
            while min(failures.values()) < 3:
                await house.tell(keys[0])
                await asyncio.sleep(0.01)
        await house.until_all_arrived()
    await compare(house)


async def test_what_is_committed_after_a_later_number_was_published_is_carried_too(
    house: House, log: Transport
) -> None:
    """Numbers are drawn before the commit: an earlier one may show itself between the relay's reading and deleting."""
    drawn, published = asyncio.Event(), asyncio.Event()

    async def linger() -> None:
        drawn.set()
        await published.wait()

    class Slow(Through):
        async def publish(self, batch: Sequence[Message]) -> None:
            await super().publish(batch)
            published.set()
            await early

    early = asyncio.create_task(house.tell(uuid4(), meanwhile=linger))
    await drawn.wait()
    await house.tell(uuid4())
    relay, inbox = house.relay(Slow(log, lambda: None, lambda: None)), house.inbox()
    async with going(relay.run, lambda: log.consume("training", [TOPIC], inbox.deliver)):
        await house.until_all_arrived()
    await compare(house)


async def test_the_relay_leads_again_after_a_failure_though_the_pool_has_other_connections(
    house: House, log: Transport
) -> None:
    broken = True

    def fail() -> None:
        if broken:
            raise ConnectionError

    held = [await house.teller.engine.connect() for _ in range(4)]
    for connection in held:
        await connection.execute(text("SELECT 1"))
    for connection in held:
        await connection.close()
    relay = house.relay(Through(log, fail, lambda: None))
    await house.tell(uuid4())
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(relay.run(), 5)
    broken = False
    async with going(relay.run), asyncio.timeout(10):
        while await house.unsent():  # noqa: ASYNC110 - it changes in the database
            await asyncio.sleep(0.02)


async def test_when_the_leader_is_killed_a_second_relay_takes_over(
    house: House, log: Transport, admin: asyncpg.Connection, postgres: EmbeddedPostgres, database_name: str
) -> None:
    carried: list[str] = []
    other = connect(postgres.url(user="tsunagu_intake", database=database_name), schema="intake")
    relays = {
        name: Relay("intake", database, Through(log, lambda: None, lambda n=name: carried.append(n)), pause=0.05)  # type: ignore[misc]
        for name, database in (("first", house.teller), ("second", other))
    }
    inbox, keys = house.inbox(), [uuid4() for _ in range(5)]
    stopped = asyncio.Event()

    async def first_once() -> None:
        if not stopped.is_set():
            await relays["first"].run()

    async with going(first_once, lambda: log.consume("training", [TOPIC], inbox.deliver)):
        await house.tell(keys[0])
        async with asyncio.timeout(PATIENCE):
            while not carried:  # noqa: ASYNC110 - it happens in the relay
                await asyncio.sleep(0.01)
        async with going(relays["second"].run):
            for n in range(50):
                await house.tell(keys[n % 5])
            assert set(carried) == {"first"}, "one relay at a time"
            stopped.set()
            leader = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 7470003 LIMIT 1"
            killed = await admin.fetchval(f"SELECT pg_terminate_backend(({leader}))")
            assert killed
            for n in range(50):
                await house.tell(keys[n % 5])
            await house.until_all_arrived()
    assert carried[-1] == "second"
    await compare(house)
    await other.dispose()


# ------------------------------------------------------------------------------------------------------- what is parked


class Fussy:
    """Refuses the versions in `poison`, and counts how often it was asked."""

    def __init__(self, *poison: tuple[UUID, int]) -> None:
        self.poison = set(poison)
        self.asked = 0

    async def __call__(self, session: AsyncSession, event: ConsentPending, news: News) -> None:
        await take_note(session, event, news)
        if (event.case_id, event.consent_version) in self.poison:
            self.asked += 1
            raise ValueError("canary")


async def test_poison_is_parked_its_key_waits_and_the_others_flow(house: House) -> None:
    bad, good = uuid4(), uuid4()
    fussy = Fussy((bad, 2))
    inbox = house.inbox(fussy)
    records = [
        record(key, version, offset=n)
        for n, (version, key) in enumerate((v, k) for v in (1, 2, 3, 4) for k in (bad, good))
    ]
    await inbox.deliver(records)
    assert fussy.asked == ATTEMPTS
    assert await house.effects() == {bad: [1], good: [1, 2, 3, 4]}
    assert await house.parked() == [
        (str(bad), "failed", "ValueError"),
        (str(bad), "behind_parked", None),
        (str(bad), "behind_parked", None),
    ]
    await inbox.deliver(records)  # the broker brings them all again
    assert await house.effects() == {bad: [1], good: [1, 2, 3, 4]}
    assert len(await house.parked()) == 3

    ears = Ears({ConsentPending: fussy})
    stopped = await retry_parked(house.listener, ears, str(bad))
    assert (stopped.done, stopped.error) == (0, "ValueError")
    assert len(await house.parked()) == 3
    fussy.poison.clear()
    assert (await retry_parked(house.listener, ears, str(bad))).done == 3
    await inbox.deliver([*records, record(bad, 5, offset=8)])
    assert await house.effects() == {bad: [1, 2, 3, 4, 5], good: [1, 2, 3, 4]}
    assert await house.parked() == []


async def test_a_dropped_event_lets_the_others_of_its_key_go_on_and_stays_as_evidence(house: House) -> None:
    key = uuid4()
    fussy = Fussy((key, 1))
    await house.inbox(fussy).deliver([record(key, 1), record(key, 2)])
    async with house.listener.transaction() as session:
        first = (await parked_events(session))[0]
        assert await drop_parked(session, first.id, by="operator", reason="a test event")
        assert not await drop_parked(session, first.id, by="operator", reason="again")
        assert not await drop_parked(session, 10_000, by="operator", reason="none such")
    assert (await retry_parked(house.listener, Ears({ConsentPending: fussy}), str(key))).done == 1
    await house.inbox(fussy).deliver([record(key, 3)])
    assert await house.effects() == {key: [2, 3]}
    async with house.listener.session() as session:
        (evidence,) = await parked_events(session, include_dropped=True)
    assert (evidence.dropped_by, evidence.dropped_reason, evidence.event_id is not None) == (
        "operator",
        "a test event",
        True,
    )


async def test_a_drop_waits_for_a_retry_that_is_under_way(house: House, admin: asyncpg.Connection) -> None:
    key, inside, gate = uuid4(), asyncio.Event(), asyncio.Event()
    await house.inbox(Fussy((key, 1))).deliver([record(key, 1)])

    async def slowly(session: AsyncSession, event: ConsentPending, news: News) -> None:
        await take_note(session, event, news)
        inside.set()
        await gate.wait()

    async def drop() -> bool:
        async with house.listener.transaction() as session:
            (only,) = await parked_events(session)
            return await drop_parked(session, only.id, by="operator", reason="too late")

    retry = asyncio.create_task(retry_parked(house.listener, Ears({ConsentPending: slowly}), str(key)))
    await inside.wait()
    dropping = asyncio.create_task(drop())
    await one_waits(admin, dropping)
    gate.set()
    assert (await retry).done == 1
    assert await dropping is False, "it took effect, so it wasn't dropped"


async def one_waits(admin: asyncpg.Connection, *unless_done: asyncio.Task[object]) -> None:
    """Until somebody waits for a lock, or one of the tasks is through."""
    async with asyncio.timeout(PATIENCE):
        while not any(task.done() for task in unless_done) and not await admin.fetchval(  # noqa: ASYNC110 - it changes elsewhere
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"
            " AND datname = current_database() AND query NOT LIKE '%INSERT INTO parked%'"
        ):
            await asyncio.sleep(0.01)


async def test_no_event_is_stuck_when_a_retry_ends_while_the_next_is_being_parked(
    house: House, admin: asyncpg.Connection
) -> None:
    key = uuid4()
    await house.inbox(Fussy((key, 1))).deliver([record(key, 1)])
    # The next event sees the quarantine and is about to be parked; a trigger holds it there.
    await admin.execute(
        "CREATE FUNCTION training.hold() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$;"
        " CREATE TRIGGER hold BEFORE INSERT ON training.parked FOR EACH ROW EXECUTE FUNCTION training.hold()"
    )
    await admin.execute("SELECT pg_advisory_lock(42)")
    delivery = asyncio.create_task(house.inbox().deliver([record(key, 2)]))
    async with asyncio.timeout(PATIENCE):
        while not await admin.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):  # noqa: ASYNC110 - it changes elsewhere
            await asyncio.sleep(0.01)
    retry = asyncio.create_task(retry_parked(house.listener, house.ears, str(key)))
    await one_waits(admin, retry)
    await admin.execute("SELECT pg_advisory_unlock(42)")
    await asyncio.gather(delivery, retry)
    assert await house.parked() == []
    assert await house.effects() == {key: [1, 2]}


async def test_retries_racing_with_deliveries_leave_nothing_stuck_and_nothing_out_of_order(house: House) -> None:
    for turn in range(15):
        key = uuid4()
        await house.inbox(Fussy((key, 1))).deliver([record(key, 1, offset=turn * 100 + 1)])
        await asyncio.gather(
            house.inbox().deliver([record(key, n, offset=turn * 100 + n) for n in range(2, 12)]),
            retry_parked(house.listener, house.ears, str(key)),
        )
        assert (await house.effects())[key] == list(range(1, 12))
        assert await house.parked() == []


BROKEN: dict[str, Callable[[Record], Record]] = {
    "not json": lambda r: replace(r, value=b"\xff\x00 canary"),
    "a list": lambda r: replace(r, value=b"[1]"),
    "deep": lambda r: replace(r, value=b"[" * 100_000),
    "no cloudevent": lambda r: replace(r, value=b"{}"),
    "a number as id": lambda r: replace(r, value=r.value.replace(b'"id":"', b'"id":5,"was":"', 1)),
    "an endless sequence": lambda r: replace(r, value=r.value.replace(b'"sequence":"', b'"sequence":1e999,"was":"', 1)),
    "no sequence": lambda r: replace(r, value=r.value.replace(b'"sequence":"', b'"sequence":null,"was":"', 1)),
    "a time that is none": lambda r: replace(r, value=r.value.replace(b'"time":"', b'"time":"x', 1)),
    "a time nowhere": lambda r: replace(r, value=re.sub(rb'"time":"[^"]+"', b'"time":"2026-11-23T06:00:00"', r.value)),
    "a sequence too long for a column": lambda r: replace(
        r, value=r.value.replace(b'"sequence":"', b'"sequence":"9999999999', 1)
    ),
    "a sequence below nothing": lambda r: replace(r, value=r.value.replace(b'"sequence":"', b'"sequence":"-', 1)),
    "another service's event": lambda r: replace(r, topic=topic_of("dashboard")),
    "an event in another's name": lambda r: replace(
        r, value=r.value.replace(b"/services/intake", b"/services/referral", 1)
    ),
    "data of another shape": lambda r: replace(r, value=r.value.replace(b'"consent_version"', b'"x"', 1)),
    "data that is none": lambda r: replace(r, value=r.value.replace(b'"data":{', b'"data":5,"was":{', 1)),
    "NUL in its data": lambda r: replace(r, value=r.value.replace(b'"data":{', b'"data":{"newer":"\\u0000",', 1)),
    "NUL in who acted": lambda r: replace(r, value=r.value.replace(b'"by":"', b'"by":"\\u0000', 1)),
    "a number that is none": lambda r: replace(r, value=r.value.replace(b'"data":{', b'"data":{"newer":NaN,', 1)),
    "NUL in a header": lambda r: replace(r, value=b"?", headers={"a\x00": "b\x00"}),
    "half a character in a header": lambda r: replace(r, value=b"?", headers={"a": "\udcff"}),
    "NUL in the key": lambda r: replace(r, key="a\x00b", value=b"?"),
    "NUL in the key of a good event": lambda r: replace(r, key="a\x00b"),
    "half a character in the key": lambda r: replace(r, key="\udcff", value=b"?"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_whatever_a_stranger_writes_to_a_topic_is_parked_and_stops_nobody(house: House, name: str) -> None:
    bad, good = uuid4(), uuid4()
    async with asyncio.timeout(PATIENCE):
        records = [BROKEN[name](record(bad, 1)), record(good, 2)]
        await house.inbox().deliver(records)
        await house.inbox().deliver(records)
    assert await house.effects() == {good: [2]}
    (parked,) = await house.parked()
    assert "canary" not in str(parked)


async def test_what_nobody_knows_is_passed_over(house: House) -> None:
    key = uuid4()
    known = record(key, 1)
    unknown = replace(known, value=known.value.replace(b"consent-pending.v1", b"something-new.v9"))
    more = record(key, 2)
    extended = replace(more, value=more.value.replace(b'"data":{', b'"extension":[1],"data":{"new_field":{"a":1},', 1))
    await house.inbox().deliver([unknown, extended])
    assert await house.effects() == {key: [2]}
    assert await house.parked() == []


async def test_what_becomes_readable_later_takes_effect_once_even_when_it_is_delivered_again(house: House) -> None:
    key = uuid4()
    fine = record(key, 1)
    await house.inbox().deliver([replace(fine, value=b"?")])
    async with house.listener.transaction() as session:
        # As if newer code could read what older code could not.
        await session.execute(text("UPDATE parked SET value = :value"), {"value": fine.value})
    assert (await retry_parked(house.listener, house.ears, str(key))).done == 1
    await house.inbox().deliver([fine])
    assert await house.effects() == {key: [1]}


# ------------------------------------------------------------------------------------------------------------- outages


async def lose_connection(session: AsyncSession, admin: asyncpg.Connection) -> None:
    """Cut the session's own connection."""
    pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    await admin.execute("SELECT pg_terminate_backend($1)", pid)
    while await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid):  # noqa: ASYNC110 - it changes elsewhere
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("trouble", ["connection", "state", "pool", "socket", "time"])
async def test_an_outage_parks_nothing_however_long_it_lasts(
    house: House, admin: asyncpg.Connection, trouble: str
) -> None:
    left = ATTEMPTS + 4

    async def unlucky(session: AsyncSession, event: ConsentPending, news: News) -> None:
        nonlocal left
        await take_note(session, event, news)
        if left == 0:
            return
        left -= 1
        match trouble:
            case "connection":
                await lose_connection(session, admin)
                await session.execute(text("SELECT 1"))
            case "state":
                state = ("40001", "40P01", "55P03", "53300", "57P03", "25006")[left % 6]
                await session.execute(text(f"DO $$ BEGIN RAISE 'x' USING ERRCODE = '{state}'; END $$"))
            case "pool":
                small = connect(house.listener.engine.url.render_as_string(), schema="training", pool=1)
                small.engine.sync_engine.pool._timeout = 0.01  # type: ignore[attr-defined]
                async with small.session() as one, small.session() as two:
                    await one.execute(text("SELECT 1"))
                    try:
                        await two.execute(text("SELECT 1"))
                    finally:
                        await one.close()
                        await small.dispose()
            case "socket":
                lost = connect("postgresql+asyncpg://nobody@127.0.0.1:1/nowhere", schema="training")
                async with lost.session() as one:
                    await one.execute(text("SELECT 1"))
            case _:
                raise TimeoutError

    key = uuid4()
    await house.inbox(unlucky).deliver([record(key, 1)])
    assert left == 0
    assert await house.effects() == {key: [1]}
    assert await house.parked() == []


async def test_a_slow_poison_is_parked_although_the_transport_loses_patience(house: House) -> None:
    key = uuid4()
    inbox = house.inbox()
    calls = 0

    async def fails_then_hangs(session: AsyncSession, event: ConsentPending, news: News) -> None:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            await asyncio.Event().wait()
        raise ValueError

    inbox = house.inbox(fails_then_hangs)
    for _ in range(6):
        try:
            async with asyncio.timeout(0.3):
                await inbox.deliver([record(key, 1, event_id=UUID(int=7))])
        except TimeoutError:
            continue
        break
    assert [reason for _, reason, _ in await house.parked()] == ["failed"]
