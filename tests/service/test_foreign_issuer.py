"""A service with somebody else's OIDC issuer: discovery and keys over HTTP, tokens as Keycloak writes them, RS256."""

import asyncio
import io
import logging
import re
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvicorn
from joserfc.jwk import RSAKey
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.intake.app import service as intake
from tests.issuers import public, signed
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running, World

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
CANARY = "kanaria-4d2b"


class Keycloak:
    """A realm on a loopback port, as small as can be."""

    def __init__(self, address: str) -> None:
        self.issuer = f"{address}/realms/tsunagu"
        self.called = self.issuer
        """What its discovery document says its name is."""
        self.keys = [RSAKey.generate_key(2048, parameters={"kid": "first"}, auto_kid=False)]
        self.away = False
        self.read = asyncio.Event()
        realm = "/realms/tsunagu"
        self.app = Starlette(
            routes=[
                Route(f"{realm}/.well-known/openid-configuration", self._discovery),
                Route(f"{realm}/protocol/openid-connect/certs", self._certs),
            ]
        )

    async def _discovery(self, _request: Request) -> JSONResponse:
        if self.away:
            return JSONResponse({"error": "restarting"}, status_code=503)
        certs = f"{self.issuer}/protocol/openid-connect/certs"
        return JSONResponse({"issuer": self.called, "jwks_uri": certs, "subject_types_supported": ["public"]})

    async def _certs(self, _request: Request) -> JSONResponse:
        self.read.set()
        signing = [public(key, alg="RS256", use="sig") for key in self.keys]
        return JSONResponse({"keys": [public(self.keys[0], kid="enc", alg="RSA-OAEP", use="enc"), *signing]})

    def token(self, key: RSAKey | None = None, **changes: Any) -> str:
        """An access token of the agency's system; `...` leaves a claim out."""
        now = int(time.time())
        claims = {
            "exp": now + 300,
            "iat": now,
            "jti": "trrtcc:4f2a",
            "iss": self.issuer,
            "aud": ["tsunagu-intake", "tsunagu", "account"],
            "sub": "1f6d2b1c-7c53-4c61-8a0e-0f0a7f0f2a11",
            "typ": "Bearer",
            "azp": "kagoshima-system",
            "realm_access": {"roles": ["default-roles-tsunagu", "operator"]},
            "resource_access": {"tsunagu": {"roles": ["soudan"]}},
            "preferred_username": CANARY,
            "tsunagu": {
                "agency": "kagoshima-desk",
                "agency_kind": "self_reliance_desk",
                "municipalities": [KAGOSHIMA],
            },
        } | changes
        given = {name: value for name, value in claims.items() if value is not ...}
        signer = key or self.keys[-1]
        return signed(given, signer, alg="RS256", typ="JWT", kid=signer.kid)


@pytest.fixture
async def keycloak() -> AsyncIterator[Keycloak]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        realm = Keycloak(f"http://127.0.0.1:{bound.getsockname()[1]}")
        config = uvicorn.Config(realm.app, lifespan="off", log_config=None, timeout_graceful_shutdown=3)
        server = uvicorn.Server(config)
        # Signals belong to pytest, so not `serve`, which would take them over.
        serving = asyncio.create_task(server._serve([bound]))
        yield realm
        server.should_exit = True
        await serving


@pytest.fixture
async def running(world: World, keycloak: Keycloak) -> AsyncIterator[Running]:
    """Intake, set up as the operations guide says; an empty address of keys is as good as none."""
    found = re.search(r"\n### Keycloak の例\n.*?```json\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    settings = world.settings("intake", issuer=keycloak.issuer, jwks_url="", issuer_profile=found[1])
    running = Running(intake, settings, foreign=True)
    yield running
    await running.close()


def caller(running: Running, token: str) -> Caller:
    """An agency's system with this token."""
    return Caller(running.client, token)


async def test_an_agency_with_its_own_issuer_opens_a_case_and_sees_its_own_alone(
    running: Running, keycloak: Keycloak
) -> None:
    desk = caller(running, keycloak.token())
    opened = await desk.post("/v1/cases", {})
    assert opened.status_code == 201, opened.text
    [told, *_] = await running.told()
    assert (told.model_dump()["agency_id"], told.model_dump()["municipality"]) == ("kagoshima-desk", KAGOSHIMA)
    path = f"/v1/cases/{opened.json()['case_id']}"
    assert (await desk.get(path)).status_code == 200
    elsewhere = {"agency": "kirishima-desk", "agency_kind": "self_reliance_desk", "municipalities": [KIRISHIMA]}
    assert (await caller(running, keycloak.token(tsunagu=elsewhere)).get(path)).status_code == 404
    nobody = keycloak.token(resource_access={"tsunagu": {"roles": ["operator", "counsellor"]}})
    assert (await caller(running, nobody).get(path)).status_code == 403


REFUSED: dict[str, dict[str, Any]] = {
    "audience": {"aud": ["account"]},
    "expired": {"exp": int(time.time()) - 60},
    "not_an_access_token": {"typ": "ID"},
    "municipalities": {"tsunagu": {"agency": "a-desk", "agency_kind": "npo", "municipalities": ["462013"]}},
    "agency": {"tsunagu": ...},
}


@pytest.mark.parametrize("reason", REFUSED)
async def test_who_sets_an_issuer_up_sees_why_at_both_ends_and_nothing_of_the_token(
    running: Running, keycloak: Keycloak, reason: str
) -> None:
    log = io.StringIO()
    everything = structlog.make_filtering_bound_logger(logging.DEBUG)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log), wrapper_class=everything)
    before = counted(reason)
    answer = await caller(running, keycloak.token(**REFUSED[reason])).get("/v1/cases")
    assert answer.status_code == 401
    [error] = answer.json()["errors"]
    assert error["code"] == reason
    challenge = answer.headers["www-authenticate"]
    assert challenge == f'Bearer realm="tsunagu", error="invalid_token", error_description="{error["message"]}"'
    assert counted(reason) == before + 1
    assert f'"reason": "{reason}"' in log.getvalue()
    for told in (answer.text, challenge, log.getvalue()):
        assert CANARY not in told
        assert "462013" not in told


def counted(reason: str) -> float:
    """How often intake refused a token for this reason."""
    return REGISTRY.get_sample_value("tsunagu_tokens_refused_total", {"service": "intake", "reason": reason}) or 0.0


async def test_who_sends_no_token_learns_the_scheme_alone(running: Running) -> None:
    before = counted("no_token")
    answer = await running.anonymous.get("/v1/cases")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="tsunagu"')
    assert answer.json()["errors"][0]["code"] == "no_token"
    assert counted("no_token") == before + 1


async def test_a_key_that_the_issuer_withdrew_opens_nothing_any_more(running: Running, keycloak: Keycloak) -> None:
    old = keycloak.keys[0]
    desk = caller(running, keycloak.token())
    assert (await desk.get("/v1/cases")).status_code == 200
    keycloak.keys = [RSAKey.generate_key(2048, parameters={"kid": "second"}, auto_kid=False)]
    assert (await desk.get("/v1/cases")).status_code == 200, "until the keys are read again"
    assert await running.app.state.verifier.keys.renew()
    refused = await desk.get("/v1/cases")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (401, "unknown_key")
    assert (await caller(running, keycloak.token(old)).get("/v1/cases")).status_code == 401
    assert (await caller(running, keycloak.token()).get("/v1/cases")).status_code == 200


async def test_an_issuer_that_is_away_from_the_beginning_is_no_fault_of_the_callers(
    running: Running, keycloak: Keycloak
) -> None:
    keycloak.away = True
    answer = await caller(running, keycloak.token()).get("/v1/cases")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["errors"][0]["code"] == "keys_unreachable"
    assert "www-authenticate" not in answer.headers


async def test_an_issuer_that_calls_itself_something_else_is_not_believed(running: Running, keycloak: Keycloak) -> None:
    keycloak.called = f"{keycloak.issuer}/"
    assert (await caller(running, keycloak.token()).get("/v1/cases")).status_code == 503
    assert not keycloak.read.is_set()


async def test_the_keys_are_read_without_anybody_asking(running: Running, keycloak: Keycloak) -> None:
    async with running.app.router.lifespan_context(running.app):
        async with asyncio.timeout(10):
            await keycloak.read.wait()
            figures = ""
            while not re.search(r'^tsunagu_issuer_keys_age_seconds\{service="intake"\} \d', figures, re.MULTILINE):
                figures = (await running.client.get("/metrics")).text
        assert (await caller(running, keycloak.token()).get("/v1/cases")).status_code == 200
