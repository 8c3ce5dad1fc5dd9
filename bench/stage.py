"""What a benchmark stands on: a PostgreSQL of its own with everything durable, and processes that it ends itself."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from joserfc.jwk import ECKey

from embedded.postgres import EmbeddedPostgres
from shared.auth import Role
from shared.auth.issuer import Client, sign
from shared.database import migrate, provision

ROOT = Path(__file__).resolve().parent.parent
MUNICIPALITY = "462012"
_ISSUER = "http://issuer.bench"
# A default server, as `make run` has it, but for the memory, which a real installation would give it.
_CONF = "max_connections = 300\nshared_buffers = '256MB'\nmax_wal_size = '4GB'\n"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder of the run's own, on the same disk that serves as the system's place for temporary files."""
    made = Path(tempfile.mkdtemp(prefix="tsunagu-bench-"))
    made.chmod(0o755)  # PostgreSQL's own user walks through it, when we are root
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def postgres(within: Path) -> Iterator[EmbeddedPostgres]:
    """A fresh server with production's promises: fsync, full commits."""
    server = EmbeddedPostgres(within / "pg", extra_conf=_CONF)
    server.start()
    try:
        yield server
    finally:
        server.destroy()


async def make_database(server: EmbeddedPostgres, name: str, schemas: Sequence[str]) -> None:
    """A database with these services' schemas, and the bus."""
    connection = await admin(server, "postgres")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    for schema in ("bus", *schemas):
        await provision(server.url(database=name), schema=schema, password=None, admin_password=None)
        await migrate(server.url(database=name), schema=schema)


async def admin(server: EmbeddedPostgres, database: str) -> asyncpg.Connection:
    """A superuser's connection."""
    return await asyncpg.connect(user="postgres", database=database, host=str(server.socket_folder))


@dataclass(frozen=True, slots=True)
class Served:
    """A service that answers, and tokens that are good there for an hour: the desk's, and any other agency's."""

    port: int
    token: str
    token_of: Callable[[str], str]


@contextlib.asynccontextmanager
async def served(
    service: str,
    *roles: Role,
    server: EmbeddedPostgres,
    database: str,
    within: Path,
    module: str = "shared.service",
    **more: Any,
) -> AsyncIterator[Served]:
    """One service in a process of its own, with `more` settings, and an issuer in another."""
    async with contextlib.AsyncExitStack() as stack:
        key = ECKey.generate_key("P-256")
        (within / "issuer.pem").write_bytes(key.as_pem(private=True))
        issuer_port, port = free_port(), free_port()
        issuer = ("-m", "shared.service", "issuer", "--port", str(issuer_port))
        own = environment(issuer=_ISSUER, issuer_key_file=within / "issuer.pem")
        await stack.enter_async_context(process(*issuer, log=within / "issuer.log", env=own))
        settings = {
            "service": service,
            "database_url": server.url(user=f"tsunagu_{service}", database=database),
            "bus_database_url": server.url(user="tsunagu_bus", database=database),
            "issuer": _ISSUER,
            "jwks_url": f"http://127.0.0.1:{issuer_port}/jwks",
        }
        log = within / f"{service}.log"
        run = ("-m", module, "run", "--port", str(port))
        await stack.enter_async_context(process(*run, log=log, env=environment(**settings, **more)))
        for each in (issuer_port, port):
            if not await answers(each, "/health/ready", seconds=90):
                raise RuntimeError(f"the service did not start:\n{tail(log)}")
        yield Served(port, _token(key, service, roles), lambda agency: _token(key, service, roles, agency))


def _token(key: ECKey, service: str, roles: Sequence[Role], agency: str = "kagoshima-desk") -> str:
    client = Client(
        client_id="bench-client",
        public_key={},
        agency=agency,
        agency_kind="self_reliance_desk",
        municipalities=[f"prefecture:{MUNICIPALITY[:2]}" if Role.PLANNER in roles else MUNICIPALITY],
        roles=list(roles),
    )
    key.ensure_kid()
    return sign(client, issuer=_ISSUER, key=key, audiences=[f"tsunagu-{service}"], now=time.time(), life=3600)


def environment(**settings: Any) -> dict[str, str]:
    """A child's environment: these settings and nothing that happens to be set here."""
    return {"PATH": os.defpath, "LANG": "C.UTF-8"} | {
        f"TSUNAGU_{name.upper()}": str(value) for name, value in settings.items()
    }


@contextlib.asynccontextmanager
async def process(
    *args: str, log: Path, env: Mapping[str, str] | None = None, talks: bool = False
) -> AsyncIterator[Process]:
    """One of our own programs; ended with the block. If it `talks`, its stdin and stdout are pipes."""
    with log.open("ab") as out:
        started = await asyncio.create_subprocess_exec(
            sys.executable, *args, cwd=ROOT, env=dict(env or environment()),
            stdin=asyncio.subprocess.PIPE if talks else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if talks else out,
            stderr=out, limit=64 * 1024 * 1024,
        )  # fmt: skip
    try:
        yield started
    finally:
        await end(started)


async def end(started: Process, seconds: float = 15) -> None:
    """Ask it to stop; insist after a while."""
    if started.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        started.terminate()
    try:
        async with asyncio.timeout(seconds):
            await started.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()


async def answers(port: int, path: str, *, seconds: float, every: float = 0.02) -> bool:
    """Wait until GET gives 200 on the loopback, or the time is over."""
    ends = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < ends:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(2):
                if await _status(port, path) == 200:
                    return True
        await asyncio.sleep(every)
    return False


async def _status(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readuntil(b"\r\n")
        return int(line.split()[1])
    finally:
        writer.close()


def free_port() -> int:
    """A port of the loopback that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(log: Path, lines: int = 12) -> str:
    """The end of a program's log, for the person who wonders why it ended."""
    return "\n".join(log.read_text(encoding="utf-8", errors="backslashreplace").splitlines()[-lines:])
