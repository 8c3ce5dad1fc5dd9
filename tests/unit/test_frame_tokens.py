"""Access tokens: what must be refused is refused as 401's reason, never as an accident; keys come and go."""

import base64
import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey
from jwt.types import Options

from shared.auth.tokens import KeyRing, Refused, Verifier

ISSUER, AUDIENCE, NOW = "http://issuer.test", "tsunagu-intake", 1_800_000_000.0
KEY = ECKey.generate_key("P-256", parameters={"kid": "one"}, auto_kid=False)
OTHER = ECKey.generate_key("P-256", parameters={"kid": "two"}, auto_kid=False)
WIDE = ECKey.generate_key("P-384", parameters={"kid": "one"}, auto_kid=False)
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


def public(key: ECKey) -> dict[str, Any]:
    """The key as its issuer publishes it."""
    return {**key.as_dict(private=False), "kid": key.kid}


class Issuer:
    """Publishes keys, can be away, and counts who asks."""

    def __init__(self, *keys: ECKey) -> None:
        self.answer: Any = {"keys": [public(key) for key in keys]}
        self.away = False
        self.asked = 0
        self.now = 0.0

    async def fetch(self) -> Mapping[str, Any]:
        """The key set."""
        self.asked += 1
        if self.away:
            raise httpx2.ConnectError("away")
        found: Mapping[str, Any] = self.answer
        return found

    def ring(self) -> KeyRing:
        """A key ring on a clock of the test's."""
        return KeyRing(self.fetch, clock=lambda: self.now)


def verifier(issuer: Issuer | None = None, now: Callable[[], float] = lambda: NOW) -> Verifier:
    """A verifier for the service intake."""
    return Verifier(issuer=ISSUER, audience=AUDIENCE, keys=(issuer or Issuer(KEY)).ring(), clock=now)


def b64(value: bytes | str | Mapping[str, Any]) -> str:
    """Base64url without padding."""
    text = json.dumps(value) if isinstance(value, Mapping) else value
    raw = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(claims: Mapping[str, Any] | bytes, key: ECKey = KEY, **header: Any) -> str:
    """A compact JWS made by hand, since a library would refuse to make the hostile ones."""
    protected = {name: value for name, value in (HEADER | header).items() if value is not ...}
    start = f"{b64(protected)}.{b64(claims)}"
    private = key.private_key
    assert private is not None
    first, second = decode_dss_signature(private.sign(start.encode(), ec.ECDSA(hashes.SHA256())))
    size = (private.key_size + 7) // 8
    return f"{start}.{b64(first.to_bytes(size, 'big') + second.to_bytes(size, 'big'))}"


def hmac_signed(secret: bytes, **header: Any) -> str:
    """HS256 with whatever secret, as in key confusion."""
    start = f"{b64(HEADER | {'alg': 'HS256'} | header)}.{b64(CLAIMS)}"
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(start.encode())
    return f"{start}.{b64(mac.finalize())}"


async def refused(token: str, by: Verifier | None = None) -> str:
    """The reason for which a token is refused."""
    with pytest.raises(Refused) as caught:
        await (by or verifier()).actor(token)
    return caught.value.reason


async def test_a_good_token_becomes_an_actor() -> None:
    actor = await verifier().actor(signed(CLAIMS))
    assert (actor.subject, actor.agency, actor.kind) == ("client-a", "kagoshima-desk", "self_reliance_desk")
    assert actor.serves("462012")
    assert not actor.serves("462187")
    assert actor.authority == ("462012", "agency:kagoshima-desk", "role:counsellor")
    for typ in ("at+jwt", "AT+JWT", "application/at+jwt"):
        assert (await verifier().actor(signed(CLAIMS, typ=typ))).subject
    assert (await verifier().actor(signed(CLAIMS | {"aud": AUDIENCE}))).subject


PEM = KEY.as_pem(private=False)
DER = serialization.load_pem_public_key(PEM).public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
HOSTILE: dict[str, Callable[[], str]] = {
    "alg none": lambda: f"{b64(HEADER | {'alg': 'none'})}.{b64(CLAIMS)}.",
    "alg NONE": lambda: f"{b64(HEADER | {'alg': 'NoNe'})}.{b64(CLAIMS)}.",
    "no signature": lambda: signed(CLAIMS).rpartition(".")[0] + ".",
    "HS256 with the PEM": lambda: hmac_signed(PEM),
    "HS256 with the DER": lambda: hmac_signed(DER),
    "HS256 with the JWK": lambda: hmac_signed(json.dumps(public(KEY)).encode()),
    "HS256 with the JWK, tight": lambda: hmac_signed(json.dumps(public(KEY), separators=(",", ":")).encode()),
    "HS256 called ES256": lambda: hmac_signed(PEM, alg="ES256"),
    "ES384": lambda: signed(CLAIMS, WIDE, alg="ES384"),
    "another key": lambda: signed(CLAIMS, OTHER),
    "typ JWT": lambda: signed(CLAIMS, typ="JWT"),
    "typ of a logout token": lambda: signed(CLAIMS, typ="logout+jwt"),
    "no typ": lambda: signed(CLAIMS, typ=...),
    "typ is a list": lambda: signed(CLAIMS, typ=["at+jwt"]),
    "no kid": lambda: signed(CLAIMS, kid=...),
    "kid is a number": lambda: f"{b64(HEADER | {'kid': 1})}.{b64(CLAIMS)}.{'A' * 86}",
    "unknown kid": lambda: signed(CLAIMS, kid="x"),
    "crit": lambda: f"{b64(HEADER | {'crit': ['exp'], 'exp': 1})}.{b64(CLAIMS)}.{'A' * 86}",
    "b64 false": lambda: f"{b64(HEADER | {'b64': False, 'crit': ['b64']})}.{b64(CLAIMS)}.{'A' * 86}",
    "jku": lambda: signed(CLAIMS, jku="http://evil.test/jwks"),
    "x5u": lambda: signed(CLAIMS, x5u="http://evil.test/x5u"),
    "x5c": lambda: signed(CLAIMS, x5c=["AAAA"]),
    "jwk in the header": lambda: signed(CLAIMS, OTHER, jwk=public(OTHER)),
    "another issuer": lambda: signed(CLAIMS | {"iss": ISSUER + "/"}),
    "a sibling's audience": lambda: signed(CLAIMS | {"aud": ["tsunagu-training"]}),
    "no audience": lambda: signed({k: v for k, v in CLAIMS.items() if k != "aud"}),
    "audience in a map": lambda: signed(CLAIMS | {"aud": {AUDIENCE: 1}}),
    "expired": lambda: signed(CLAIMS | {"exp": NOW - 10}),
    "exp as a text": lambda: signed(CLAIMS | {"exp": str(NOW + 300)}),
    "exp true": lambda: signed(CLAIMS | {"exp": True}),
    "exp NaN": lambda: signed(CLAIMS | {"exp": float("nan")}),
    "exp infinite": lambda: signed(CLAIMS | {"exp": float("inf")}),
    "iat to come": lambda: signed(CLAIMS | {"iat": NOW + 61}),
    "nbf to come": lambda: signed(CLAIMS | {"nbf": NOW + 61}),
    "nbf as a text": lambda: signed(CLAIMS | {"nbf": "soon"}),
    "sub is empty": lambda: signed(CLAIMS | {"sub": ""}),
    "sub is a list": lambda: signed(CLAIMS | {"sub": ["x"]}),
    "agency is a list": lambda: signed(CLAIMS | {"agency": ["x"]}),
    "roles is a text": lambda: signed(CLAIMS | {"roles": "counsellor"}),
    "roles hold a number": lambda: signed(CLAIMS | {"roles": [1]}),
    "municipalities is null": lambda: signed(CLAIMS | {"municipalities": None}),
    "claims are a list": lambda: signed(b"[]"),
    "claims are a text": lambda: signed(b'"x"'),
    "claims are no JSON": lambda: signed(b"{"),
    "claims are deep": lambda: signed(b"[" * 100_000),
    "header is deep": lambda: b64("[" * 30_000) + ".e30.e30",
    "header is a list": lambda: b64("[]") + ".e30.e30",
    "header is a number": lambda: b64("5") + ".e30.e30",
    "an assertion of a client": lambda: signed(
        {"iss": "client-a", "sub": "client-a", "aud": ISSUER, "exp": NOW + 60, "jti": "x"}, typ="JWT", kid=...
    ),
    "five parts": lambda: signed(CLAIMS) + ".x.y",
    "two parts": lambda: signed(CLAIMS).rpartition(".")[0],
    "nothing": lambda: "",
    "dots": lambda: "..",
    "not ASCII": lambda: "相談.受付.中",
    "a half character": lambda: "\udcff.\udcff.\udcff",
    "spaces": lambda: f" {signed(CLAIMS)} ",
    "padding": lambda: signed(CLAIMS) + "==",
    "NUL": lambda: "\x00" * 50,
} | {
    f"no {name}": lambda name=name: signed({k: v for k, v in CLAIMS.items() if k != name})
    for name in ("iss", "exp", "iat", "sub", "jti", "client_id", "agency", "agency_kind")
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_token_is_refused(name: str) -> None:
    assert await refused(HOSTILE[name]())


async def test_a_few_seconds_of_difference_between_clocks_are_forgiven() -> None:
    assert (await verifier().actor(signed(CLAIMS | {"exp": NOW - 9}))).subject
    assert (await verifier().actor(signed(CLAIMS | {"iat": NOW + 59, "nbf": NOW + 59}))).subject


async def test_a_remembered_token_expires_all_the_same() -> None:
    now = [NOW]
    one = verifier(now=lambda: now[0])
    token = signed(CLAIMS)
    assert await one.actor(token) is await one.actor(token)
    now[0] = CLAIMS["exp"] + 11
    assert await refused(token, one) == "expired"


async def test_two_thousand_mutations_are_all_refused_and_a_second_library_agrees() -> None:
    draw, one, good = random.Random(1), verifier(), signed(CLAIMS)
    await one.actor(good)
    tried = 0
    while tried < 2_000:
        mutated = _mutated(good, draw)
        if _same(mutated, good):
            continue
        tried += 1
        await refused(mutated, one)
        with pytest.raises((pyjwt.PyJWTError, ValueError)):
            second_opinion(mutated)


async def test_a_second_library_agrees_about_every_good_token() -> None:
    for n in range(50):
        token = signed(CLAIMS | {"jti": f"jti-{n}"})
        assert second_opinion(token)["sub"] == (await verifier().actor(token)).subject


def second_opinion(token: str) -> dict[str, Any]:
    """What PyJWT says about the signature; the time of these tests is not its own."""
    timeless: Options = {"verify_exp": False, "verify_iat": False}
    claims: dict[str, Any] = pyjwt.decode(token, PEM, algorithms=["ES256"], audience=AUDIENCE, options=timeless)
    return claims


def _mutated(token: str, draw: random.Random) -> str:
    match draw.randrange(6):
        case 0:
            place = draw.randrange(len(token))
            return token[:place] + chr(draw.randrange(33, 127)) + token[place + 1 :]
        case 1:
            place = draw.randrange(len(token))
            return token[:place] + token[place + draw.randint(1, 5) :]
        case 2:
            place = draw.randrange(len(token))
            return token[:place] + chr(draw.randrange(33, 127)) + token[place:]
        case 3:
            head, body, sign = token.split(".")
            return f"{head}.{b64(CLAIMS | {'roles': [str(draw.random())]})}.{sign}"
        case 4:
            parts = token.split(".")
            draw.shuffle(parts)
            return ".".join(parts)
        case _:
            head, body, sign = token.split(".")
            name = draw.choice(["alg", "typ", "kid", "cty", "zip"])
            changed = HEADER | {name: draw.choice(["", "none", "HS256", 1, None])}
            return f"{b64(changed)}.{body}.{sign}"


def _same(one: str, two: str) -> bool:
    """The last character of a part carries bits that mean nothing, so another text can be the very same token."""
    try:
        return [base64.urlsafe_b64decode(part + "==") for part in one.split(".")] == [
            base64.urlsafe_b64decode(part + "==") for part in two.split(".")
        ] and len(one) == len(two)
    except ValueError:
        return False


# --------------------------------------------------------------------------------------------------------------- keys


async def test_a_flood_of_unknown_keys_leads_to_one_fetch_in_thirty_seconds() -> None:
    issuer = Issuer(KEY)
    one = verifier(issuer)
    await one.actor(signed(CLAIMS))
    assert issuer.asked == 1
    for second in range(0, 120, 10):
        issuer.now = 100.0 + second
        for n in range(100):
            assert await refused(f"{b64(HEADER | {'kid': f'{second}-{n}'})}.{b64(CLAIMS)}.AAAA", one) == "unknown_key"
    assert issuer.asked == 1 + 4
    assert (await one.actor(signed(CLAIMS | {"jti": "after the flood"}))).subject


async def test_a_new_key_is_found_and_the_old_one_stays() -> None:
    issuer = Issuer(KEY)
    one = verifier(issuer)
    await one.actor(signed(CLAIMS))
    issuer.answer = {"keys": [public(KEY), public(OTHER)]}
    issuer.now = 31.0
    assert (await one.actor(signed(CLAIMS, OTHER, kid="two"))).subject
    issuer.answer = {"keys": [public(OTHER)]}
    assert (await one.actor(signed(CLAIMS | {"jti": "still on its way"}))).subject


async def test_known_keys_work_while_the_issuer_is_away() -> None:
    issuer = Issuer(KEY)
    one = verifier(issuer)
    await one.actor(signed(CLAIMS))
    issuer.away = True
    for minute in range(60):
        issuer.now = minute * 60.0
        assert await refused(signed(CLAIMS, OTHER, kid="two"), one) == "unknown_key"
        assert (await one.actor(signed(CLAIMS | {"jti": f"{minute}"}))).subject
    issuer.away, issuer.answer = False, {"keys": [public(OTHER)]}
    issuer.now += 2
    assert (await one.actor(signed(CLAIMS, OTHER, kid="two"))).subject


@pytest.mark.parametrize(
    "answer",
    [{}, {"keys": None}, {"keys": "abc"}, {"keys": 5}, {"keys": [None, 1, "x", {}, {"kty": "EC"}]}, {"keys": {"a": 1}}],
)
async def test_a_broken_key_set_is_no_accident_and_spoils_no_good_key(answer: Any) -> None:
    issuer = Issuer(KEY)
    issuer.answer = answer
    assert await refused(signed(CLAIMS), verifier(issuer)) == "unknown_key"
    bad_point = {**public(OTHER), "kid": "bad", "x": public(KEY)["x"]}
    foreign = [{"kty": "oct", "k": "AAAA", "kid": "one"}, {"kty": "RSA", "kid": "r"}]
    issuer.answer = {"keys": [bad_point, *foreign, public(KEY)]}
    assert (await verifier(issuer).actor(signed(CLAIMS))).subject


async def test_a_symmetric_key_in_the_set_is_never_used() -> None:
    issuer = Issuer()
    secret = b"0" * 32
    issuer.answer = {"keys": [{"kty": "oct", "k": b64(secret), "kid": "one"}]}
    assert await refused(hmac_signed(secret), verifier(issuer)) == "algorithm"
    assert await refused(hmac_signed(secret, alg="ES256"), verifier(issuer)) == "unknown_key"


def test_the_clock_of_these_tests_is_not_the_real_one() -> None:
    assert time.time() < NOW
