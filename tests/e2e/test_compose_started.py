"""The journey in containers, as `make up DEMO=1` starts them: built, started, played, stopped and removed for real.

Runs where a Docker engine with Compose v2 is at hand and the base images are there already; a test downloads none.
"""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import yaml

from demo.client import Agency, eventually, fetch_token, registered_clients
from demo.load import PLANNER, take_in
from shared.service.clock import day_in_japan, wall_time
from tests.e2e.processes import ROOT, Platform, clean_environment, free_port, play_demo, wait_until_ready
from tests.guide import overrides
from tests.post_office import PostOffice, make_certificate
from tests.world import SERVICES

pytestmark = [pytest.mark.docker, pytest.mark.slow]

FILES = ("docker-compose.yml", "docker-compose.demo.yml")
KILLED = 137
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class Stack:
    """A Compose project of the test's own."""

    project: str
    port: int
    clients: str
    override: Path
    """The operations guide's way to the mail server."""
    post: PostOffice
    """That server, on this machine; it is closed until a test opens it."""

    def compose(self, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """`docker compose ...` on this project."""
        files = [part for name in (*FILES, str(self.override)) for part in ("--file", name)]
        environment = {"TSUNAGU_PORT": str(self.port), "TSUNAGU_ISSUER_CLIENTS": self.clients}
        return subprocess.run(
            ["docker", "compose", "--project-name", self.project, *files, *arguments],
            cwd=ROOT,
            env=clean_environment() | environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each container, by the name of its service."""
        listed = self.compose("ps", "--all", "--format", "json").stdout
        # One object a line; before Compose 2.21 one list.
        found = json.loads(listed) if listed.startswith("[") else [json.loads(line) for line in listed.splitlines()]
        return {each["Service"]: each for each in found}

    def inspected(self, name: str, asked: str) -> str:
        """What the engine says of one service's container, in Go's template language."""
        done = subprocess.run(
            ["docker", "inspect", "--format", asked, f"{self.project}-{name}-1"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return done.stdout.strip()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, Stack]]:
    why_not = _missing()
    if why_not:
        pytest.skip(why_not)
    folder = tmp_path_factory.mktemp("compose")
    keys = folder / "clients"
    project, clients = f"tsunagu-test-{uuid4().hex[:8]}", registered_clients(keys).model_dump_json()
    address = _own_address()
    certificate = make_certificate(folder / "post.pem", address)
    post = PostOffice(address, free_port(), login=("tsunagu", "p@ss/w:rd"), certificate=certificate)
    stack = Stack(project, free_port(), clients, _way_to(post, folder), post)
    try:
        started = stack.compose("up", "--wait", "--quiet-pull", seconds=900)
        logs = "" if started.returncode == 0 else stack.compose("logs", "--tail", "30").stdout
        assert started.returncode == 0, started.stderr[-4000:] + logs[-8000:]
        yield Platform(f"http://127.0.0.1:{stack.port}", keys, folder), stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", seconds=300)


def test_everything_that_lasts_is_healthy_and_what_runs_once_has_ended_well(platform: tuple[Platform, Stack]) -> None:
    where, stack = platform
    states = {name: (each["State"], each["Health"], each["ExitCode"]) for name, each in stack.containers().items()}
    once = {"secrets", *(f"{name}-migrate" for name in SERVICES)}
    lasting = {"gateway", "issuer", "postgres", "kafka", *SERVICES}
    assert states == dict.fromkeys(once, ("exited", "", 0)) | dict.fromkeys(lasting, ("running", "healthy", 0))
    for name in SERVICES:
        answer = httpx2.get(f"{where.url}/{name}/health/ready", trust_env=False)
        assert answer.status_code == 200
        assert httpx2.get(f"{where.url}/{name}/metrics", trust_env=False).status_code == 404


def test_the_journey_in_containers(platform: tuple[Platform, Stack]) -> None:
    where, stack = platform
    played = play_demo(where, persons=40)
    assert played.returncode == 0, played.stdout + played.stderr + stack.compose("logs", "--tail", "20").stdout


async def test_what_is_known_about_a_person_is_sealed_and_the_seals_of_who_looked_stand_outside(
    platform: tuple[Platform, Stack],
) -> None:
    """Master keys and the checkpoints' volume, and the operators' words beside the running service."""
    where, stack = platform
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        desk = Agency.from_keys(where.url, "kagoshima-desk", where.keys, client)
        opened = await desk.post("/intake/v1/cases", {"person": {"name": "架空 花子"}})
        case = opened["case_id"]
        read = await desk.get(f"/intake/v1/cases/{case}/person")
    assert read["person"]["name"] == "架空 花子"
    commands = ("exec", "intake", "python", "-m", "shared.service")
    log, checkpoints = "/checkpoints/export.jsonl", "/checkpoints/access.jsonl"
    exported = stack.compose(*commands, "access", "export", log)
    assert exported.returncode == 0, exported.stdout + exported.stderr
    verified = stack.compose(*commands, "access", "verify", log, "--checkpoints", checkpoints)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "書き換えはありません" in verified.stdout
    status = stack.compose(*commands, "keys", "status")
    assert status.returncode == 0, status.stdout + status.stderr
    assert "master 1: " in status.stdout


async def test_an_agency_without_an_account_answers_by_the_link_of_a_mail(platform: tuple[Platform, Stack]) -> None:
    """Out of the container to a mail server elsewhere, and back in at the gateway."""
    where, stack = platform
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        desk = Agency.from_keys(where.url, "kagoshima-desk", where.keys, client)
        programme = await _without_account(where, client, "post-npo", "メール")
        async with stack.post.opened(), asyncio.timeout(90):
            case, referral = await _refer(desk, programme)
            await stack.post.arrived.wait()
        (mail,) = stack.post.received
        assert (mail["To"], mail["From"]) == ("post-npo@example.jp", "tsunagu@example.lg.jp")
        found = re.search(rf"{re.escape(where.url)}/referral/a/([\w-]{{43}})\s", str(mail.get_content()))
        assert found is not None, mail.get_content()
        secret = found[1]
        opened = await client.get(f"{where.url}/referral/a/{secret}")
        assert (opened.status_code, "引き受けます" in opened.text) == (200, True)
        answered = await client.post(f"{where.url}/referral/a", data={"secret": secret, "move": "accept"})
        assert "お返事を受け取りました" in answered.text
        assert (await desk.get(referral))["state"] == "accepted"
        assert [each["state"] for each in (await desk.get(f"{referral}/links"))["items"]][-1] == "answered"
        await eventually(
            lambda: desk.get(case), until=lambda read: read["holder_agency"] == "post-npo", what="the handing over"
        )
    lines = stack.compose("logs", "gateway", "referral").stdout
    assert "/referral/a/-" in lines
    assert secret not in lines


async def test_an_agency_without_an_account_answers_by_the_code_of_a_letter(platform: tuple[Platform, Stack]) -> None:
    where, _ = platform
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        desk = Agency.from_keys(where.url, "kagoshima-desk", where.keys, client)
        _, referral = await _refer(desk, await _without_account(where, client, "letter-npo", "手紙"))
        token = await fetch_token(where.url, desk.agency, (where.keys / f"{desk.agency}.pem").read_text(), client)
        letter = await client.put(f"{where.url}{referral}/letter", headers={"Authorization": f"Bearer {token}"})
        assert letter.status_code == 200, letter.text
        assert f"{where.url}/referral/a<" in letter.text
        assert "<svg" in letter.text
        found = re.search(r'class="code">([0-9A-Z-]{19})<', letter.text)
        assert found is not None
        typed = await client.post(f"{where.url}/referral/a", data={"secret": found[1].lower()})
        assert (typed.status_code, "引き受けます" in typed.text) == (200, True)
        answer = {"secret": found[1], "move": "decline", "reason": "no_capacity"}
        answered = await client.post(f"{where.url}/referral/a", data=answer)
        assert "お返事を受け取りました" in answered.text
        assert (await desk.get(referral))["state"] == "decline_pending"


def test_a_number_that_may_not_be_kept_is_in_no_log_either(platform: tuple[Platform, Stack]) -> None:
    where, stack = platform
    case = "01939c1e-7a10-7c44-9f55-123456789018"
    for path in ("/assessment/v1/rubrics/123456789018", "/assessment/v1/rubrics/1234-5678-9018?a=123456789018"):
        assert httpx2.get(f"{where.url}{path}", trust_env=False).status_code == 401
    assert httpx2.get(f"{where.url}/intake/v1/cases/{case}", trust_env=False).status_code == 401
    lines = stack.compose("logs", "gateway", "assessment").stdout
    assert f"/intake/v1/cases/{case}" in lines, "ids stay readable"
    assert "/123456789018" not in lines
    assert "1234-5678-9018" not in lines


def test_a_service_that_is_away_is_a_problem_even_under_a_long_file(platform: tuple[Platform, Stack]) -> None:
    where, stack = platform
    stack.compose("stop", "training")
    answer = httpx2.post(f"{where.url}/training/v1/course-run-imports", content=b"x" * 1_000_000, trust_env=False)
    started = stack.compose("up", "--wait", seconds=300)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert started.returncode == 0, started.stderr


def test_a_service_that_dies_comes_back_by_itself(platform: tuple[Platform, Stack]) -> None:
    where, stack = platform
    # From inside, as its own user: what is stopped by a command of the engine stays stopped.
    stack.compose("exec", "training", "python", "-c", "import os, signal; os.kill(-1, signal.SIGKILL)")
    wait_until_ready(f"{where.url}/training/health/ready", seconds=180)
    assert stack.inspected("training", "{{.RestartCount}}") == "1"


async def test_what_was_told_while_kafka_was_away_arrives_once(platform: tuple[Platform, Stack]) -> None:
    where, stack = platform
    opened = _figures(where)["funnel"][0]["cases"]
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        desk = Agency.from_keys(where.url, "kagoshima-desk", where.keys, client)
        stack.compose("stop", "kafka")
        for _ in range(50):
            await desk.post("/intake/v1/cases", {})
        assert (await desk.get("/intake/health/ready"))["unsent"] >= 50
        started = stack.compose("up", "--wait", "--no-deps", "kafka", seconds=300)
        assert started.returncode == 0, started.stderr
        await eventually(
            lambda: desk.get("/intake/health/ready"), until=lambda ready: ready["unsent"] == 0, what="an empty outbox"
        )
        await eventually(
            lambda: desk.get("/dashboard/v1/figures"),
            until=lambda figures: figures["funnel"][0]["cases"] >= opened + 50,
            what="every case on the dashboard",
        )
    assert _figures(where)["funnel"][0]["cases"] == opened + 50


def test_a_running_container_can_neither_be_written_to_nor_gain_rights(platform: tuple[Platform, Stack]) -> None:
    """The compose file says so; this is what the engine made of it."""
    _, stack = platform
    asked = "{{with .HostConfig}}{{.ReadonlyRootfs}} {{.CapDrop}} {{.SecurityOpt}} {{.PortBindings}}{{end}}"
    for name in stack.containers():
        read_only, dropped, security, ports = stack.inspected(name, asked).split(" ", 3)
        assert (read_only, dropped, security) == ("true", "[ALL]", "[no-new-privileges:true]"), name
        assert (ports == "map[]") == (name != "gateway"), f"{name} is published: {ports}"
        assert stack.inspected(name, "{{.Config.User}}").split(":")[0] not in {"", "0", "root"}, name


def test_a_stop_is_not_held_up_by_an_open_stream_and_the_data_is_kept(platform: tuple[Platform, Stack]) -> None:
    where, stack = platform
    before = _figures(where)["funnel"]
    with httpx2.stream("GET", f"{where.url}/dashboard/v1/figures/stream", timeout=60, trust_env=False) as stream:
        next(stream.iter_lines())
        stack.compose("stop")
    ended = {name: each["ExitCode"] for name, each in stack.containers().items()}
    assert KILLED not in ended.values(), f"somebody had to be killed: {ended}"
    assert stack.compose("down").returncode == 0
    started = stack.compose("up", "--wait", seconds=300)
    assert started.returncode == 0, started.stderr
    assert _figures(where)["funnel"] == before


def _figures(where: Platform) -> Any:
    return httpx2.get(f"{where.url}/dashboard/v1/figures", timeout=10, trust_env=False).raise_for_status().json()


async def _without_account(where: Platform, client: httpx2.AsyncClient, agency: str, channel: str) -> str:
    """Put an agency that is reached by `channel` into the directory; the id of what it offers."""
    planner = Agency.from_keys(where.url, PLANNER, where.keys, client)
    today = day_in_japan(wall_time())
    agencies = (
        "機関ID,名称,カナ,種別,所在地コード,対象地域コード,電話,確認者,確認日,連絡先メール,連絡方法\n"
        f"{agency},(架空){agency},カクウ,npo,462012,462012,099-000-0000,福祉課,{today},{agency}@example.jp,{channel}\n"
    )
    programmes = (
        "機関ID,事業コード,事業名,支援機能,系統,段階,対象地域コード,対応する課題,空き状況,確認日\n"
        f"{agency},ibasho,(架空)居場所,drop_in_space,4,居場所,,people,空きあり,{today}\n"
    )
    await take_in(planner, "/referral/v1/agency-imports", agencies.encode())
    await take_in(planner, "/referral/v1/programme-imports", programmes.encode())
    listed = await planner.every("/referral/v1/programmes")
    found: str = next(each["programme_id"] for each in listed if each["agency_id"] == agency)
    return found


async def _refer(desk: Agency, programme: str) -> tuple[str, str]:
    """Somebody comes to the desk, agrees, and is referred: the paths of the case and of the referral."""
    consent = {"state": "given", "purposes": ["referral"]}
    opened = await desk.post("/intake/v1/cases", {"needs": ["people"], "consent": consent})
    body = {"case_id": opened["case_id"], "programme_id": programme}
    sent = await eventually(lambda: desk.post("/referral/v1/referrals", body), what="consent known to referral")
    return f"/intake/v1/cases/{opened['case_id']}", f"/referral/v1/referrals/{sent['referral_id']}"


def _way_to(post: PostOffice, folder: Path) -> Path:
    """The operations guide's override, as an operator copies it, with this mail server's address and authority."""
    _, mail = overrides()
    address = folder / "smtp_url"
    address.write_text(f"{post.url}\n", encoding="utf-8")
    mail["configs"] = {"smtp_url": {"file": str(address)}, "authority": {"file": str(post.certificate)}}
    mail["services"]["referral"]["configs"].append({"source": "authority", "target": AUTHORITIES})
    override = folder / "docker-compose.override.yml"
    override.write_text(yaml.safe_dump(mail), encoding="utf-8")
    return override


def _own_address() -> str:
    """Where containers find this machine, and nobody else does: its end of the engine's own bridge."""
    asked = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    return subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def _missing() -> str:
    """What keeps the containers from being started here; nothing if they can be."""
    try:
        subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "no Docker engine answers here"
    if subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=20, check=False).returncode != 0:
        return "the Docker engine is here, but not Compose v2"
    absent = [name for name in _base_images() if not _is_here(name)]
    return f"images to fetch first: docker pull {' '.join(absent)}" if absent else ""


def _base_images() -> list[str]:
    """What the Dockerfile and the compose file stand on."""
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"].values()
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    bases = {line.split()[1] for line in lines if line.startswith("FROM ")}
    return sorted(bases | {each["image"] for each in composed if not each["image"].endswith(":local")})


def _is_here(image: str) -> bool:
    asked = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
    return subprocess.run(asked, capture_output=True, timeout=20, check=False).returncode == 0
