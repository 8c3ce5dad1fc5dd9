"""`create_app`: a declared service becomes an app with its three doors open."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from prometheus_client import Gauge
from starlette.types import Lifespan

from shared import VERSION
from shared.auth import Verifier
from shared.auth.guard import rule_of
from shared.auth.keys import KeyRing
from shared.bus.inbox import Inbox
from shared.bus.mailbox import Origin
from shared.bus.port import Transport
from shared.bus.postgres import PostgresTransport
from shared.bus.relay import Relay
from shared.database import BY_SWEEP, connect
from shared.events import topic_of
from shared.service.clock import Clock
from shared.service.declare import Errand, Service, Settled, Sweep
from shared.service.edge import Edge
from shared.service.erasures import refuse_before_replay
from shared.service.failures import answer_failures
from shared.service.health import health_router
from shared.service.issuers import open_key_ring, read_profile
from shared.service.keeping import FORGET_FILES, HOUSEKEEPING, erasing, keeping_the_log
from shared.service.logs import configure_logs
from shared.service.loops import running
from shared.service.openapi import describe
from shared.service.rehearsal import rehearsal_router
from shared.service.transaction import Desk
from shared.service.wall import refuse_without_wall
from shared.settings import Settings
from shared.vault import MasterKeys, read_master_keys

_log = structlog.get_logger()
_KEYS_AGE = Gauge("tsunagu_issuer_keys_age_seconds", "Since the issuer's keys were last read", ["service"])
_LAG = Gauge("tsunagu_events_behind", "Events published and not yet taken, by topic", ["service", "topic"])


def create_app(
    service: Service,
    settings: Settings,
    *,
    transport: Transport | None = None,
    keys: KeyRing | None = None,
    masters: MasterKeys | None = None,
) -> FastAPI:
    """The service as an ASGI app. Given a transport, it shares it; otherwise it makes and ends its own."""
    configure_logs(settings)
    profile = read_profile(settings)
    ring = keys or open_key_ring(settings, profile)
    desk = _desk_of(service, settings, masters)
    app = _bare_app(service, settings, _lifespan(service, desk, transport, ring))
    app.state.desk = desk
    app.state.code_words = service.code_words
    app.state.inspect = functools.partial(_inspect, service, desk)
    app.state.verifier = Verifier(service=service.name, issuer=settings.issuer, keys=ring, profile=profile)
    _add_routes(app, service, demo=settings.demo)
    answer_failures(app)
    describe(app, service)
    if service.prepare is not None:
        service.prepare(app)
    _refuse_undeclared(app)
    _wrap_in_edge(app, service)
    return app


def _desk_of(service: Service, settings: Settings, masters: MasterKeys | None) -> Desk:
    database = connect(
        settings.database_url,
        schema=service.name,
        password=settings.database_password,
        pool=settings.database_pool,
        walled=service.keeps_persons,
    )
    database.carries["settings"] = settings
    if service.keeps_persons:
        database.carries["masters"] = masters or read_master_keys(settings)
    return Desk(database, Clock(), settings)


async def _inspect(service: Service, desk: Desk) -> None:
    """What must stand before anybody is served. Raises `StartRefused`."""
    if service.keeps_persons:
        await refuse_without_wall(desk.database, service.name, service.unwalled)
        if desk.settings.erasures_path is not None:
            await refuse_before_replay(desk.database, desk.settings.erasures_path)


def _lifespan(service: Service, desk: Desk, shared: Transport | None, keys: KeyRing) -> Lifespan[FastAPI]:
    """While the app is served: its transport, unless it is shared, its relay, and its loops."""
    carrier = shared or make_transport(desk.settings, client=service.name)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await _inspect(service, desk)
        async with _own(carrier if shared is None else None):
            relay = Relay(service.name, desk.database, carrier)
            desk.database.after_emit = relay.wake
            app.state.relay = relay
            async with running(service.name, _loops(service, desk, carrier, relay, keys)):
                _log.info("started", service=service.name, version=VERSION)
                yield
        await desk.gathering.drained()
        await desk.database.dispose()
        _log.info("stopped", service=service.name)

    return lifespan


def _bare_app(service: Service, settings: Settings, lifespan: Lifespan[FastAPI]) -> FastAPI:
    return FastAPI(
        title=service.title,
        version=VERSION,
        lifespan=lifespan,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        max_body_size=settings.max_body_bytes,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )


def _add_routes(app: FastAPI, service: Service, *, demo: bool) -> None:
    for router in (*service.routers, health_router(service.name, service.overdue)):
        app.include_router(router)
    if demo:
        app.include_router(rehearsal_router())


def _wrap_in_edge(app: FastAPI, service: Service) -> None:
    """Around everything, FastAPI's own layers too: `add_middleware` would put it inside the body limit."""
    stack = app.build_middleware_stack
    app.build_middleware_stack = lambda: Edge(stack(), service=service.name)  # type: ignore[method-assign]


def make_transport(settings: Settings, *, client: str) -> Transport:
    """The transport that the settings name."""
    if settings.transport == "kafka":
        from shared.bus.kafka import KafkaTransport, Pace  # noqa: PLC0415 - who has no Kafka needs no client for it

        return KafkaTransport(
            settings.kafka_bootstrap_servers,
            client_id=f"tsunagu-{client}",
            replication_factor=settings.kafka_replication_factor,
            pace=Pace(
                session_timeout=settings.kafka_session_seconds, heartbeat_interval=settings.kafka_session_seconds / 10
            ),
        )
    return PostgresTransport(settings.bus_database_url or settings.database_url, password=settings.database_password)


@contextlib.asynccontextmanager
async def _own(transport: Transport | None) -> AsyncIterator[None]:
    if transport is None:
        yield
        return
    await transport.start()
    try:
        yield
    finally:
        await transport.stop()


def _loops(
    service: Service, desk: Desk, transport: Transport, relay: Relay, keys: KeyRing
) -> dict[str, Callable[[], Awaitable[None]]]:
    inbox = Inbox(service.name, desk.database, service.ears, offset=lambda: desk.clock.offset)
    topics = [topic_of(publisher) for publisher in service.ears.publishers]

    async def listen() -> None:
        await transport.ensure_topics(topics)
        await transport.consume(service.name, topics, inbox.deliver)

    async def carry() -> None:
        await transport.ensure_topics([topic_of(service.name)])
        await relay.run()

    _KEYS_AGE.labels(service.name).set_function(keys.age)
    loops: dict[str, Callable[[], Awaitable[None]]] = {"relay": carry, "issuer_keys": keys.keep_fresh}
    if topics:
        loops["inbox"] = listen
        loops["lag"] = lambda: _watch_lag(service.name, transport, topics)
    persons_keeping: tuple[Sweep, ...] = ()
    if service.keeps_persons or service.logs_reads:
        persons_keeping = keeping_the_log(service.name, desk.settings)
    if service.keeps_persons:
        persons_keeping += (erasing(desk.settings, service.forgetters),)
    files = () if service.ends_files else (FORGET_FILES,)
    for sweep in (*service.sweeps, *HOUSEKEEPING, *files, *persons_keeping):
        for place in range(sweep.at_once):
            name = f"{sweep.name}_{place + 1}" if place else sweep.name
            loops[name] = _again(functools.partial(sweep_once, sweep, desk), sweep.every, share=sweep.share)
    for errand in service.errands:
        loops[errand.name] = _again(functools.partial(errand_once, errand, desk), errand.every)
    if isinstance(transport, PostgresTransport):
        loops["prune_bus"] = lambda: _prune(transport)
    return loops


def _again(once: Callable[[], Awaitable[bool]], every: timedelta, *, share: float = 1) -> Callable[[], Awaitable[None]]:
    async def on_and_on() -> None:
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            while await once():
                await asyncio.sleep((now() - began) * (1 / share - 1))
                began = now()
            await asyncio.sleep(every.total_seconds())

    return on_and_on


async def sweep_once(sweep: Sweep, desk: Desk) -> bool:
    """One subject, one transaction. Whether there was one."""
    async with desk.database.transaction(BY_SWEEP) as session:
        session.info["origin"] = Origin(cause=f"sweep:{sweep.name}")
        return await sweep.run(session, await desk.clock.now(session))


async def errand_once(errand: Errand, desk: Desk) -> bool:
    """One thing to carry; nothing is locked meanwhile. Whether there was one."""
    origin = Origin(cause=f"errand:{errand.name}")
    async with desk.database.transaction(BY_SWEEP) as session:
        session.info["origin"] = origin
        taken = await errand.take(session, await desk.clock.now(session))
    if taken is None:
        return False
    if isinstance(taken, Settled):
        return True
    came_of_it = await errand.carry(taken, desk.settings)
    async with desk.database.transaction(BY_SWEEP) as session:
        session.info["origin"] = origin
        await errand.note(session, taken, came_of_it, await desk.clock.now(session))
    return True


async def _watch_lag(service: str, transport: Transport, topics: Sequence[str]) -> None:
    """Every fifteen seconds: how far the service's ears are behind."""
    while True:
        for topic, behind in (await transport.lag(service, topics)).items():
            _LAG.labels(service, topic).set(behind)
        await asyncio.sleep(15)


async def _prune(transport: PostgresTransport) -> None:
    while True:
        await transport.prune()
        await asyncio.sleep(3600)


def _refuse_undeclared(app: FastAPI) -> None:
    """Default deny: a route that doesn't say who may call it stops the start."""
    # `app.routes` shows an included router as one thing: only the contexts show its routes, with inherited rules.
    for route in iter_route_contexts(app.routes):
        kind = route.original_route
        if isinstance(kind, APIRoute | APIWebSocketRoute) and rule_of(list(route.dependencies)) is None:
            raise RuntimeError(f"{route.path} declares no rule: requires(...) or public")
