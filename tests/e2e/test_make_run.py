"""`make run` as a person meets it: it stops in order, keeps its data, and says in plain words why it does not start."""

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from all_in_one import Home
from demo.client import Agency
from tests.e2e.processes import ROOT, Platform, all_in_one, clean_environment, free_port, play_demo, wait_until_ready

pytestmark = pytest.mark.slow


def test_a_stop_is_clean_and_the_data_is_kept(embedded: Platform) -> None:
    assert play_demo(embedded, persons=20).returncode == 0
    before = _figures(embedded)
    embedded.stop("all_in_one")
    assert embedded.processes["all_in_one"].returncode == 0
    assert "データは残っています" in embedded.output("all_in_one")
    assert "Traceback" not in embedded.output("all_in_one")
    embedded.begin("all_in_one")
    wait_until_ready(f"{embedded.url}/dashboard/health/ready")
    assert _figures(embedded)["funnel"] == before["funnel"]


def test_a_stop_is_not_held_up_by_an_open_stream(embedded: Platform) -> None:
    with httpx2.stream("GET", f"{embedded.url}/dashboard/v1/figures/stream", timeout=10, trust_env=False) as stream:
        next(stream.iter_lines())
        embedded.stop("all_in_one")
    assert embedded.processes["all_in_one"].returncode == 0


def test_killed_at_any_moment_it_goes_on_where_it_was(embedded: Platform) -> None:
    """The whole process is killed (-9), PostgreSQL goes on by itself, and the next start finds everything."""
    assert play_demo(embedded, persons=20).returncode == 0
    embedded.kill("all_in_one")
    embedded.begin("all_in_one")
    wait_until_ready(f"{embedded.url}/dashboard/health/ready")
    played = play_demo(embedded, persons=20, seed=8)
    assert played.returncode == 0, played.stdout + played.stderr
    embedded.stop("all_in_one")
    left = embedded.folder / "data" / "pg18" / "data" / "postmaster.pid"
    assert not left.exists(), "the database that the killed one left behind is nobody's"


def test_a_second_one_on_the_same_data_is_refused_since_it_would_lose_its_database_with_the_first(
    embedded: Platform,
) -> None:
    _refused(
        "run",
        "--port",
        str(free_port()),
        "--data",
        str(embedded.folder / "data"),
        ja="もう一つ動いています",
        en="running",
    )
    assert httpx2.get(f"{embedded.url}/intake/health/ready", trust_env=False).status_code == 200


def test_where_nobody_watches_no_bar_is_drawn_and_the_next_commands_name_the_port(embedded: Platform) -> None:
    said = embedded.output("all_in_one")
    port = embedded.url.rsplit(":", 1)[1]
    assert not re.search(r"\x1b|\r|━", said)
    assert f"make demo PORT={port}" in said
    assert f"make token AGENCY=kagoshima-desk PORT={port}" in said


def test_without_the_invented_region_nothing_is_said_of_its_agencies(folder: Path) -> None:
    platform = all_in_one(folder, "--no-demo")
    said = platform.output("all_in_one")
    assert _figures(platform)["seats"] == []
    platform.stop("all_in_one")
    assert "make demo" not in said
    assert "AGENCY=" not in said
    assert str(folder / "data" / "issuer" / "clients.json") in said


# ------------------------------------------------------------------------------------------------ why it doesn't start


def test_a_taken_port_is_said_before_anything_is_touched(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = _refused("run", "--port", str(port), "--data", str(folder / "data"), ja="使われています", en="is taken")
    assert f"make run PORT={port + 1}" in said
    assert not (folder / "data").exists()


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_there_is_not(folder: Path, port: str) -> None:
    _refused("run", "--port", port, "--data", str(folder / "data"), ja="65535 の番号です", en="from 1 to 65535")


def test_a_damaged_database_folder(folder: Path) -> None:
    data = folder / "data" / "pg18" / "data"
    data.mkdir(parents=True)
    (data / "something").write_text("precious")
    said = _refused(*_on(folder), ja="データフォルダーが壊れています", en="the data folder is damaged")
    assert str(data.parent) in said
    assert "make clean-data" in said
    assert (data / "something").read_text() == "precious"


def test_a_data_folder_that_is_none(folder: Path) -> None:
    (folder / "data").write_text("a file")
    said = _refused(
        *_on(folder), ja="データフォルダーが壊れているか、権限がありません", en="The data folder is damaged"
    )
    assert str(folder / "data") in said


def test_what_was_damaged_since_the_last_start_is_named(folder: Path) -> None:
    all_in_one(folder).stop("all_in_one")
    for name, broken, ja, en in (
        # PostgreSQL's own last words are shown: they say why.
        ("pg18/data/postgresql.conf", "no_such_setting = on", "PostgreSQLを起動できません", "no_such_setting"),
        ("pg18/data/PG_VERSION", "17\n", "版が18ではありません", "its version is not 18"),
        ("issuer/key.pem", "no key", "データフォルダーが壊れているか", "issuer/key.pem"),
        ("clients/kagoshima-desk.pem", "no key", "データフォルダーが壊れているか", "data/clients"),
    ):
        path = folder / "data" / name
        whole = path.read_bytes()
        path.write_text(broken, encoding="ascii")
        _refused(*_on(folder), ja=ja, en=en)
        path.write_bytes(whole)


async def test_a_master_key_is_changed_beside_it_and_never_made_anew_for_one_that_is_gone(embedded: Platform) -> None:
    home = Home(embedded.folder / "data")
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        desk = Agency.from_keys(embedded.url, "kagoshima-desk", embedded.keys, client)
        case = (await desk.post("/intake/v1/cases", {"next_step": "来週もう一度会う"}))["case_id"]
        newer = home.master_keys.with_name("newer")
        _keys(home, "next", str(home.master_keys), "--to", str(newer))
        newer.rename(home.master_keys)
        _keys(home, "rewrap")
        assert (await desk.get(f"/intake/v1/cases/{case}"))["next_step"] == "来週もう一度会う"
    embedded.stop("all_in_one")
    gone = home.master_keys.rename(home.data / "elsewhere")
    _refused(*_on(embedded.folder), ja="マスター鍵がありません", en="master keys are missing")
    assert not home.master_keys.exists()
    gone.rename(home.master_keys)
    embedded.begin("all_in_one")
    wait_until_ready(f"{embedded.url}/intake/health/ready")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ended_while_it_starts_it_leaves_no_database_behind(folder: Path, how: signal.Signals) -> None:
    pid_file = folder / "data" / "pg18" / "data" / "postmaster.pid"
    # As a script starts it in the background: a shell without jobs has SIGINT ignored there.
    command = ["sh", "-c", 'trap "" INT; exec "$0" "$@"', sys.executable, "all_in_one.py", *_on(folder)]
    started = subprocess.Popen(command, cwd=ROOT, env=clean_environment())
    until = time.monotonic() + 60
    while not pid_file.exists() and time.monotonic() < until:
        time.sleep(0.005)
    database = int(pid_file.read_text().split()[0])
    started.send_signal(how)
    assert started.wait(30) != 0
    assert not pid_file.exists()
    assert not Path(f"/proc/{database}").exists()


STUMBLES = """
import contextlib
import all_in_one
from fastapi import FastAPI

@contextlib.asynccontextmanager
async def stumble(app):
    raise RuntimeError
    yield

async def assemble(*given, **named):
    app = FastAPI(lifespan=stumble)
    app.state.parts = {}
    return app

all_in_one._assemble = assemble
all_in_one.cli()
"""


def test_services_that_don_t_start_take_the_database_with_them(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUMBLES, *_on(folder)], cwd=ROOT, env=clean_environment(), timeout=90, check=False
    )
    assert done.returncode not in {0, 1}
    assert (folder / "data" / "pg18" / "data" / "PG_VERSION").exists()
    assert not (folder / "data" / "pg18" / "data" / "postmaster.pid").exists()


def test_no_token_where_nothing_runs(folder: Path) -> None:
    keys = folder / "data" / "clients"
    keys.mkdir(parents=True)
    (keys / "desk.pem").write_text("any", encoding="ascii")
    nowhere = ("--port", str(free_port()), "--data", str(folder / "data"))
    _refused("token", "--agency", "desk", *nowhere, ja="トークンをもらえません", en="No token")
    _refused("token", "--agency", "nobody", *nowhere, ja="その機関はありません", en="no such agency")


def test_no_play_where_nothing_runs(folder: Path) -> None:
    asked = ["-m", "demo", "--url", f"http://127.0.0.1:{free_port()}", "--keys", str(folder)]
    _refused(*asked, ja="つながりません", en="Nothing answers", program=())


def _keys(home: Home, *arguments: str) -> None:
    settings = {
        "TSUNAGU_SERVICE": "intake",
        "TSUNAGU_DATABASE_URL": home.postgres.url(user="tsunagu_intake", database="tsunagu"),
        "TSUNAGU_MASTER_KEYS_FILE": str(home.master_keys),
    }
    command = [sys.executable, "-m", "shared.service", "keys", *arguments]
    subprocess.run(command, cwd=ROOT, env=clean_environment() | settings, capture_output=True, timeout=60, check=True)


def _on(folder: Path) -> tuple[str, ...]:
    return ("run", "--port", str(free_port()), "--data", str(folder / "data"))


def _refused(*arguments: str, ja: str, en: str, program: tuple[str, ...] = ("all_in_one.py",)) -> str:
    """What it says, in both languages and without a trace through the code, when it ends with 1."""
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert ja in done.stderr
    assert en in done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def _figures(platform: Platform) -> dict[str, list[dict[str, int]]]:
    figures: dict[str, list[dict[str, int]]] = httpx2.get(
        f"{platform.url}/dashboard/v1/figures", trust_env=False
    ).json()
    return figures
