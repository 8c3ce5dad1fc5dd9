"""The platform as real processes: all in one, or one process per service over a real Kafka, at one address.

Both give the same addresses, so the same journey is played against either; a process can be killed (-9).
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from joserfc.jwk import ECKey

from demo.client import register_clients
from embedded.postgres import EmbeddedPostgres
from shared.vault import new_master_keys
from tests.world import SERVICES

ROOT = Path(__file__).resolve().parents[2]


def free_port(beside: int = 1) -> int:
    """A port nobody uses, with `beside - 1` free ones after it.

    It lies below those that the system gives to outgoing connections: else one of them may have it while its server is
    away, or a client that tries it over and over ends up connected to itself. Each worker of the suite has a range of
    its own, so that what one has stopped for a while is nobody else's meanwhile; and the dice are the system's, since
    the usual ones are thrown alike wherever somebody has set them to a number.
    """
    lowest, highest = 15_000, 32_000
    width = (highest - lowest) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    lowest += width * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = random.SystemRandom().randrange(lowest, lowest + width - beside)
        try:
            for extra in range(beside):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + extra))
        except OSError:
            continue
        return port


def wait_until_ready(url: str, seconds: float = 60, *, process: subprocess.Popen[bytes] | None = None) -> None:
    """Until the address answers 200. In vain where its process has ended."""
    ends = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # our own loopback address
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        assert process is None or process.poll() is None, f"the process of {url} has ended"
        assert time.monotonic() < ends, f"{url} is not ready after {seconds} s"
        time.sleep(0.1)


@dataclass(slots=True)
class Platform:
    """A running platform: its address, the demonstration agencies' keys, and its processes by name."""

    url: str
    keys: Path
    folder: Path
    commands: dict[str, tuple[Sequence[str], dict[str, str]]] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    """Where a process answers by itself, beside the gateway or without one."""

    def begin(self, name: str) -> None:
        """Start a process; its output goes to a file."""
        command, environment = self.commands[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=clean_environment() | environment, stdout=log, stderr=log, cwd=ROOT
            )

    def kill(self, name: str) -> None:
        """End it at once (-9), wherever it is."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def stop(self, name: str) -> None:
        """Ask it to end, as Ctrl+C does, and wait. How long it may take is measured by `make bench`."""
        self.processes[name].send_signal(signal.SIGINT)
        self.processes[name].wait(30)

    def end(self) -> None:
        """End everything that still runs."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def output(self, name: str) -> str:
        """What the process has written."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="backslashreplace")


def clean_environment() -> dict[str, str]:
    """Ours, without anything that would configure the platform."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TSUNAGU_", "KAFKA_"))}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def all_in_one(folder: Path, *arguments: str) -> Platform:
    """`make run` on a data folder and port of its own."""
    port = free_port()
    platform = Platform(f"http://127.0.0.1:{port}", folder / "data" / "clients", folder)
    command = [sys.executable, "all_in_one.py", "run", "--port", str(port), "--data", str(folder / "data"), *arguments]
    platform.commands["all_in_one"] = (command, {})
    platform.begin("all_in_one")
    wait_for_output(platform, "all_in_one", "Ctrl+C")
    return platform


def wait_for_output(platform: Platform, name: str, words: str, seconds: float = 90) -> None:
    """Until the process has said something."""
    ends = time.monotonic() + seconds
    while words not in platform.output(name):
        assert platform.processes[name].poll() is None, platform.output(name)
        assert time.monotonic() < ends, platform.output(name)
        time.sleep(0.1)


def one_process_each(folder: Path, postgres: EmbeddedPostgres, database: str, bootstrap: str | None) -> Platform:
    """Five services, the issuer and a gateway, each a process of its own; events travel over Kafka.

    Without a broker they travel through the log in PostgreSQL.
    """
    port = free_port()
    platform = Platform(f"http://127.0.0.1:{port}", folder / "clients", folder)
    register_clients(folder / "clients.json", platform.keys)
    (folder / "master_keys").write_text(new_master_keys(), encoding="ascii")
    key = folder / "issuer.pem"
    key.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    ports = {name: free_port() for name in (*SERVICES, "issuer")}
    by_kafka = {
        "TSUNAGU_TRANSPORT": "kafka",
        "TSUNAGU_KAFKA_BOOTSTRAP_SERVERS": bootstrap or "",
        # A killed process is missed after six seconds, not thirty: journeys with kills should not last for ever.
        "TSUNAGU_KAFKA_SESSION_SECONDS": "6",
    }
    in_postgres = {"TSUNAGU_BUS_DATABASE_URL": postgres.url(user="tsunagu_bus", database=database)}
    common = (by_kafka if bootstrap else in_postgres) | {
        "TSUNAGU_ISSUER": f"{platform.url}/issuer",
        "TSUNAGU_MASTER_KEYS_FILE": str(folder / "master_keys"),
        "TSUNAGU_DEMO": "true",
        "TSUNAGU_LOG_LEVEL": "warning",
    }
    for name in SERVICES:
        command = [sys.executable, "-m", "shared.service", "run", "--port", str(ports[name])]
        own = {"TSUNAGU_SERVICE": name, "TSUNAGU_DATABASE_URL": postgres.url(user=f"tsunagu_{name}", database=database)}
        platform.commands[name] = (command, common | own)
    platform.commands["issuer"] = (
        [sys.executable, "-m", "shared.service", "issuer", "--port", str(ports["issuer"])],
        common
        | {
            "TSUNAGU_ISSUER_KEY_FILE": str(key),
            "TSUNAGU_ISSUER_CLIENTS_FILE": str(folder / "clients.json"),
            "TSUNAGU_ISSUER_AUDIENCES": ",".join(f"tsunagu-{name}" for name in SERVICES),
        },
    )
    routes = [f"{name}={target}" for name, target in ports.items()]
    platform.commands["gateway"] = ([sys.executable, "-m", "tests.e2e.gateway", str(port), *routes], {})
    try:
        for name in platform.commands:
            platform.begin(name)
        for name in (*SERVICES, "issuer"):
            wait_until_ready(f"{platform.url}/{name}/health/ready", 180)
    except BaseException:
        platform.end()
        raise
    return platform


def some_services(
    folder: Path, postgres: EmbeddedPostgres, database: str, *services: str, issuer: str, key: ECKey
) -> Platform:
    """These services and the issuer whose keys they trust, each a process and at its own port."""
    (folder / "master_keys").write_text(new_master_keys(), encoding="ascii")
    (folder / "issuer.pem").write_bytes(key.as_pem(private=True))
    ports = {name: free_port() for name in ("issuer", *services)}
    platform = Platform(f"http://127.0.0.1:{ports[services[0]]}", folder / "clients", folder, ports=ports)
    for name, port in ports.items():
        own = {
            "TSUNAGU_SERVICE": name,
            "TSUNAGU_JWKS_URL": f"http://127.0.0.1:{ports['issuer']}/jwks",
            "TSUNAGU_MASTER_KEYS_FILE": str(folder / "master_keys"),
            "TSUNAGU_DATABASE_URL": postgres.url(user=f"tsunagu_{name}", database=database),
            "TSUNAGU_BUS_DATABASE_URL": postgres.url(user="tsunagu_bus", database=database),
            "TSUNAGU_LOG_LEVEL": "warning",
        }
        keys = {"TSUNAGU_ISSUER_KEY_FILE": str(folder / "issuer.pem")}
        command = "issuer" if name == "issuer" else "run"
        start = [sys.executable, "-m", "shared.service", command, "--port", str(port)]
        platform.commands[name] = (start, {"TSUNAGU_ISSUER": issuer} | (keys if name == "issuer" else own))
    try:
        for name, port in ports.items():
            platform.begin(name)
            wait_until_ready(f"http://127.0.0.1:{port}/health/ready", 180, process=platform.processes[name])
    except BaseException:
        platform.end()
        raise
    return platform


def play_demo(platform: Platform, *, persons: int, seed: int = 7) -> subprocess.CompletedProcess[str]:
    """`make demo` against the platform."""
    command = [sys.executable, "-m", "demo", "--url", platform.url, "--keys", str(platform.keys)]
    return subprocess.run(
        [*command, "--persons", str(persons), "--seed", str(seed)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
