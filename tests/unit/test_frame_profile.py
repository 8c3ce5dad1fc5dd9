"""Any OIDC issuer by setting: the examples of the operations guide hold, and no setting opens more than it says."""

import contextlib
import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pydantic import ValidationError
from typer.testing import CliRunner

from shared.auth import Actor, Role
from shared.auth.profile import ALGORITHMS, Algorithm, Profile, Source
from shared.auth.refusals import Refused
from shared.service.__main__ import cli
from shared.service.issuers import read_profile
from shared.settings import SettingRefused, Settings
from tests.issuers import CLAIMS, ISSUER, NOW, AnyKey, Issuer, b64, public, signed, verifier

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
EC = ECKey.generate_key("P-256", parameters={"kid": "ec"}, auto_kid=False)
RSA, RSA_TWO = (RSAKey.generate_key(2048, parameters={"kid": "rsa"}, auto_kid=False) for _ in range(2))
OKP = OKPKey.generate_key("Ed25519", parameters={"kid": "okp"}, auto_kid=False)
KEY_FOR: dict[str, AnyKey] = {"ES256": EC, "RS256": RSA, "PS256": RSA, "EdDSA": OKP}


def example(heading: str) -> Profile:
    """The profile that the operations guide gives under a heading."""
    _, _, after = GUIDE.partition(f"\n### {heading}\n")
    block = re.search(r"^```json\n(.*?)^```$", after, re.MULTILINE | re.DOTALL)
    assert block is not None
    return read_profile(Settings(issuer_profile=block[1]))


def changed(claims: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The same claims but for these; `...` leaves one out."""
    return {name: value for name, value in (dict(claims) | changes).items() if value is not ...}


async def judged(claims: Mapping[str, Any], profile: Profile, key: AnyKey = RSA, **header: Any) -> Actor | str:
    """Who calls, or why not: a token as the larger providers sign it, RS256 and `JWT`."""
    token = signed(claims, key, **({"alg": "RS256", "typ": "JWT", "kid": key.kid} | header))
    try:
        return await verifier(Issuer(key), profile=profile).actor(token)
    except Refused as refused:
        return refused.reason.value


# ------------------------------------------------------------------------------------- the examples of the guide


KEYCLOAK: dict[str, Any] = {
    "exp": NOW + 300,
    "iat": NOW,
    "jti": "trrtcc:4f2a",
    "iss": ISSUER,
    "aud": ["tsunagu-intake", "tsunagu-referral", "tsunagu", "account"],
    "sub": "1f6d2b1c-7c53-4c61-8a0e-0f0a7f0f2a11",
    "typ": "Bearer",
    "azp": "kagoshima-system",
    "acr": "1",
    "realm_access": {"roles": ["default-roles-tsunagu", "offline_access", "operator"]},
    "resource_access": {"tsunagu": {"roles": ["soudan", "uma_protection"]}, "account": {"roles": ["manage-account"]}},
    "scope": "profile email",
    "clientHost": "192.0.2.10",
    "tsunagu": {"agency": "kagoshima-desk", "agency_kind": "self_reliance_desk", "municipalities": ["462012"]},
}
ENTRA: dict[str, Any] = {
    "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
    "iss": ISSUER,
    "iat": NOW - 5,
    "nbf": NOW - 5,
    "exp": NOW + 3_900,
    "azp": "0d1f7a6a-54a3-4a3c-9a53-0a1b6b1b2c3d",
    "azpacr": "2",
    "oid": "8b3a2f0e-2b61-4b57-8c41-3a4e7d9c1f00",
    "roles": [
        "agency:kagoshima-desk",
        "kind:self_reliance_desk",
        "municipality:462012",
        "municipality:prefecture:47",
        "role:counsellor",
        "Files.Read.All",
    ],
    "sub": "8b3a2f0e-2b61-4b57-8c41-3a4e7d9c1f00",
    "uti": "fqiBqXLPj0eQa82S-IYFAA",
    "ver": "2.0",
}
AUTH0: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "kagoshima@clients",
    "aud": ["tsunagu-intake"],
    "iat": NOW,
    "exp": NOW + 300,
    "client_id": "kagoshima",
    "jti": "73WakrfVbNJBaAmhQtEeDv",
    "permissions": ["counsellor", "read:patients"],
    "https://tsunagu.example/agency": "kagoshima-desk",
    "https://tsunagu.example/agency_kind": "self_reliance_desk",
    "https://tsunagu.example/municipalities": ["462012"],
}


async def test_keycloak_as_the_guide_says() -> None:
    actor = await judged(KEYCLOAK, example("Keycloak の例"))
    assert isinstance(actor, Actor)
    assert (actor.agency, actor.kind) == ("kagoshima-desk", "self_reliance_desk")
    assert actor.municipalities == {"462012"}
    assert actor.roles == {Role.COUNSELLOR}, "the realm's operator is another system's"


async def test_entra_as_the_guide_says() -> None:
    actor = await judged(ENTRA, example("Microsoft Entra ID の例"), x5t="aGVsbG8")
    assert isinstance(actor, Actor)
    assert (actor.agency, actor.kind) == ("kagoshima-desk", "self_reliance_desk")
    assert actor.roles == {Role.COUNSELLOR}
    assert actor.municipalities == {"462012", "prefecture:47"}


async def test_auth0_as_the_guide_says() -> None:
    actor = await judged(AUTH0, example("Auth0 の例"), typ="at+jwt")
    assert isinstance(actor, Actor)
    assert (actor.agency, actor.kind) == ("kagoshima-desk", "self_reliance_desk")
    assert actor.municipalities == {"462012"}
    assert actor.roles == {Role.COUNSELLOR}


@pytest.mark.parametrize("claims", [KEYCLOAK, ENTRA, AUTH0], ids=["keycloak", "entra", "auth0"])
async def test_without_a_profile_none_of_them_gets_in(claims: dict[str, Any]) -> None:
    for typ in ("JWT", "at+jwt"):
        assert await judged(claims, Profile(), typ=typ) == "algorithm"
        assert isinstance(await judged(claims, Profile(algorithms=("RS256",)), typ=typ), str)


# ---------------------------------------------------------------------------------- what is not an access token


FORGED: dict[str, tuple[str, dict[str, Any]]] = {
    "an ID token of Keycloak": ("not_an_access_token", {"typ": "ID", "nonce": ..., "auth_time": NOW}),
    "a refresh token": ("not_an_access_token", {"typ": "Refresh"}),
    "bound to a key that is not asked for": ("not_an_access_token", {"typ": "DPoP"}),
    "an ID token with a nonce": ("not_an_access_token", {"typ": ..., "nonce": "n-0S6_WzA2Mj"}),
    "an ID token with at_hash": ("not_an_access_token", {"typ": ..., "at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}),
    "an ID token with c_hash": ("not_an_access_token", {"typ": ..., "c_hash": "LDktKdoQak3Pk0cnXxCltA"}),
    "an ID token with s_hash": ("not_an_access_token", {"typ": ..., "s_hash": "1kA0jVz5JN4"}),
    "a logout token": ("not_an_access_token", {"typ": ..., "events": {}}),
    "made out to its client": ("not_an_access_token", {"typ": ..., "aud": "tsunagu-intake", "azp": "tsunagu-intake"}),
    "made out to its client, and to us": ("not_an_access_token", {"aud": ["tsunagu-intake", "kagoshima-system"]}),
    "of nobody": ("client_id", {"azp": ...}),
    "of an empty client": ("client_id", {"azp": ""}),
    "for a sibling": ("audience", {"aud": ["tsunagu-referral"]}),
    "for nobody": ("audience", {"aud": ...}),
    "of another realm": ("issuer", {"iss": ISSUER + "/realms/other"}),
    "expired": ("expired", {"exp": NOW - 10}),
    "without an end": ("exp", {"exp": ...}),
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_type_that_says_little_is_made_up_for(name: str) -> None:
    reason, changes = FORGED[name]
    assert await judged(changed(KEYCLOAK, **changes), example("Keycloak の例")) == reason


async def test_allowing_one_type_allows_no_other() -> None:
    keycloak = example("Keycloak の例")
    for typ in ("at+jwt", "logout+jwt", "", ..., None, ["JWT"], "JWT "):
        assert await judged(KEYCLOAK, keycloak, typ=typ) == "not_an_access_token"
    assert isinstance(await judged(KEYCLOAK, keycloak, typ="application/jwt"), Actor)
    both = keycloak.model_copy(update={"types": ("at+jwt", "JWT")})
    assert isinstance(await judged(KEYCLOAK, both, typ="at+jwt"), Actor)
    assert await judged(changed(KEYCLOAK, jti=...), both, typ="at+jwt") == "jti", "RFC 9068 has it"


# ------------------------------------------------------------------------------------------------- algorithms


@pytest.mark.parametrize("allowed", ALGORITHMS)
@pytest.mark.parametrize("used", ALGORITHMS)
async def test_an_algorithm_is_allowed_by_name_and_no_other_with_it(allowed: Algorithm, used: Algorithm) -> None:
    profile, key = Profile(algorithms=(allowed,)), KEY_FOR[used]
    outcome = await judged(CLAIMS, profile, key, alg=used, typ="at+jwt")
    assert isinstance(outcome, Actor) if allowed == used else outcome == "algorithm"


@pytest.mark.parametrize(("named", "used"), list(itertools.permutations(ALGORITHMS, 2)))
async def test_a_key_is_used_with_its_own_algorithm_alone(named: Algorithm, used: Algorithm) -> None:
    """The header's word is the sender's; the key's is the issuer's."""
    issuer = Issuer()
    issuer.answer = {"keys": [public(KEY_FOR[named], alg=named)]}
    token = signed(CLAIMS, KEY_FOR[used], alg=used, kid=KEY_FOR[named].kid)
    with pytest.raises(Refused) as caught:
        await verifier(issuer, profile=Profile(algorithms=ALGORITHMS)).actor(token)
    assert caught.value.reason == "algorithm"


async def test_an_rsa_key_that_says_nothing_has_the_first_algorithm_allowed_and_only_that() -> None:
    for first, second in (("RS256", "PS256"), ("PS256", "RS256")):
        profile = Profile.model_validate({"algorithms": [first, second]})
        assert isinstance(await judged(CLAIMS, profile, alg=first, typ="at+jwt"), Actor)
        assert await judged(CLAIMS, profile, alg=second, typ="at+jwt") == "algorithm"


async def test_a_public_key_is_never_a_secret() -> None:
    everything = Profile(algorithms=ALGORITHMS)
    issuer = Issuer(RSA, EC, OKP)
    issuer.answer["keys"].append({"kty": "oct", "k": b64(b"0" * 32), "kid": "secret"})
    one = verifier(issuer, profile=everything)
    secrets = [key.as_pem(private=False) for key in (RSA, EC, OKP)]
    secrets += [json.dumps(public(key)).encode() for key in (RSA, EC, OKP)] + [b"0" * 32]
    for secret, kid, alg in itertools.product(secrets, ("rsa", "ec", "okp", "secret"), ("HS256", "RS256", "ES256")):
        start = f"{b64({'alg': alg, 'typ': 'at+jwt', 'kid': kid})}.{b64(CLAIMS)}"
        mac = hmac.HMAC(secret, hashes.SHA256())
        mac.update(start.encode())
        with pytest.raises(Refused) as caught:
            await one.actor(f"{start}.{b64(mac.finalize())}")
        assert caught.value.reason in {"algorithm", "signature", "unknown_key"}
        assert alg != "HS256" or caught.value.reason == "algorithm"
    for alg in ("none", "None", "NONE", ""):
        with pytest.raises(Refused, match="algorithm"):
            await one.actor(f"{b64({'alg': alg, 'typ': 'at+jwt', 'kid': 'rsa'})}.{b64(CLAIMS)}.")


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_a_short_rsa_key_is_no_key() -> None:
    short = RSAKey.generate_key(1024, parameters={"kid": "rsa"}, auto_kid=False)
    assert await judged(CLAIMS, Profile(algorithms=("RS256",)), short, typ="at+jwt") == "unknown_key"
    token = signed(CLAIMS, RSA_TWO, alg="RS256", kid="rsa")
    with pytest.raises(Refused, match="signature"):
        await verifier(Issuer(RSA), profile=Profile(algorithms=("RS256",))).actor(token)


# ------------------------------------------------------------------------------------------------- who is calling


CODES: dict[str, tuple[str, dict[str, Any]]] = {
    "no agency": ("agency", {"tsunagu": {}}),
    "the agency is no object": ("agency", {"tsunagu": "kagoshima-desk"}),
    "two agencies": ("agency", {"tsunagu": {"agency": ["kagoshima-desk", "zama-desk"]}}),
    "no kind": ("agency_kind", {"tsunagu": KEYCLOAK["tsunagu"] | {"agency_kind": None}}),
    "a wrong check digit": ("municipalities", {"tsunagu": KEYCLOAK["tsunagu"] | {"municipalities": ["462013"]}}),
    "one municipality alone": ("municipalities", {"tsunagu": KEYCLOAK["tsunagu"] | {"municipalities": "462012"}}),
    "the roles are a text": ("roles", {"resource_access": {"tsunagu": {"roles": "soudan"}}}),
}


@pytest.mark.parametrize("name", CODES)
async def test_what_is_not_in_its_form_refuses_the_token(name: str) -> None:
    reason, changes = CODES[name]
    assert await judged(changed(KEYCLOAK, **changes), example("Keycloak の例")) == reason


@pytest.mark.parametrize("roles", [["counsellor"], ["Soudan"], ["soudan "], [""], [], ["operator", "hello_work"]])
async def test_a_role_that_the_mapping_does_not_name_gives_nothing_not_even_ours(roles: list[str]) -> None:
    token = changed(KEYCLOAK, resource_access={"tsunagu": {"roles": roles}})
    actor = await judged(token, example("Keycloak の例"))
    assert isinstance(actor, Actor)
    assert actor.roles == frozenset()
    assert actor.authority == ("462012", "agency:kagoshima-desk")


async def test_an_absent_list_stands_for_nothing() -> None:
    actor = await judged(changed(KEYCLOAK, resource_access=...), example("Keycloak の例"))
    assert isinstance(actor, Actor)
    assert actor.roles == frozenset()


async def test_a_prefix_picks_one_agency_or_none() -> None:
    entra = example("Microsoft Entra ID の例")
    for roles in (["role:counsellor", "kind:x"], ["agency:a-desk", "agency:b-desk", "kind:x"], ["agency:", "kind:x"]):
        assert await judged(changed(ENTRA, roles=roles), entra) == "agency"


def test_a_text_of_several_is_divided_where_the_profile_says_so() -> None:
    scope = Source.model_validate({"claim": "scope", "split": " ", "prefix": "tsunagu:"})
    assert scope.several({"scope": "openid  tsunagu:counsellor tsunagu:directory"}) == ("counsellor", "directory")
    assert scope.one({"scope": "openid tsunagu:counsellor"}) == "counsellor"
    assert scope.one({"scope": "openid"}) is None
    assert scope.several({"scope": 5}) is None


NAMES = st.text(min_size=1, max_size=12).filter(lambda name: "." not in name and "://" not in name)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(path=st.lists(NAMES, min_size=1, max_size=5), value=VALUES, beside=st.dictionaries(NAMES, VALUES, max_size=3))
def test_a_path_finds_what_stands_there_and_nothing_else(path: list[str], value: Any, beside: dict[str, Any]) -> None:
    claims = value
    for name in reversed(path):
        claims = {**beside, name: claims}
    for written in (path, ".".join(path)):
        source = Source.model_validate({"claim": written})
        assert source.one(claims) == (value if isinstance(value, str) else None)
        texts = isinstance(value, list) and all(isinstance(text, str) for text in value)
        assert source.several(claims) == (tuple(value) if texts else None)
        assert source.several({}) == ()
        assert source.one({}) is None


@given(claims=VALUES, path=st.lists(NAMES, min_size=1, max_size=4))
def test_no_content_of_a_token_is_an_accident(claims: Any, path: list[str]) -> None:
    token = {**CLAIMS, **claims} if isinstance(claims, dict) else {**CLAIMS, path[0]: claims}
    profile = Profile.model_validate({"claims": dict.fromkeys(["agency", "roles", "municipalities"], path)})
    with contextlib.suppress(Refused):
        assert profile.actor_of(token).roles <= set(Role)


@given(st.from_regex(r"https?://[a-z.]{1,12}/[a-z./]{0,12}", fullmatch=True))
def test_an_address_is_one_name_with_its_dots(name: str) -> None:
    assert Source.model_validate({"claim": name}).one({name: "found"}) == "found"


@given(st.lists(st.text(max_size=10) | st.sampled_from([role.value for role in Role]), max_size=6))
def test_only_our_roles_ever_come_out(names: list[str]) -> None:
    assert Profile().actor_of(CLAIMS | {"roles": names}).roles == {name for name in names if name in set(Role)}


@given(st.text(alphabet="0123456789prefectu:", max_size=14))
def test_a_municipality_is_real_or_the_token_is_refused(code: str) -> None:
    try:
        actor = Profile().actor_of(CLAIMS | {"municipalities": [code]})
    except Refused as refused:
        assert refused.reason == "municipalities"  # noqa: PT017 - either outcome is right, each in its way
    else:
        assert actor.municipalities == {code}
        digits = code.removeprefix("prefecture:")
        assert 1 <= int(digits[:2]) <= 47
        assert len(digits) == (6 if digits == code else 2)


# --------------------------------------------------------------------------------------------------- the setting


BAD = {
    "not JSON": ("{", "JSON", "JSONではありません", "Not JSON"),
    "a list": ("[]", "JSON", "項目の組({ … })が必要です", "An object"),
    "HS256": ('{"algorithms": ["HS256"]}', "algorithms.0", "ES256、RS256、PS256、EdDSA", "Not one of"),
    "none": ('{"algorithms": ["RS256", "none"]}', "algorithms.1", "使えるもの", "allowed: 'ES256'"),
    "no algorithm": ('{"algorithms": []}', "algorithms", "空にはできません", "must not be empty"),
    "a type of ID tokens": ('{"types": ["id+jwt"]}', "types.0", "at+jwt、JWT", "Not one of the codes"),
    "no type": ('{"types": []}', "types", "空にはできません", "must not be empty"),
    "a word that is not known": ('{"clams": {}}', "clams", "この項目はありません", "no such field"),
    "a claim that is not known": ('{"claims": {"role": "x"}}', "claims.role", "この項目はありません", "no such field"),
    "a path with a hole": ('{"claims": {"roles": "a..b"}}', "claims.roles.claim", "クレームの場所", "Not a path"),
    "an empty path": ('{"claims": {"roles": []}}', "claims.roles.claim", "クレームの場所", "Not a path"),
    "a role of ours that is none": ('{"role_names": {"x": "boss"}}', "role_names.x", "counsellor、", "Not one of"),
    "an empty audience": ('{"audiences": {"intake": ""}}', "audiences.intake", "短すぎます", "Too short"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_profile_stops_the_start_and_says_where_and_why_in_both_languages(name: str) -> None:
    written, place, words_ja, words = BAD[name]
    with pytest.raises(SettingRefused) as caught:
        read_profile(Settings(issuer_profile=written))
    japanese, english, *_ = str(caught.value).splitlines()
    assert japanese.startswith(f"TSUNAGU_ISSUER_PROFILE の {place}: ")
    assert english.startswith(f"TSUNAGU_ISSUER_PROFILE, {place}: ")
    assert words_ja in japanese
    assert words in english


def test_the_command_says_it_in_plain_words_and_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSUNAGU_SERVICE", "intake")
    monkeypatch.setenv("TSUNAGU_ISSUER_PROFILE", '{"algorithms": ["HS256"]}')
    done = CliRunner().invoke(cli, ["run"])
    assert done.exit_code == 2
    japanese, english = done.stderr.splitlines()
    allowed = "'ES256', 'RS256', 'PS256' or 'EdDSA'"
    there = "ES256、RS256、PS256、EdDSA"
    assert japanese == f"TSUNAGU_ISSUER_PROFILE の algorithms.0: 決められたコードではありません(使えるもの: {there})"
    assert english == f"TSUNAGU_ISSUER_PROFILE, algorithms.0: Not one of the codes (allowed: {allowed})"


def test_the_default_is_as_strict_as_it_was() -> None:
    default = read_profile(Settings())
    assert default == Profile()
    assert (default.algorithms, default.types, default.role_names) == (("ES256",), ("at+jwt",), None)
    assert default.audience_of("training") == "tsunagu-training"
    with pytest.raises(ValidationError):
        default.algorithms = ("RS256",)  # type: ignore[misc]
