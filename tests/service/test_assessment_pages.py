"""A radar and its table twin, to look at and to print; codes only, and nothing that runs."""

from uuid import uuid4
from xml.etree import ElementTree as ET

from tests.service.assessment_room import NPO, known_case, rate
from tests.world import World

SVG = "{http://www.w3.org/2000/svg}"


async def test_the_radar_draws_first_and_last_and_says_what_it_shows(world: World) -> None:
    running = world.service("assessment")
    case_id = await known_case(running)
    path = f"/v1/cases/{case_id}/progress.svg"
    assert (await running.as_().get(path)).status_code == 404
    await rate(running.as_(), case_id, 1, 2, 3, 4, 5, rated_at="2026-04-01T10:00:00+09:00")
    await rate(running.as_(), case_id, 3, 3, "not_observed", 4, 5)
    answer = await running.as_().get(path)
    assert answer.headers["Content-Type"].startswith("image/svg+xml")
    drawn = ET.fromstring(answer.text)  # noqa: S314 - our own drawing
    shapes = [each.get("points", "").split() for each in drawn.iter(f"{SVG}polygon")]
    assert [len(points) for points in shapes] == [5] * 6  # five rings and the first: the last is open, and not filled
    assert shapes[5][0] == "0.0,-20.0"  # level 1 of 5 on the first axis, which points up
    corners = [(each.get("cx"), each.get("cy")) for each in drawn.iter(f"{SVG}circle")]
    assert (len(corners), corners[5]) == (5 + 4, ("0.0", "-60.0"))
    sides = [each for each in drawn.iter(f"{SVG}line") if each.get("stroke") == "#000"]
    assert len(sides) == 5 + 3
    words = "".join(drawn.itertext())
    assert all(
        axis in words for axis in ("対人関係", "メンタル", "ストレス", "思考", "環境", "最初 2026-04-01", "最新")
    )


async def test_the_page_to_print_has_the_table_twin_and_runs_nothing(world: World) -> None:
    running = world.service("assessment")
    case_id = await known_case(running)
    path = f"/v1/cases/{case_id}/progress.html"
    empty = await running.as_().get(path)
    assert (empty.status_code, "まだ評価がありません" in empty.text) == (200, True)
    await rate(running.as_(), case_id, 1, 2, 3, 4, 5, rated_at="2026-04-01T10:00:00+09:00")
    await rate(running.as_(), case_id, 3, 3, "not_observed", 4, 5, evidence={"mental": "<script>眠れない</script>"})
    page = await running.as_().get(path)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "<script" not in page.text
    assert "眠れない" not in page.text
    for words in (
        "令和8年4月1日(2026-04-01)",
        "+2",
        "+1",
        "±0",
        "—",
        "観察できず",
        "S.S.F. の公式の文言ではありません",
    ):
        assert words in page.text
    assert "長期化のおそれ:未判定" in page.text


async def test_the_page_is_for_whom_the_ratings_are(world: World) -> None:
    running = world.service("assessment")
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 3, 3, 3, 3, 3)
    assert (await running.as_(NPO).get(f"/v1/cases/{case_id}/progress.html")).status_code == 403
    assert (await running.as_(NPO).get(f"/v1/cases/{uuid4()}/progress.html")).status_code == 404
    odd = await running.as_().get(f"/v1/cases/{case_id}/progress.html", params={"instrument": "tarot"})
    assert odd.status_code == 404
