"""One kept-alive connection that asks and waits: raw HTTP/1.1, for a full client costs more time than the service."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Self

from shared.bus.envelope import new_id


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and after how many seconds."""

    status: int
    seconds: float
    body: bytes


class Wire:
    """A connection to a service on the loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader = reader
        self._writer = writer
        self._token = token

    @classmethod
    async def to(cls, port: int, token: str) -> Self:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=16 * 1024 * 1024), token)

    async def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """One request and its answer; a POST has an Idempotency-Key of its own unless it is given one."""
        sent = b"" if body is None else json.dumps(body).encode()
        extra = f"Idempotency-Key: {key or new_id()}\r\nContent-Type: application/json\r\n" if method == "POST" else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\n"
            f"{extra}Content-Length: {len(sent)}\r\n\r\n"
        )
        began = time.perf_counter()
        self._writer.write(head.encode() + sent)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lowered = answer.lower()
        start = lowered.index(b"content-length:") + 15
        told = await self._reader.readexactly(int(lowered[start : lowered.index(b"\r\n", start)]))
        return Answer(int(answer[9:12]), time.perf_counter() - began, told)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
