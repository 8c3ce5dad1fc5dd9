"""The embedded PostgreSQL: starts on a new folder, after a stop, after a crash, and says in words when it can't."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from os import kill
from pathlib import Path

import asyncpg
import pytest

from embedded.postgres import EmbeddedPostgres, StartFailed


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="tsunagu-pg-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "pg")
    yield server
    server.destroy()
    shutil.rmtree(folder, ignore_errors=True)


async def _count(server: EmbeddedPostgres) -> int:
    connection = await asyncpg.connect(user="postgres", database="postgres", host=str(server.socket_folder))
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS visit (at timestamptz DEFAULT now())")
        await connection.execute("INSERT INTO visit DEFAULT VALUES")
        count: int = await connection.fetchval("SELECT count(*) FROM visit")
        return count
    finally:
        await connection.close()


async def test_it_keeps_its_data_over_stops_and_crashes(server: EmbeddedPostgres) -> None:
    server.start()
    assert await _count(server) == 1
    server.stop()
    server.start()
    assert await _count(server) == 2
    pid = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    kill(pid, signal.SIGKILL)
    server.start()
    assert await _count(server) == 3


def test_a_start_on_a_running_server_changes_nothing(server: EmbeddedPostgres) -> None:
    server.start()
    server.start()
    assert server.is_running()


def test_a_damaged_folder_is_said_in_plain_words_and_left_alone(server: EmbeddedPostgres) -> None:
    data = server.folder / "data"
    data.mkdir(parents=True)
    (data / "something").write_text("precious")
    with pytest.raises(StartFailed, match="壊れています") as failed:
        server.start()
    assert "damaged" in str(failed.value)
    assert (data / "something").read_text() == "precious"


def test_a_damaged_cluster_says_what_postgresql_said(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (server.folder / "data" / "global" / "pg_control").write_bytes(b"\x00" * 8192)
    with pytest.raises(StartFailed, match="起動できませんでした") as failed:
        server.start(seconds=10)
    assert "did not start" in str(failed.value)


def test_another_version_s_data_is_not_touched(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (server.folder / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(StartFailed, match="18"):
        server.start()
    (server.folder / "data" / "PG_VERSION").write_text("18\n")


async def test_the_server_s_log_holds_no_values(server: EmbeddedPostgres) -> None:

    async def provoke() -> None:
        connection = await asyncpg.connect(user="postgres", database="postgres", host=str(server.socket_folder))
        try:
            await connection.execute("CREATE TABLE person (name text PRIMARY KEY)")
            await connection.execute("INSERT INTO person VALUES ('canary-秘密')")
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute("INSERT INTO person VALUES ('canary-秘密')")
        finally:
            await connection.close()

    server.start()
    await provoke()
    assert "canary" not in server.log.read_text(encoding="utf-8")


def test_one_that_is_not_ready_in_time_is_not_left_behind(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    data = server.folder / "data"
    with (data / "postgresql.conf").open("a") as conf:
        conf.write("restore_command = 'sleep 60'\n")
    (data / "recovery.signal").touch()
    with pytest.raises(StartFailed, match="起動できませんでした"):
        server.start(seconds=1)
    assert not server.is_running()
    assert not (data / "postmaster.pid").exists()
