"""The outermost layer, pure ASGI: a request id, one log line, the duration, and headers that every answer carries."""

import time
from collections.abc import Callable

import structlog
from prometheus_client import Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.bus.envelope import new_id
from shared.problems import INVALID, MEDIA_TYPE, TOO_LARGE, Problem
from shared.service.failures import problem_response, words_for

_log = structlog.get_logger()
_DURATION = Histogram(
    "tsunagu_request_seconds",
    "Time to answer, by route template",
    ["service", "method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
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
        instead: Response | None = None

        async def send_on(message: Message) -> None:
            nonlocal status, instead
            if message["type"] == "http.response.start":
                status, headers = message["status"], message["headers"]
                if status == 413 and (b"content-type", MEDIA_TYPE.encode()) not in headers:
                    # Starlette's own limit answers in plain text when the length is told beforehand.
                    instead = problem_response(Problem(TOO_LARGE), Request(scope))
                    headers = instead.raw_headers
                message = {**message, "headers": [*headers, *_HEADERS, (b"x-request-id", request_id.encode())]}
            elif instead is not None:
                message = {"type": "http.response.body", "body": bytes(instead.body), "more_body": False}
            await send(message)

        place = _place_of_nul(scope)
        try:
            await (self._app if place is None else _refusal(place, scope))(scope, receive, send_on)
        except Exception:  # noqa: BLE001, S110 - logged and answered inside; the server would print its text, and texts hold values
            pass
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            seconds = self._clock() - began
            # A method is any word the caller likes: it must not become a label or a log's text.
            method = scope["method"] if scope["method"] in _METHODS else "other"
            _DURATION.labels(self._service, method, route, str(status)).observe(seconds)
            if not route.startswith(("/health", "/metrics")):
                actor = scope["state"].get("actor")
                _log.info(
                    "request",
                    service=self._service,
                    request_id=request_id,
                    method=method,
                    route=route,
                    status=status,
                    ms=round(seconds * 1000, 1),
                    agency=getattr(actor, "agency", None),
                )


def _place_of_nul(scope: Scope) -> str | None:
    """Where a NUL stands, which no column of text takes; for bodies, `strict` and the readers of files see to it."""
    if "\x00" in scope["path"]:
        return "path"
    if b"%00" in scope["query_string"]:
        return "query"
    return "header" if any(b"\x00" in value for _, value in scope["headers"]) else None


def _refusal(place: str, scope: Scope) -> Response:
    code = "control_character"
    english, japanese = words_for(code)
    error = {"in": place, "pointer": "/", "code": code, "message": english, "message_ja": japanese}
    return problem_response(Problem(INVALID, errors=[error]), Request(scope))
