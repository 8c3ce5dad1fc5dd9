"""What breaks after an answer has begun: told to operators as a type and a place, and never printed with its text."""

from collections.abc import AsyncIterator

import anyio
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.types import Message
from structlog.testing import capture_logs

from shared.service.edge import Edge
from shared.service.failures import answer_failures

HUNG_UP = ExceptionGroup("stream", [ExceptionGroup("tasks", [anyio.BrokenResourceError()])])
BOTH = ExceptionGroup("stream", [anyio.BrokenResourceError(), ValueError("canary")])


async def told_about(error: Exception) -> list[str]:
    """What operators are told when a stream ends like that; whatever came out of the app would fail the test."""
    app = FastAPI()
    answer_failures(app)

    async def lines() -> AsyncIterator[bytes]:
        yield b"one"
        raise error

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(lines())

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(_: Message) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/stream", "headers": [], "query_string": b""}
    with capture_logs() as logs:
        await Edge(app, "intake")(scope, receive, send)
    assert "canary" not in str(logs)
    return [entry["event"] for entry in logs if entry["log_level"] == "error"]


@pytest.mark.parametrize(
    ("error", "told"),
    [(HUNG_UP, []), (BOTH, ["request_failed"]), (ValueError("canary"), ["request_failed"])],
    ids=["the listener hung up", "that and a bug", "a bug"],
)
async def test_only_faults_are_told_and_nothing_is_printed(error: Exception, told: list[str]) -> None:
    assert await told_about(error) == told
