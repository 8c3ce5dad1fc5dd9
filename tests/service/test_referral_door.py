"""The door of an agency without an account: what it sees, what it answers, and what opens nothing."""

import asyncio
import secrets
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.referral.domain.codes import BITS, read_code, write_code
from services.referral.domain.links import FOR_CODES, PER_ADDRESS
from services.referral.handlers.door import Seen, Throttled, Unknown, look
from services.referral.tables import referrals
from services.referral.tables.links import digest_of
from shared.bus.envelope import open_envelope
from shared.events import (
    ConsentWithdrawn,
    ReferralAccepted,
    ReferralDeclineProposed,
    ReferralProgressed,
    ReferralReceived,
    ReferralReturned,
)
from shared.service import day_in_japan
from shared.service.clock import wall_time
from tests.service.answering import CODE, answer_by, letter_for, links_of, open_by, state_of, without_account
from tests.service.referral_region import Region, consented, opened
from tests.world import Running, World


@pytest.fixture
async def region(world: World) -> Region:
    made = await Region(world.service("referral")).ready()
    await without_account(made)
    return made


async def sent(region: Region) -> tuple[str, str]:
    """A referral, and the code of its letter."""
    referral_id = await region.to_programme()
    return referral_id, await letter_for(region, referral_id)


# --- What is seen --------------------------------------------------------------------------------------------------


async def test_the_page_shows_who_asks_for_what_and_nothing_of_the_person(region: Region) -> None:
    await region.running.rows("UPDATE agency SET name = '見本の相談窓口' WHERE agency_id = 'zama-npo'")
    referral_id, code = await sent(region)
    page = await open_by(region, code)
    assert page.status_code == 200
    for words in ("kagoshima-desk", "桜の居場所", "462012", "人との習慣と力", "お返事の期限", referral_id[-4:].upper()):
        assert words in page.text, words
    for hidden in (str(region.case_id), str(region.case_id)[:13], referral_id, "事業コード", "zama"):
        assert hidden not in page.text
    headers = page.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in headers["X-Robots-Tag"]
    assert "script" not in page.text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "form-action 'self'" in headers["Content-Security-Policy"]
    assert "set-cookie" not in headers


async def test_a_page_that_is_opened_changes_nothing(region: Region) -> None:
    referral_id, code = await sent(region)
    before = await region.look(referral_id)
    for _ in range(3):
        assert (await open_by(region, code)).status_code == 200
    assert await region.look(referral_id) == before
    assert await region.running.rows("SELECT 1 FROM link_step") == []


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({}, {"住まい"}),
        ({"categories": ["story", "health"]}, {"住まい", "健康"}),
        ({"categories": ["identity"]}, set()),
        ({"recipients": ["sakura-npo"]}, {"住まい"}),
    ],
)
async def test_needs_are_shown_as_far_as_the_consent_reaches(
    region: Region, changes: dict[str, Any], seen: set[str]
) -> None:
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id, needs=("health", "housing")), consented(region.case_id, **changes))
    _, code = await sent(region)
    page = await open_by(region, code)
    assert {words for words in ("住まい", "健康") if words in page.text} == seen


async def test_when_the_consent_has_run_out_the_request_is_seen_and_the_needs_are_not(region: Region) -> None:
    region.case_id = uuid4()
    until = day_in_japan(wall_time())
    await region.running.hear(opened(region.case_id, needs=("housing",)), consented(region.case_id, valid_until=until))
    _, code = await sent(region)
    assert "住まい" in (await open_by(region, code)).text
    region.running.pass_time(timedelta(days=1))
    page = await open_by(region, code)
    assert page.status_code == 200
    assert "住まい" not in page.text


# --- Answers -------------------------------------------------------------------------------------------------------

TOMORROW = (day_in_japan(wall_time()) + timedelta(days=2)).isoformat()
ANSWERS: list[tuple[str, dict[str, Any], str, type[Any]]] = [
    ("accept", {}, "accepted", ReferralAccepted),
    ("decline", {"reason": "no_capacity"}, "decline_pending", ReferralDeclineProposed),
    ("return", {"missing": ["wishes", "assessment"]}, "returned", ReferralReturned),
    ("wait", {"review_on": TOMORROW}, "waiting", ReferralProgressed),
]


@pytest.mark.parametrize(("move", "chosen", "state", "event"), ANSWERS)
async def test_an_answer_moves_the_referral_as_if_the_agency_had_an_account(
    region: Region, move: str, chosen: dict[str, Any], state: str, event: type[Any]
) -> None:
    referral_id, code = await sent(region)
    page = await answer_by(region, code, move, **chosen)
    assert page.status_code == 200, page.text
    assert "お返事を受け取りました" in page.text
    seen = await region.look(referral_id)
    assert seen["state"] == state
    step = seen["steps"][-1]
    assert (step["step"], step["by"], step["by_link"]) == (move, "sakura-npo", True)
    assert seen["steps"][0]["by_link"] is False
    told = [each for each in await region.running.told() if isinstance(each, event)]
    assert len(told) == 1
    raw = await region.running.rows("SELECT value FROM outbox ORDER BY seq DESC LIMIT 1")
    assert open_envelope(raw[0]["value"], {}).by == "sakura-npo"
    if move == "decline":
        assert seen["reason"] == "no_capacity"
    if move == "return":
        assert seen["missing"] == ["wishes", "assessment"]


async def test_to_have_read_it_is_told_and_leaves_the_link_to_answer_by(region: Region) -> None:
    referral_id, code = await sent(region)
    (before,) = await links_of(region, referral_id)
    page = await answer_by(region, code, "receive")
    assert "依頼元に知らせました" in page.text
    assert [type(each) for each in await region.running.told()][-1] is ReferralReceived
    (after,) = await links_of(region, referral_id)
    assert after["state"] == "printed"
    assert after["expires_at"] > before["expires_at"], "the clock of first contact is longer"
    assert "お返事を受け取りました" in (await answer_by(region, code, "accept")).text
    assert await state_of(region, referral_id) == "accepted"


async def test_a_link_answers_once_and_then_shows_what_was_answered(region: Region) -> None:
    referral_id, code = await sent(region)
    await answer_by(region, code, "decline", reason="not_eligible")
    for again in (await answer_by(region, code, "accept"), await open_by(region, code), await answer_by(region, code)):
        assert again.status_code == 200
        assert "お返事は済んでいます" in again.text
        assert "対象の条件に合わない" in again.text
    assert await state_of(region, referral_id) == "decline_pending"
    assert [link["state"] for link in await links_of(region, referral_id)] == ["answered"]


@pytest.mark.parametrize("pair", [("accept", "accept"), ("accept", "decline"), ("wait", "accept")])
async def test_two_clicks_at_once_have_one_effect(region: Region, pair: tuple[str, str]) -> None:
    referral_id, code = await sent(region)
    chosen: dict[str, Any] = {"reason": "other", "review_on": TOMORROW}
    pages = await asyncio.gather(*(answer_by(region, code, move, **chosen) for move in pair * 4))
    assert {page.status_code for page in pages} == {200}
    assert sum("お返事を受け取りました" in page.text for page in pages) == 1
    assert sum("お返事は済んでいます" in page.text for page in pages) == 7
    steps = (await region.look(referral_id))["steps"]
    assert [step["by_link"] for step in steps] == [False, True]


@pytest.mark.parametrize(
    ("move", "chosen"),
    [
        ("decline", {}),
        ("decline", {"reason": "because"}),
        ("return", {}),
        ("return", {"missing": ["name"]}),
        ("wait", {}),
        ("wait", {"review_on": "soon"}),
        ("wait", {"review_on": "2020-01-01"}),
        ("wait", {"review_on": day_in_japan(wall_time()).isoformat()}),
        ("wait", {"review_on": (day_in_japan(wall_time()) + timedelta(days=400)).isoformat()}),
    ],
)
async def test_an_answer_without_its_choice_is_asked_again_and_nothing_happens(
    region: Region, move: str, chosen: dict[str, Any]
) -> None:
    referral_id, code = await sent(region)
    page = await answer_by(region, code, move, **chosen)
    assert page.status_code == 422
    assert "選ぶところが残っています" in page.text
    assert await state_of(region, referral_id) == "sent"
    assert [link["state"] for link in await links_of(region, referral_id)] == ["printed"]


@pytest.mark.parametrize("move", ["reroute", "withdraw", "confirm_decline", "expire", "hold", "close", "contact", "x"])
async def test_a_move_that_is_not_on_the_page_does_nothing(region: Region, move: str) -> None:
    referral_id, code = await sent(region)
    page = await answer_by(region, code, move, reason="other", review_on=TOMORROW)
    assert page.status_code == 200
    assert "お答えください" in page.text
    assert await state_of(region, referral_id) == "sent"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.dictionaries(
        st.sampled_from(["secret", "move", "reason", "missing", "review_on", "outcome", "more"]),
        st.text(max_size=30) | st.sampled_from(["accept", "wait", "decline", "123456789018", "<b>"]),
    )
)
async def test_whatever_a_form_holds_it_is_answered_and_not_said_again(region: Region, form: dict[str, str]) -> None:
    page = await region.running.client.post("/a", data=form)
    assert page.status_code in {404, 422}, page.text
    assert "123456789018" not in page.text
    assert "<b>" not in page.text.replace("<b></b>", "")


# --- After the answer ----------------------------------------------------------------------------------------------


async def test_after_acceptance_the_next_letter_tells_how_it_went_on(region: Region) -> None:
    referral_id, code = await sent(region)
    await answer_by(region, code, "accept")
    way = [("contact", {}), ("miss", {}), ("start", {}), ("set_outcome", {"outcome": "employed"}), ("close", {})]
    for move, chosen in way:
        newest, *_ = await links_of(region, referral_id)
        assert newest["state"] == "to_print", "it is waited for, and can be asked"
        letter = await region.desk.put(f"/v1/referrals/{referral_id}/letter", None, etag=None)
        assert "その後の様子" in letter.text
        assert "支援をお願いしたい" not in letter.text
        code = CODE.findall(letter.text)[0]
        page = await answer_by(region, code, move, **chosen)
        assert "お返事を受け取りました" in page.text, (move, page.text)
    seen = await region.look(referral_id)
    assert (seen["state"], seen["outcome"]) == ("closed", "employed")
    assert all(step["by_link"] for step in seen["steps"][1:])
    assert len(await links_of(region, referral_id)) == 1 + len(way)


async def test_who_has_no_account_may_say_how_it_goes_on_after_the_coordinator_has_taken_over(region: Region) -> None:
    referral_id, code = await sent(region)
    await answer_by(region, code, "accept")
    await answer_by(region, await letter_for(region, referral_id), "start")
    for _ in range(6):
        region.running.pass_time(timedelta(days=region.running.desk.clock.offset.days + 40))
        await region.running.sweep()
    before = (await region.look(referral_id))["waits"]
    assert before["agency_id"] == "kagoshima-desk"
    code = await letter_for(region, referral_id)
    after = (await region.look(referral_id))["waits"]
    assert all(after[name] == before[name] for name in ("agency_id", "since", "due_on")), (
        "the coordinator is waited for"
    )
    page = await answer_by(region, code, "set_outcome", outcome="employed")
    assert "お返事を受け取りました" in page.text
    assert (await region.look(referral_id))["state"] == "outcome_set"


async def test_a_returned_referral_that_is_answered_asks_again_with_a_new_link(region: Region) -> None:
    referral_id, first = await sent(region)
    await answer_by(region, first, "return", missing=["wishes"])
    assert [link["state"] for link in await links_of(region, referral_id)] == ["answered"], "it is the sender's turn"
    await region.desk.post(f"/v1/referrals/{referral_id}/answer")
    assert [link["state"] for link in await links_of(region, referral_id)] == ["to_print", "answered"]
    second = await letter_for(region, referral_id)
    assert "お返事は済んでいます" in (await open_by(region, first)).text
    assert "お返事を受け取りました" in (await answer_by(region, second, "accept")).text


async def test_of_several_receivers_the_first_link_has_it_and_the_others_are_over(region: Region) -> None:
    await without_account(region, agency="zama-npo")
    parts = [{"programme_id": region.programmes[name]} for name in ("sakura-npo/ibasho", "zama-npo/ibasho")]
    body = {"case_id": str(region.case_id), "mode": "first", "parts": parts, "knowingly": True}
    answer = await region.desk.post("/v1/referral-groups", body)
    ids = [each["referral_id"] for each in answer.json()["referrals"]]
    codes = [await letter_for(region, each) for each in ids]
    pages = await asyncio.gather(*(answer_by(region, code, "accept") for code in codes * 3))
    assert {page.status_code for page in pages} == {200}
    assert sum("お返事を受け取りました" in page.text for page in pages) == 1
    assert sorted([await state_of(region, each) for each in ids]) == ["accepted", "withdrawn"]
    shown = [(await open_by(region, code)).text for code in codes]
    assert sum("取り下げられました" in page for page in shown) == 1


async def test_a_draft_has_no_link_before_it_is_sent(region: Region) -> None:
    referral_id = (await region.send(programme_id=region.programmes["sakura-npo/ibasho"], draft=True))["referral_id"]
    assert await links_of(region, referral_id) == []
    assert (await region.desk.put(f"/v1/referrals/{referral_id}/letter", None, etag=None)).status_code == 409
    await region.desk.post(f"/v1/referrals/{referral_id}/send")
    assert [link["state"] for link in await links_of(region, referral_id)] == ["to_print"]


async def test_a_decline_that_is_overruled_back_is_asked_again(region: Region) -> None:
    referral_id, code = await sent(region)
    await answer_by(region, code, "decline", reason="other")
    await region.desk.post(f"/v1/referrals/{referral_id}/overrule-back")
    assert [link["state"] for link in await links_of(region, referral_id)] == ["to_print", "answered"]


async def test_an_agency_with_an_account_gets_no_link(region: Region) -> None:
    for channel in ("account", None):
        await region.running.rows("UPDATE agency SET contact_channel = $1", channel)
        sent_ = await region.send(programme_id=region.programmes["sakura-npo/ibasho"], knowingly=True)
        assert await links_of(region, sent_["referral_id"]) == []


# --- What opens nothing --------------------------------------------------------------------------------------------


async def pages_that_open_nothing(region: Region) -> dict[str, tuple[str, str]]:
    """Secrets that were good once, or never, each with its referral."""
    made: dict[str, tuple[str, str]] = {}
    referral_id, revoked = await sent(region)
    await letter_for(region, referral_id)
    made["revoked"] = referral_id, revoked
    made["never"] = referral_id, write_code(secrets.randbits(BITS))
    made["long"] = referral_id, secrets.token_urlsafe(32)
    made["mistyped"] = referral_id, "AAAA-BBBB-CCCC-DDDE"
    made["nothing"] = referral_id, "x"
    return made


async def test_whatever_opens_nothing_looks_the_same(region: Region) -> None:
    pages = set()
    for referral_id, secret in (await pages_that_open_nothing(region)).values():
        for page in (await open_by(region, secret), await answer_by(region, secret, "accept")):
            assert page.status_code == 404
            pages.add(page.text.replace("../a", "a"))
        assert await state_of(region, referral_id) == "sent"
    referral_id, expired = await sent_again(region)
    region.running.pass_time(timedelta(days=30))
    page = await answer_by(region, expired, "accept")
    assert page.status_code == 404
    assert await state_of(region, referral_id) == "sent"
    assert {*pages, page.text} == pages
    assert len(pages) == 1


async def sent_again(region: Region) -> tuple[str, str]:
    referral_id = (await region.send(programme_id=region.programmes["sakura-npo/junbi"]))["referral_id"]
    return referral_id, await letter_for(region, referral_id)


async def test_a_link_ends_on_the_morning_on_which_the_coordinator_takes_over(region: Region) -> None:
    referral_id, code = await sent(region)
    (link,) = await links_of(region, referral_id)
    (row,) = await region.running.rows(
        "SELECT $1::timestamptz - clock_timestamp() AS left", _moment(link["expires_at"])
    )
    region.running.pass_time(row["left"] - timedelta(minutes=1))
    assert (await open_by(region, code)).status_code == 200
    region.running.pass_time(timedelta(minutes=2))
    assert (await open_by(region, code)).status_code == 404
    await region.running.sweep()
    assert await state_of(region, referral_id) == "expired"


def _moment(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)


async def test_a_link_says_nothing_of_another_agencys_referral(region: Region) -> None:
    await without_account(region, agency="zama-npo")
    _, code = await sent(region)
    other = await region.to_programme("zama-npo/ibasho")
    page = await open_by(region, code)
    assert "座間の居場所" not in page.text
    form = {"secret": code, "move": "accept", "referral_id": other, "agency_id": "zama-npo"}
    await region.running.client.post("/a", data=form)
    assert await state_of(region, other) == "sent"


@pytest.mark.parametrize("way", ["withdrawn", "recalled", "rerouted"])
async def test_what_was_taken_back_says_so_and_nothing_else(region: Region, way: str) -> None:
    referral_id, code = await sent(region)
    if way == "withdrawn":
        await region.desk.post(f"/v1/referrals/{referral_id}/withdraw")
    elif way == "recalled":
        await region.running.hear(ConsentWithdrawn(case_id=region.case_id, consent_version=2))
    else:
        target = {"programme_id": region.programmes["zama-npo/ibasho"], "knowingly": True}
        await region.npo.post(f"/v1/referrals/{referral_id}/reroute", target)
    for page in (await open_by(region, code), await answer_by(region, code, "accept")):
        assert page.status_code == 200
        assert "取り下げられました" in page.text
        assert "桜の居場所" not in page.text
        assert "人との習慣と力" not in page.text
    seen = await guess(region.running, code, "192.0.2.1")
    assert isinstance(seen, Seen)
    assert (seen.asking, seen.moves, seen.answered) == (None, (), None)
    assert await state_of(region, referral_id) in {"withdrawn", "rerouted"}


async def test_a_link_that_is_replaced_while_it_is_used_does_nothing(region: Region) -> None:
    """It was found, and waits for the referral, which whoever makes the new letter has locked."""
    referral_id, code = await sent(region)
    async with region.running.database.transaction() as session:
        await referrals.lock_referral(session, UUID(referral_id))
        answering = asyncio.create_task(answer_by(region, code, "accept"))
        # The database tells nobody that somebody waits.
        while not await region.running.rows("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await session.execute(text("UPDATE answer_link SET revoked_at = clock_timestamp()"))
    assert (await answering).status_code == 404
    assert await state_of(region, referral_id) == "sent"


# --- Who may ask for one -------------------------------------------------------------------------------------------


async def test_a_code_is_shown_once_and_a_new_letter_ends_the_one_before(region: Region) -> None:
    referral_id, first = await sent(region)
    second = await letter_for(region, referral_id)
    assert first != second
    assert (await open_by(region, first)).status_code == 404
    assert (await open_by(region, second)).status_code == 200
    plain = read_code(second)
    assert plain is not None
    tables = [
        row["name"]
        for row in await region.running.rows(
            "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
    ]
    for table in tables:
        kept = await region.running.rows(
            f"SELECT 1 FROM {table} AS t WHERE t::text LIKE ANY ($1)", [f"%{second}%", f"%{plain}%"]
        )
        assert kept == [], table


async def silent_in_spite_of(region: Region, referral_id: str, days: int = 20) -> str:
    """Every second day another letter, and no answer; where it stands then."""
    for _ in range(days // 2):
        region.running.pass_time(timedelta(days=2))
        await region.running.sweep()
        if await state_of(region, referral_id) == "expired":
            break
        await letter_for(region, referral_id)
    return await state_of(region, referral_id)


@pytest.mark.parametrize("account", [True, False])
async def test_another_letter_gives_nobody_more_time(region: Region, account: bool) -> None:
    if account:
        await region.running.rows("UPDATE agency SET contact_channel = NULL")
    referral_id = await region.to_programme()
    if not account:
        await letter_for(region, referral_id)
    assert await silent_in_spite_of(region, referral_id) == "expired"


async def test_only_the_sender_and_the_coordinator_make_links_and_see_them(region: Region) -> None:
    referral_id = await region.to_programme()
    neighbour = region.running.as_("kagoshima-shakyo")
    stranger = region.running.as_("zama-desk", municipalities=["142166"])
    for caller, status in ((region.npo, 403), (neighbour, 403), (stranger, 404)):
        assert (await caller.put(f"/v1/referrals/{referral_id}/letter", None, etag=None)).status_code == status
        assert (await caller.post(f"/v1/referrals/{referral_id}/links", {})).status_code == status
        assert (await caller.get(f"/v1/referrals/{referral_id}/links")).status_code == status
    assert [link["state"] for link in await links_of(region, referral_id)] == ["to_print"]


async def test_the_coordinator_invites_somebody_to_answer_too(region: Region) -> None:
    await region.running.rows("INSERT INTO coordinator VALUES ('462012', 'zama-npo', 'city', now(), 1)")
    referral_id = await region.to_programme()
    coordinator = region.running.as_("zama-npo", municipalities=["142166"])
    assert (await coordinator.put(f"/v1/referrals/{referral_id}/letter", None, etag=None)).status_code == 200
    assert (await coordinator.get(f"/v1/referrals/{referral_id}/links")).json()["items"][0]["state"] == "printed"


async def test_an_address_that_the_directory_does_not_have_is_named(region: Region) -> None:
    referral_id = await region.to_programme()
    await region.running.rows("UPDATE agency SET contact_email = NULL")
    answer = await region.desk.post(f"/v1/referrals/{referral_id}/links", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_address")


# --- Guessing ------------------------------------------------------------------------------------------------------


async def test_who_guesses_is_made_to_wait_and_comes_in_again_afterwards(region: Region) -> None:
    _, code = await sent(region)
    for _ in range(PER_ADDRESS):
        assert (await open_by(region, write_code(secrets.randbits(BITS)))).status_code == 404
    for page in (await open_by(region, code), await answer_by(region, code, "accept")):
        assert page.status_code == 429, "the right one waits, too"
        assert int(page.headers["Retry-After"]) == 900
    region.running.pass_time(timedelta(minutes=15, seconds=1))
    assert (await open_by(region, write_code(0))).status_code == 404, "and one more mistake is one, and not the 21st"
    assert (await open_by(region, code)).status_code == 200


async def test_a_mistyped_code_is_no_guess(region: Region) -> None:
    _, code = await sent(region)
    for _ in range(PER_ADDRESS + 5):
        assert (await open_by(region, code[:-1] + "?")).status_code == 404
    assert (await open_by(region, code)).status_code == 200


async def guess(running: Running, given: str, address: str) -> object:
    """One guess, at the level of the handler."""
    async with running.database.transaction() as session:
        return await look(session, given, address=address, now=await running.desk.clock.now(session))


async def test_a_siege_of_codes_from_everywhere_ends_and_links_by_mail_go_on(region: Region) -> None:
    """Nobody can be kept from answering by mail by somebody who tries codes."""
    _, code = await sent(region)
    token = secrets.token_urlsafe(32)
    await region.running.rows(
        "INSERT INTO answer_secret SELECT sha256($1::bytea), id, now() FROM answer_link", token.encode()
    )
    await region.running.rows("INSERT INTO wrong_link VALUES (-1, clock_timestamp(), $1)", FOR_CODES - 1)
    assert isinstance(await guess(region.running, write_code(1), "192.0.2.1"), Unknown)
    assert isinstance(await guess(region.running, code, "192.0.2.2"), Throttled)
    assert isinstance(await guess(region.running, token, "192.0.2.2"), Seen)


async def test_of_a_hundred_thousand_guesses_none_is_right(region: Region) -> None:
    """All of them asked of the table at once; and by the door as many as show what it lets through in a window."""
    _, code = await sent(region)
    running = region.running
    drawn = [write_code(secrets.randbits(BITS)) for _ in range(100_000)]
    digests = [digest_of(each.replace("-", "")) for each in (*drawn, code)]
    assert len(await running.rows("SELECT FROM answer_secret WHERE digest = ANY($1)", digests)) == 1, "the right one"

    for window in range(2):
        came = Counter[str]()
        for part in range(0, 3_000, 50):  # not in one transaction, whose own dead rows nobody clears away
            async with running.database.transaction() as session:
                now = await running.desk.clock.now(session)
                for number in range(part, part + 50):
                    address = f"2001:db8:{window}:{number:x}::1"
                    came[type(await look(session, drawn.pop(), address=address, now=now)).__name__] += 1
        assert came == {"Unknown": FOR_CODES, "Throttled": 3_000 - FOR_CODES}
        assert isinstance(await guess(running, code, "192.0.2.1"), Throttled)
        running.pass_time(timedelta(minutes=16))
    assert isinstance(await guess(running, code, "192.0.2.1"), Seen)
    assert await running.rows("SELECT 1 FROM link_step") == []


async def test_guesses_that_come_at_once_pass_the_limit_by_no_more_than_there_are_connections(region: Region) -> None:
    answers = await asyncio.gather(*(open_by(region, write_code(secrets.randbits(BITS))) for _ in range(100)))
    tried = [page.status_code for page in answers].count(404)
    assert PER_ADDRESS <= tried <= PER_ADDRESS + 10
    assert {page.status_code for page in answers} == {404, 429}


def test_ids_are_never_spoken_whole() -> None:
    from services.referral.handlers.links import reference_of

    assert reference_of(UUID("01920000-0000-7000-8000-0000a1b2c3d4")) == "A1B2-C3D4"
