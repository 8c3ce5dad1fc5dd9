"""Processes killed with SIGKILL at every point between a commit and a position: nothing is lost, nothing is doubled."""

import asyncio
import random
import signal
import sys
from pathlib import Path
from uuid import UUID

import pytest

from embedded.postgres import EmbeddedPostgres
from shared.bus.inbox import Ears, retry_parked
from shared.bus.postgres import PostgresTransport
from shared.events import ConsentPending
from tests.contract.doomed import CUTS, KEYS, POISON
from tests.contract.mail_house import PATIENCE, TABLES, TOPIC, House, going, take_note
from tests.world import execute_as_admin

ROOT = Path(__file__).resolve().parents[2]
KILLS = 35


@pytest.mark.slow
async def test_thirty_five_kills_lose_nothing_and_double_nothing(
    postgres: EmbeddedPostgres, database_name: str, tmp_path: Path
) -> None:
    await execute_as_admin(postgres, TABLES, database_name)
    addresses = [postgres.url(user=f"tsunagu_{name}", database=database_name) for name in ("intake", "training", "bus")]
    acknowledged = tmp_path / "acknowledged"
    draw = random.Random(20260401)
    for n in range(KILLS):
        arguments = [*addresses, CUTS[n % len(CUTS)], str(draw.randint(1, 6)), str(acknowledged)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.contract.doomed", *arguments, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(PATIENCE):
            _, said = await process.communicate()
        assert process.returncode == -signal.SIGKILL, f"{arguments[3]}: {said.decode()[-2000:]}"

    house = House(addresses[0], addresses[1])
    transport = PostgresTransport(addresses[2], pause=0.05)
    await transport.start()
    inbox = house.inbox()
    async with going(house.relay(transport).run, lambda: transport.consume("doomed", [TOPIC], inbox.deliver)):
        async with asyncio.timeout(PATIENCE):
            while await house.unsent() or (await transport.lag("doomed", [TOPIC]))[TOPIC]:  # noqa: ASYNC110 - it changes elsewhere
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
    assert sum(len(versions) for versions in told.values()) >= KILLS
    assert len(waiting) > 0, "the poison was met"
    await transport.stop()
    await house.close()
