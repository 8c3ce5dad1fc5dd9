"""Platforms for journeys: started once, stopped at the end."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from embedded.postgres import EmbeddedPostgres
from tests.e2e.processes import ROOT, Platform, all_in_one, clean_environment, free_port, one_process_each
from tests.world import execute_as_admin


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path (a Unix socket's has a limit) that PostgreSQL's own user may enter."""
    path = Path(tempfile.mkdtemp(prefix="tsunagu-e2e-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def embedded(folder: Path) -> Iterator[Platform]:
    """`make run`."""
    platform = all_in_one(folder)
    yield platform
    platform.end()


class Broker:
    """A real Kafka of the test's own, which may be stopped and begun again with its data."""

    def __init__(self) -> None:
        self.port = free_port(beside=2)
        self.bootstrap = f"127.0.0.1:{self.port}"

    def _run(self, word: str) -> None:
        # A narrow terminal, in which `ps` shows little of a long command.
        environment = clean_environment() | {"KAFKA_PORT": str(self.port), "COLUMNS": "80"}
        run = [str(ROOT / "ops/kafka/run.sh"), word]
        done = subprocess.run(run, env=environment, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._run("start")

    def stop(self) -> None:
        """Stop; its data stays."""
        self._run("stop")

    def kill(self) -> None:
        """End it (-9) in the middle of whatever it does; what it wrote stays."""
        pid = int((ROOT / ".tsunagu" / "kafka" / f"node-{self.port}" / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            if not self.answers():
                return
            time.sleep(0.05)
        raise AssertionError("it still answers")

    def answers(self) -> bool:
        """Whether anybody takes a connection on its port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def broker() -> Iterator[Broker]:
    """Only where a real Kafka is to be had: in CI always."""
    if "KAFKA_BOOTSTRAP_SERVERS" not in os.environ:
        pytest.skip("needs a real Kafka: make kafka")
    broker = Broker()
    broker.start()
    yield broker
    broker.stop()
    shutil.rmtree(ROOT / ".tsunagu" / "kafka" / f"node-{broker.port}", ignore_errors=True)


@pytest.fixture
async def separate(folder: Path, postgres: EmbeddedPostgres, template: str, broker: Broker) -> AsyncIterator[Platform]:
    """One process per service over Kafka, on a database of its own."""
    name = f"e2e_{broker.port}"
    await execute_as_admin(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    platform = one_process_each(folder, postgres, name, broker.bootstrap)
    yield platform
    platform.end()
    await execute_as_admin(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def over_postgres(folder: Path, postgres: EmbeddedPostgres, template: str) -> AsyncIterator[tuple[Platform, str]]:
    """One process per service; events travel through the log in PostgreSQL."""
    name = f"e2e_{folder.name[-8:].lower()}"
    await execute_as_admin(postgres, f'CREATE DATABASE "{name}" TEMPLATE {template}')
    platform = await asyncio.to_thread(one_process_each, folder, postgres, name, None)
    yield platform, name
    platform.end()
    await execute_as_admin(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')
