"""Referrals while services and the broker are killed (-9) at random: none is lost, none is doubled, both books agree.

`REFERRALS` says how many: some by default, 10,000 by night.
"""

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
from rich.console import Console

from demo.client import Agency, eventually
from demo.load import load_region
from embedded.postgres import EmbeddedPostgres
from services.intake.domain.custody import check
from tests.e2e.conftest import Broker
from tests.e2e.processes import Platform, one_process_each, wait_until_ready
from tests.world import execute_as_admin

pytestmark = pytest.mark.slow

REFERRALS = int(os.environ.get("REFERRALS", "60"))
AT_ONCE = 12
DESK = "kagoshima-desk"
RECEIVERS = ("npo-hinata", "ibasho-sakura", "readiness-wakaba")
DRAINED = 120.0
"""Seconds after the last kill until everything that was told has been heard."""
HEARD_BETWEEN = 5
"""Referrals sent between two kills."""
WAYS = ("accept", "accept", "refer", "decline", "return", "withdraw", "leave", "close")
STATES = {
    "accept": "accepted", "refer": "accepted", "decline": "declined", "return": "accepted",
    "withdraw": "withdrawn", "leave": "sent", "close": "closed",
}  # fmt: skip
"""By hand: where each way leads."""


@pytest.fixture
async def over_postgres(folder: Path, postgres: EmbeddedPostgres, template: str) -> AsyncIterator[tuple[Platform, str]]:
    """One process per service; events travel through the log in PostgreSQL."""
    name = f"e2e_{folder.name[-8:].lower()}"
    await execute_as_admin(postgres, f'CREATE DATABASE "{name}" TEMPLATE {template}')
    platform = await asyncio.to_thread(one_process_each, folder, postgres, name, None)
    yield platform, name
    platform.end()
    await execute_as_admin(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


class Killer:
    """Ends services and the broker, again and again, until it is told to stop."""

    def __init__(self, platform: Platform, broker: Any, office: "Office") -> None:
        self.platform, self.broker, self.office = platform, broker, office
        self.dice = random.Random(20261129)
        self.kills: Counter[str] = Counter()
        self.over = asyncio.Event()
        self.heard_of = 0

    async def run(self) -> None:
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), self.dice.uniform(0.3, 1.5))
                return
            # News has to come through in between, or nothing is under way that could be lost: over Kafka a killed
            # member is missed only after its session, and until then nobody hears anything.
            if len(self.office.sent) < self.heard_of + HEARD_BETWEEN:
                continue
            self.heard_of = len(self.office.sent)
            # Each in turn, at a moment nobody knows.
            name = ("referral", "broker", "intake")[self.kills.total() % 3]
            self.kills[name] += 1
            if name == "broker":
                await self.broker()
                continue
            await asyncio.to_thread(self.platform.kill, name)
            self.platform.begin(name)
            # Its own process: while it was away, anybody on this machine may have taken its port and answer there.
            process = self.platform.processes[name]
            ready = f"{self.platform.url}/{name}/health/ready"
            await asyncio.to_thread(wait_until_ready, ready, 120, process=process)
            assert process.poll() is None, self.platform.output(name)[-2000:]


class Office:
    """Those who send and answer, each way by its own hand."""

    def __init__(self, platform: Platform, client: httpx2.AsyncClient) -> None:
        agencies = (DESK, *RECEIVERS)
        self.callers = {name: Agency.from_keys(platform.url, name, platform.keys, client) for name in agencies}
        self.programmes: dict[str, str] = {}
        self.dice = random.Random(7)
        self.sent: dict[UUID, tuple[str, UUID]] = {}
        """Each referral with its way and its case."""

    async def begin(self) -> None:
        items = await eventually(
            lambda: self.callers[DESK].every("/referral/v1/programmes"),
            until=lambda found: {item["agency_id"] for item in found} >= set(RECEIVERS),
            what="the directory",
        )
        self.programmes = {item["agency_id"]: item["programme_id"] for item in items}

    async def one(self) -> None:
        desk, way, receiver = self.callers[DESK], self.dice.choice(WAYS), self.dice.choice(RECEIVERS)
        consent = {"state": "given", "purposes": ["referral"]}
        case_id = (await desk.post("/intake/v1/cases", {"needs": ["people"], "consent": consent}))["case_id"]
        body = {"case_id": case_id, "programme_id": self.programmes[receiver]}
        body |= {"verb": "refer" if way == "refer" else "transfer"}
        sent = await eventually(lambda: desk.post("/referral/v1/referrals", body), what="consent known to referral")
        path = f"/referral/v1/referrals/{sent['referral_id']}"
        self.sent[UUID(sent["referral_id"])] = (way, UUID(case_id))
        for who, name, said in _steps(way, receiver):
            await self.callers[who].post(f"{path}/{name}", said)


def _steps(way: str, receiver: str) -> list[tuple[str, str, Any]]:
    match way:
        case "accept" | "refer":
            return [(receiver, "receive", None), (receiver, "accept", None)]
        case "decline":
            return [(receiver, "decline", {"reason": "no_capacity"}), (DESK, "confirm-decline", None)]
        case "return":
            return [
                (receiver, "return", {"missing": ["wishes"]}),
                (DESK, "answer", None),
                (receiver, "accept", None),
            ]
        case "withdraw":
            return [(DESK, "withdraw", None)]
        case "close":
            outcome = {"outcome": "employed"}
            return [(receiver, "accept", None), (receiver, "set-outcome", outcome), (receiver, "close", None)]
        case _:
            return []


async def _played(platform: Platform, database: asyncpg.Connection, broker: Any) -> None:
    await load_region(platform.url, platform.keys, Console(quiet=True))
    async with httpx2.AsyncClient(trust_env=False, timeout=30, limits=httpx2.Limits(max_connections=50)) as client:
        office = Office(platform, client)
        killer = Killer(platform, broker, office)
        await office.begin()
        waiting: Iterator[int] = iter(range(REFERRALS))

        async def work() -> None:
            for _ in waiting:
                await office.one()

        began = time.monotonic()
        killing = asyncio.create_task(killer.run())
        try:
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        finally:
            killer.over.set()
            await killing
        played = time.monotonic() - began
        await _drained(database)
        drained = time.monotonic() - began - played
        # For who runs the large one: pytest -s.
        print(f"{REFERRALS} referrals in {played:.0f} s, {dict(killer.kills)}, drained in {drained:.1f} s")
        assert killer.kills.total() >= 3
        await _agree(database, office)
        for caller in office.callers.values():
            proof = await caller.get("/intake/v1/custody-proofs/now")
            assert check([proof]) == []


_UNHEARD = """
SELECT (SELECT count(*) FROM intake.outbox) + (SELECT count(*) FROM referral.outbox)
    + (SELECT count(*) FROM referral.referral r WHERE NOT EXISTS (
        SELECT FROM intake.referral_custody c WHERE c.referral_id = r.id AND c.state = r.state))
"""


async def _drained(database: asyncpg.Connection) -> None:
    ends = time.monotonic() + DRAINED
    while await database.fetchval(_UNHEARD):
        assert time.monotonic() < ends, "what was told has not been heard"
        await asyncio.sleep(0.1)


async def _agree(database: asyncpg.Connection, office: Office) -> None:
    """Every referral that was sent is there once, in both books alike, and stands in its case's timeline once."""
    first = await database.fetch("SELECT id, case_id, state, responsible_agency, version FROM referral.referral")
    assert {row["id"]: row["case_id"] for row in first} == {key: case for key, (_, case) in office.sent.items()}
    assert {row["id"]: row["state"] for row in first} == {key: STATES[way] for key, (way, _) in office.sent.items()}
    second = await database.fetch(
        "SELECT DISTINCT ON (referral_id) referral_id, state, holder FROM intake.referral_custody"
        " ORDER BY referral_id, number DESC"
    )
    assert {(row["id"], row["state"], row["responsible_agency"]) for row in first} == {tuple(row) for row in second}
    steps = await database.fetch("SELECT referral_id, count(*) AS n FROM referral.referral_step GROUP BY 1")
    assert {row["referral_id"]: row["n"] for row in steps} == {row["id"]: row["version"] for row in first}
    told = await database.fetch(
        "SELECT codes->>'referral_id' AS id, kind, count(*) AS n FROM intake.timeline"
        " WHERE service = 'referral' GROUP BY 1, 2"
    )
    assert {row["n"] for row in told} == {1}, "nothing was heard twice"
    assert {UUID(row["id"]) for row in told if row["kind"] == "referral_sent"} == set(office.sent)
    holders = {row["id"]: row["holder_agency"] for row in await database.fetch("SELECT * FROM intake.case_")}
    for row in first:
        way, case_id = office.sent[row["id"]]
        responsible = row["responsible_agency"] if way != "refer" else DESK
        assert holders[case_id] == responsible
    for schema in ("intake", "referral", "assessment", "training", "dashboard"):
        assert await database.fetchval(f"SELECT count(*) FROM {schema}.parked") == 0


async def test_referrals_survive_kills_of_services_and_of_the_bus_in_postgres(
    over_postgres: tuple[Platform, str], postgres: EmbeddedPostgres
) -> None:
    platform, name = over_postgres
    database = await asyncpg.connect(user="postgres", database=name, host=str(postgres.socket_folder))

    async def bus_is_cut() -> None:
        """Every connection of the bus ends at once, as with a broker that is killed."""
        await database.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tsunagu_bus'")

    try:
        await _played(platform, database, bus_is_cut)
    finally:
        await database.close()


@pytest.mark.kafka
async def test_referrals_survive_kills_of_services_and_of_kafka(
    separate: Platform, broker: Broker, postgres: EmbeddedPostgres
) -> None:
    name = f"e2e_{broker.port}"
    database = await asyncpg.connect(user="postgres", database=name, host=str(postgres.socket_folder))

    async def broker_is_away() -> None:
        await asyncio.to_thread(broker.stop)
        await asyncio.sleep(2)
        await asyncio.to_thread(broker.start)

    try:
        await _played(separate, database, broker_is_away)
    finally:
        await database.close()
