"""Seats asked for by HTTP and by events while training, referral and the bus are killed (-9) at random.

None is sold twice, none that was promised is lost, nobody has two. `SEATS` says how many attempts: some by default,
50,000 in CI (`make test-seats`), 1,000,000 by night (`make test-night`).
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from joserfc.jwk import ECKey

from embedded.postgres import EmbeddedPostgres
from tests.e2e.killer import BROKER, Killer
from tests.e2e.processes import Platform, some_services, wait_until_ready
from tests.e2e.seat_books import faults
from tests.e2e.seat_rush import ISSUER, Rush, drained, make_known, wants_for

pytestmark = pytest.mark.slow

SEATS = int(os.environ.get("SEATS", "2000"))
PER_COURSE = max(100, SEATS // 5_000)
"""No more course runs than one decision can give seats to: two to each town of 10,000."""
LEG = 50_000
"""After so many attempts the books are looked at, and once more in the end: a long run tells early what is wrong."""
BETWEEN = max(80, min(SEATS // 40, 5_000))
"""So many attempts from one kill to the next, each of which costs a start of a service."""


@pytest.fixture
def key() -> ECKey:
    """The issuer's."""
    return ECKey.generate_key("P-256")


@pytest.fixture
def platform(folder: Path, postgres: EmbeddedPostgres, database_name: str, key: ECKey) -> Iterator[Platform]:
    """Training and referral, and the bus in the database."""
    running = some_services(folder, postgres, database_name, "training", "referral", issuer=ISSUER, key=key)
    yield running
    running.end()


async def test_seats_survive_kills_of_services_and_of_the_bus(
    platform: Platform, admin: asyncpg.Connection, key: ECKey
) -> None:
    async def bus_is_cut() -> None:
        """Every connection of the bus ends at once, as with a broker that is killed."""
        await admin.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tsunagu_bus'")

    rush = Rush(platform.ports, key)
    wants = wants_for(await rush.offer(max(4, SEATS // PER_COURSE)), SEATS, random.Random(20261201))
    await make_known(admin, wants)
    await drained(admin, 120)
    killer = Killer(
        platform,
        bus_is_cut,
        ("training", BROKER, "training", "referral"),
        done=lambda: rush.done,
        between=BETWEEN,
    )
    for first in range(0, len(wants), LEG):
        began = time.monotonic()
        leg = wants[first : first + LEG]
        await _with_kills(killer, rush.play(leg))
        played = time.monotonic() - began
        await drained(admin, 60 + len(leg) / 50)
        waited = time.monotonic() - began - played
        # For who runs a large one: pytest -s.
        print(f"{first + len(leg)}: {played:.0f} s, {dict(killer.kills)}, drained in {waited:.1f} s", flush=True)
        assert rush.wrong == []
        wrong = await faults(admin, wants[: first + len(leg)])
        assert wrong == [], "\n".join(wrong)
    assert killer.kills.total() >= 3
    entries = await admin.fetchval("SELECT count(*) FROM training.seat_entry")
    # Everything that training heard comes to it once more.
    await asyncio.to_thread(platform.kill, "training")
    rewound = "UPDATE bus.grp SET off = 0 WHERE grp = 'training' AND off > 0"
    assert await admin.execute(rewound) != "UPDATE 0"
    platform.begin("training")
    await drained(admin, 120 + SEATS / 50)
    assert await admin.fetchval("SELECT count(*) FROM training.seat_entry") == entries
    assert await faults(admin, wants) == []


async def _with_kills(killer: Killer, played: Coroutine[Any, Any, None]) -> None:
    killer.over.clear()
    killing = asyncio.create_task(killer.run())
    try:
        await played
    finally:
        killer.over.set()
        await killing


@pytest.mark.parametrize(
    ("name", "seen"), [("training", "holds told otherwise"), ("referral", "0 requests, 0 refusals")]
)
async def test_the_books_show_a_relay_that_loses_events(
    platform: Platform, admin: asyncpg.Connection, key: ECKey, name: str, seen: str
) -> None:
    await asyncio.to_thread(platform.stop, name)
    command, environment = platform.commands[name]
    platform.commands[name] = ([sys.executable, "-m", "tests.e2e.losing_relay", *command[3:]], environment)
    platform.begin(name)
    ready = f"http://127.0.0.1:{platform.ports[name]}/health/ready"
    await asyncio.to_thread(wait_until_ready, ready, 120, process=platform.processes[name])
    rush = Rush(platform.ports, key)
    wants = wants_for(await rush.offer(4), 400, random.Random(20261201))
    await make_known(admin, wants)
    await rush.play(wants)
    await drained(admin, 120)
    assert rush.wrong == []
    assert any(seen in each for each in await faults(admin, wants))
