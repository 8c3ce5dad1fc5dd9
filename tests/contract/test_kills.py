"""Processes killed with SIGKILL at every point between a commit and a position: nothing is lost, nothing is doubled."""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

import pytest

from embedded.postgres import EmbeddedPostgres
from shared.bus.inbox import Ears, retry_parked
from shared.events import ConsentPending
from tests.contract.doomed import CUTS, GROUP, KEYS, POISON, transport_at
from tests.contract.mail_house import PATIENCE, TABLES, TOPIC, House, going, take_note
from tests.world import execute_as_admin

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 5
"""How often each of the moments comes."""


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
def way(request: pytest.FixtureRequest, postgres: EmbeddedPostgres, database_name: str) -> tuple[str, str]:
    """How events travel: the address of a broker, and the topic there."""
    if request.param == "postgres":
        return postgres.url(user="tsunagu_bus", database=database_name), TOPIC
    return request.getfixturevalue("kafka_bootstrap"), request.getfixturevalue("topic_on_kafka")


@pytest.mark.slow
async def test_a_service_killed_at_any_point_loses_and_doubles_nothing(
    postgres: EmbeddedPostgres, database_name: str, tmp_path: Path, way: tuple[str, str]
) -> None:
    await execute_as_admin(postgres, TABLES, database_name)
    addresses = [postgres.url(user=f"tsunagu_{name}", database=database_name) for name in ("intake", "training")]
    transport = transport_at(*way)
    await transport.start()
    await transport.ensure_topics([TOPIC])
    acknowledged = tmp_path / "acknowledged"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.contract.doomed", *addresses, *way, str(acknowledged), str(ROUNDS)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-2000:]

    house = House(*addresses)
    inbox = house.inbox()
    async with going(house.relay(transport).run, lambda: transport.consume(GROUP, [TOPIC], inbox.deliver)):
        async with asyncio.timeout(PATIENCE):
            while await house.unsent() or (await transport.lag(GROUP, [TOPIC]))[TOPIC]:  # noqa: ASYNC110 - it changes elsewhere
                await asyncio.sleep(0.05)
    waiting = await house.parked()
    assert {UUID(key) for key, _, _ in waiting} <= {POISON[0]}
    assert (await retry_parked(house.listener, Ears({ConsentPending: take_note}), str(POISON[0]))).error is None

    told, heard = await house.told(), await house.effects()
    for line in acknowledged.read_text("utf-8").splitlines():
        key, version = line.split()
        assert told[UUID(key)][-1] >= int(version), "a commit that the caller saw is gone"
    assert heard == told
    assert set(told) <= set(KEYS)
    assert sum(len(versions) for versions in told.values()) >= len(CUTS) * ROUNDS
    assert len(waiting) > 0, "the poison was met"
    await transport.stop()
    await house.close()
