"""A service that exists only in tests: raffles, whose tickets are drawn for many requests in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx2
from fastapi import Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Role, requires
from shared.bus.envelope import new_id
from shared.bus.mailbox import Origin, emit
from shared.events import CaseOpened
from shared.problems import CONFLICT, Problem
from shared.service import Body, Service, Together, etag, gathered, router
from tests.world import KAGOSHIMA, Running, World, execute_as_admin

TABLE = """
SET ROLE tsunagu_intake_owner;
CREATE TABLE intake.frame_raffle (name text PRIMARY KEY, drawn int NOT NULL DEFAULT 0);
CREATE TABLE intake.frame_ticket (
    id uuid PRIMARY KEY, raffle text NOT NULL REFERENCES intake.frame_raffle, number int NOT NULL,
    person text NOT NULL CHECK (person <> 'nobody'), drawn_at timestamptz NOT NULL,
    twin uuid REFERENCES intake.frame_ticket DEFERRABLE INITIALLY DEFERRED, UNIQUE (raffle, number)
);
INSERT INTO intake.frame_raffle VALUES ('spring'), ('summer'), ('autumn'), ('winter');
RESET ROLE;
"""


class Wish(Body):
    """For whom a ticket is drawn; those who are `banned` get none."""

    person: str = "somebody"


@dataclass(frozen=True, slots=True)
class Draw:
    """An order for a ticket."""

    person: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Drawn:
    """Its ticket."""

    ticket_id: UUID
    number: int


Afterwards = Callable[[Wish, Drawn], Awaitable[None]]
Meanwhile = Callable[[AsyncSession, Sequence[Draw]], Awaitable[None]]


async def _nothing(*_: Any) -> None:
    """By default there is no accident."""


class Raffle:
    """`before` and `meanwhile` happen in each transaction, `afterwards` in each request that has its ticket."""

    def __init__(self) -> None:
        self.before: Meanwhile = _nothing
        self.meanwhile: Meanwhile = _nothing
        self.afterwards: Afterwards = _nothing
        self.groups: list[int] = []
        self.running: Running

    def declared(self) -> Service:
        """The declaration."""
        raffles = router(tag="raffles")
        asking = gathered(self.draw)

        @raffles.post("/v1/raffles/{name}/tickets", status_code=201, dependencies=[requires(Role.COUNSELLOR)])
        async def draw(
            name: str, wish: Wish, response: Response, together: Annotated[Together[Draw, Drawn], asking]
        ) -> dict[str, Any]:
            drawn = await together(name, Draw(wish.person, together.origin))
            await self.afterwards(wish, drawn)
            response.headers["Location"] = f"/v1/tickets/{drawn.ticket_id}"
            response.headers["ETag"] = etag(drawn.number)
            return {"ticket": str(drawn.ticket_id), "number": drawn.number, "person": wish.person}

        return Service(name="intake", title="Raffle", title_ja="くじ", routers=[raffles], tags={"raffles": "くじ"})

    async def draw(
        self, session: AsyncSession, name: str, draws: Sequence[Draw], now: datetime
    ) -> list[Drawn | Problem]:
        """One ticket after the other, numbered without a gap."""
        self.groups.append(len(draws))
        await self.before(session, draws)
        found = await session.execute(text("SELECT drawn FROM frame_raffle WHERE name = :n FOR UPDATE"), {"n": name})
        number: int = found.scalar_one()
        outcomes: list[Drawn | Problem] = []
        told, origins = [], []
        for each in draws:
            if each.person == "banned":
                outcomes.append(Problem(CONFLICT))
                continue
            number += 1
            drawn = Drawn(new_id(), number)
            await session.execute(
                text("INSERT INTO frame_ticket VALUES (:id, :raffle, :number, :person, :now)"),
                {"id": drawn.ticket_id, "raffle": name, "number": number, "person": each.person, "now": now},
            )
            opened = CaseOpened(
                case_id=drawn.ticket_id, municipality=KAGOSHIMA, agency_id="raffle", entrance="counter", opened_at=now
            )
            told.append((opened, 1))
            origins.append(each.origin)
            outcomes.append(drawn)
        await session.execute(text("UPDATE frame_raffle SET drawn = :d WHERE name = :n"), {"d": number, "n": name})
        await emit(session, *told, at=now, origins=origins)
        await self.meanwhile(session, draws)
        return outcomes

    async def ask(
        self,
        person: str = "somebody",
        *,
        raffle: str = "spring",
        key: str | None = None,
        agency: str = "kagoshima-desk",
    ) -> httpx2.Response:
        """Ask for a ticket."""
        return await self.running.as_(agency).post(f"/v1/raffles/{raffle}/tickets", {"person": person}, key=key)

    async def ask_together(self, *people: str, keys: Sequence[str] = ()) -> list[httpx2.Response]:
        """Ask for several in one transaction: another one is in flight until all of them are there."""
        async with self.busy():
            asked = [
                asyncio.create_task(self.ask(person, key=key))
                for person, key in zip(people, keys or [str(uuid4()) for _ in people], strict=True)
            ]
            await self.until_waiting(len(people))
        return await asyncio.gather(*asked)

    def busy(self, raffle: str = "spring") -> "_Busy":
        """While the block lasts, a transaction about the raffle is in flight."""
        return _Busy(self, raffle)

    async def until_waiting(self, people: int) -> None:
        """Until so many wait for their turn."""
        async with asyncio.timeout(30):
            while sum(map(len, self.running.desk.gathering._lines.values())) < people:  # noqa: ASYNC110 - it changes elsewhere
                await asyncio.sleep(0)

    async def until_beside(self, people: int) -> None:
        """Until so many wait beside the lines, for a key or for their turn to."""
        async with asyncio.timeout(30):
            places = self.running.desk.lines._places
            while sum(place.people for key, place in places.items() if key[0] == "alone") < people:  # noqa: ASYNC110 - it changes elsewhere
                await asyncio.sleep(0.01)

    async def until_busy(self) -> None:
        """Until a transaction is in flight, and waits for something in the database."""
        async with asyncio.timeout(30):
            while not await self.running.rows(  # noqa: ASYNC110 - it changes in the database
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ):
                await asyncio.sleep(0.01)

    async def numbers(self) -> list[tuple[int, str]]:
        """The tickets, as they stand."""
        rows = await self.running.rows("SELECT number, person FROM frame_ticket ORDER BY raffle, number")
        return [(row["number"], row["person"]) for row in rows]

    async def count(self) -> tuple[int, int, int]:
        """How many tickets, untold events and kept answers there are."""
        (row,) = await self.running.rows(
            "SELECT (SELECT count(*) FROM frame_ticket), (SELECT count(*) FROM outbox),"
            " (SELECT count(*) FROM idempotency)"
        )
        return row[0], row[1], row[2]


class _Busy:
    """Somebody banned asks, and is kept inside the transaction; nothing of it will stand."""

    def __init__(self, raffle: Raffle, name: str) -> None:
        self._raffle = raffle
        self._name = name
        self._inside, self._gate = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> None:
        self._before = self._raffle.before

        async def wait(_session: AsyncSession, _draws: Sequence[Draw]) -> None:
            self._raffle.before = self._before
            self._inside.set()
            await self._gate.wait()

        self._raffle.before = wait
        self._first = asyncio.create_task(self._raffle.ask("banned", raffle=self._name))
        await self._inside.wait()
        self._raffle.groups.clear()

    async def __aexit__(self, *_: object) -> None:
        self._gate.set()
        await self._first


async def open_raffle(world: World, *, first: bool = True, **settings: Any) -> Raffle:
    """The service on the schema of intake; with `first`, its tables too."""
    if first:
        await execute_as_admin(world.postgres, TABLE, world.database_name)
    raffle = Raffle()
    raffle.running = Running(raffle.declared(), world.settings("intake", **settings))
    world._running[f"raffle-{id(raffle)}"] = raffle.running
    return raffle
