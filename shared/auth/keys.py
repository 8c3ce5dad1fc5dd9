"""The issuer's public keys: fetched, kept, read again every five minutes, and given up when the issuer gives them up.

Reading is a loop's work (`keep_fresh`), so that no request waits for it unless it names a key never heard of. A key
that left the issuer's set is refused from the next reading on. While the issuer can't be read, its last word holds,
for a day: see docs/decisions/0020.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from shared.auth.profile import Algorithm
from shared.auth.refusals import Reason, Refused

_log = structlog.get_logger()

READ_EVERY = 300.0
_AFTER_A_FAILURE = 30.0
TRUSTED_FOR = 24 * 3600.0
_UNKNOWN_EVERY = 30.0
_PATIENCE = 10.0
_LARGEST = 65_536
_LEAST_RSA_BITS = 2048

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key and the one algorithm that it is used with (RFC 8725 section 3.1)."""

    algorithm: Algorithm
    thumbprint: str
    key: ECKey | RSAKey | OKPKey = field(compare=False)


class KeyRing:
    """The keys that are trusted now. `edition` changes whenever one of them no longer is."""

    def __init__(
        self,
        fetch: FetchKeys,
        *,
        algorithms: Sequence[Algorithm] = ("ES256",),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.edition = 0
        self._fetch = fetch
        self._algorithms = algorithms
        self._clock = clock
        self._keys: dict[str, TrustedKey] = {}
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._one = asyncio.Lock()

    async def get(self, kid: str) -> TrustedKey:
        """The key with this id. Raises `Refused`. An unknown id leads to one reading in 30 s at the most."""
        if kid not in self._keys:
            async with self._one:
                if kid not in self._keys and self._clock() - self._tried_at >= _UNKNOWN_EVERY:
                    await self._read()
        if kid in self._keys:
            return self._keys[kid]
        raise Refused(Reason.UNKNOWN_KEY if self.age() <= TRUSTED_FOR else Reason.KEYS_UNREACHABLE)

    async def keep_fresh(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Read the keys again and again."""
        while True:
            await sleep(READ_EVERY if await self.renew() else _AFTER_A_FAILURE)

    async def renew(self) -> bool:
        """Read the keys now. Whether the issuer answered."""
        async with self._one:
            return await self._read()

    def age(self) -> float:
        """Seconds since the issuer's last word; infinite before the first."""
        return self._clock() - self._read_at

    async def _read(self) -> bool:
        self._tried_at = self._clock()
        try:
            async with asyncio.timeout(_PATIENCE):
                found = _usable(await self._fetch(), self._algorithms)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, RecursionError) as error:
            _log.warning("issuer_keys_unreachable", error=type(error).__name__)
            # An unknown key may be a new one: look again soon.
            self._tried_at = self._clock() - _UNKNOWN_EVERY + 1.0
            if self.age() > TRUSTED_FOR:
                self._trust({})
            return False
        self._read_at = self._clock()
        self._trust(found)
        return True

    def _trust(self, found: dict[str, TrustedKey]) -> None:
        lost = [kid for kid, key in self._keys.items() if found.get(kid) != key]
        if lost:
            self.edition += 1
            _log.info("issuer_keys_withdrawn", records=len(lost))
        self._keys = found


def _usable(found: Mapping[str, Any], algorithms: Sequence[Algorithm]) -> dict[str, TrustedKey]:
    """The set's keys for the algorithms allowed; a broken or foreign one spoils no other."""
    keys = found.get("keys")
    if not isinstance(keys, list):  # an accident, and not the word of an issuer that withdraws its keys
        raise ValueError("no key set")  # noqa: TRY004 - what another machine sent is a wrong value
    usable = {}
    for jwk in keys:
        with contextlib.suppress(JoseError, ValueError, KeyError, TypeError, AttributeError):
            key = _imported(jwk)
            algorithm = _algorithm_of(jwk, key, algorithms)
            if algorithm is not None:
                usable[jwk["kid"]] = TrustedKey(algorithm, key.thumbprint(), key)
    return usable


def _imported(jwk: Mapping[str, Any]) -> ECKey | RSAKey | OKPKey:
    match jwk["kty"]:
        case "EC":
            return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
        case "RSA":
            return RSAKey.import_key({name: jwk[name] for name in ("kty", "n", "e")})
        case "OKP":
            return OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x")})
        case _:
            raise ValueError("a symmetric key is never a public one")


def _algorithm_of(
    jwk: Mapping[str, Any], key: ECKey | RSAKey | OKPKey, algorithms: Sequence[Algorithm]
) -> Algorithm | None:
    """The algorithm that the key itself names, or else the first allowed one that fits it."""
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        return None
    fitting = [name for name in algorithms if _fits(key, name)]
    named = [name for name in fitting if name == jwk.get("alg", name)]
    return named[0] if named else None


def _fits(key: ECKey | RSAKey | OKPKey, algorithm: Algorithm) -> bool:
    match algorithm:
        case "ES256":
            return isinstance(key, ECKey) and key.curve_name == "P-256"
        case "EdDSA":
            return isinstance(key, OKPKey) and key.curve_name == "Ed25519"
        case "RS256" | "PS256":
            return isinstance(key, RSAKey) and key.raw_value.key_size >= _LEAST_RSA_BITS


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
            if len(answer.content) > _LARGEST:
                raise ValueError("key set too large")
            keys = answer.json()
            return keys if isinstance(keys, dict) else {}

    return fetch
