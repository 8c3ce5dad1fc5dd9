"""Seats asked for by HTTP and by events while training, referral and the bus are killed (-9) at random.

None is sold twice, none that was promised is lost, nobody has two. `SEATS` says how many attempts: some by default,
50,000 in CI (`make test-seats`), 1,000,000 by night.
"""

import asyncio
import os
import random
import time
from pathlib import Path

import asyncpg
import pytest
from joserfc.jwk import ECKey

from embedded.postgres import EmbeddedPostgres
from tests.e2e.killer import BROKER, Killer
from tests.e2e.processes import some_services
from tests.e2e.seat_books import faults
from tests.e2e.seat_rush import ISSUER, Rush, drained, make_known, wants_for

pytestmark = pytest.mark.slow

SEATS = int(os.environ.get("SEATS", "2000"))
PER_COURSE = 100
KILLS = 40
"""About as many in the large run; each costs a start of a service."""


async def test_seats_survive_kills_of_services_and_of_the_bus(
    folder: Path, postgres: EmbeddedPostgres, database_name: str
) -> None:
    key = ECKey.generate_key("P-256")
    platform = await asyncio.to_thread(
        some_services, folder, postgres, database_name, "training", "referral", issuer=ISSUER, key=key
    )
    database = await asyncpg.connect(user="postgres", database=database_name, host=str(postgres.socket_folder))

    async def bus_is_cut() -> None:
        """Every connection of the bus ends at once, as with a broker that is killed."""
        await database.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tsunagu_bus'")

    try:
        rush = Rush(platform.ports, key)
        wants = wants_for(await rush.offer(max(4, SEATS // PER_COURSE)), SEATS, random.Random(20261201))
        await make_known(database, wants)
        await drained(database, 120)
        killer = Killer(
            platform,
            bus_is_cut,
            ("training", BROKER, "training", "referral"),
            done=lambda: rush.done,
            between=max(80, SEATS // KILLS),
        )
        began = time.monotonic()
        killing = asyncio.create_task(killer.run())
        try:
            await rush.play(wants)
        finally:
            killer.over.set()
            await killing
        played = time.monotonic() - began
        await drained(database, 60 + SEATS / 200)
        waited = time.monotonic() - began - played
        # For who runs the large one: pytest -s.
        print(f"{SEATS} attempts in {played:.0f} s, {dict(killer.kills)}, drained in {waited:.1f} s")
        assert killer.kills.total() >= 3
        assert rush.wrong == []
        wrong = await faults(database, wants)
        assert wrong == [], "\n".join(wrong)
        entries = await database.fetchval("SELECT count(*) FROM training.seat_entry")
        # Everything that training heard comes to it once more.
        await asyncio.to_thread(platform.kill, "training")
        rewound = "UPDATE bus.grp SET off = 0 WHERE grp = 'training' AND off > 0"
        assert await database.execute(rewound) != "UPDATE 0"
        platform.begin("training")
        await drained(database, 120 + SEATS / 200)
        assert await database.fetchval("SELECT count(*) FROM training.seat_entry") == entries
        assert await faults(database, wants) == []
    finally:
        platform.end()
        await database.close()
