"""Access tokens: what must be refused is refused as 401's reason, never as an accident; keys come and go."""

import base64
import json
import random
import re
import time
from collections.abc import Callable
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from joserfc.jwk import ECKey
from jwt.types import Options

from shared.auth.refusals import WORDS, Reason, Refused
from shared.auth.tokens import Verifier
from tests.issuers import AUDIENCE, CLAIMS, HEADER, ISSUER, KEY, NOW, OTHER, b64, public, signed, verifier

WIDE = ECKey.generate_key("P-384", parameters={"kid": "one"}, auto_kid=False)


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
    "a municipality's check digit is wrong": lambda: signed(CLAIMS | {"municipalities": ["462012", "462013"]}),
    "a municipality without its check digit": lambda: signed(CLAIMS | {"municipalities": ["46201"]}),
    "a prefecture that Japan doesn't have": lambda: signed(CLAIMS | {"municipalities": ["prefecture:48"]}),
    "a prefecture and more": lambda: signed(CLAIMS | {"municipalities": ["prefecture:46\n"]}),
    "agency is a sentence": lambda: signed(CLAIMS | {"agency": "Kagoshima desk"}),
    "agency is very long": lambda: signed(CLAIMS | {"agency": "a" * 41}),
    "agency_kind is a sentence": lambda: signed(CLAIMS | {"agency_kind": "a desk"}),
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


async def test_a_role_that_is_not_ours_gives_nothing() -> None:
    actor = await verifier().actor(signed(CLAIMS | {"roles": ["uma_authorization", "counsellor", "Operator", "root"]}))
    assert actor.roles == {"counsellor"}
    assert actor.authority == ("462012", "agency:kagoshima-desk", "role:counsellor")
    assert (await verifier().actor(signed({k: v for k, v in CLAIMS.items() if k != "roles"}))).roles == frozenset()


REASONS: dict[str, Callable[[], str]] = {
    "not_a_token": lambda: "mF_9.B5f-4.1JqM",
    "algorithm": lambda: f"{b64(HEADER | {'alg': 'none'})}.{b64(CLAIMS)}.",
    "not_an_access_token": lambda: signed(CLAIMS, typ="JWT"),
    "header": lambda: signed(CLAIMS, kid=...),
    "unknown_key": lambda: signed(CLAIMS, kid="x"),
    "signature": lambda: signed(CLAIMS, OTHER),
    "claims": lambda: signed(b"[]"),
    "issuer": lambda: signed(CLAIMS | {"iss": "http://elsewhere.test"}),
    "audience": lambda: signed(CLAIMS | {"aud": "tsunagu-training"}),
    "exp": lambda: signed(CLAIMS | {"exp": None}),
    "iat": lambda: signed(CLAIMS | {"iat": None}),
    "nbf": lambda: signed(CLAIMS | {"nbf": "soon"}),
    "expired": lambda: signed(CLAIMS | {"exp": NOW - 10}),
    "not_yet_valid": lambda: signed(CLAIMS | {"nbf": NOW + 61}),
    "sub": lambda: signed(CLAIMS | {"sub": ""}),
    "client_id": lambda: signed(CLAIMS | {"client_id": ""}),
    "jti": lambda: signed(CLAIMS | {"jti": None}),
    "agency": lambda: signed(CLAIMS | {"agency": None}),
    "agency_kind": lambda: signed(CLAIMS | {"agency_kind": None}),
    "municipalities": lambda: signed(CLAIMS | {"municipalities": ["462013"]}),
    "roles": lambda: signed(CLAIMS | {"roles": "counsellor"}),
}


@pytest.mark.parametrize("reason", REASONS)
async def test_who_sets_up_an_issuer_is_told_what_is_wrong_with_its_token(reason: str) -> None:
    assert await refused(REASONS[reason]()) == reason


def test_every_reason_is_tried_and_has_words_that_may_stand_in_a_header() -> None:
    assert {*REASONS, "no_token", "keys_unreachable"} == set(Reason) == set(WORDS)
    for words, words_ja in WORDS.values():
        assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+", words), "RFC 6750 section 3"
        assert not words_ja.isascii()


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


def test_the_clock_of_these_tests_is_not_the_real_one() -> None:
    assert time.time() < NOW
