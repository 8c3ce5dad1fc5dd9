"""The issuer's keys come and go: an issuer that is away locks nobody out, and a withdrawn key lets nobody in."""

from typing import Any

import pytest
from joserfc.jwk import ECKey

from shared.auth.keys import READ_EVERY, TRUSTED_FOR
from shared.auth.refusals import Refused
from shared.auth.tokens import Verifier
from tests.issuers import CLAIMS, HEADER, KEY, OTHER, Issuer, b64, public, signed, verifier

TOKEN = signed(CLAIMS)
NEWER = signed(CLAIMS, OTHER, kid="two")


async def refused(token: str, by: Verifier) -> str:
    """The reason for which a token is refused."""
    with pytest.raises(Refused) as caught:
        await by.actor(token)
    return caught.value.reason


async def test_a_flood_of_unknown_keys_leads_to_one_reading_in_thirty_seconds() -> None:
    issuer = Issuer(KEY)
    one = verifier(issuer)
    await one.actor(TOKEN)
    assert issuer.asked == 1
    for second in range(0, 120, 10):
        issuer.now = 100.0 + second
        for n in range(100):
            assert await refused(f"{b64(HEADER | {'kid': f'{second}-{n}'})}.{b64(CLAIMS)}.AAAA", one) == "unknown_key"
    assert issuer.asked == 1 + 4
    assert (await one.actor(signed(CLAIMS | {"jti": "after the flood"}))).subject


async def test_a_new_key_is_found_at_once_and_the_old_one_holds_while_it_is_published() -> None:
    issuer = Issuer(KEY)
    one = verifier(issuer)
    await one.actor(TOKEN)
    issuer.publish(KEY, OTHER)
    issuer.now = 31.0
    assert (await one.actor(NEWER)).subject
    assert (await one.actor(TOKEN)).subject
    assert (await one.actor(signed(CLAIMS | {"jti": "still on its way"}))).subject


async def test_a_withdrawn_key_is_refused_from_the_next_reading_on_remembered_tokens_too() -> None:
    issuer = Issuer(KEY, OTHER)
    ring = issuer.ring()
    one = verifier(ring=ring)
    assert await one.actor(TOKEN) is await one.actor(TOKEN)
    assert (await one.actor(NEWER)).subject
    issuer.publish(OTHER)
    issuer.now = READ_EVERY
    assert await ring.renew()
    assert await refused(TOKEN, one) == "unknown_key"
    assert (await one.actor(NEWER)).subject


async def test_a_key_that_was_changed_under_its_old_name_is_a_withdrawn_key() -> None:
    issuer = Issuer(KEY)
    ring = issuer.ring()
    one = verifier(ring=ring)
    await one.actor(TOKEN)
    issuer.answer = {"keys": [public(OTHER, kid="one")]}
    await ring.renew()
    assert await refused(TOKEN, one) == "signature"
    assert (await one.actor(signed(CLAIMS, OTHER, kid="one"))).subject


async def test_an_unknown_key_shows_a_withdrawal_too() -> None:
    issuer = Issuer(KEY)
    one = verifier(issuer)
    await one.actor(TOKEN)
    issuer.publish(OTHER)
    issuer.now = 31.0
    await one.actor(NEWER)
    assert await refused(TOKEN, one) == "unknown_key"


async def test_a_reading_without_news_forgets_no_token() -> None:
    issuer = Issuer(KEY)
    ring = issuer.ring()
    one = verifier(ring=ring)
    before = await one.actor(TOKEN)
    for answer in ([public(KEY)], [public(OTHER), public(KEY)]):
        issuer.answer = {"keys": answer}
        await ring.renew()
        assert await one.actor(TOKEN) is before


async def test_an_issuer_that_withdraws_every_key_is_believed() -> None:
    issuer = Issuer(KEY)
    ring = issuer.ring()
    one = verifier(ring=ring)
    await one.actor(TOKEN)
    issuer.publish()
    await ring.renew()
    assert await refused(TOKEN, one) == "unknown_key"


async def test_an_issuer_that_is_away_locks_nobody_out_for_a_day_and_then_everybody() -> None:
    issuer = Issuer(KEY)
    ring = issuer.ring()
    one = verifier(ring=ring)
    await one.actor(TOKEN)
    issuer.away = True
    issuer.now = TRUSTED_FOR
    assert not await ring.renew()
    assert (await one.actor(TOKEN)).subject
    assert (await one.actor(signed(CLAIMS | {"jti": "of today"}))).subject
    issuer.now = TRUSTED_FOR + 1
    assert not await ring.renew()
    assert await refused(TOKEN, one) == "keys_unreachable"
    issuer.away = False
    await ring.renew()
    assert (await one.actor(TOKEN)).subject


async def test_known_keys_work_while_the_issuer_is_away_and_new_ones_once_it_is_back() -> None:
    issuer = Issuer(KEY)
    one = verifier(issuer)
    await one.actor(TOKEN)
    issuer.away = True
    for minute in range(60):
        issuer.now = minute * 60.0
        assert await refused(NEWER, one) == "unknown_key"
        assert (await one.actor(signed(CLAIMS | {"jti": f"{minute}"}))).subject
    issuer.away = False
    issuer.publish(OTHER)
    issuer.now += 2
    assert (await one.actor(NEWER)).subject


async def test_without_any_word_of_the_issuer_nothing_can_be_judged() -> None:
    issuer = Issuer(KEY)
    issuer.away = True
    one = verifier(issuer)
    assert await refused(TOKEN, one) == "keys_unreachable"
    issuer.away = False
    assert await refused(TOKEN, one) == "keys_unreachable", "it was asked a moment ago"
    assert issuer.asked == 1
    issuer.now = 1.0
    assert (await one.actor(TOKEN)).subject


async def test_the_loop_reads_every_five_minutes_and_sooner_after_a_failure() -> None:
    class Enough(Exception):
        """Ends the loop."""

    issuer = Issuer(KEY)
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        issuer.away = len(waited) in {1, 2}
        if len(waited) == 4:
            raise Enough

    with pytest.raises(Enough):
        await issuer.ring().keep_fresh(wait)
    assert waited == [300.0, 30.0, 30.0, 300.0]
    assert issuer.asked == 4


# ------------------------------------------------------------------------------------------------- broken key sets


@pytest.mark.parametrize("answer", [{}, {"keys": None}, {"keys": "abc"}, {"keys": 5}, {"keys": {"a": 1}}])
async def test_a_broken_answer_is_an_accident_and_withdraws_no_key(answer: Any) -> None:
    issuer = Issuer()
    issuer.answer = answer
    assert await refused(TOKEN, verifier(issuer)) == "keys_unreachable"
    issuer.publish(KEY)
    ring = issuer.ring()
    one = verifier(ring=ring)
    await one.actor(TOKEN)
    issuer.answer = answer
    assert not await ring.renew()
    assert (await one.actor(TOKEN)).subject


FOREIGN: dict[str, Any] = {
    "nothing": None,
    "a number": 1,
    "a text": "x",
    "empty": {},
    "a kind alone": {"kty": "EC"},
    "a point that is not on the curve": public(OTHER, kid="one", x=public(KEY)["x"]),
    "a symmetric key": {"kty": "oct", "k": "AAAA", "kid": "one"},
    "a half RSA key": {"kty": "RSA", "kid": "one"},
    "a wider curve": public(ECKey.generate_key("P-384", parameters={"kid": "one"}, auto_kid=False)),
    "for encryption": public(OTHER, kid="one", use="enc"),
    "for another algorithm": public(OTHER, kid="one", alg="ES384"),
    "to sign with": public(OTHER, kid="one", key_ops=["sign"]),
    "without a name": public(OTHER, kid=...),
    "its name is a number": public(OTHER, kid=1),
}


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_key_that_is_not_for_us_is_not_used_and_spoils_no_good_one(name: str) -> None:
    issuer = Issuer()
    issuer.answer = {"keys": [FOREIGN[name]]}
    assert await refused(signed(CLAIMS, OTHER), verifier(issuer)) == "unknown_key"
    issuer.answer = {"keys": [public(KEY), FOREIGN[name]]}
    assert (await verifier(issuer).actor(TOKEN)).subject
