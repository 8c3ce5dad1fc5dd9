"""The start page in a real browser: what a person sees, hears, prints, and what never leaves the house."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from services.dashboard.domain import Figures, Stage
from tests.browser import stage
from tests.browser.conftest import violations

A4_CONTENT_PX = (210 - 2 * 12) / 25.4 * 96


def start(page: Page, site: str, query: str = "") -> None:
    page.goto(f"{site}/dashboard/{query}")
    expect(page.locator("[data-live]")).to_contain_text("自動更新中" if "lang=en" not in query else "Live")


def enrolled(figures: Figures, cases: int) -> Figures:
    funnel = tuple(Stage(each.stage, cases if each.stage == "enrolled" else each.cases) for each in figures.funnel)
    return replace(figures, funnel=funnel, as_of=figures.as_of + timedelta(seconds=7))


def test_the_page_speaks_japanese_unless_asked_for_english(page: Page, site: str) -> None:
    start(page, site)
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.get_by_role("heading", level=1)).to_have_text("地域のいま")
    expect(page.locator("main")).to_contain_text("令和8年")
    page.get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("heading", level=1)).to_have_text("The region at a glance")
    page.get_by_role("link", name="日本語").click()
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    page.goto(f"{site}/dashboard/?lang=eo")
    expect(page.locator("html")).to_have_attribute("lang", "ja")


def test_the_numbers_are_there_without_any_script(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/dashboard/?field=it&free=true")
    expect(page.locator("[data-stage=opened] [data-cases]")).to_have_text("300")
    expect(page.locator("[data-stage=enrolled] [data-share]")).to_have_text("33.0%")
    fields = page.locator("[data-run]:visible").evaluate_all("rows => rows.map(row => row.dataset.field)")
    assert fields
    assert set(fields) == {"it"}
    context.close()


def test_a_seat_taken_elsewhere_shows_without_a_reload(page: Page, site: str, stand: stage.Stand) -> None:
    start(page, site)
    page.evaluate("window.sameDocument = true")
    stand.show(enrolled(stand.figures, 120))
    expect(page.locator("[data-stage=enrolled] [data-cases]")).to_have_text("120")
    expect(page.locator("[data-stage=enrolled] [data-share]")).to_have_text("40.0%")
    expect(page.locator("[data-finding]")).to_contain_text("120 件（40.0%）")
    expect(page.locator("[data-as-of]")).to_have_text("令和8年11月23日 15:00:07")
    first = stand.figures.seats[0]
    taken = replace(first.pools[0], filled=first.pools[0].filled + 1)
    seats = (replace(first, pools=(taken, *first.pools[1:])), *stand.figures.seats[1:])
    stand.show(replace(stand.figures, seats=seats))
    row = page.locator(f'[data-pool="{taken.pool_id}"]')
    expect(row.locator("[data-filled]")).to_have_text(str(taken.filled))
    expect(row.locator("[data-free]")).to_have_text(str(taken.free))
    assert page.evaluate("window.sameDocument")


def test_a_course_announced_meanwhile_appears_and_the_filter_stays(page: Page, site: str, stand: stage.Stand) -> None:
    start(page, site)
    page.get_by_label("分野").select_option("care")
    stand.show(stage.region(courses=18))
    expect(page.locator("[data-count]")).to_have_text("18 コース中 3 コース")
    expect(page.get_by_label("分野")).to_have_value("care")


def test_only_courses_with_free_seats_remain_when_asked(page: Page, site: str, stand: stage.Stand) -> None:
    start(page, site)
    full = tuple(
        replace(run, pools=tuple(replace(pool, filled=pool.granted, held=0) for pool in run.pools))
        for run in stand.figures.seats[:5]
    )
    stand.show(replace(stand.figures, seats=full + stand.figures.seats[5:]))
    page.get_by_label("空きのあるコースだけ").check()
    expect(page.locator("[data-count]")).to_have_text("12 コース中 7 コース")
    page.get_by_label("分野").select_option("basic")
    expect(page.locator("[data-count]")).to_have_text("12 コース中 1 コース")


def test_fifty_courses_do_not_bury_the_page(page: Page, site: str, stand: stage.Stand) -> None:
    stand.figures = stage.region(courses=53)
    start(page, site)
    expect(page.locator("[data-run]:visible")).to_have_count(20)
    page.get_by_role("link", name="すべてのコースを表示").click()
    expect(page.locator("[data-run]:visible")).to_have_count(53)
    assert page.evaluate("document.activeElement.closest('[data-run]') !== null"), "the keyboard lost its place"


def test_an_empty_region_says_so_in_words(page: Page, site: str, stand: stage.Stand) -> None:
    stand.figures = stage.EMPTY
    start(page, site)
    expect(page.locator("[data-finding]")).to_have_text("まだ相談は受け付けられていません。")
    expect(page.locator("[data-stage=opened] [data-share]")).to_have_text("–")
    expect(page.locator("[data-seats]")).to_contain_text("公表された訓練コースはまだありません")
    assert violations(page) == []
    stand.show(stage.region(courses=3))
    expect(page.locator("[data-run]")).to_have_count(3)


def test_each_service_says_in_words_how_it_is(page: Page, site: str, stand: stage.Stand) -> None:
    stand.ready = {"training": False, "referral": None}
    start(page, site)
    expect(page.locator("[data-service=intake] .state")).to_contain_text("稼働中")
    training = page.locator("[data-service=training]")
    expect(training.locator(".state")).to_contain_text("準備中")
    expect(training.locator("[data-unsent]")).to_have_text("2 分")
    expect(training.locator("[data-parked]")).to_have_text("1")
    expect(page.locator("[data-service=referral] .state")).to_contain_text("応答なし")


def test_a_cut_line_is_told_and_mends_itself(page: Page, site: str, stand: stage.Stand) -> None:
    start(page, site)
    # The browser's own attempt to come back is refused too; after that it gives up, and only our script goes on.
    with page.expect_response(lambda answer: answer.url.endswith("/figures/stream") and answer.status == 503):
        stand.open_streams = False
    expect(page.locator("[data-live]")).to_contain_text("再接続しています")
    stand.open_streams = True
    stand.show(enrolled(stand.figures, 111))
    expect(page.locator("[data-stage=enrolled] [data-cases]")).to_have_text("111", timeout=15_000)
    expect(page.locator("[data-live]")).to_contain_text("自動更新中")


@pytest.mark.parametrize("lang", ["ja", "en"])
@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_stands_in_the_way_of_anyone(page: Page, site: str, lang: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    start(page, site, f"?lang={lang}")
    expect(page.locator("[data-service=training][data-state=ready]")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_leaves_the_origin(page: Page, site: str, departures: list[str]) -> None:
    start(page, site)
    expect(page.locator("[data-service=training][data-state=ready]")).to_be_visible()
    assert departures == []


def test_the_policy_lets_no_stranger_in(page: Page, site: str, departures: list[str]) -> None:
    start(page, site)
    loaded = page.evaluate(
        """() => new Promise(done => {
            const image = new Image();
            image.onload = () => done(true);
            image.onerror = () => done(false);
            image.src = "http://127.0.0.1:9/stranger.png";
        })"""
    )
    assert not loaded
    assert departures == [], "the request was tried: the content security policy did not stop it"


def test_the_page_fits_on_a4(page: Page, site: str, stand: stage.Stand) -> None:
    stand.figures = stage.region(courses=30)
    start(page, site)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": int(A4_CONTENT_PX), "height": 1050})
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('main *')].map(each => each.getBoundingClientRect().right))"
    )
    assert widest <= A4_CONTENT_PX
    expect(page.locator("[data-run]:visible")).to_have_count(30)


def test_an_invented_region_says_it_is_invented(page: Page, site: str, stand: stage.Stand) -> None:
    start(page, site)
    expect(page.locator(".banner")).to_contain_text("架空")
    stand.demo = False
    page.reload()
    expect(page.locator(".banner")).to_have_count(0)


def test_the_clock_is_that_of_japan(page: Page, site: str, stand: stage.Stand) -> None:
    stand.figures = replace(stand.figures, as_of=datetime(2026, 12, 31, 15, 30, tzinfo=UTC))
    start(page, site)
    expect(page.locator("[data-as-of]")).to_contain_text("令和9年1月1日")
