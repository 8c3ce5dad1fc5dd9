"""Each service starts alone, from a folder that holds what its image holds: `shared/` and that one service."""

import shutil
import sys
from pathlib import Path

import httpx2
import pytest
from joserfc.jwk import ECKey

from embedded.postgres import EmbeddedPostgres
from shared.vault import new_master_keys
from tests.e2e.processes import ROOT, Platform, free_port, wait_until_ready
from tests.world import SERVICES

pytestmark = pytest.mark.slow


def alone(folder: Path, name: str, command: str, settings: dict[str, str]) -> Platform:
    """`python -m shared.service …` as the image's CMD gives it, with nothing of the repository beside it."""
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "shared", folder / "app" / "shared", ignore=skip)
    if name in SERVICES:
        shutil.copytree(ROOT / "services" / name, folder / "app" / "services" / name, ignore=skip)
    port = free_port()
    platform = Platform(f"http://127.0.0.1:{port}", folder / "clients", folder)
    # -P: the folder in which the test runs lends it no module.
    start = [sys.executable, "-P", "-m", "shared.service", command, "--port", str(port)]
    platform.commands[name] = (start, settings | {"PYTHONPATH": str(folder / "app")})
    platform.begin(name)
    return platform


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_starts_alone_and_answers(
    folder: Path, postgres: EmbeddedPostgres, database_name: str, name: str
) -> None:
    (folder / "master_keys").write_text(new_master_keys(), encoding="ascii")
    settings = {
        "TSUNAGU_SERVICE": name,
        "TSUNAGU_MASTER_KEYS_FILE": str(folder / "master_keys"),
        "TSUNAGU_DATABASE_URL": postgres.url(user=f"tsunagu_{name}", database=database_name),
        "TSUNAGU_BUS_DATABASE_URL": postgres.url(user="tsunagu_bus", database=database_name),
    }
    platform = alone(folder, name, "run", settings)
    try:
        wait_until_ready(f"{platform.url}/health/ready", process=platform.processes[name])
        described = httpx2.get(f"{platform.url}/openapi.json", trust_env=False).json()
        assert described["info"]["title"] == f"Tsunagu {name}"
        platform.stop(name)
        assert platform.processes[name].returncode == 0, platform.output(name)
    finally:
        platform.end()


def test_the_issuer_starts_alone_and_shows_its_keys(folder: Path) -> None:
    key = folder / "issuer.pem"
    key.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    platform = alone(folder, "issuer", "issuer", {"TSUNAGU_ISSUER_KEY_FILE": str(key)})
    try:
        wait_until_ready(f"{platform.url}/health/ready", process=platform.processes["issuer"])
        (shown,) = httpx2.get(f"{platform.url}/jwks", trust_env=False).json()["keys"]
        assert shown["crv"] == "P-256"
        assert "d" not in shown, "its private half"
    finally:
        platform.end()
