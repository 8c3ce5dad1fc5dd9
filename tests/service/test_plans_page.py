"""A plan on paper: everything of its version, room for what is still to come, and nothing that a page could run."""

import base64
import hashlib
import re

import pytest

from services.assessment.domain import plan as domain
from services.assessment.pages.plan import WORDS
from shared.service.exports import in_era
from tests.service.assessment_room import NPO, consented, known_case
from tests.service.plan_room import (
    GOAL,
    NPO_LINE,
    PROBLEMS,
    body,
    city,
    drafted,
    in_force,
    line,
    move,
    revise,
    today,
)
from tests.world import KIRISHIMA, Caller, Running, World


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


async def page(caller: Caller, plan_id: str, version: int | None = None) -> str:
    answer = await caller.get(
        f"/v1/plans/{plan_id}/sheet.html", params={} if version is None else {"version": str(version)}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.text


async def test_a_decided_plan_stands_on_paper_as_a_whole(running: Running) -> None:
    plan_id = (await in_force(running, await known_case(running)))["plan_id"]
    html = await page(running.as_(), plan_id)
    day = f"{in_era(today())}({today().isoformat()})"
    for words in (
        PROBLEMS,
        GOAL,
        NPO_LINE,
        NPO,
        "work-readiness",
        "長女が同席した。",
        "無理のない計画である。",
        "r8-123",
    ):
        assert words in html
    for words in (f"{day}、書面で同意", f"{day}:適切", f"{day}:支援決定(kagoshima-city)", "本人の署名"):
        assert words in html
    assert "案です" not in html
    rows = await running.rows("SELECT fields FROM access_log WHERE action = 'read' ORDER BY id")
    assert [sorted(row["fields"]) for row in rows] == [
        ["plan_goal", "plan_lines", "plan_problems"],
        ["plan_opinion", "plan_witness"],
    ]


async def test_a_draft_says_that_it_is_one_and_leaves_room_to_write_and_sign(running: Running) -> None:
    plan_id = (await drafted(running, await known_case(running)))["plan_id"]
    html = await page(running.as_(), plan_id)
    assert "案です。この版には、本人の同意がまだありません" in html
    assert html.count('class="line"') == 3
    assert "説明を受け、同意します" in html
    await move(running.as_(), plan_id, "agree")
    await revise(running.as_(), plan_id, body(goal="別の目標。"))
    assert "案です" in await page(running.as_(), plan_id)
    assert "案です" not in await page(running.as_(), plan_id, 1)
    assert "別の目標" not in await page(city(running), plan_id)


async def test_what_people_wrote_stays_text_and_nothing_on_the_page_runs_or_loads(running: Running) -> None:
    sly = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    content = body(line("person", sly, "daily"), problems=sly, goal=sly)
    plan_id = (await drafted(running, await known_case(running), content))["plan_id"]
    await move(running.as_(), plan_id, "agree", witness=sly)
    answer = await running.as_().get(f"/v1/plans/{plan_id}/sheet.html")
    assert answer.text.count("&lt;script&gt;") == 4
    assert not re.search(r"<(script|img|link|iframe|form)|\son\w+=\"|https?://|@import|url\(", answer.text)
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.headers["Content-Security-Policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


async def test_the_page_is_for_whoever_reads_the_whole_plan_and_leaves_out_what_consent_leaves_out(
    running: Running,
) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id))["plan_id"]
    path = f"/v1/plans/{plan_id}/sheet.html"
    assert (await running.as_("kagoshima-shakyo").get(path)).status_code == 403
    far = running.as_("kirishima-desk", municipalities=[KIRISHIMA])
    assert (await far.get(path)).status_code == 404
    assert PROBLEMS in await page(city(running), plan_id)
    await consented(running, case_id, NPO, categories=("contact",))
    assert (await running.as_(NPO).get(f"/v1/plans/{plan_id}/content")).json()["withheld"] == ["problems", "lines"]
    assert (await running.as_(NPO).get(path)).status_code == 403
    await consented(running, case_id, "kagoshima-shakyo", version=2)
    html = await page(running.as_("kagoshima-shakyo"), plan_id)
    assert GOAL in html
    for words in (PROBLEMS, "長女", "無理のない"):
        assert words not in html
    assert html.count("同意の範囲に含まれないため") == 3


def test_every_code_has_its_word_on_paper() -> None:
    for name, words in WORDS.items():
        assert words.keys() == {str(member) for member in getattr(domain, name)}, name
