"""The hand-over sheet in a real browser, with its own headers: it is dressed, fits on one A4 page, and runs nothing."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from services.intake.api.paper import printed
from services.intake.handlers.exports import FIELDS_OF, HandOverSheet
from shared.service.exports import read_layout
from tests.browser.conftest import violations

LAYOUT = Path(__file__).resolve().parents[2] / "services/intake/layouts/hand_over_sheet.toml"
ADDRESS = "http://intake.test/sheet"
KNOWN: dict[str, Any] = {
    "written_on": date(2026, 11, 29),
    "section": "kagoshima-desk",
    "anchor": "相談員 3",
    "name": "架空 花子",
    "kana": "カクウ ハナコ",
    "birth_date": date(1985, 4, 1),
    "phone": "099-000-0001",
    "topics": ("debt", "housing"),
    "story": "夏に仕事を失い、家賃が払えていない。<script>document.title = 'run'</script>\n" * 8,
    "next_step": "同行する",
}


def shown(page: Page, known: dict[str, Any], withheld: frozenset[str] = frozenset()) -> None:
    layout = read_layout(LAYOUT.read_text("utf-8"), FIELDS_OF["hand_over_sheet"])
    answer = printed(layout, HandOverSheet({"number": "2026-000123", **known}, withheld), demo=True)

    def give(route: Route) -> None:
        route.fulfill(status=200, headers=dict(answer.headers), body=bytes(answer.body))

    page.route("**/*", give)
    page.goto(ADDRESS)


def pages_of(page: Page) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True)))


@pytest.mark.parametrize("known", [{}, KNOWN], ids=["nearly empty", "told"])
def test_a_sheet_is_one_page_of_a4_and_reads_well(page: Page, known: dict[str, Any]) -> None:
    shown(page, known, frozenset({"phone"}) if not known else frozenset())
    assert page.evaluate("getComputedStyle(document.querySelector('.short')).display") == "grid", (
        "its own style is let in"
    )
    assert pages_of(page) == 1
    assert violations(page) == []
    assert page.title() == "つなぐシート 2026-000123"


def test_a_long_story_goes_on_to_the_next_page_and_loses_nothing(page: Page) -> None:
    shown(page, KNOWN | {"story": "長い話。\n" * 60})
    assert pages_of(page) == 2, "and begins on the first"
    assert page.locator("dd", has_text="長い話。").inner_text().count("長い話。") == 60


def test_what_somebody_slips_in_neither_runs_nor_shows_itself_as_ours(page: Page) -> None:
    shown(page, KNOWN)
    page.evaluate("document.head.insertAdjacentHTML('beforeend', '<style>h1 { display: none }</style>')")
    assert page.locator("h1").is_visible(), "a style that is not ours"
    assert "document.title" in page.locator("dd", has_text="夏に").inner_text()
