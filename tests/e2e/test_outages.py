"""The broker, or a service that listens, is away for long: no request fails, and afterwards every word has arrived.

`BROKER_AWAY` says for how many seconds: a minute by default, ten minutes by night.
"""

import asyncio
import os
import time
from datetime import timedelta
from functools import partial

import asyncpg
import httpx2
import pytest
from rich.console import Console

from demo.client import eventually
from demo.load import load_region
from embedded.postgres import EmbeddedPostgres
from shared.bus.postgres import PostgresTransport
from tests.e2e.conftest import Broker
from tests.e2e.office import DESK, Office, agree, drained
from tests.e2e.processes import Platform, wait_until_ready

pytestmark = pytest.mark.slow

BROKER_AWAY = float(os.environ.get("BROKER_AWAY", "60"))
READY_BEFORE = 40
"""Cases whose consent everybody has heard of before the silence begins."""


async def _prepared(office: Office) -> list[str]:
    """Cases that referral knows the consent of: it can go on without hearing anything."""
    cases = [await office.open_case() for _ in range(READY_BEFORE)]
    for case_id in cases:
        path = f"/referral/v1/cases/{case_id}/candidates"
        await eventually(partial(office.callers[DESK].get, path), what="consent known to referral")
    return cases


@pytest.mark.kafka
async def test_the_broker_away_fails_no_request_and_loses_no_referral(
    separate: Platform, broker: Broker, postgres: EmbeddedPostgres
) -> None:
    await load_region(separate.url, separate.keys, Console(quiet=True))
    database = await asyncpg.connect(user="postgres", database=f"e2e_{broker.port}", host=str(postgres.socket_folder))
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
        office = Office(separate, client)
        desk = office.callers[DESK]
        await office.begin()
        prepared = await _prepared(office)
        opened = len(prepared)
        broker.stop()
        began = time.monotonic()
        while (gone := time.monotonic() - began) < BROKER_AWAY:
            await office.open_case()
            opened += 1
            if prepared and gone >= BROKER_AWAY * len(office.sent) / READY_BEFORE:
                await office.send(prepared.pop())
            await asyncio.sleep(0.05)
        assert not broker.answers(), "it was away all the time"
        assert opened > READY_BEFORE + BROKER_AWAY
        assert len(office.sent) > READY_BEFORE / 2
        for name in ("intake", "referral"):
            ready = (await client.get(f"{separate.url}/{name}/health/ready")).json()
            assert ready["status"] == "ready"
            assert ready["unsent"] >= len(office.sent)
            assert ready["oldest_unsent_seconds"] > BROKER_AWAY / 2
        broker.start()
        await drained(database)
        await agree(database, office)
        await eventually(
            lambda: desk.get("/dashboard/v1/figures"),
            until=lambda figures: figures["funnel"][0]["cases"] == opened,
            what="every case on the dashboard",
        )
    await database.close()


async def test_a_service_that_was_away_for_a_day_hears_everything_once(
    over_postgres: tuple[Platform, str], postgres: EmbeddedPostgres
) -> None:
    """Everything that waits is dated a day back, and what is old is swept away; nothing that it has not heard is."""
    platform, name = over_postgres
    await load_region(platform.url, platform.keys, Console(quiet=True))
    database = await asyncpg.connect(user="postgres", database=name, host=str(postgres.socket_folder))
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        office = Office(platform, client)
        await office.begin()
        prepared = await _prepared(office)
        platform.kill("intake")
        for case_id in prepared:
            await office.send(case_id)
        heard = await database.fetchval("SELECT count(*) FROM intake.referral_custody")
        assert heard < len(office.sent), "intake is away"
        await database.execute("UPDATE bus.log SET at = at - $1::interval", timedelta(hours=24))
        transport = PostgresTransport(postgres.url(user="tsunagu_bus", database=name))
        await transport.start()
        await transport.prune()
        await transport.stop()
        platform.begin("intake")
        await asyncio.to_thread(wait_until_ready, f"{platform.url}/intake/health/ready", 120)
        await drained(database)
        await agree(database, office)
    await database.close()
