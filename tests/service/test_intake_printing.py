"""The hand-over sheet on paper: what stands on it, what is left to write by hand, who may take it, what is logged."""

import re
from datetime import date
from html import unescape
from pathlib import Path
from uuid import UUID

import pytest

from shared.auth import Role
from shared.service.exports import in_era
from tests.service.intake_counter import opened, today
from tests.world import ZAMA, Caller, Running, World, execute_as_admin

PERSON = {
    "name": "髙﨑 <b>花子</b>",
    "kana": "タカサキ ハナコ",
    "birth_date": "昭和60年4月1日",
    "phone": "099-000-0001",
    "story": "<script>alert('架空')</script>\n二行目 & \"引用\"",
}


async def printed(desk: Caller, case_id: str) -> str:
    answer = await desk.get(f"/v1/cases/{case_id}/hand-over-sheet.html")
    assert answer.status_code == 200, answer.text
    return answer.text


def cell(page: str, heading: str) -> str:
    """What stands behind a heading; tags are kept."""
    found = re.search(rf"<dt>{re.escape(heading)}</dt>\s*<dd[^>]*>(.*?)</dd>", page, re.DOTALL)
    assert found, heading
    return found[1].strip()


def ticked(page: str) -> list[str]:
    """The topics that are marked."""
    return re.findall(r'<li class="on">.*?<span>(.*?)</span></li>', page)


async def test_the_sheet_is_the_same_story_as_the_file_and_days_are_in_both_calendars(
    intake: Running, desk: Caller
) -> None:
    case_id = await opened(
        desk, person=PERSON, topics=["debt", "housing"], next_step="同行", next_step_on=today(intake, 1)
    )
    page = await printed(desk, case_id)
    written = date.fromisoformat(today(intake))
    assert "<h1>つなぐシート</h1>" in page
    assert cell(page, "記入日") == f"{in_era(written)}({written.isoformat()})"
    assert cell(page, "生年月日") == "昭和60年4月1日(1985-04-01)"
    assert cell(page, "記入した機関") == "kagoshima-desk"
    assert cell(page, "電話番号") == "099-000-0001"
    assert cell(page, "決めたこと・次の対応") == "同行"
    assert ticked(page) == ["住まいのこと", "債務のこと"]
    assert len(re.findall(r"<li\b", page)) == 16, "the others are there to be circled by hand"


async def test_nothing_that_was_written_becomes_part_of_the_page(desk: Caller) -> None:
    page = await printed(desk, await opened(desk, person=PERSON))
    assert "<script" not in page
    assert "<b>花子" not in page
    assert unescape(cell(page, "相談の内容")) == PERSON["story"], "line by line as it was told"
    assert unescape(cell(page, "氏名")) == PERSON["name"]


async def test_what_nobody_knows_yet_is_a_line_to_write_on(desk: Caller) -> None:
    page = await printed(desk, await opened(desk))
    assert cell(page, "氏名") == '<i class="line"></i>'
    assert cell(page, "相談の内容").count('<i class="line"></i>') > 3
    assert cell(page, "受け取った機関") == '<i class="line"></i>', "and what comes back"


async def test_where_somebody_hides_no_line_invites_to_write_where(desk: Caller) -> None:
    page = await printed(desk, await opened(desk, person=PERSON, urgency=["violence"]))
    assert PERSON["phone"] not in page
    assert cell(page, "電話番号") == "(この紙には書かないでください)"
    assert unescape(cell(page, "氏名")) == PERSON["name"]


async def test_it_runs_nothing_loads_nothing_and_stays_in_no_cache(desk: Caller) -> None:
    answer = await desk.get(f"/v1/cases/{await opened(desk)}/hand-over-sheet.html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert (answer.headers["cache-control"], answer.headers["content-language"]) == ("no-store", "ja")
    assert "size: A4" in answer.text
    assert not re.search(r"(?:src|href)=|url\(|@import|https?:", answer.text)


async def test_each_print_is_logged_as_leaving_and_without_the_log_nothing_leaves(
    world: World, intake: Running, desk: Caller
) -> None:
    case_id = await opened(desk, person=PERSON)
    await printed(desk, case_id)
    await desk.get(f"/v1/cases/{case_id}/hand-over-sheet.csv", params={"encoding": "utf-8"})
    logged = await intake.rows(
        "SELECT agency, purpose, basis, fields FROM access_log WHERE subject_id = $1 AND action = 'export'",
        UUID(case_id),
    )
    on_paper, in_a_file = (tuple(entry) for entry in logged)
    assert on_paper == in_a_file
    assert on_paper[:3] == ("kagoshima-desk", "referral", "appi_69_2_2")
    assert "phone" in on_paper[3]
    assert "address" not in on_paper[3], "only what leaves"
    await execute_as_admin(
        world.postgres, "REVOKE INSERT ON intake.access_log FROM tsunagu_intake", world.database_name
    )
    refused = await desk.get(f"/v1/cases/{case_id}/hand-over-sheet.html")
    assert (refused.status_code, PERSON["phone"] in refused.text) == (500, False)


async def test_only_the_holder_prints_and_another_town_finds_nothing(intake: Running, desk: Caller) -> None:
    path = f"/v1/cases/{await opened(desk, person=PERSON)}/hand-over-sheet.html"
    for caller, status in (
        (intake.as_("zama-desk", municipalities=[ZAMA]), 404),
        (intake.as_("kagoshima-npo"), 403),
        (intake.as_("kagoshima-desk", Role.PLACEMENT), 403),
    ):
        answer = await caller.get(path)
        assert (answer.status_code, "花子" in answer.text) == (status, False)
        assert answer.headers["content-type"] == "application/problem+json"
    assert await intake.rows("SELECT FROM access_log WHERE action = 'export'") == []


async def test_a_municipality_lays_its_paper_out_its_own_way(
    world: World, intake: Running, desk: Caller, tmp_path: Path
) -> None:
    case_id = await opened(desk, person=PERSON, topics=["debt"])
    intake.database.carries["settings"] = world.settings("intake", layouts_path=tmp_path)
    own = tmp_path / "hand_over_sheet.toml"
    own.write_text(
        'title = "わが市の<つなぐ>"\n[[column]]\nheading = "お話"\nfield = "story"\nlines = 2\n'
        '[[column]]\nheading = "受付"\nfield = "opened_at"\n[[by_hand]]\nheading = "印"\nlines = 3\n',
        encoding="utf-8",
    )
    page = await printed(desk, case_id)
    assert re.findall(r"<dt>(.*?)</dt>", page) == ["お話", "受付", "印"]
    assert "<h1>わが市の&lt;つなぐ&gt;</h1>" in page
    assert cell(page, "印").count("<i") == 3
    assert re.fullmatch(r"令和\d+年\d+月\d+日\(\d{4}-\d\d-\d\d\) \d\d:\d\d", cell(page, "受付"))
    assert cell(await printed(desk, await opened(desk)), "お話").count("<i") == 2
    own.write_text('[[column]]\nheading = "お話"\nfield = "story"\nlines = 0\n', encoding="utf-8")
    broken = await desk.get(f"/v1/cases/{case_id}/hand-over-sheet.html")
    assert (broken.status_code, broken.json()["code"]) == (409, "layout_broken")


async def test_an_invented_region_says_so_on_paper_too(world: World, intake: Running, desk: Caller) -> None:
    case_id = await opened(desk, person=PERSON)
    assert "架空のデータ" not in await printed(desk, case_id)
    intake.database.carries["settings"] = world.settings("intake", demo=True)
    assert "架空のデータ" in await printed(desk, case_id)


@pytest.mark.parametrize("character", ["𠮷", "\u2028", "﷽", "<!--"])
async def test_paper_takes_every_character(desk: Caller, character: str) -> None:
    page = await printed(desk, await opened(desk, person={"story": f"前{character}後"}))
    assert unescape(cell(page, "相談の内容")) == f"前{character}後"
