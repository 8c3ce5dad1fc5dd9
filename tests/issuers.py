"""Issuers for tests: real keys of every kind, tokens signed by hand, and a key set that comes, goes and changes."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey, OKPKey, RSAKey

from shared.auth.keys import KeyRing
from shared.auth.profile import Algorithm, Profile
from shared.auth.tokens import Verifier

AnyKey = ECKey | RSAKey | OKPKey

ISSUER, AUDIENCE, NOW = "http://issuer.test", "tsunagu-intake", 1_800_000_000.0
KEY, OTHER = (ECKey.generate_key("P-256", parameters={"kid": kid}, auto_kid=False) for kid in ("one", "two"))
HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": "one"}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": [AUDIENCE, "tsunagu-training"],
    "sub": "client-a",
    "client_id": "client-a",
    "jti": "jti-1",
    "iat": int(NOW) - 5,
    "exp": int(NOW) + 300,
    "agency": "kagoshima-desk",
    "agency_kind": "self_reliance_desk",
    "municipalities": ["462012"],
    "roles": ["counsellor"],
}


def public(key: AnyKey, **members: Any) -> dict[str, Any]:
    """The key as its issuer publishes it; `...` leaves a member out."""
    jwk: dict[str, Any] = {**key.as_dict(private=False), "kid": key.kid} | members
    return {name: value for name, value in jwk.items() if value is not ...}


def b64(value: bytes | str | Mapping[str, Any]) -> str:
    """Base64url without padding."""
    text = json.dumps(value) if isinstance(value, Mapping) else value
    raw = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(claims: Mapping[str, Any] | bytes, key: AnyKey = KEY, **header: Any) -> str:
    """A compact JWS made by hand, since a library would refuse to make the hostile ones."""
    protected = {name: value for name, value in (HEADER | header).items() if value is not ...}
    start = f"{b64(protected)}.{b64(claims)}"
    return f"{start}.{b64(_signature(key, start.encode(), str(protected.get('alg'))))}"


def _signature(key: AnyKey, message: bytes, algorithm: str) -> bytes:
    match key.private_key:
        case EllipticCurvePrivateKey() as private:
            first, second = decode_dss_signature(private.sign(message, ECDSA(hashes.SHA256())))
            size = (private.key_size + 7) // 8
            return first.to_bytes(size, "big") + second.to_bytes(size, "big")
        case RSAPrivateKey() as private if algorithm == "PS256":
            wide = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
            return private.sign(message, wide, hashes.SHA256())
        case RSAPrivateKey() as private:
            return private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case Ed25519PrivateKey() as private:
            return private.sign(message)
        case unknown:
            raise TypeError(type(unknown))


class Issuer:
    """Publishes keys, can be away, and counts who asks."""

    def __init__(self, *keys: AnyKey) -> None:
        self.away = False
        self.asked = 0
        self.now = 0.0
        self.answer: Any = None
        self.publish(*keys)

    def publish(self, *keys: AnyKey) -> None:
        """From now on these and no others."""
        self.answer = {"keys": [public(key) for key in keys]}

    async def fetch(self) -> Mapping[str, Any]:
        """The key set."""
        self.asked += 1
        if self.away:
            raise httpx2.ConnectError("away")
        found: Mapping[str, Any] = self.answer
        return found

    def ring(self, *algorithms: Algorithm) -> KeyRing:
        """A key ring on a clock of the test's."""
        return KeyRing(self.fetch, algorithms=algorithms or ("ES256",), clock=lambda: self.now)


def verifier(
    issuer: Issuer | None = None,
    now: Callable[[], float] = lambda: NOW,
    *,
    ring: KeyRing | None = None,
    profile: Profile | None = None,
) -> Verifier:
    """A verifier for the service intake."""
    profile = profile or Profile()
    keys = ring or (issuer or Issuer(KEY)).ring(*profile.algorithms)
    return Verifier(service="intake", issuer=ISSUER, keys=keys, profile=profile, clock=now)
