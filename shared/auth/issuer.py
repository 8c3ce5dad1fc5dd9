"""A small issuer for the embedded default: client_credentials with private_key_jwt (RFC 7523), nothing else.

No users, no secrets, no refresh tokens. Clients sign an assertion with their own key; what they may claim stands in the
registration. Installations with an OIDC provider point `TSUNAGU_ISSUER` at it and leave this one out.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from uuid import uuid4

from fastapi import FastAPI, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict

ALGORITHM = "ES256"
LIFE_SECONDS = 300
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Client(BaseModel):
    """A registered caller: its public key, and what tokens say about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str
    public_key: dict[str, str]
    agency: str
    agency_kind: str
    municipalities: list[str] = []
    roles: list[str] = []
    name: str = ""


class Registration(BaseModel):
    """The file of clients (`TSUNAGU_ISSUER_CLIENTS_FILE`)."""

    clients: list[Client] = []


def sign(
    client: Client, *, issuer: str, key: ECKey, audiences: Sequence[str], now: float, life: int = LIFE_SECONDS
) -> str:
    """An access token for a client (RFC 9068)."""
    claims = {
        "iss": issuer,
        "aud": list(audiences),
        "sub": client.client_id,
        "client_id": client.client_id,
        "iat": int(now),
        "exp": int(now) + life,
        "jti": str(uuid4()),
        "agency": client.agency,
        "agency_kind": client.agency_kind,
        "municipalities": client.municipalities,
        "roles": client.roles,
    }
    return jwt.encode({"alg": ALGORITHM, "typ": "at+jwt", "kid": key.kid}, claims, key)


def assertion(client_id: str, key: ECKey, *, audience: str, now: float) -> str:
    """What a client sends to prove who it is; good once, for a minute."""
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": int(now),
        "exp": int(now) + 60,
        "jti": str(uuid4()),
    }
    return jwt.encode({"alg": ALGORITHM, "typ": "JWT"}, claims, key)


def issuer_app(
    *,
    issuer: str,
    key: ECKey,
    registration: Registration,
    audiences: Sequence[str],
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The issuer's three addresses: metadata, keys, tokens."""
    made = _Issuer(issuer, key, registration, audiences, clock)
    app = FastAPI(title="Tsunagu issuer", openapi_url=None, docs_url=None, redoc_url=None, max_body_size=16_384)
    app.add_exception_handler(RequestValidationError, _not_a_request)
    app.get("/.well-known/oauth-authorization-server")(made.metadata)
    app.get("/jwks")(made.keys)
    app.post("/token")(made.token)
    app.get("/health/ready")(_health)
    app.get("/health/live")(_health)
    return app


class _Issuer:
    """Who is registered, and which assertions were already used."""

    def __init__(
        self, issuer: str, key: ECKey, registration: Registration, audiences: Sequence[str], clock: Callable[[], float]
    ) -> None:
        self._issuer = issuer
        self._key = key
        self._clients = {client.client_id: client for client in registration.clients}
        self._audiences = audiences
        self._clock = clock
        self._used: dict[tuple[str, str], float] = {}

    async def metadata(self) -> Mapping[str, Any]:
        """RFC 8414."""
        return {
            "issuer": self._issuer,
            "token_endpoint": f"{self._issuer}/token",
            "jwks_uri": f"{self._issuer}/jwks",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
        }

    async def keys(self) -> Mapping[str, Any]:
        """The public half of the signing key."""
        return {"keys": [{**self._key.as_dict(private=False), "kid": self._key.kid, "use": "sig", "alg": ALGORITHM}]}

    async def token(
        self,
        grant_type: Annotated[str, Form(max_length=64)] = "",
        client_assertion_type: Annotated[str, Form(max_length=128)] = "",
        client_assertion: Annotated[str, Form(max_length=4096)] = "",
    ) -> JSONResponse:
        """A token for a client that proves who it is."""
        if grant_type != "client_credentials":
            return _refuse("unsupported_grant_type")
        now = self._clock()
        client = self._proven(client_assertion, now) if client_assertion_type == _ASSERTION_TYPE else None
        if client is None:
            return _refuse("invalid_client", 401)
        signed = sign(client, issuer=self._issuer, key=self._key, audiences=self._audiences, now=now)
        return JSONResponse(
            {"access_token": signed, "token_type": "Bearer", "expires_in": LIFE_SECONDS},
            headers={"Cache-Control": "no-store"},
        )

    def _proven(self, assertion: str, now: float) -> Client | None:
        """The client whose key signed the assertion, if it is for us, fresh, and not seen before."""
        self._used = {seen: gone_at for seen, gone_at in self._used.items() if gone_at >= now}
        try:
            client = self._clients[json.loads(_payload(assertion))["sub"]]
            claims = jwt.decode(assertion, ECKey.import_key(dict(client.public_key)), algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, KeyError, TypeError, IndexError, RecursionError):
            return None
        fresh = (
            isinstance(claims.get("exp"), int)
            and now < claims["exp"] <= now + 300
            and claims.get("iss") == client.client_id
            and claims.get("aud") in (self._issuer, f"{self._issuer}/token")
            and isinstance(claims.get("jti"), str)
            and (client.client_id, claims["jti"]) not in self._used
        )
        if not fresh:
            return None
        self._used[client.client_id, claims["jti"]] = float(claims["exp"])
        return client


async def _health() -> Mapping[str, str]:
    return {"status": "ready", "service": "issuer"}


async def _not_a_request(_request: Request, _error: Exception) -> JSONResponse:
    """FastAPI's own answer would echo the assertion."""
    return _refuse("invalid_request")


def _payload(token: str) -> bytes:
    segment = token.split(".")[1]
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _refuse(code: str, status: int = 400) -> JSONResponse:
    """RFC 6749 section 5.2."""
    return JSONResponse({"error": code}, status_code=status, headers={"Cache-Control": "no-store"})
