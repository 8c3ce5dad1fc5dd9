"""The dashboard's pages on a stage of their own: real templates, real scripts, figures the test decides.

Nothing of the platform runs here, so a test can show what the real one shows rarely: an empty region, fifty
courses, a service that is away, a line that is cut.
"""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from services.dashboard import pages
from services.dashboard.domain import FIELDS, STAGES, CourseRun, Figures, Pool, Stage

AS_OF = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)
EMPTY = Figures(as_of=AS_OF, position=0, funnel=tuple(Stage(each, 0) for each in STAGES), seats=(), lag_seconds=None)


@dataclass
class Stand:
    """What the stage shows now; a test replaces the figures, and every open page hears of it."""

    figures: Figures = EMPTY
    demo: bool = True
    ready: dict[str, bool | None] = field(default_factory=dict)
    open_streams: bool = True

    def show(self, figures: Figures) -> None:
        self.figures = replace(figures, position=self.figures.position + 1)


def region(courses: int = 12, cases: int = 300) -> Figures:
    """An invented region: everything follows from the two numbers, so a picture of it is the same every time."""
    shares = (100, 91, 84, 71, 62, 48, 37, 33)
    runs = tuple(_course_run(number) for number in range(1, courses + 1))
    funnel = tuple(Stage(stage, cases * part // 100) for stage, part in zip(STAGES, shares, strict=True))
    return Figures(as_of=AS_OF, position=1, funnel=funnel, seats=runs, lag_seconds=0.2)


def _course_run(number: int) -> CourseRun:
    granted = 12 + number * 5 % 14
    filled = granted * (number * 37 % 101) // 100
    held = min(granted - filled, number % 4)
    general = Pool(
        UUID(int=number * 10), "general", None, granted, held, filled, number % 3 if filled == granted else 0
    )
    towns = ("462012", "462187", "462039", "463922")
    delegated = Pool(UUID(int=number * 10 + 1), "delegated", towns[number % 4], 4, number % 2, 3, number % 5)
    return CourseRun(
        course_run_id=UUID(int=number),
        course_number=f"5-08-46-01-{number:02}-{number * 7 % 90 + 10:04}",
        field=FIELDS[number % len(FIELDS)],
        starts_on=date(2026, 12, 1) + timedelta(days=7 * (number % 6)),
        applications_close_at=AS_OF + timedelta(days=number % 7 * 5 - 3, hours=2),
        provider=f"school-{number % 5}",
        pools=(general, delegated) if number % 2 else (general,),
    )


def build(stand: Stand) -> FastAPI:
    outer = FastAPI(openapi_url=None)
    for service in pages.SERVICES:
        if service != "dashboard":
            outer.mount(f"/{service}", _neighbour(service, stand))
    outer.mount("/dashboard", _dashboard(stand))
    return outer


def _health(service: str, stand: Stand) -> Response:
    ready = stand.ready.get(service, True)
    if ready is None:
        return Response("the gateway has nobody to ask", 502)
    body = {
        "status": "ready" if ready else "not_ready",
        "service": service,
        "version": "0.1.0",
        "checks": {"database": "ok", "migrations": "ok" if ready else "behind"},
        "oldest_unsent_seconds": 0.0 if ready else 95.0,
        "unsent": 0 if ready else 12,
        "parked": 0 if ready else 1,
    }
    return Response(json.dumps(body), 200 if ready else 503, media_type="application/json")


def _neighbour(service: str, stand: Stand) -> FastAPI:
    app = FastAPI(title=service, version="1.0.0")

    @app.get("/health/ready")
    async def ready() -> Response:
        return _health(service, stand)

    @app.post(f"/v1/{service}/things", summary=f"Opens a thing in {service}")
    async def open_thing(name: str) -> dict[str, str]:
        return {"name": name}

    return app


def _dashboard(stand: Stand) -> FastAPI:
    app = FastAPI(title="dashboard", version="1.0.0")
    app.include_router(pages.router)
    app.mount("/static", pages.assets)

    async def figures() -> Figures:
        return stand.figures

    async def demo() -> bool:
        return stand.demo

    app.dependency_overrides[pages.current_figures] = figures
    app.dependency_overrides[pages.demonstration] = demo

    @app.get("/health/ready")
    async def ready() -> Response:
        return _health("dashboard", stand)

    @app.get("/v1/figures")
    async def read_figures() -> Response:
        return Response(wire(stand.figures), media_type="application/json")

    @app.get("/v1/figures/stream")
    async def stream_figures() -> Response:
        if not stand.open_streams:
            return Response(status_code=503)
        return StreamingResponse(_events(stand), media_type="text/event-stream")

    @app.get("/asyncapi.json")
    async def asyncapi() -> dict[str, Any]:
        return ASYNCAPI

    return app


async def _events(stand: Stand) -> AsyncIterator[str]:
    told = -1
    while stand.open_streams:
        if stand.figures.position != told:
            told = stand.figures.position
            yield f"event: figures\nid: {told}\ndata: {wire(stand.figures)}\n\n"
        await asyncio.sleep(0.05)


def wire(figures: Figures) -> str:
    return json.dumps(
        asdict(figures), default=lambda value: value.isoformat() if hasattr(value, "isoformat") else str(value)
    )


ASYNCAPI: dict[str, Any] = {
    "asyncapi": "3.0.0",
    "info": {"title": "Tsunagu events", "version": "1.0.0"},
    "channels": {
        "intake": {
            "address": "tsunagu.intake",
            "messages": {"CaseOpened": {"$ref": "#/components/messages/CaseOpened"}},
        }
    },
    "operations": {"tellCaseOpened": {"action": "send", "channel": {"$ref": "#/channels/intake"}}},
    "components": {
        "messages": {
            "CaseOpened": {
                "title": "A case was opened",
                "payload": {"type": "object", "properties": {"case_id": {"type": "string", "format": "uuid"}}},
            }
        }
    },
}


@contextmanager
def serve(stand: Stand, port: int = 0) -> Iterator[str]:
    """The stage on a loopback port, in a thread of its own; yields the origin."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        bound.listen()  # before anybody is told the address: early callers wait in line instead of being refused
        config = uvicorn.Config(build(stand), log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            stand.open_streams = False
            server.should_exit = True
            thread.join(10)
