"""Referrals while services and the broker are killed (-9) at random: none is lost, none is doubled, both books agree.

`REFERRALS` says how many: some by default, 10,000 by night.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx2
import pytest
from rich.console import Console

import demo.client as client_of_agencies
from demo.load import load_region
from embedded.postgres import EmbeddedPostgres
from tests.e2e.conftest import Broker
from tests.e2e.killer import BROKER, Killer
from tests.e2e.office import Office, agree, drained, standing
from tests.e2e.processes import Platform

pytestmark = pytest.mark.slow

REFERRALS = int(os.environ.get("REFERRALS", "60"))
AT_ONCE = 12
KILLS, KILLS_OVER_KAFKA = 200, 60
"""About as many in the large run; each costs a start, and over Kafka the half minute in which a member is missed."""


async def _played(
    platform: Platform, database: asyncpg.Connection, broker: Any, kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A service that was killed is long in coming back where much else runs; what is lost never comes.
    monkeypatch.setattr(client_of_agencies, "PATIENCE", 300)
    await load_region(platform.url, platform.keys, Console(quiet=True))
    async with httpx2.AsyncClient(trust_env=False, timeout=30, limits=httpx2.Limits(max_connections=50)) as client:
        office = Office(platform, client)
        killer = Killer(
            platform,
            broker,
            ("referral", BROKER, "intake"),
            done=lambda: len(office.sent),
            between=max(5, REFERRALS // kills),
        )
        await office.begin()
        waiting: Iterator[int] = iter(range(REFERRALS))

        async def work() -> None:
            for _ in waiting:
                await office.send(await office.open_case())

        began = time.monotonic()
        killing = asyncio.create_task(killer.run())
        try:
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        except Exception:
            print(f"{dict(killer.kills)}, {len(office.sent)} sent\n{await standing(database)}")
            print(*(f"{name}: {platform.output(name)[-1000:]}" for name in platform.processes), sep="\n")
            raise
        finally:
            killer.over.set()
            await killing
        played = time.monotonic() - began
        await drained(database)
        waited = time.monotonic() - began - played
        # For who runs the large one: pytest -s.
        print(f"{REFERRALS} referrals in {played:.0f} s, {dict(killer.kills)}, drained in {waited:.1f} s")
        assert killer.kills.total() >= 3
        await agree(database, office)


async def test_referrals_survive_kills_of_services_and_of_the_bus_in_postgres(
    over_postgres: tuple[Platform, str], postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, name = over_postgres
    database = await asyncpg.connect(user="postgres", database=name, host=str(postgres.socket_folder))

    async def bus_is_cut() -> None:
        """Every connection of the bus ends at once, as with a broker that is killed."""
        await database.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tsunagu_bus'")

    try:
        await _played(platform, database, bus_is_cut, KILLS, monkeypatch)
    finally:
        await database.close()


@pytest.mark.kafka
async def test_referrals_survive_kills_of_services_and_of_kafka(
    separate: Platform, broker: Broker, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"e2e_{broker.port}"
    database = await asyncpg.connect(user="postgres", database=name, host=str(postgres.socket_folder))

    async def broker_is_away() -> None:
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(2)
        await asyncio.to_thread(broker.start)

    try:
        await _played(separate, database, broker_is_away, KILLS_OVER_KAFKA, monkeypatch)
    finally:
        await database.close()
