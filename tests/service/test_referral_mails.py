"""Mail that carries a link: through a real mail server on the loopback, with its failures, and killed at every step."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.referral.app import service
from services.referral.domain.links import GIVES_UP
from services.referral.handlers.mails import Parcel
from services.referral.tables.links import queue_again
from shared.events import LinkUndelivered, ReferralOverdue
from shared.service.app import create_app
from shared.service.mail import MailServer, read_mail_server
from shared.settings import SettingRefused, Settings
from tests.post_office import PostOffice, make_certificate
from tests.service.answering import LINK, answer_by, links_of, open_by, state_of, without_account
from tests.service.doomed_postman import CUTS
from tests.service.referral_region import Region
from tests.world import Deaf, Running, World

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def post() -> AsyncIterator[PostOffice]:
    async with PostOffice().opened() as office:
        yield office


@pytest.fixture
async def region(world: World, post: PostOffice) -> Region:
    running = world.service("referral")
    through(running, post.url)
    made = await Region(running).ready()
    await without_account(made, "email")
    return made


def through(running: Running, smtp: str | None) -> None:
    """Which mail server the service has from now on."""
    given = {"smtp_url": None if smtp is None else SecretStr(smtp), "mail_from": "tsunagu@example.jp"}
    changed = running.desk.settings.model_copy(update=given | {"public_url": "http://tsunagu.test"})
    running.desk.settings = running.database.carries["settings"] = changed


def secrets_in(post: PostOffice) -> list[str]:
    """What stands in the mails, the oldest first."""
    found = [LINK.search(str(mail.get_content())) for mail in post.received]
    return [match[1].removeprefix("/a/") for match in found if match is not None]


async def test_a_referral_to_an_agency_without_an_account_is_mailed_and_answered(
    region: Region, post: PostOffice
) -> None:
    referral_id = await region.to_programme()
    assert [link["state"] for link in await links_of(region, referral_id)] == ["queued"]
    assert await region.running.run_errands() == 1
    (mail,) = post.received
    assert "sakura-npo@example.jp" in post.recipients[0]
    assert (mail["To"], mail["From"]) == ("sakura-npo@example.jp", "tsunagu@example.jp")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] is not None
    assert "支援の依頼" in mail["Subject"]
    text = str(mail.get_content())
    for hidden in (referral_id, str(region.case_id), "people", "462012"):
        assert hidden not in text
    (link,) = await links_of(region, referral_id)
    assert (link["state"], link["tries"], link["problem"]) == ("sent", 1, None)
    (secret,) = secrets_in(post)
    assert (await open_by(region, secret)).status_code == 200
    assert "お返事を受け取りました" in (await answer_by(region, secret, "accept")).text
    assert await state_of(region, referral_id) == "accepted"
    assert await region.running.run_errands() == 1, "and the next mail has the link for what comes then"
    assert "その後の様子" in post.received[1]["Subject"]
    assert "お返事を受け取りました" in (await answer_by(region, secrets_in(post)[1], "contact")).text
    assert await region.running.told() != []


async def test_a_service_that_runs_mails_by_itself(region: Region, post: PostOffice) -> None:
    await region.to_programme()
    async with region.running.app.router.lifespan_context(region.running.app), asyncio.timeout(30):
        await post.arrived.wait()
    assert len(post.received) == 1


async def test_nothing_is_locked_while_mail_goes_out(region: Region, post: PostOffice) -> None:
    """The referral is answered while its own mail is on the way."""
    referral_id = await region.to_programme()
    (errand,) = region.running.service.errands
    async with region.running.database.transaction() as session:
        session.info["origin"] = None
        taken = await errand.take(session, await region.running.desk.clock.now(session))
    assert (await region.npo.post(f"/v1/referrals/{referral_id}/accept")).status_code == 200
    assert await errand.carry(taken, region.running.desk.settings) is None
    async with region.running.database.transaction() as session:
        await errand.note(session, taken, None, await region.running.desk.clock.now(session))
    (secret,) = secrets_in(post)
    assert "連絡がつきました" in (await open_by(region, secret)).text, "the link is good for what is asked now"


async def test_mail_that_need_not_go_out_any_more_does_not(region: Region, post: PostOffice) -> None:
    referral_id = await region.to_programme()
    await region.desk.post(f"/v1/referrals/{referral_id}/withdraw")
    await region.running.run_errands()
    assert post.received == []
    assert [link["state"] for link in await links_of(region, referral_id)] == ["dropped"]


async def test_a_reminder_that_is_asked_for_while_a_mail_is_on_its_way_goes_out_too(
    region: Region, post: PostOffice
) -> None:
    await region.to_programme()
    (errand,) = region.running.service.errands
    async with region.running.database.transaction() as session:
        taken = await errand.take(session, await region.running.desk.clock.now(session))
        assert isinstance(taken, Parcel)
    async with region.running.database.transaction() as session:
        await queue_again(session, taken.link_id, await region.running.desk.clock.now(session))
    came_of_it = await errand.carry(taken, region.running.desk.settings)
    async with region.running.database.transaction() as session:
        await errand.note(session, taken, came_of_it, await region.running.desk.clock.now(session))
    assert await region.running.run_errands() == 1
    assert len(post.received) == 2


@pytest.mark.parametrize("because", ["replaced", "answered", "expired"])
async def test_a_link_that_opens_nothing_any_more_is_not_mailed(region: Region, post: PostOffice, because: str) -> None:
    referral_id = await region.to_programme()
    if because == "replaced":
        await region.desk.post(f"/v1/referrals/{referral_id}/links", {})
    elif because == "answered":
        await region.running.run_errands()
        await region.running.rows("UPDATE mail_out SET state = 'queued', try_at = queued_at")
        await answer_by(region, secrets_in(post)[0], "accept")
    else:
        await region.running.rows("UPDATE answer_link SET made_at = now() - interval '1 h', expires_at = now()")
    before = len(post.received)
    await region.running.run_errands()
    assert len(post.received) - before == (0 if because == "expired" else 1), "that of the link that lives"
    (first, *_) = await region.running.rows("SELECT state FROM mail_out ORDER BY link_id")
    assert first["state"] == "dropped"


async def test_a_new_link_by_hand_ends_the_one_before(region: Region, post: PostOffice) -> None:
    referral_id = await region.to_programme()
    await region.running.run_errands()
    answer = await region.desk.post(f"/v1/referrals/{referral_id}/links", {"channel": "email"})
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    await region.running.run_errands()
    first, second = secrets_in(post)
    assert (await open_by(region, first)).status_code == 404
    assert (await open_by(region, second)).status_code == 200
    assert [link["state"] for link in await links_of(region, referral_id)] == ["sent", "revoked"]


@pytest.mark.parametrize("account", [True, False])
async def test_a_new_link_on_a_later_day_gives_nobody_more_time(
    region: Region, post: PostOffice, account: bool
) -> None:
    if account:
        await region.running.rows("UPDATE agency SET contact_channel = NULL")
    referral_id = await region.to_programme()
    assert await region.running.run_errands() == (0 if account else 1)
    before = (await region.look(referral_id))["waits"]
    region.running.pass_time(timedelta(days=1))
    assert (await region.desk.post(f"/v1/referrals/{referral_id}/links", {"channel": "email"})).status_code == 201
    assert await region.running.run_errands() == 1
    after = (await region.look(referral_id))["waits"]
    assert (after["since"], after["due_on"]) == (before["since"], before["due_on"])


async def test_a_link_that_was_replaced_in_an_earlier_turn_has_not_asked_in_this_one(
    region: Region, post: PostOffice
) -> None:
    referral_id = await region.to_programme()
    await region.running.run_errands()
    await region.desk.post(f"/v1/referrals/{referral_id}/links", {"channel": "email"})
    await region.running.run_errands()
    await answer_by(region, secrets_in(post)[-1], "return", missing=["wishes"])
    assert (await region.desk.post(f"/v1/referrals/{referral_id}/answer")).status_code == 200
    (today,) = await region.running.rows(
        "UPDATE referral SET clock_since = clock_since - 1 RETURNING clock_since + 1 AS day"
    )
    assert await region.running.run_errands() == 1
    after = (await region.look(referral_id))["waits"]
    assert (after["clock"], after["since"]) == ("acknowledge", today["day"].isoformat()), (
        "its time begins when the mail of this turn is there"
    )


async def test_a_reminder_mails_the_link_again_and_both_open_it(region: Region, post: PostOffice) -> None:
    referral_id = await region.to_programme()
    await region.running.run_errands()
    (row,) = await region.running.rows(
        "SELECT tier_on - CAST(clock_timestamp() AT TIME ZONE 'Asia/Tokyo' AS date) AS n FROM referral"
    )
    region.running.pass_time(timedelta(days=row["n"]))
    await region.running.sweep()
    assert [each.tier for each in await region.running.told() if isinstance(each, ReferralOverdue)] == ["remind"]
    assert await region.running.run_errands() == 1
    assert len(post.received) == 2
    assert len({mail["Message-ID"] for mail in post.received}) == 2
    first, second = secrets_in(post)
    assert {(await open_by(region, each)).status_code for each in (first, second)} == {200}
    await answer_by(region, second, "decline", reason="other")
    assert "お返事は済んでいます" in (await answer_by(region, first, "accept")).text
    assert await state_of(region, referral_id) == "decline_pending"


# --- What goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "answer", "reason"),
    [
        ("RCPT", "450 later", "address_refused"),
        ("MAIL", "550 not you", "mail_refused"),
        ("DATA", "451 busy", "mail_refused"),
        (".", "452 full", "mail_refused"),
        ("EHLO", "hang up", "unreachable"),
        (".", "hang up", "unreachable"),
    ],
)
async def test_what_fails_for_now_is_tried_again_until_it_is_through(
    region: Region, post: PostOffice, verb: str, answer: str, reason: str
) -> None:
    referral_id = await region.to_programme()
    post.answers[verb] = answer
    await region.running.run_errands()
    (link,) = await links_of(region, referral_id)
    assert (link["state"], link["tries"], link["problem"]) == ("queued", 1, reason)
    assert await region.running.run_errands() == 0, "not at once"
    lost = len(post.received)
    post.answers.clear()
    region.running.pass_time(timedelta(minutes=2, seconds=1))
    assert await region.running.run_errands() == 1
    (link,) = await links_of(region, referral_id)
    assert (link["state"], link["tries"], link["problem"]) == ("sent", 2, None)
    assert len(post.received) == lost + 1 <= 2
    for secret in secrets_in(post):
        assert (await open_by(region, secret)).status_code == 200
    assert not [each for each in await region.running.told() if isinstance(each, LinkUndelivered)]


async def test_after_a_day_its_sender_is_told_and_sees_why(region: Region, post: PostOffice) -> None:
    await region.running.rows("UPDATE programme SET acknowledge_days = 30")
    referral_id = await region.to_programme()
    post.answers["EHLO"] = post.answers["HELO"] = "554 closed"
    tries, passed = 0, timedelta()
    while passed < GIVES_UP + timedelta(hours=3):
        tries += await region.running.run_errands()
        region.running.pass_time(timedelta(minutes=30))
        passed += timedelta(minutes=30)
    assert 10 <= tries <= 40, "with growing pauses"
    told = [each for each in await region.running.told() if isinstance(each, LinkUndelivered)]
    assert [(str(each.referral_id), each.sender, each.receiver, each.channel) for each in told] == [
        (referral_id, "kagoshima-desk", "sakura-npo", "email")
    ]
    (link,) = await links_of(region, referral_id)
    assert (link["state"], link["problem"]) == ("failed", told[0].reason)
    post.answers.clear()
    assert (await region.desk.post(f"/v1/referrals/{referral_id}/links", {})).status_code == 201
    assert await region.running.run_errands() == 1, "and may be sent anew"


async def test_an_address_that_is_refused_is_told_at_once(region: Region, post: PostOffice) -> None:
    referral_id = await region.to_programme()
    post.answers["RCPT"] = "550 nobody here"
    await region.running.run_errands()
    assert [each.reason for each in await region.running.told() if isinstance(each, LinkUndelivered)] == [
        "address_refused"
    ]
    assert [link["state"] for link in await links_of(region, referral_id)] == ["failed"]


@pytest.mark.parametrize("missing", ["no_mail_server", "no_address"])
async def test_without_a_mail_server_or_an_address_the_sender_is_told(
    region: Region, post: PostOffice, missing: str
) -> None:
    referral_id = await region.to_programme()
    if missing == "no_mail_server":
        through(region.running, None)
    else:
        await region.running.rows("UPDATE agency SET contact_channel = NULL, contact_email = NULL")
    await region.running.run_errands()
    assert post.received == []
    assert [each.reason for each in await region.running.told() if isinstance(each, LinkUndelivered)] == [missing]
    assert [link["state"] for link in await links_of(region, referral_id)] == ["failed"]


@pytest.mark.parametrize("cut", CUTS)
async def test_killed_at_any_step_a_mail_goes_out_once_or_once_too_often(
    region: Region, world: World, post: PostOffice, cut: str
) -> None:
    referral_id = await region.to_programme()
    killed = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.service.doomed_postman", world.url("tsunagu_referral"), post.url, cut),
        cwd=ROOT,
    )
    assert await killed.wait() == -signal.SIGKILL
    went_out = len(post.received)
    assert went_out == (1 if cut in CUTS[2:] else 0)
    region.running.pass_time(timedelta(minutes=2, seconds=5))
    await region.running.run_errands()
    assert len(post.received) == (2 if cut == CUTS[2] else 1)
    (link,) = await links_of(region, referral_id)
    assert link["state"] == "sent"
    secrets = secrets_in(post) if cut != CUTS[3] else []
    for secret in secrets:
        assert (await open_by(region, secret)).status_code == 200, "each that came is good"
    if secrets:
        assert "お返事を受け取りました" in (await answer_by(region, secrets[0], "accept")).text
        assert "お返事は済んでいます" in (await answer_by(region, secrets[-1], "accept")).text or len(secrets) == 1


async def test_a_mail_server_that_asks_who_one_is_is_told_over_an_encrypted_connection(
    region: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "post.pem", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with PostOffice(login=("tsunagu", "p@ss/w:rd"), certificate=certificate).opened() as office:
        through(region.running, office.url)
        referral_id = await region.to_programme()
        assert await region.running.run_errands() == 1
        assert [link["state"] for link in await links_of(region, referral_id)] == ["sent"]
        assert len(office.received) == 1


async def test_a_password_is_handed_to_nobody_whose_certificate_is_not_trusted(region: Region, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "post.pem", "127.0.0.1")
    async with PostOffice(login=("tsunagu", "p"), certificate=certificate).opened() as office:
        through(region.running, office.url)
        referral_id = await region.to_programme()
        await region.running.run_errands()
        assert [link["problem"] for link in await links_of(region, referral_id)] == ["unreachable"]
        assert office.received == []


async def test_a_wrong_password_is_said_to_be_one(region: Region) -> None:
    async with PostOffice(login=("tsunagu", "right")).opened() as office:
        through(region.running, office.url.replace("right", "wrong"))
        referral_id = await region.to_programme()
        await region.running.run_errands()
        assert [link["problem"] for link in await links_of(region, referral_id)] == ["login_refused"]
        assert office.received == []


async def test_two_processes_carry_a_mail_once(region: Region, world: World, post: PostOffice) -> None:
    other = Running(region.running.service, region.running.desk.settings)
    try:
        for _ in range(5):
            await region.send(programme_id=region.programmes["sakura-npo/ibasho"], knowingly=True)
        await asyncio.gather(*(each.run_errands() for each in (region.running, other, region.running, other)))
    finally:
        await other.close()
    assert len(post.received) == 5
    assert len(set(secrets_in(post))) == 5


# --- Settings ------------------------------------------------------------------------------------------------------


def of(url: str, sender: str | None = "a@example.jp") -> Settings:
    return Settings(smtp_url=SecretStr(url), mail_from=sender)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.jp", MailServer("mail.example.jp", 25, "plain", "a@example.jp")),
        ("smtp://u:p@127.0.0.1:2525", MailServer("127.0.0.1", 2525, "plain", "a@example.jp", "u", "p")),
        (
            "smtp+starttls://u%40x:p%2Fq@mail.example.jp",
            MailServer("mail.example.jp", 587, "starttls", "a@example.jp", "u@x", "p/q"),
        ),
        ("smtps://mail.example.jp:4650", MailServer("mail.example.jp", 4650, "tls", "a@example.jp")),
    ],
)
def test_a_mail_server_is_read_from_its_address(url: str, server: MailServer) -> None:
    assert read_mail_server(of(url)) == server


@pytest.mark.parametrize(
    ("url", "sender"),
    [
        ("http://mail.example.jp", "a@example.jp"),
        ("mail.example.jp:25", "a@example.jp"),
        ("smtp://", "a@example.jp"),
        ("smtp://mail.example.jp:port", "a@example.jp"),
        ("smtp://mail.example.jp/inbox", "a@example.jp"),
        ("smtp://user:hidden-word@mail.example.jp", "a@example.jp"),
        ("smtp://mail.example.jp", None),
        ("smtp://mail.example.jp", "nobody"),
        ("smtp://mail.example.jp", "a@example.jp\nBcc: b@example.jp"),
    ],
)
def test_a_wrong_mail_server_stops_the_start_and_its_password_is_not_told(url: str, sender: str | None) -> None:
    with pytest.raises(SettingRefused) as refused:
        create_app(service, of(url, sender), transport=Deaf())
    assert "hidden-word" not in str(refused.value)


@pytest.mark.parametrize("empty", ["smtp_url", "mail_from"])
def test_what_is_passed_on_empty_was_not_given(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TSUNAGU_{empty.upper()}", "")
    assert getattr(Settings(), empty) is None
