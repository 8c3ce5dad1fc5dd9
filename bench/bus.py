"""The bus: outbox -> relay -> transport -> inbox -> effect, against bare aiokafka; and how soon news arrive when idle.

Relay and consumer run in separate processes, as deployed. Kafka is a real broker; where there is none, it says so.
"""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from rich.progress import Progress

from bench import carrier, stage
from bench.report import Figure, Report, at_least, at_most, holds, median, only_told, percentile
from embedded.postgres import EmbeddedPostgres
from shared.bus.envelope import headers_of, new_id, seal
from shared.bus.kafka import KafkaTransport
from shared.service.clock import wall_time

CASES = 1_000
IDLE_EVENTS = 150
EACH_ALONE = 3_000
_FILL = (
    "INSERT INTO training.outbox (id, topic, key, type, value)"
    " SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[])"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is played: the database, and the transport's settings."""

    server: EmbeddedPostgres
    within: Path
    transport: str
    kafka: str
    run: str

    def plan(self, schema: str, *, way: str, batched: bool = True) -> str:
        """What a process is told at its start; each way has a topic and a group of its own."""
        return json.dumps(
            {
                "url": self.server.url(user=f"tsunagu_{schema}", database="bench"),
                "schema": schema,
                "settings": {
                    "transport": self.transport,
                    "kafka_bootstrap_servers": self.kafka,
                    "bus_database_url": self.server.url(user="tsunagu_bus", database="bench"),
                },
                "topic": self.topic(way),
                "group": f"{self.topic(way)}-{schema}",
                "batched": batched,
                "messages": str(self.within / "messages.json"),
            }
        )

    def topic(self, way: str) -> str:
        """Of this run only."""
        return f"bench.{self.run}.{self.transport}.{way}"


class Player:
    """One process, spoken to in lines."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def say(self, word: str) -> None:
        """A word to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())
        await self._process.stdin.drain()

    async def hear(self, seconds: float = 90) -> dict[str, Any]:
        """Its next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the benchmark ended:\n{stage.tail(self._log)}")
        told: dict[str, Any] = json.loads(line)
        return told

    async def spent(self) -> float:
        """Seconds of processor time it has used so far."""
        await self.say("spent")
        return float((await self.hear())["spent"])


@dataclass(frozen=True, slots=True)
class Passed:
    """How some events went from one process to another: a second, and processor time of each process for one event."""

    rate: float
    sender_us: float
    receiver_us: float


async def measure(progress: Progress, *, rounds: int, events: int, kafka: str | None) -> Report:
    """Both transports; bare aiokafka beside the Kafka one."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {"rounds": rounds, "events": events}
    notes = []
    broker = await asyncio.to_thread(_broker, kafka)
    transports = ["postgres"] if broker.address is None else ["kafka", "postgres"]
    if broker.address is None:
        notes.append(f"Kafka: 測っていません / not measured: {broker.reason}")
    task = progress.add_task("バス / bus", total=len(transports) * (2 * rounds + 3))
    with stage.folder() as within, stage.postgres(within) as server:
        await stage.make_database(server, "bench", ["training", "dashboard"])
        await _make_effect_table(server)
        try:
            for transport in transports:
                place = Place(server, within, transport, broker.address or "", new_id().hex[:12])
                figures += await _one_transport(place, progress, task, rounds=rounds, events=events, raw=raw)
                if transport == "kafka":
                    await _forget_topics(place)
        finally:
            if broker.ours:
                await asyncio.to_thread(_kafka_script, "stop")
    return Report("バス / bus: outbox → transport → inbox → effect", figures, raw, tuple(notes))


async def _one_transport(
    place: Place, progress: Progress, task: Any, *, rounds: int, events: int, raw: dict[str, Any]
) -> list[Figure]:
    rows = _rows(events, place.topic("bare"))
    (place.within / "messages.json").write_text(
        json.dumps([(row[2], row[4].decode(), _headers(row)) for row in rows]), encoding="utf-8"
    )
    whole, bare = await _batched(place, rows, rounds, lambda: progress.advance(task))
    alone = await _each_alone(place, min(EACH_ALONE, events), lambda: progress.advance(task))
    delays = await _idle(place)
    progress.advance(task)
    raw[place.transport] = {
        "batched": [asdict(each) for each in whole], "bare_aiokafka": [asdict(each) for each in bare],
        "one_transaction_each": [round(each) for each in alone],
        "delay_ms": {str(share): round(percentile(delays, share), 1) for share in (0.5, 0.9, 0.99, 1.0)},
    }  # fmt: skip
    name = place.transport
    rate = median([each.rate for each in whole])
    if bare:
        plain = median([each.rate for each in bare])
        beside = f"{rate:,.0f}/s : {plain:,.0f}/s, n = {events:,} × {rounds}"
        batched = at_least(f"{name}: effects in batches, ratio to aiokafka", rate / plain, 0.5, beside=beside)
    else:
        batched = only_told(f"{name}: effects in batches", f"{rate:,.0f}/s  (n = {events:,} × {rounds})")
    count = f"n = {len(delays)}"
    return [
        batched,
        only_told(f"{name}: CPU for an event in batches", " : ".join(_cpu(ways) for ways in (whole, bare) if ways)),
        at_least(
            f"{name}: one transaction each",
            median(alone),
            500,
            unit="/s",
            beside=f"n = {min(EACH_ALONE, events):,} × 2",
        ),
        at_most(f"{name}: commit to effect, idle, p50", percentile(delays, 0.5), 15, unit=" ms", beside=count),
        at_most(f"{name}: commit to effect, idle, p99", percentile(delays, 0.99), 100, unit=" ms", beside=count),
        holds(f"{name}: once in effect", await _wrong(place, rows, rounds), beside="nothing lost, nothing twice"),
    ]


def _cpu(passed: Sequence[Passed]) -> str:
    sender, receiver = median([each.sender_us for each in passed]), median([each.receiver_us for each in passed])
    return f"{sender:.0f} + {receiver:.0f} µs"


# --- the ways -------------------------------------------------------------------------------------------------------


async def _batched(place: Place, rows: Sequence[Any], rounds: int, advance: Any) -> tuple[list[Passed], list[Passed]]:
    whole, bare = [], []
    topic = place.topic("batched")
    async with (
        _player(place, "carry", "training", way="batched") as relay,
        _player(place, "hear", "dashboard", way="batched") as ears,
        _bare(place) as raw,
    ):
        await _through(place, relay, ears, _rows(200, topic))  # when it has heard once, it has joined its group
        for _ in range(rounds):
            whole.append(await _through(place, relay, ears, _rows(len(rows), topic)))
            advance()
            if raw is not None:
                bare.append(await _sent(raw[0], raw[1], len(rows)))
            advance()
    return whole, bare


async def _each_alone(place: Place, number: int, advance: Any) -> list[float]:
    rates = []
    async with (
        _player(place, "carry", "training", way="alone") as relay,
        _player(place, "hear", "dashboard", way="alone", batched=False) as ears,
    ):
        await _through(place, relay, ears, _rows(100, place.topic("alone")))
        for _ in range(2):
            rates.append((await _through(place, relay, ears, _rows(number, place.topic("alone")))).rate)
            advance()
    return rates


async def _idle(place: Place) -> list[float]:
    """Milliseconds from a commit to the effect in the other service."""
    told: dict[str, float] = {}
    async with (
        _player(place, "tell", "training", way="idle") as teller,
        _player(place, "hear", "dashboard", way="idle", batched=False) as ears,
    ):
        for number in (10, IDLE_EVENTS):  # the first few until it has joined its group
            await ears.say(f"expect {number}")
            await ears.hear()
            await teller.say(f"tell {number}")
            told = (await teller.hear())["told"]
            await ears.hear()
        await ears.say("moments")
        moments = (await ears.hear())["moments"]
    return [(moments[case] - told[case]) * 1000 for case in told]


async def _through(place: Place, relay: Player, ears: Player, rows: Sequence[Any]) -> Passed:
    """Effects a second, from the relay's start to the last effect, for events that already stand in the outbox."""
    connection = await stage.admin(place.server, "bench")
    try:
        await connection.execute(_FILL, *(list(column) for column in zip(*rows, strict=True)))
        await connection.execute("VACUUM ANALYZE training.outbox")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    return await _sent(relay, ears, len(rows))


async def _sent(sender: Player, receiver: Player, number: int, word: str = "go") -> Passed:
    before = await sender.spent(), await receiver.spent()
    await receiver.say(f"expect {number}")
    await receiver.hear()
    await sender.say(word)
    began = (await sender.hear())["at"]
    ended = (await receiver.hear())["at"]
    used = await sender.spent() - before[0], await receiver.spent() - before[1]
    return Passed(number / float(ended - began), *(seconds / number * 1e6 for seconds in used))


@asynccontextmanager
async def _bare(place: Place) -> AsyncIterator[tuple[Player, Player] | None]:
    if place.transport != "kafka":
        yield None
        return
    async with (
        _player(place, "produce", "training", way="bare") as producer,
        _player(place, "consume", "dashboard", way="bare") as consumer,
    ):
        await _sent(producer, consumer, 100, word="warm")
        yield producer, consumer


@asynccontextmanager
async def _player(place: Place, role: str, schema: str, *, way: str, batched: bool = True) -> AsyncIterator[Player]:
    log = place.within / f"{role}-{place.transport}-{way}.log"
    if role == "produce":
        await _make_topic(place, way)
    args = ("-m", "bench.carrier", role, place.plan(schema, way=way, batched=batched))
    async with stage.process(*args, log=log, talks=True) as process:
        player = Player(process, log)
        await player.hear()
        try:
            yield player
        finally:
            assert process.stdin is not None
            process.stdin.close()  # the end of the words is the end of its work


# --- what travels ---------------------------------------------------------------------------------------------------

Row = tuple[Any, str, str, str, bytes]


def _rows(number: int, topic: str) -> list[Row]:
    """Rows of an outbox: facts about a thousand cases, on a topic of this run."""
    cases = [new_id() for _ in range(CASES)]
    return [_row(carrier.held(cases[place % CASES]), place // CASES + 1, topic) for place in range(number)]


def _row(event: Any, sequence: int, topic: str) -> Row:
    event_id = new_id()
    value = seal(event, event_id=event_id, at=wall_time(), sequence=sequence, by="kagoshima-desk", cause=str(new_id()))
    return event_id, topic, event.subject, event.type, value


def _headers(row: Row) -> dict[str, str]:
    return headers_of(event_id=row[0], type_=row[3], subject=row[2], topic=row[1])


async def _make_effect_table(server: EmbeddedPostgres) -> None:
    connection = await stage.admin(server, "bench")
    try:
        await connection.execute(carrier.EFFECT_TABLE)
        await connection.execute("GRANT INSERT, SELECT ON dashboard.bench_effect TO tsunagu_dashboard")
    finally:
        await connection.close()


async def _wrong(place: Place, rows: Sequence[Row], rounds: int) -> list[str]:
    """Everything that was told took effect, once: the effect's own key would have refused a second time."""
    expected = 200 + len(rows) * rounds + 100 + 2 * min(EACH_ALONE, len(rows)) + 10 + IDLE_EVENTS
    connection = await stage.admin(place.server, "bench")
    try:
        found = await connection.fetchval("SELECT count(*) FROM dashboard.bench_effect")
        parked = await connection.fetch("SELECT reason, error, count(*) FROM dashboard.parked GROUP BY 1, 2")
        await connection.execute("TRUNCATE dashboard.bench_effect")
    finally:
        await connection.close()
    wrong = [] if found == expected else [f"{found} effects of {expected}"]
    return wrong + [f"{row['count']} parked: {row['reason']} {row['error'] or ''}" for row in parked]


# --- the broker -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Broker:
    """A real Kafka, or why there is none."""

    address: str | None
    ours: bool = False
    reason: str = ""


def _broker(given: str | None) -> Broker:
    """The one that is named, the one that runs, or one that we start and stop."""
    if given:
        return Broker(given)
    running = _kafka_script("status")
    if running.returncode == 0:
        return Broker(running.stdout.split()[-1])
    started = _kafka_script("start")
    if started.returncode == 0:
        return Broker(started.stdout.split()[-1], ours=True)
    return Broker(None, reason=started.stderr.strip().splitlines()[-1] if started.stderr.strip() else "make kafka")


def _kafka_script(word: str) -> "subprocess.CompletedProcess[str]":
    script = str(stage.ROOT / "ops" / "kafka" / "run.sh")
    return subprocess.run([script, word], capture_output=True, text=True, check=False, timeout=300)  # noqa: S603 - ours


async def _make_topic(place: Place, way: str) -> None:
    transport = KafkaTransport(place.kafka, client_id="bench")
    await transport.ensure_topics([place.topic(way)])
    await transport.stop()


async def _forget_topics(place: Place) -> None:
    """Delete this run's topics; somebody else may use the same broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=place.kafka)
    await admin.start()
    try:
        ours = [topic for topic in await admin.list_topics() if topic.startswith(f"bench.{place.run}.")]
        if ours:
            await admin.delete_topics(ours)
    finally:
        await admin.close()
