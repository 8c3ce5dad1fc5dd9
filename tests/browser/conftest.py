"""A real browser for the tests in this folder: Debian's Chromium, driven by playwright's own library.

Not the pytest plugin: its browser lives for the whole session with an event loop of its own in the main thread, and
the asyncio tests of other folders cannot run beside it. Here both end with the folder.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from demo.client import Agency
from tests.browser import stage
from tests.e2e.processes import all_in_one

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


@dataclass(frozen=True)
class LivePlatform:
    """The whole platform with the invented region in it, and the region's agencies."""

    url: str
    keys: Path

    def as_(self, agency: str, work: Callable[[Agency], Coroutine[Any, Any, Any]]) -> Any:
        """Let an agency's system do something. In a thread: playwright keeps a loop running in this one."""

        async def go() -> Any:
            async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
                return await work(Agency.from_keys(self.url, agency, self.keys, client))

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, go()).result()


@pytest.fixture(scope="package")
def platform() -> Iterator[LivePlatform]:
    """The one that TSUNAGU_PLATFORM_URL and TSUNAGU_PLATFORM_KEYS name, or `make run` on a port of its own."""
    if "TSUNAGU_PLATFORM_URL" in os.environ:
        yield LivePlatform(os.environ["TSUNAGU_PLATFORM_URL"].rstrip("/"), Path(os.environ["TSUNAGU_PLATFORM_KEYS"]))
        return
    folder = Path(tempfile.mkdtemp(prefix="tsunagu-live-"))
    folder.chmod(0o755)  # PostgreSQL's own user must be able to enter
    try:
        started = all_in_one(folder)
        yield LivePlatform(started.url, started.keys)
        started.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
