"""The pages on the whole platform: what an agency does elsewhere is seen here, and nothing is asked of anybody else."""

import json
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from demo.client import Agency
from services.dashboard.pages import SERVICES
from tests.browser.conftest import LivePlatform, violations

LAST_TOLD = {
    "intake": "CaseScreened",
    "assessment": "AssessmentRecorded",
    "referral": "ReferralWithdrawn",
    "training": "Enrolled",
}


def test_the_bare_address_leads_to_the_start_page(page: Page, platform: LivePlatform) -> None:
    for path in ("/", "/dashboard"):
        page.goto(platform.url + path)
        expect(page).to_have_url(f"{platform.url}/dashboard/")
        expect(page.get_by_role("heading", level=1)).to_have_text("地域のいま")


def test_every_service_says_how_it_is(page: Page, platform: LivePlatform) -> None:
    page.goto(f"{platform.url}/dashboard/?lang=en")
    for service in SERVICES:
        expect(page.locator(f"[data-service={service}]")).to_have_attribute("data-state", "ready", timeout=15_000)


def test_the_invented_region_says_that_it_is_invented(page: Page, platform: LivePlatform) -> None:
    page.goto(f"{platform.url}/dashboard/?lang=en")
    expect(page.get_by_role("banner")).to_contain_text("fictional region")
    expect(page.locator("[data-run]").first).to_be_visible()
    assert violations(page) == []


def test_a_case_opened_at_a_desk_is_counted_without_a_reload(
    page: Page, platform: LivePlatform, departures: list[str]
) -> None:
    page.goto(f"{platform.url}/dashboard/")
    expect(page.locator("[data-live]")).to_contain_text("自動更新中")
    page.evaluate("window.sameDocument = true")
    opened = page.locator("[data-stage=opened] [data-cases]")
    before = int((opened.text_content() or "").replace(",", ""))
    platform.as_("kagoshima-desk", open_case)
    expect(opened).to_have_text(f"{before + 1:,}", timeout=10_000)
    assert page.evaluate("window.sameDocument")
    assert departures == []


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_shows_its_own_contract(
    page: Page, platform: LivePlatform, departures: list[str], service: str
) -> None:
    document = fetch(f"{platform.url}/{service}/openapi.json")
    operations = [each for path in document["paths"].values() for each in path.values()]
    page.goto(f"{platform.url}/dashboard/reference?doc={service}")
    # The viewer draws what somebody looks at, and of a long list the beginning.
    chosen = operations[0]
    page.locator(f'redoc a[href="#/{chosen["tags"][0]}/{chosen["operationId"]}"]').first.click(timeout=20_000)
    expect(page.get_by_role("main")).to_contain_text(chosen["summary"])
    page.wait_for_load_state("networkidle")
    assert departures == []


def test_the_events_of_every_service_are_explained(page: Page, platform: LivePlatform, departures: list[str]) -> None:
    messages = fetch(f"{platform.url}/dashboard/asyncapi.json")["components"]["messages"]
    assert len(messages) > 20
    page.goto(f"{platform.url}/dashboard/reference?doc=events")
    for publisher, event in LAST_TOLD.items():
        page.locator(f'redoc a[href="#/topics/{publisher}"]').first.click(timeout=20_000)
        expect(page.get_by_role("main")).to_contain_text(event)
    page.wait_for_load_state("networkidle")
    assert departures == []


async def open_case(desk: Agency) -> Any:
    return await desk.post("/intake/v1/cases", {})


def fetch(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  (our own loopback address)
        found: dict[str, Any] = json.load(answer)
    return found
