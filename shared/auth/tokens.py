"""Access tokens: JWTs as RFC 9068 has them, verified with joserfc against the issuer's keys.

joserfc checks the signature with the one algorithm of the key; that `typ`, `iss`, `aud`, `exp` and the rest are there
at all is checked here, because no library demands it by default. A verified token is remembered by its hash until it
expires or its issuer withdraws a key (160 µs against 1 µs).
"""

import base64
import hashlib
import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from shared.auth.actor import Actor
from shared.auth.keys import KeyRing, TrustedKey
from shared.auth.profile import ALGORITHMS, Algorithm, Profile
from shared.auth.refusals import Reason, Refused

_LEEWAY = 10
_AHEAD = 60
_REMEMBERED = 4096
_FORBIDDEN_HEADERS = {"jku", "jwk", "x5u", "x5c", "crit", "b64"}
_ID_TOKEN_OR_LOGOUT = {"nonce", "at_hash", "c_hash", "s_hash", "events"}


def _knowing_only(name: Algorithm) -> jws.JWSRegistry:
    model = copy(jws.JWSRegistry.algorithms[name])
    # RFC 9864 gives EdDSA another name; issuers still send this one, and joserfc would warn at each token.
    model.security_warning = None
    registry = jws.JWSRegistry(algorithms=[name])
    registry.algorithms = {name: model}
    return registry


_REGISTRIES = {name: _knowing_only(name) for name in ALGORITHMS}


class Verifier:
    """Turns a token into an `Actor`, for one service."""

    def __init__(
        self,
        *,
        service: str,
        issuer: str,
        keys: KeyRing,
        profile: Profile | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.service = service
        self._issuer = issuer
        self.keys = keys
        self._profile = profile or Profile()
        self._audience = self._profile.audience_of(service)
        self._types = {name.lower() for name in self._profile.types}
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Actor]] = OrderedDict()
        self._edition = keys.edition

    async def actor(self, token: str) -> Actor:
        """The caller. Raises `Refused`."""
        if self._edition != self.keys.edition:  # a key was withdrawn: what it signed must not be remembered
            self._known.clear()
            self._edition = self.keys.edition
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known[0]:
            return known[1]
        claims = await self._claims(token)
        actor = self._profile.actor_of(claims)
        self._known[digest] = (float(claims["exp"]), actor)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return actor

    async def _claims(self, token: str) -> Mapping[str, Any]:
        header = _header_of(token)
        if header.get("alg") not in self._profile.algorithms:
            raise Refused(Reason.ALGORITHM)
        kind = str(header.get("typ", "")).lower().removeprefix("application/")
        if kind not in self._types:
            raise Refused(Reason.TYPE)
        if _FORBIDDEN_HEADERS & header.keys() or not isinstance(header.get("kid"), str):
            raise Refused(Reason.HEADER)
        key = await self.keys.get(header["kid"])
        if header["alg"] != key.algorithm:
            raise Refused(Reason.ALGORITHM)
        claims = _signed_by(key, token)
        self._check(claims)
        self._check_kind(claims, kind)
        return claims

    def _check(self, claims: Mapping[str, Any]) -> None:
        """RFC 9068 section 4, with every claim demanded."""
        now = self._clock()
        if claims.get("iss") != self._issuer:
            raise Refused(Reason.ISSUER)
        if self._audience not in _audiences(claims):
            raise Refused(Reason.AUDIENCE)
        for reason, value in (
            (Reason.EXP, claims.get("exp")),
            (Reason.IAT, claims.get("iat")),
            (Reason.NBF, claims.get("nbf", 0)),
        ):
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise Refused(reason)
        if claims["exp"] + _LEEWAY <= now:
            raise Refused(Reason.EXPIRED)
        if claims["iat"] > now + _AHEAD or claims.get("nbf", claims["iat"]) > now + _AHEAD:
            raise Refused(Reason.NOT_YET_VALID)
        if not _is_text(claims.get("sub")):
            raise Refused(Reason.SUB)

    def _check_kind(self, claims: Mapping[str, Any], kind: str) -> None:
        """Whether this is an access token. Where its type doesn't say so, everything else must."""
        client = self._profile.client_of(claims)
        if kind == "at+jwt":
            if not _is_text(claims.get("jti")):
                raise Refused(Reason.JTI)
            return
        # An ID token is made out to the client that asked for it (OpenID Connect Core section 2), an access token to
        # somebody else. Keycloak names the kind in the content: Bearer, ID, Refresh, Logout.
        made_out_to_its_client = client in _audiences(claims)
        if made_out_to_its_client or _ID_TOKEN_OR_LOGOUT & claims.keys() or claims.get("typ", "Bearer") != "Bearer":
            raise Refused(Reason.TYPE)


def _header_of(token: str) -> Mapping[str, Any]:
    segment = token.split(".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        raise Refused(Reason.MALFORMED) from None
    if not isinstance(header, dict):
        raise Refused(Reason.MALFORMED)
    return header


def _signed_by(key: TrustedKey, token: str) -> Mapping[str, Any]:
    try:
        signed = jws.deserialize_compact(token, key.key, registry=_REGISTRIES[key.algorithm])
        claims = json.loads(signed.payload)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise Refused(Reason.SIGNATURE) from None
    if not isinstance(claims, dict):
        raise Refused(Reason.CLAIMS)
    return claims


def _audiences(claims: Mapping[str, Any]) -> list[Any]:
    audience = claims.get("aud")
    return audience if isinstance(audience, list) else [audience]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\x00" not in value
