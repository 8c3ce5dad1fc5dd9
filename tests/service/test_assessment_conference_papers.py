"""A conference on paper: what lies on the table, what is left out for whom, and that the emptiest one says so."""

import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.service.assessment_room import DESK, NPO, consented, known_case, levels, rate
from tests.service.conference_table import (
    CLINIC,
    COUNSELLOR,
    MINUTES,
    NURSE,
    SUPPORTER,
    call,
    called,
    clinic,
    conclude,
    decide,
    do,
    member,
)
from tests.world import Caller, Running, World

CITY = "kagoshima-city"
ILL = "夜、眠れていない。通院が途切れている。"
SEEN = "面談の予定を二度、当日に取りやめた。"
HOME = "退去の期限は月末。保証人がいない。"


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


async def page(caller: Caller, path: str, name: str) -> str:
    """A paper that is one: nothing in it runs or is loaded."""
    answer = await caller.get(f"{path}/{name}.html")
    assert answer.status_code == 200, answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert not [word for word in ("<script", "<link", "<img", "src=", "http") if word in answer.text]
    return str(answer.text)


def keep(name: str, html: str) -> None:
    """Where somebody wants to look at the pages: PAPERS names a folder."""
    if "PAPERS" in os.environ:
        (Path(os.environ["PAPERS"]) / f"{name}.html").write_text(html, encoding="utf-8")


async def full(running: Running) -> tuple[UUID, str]:
    """A conference with everything that a paper can show."""
    case_id = await known_case(running)
    await consented(running, case_id)
    desk, npo = running.as_(), running.as_(NPO)
    await rate(desk, case_id, 2, 1, 3, 3, None, rated_at="2026-04-01T10:00:00+09:00")
    await rate(desk, case_id, 2, 2, 3, 4, 3, evidence={"mental": ILL, "environment": HOME})
    members = [member(DESK, COUNSELLOR), member(NPO), member(CLINIC, NURSE), member(CITY, "caseworker")]
    body: dict[str, Any] = {"members": members, "begins_at": "14:00"}
    path = f"/v1/conferences/{(await call(desk, running, case_id, **body)).json()['conference_id']}"
    await do(npo, f"{path}/answer", {"coming": True})
    await do(running.as_(CITY), f"{path}/answer", {"coming": False})
    await do(desk, f"{path}/agenda", {"words": "住まいが決まるまでの居場所について"})
    await do(npo, f"{path}/agenda", {"words": "通所を続けるための <b>送迎</b>"})
    await do(desk, f"{path}/problems", {"need": "housing", "covered_by": [], "could": [NPO, CITY], "note": HOME})
    await do(desk, f"{path}/problems", {"need": "health", "covered_by": [CLINIC], "could": [], "note": ILL})
    await do(npo, f"{path}/problems", {"need": "experience", "covered_by": [], "could": []})
    await do(desk, f"{path}/open")
    seats = {"seats": [member(DESK, COUNSELLOR), member(NPO)]}
    joint = f"/v1/joint_ratings/{(await do(desk, f'{path}/joint_ratings', seats))['joint_id']}"
    await do(desk, f"{joint}/levels", {"profession": COUNSELLOR, "levels": levels(2, 2, 3, 4, 3)})
    await do(npo, f"{joint}/levels", {"profession": SUPPORTER, "levels": levels(4, 2, 3, 3, 3)})
    evidence = {"mental": SEEN, "environment": "家に居場所がある。"}
    await do(desk, f"{joint}/agreed", {"levels": levels(3, 2, 3, 3, 3), "evidence": evidence})
    await decide(desk, path, running, "action", owner=NPO, words="見学に同行する")
    await decide(desk, path, running, "reassessment")
    return case_id, path


async def test_the_sheet_has_everything_for_the_holder(running: Running) -> None:
    _, path = await full(running)
    sheet = await page(running.as_(), path, "sheet")
    keep("sheet", sheet)
    for words in (
        "合同ケース会議 資料",
        "14:00",
        "保健師",
        "返事待ち",
        "欠席",
        "住まいが決まるまでの居場所について",
        "&lt;b&gt;送迎&lt;/b&gt;",
        "支えられる機関がある",
        "この地域にない",
        ILL,
        SEEN,
        HOME,
        "長期化のおそれ:あり",
        "2 と 4",
        "合同ケース会議を開く",
        "見学に同行する",
        "手書き用",
    ):
        assert words in sheet, words
    assert "載せていないもの" not in sheet


async def test_the_sheet_leaves_out_illness_and_other_towns_and_says_so(running: Running) -> None:
    case_id, path = await full(running)
    near, far = running.as_(CITY), clinic(running)
    sheet = await page(near, path, "sheet")
    assert (ILL in sheet, SEEN in sheet, HOME in sheet) == (False, False, True)
    assert "家に居場所がある。" in sheet
    assert "病気・障害に関わる記述" in sheet
    assert "合同ケース会議を開く" in sheet
    sheet = await page(far, path, "sheet")
    keep("sheet-far", sheet)
    assert (ILL in sheet, SEEN in sheet, "長期化のおそれ:あり" in sheet) == (False, False, True)
    assert "合同ケース会議を開く" not in sheet
    assert "ほかの機関がすること" in sheet
    await consented(running, case_id, DESK, NPO, CITY, CLINIC, version=2, categories=("story", "health"))
    sheet = await page(far, path, "sheet")
    assert (ILL in sheet, SEEN in sheet) == (True, True)
    assert "長期化のおそれ:あり" in sheet
    assert "病気・障害に関わる記述" not in sheet


async def test_who_may_not_see_the_conference_has_no_paper_of_it(running: Running) -> None:
    case_id, path = await full(running)
    for name in ("sheet", "minutes"):
        assert (await running.as_("kagoshima-other").get(f"{path}/{name}.html")).status_code == 404
    await consented(running, case_id, NPO, version=2)
    assert (await clinic(running).get(f"{path}/sheet.html")).status_code == 404


async def test_the_minutes_are_a_draft_until_it_is_concluded_and_then_tell_what_was_decided(running: Running) -> None:
    _, path = await full(running)
    assert "これは下書きです" in await page(running.as_(), path, "minutes")
    await conclude(running.as_(), path, member(DESK, COUNSELLOR), member(NPO))
    minutes = await page(running.as_(NPO), path, "minutes")
    keep("minutes", minutes)
    for words in (MINUTES, "見学に同行する", "再評価する", "○", "欠席", "2 と 4", "これから"):
        assert words in minutes, words
    assert "下書き" not in minutes
    logged = await running.rows("SELECT fields FROM access_log WHERE agency = $1 AND action = 'read'", NPO)
    assert {field for row in logged for field in row["fields"]} >= {"agenda_item", "conference_minutes", "task"}


async def test_the_emptiest_papers_say_that_they_are_empty(running: Running) -> None:
    _, path = await called(running)
    sheet, minutes = await page(running.as_(), path, "sheet"), await page(running.as_(), path, "minutes")
    keep("sheet-empty", sheet)
    keep("minutes-empty", minutes)
    for words in (
        "まだ議題がありません",
        "まだ課題が書き込まれていません",
        "まだ評価がありません",
        "この会議の合同の評価で、見られるものはありません",
        "待っていることはありません",
    ):
        assert words in sheet, words
    for words in ("まだ議事が書かれていません", "まだ何も決まっていません", "下書き"):
        assert words in minutes, words


async def test_art_9_opens_no_rating_and_says_that_its_paper_is_collected(running: Running) -> None:
    case_id, path = await called(running, lane="shien_kaigi_art9", members=[member(NPO)])
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3, evidence={"mental": ILL})
    await do(running.as_(NPO), f"{path}/problems", {"need": "health", "covered_by": [], "could": [], "note": HOME})
    sheet = await page(running.as_(NPO), path, "sheet")
    keep("sheet-art9", sheet)
    assert (HOME in sheet, ILL in sheet, "この機関に見せられる評価はありません" in sheet) == (True, False, True)
    assert "会議の終わりに回収します" in sheet


async def test_a_joint_rating_asks_members_only_and_one_by_art_9_stays_in_its_meeting(running: Running) -> None:
    case_id, path = await called(running, members=[member(DESK, COUNSELLOR), member(NPO)])
    outside = {"seats": [member(DESK, COUNSELLOR), member(CITY)]}
    refused = await running.as_().post(f"{path}/joint_ratings", outside)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "not_in_conference")
    assert (await running.as_(NPO).post(f"{path}/joint_ratings", {})).status_code == 409
    begun = await do(running.as_(), f"{path}/joint_ratings")
    assert (begun["conference_id"], len(begun["seats"])) == (path[-36:], 2)
    answer = await call(running.as_(), running, case_id, lane="shien_kaigi_art9")
    path = f"/v1/conferences/{answer.json()['conference_id']}"
    before = len(await running.told())
    joint = f"/v1/joint_ratings/{(await do(running.as_(), f'{path}/joint_ratings'))['joint_id']}"
    await do(running.as_(), f"{joint}/levels", {"profession": COUNSELLOR, "levels": levels(2, 2, 3, 4, 3)})
    await do(running.as_(NPO), f"{joint}/levels", {"profession": SUPPORTER, "levels": levels(4, 2, 3, 3, 3)})
    await do(running.as_(), f"{joint}/agreed", {"levels": levels(3, 2, 3, 3, 3)})
    assert len(await running.told()) == before
    assert await running.rows("SELECT 1 FROM co_rating") == []
    assert await running.rows("SELECT 1 FROM assessment") == []
