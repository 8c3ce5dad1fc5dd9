"""Killed (-9) between reading and logging, again and again: nobody ever saw a person without an entry in the log."""

import asyncio
import random
import time
from pathlib import Path

import asyncpg
import httpx2
import pytest
from joserfc.jwk import ECKey

from embedded.postgres import EmbeddedPostgres
from shared.auth import Role
from shared.auth.issuer import Client, sign
from shared.bus.envelope import new_id
from tests.e2e.processes import some_services, wait_until_ready
from tests.world import KAGOSHIMA

pytestmark = pytest.mark.slow
ISSUER = "http://issuer.test"
LIVES = 8
READERS = 8


def bearer(key: ECKey) -> dict[str, str]:
    client = Client(
        client_id="client-kagoshima-desk",
        public_key={},
        agency="kagoshima-desk",
        agency_kind="self_reliance_desk",
        municipalities=[KAGOSHIMA],
        roles=[Role.COUNSELLOR],
    )
    token = sign(client, issuer=ISSUER, key=key, audiences=["tsunagu-intake"], now=time.time(), life=3600)
    return {"Authorization": f"Bearer {token}"}


async def test_killed_between_read_and_log_there_is_no_reading_that_nobody_wrote_down(
    folder: Path, postgres: EmbeddedPostgres, database_name: str
) -> None:
    key = ECKey.generate_key("P-256")
    key.ensure_kid()
    chance = random.Random(20261129)
    seen: set[str] = set()
    broken_off = 0
    platform = some_services(folder, postgres, database_name, "intake", issuer=ISSUER, key=key)
    try:
        async with httpx2.AsyncClient(base_url=platform.url, headers=bearer(key), trust_env=False) as client:
            opened = await client.post(
                "/v1/cases", json={"person": {"name": "架空"}}, headers={"Idempotency-Key": str(new_id())}
            )
            path = f"/v1/cases/{opened.json()['case_id']}/person"
            for _ in range(LIVES):
                readers = [asyncio.create_task(_reads(client, path, seen)) for _ in range(READERS)]
                await asyncio.sleep(chance.uniform(0.2, 0.7))
                platform.kill("intake")
                broken_off += sum(await asyncio.gather(*readers))
                platform.begin("intake")
                await asyncio.to_thread(wait_until_ready, f"{platform.url}/health/ready")
    finally:
        platform.end()
    connection = await asyncpg.connect(user="postgres", database=database_name, host=str(postgres.socket_folder))
    try:
        rows = await connection.fetch("SELECT request_id FROM intake.access_log WHERE action = 'read'")
    finally:
        await connection.close()
    logged = {row["request_id"] for row in rows}
    assert len(seen) > 10 * LIVES
    assert broken_off >= LIVES, "the kills met requests under way"
    assert seen - logged == set()


async def _reads(client: httpx2.AsyncClient, path: str, seen: set[str]) -> bool:
    """Read until the service is gone; whether a request was broken off."""
    while True:
        try:
            answer = await client.get(path, timeout=20)
        except httpx2.TransportError:
            return True
        if answer.status_code == 200:
            assert answer.json()["person"]["name"] == "架空"
            seen.add(answer.headers["x-request-id"])
