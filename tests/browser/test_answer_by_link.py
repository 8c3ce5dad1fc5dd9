"""The door of an agency without an account, and the letter that leads to it, in a real browser without any script."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser, Page, Route

from services.referral.api.door import shown
from services.referral.api.links import printed
from services.referral.domain.codes import write_code
from services.referral.domain.links import Answered, LinkChannel, Standing
from services.referral.domain.states import Clock, Tier, Waits
from services.referral.handlers.door import Asking, Looked, Seen, Throttled, Unknown
from services.referral.handlers.links import Letter
from services.referral.tables.links import Contact, Link
from tests.browser.conftest import violations
from tests.unit.test_referral_moves import TO_PROGRAMME

ADDRESS = "http://tsunagu.test/referral/a/SECRET"
NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
ASKING = Asking(
    sender="(架空)かごしま暮らし・しごと相談窓口",
    phone="099-000-0000",
    programme="桜の居場所",
    municipality="462012",
    needs=("housing", "isolation"),
    urgent=True,
    due_on=date(2026, 12, 2),
    until=datetime(2026, 12, 3, 15, 0, tzinfo=UTC),
)
OPEN = Seen(Standing.OPEN, "A1B2-C3D4", ASKING, ("receive", "accept", "return", "wait", "decline"), None)
PAGES: dict[str, Looked] = {
    "open": OPEN,
    "going on": replace(OPEN, moves=("contact", "start", "miss", "set_outcome")),
    "answered": Seen(Standing.ANSWERED, "A1B2-C3D4", None, (), Answered("decline", "no_capacity", NOW), just_now=True),
    "over": Seen(Standing.OVER, "A1B2-C3D4", None, (), None),
    "unknown": Unknown(),
    "throttled": Throttled(),
}


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A small screen that runs no script."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    yield context.new_page()
    context.close()


def give(page: Page, answer: HTMLResponse) -> list[tuple[str, dict[str, list[str]]]]:
    """Show it; what its forms send."""
    sent: list[tuple[str, dict[str, list[str]]]] = []

    def serve(route: Route) -> None:
        if route.request.method == "POST":
            sent.append((route.request.url, parse_qs(route.request.post_data or "")))
        route.fulfill(status=200, headers=dict(answer.headers), body=bytes(answer.body))

    page.route("**/*", serve)
    page.goto(ADDRESS)
    return sent


def of(looked: Looked, chosen: str | None = None) -> HTMLResponse:
    return shown(looked, "SECRET", NOW, here="../a", demo=False, chosen=chosen)


def keep(page: Page, name: str) -> None:
    """A picture to look at, where somebody asks for it."""
    folder = os.environ.get("TSUNAGU_TEST_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_every_page_of_the_door_can_be_read_by_everybody(page: Page, name: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    give(page, of(PAGES[name]))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing runs out of the screen"
    if name == "open":
        arrows = page.evaluate("[...document.querySelectorAll('summary')].map(each => each.offsetHeight)")
        assert max(arrows) < 75, "an answer and its English are two lines"
    keep(page, f"door {name}")
    # The page's own policy lets no script in, so the checker comes by the developer's door.
    assert violations(page) == []


@pytest.mark.browser
def test_an_answer_is_sent_without_a_script_and_carries_the_link_in_its_body(phone: Page) -> None:
    sent = give(phone, of(OPEN))
    phone.get_by_role("button", name="引き受けます").click()
    assert sent == [("http://tsunagu.test/referral/a", {"secret": ["SECRET"], "move": ["accept"]})]


@pytest.mark.browser
def test_a_decline_cannot_be_sent_without_its_reason(phone: Page) -> None:
    sent = give(phone, of(OPEN))
    phone.get_by_text("引き受けられません").click()
    button = phone.get_by_role("button", name="この内容で答える")
    button.click()
    assert sent == []
    phone.get_by_label("定員に空きがない").check()
    button.click()
    assert sent == [
        ("http://tsunagu.test/referral/a", {"secret": ["SECRET"], "move": ["decline"], "reason": ["no_capacity"]})
    ]


@pytest.mark.browser
def test_what_was_left_out_is_open_when_the_page_comes_back(phone: Page) -> None:
    give(phone, of(OPEN, chosen="return"))
    assert phone.get_by_label("ご本人の希望").is_visible()
    assert not phone.get_by_label("定員に空きがない").is_visible()


@pytest.mark.browser
def test_a_letter_is_one_page_with_its_code_and_its_picture(page: Page) -> None:
    code = write_code(2**75 - 12345)
    link = Link(UUID(int=1), TO_PROGRAMME.id, "npo", LinkChannel.LETTER, NOW, ASKING.until, NOW, None, None)
    waits = Waits(Clock.ACKNOWLEDGE, "npo", date(2026, 11, 29), date(2026, 12, 2), Tier.REMIND, date(2026, 12, 1))
    letter = Letter(
        link,
        replace(TO_PROGRAMME, waits=waits),
        code,
        Contact(ASKING.sender, "099-000-0000", "account", None),
        Contact("特定非営利活動法人 桜の会(架空)", None, "letter", None),
        "桜の居場所",
        "A1B2-C3D4",
    )
    give(page, printed(letter, "https://tsunagu.example.lg.jp", date(2026, 11, 29), demo=True))
    assert page.locator(".code").inner_text() == code
    box = page.locator(".qr svg").bounding_box()
    assert box is not None
    assert box["width"] > 100
    inside = page.evaluate(
        """() => {
            const whole = document.querySelector(".qr svg").getBoundingClientRect();
            const signs = document.querySelector(".qr svg path").getBoundingClientRect();
            const quiet = 3.5 * signs.width / 33;
            const around = [signs.left - whole.left, whole.right - signs.right, whole.bottom - signs.bottom];
            return around.map(each => each > quiet);
        }"""
    )
    assert inside == [True, True, True], "the whole of it is seen, with its quiet zone"
    page.emulate_media(media="print")
    pdf = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    keep(page, "letter")
