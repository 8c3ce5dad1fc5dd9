"""The HTTP door: a route opens one transaction, commits before the answer leaves, and turns failures into problems."""

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from shared.database import is_outage
from shared.problems import ERASED, INTERNAL, UNAVAILABLE, Problem
from shared.service.gathering import Again, Replay
from shared.service.logs import where
from shared.service.strict import StrictRequest
from shared.service.transaction import Work
from shared.vault import Erased

_log = structlog.get_logger()
_STATEMENT_TOOK_TOO_LONG = "57014"


class Route(APIRoute):
    """Every route of every service."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, inside one transaction."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            try:
                return await once(strict)
            except Again:
                return await once(strict, alone=True)

        async def once(strict: StrictRequest, *, alone: bool = False) -> Response:
            work = Work(strict.app.state.desk, strict, alone=alone)
            strict.state.work = work
            try:
                response = await answer(strict)
                await work.finish(response)
                return response
            except Replay as replay:
                return replay.response
            except (HTTPException, RequestValidationError, Again):
                raise
            except Erased:
                raise Problem(ERASED) from None
            except Exception as error:
                raise _as_problem(error) from error
            finally:
                await work.close()

        return handle


def router(prefix: str = "", tag: str | None = None) -> APIRouter:
    """A router whose routes are transactions. Tags are ASCII; the app gives them Japanese names."""
    return APIRouter(prefix=prefix, route_class=Route, tags=[tag] if tag else None)


def _as_problem(error: Exception) -> Problem:
    """An outage is 503 and may be tried again; anything else is a bug: 500, and a line for operators."""
    # SQLAlchemy wraps the driver's error; a hot statement raises it bare.
    state = getattr(getattr(error, "orig", error), "sqlstate", None)
    away = is_outage(error) or state == _STATEMENT_TOOK_TOO_LONG
    _log.error("request_failed", error=type(error).__name__, sqlstate=state, where=where(error))
    return Problem(UNAVAILABLE, headers={"Retry-After": "2"}) if away else Problem(INTERNAL)
