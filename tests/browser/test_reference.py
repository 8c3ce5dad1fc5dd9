"""The reference in a real browser: both kinds of contract, readable with no network but our own."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import violations


@pytest.mark.parametrize(
    ("doc", "told"),
    [("intake", "Opens a thing in intake"), ("training", "/v1/training/things"), ("events", "A case was opened")],
)
def test_every_contract_opens_offline(page: Page, site: str, departures: list[str], doc: str, told: str) -> None:
    page.goto(f"{site}/dashboard/reference?doc={doc}")
    expect(page.get_by_role("main")).to_contain_text(told, timeout=15_000)
    page.wait_for_load_state("networkidle")
    assert departures == []
    # What the viewer draws is its own matter (one contrast of its release falls short); the frame around it is ours.
    assert violations(page, within="header, #main") == []


def test_the_reader_changes_between_documents(page: Page, site: str) -> None:
    page.goto(f"{site}/dashboard/?lang=en")
    page.get_by_role("link", name="API and event reference").click()
    expect(page.get_by_role("heading", name="API and event reference")).to_be_visible()
    page.get_by_role("navigation", name="Documents").get_by_role("link", name="Events").click()
    expect(page.get_by_role("main")).to_contain_text("A case was opened", timeout=15_000)
    page.get_by_role("link", name="日本語").click()
    expect(page.locator("redoc")).to_have_attribute("spec-url", "asyncapi.json")
    expect(page.locator("html")).to_have_attribute("lang", "ja")


def test_the_viewer_reports_to_nobody(page: Page, site: str) -> None:
    page.goto(f"{site}/dashboard/reference")
    expect(page.locator("redoc")).to_have_attribute("disable-telemetry", "true")
