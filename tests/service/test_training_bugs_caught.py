"""Three bugs, put in on purpose: the database refuses what they would do, and without it the race finder sees it.

Reading before the lock instead of under it; no lock at all; and a clock of this process where the database's decides.
"""

import asyncio
import contextlib
import copy
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.handlers.courses import Offered
from services.training.tables import seats as tables
from shared.database import database_time
from shared.service import clock
from shared.service.clock import Clock, wall_time
from tests.service.training_courses import (
    KAGOSHIMA,
    an_offer,
    arrive,
    broken_promises,
    entrust,
    offer_again,
    offered,
    referred,
    seat,
    state_of,
)
from tests.world import Running, World

NO_GUARD = "ALTER TABLE training.pool DROP CONSTRAINT pool_never_oversold"
AN_HOUR = timedelta(hours=1)


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


class Meeting:
    """Two come to the same point before either goes on. Who waits in vain, because a lock holds the other, goes on."""

    def __init__(self) -> None:
        self.came = 0
        self.both = asyncio.Event()

    async def wait(self) -> None:
        self.came += 1
        if self.came > 1:
            self.both.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self.both.wait()


class Race:
    """Two referrals for one seat, which have both looked before either takes it, if anything lets them."""

    def __init__(self, training: Running, patch: pytest.MonkeyPatch) -> None:
        self.training = training
        self.patch = patch
        self.meeting = Meeting()
        self.refused: list[str] = []
        patch.setattr(tables, "add_requests", self._adding(tables.add_requests))

    def healthy(self) -> None:
        """Under the lock, as it is."""
        self._meets_after_reading()

    def without_a_lock(self) -> None:
        """The same statement, and the course run is not locked."""
        bare = copy.copy(tables._LOCK_COURSE_FOR)
        bare._sql = bare._sql.removesuffix(" FOR UPDATE OF c")
        assert bare._sql != tables._LOCK_COURSE_FOR._sql
        self.patch.setattr(tables, "_LOCK_COURSE_FOR", bare)
        self._meets_after_reading()

    def reading_then_inserting(self) -> None:
        """What is decided on was read before the lock was had."""
        lock, read = tables.lock_course_for, tables.read_pools_for

        async def lock_late(session: AsyncSession, course_run_id: UUID, case_ids: Any) -> Any:
            now = await self.training.desk.clock.now(session)
            session.info["read before"] = await read(session, course_run_id, case_ids, now)
            await self.meeting.wait()
            return await lock(session, course_run_id, case_ids)

        async def as_read(session: AsyncSession, *_: Any) -> Any:
            return session.info["read before"]

        self.patch.setattr(tables, "lock_course_for", lock_late)
        self.patch.setattr(tables, "read_pools_for", as_read)

    async def run(self) -> tuple[list[str], list[str]]:
        """What is broken then, and who has a seat or a place."""
        course = await offered(self.training, capacity=1)
        await asyncio.gather(*(arrive(self.training, referred(course)) for _ in range(2)))
        assert await self.training.rows("SELECT FROM parked") == []
        rows = await self.training.rows("SELECT state FROM seat_request ORDER BY state")
        return await broken_promises(self.training, [course]), [row["state"] for row in rows]

    def _meets_after_reading(self) -> None:
        read = tables.read_pools_for

        async def then_meet(*given: Any) -> Any:
            found = await read(*given)
            await self.meeting.wait()
            return found

        self.patch.setattr(tables, "read_pools_for", then_meet)

    def _adding(self, add: Any) -> Any:
        async def noted(*given: Any, **named: Any) -> None:
            try:
                await add(*given, **named)
            except Exception as error:
                self.refused.append(str(error))
                raise

        return noted


async def test_as_it_is_one_is_held_and_the_database_has_nothing_to_refuse(
    training: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    race = Race(training, monkeypatch)
    race.healthy()
    assert await race.run() == ([], ["held", "waiting"])
    assert race.refused == []


@pytest.mark.parametrize("bug", [Race.without_a_lock, Race.reading_then_inserting])
async def test_the_database_refuses_what_the_bug_would_sell_twice(
    training: Running, monkeypatch: pytest.MonkeyPatch, bug: Any
) -> None:
    race = Race(training, monkeypatch)
    bug(race)
    assert await race.run() == ([], ["held", "waiting"]), "who was refused comes again, and sees what is left"
    assert len(race.refused) == 1
    assert "pool_never_oversold" in race.refused[0]


@pytest.mark.parametrize("bug", [Race.without_a_lock, Race.reading_then_inserting])
async def test_without_the_guard_the_race_finder_sees_the_bug(
    training: Running, monkeypatch: pytest.MonkeyPatch, admin: asyncpg.Connection, bug: Any
) -> None:
    await admin.execute(NO_GUARD)
    race = Race(training, monkeypatch)
    bug(race)
    broken, states = await race.run()
    assert "oversold" in broken
    assert states == ["held", "held"]


async def test_without_the_guard_the_lock_alone_is_enough(
    training: Running, monkeypatch: pytest.MonkeyPatch, admin: asyncpg.Connection
) -> None:
    await admin.execute(NO_GUARD)
    race = Race(training, monkeypatch)
    race.healthy()
    assert await race.run() == ([], ["held", "waiting"])


# --- a clock of this process ------------------------------------------------------------------------------------------


def machine_is_off_by(patch: pytest.MonkeyPatch, by: timedelta, *, it_decides: bool) -> None:
    """This machine's clock is wrong; the bug is that somebody asks it."""

    def wrong_time() -> datetime:
        return wall_time() + by

    patch.setattr(clock, "wall_time", wrong_time)

    async def now(self: Clock, _: AsyncSession) -> datetime:
        return wrong_time() + self.offset

    if it_decides:
        patch.setattr(Clock, "now", now)


async def at_another_time(training: Running, since: datetime) -> list[str]:
    """Entries of the ledger that say they were made at a moment when nothing was made: the finder."""
    async with training.database.transaction() as session:
        by_now = await database_time(session)
    rows = await training.rows("SELECT kind, at FROM seat_entry WHERE at < $1 OR at > $2 ORDER BY id", since, by_now)
    return [row["kind"] for row in rows]


@pytest.mark.parametrize(("it_decides", "state", "found"), [(False, "held", []), (True, "released", ["expire"])])
async def test_a_hold_that_ends_by_another_clock_is_found(
    training: Running, monkeypatch: pytest.MonkeyPatch, it_decides: bool, state: str, found: list[str]
) -> None:
    async with training.database.transaction() as session:
        since = await database_time(session)
    course = await offered(training, capacity=1)
    asked = await seat(training, course, hold_until=(since + AN_HOUR / 2).isoformat())
    machine_is_off_by(monkeypatch, AN_HOUR, it_decides=it_decides)
    await training.sweep()
    assert await state_of(training, asked) == state, "half an hour before its time, by the database's clock"
    assert await at_another_time(training, since) == found


@pytest.mark.parametrize("it_decides", [False, True])
async def test_the_database_refuses_seats_granted_by_another_clock(
    training: Running, monkeypatch: pytest.MonkeyPatch, it_decides: bool
) -> None:
    training.desk.clock.offset = -2 * AN_HOUR
    await entrust(training)  # decided two hours ago
    training.desk.clock.offset = timedelta()
    machine_is_off_by(monkeypatch, -AN_HOUR, it_decides=it_decides)
    offer = an_offer(delegated={KAGOSHIMA: 1})
    if not it_decides:
        assert isinstance(await offer_again(training, offer), Offered)
        return
    with pytest.raises(asyncpg.CheckViolationError, match="a seat is granted at the time of the database"):
        await offer_again(training, offer)
