"""Access tokens: RFC 9068 JWTs signed with ES256, verified with joserfc, the issuer's keys fetched and kept.

joserfc checks the signature and allows only the algorithms named; that `typ`, `iss`, `aud`, `exp` and the rest are
there at all is checked here, because no library demands it by default. A verified token is remembered by its hash until
it expires (190 µs against 2 µs).
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx2
import structlog
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from shared.auth.actor import Actor

_log = structlog.get_logger()

ALGORITHM = "ES256"
_LEEWAY = 10
_AHEAD = 60
_REMEMBERED = 4096
_REGISTRY = jws.JWSRegistry(algorithms=[ALGORITHM])
_FORBIDDEN_HEADERS = {"jku", "jwk", "x5u", "x5c", "crit", "b64"}

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]


class Refused(Exception):
    """The token is not accepted; `reason` is a code for the log, never sent to the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeyRing:
    """The issuer's public keys. An unknown key id leads to one fetch in 30 s at the most; known keys are never lost."""

    def __init__(self, fetch: FetchKeys, *, clock: Callable[[], float] = time.monotonic, every: float = 30.0) -> None:
        self._fetch = fetch
        self._clock = clock
        self._every = every
        self._keys: dict[str, ECKey] = {}
        self._tried_at = float("-inf")
        self._one = asyncio.Lock()

    async def get(self, kid: str) -> ECKey:
        """The key with this id. Raises `Refused` if the issuer has none."""
        if kid not in self._keys:
            await self._refresh(kid)
        try:
            return self._keys[kid]
        except KeyError:
            raise Refused("unknown_key") from None

    async def _refresh(self, kid: str) -> None:
        async with self._one:
            if kid in self._keys or self._clock() - self._tried_at < self._every:
                return
            self._tried_at = self._clock()
            try:
                self._keys |= _usable(await self._fetch())
            except (httpx2.HTTPError, OSError, ValueError) as error:
                # An issuer that is away must not lock out callers whose keys are known. Look again soon, though.
                self._tried_at = self._clock() - self._every + 1.0
                _log.warning("issuer_keys_unreachable", error=type(error).__name__)


def _usable(found: Mapping[str, Any]) -> dict[str, ECKey]:
    """The set's keys for ES256; a broken or foreign one spoils no other."""
    keys = found.get("keys")
    usable = {}
    for jwk in keys if isinstance(keys, list) else []:
        with contextlib.suppress(JoseError, ValueError, KeyError, TypeError, AttributeError):
            if jwk["kty"] == "EC" and jwk["crv"] == "P-256" and isinstance(jwk["kid"], str):
                usable[jwk["kid"]] = ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y", "kid")})
    return usable


def fetch_from_issuer(issuer: str) -> FetchKeys:
    """Asks the issuer where its keys are (OpenID Connect Discovery, else RFC 8414), then fetches them."""

    async def fetch() -> Mapping[str, Any]:
        for name in ("openid-configuration", "oauth-authorization-server"):
            try:
                metadata = await fetch_over_http(f"{issuer.rstrip('/')}/.well-known/{name}")()
            except (httpx2.HTTPStatusError, ValueError):
                continue
            if metadata.get("issuer") == issuer and isinstance(metadata.get("jwks_uri"), str):
                return await fetch_over_http(metadata["jwks_uri"])()
        raise ValueError("the issuer says nothing of its keys")

    return fetch


def fetch_over_http(url: str) -> FetchKeys:
    """Fetches a JWK set; no redirects, five seconds, 64 kB."""

    async def fetch() -> Mapping[str, Any]:
        async with httpx2.AsyncClient(timeout=5, follow_redirects=False, trust_env=False) as client:
            answer = await client.get(url)
            answer.raise_for_status()
            if len(answer.content) > 65_536:
                raise ValueError("key set too large")
            keys = answer.json()
            return keys if isinstance(keys, dict) else {}

    return fetch


class Verifier:
    """Turns a token into an `Actor`, for one audience (one service)."""

    def __init__(self, *, issuer: str, audience: str, keys: KeyRing, clock: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Actor]] = OrderedDict()

    async def actor(self, token: str) -> Actor:
        """The caller. Raises `Refused`."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known[0]:
            return known[1]
        claims = await self._claims(token)
        actor = _actor(claims)
        self._known[digest] = (float(claims["exp"]), actor)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return actor

    async def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            header = json.loads(_unpadded(token.split(".", 1)[0]))
        except (ValueError, RecursionError):
            raise Refused("not_a_token") from None
        if not isinstance(header, dict) or header.get("alg") != ALGORITHM:
            raise Refused("algorithm")
        if str(header.get("typ", "")).lower() not in {"at+jwt", "application/at+jwt"}:
            raise Refused("not_an_access_token")
        if _FORBIDDEN_HEADERS & header.keys() or not isinstance(header.get("kid"), str):
            raise Refused("header")
        key = await self._keys.get(header["kid"])
        try:
            signed = jws.deserialize_compact(token, key, algorithms=[ALGORITHM], registry=_REGISTRY)
            claims = json.loads(signed.payload)
        except (JoseError, ValueError, TypeError, RecursionError):
            raise Refused("signature") from None
        if not isinstance(claims, dict):
            raise Refused("claims")
        self._check(claims)
        return claims

    def _check(self, claims: Mapping[str, Any]) -> None:
        """RFC 9068 section 4, with every claim demanded."""
        now = self._clock()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self._issuer:
            raise Refused("issuer")
        if self._audience not in audiences:
            raise Refused("audience")
        for name, value in (("exp", claims.get("exp")), ("iat", claims.get("iat")), ("nbf", claims.get("nbf", 0))):
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise Refused(name)
        if claims["exp"] + _LEEWAY <= now:
            raise Refused("expired")
        if claims["iat"] > now + _AHEAD or claims.get("nbf", claims["iat"]) > now + _AHEAD:
            raise Refused("not_yet_valid")
        for name in ("sub", "client_id", "jti"):
            if not isinstance(claims.get(name), str) or not claims[name]:
                raise Refused(name)


def _actor(claims: Mapping[str, Any]) -> Actor:
    agency, kind = claims.get("agency"), claims.get("agency_kind")
    municipalities, roles = claims.get("municipalities", []), claims.get("roles", [])
    if not isinstance(agency, str) or not agency or not isinstance(kind, str):
        raise Refused("agency")
    for values in (municipalities, roles):
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise Refused("agency")
    return Actor(
        subject=claims["sub"],
        agency=agency,
        kind=kind,
        municipalities=frozenset(municipalities),
        roles=frozenset(roles),
        authority=tuple(sorted({f"agency:{agency}", *municipalities, *(f"role:{role}" for role in roles)})),
    )


def _unpadded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
