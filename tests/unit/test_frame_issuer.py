"""The built-in issuer: a client proves itself with its own key, once; all else is refused and not echoed."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from shared.auth.issuer import Client, Registration, assertion, issuer_app
from shared.auth.keys import KeyRing
from shared.auth.tokens import Verifier

ISSUER = "http://issuer.test"
KEY = ECKey.generate_key("P-256", parameters={"kid": "issuer-1"}, auto_kid=False)
DESK, STRANGER = (ECKey.generate_key("P-256") for _ in range(2))
KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
NOW = int(time.time())


def registered(client_id: str, key: ECKey) -> Client:
    """A client as it stands in the registration."""
    return Client(
        client_id=client_id,
        public_key={name: str(value) for name, value in key.as_dict(private=False).items()},
        agency=client_id,
        agency_kind="self_reliance_desk",
        municipalities=["462012"],
        roles=["counsellor"],
    )


@pytest.fixture
def client() -> httpx2.AsyncClient:
    app = issuer_app(
        issuer=ISSUER,
        key=KEY,
        registration=Registration(clients=[registered("desk", DESK), registered("other", STRANGER)]),
        audiences=["tsunagu-intake"],
        clock=lambda: float(NOW),
    )
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ISSUER)


async def ask(client: httpx2.AsyncClient, given: str, **changes: str) -> httpx2.Response:
    """Ask for a token with an assertion."""
    form = {"grant_type": "client_credentials", "client_assertion_type": KIND, "client_assertion": given} | changes
    return await client.post("/token", data=form)


def claims(**changes: Any) -> dict[str, Any]:
    """A good assertion's claims, changed."""
    good = {"iss": "desk", "sub": "desk", "aud": ISSUER, "iat": NOW, "exp": NOW + 60, "jti": str(uuid4())}
    return {name: value for name, value in (good | changes).items() if value is not ...}


def signed(key: ECKey = DESK, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """An assertion."""
    return jwt.encode({"alg": "ES256"} | dict(header or {}), claims(**changes), key)


async def test_a_client_that_proves_itself_gets_a_token_that_every_service_accepts(client: httpx2.AsyncClient) -> None:
    answer = await ask(client, assertion("desk", DESK, audience=ISSUER, now=NOW))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["token_type"] == "Bearer"

    async def fetch() -> Mapping[str, Any]:
        keys: Mapping[str, Any] = (await client.get("/jwks")).json()
        return keys

    verifier = Verifier(service="intake", issuer=ISSUER, keys=KeyRing(fetch), clock=lambda: float(NOW))
    actor = await verifier.actor(answer.json()["access_token"])
    assert (actor.subject, actor.roles) == ("desk", frozenset({"counsellor"}))
    assert actor.serves("462012")


async def test_the_token_endpoint_is_an_audience_too(client: httpx2.AsyncClient) -> None:
    assert (await ask(client, signed(aud=f"{ISSUER}/token"))).status_code == 200


async def test_an_assertion_is_good_once(client: httpx2.AsyncClient) -> None:
    given = signed()
    assert [(await ask(client, given)).status_code for _ in range(3)] == [200, 401, 401]


async def test_a_stranger_can_not_use_up_somebody_elses_assertion(client: httpx2.AsyncClient) -> None:
    assert (await ask(client, signed(STRANGER, iss="other", sub="other", jti="same"))).status_code == 200
    assert (await ask(client, signed(jti="same"))).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        signed(STRANGER),
        signed(sub="nobody", iss="nobody"),
        signed(iss="other"),
        signed(aud="http://elsewhere.test"),
        signed(aud=...),
        signed(aud=[ISSUER]),
        signed(exp=NOW),
        signed(exp=NOW - 1),
        signed(exp=NOW + 301),
        signed(exp=...),
        signed(exp=str(NOW + 60)),
        signed(jti=...),
        signed(jti=5),
        signed(sub=["desk"]),
        "",
        "x",
        "a.b.c",
        "a." + "W1tb" * 1000 + ".c",
        ".." * 100,
    ],
    ids=range(19),
)
async def test_a_bad_assertion_is_refused(client: httpx2.AsyncClient, given: str) -> None:
    answer = await ask(client, given)
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


async def test_other_grants_and_other_proofs_are_refused(client: httpx2.AsyncClient) -> None:
    assert (await ask(client, signed(), grant_type="password")).json() == {"error": "unsupported_grant_type"}
    assert (await ask(client, signed(), client_assertion_type="x")).json() == {"error": "invalid_client"}


async def test_what_was_sent_is_never_echoed(client: httpx2.AsyncClient) -> None:
    for form in ({"client_assertion": "canary" * 1_000}, {"grant_type": "canary" * 50}):
        answer = await client.post("/token", data=form)
        assert answer.status_code in {400, 401}
        assert "canary" not in answer.text
    file = await client.post("/token", files={"client_assertion": ("canary", b"canary")})
    assert file.status_code in {400, 401}
    assert "canary" not in file.text
    long = await client.post(
        "/token", content=b"x" * 20_000, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert long.status_code == 413


async def test_the_key_set_holds_no_private_part(client: httpx2.AsyncClient) -> None:
    (key,) = (await client.get("/jwks")).json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    metadata = (await client.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
