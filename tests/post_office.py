"""A small mail server on this machine, for tests: it speaks SMTP as far as we need, and misbehaves on order."""

import asyncio
import base64
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.service.clock import wall_time


@dataclass
class PostOffice:
    """What came in, and how it answers the next ones."""

    host: str = "127.0.0.1"
    port: int = 0
    """Any that is free, unless one is given."""
    login: tuple[str, str] | None = None
    """The one user with its password, if nobody else may hand mail in."""
    certificate: Path | None = None
    """If it speaks TLS: what `make_certificate` made."""
    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    """By verb (`RCPT`, `DATA`, `.` for the end of the message): what is answered instead; `hang up` does that."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        user = "".join(f"{quote(name, safe='')}:{quote(password, safe='')}@" for name, password in self._logins())
        return f"{'smtp' if self.certificate is None else 'smtps'}://{user}{self.host}:{self.port}"

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator["PostOffice"]:
        """Listen."""
        server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self._tls())
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    def _logins(self) -> list[tuple[str, str]]:
        return [] if self.login is None else [self.login]

    def _tls(self) -> ssl.SSLContext | None:
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.certificate.with_suffix(".key"))
        return context

    def _usual(self, line: str, *, known: bool) -> str:
        """The answer to one line of somebody who has said who it is, or not."""
        match line.partition(" ")[0].upper():
            case "EHLO" if self.login is not None:
                return "250-post.test\r\n250 AUTH PLAIN"
            case "AUTH":
                right = [base64.b64encode(f"\0{name}\0{word}".encode()).decode() for name, word in self._logins()]
                return "235 welcome" if line.split(" ")[2:] == right else "535 wrong"
            case "MAIL" if self.login is not None and not known:
                return "530 who are you"
            case "DATA":
                return "354 go on"
            case "QUIT":
                return "221 bye"
            case _:
                return "250 ok"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            known = False
            writer.write(b"220 post.test ESMTP\r\n")
            while line := (await reader.readline()).decode().strip():
                verb = line.partition(" ")[0].upper()
                answer = self.answers.get(verb) or self._usual(line, known=known)
                known = known or answer.startswith("235")
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


def make_certificate(path: Path, address: str) -> Path:
    """One for a server at that address, signed by itself: a client must be told to trust it. Its key lies beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "post.test")])
    begins = wall_time() - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path
