"""A small mail server on the loopback, for tests: it speaks SMTP as far as we need, and misbehaves on order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default


@dataclass
class PostOffice:
    """What came in, and how it answers the next ones."""

    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    """By verb (`RCPT`, `DATA`, `.` for the end of the message): what is answered instead; `hang up` does that."""
    port: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"smtp://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator["PostOffice"]:
        """Listen."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"220 post.test ESMTP\r\n")
            while line := (await reader.readline()).decode().strip():
                verb = line.partition(" ")[0].upper()
                answer = self.answers.get(verb) or {"DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 ok")
                if answer.startswith("354"):
                    writer.write(f"{answer}\r\n".encode())
                    answer = await self._take(reader)
                if verb == "RCPT" and answer.startswith("250"):
                    self.recipients.append(line)
                if answer == "hang up":
                    break
                writer.write(f"{answer}\r\n".encode())
                await writer.drain()
        writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> str:
        lines: list[bytes] = []
        while (line := await reader.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b"."))
        answer = self.answers.get(".", "250 taken")
        if answer.startswith("250") or answer == "hang up":
            # Whoever hangs up now has taken it, and the sender can't know.
            self.received.append(message_from_bytes(b"".join(lines), policy=default))
            self.arrived.set()
        return answer
