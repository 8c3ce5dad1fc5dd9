"""A small world for tests: services on one database, callers with tokens, events delivered by hand.

No loops run here: what a service told stands in its outbox (`told`), what it hears is handed to it (`hear`), and the
clock moves by hand (`pass_time`). Journeys with everything running are in tests/e2e.
"""

import contextlib
import importlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
from fastapi import FastAPI
from joserfc.jwk import ECKey

from embedded.postgres import EmbeddedPostgres
from shared.auth import Role
from shared.auth.issuer import Client, sign
from shared.auth.keys import KeyRing
from shared.bus.envelope import headers_of, new_id, open_envelope, seal
from shared.bus.inbox import Inbox
from shared.bus.port import Record
from shared.database import BY_COMMAND, Acting, Database, begin
from shared.events import Event, topic_of
from shared.service.app import create_app, errand_once, sweep_once
from shared.service.clock import wall_time
from shared.service.declare import Service
from shared.service.keeping import erasing
from shared.settings import Settings
from shared.vault import new_master_keys

SERVICES = ("intake", "assessment", "referral", "training", "dashboard")
ISSUER = "http://issuer.test"
KEY = ECKey.generate_key("P-256", parameters={"kid": "test-key"}, auto_kid=False)

KAGOSHIMA, KIRISHIMA, ZAMA = "462012", "462187", "142166"
"""鹿児島市, 霧島市, 座間市."""

MASTER_KEYS = new_master_keys()


async def keys() -> Mapping[str, Any]:
    """The test issuer's key set."""
    return {"keys": [{**KEY.as_dict(private=False), "kid": "test-key"}]}


def token(
    agency: str = "kagoshima-desk",
    *roles: Role,
    municipalities: Sequence[str] = (KAGOSHIMA,),
    kind: str = "self_reliance_desk",
    life: int = 3600,
) -> str:
    """A signed access token for an agency, good at every service."""
    client = Client(
        client_id=f"client-{agency}",
        public_key={},
        agency=agency,
        agency_kind=kind,
        municipalities=list(municipalities),
        roles=[*roles] or [Role.COUNSELLOR],
    )
    audiences = [f"tsunagu-{service}" for service in SERVICES]
    return sign(client, issuer=ISSUER, key=KEY, audiences=audiences, now=time.time(), life=life)


class Caller:
    """An agency's system: an HTTP client with a token, and a fresh Idempotency-Key for each POST unless given one."""

    def __init__(self, client: httpx2.AsyncClient, bearer: str | None) -> None:
        self._client = client
        self._headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}

    async def get(self, path: str, **kwargs: Any) -> httpx2.Response:
        """GET with the token."""
        return await self._client.get(path, headers=self._headers | kwargs.pop("headers", {}), **kwargs)

    async def pages(self, path: str, **params: Any) -> AsyncIterator[list[Any]]:
        """Every page of a list; it has an end, and each cursor leads on."""
        places: list[str] = []
        while True:
            answer = await self.get(path, params=params | ({"cursor": places[-1]} if places else {}))
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert page["items"] or not places, "a cursor leads to something"
            yield page["items"]
            if page["next_cursor"] is None:
                return
            assert page["next_cursor"] not in places, "a list without an end"
            places.append(page["next_cursor"])

    async def whole(self, path: str, **params: Any) -> list[Any]:
        """A list, read page by page to its end."""
        return [item async for page in self.pages(path, **params) for item in page]

    async def post(self, path: str, json: Any = None, *, key: str | None = None, **kwargs: Any) -> httpx2.Response:
        """POST with the token and a key."""
        headers = self._headers | {"Idempotency-Key": key or str(uuid4())} | kwargs.pop("headers", {})
        if json is not None:
            kwargs["json"] = json
        return await self._client.post(path, headers=headers, **kwargs)

    async def put(self, path: str, json: Any, *, etag: str | None, **kwargs: Any) -> httpx2.Response:
        """PUT with the token and the ETag that was read."""
        headers = self._headers | ({"If-Match": etag} if etag else {})
        return await self._client.put(path, json=json, headers=headers, **kwargs)

    async def patch(self, path: str, json: Any, *, etag: str | None, **kwargs: Any) -> httpx2.Response:
        """PATCH with the token and the ETag that was read."""
        headers = self._headers | ({"If-Match": etag} if etag else {})
        return await self._client.patch(path, json=json, headers=headers, **kwargs)


class Running:
    """One service in a test: its app, its database, its outbox. If `foreign`, it asks the issuer of its settings."""

    def __init__(self, service: Service, settings: Settings, *, foreign: bool = False) -> None:
        self.service = service
        ring = None if foreign else KeyRing(keys)
        self.app: FastAPI = create_app(service, settings, transport=Deaf(), keys=ring)
        self.desk = self.app.state.desk
        self.database: Database = self.desk.database
        self.inbox = Inbox(
            service.name, self.database, service.ears, offset=lambda: self.desk.clock.offset, pauses=(0.0,)
        )
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        self.client = httpx2.AsyncClient(transport=transport, base_url=f"http://{service.name}.test")
        self._offset = 0

    def as_(self, agency: str = "kagoshima-desk", *roles: Role, **kwargs: Any) -> Caller:
        """A caller from an agency."""
        return Caller(self.client, token(agency, *roles, **kwargs))

    @property
    def anonymous(self) -> Caller:
        """A caller without a token."""
        return Caller(self.client, None)

    async def told(self) -> list[Event]:
        """Everything in the outbox, in order."""
        rows = await self.rows("SELECT value FROM outbox ORDER BY seq")
        return [open_envelope(row["value"], {}).read() for row in rows]

    async def hear(self, *events: Event, event_id: Any = None, at: datetime | None = None) -> None:
        """Deliver events as the bus would; `at`: when they were published."""
        first, self._offset = self._offset, self._offset + len(events)
        await self.inbox.deliver(
            [as_record(event, sequence=n, offset=n, event_id=event_id, at=at) for n, event in enumerate(events, first)]
        )

    async def sweep(self) -> int:
        """Run the service's own sweeps, and orders to erase, until nothing is left; how many subjects were handled."""
        done = 0
        erasures = [erasing(self.desk.settings, self.service.forgetters)] if self.service.keeps_persons else []
        for sweep in (*self.service.sweeps, *erasures):
            while await sweep_once(sweep, self.desk):
                done += 1
        return done

    async def run_errands(self) -> int:
        """Carry out of the house what is due, until nothing is; how many things were carried."""
        done = 0
        for errand in self.service.errands:
            while await errand_once(errand, self.desk):
                done += 1
        return done

    def pass_time(self, by: timedelta) -> None:
        """Move this service's clock on."""
        self.desk.clock.offset += by

    async def rows(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Look into the service's schema, as its own role, through the door of a command."""
        return await self.rows_for(BY_COMMAND, sql, *values)

    async def rows_for(self, acting: Acting, sql: str, *values: Any) -> list[asyncpg.Record]:
        """The same on somebody's behalf: what row-level security lets through, whatever the statement asks for."""
        async with self.database.session(acting) as session:
            found: list[asyncpg.Record] = await (await begin(session)).fetch(sql, *values)
            await session.commit()
            return found

    async def close(self) -> None:
        """Give everything back."""
        await self.client.aclose()
        await self.database.dispose()


def as_record(
    event: Event,
    *,
    sequence: int = 1,
    at: datetime | None = None,
    event_id: UUID | None = None,
    partition: int = 0,
    offset: int = 0,
) -> Record:
    """An event as a transport brings it."""
    made, topic = event_id or new_id(), topic_of(event.publisher)
    value = seal(event, event_id=made, at=at or wall_time(), sequence=sequence, by="somebody", cause=None)
    headers = headers_of(event_id=made, type_=event.type, subject=event.subject, topic=topic)
    return Record(topic, partition, offset, event.subject, value, headers)


class Deaf:
    """A transport for tests in which nothing travels by itself."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def ensure_topics(self, topics: Sequence[str]) -> None: ...
    async def publish(self, batch: Sequence[Any]) -> None: ...
    async def consume(self, group: str, topics: Sequence[str], handler: Any) -> None: ...
    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[str, int]:
        return {}


class World:
    """Makes services on demand: `world.service("training")`."""

    def __init__(self, postgres: EmbeddedPostgres, database_name: str) -> None:
        self.postgres = postgres
        self.database_name = database_name
        self._running: dict[str, Running] = {}

    def url(self, user: str) -> str:
        """The test's database as a role."""
        return self.postgres.url(user=user, database=self.database_name)

    def settings(self, name: str, **changes: Any) -> Settings:
        """A service's settings in this world."""
        values: dict[str, Any] = {
            "service": name,
            "database_url": self.url(f"tsunagu_{name}"),
            "bus_database_url": self.url("tsunagu_bus"),
            "issuer": ISSUER,
            "log_level": "error",
            "master_keys": MASTER_KEYS,
        }
        return Settings(**(values | changes))

    def service(self, name: str) -> Running:
        """The named service, started once per test."""
        if name not in self._running:
            declared = importlib.import_module(f"services.{name}.app").service
            self._running[name] = Running(declared, self.settings(name))
        return self._running[name]

    def declared(self, service: Service) -> Running:
        """A service declared by the test itself, on the schema of the service it is named for."""
        running = Running(service, self.settings(service.name))
        self._running[f"{service.name}-{len(self._running)}"] = running
        return running

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator["World"]:
        """Close every service at the end."""
        try:
            yield self
        finally:
            for running in self._running.values():
                await running.close()


async def execute_as_admin(postgres: EmbeddedPostgres, sql: str, database: str = "postgres") -> None:
    """One statement outside a transaction, as the superuser."""
    connection = await asyncpg.connect(user="postgres", database=database, host=str(postgres.socket_folder))
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
