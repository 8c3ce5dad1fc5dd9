"""Health: alive is the process; ready is the database and its schema, never the broker. And operators' figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from shared import VERSION
from shared.auth import public
from shared.database import Acting, is_migrated
from shared.service.declare import Count
from shared.service.transaction import Desk

_UNSENT = Gauge("tsunagu_events_unsent", "Events waiting in the outbox", ["service"])
_OLDEST = Gauge("tsunagu_oldest_unsent_seconds", "Age of the oldest event in the outbox", ["service"])
_PARKED = Gauge("tsunagu_events_parked", "Events set aside for an operator", ["service"])
_OVERDUE = Gauge("tsunagu_overdue", "What people should have done by now and have not", ["service", "what"])
_BY_FIGURES = Acting(door="figures")
_STATE = text(
    "SELECT (SELECT count(*) FROM outbox) AS unsent,"
    " (SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float FROM outbox) AS oldest,"
    " (SELECT count(*) FROM parked WHERE dropped_at IS NULL) AS parked"
)


@dataclass(frozen=True, slots=True)
class MailState:
    """How the service's mailbox stands."""

    unsent: int
    oldest_unsent_seconds: float | None
    parked: int


async def mail_state(session: AsyncSession, service: str) -> MailState:
    """Count what waits, and set the gauges."""
    row = (await session.execute(_STATE)).one()
    oldest = None if row.oldest is None else round(max(row.oldest, 0.0), 3)
    _UNSENT.labels(service).set(row.unsent)
    _OLDEST.labels(service).set(oldest or 0.0)
    _PARKED.labels(service).set(row.parked)
    return MailState(row.unsent, oldest, row.parked)


async def count_overdue(desk: Desk, service: str, overdue: Mapping[str, Count]) -> None:
    """Count what is overdue, of everybody, and set the gauges."""
    async with desk.database.session(_BY_FIGURES) as session:
        for what, count in overdue.items():
            _OVERDUE.labels(service, what).set(await count(session, await desk.clock.now(session)))


def health_router(service: str, overdue: Mapping[str, Count]) -> APIRouter:
    """`/health/live`, `/health/ready`, `/metrics`: readable by anybody inside; the gateway keeps metrics in."""
    router = APIRouter(dependencies=[public], include_in_schema=False)

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live", "service": service, "version": VERSION}

    @router.get("/health/ready")
    async def ready(request: Request, response: Response) -> dict[str, Any]:
        desk: Desk = request.app.state.desk
        checks = {"database": "failed", "migrations": "unknown"}
        state = MailState(0, None, 0)
        try:
            async with desk.database.session() as session:
                migrated = await is_migrated(session, service)
                checks = {"database": "ok", "migrations": "ok" if migrated else "behind"}
                if migrated:
                    state = await mail_state(session, service)
        except (SQLAlchemyError, OSError, TimeoutError):
            checks["database"] = "failed"
        ok = checks == {"database": "ok", "migrations": "ok"}
        response.status_code = 200 if ok else 503
        response.headers["Cache-Control"] = "no-store"
        return {
            "status": "ready" if ok else "not_ready",
            "service": service,
            "version": VERSION,
            "demo": desk.settings.demo,
            "checks": checks,
            "oldest_unsent_seconds": state.oldest_unsent_seconds,
            "unsent": state.unsent,
            "parked": state.parked,
        }

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        desk: Desk = request.app.state.desk
        try:
            async with desk.database.session() as session:
                await mail_state(session, service)
            await count_overdue(desk, service, overdue)
        except (SQLAlchemyError, OSError, TimeoutError):
            pass  # the process's own figures are worth having while the database is away
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
