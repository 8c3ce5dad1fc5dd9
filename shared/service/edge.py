"""The outermost layer, pure ASGI: a request id, one log line, the duration, and headers that every answer carries."""

import time
from collections.abc import Callable

import structlog
from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.bus.envelope import new_id

_log = structlog.get_logger()
_DURATION = Histogram(
    "tsunagu_request_seconds",
    "Time to answer, by route template",
    ["service", "method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]


class Edge:
    """Wraps one service's app."""

    def __init__(self, app: ASGIApp, service: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._service = service
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and measure."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()
        request_id = str(new_id())
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {
                    **message,
                    "headers": [*message["headers"], *_HEADERS, (b"x-request-id", request_id.encode())],
                }
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            seconds = self._clock() - began
            _DURATION.labels(self._service, scope["method"], route, str(status)).observe(seconds)
            if not route.startswith(("/health", "/metrics")):
                actor = scope["state"].get("actor")
                _log.info(
                    "request",
                    service=self._service,
                    request_id=request_id,
                    method=scope["method"],
                    route=route,
                    status=status,
                    ms=round(seconds * 1000, 1),
                    agency=getattr(actor, "agency", None),
                )
