"""A real browser for the tests in this folder: Debian's Chromium, driven by playwright's own library.

Not the pytest plugin: its browser lives for the whole session with an event loop of its own in the main thread, and
the asyncio tests of other folders cannot run beside it. Here both end with the folder.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.browser import stage

AXE = (Path(__file__).parent / "vendor" / "axe" / "axe.min.js").read_text("utf-8")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium fonts-noto-cjk)")
    with sync_playwright() as playwright:
        # No sandbox: in a container the tests run as root, and they open nothing but our own pages.
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh window of an ordinary office screen; a script error on any page fails its test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert errors == []


@pytest.fixture
def stand() -> stage.Stand:
    return stage.Stand(figures=stage.region())


@pytest.fixture
def site(stand: stage.Stand) -> Iterator[str]:
    with stage.serve(stand) as origin:
        yield origin


@pytest.fixture
def departures(page: Page) -> list[str]:
    """Every request of the page that went, or would have gone, to another origin than the page's own.

    What our content security policy stopped has not left; the reference viewer tries to fetch its vendor's logo.
    """
    gone: list[str] = []

    def note(request: Request) -> None:
        target, here = urlsplit(request.url), urlsplit(page.url)
        travels = target.scheme in ("http", "https", "ws", "wss")
        if travels and target.netloc != here.netloc and request.failure != "csp":
            gone.append(request.url)

    page.on("requestfinished", note)
    page.on("requestfailed", note)
    return gone


def violations(page: Page, within: str = "html") -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and its own good practice, one readable line each."""
    page.evaluate(AXE)
    levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate("([within, levels]) => axe.run(within, {runOnly: levels})", [within, levels])
    return [f"{each['id']}: {node['html'][:160]}" for each in found["violations"] for node in each["nodes"]]
