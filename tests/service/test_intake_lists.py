"""Another agency's list in two steps: three encodings, each line once, nothing of it in the clear, nothing lost."""

import csv
import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.database import BY_SWEEP
from shared.service.imports.keeping import forget_file
from tests.service.intake_counter import in_the_clear
from tests.world import ZAMA, Caller, Running, World

PATH = "/v1/case-imports"
HEADER = "番号,市町村コード,氏名,ふりがな,性別,生年月日,電話番号,相談内容,相談の内容,同意,次の対応\r\n"
FIRST = (
    "A-1,462012,架空 花子,ｶｸｳ ﾊﾅｺ,女性,昭和60年4月1日,090-0000-0001,"
    "病気や健康、障害のこと、債務のこと,架空の話,まだ,電話する\r\n"
)
SECOND = "A-2,462012,,,,,,,,,\r\n"


async def sent(desk: Caller, content: str | bytes) -> Any:
    body = content.encode() if isinstance(content, str) else content
    answer = await desk.post(PATH, content=body, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def committed(desk: Caller, report: Any, **body: Any) -> Any:
    answer = await desk.post(f"{PATH}/{report['import_id']}/commit", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def persons(desk: Caller) -> list[dict[str, str]]:
    cases = await desk.whole("/v1/cases")
    return [(await desk.get(f"/v1/cases/{case['case_id']}/person")).json()["person"] for case in cases]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp932"])
async def test_a_list_opens_a_case_for_each_line_in_any_encoding(world: World, codec: str) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    report = await sent(desk, (HEADER + FIRST + SECOND).encode(codec))
    assert (report["created"], report["rejected"], report["preview"]) == (2, 0, [])
    assert await desk.whole("/v1/cases") == [], "a dry run opens nothing"
    assert await intake.told() == []
    assert (await committed(desk, report))["created"] == 2
    second, first = await desk.whole("/v1/cases")
    assert (first["entrance"], first["holder_agency"], first["topics"]) == (
        "agency_sheet", "kagoshima-desk", ["health", "debt"],
    )  # fmt: skip
    assert (first["consent"]["state"], first["next_step"], second["next_step"]) == (
        "not_yet",
        "電話する",
        "次の対応を決める",
    )
    nobody, somebody = await persons(desk)
    assert somebody == {
        "name": "架空 花子", "kana": "カクウ ハナコ", "sex": "female", "birth_date": "1985-04-01",
        "phone": "090-0000-0001", "story": "架空の話", "next_step": "電話する",
    }  # fmt: skip
    assert nobody == {"next_step": "次の対応を決める"}
    assert len(await intake.told()) >= 2


async def test_a_list_sent_again_opens_none_twice_and_what_differs_is_told(world: World) -> None:
    desk = world.service("intake").as_()
    await committed(desk, await sent(desk, HEADER + FIRST))
    again = await committed(desk, await sent(desk, HEADER + FIRST + SECOND))
    assert (again["created"], again["unchanged"]) == (1, 1)
    moved = await sent(desk, HEADER + FIRST.replace("0001", "0002") + SECOND)
    assert (moved["unchanged"], moved["rejected"], moved["errors"][0]["code"]) == (1, 1, "differs_from_its_case")
    assert len(await desk.whole("/v1/cases")) == 2
    other = world.service("intake").as_("kagoshima-npo")
    assert (await sent(other, HEADER + FIRST))["created"] == 1, "numbers are each agency's own"


async def test_nothing_of_a_list_lies_in_the_clear(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    report = await sent(desk, HEADER + FIRST)
    await committed(desk, report)
    assert await in_the_clear(intake, "架空", "カクウ", "A-1", "090-0000-0001", "1985-04-01") == []


async def test_the_error_file_goes_back_whole_to_whom_it_came_from(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    bad = HEADER + "A-3,462013,架空 三郎,,,2100-02-30,,畑,,,\r\n" + FIRST
    report = await sent(desk, bad.encode("cp932"))
    assert report["rejected"] == 1
    assert {error["column"] for error in report["errors"]} == {"市町村コード", "生年月日", "相談内容"}
    path = f"{PATH}/{report['import_id']}/errors.csv"
    back = await desk.get(path)
    lines = list(csv.reader(io.StringIO(back.content.decode("cp932"), newline="")))
    assert lines[1][2] == "架空 三郎"
    assert "市町村コード" in lines[1][-1]
    assert (await intake.as_("zama-desk", municipalities=[ZAMA]).get(path)).status_code == 404
    assert (await intake.as_("kagoshima-npo").get(path)).status_code == 404
    refused = await desk.post(f"{PATH}/{report['import_id']}/commit", {})
    assert refused.status_code == 409
    assert "架空" not in refused.text
    assert (await committed(desk, report, skip_rejected=True))["created"] == 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("A-4,462012,,,,0206-01-01,,,,,\r\n", "day_out_of_reach"),
        ("A-4,462012,,,,2199-01-01,,,,,\r\n", "in_the_future"),
        ("A-4,462012,\ue000,,,,,,,,\r\n", "gaiji"),
        ("A-4,462012,,,いぬ,,,,,,\r\n", "literal_error"),
        ("A-4,462012,,,,,電話なし,,,,\r\n", "string_pattern_mismatch"),
        ("A-4,462012,,,,,,,,はい,\r\n", "enum"),
    ],
)
async def test_a_line_that_can_not_be_is_told_by_column(world: World, line: str, code: str) -> None:
    report = await sent(world.service("intake").as_(), HEADER + line)
    assert (report["rejected"], report["errors"][0]["code"]) == (1, code)


async def test_a_my_number_in_a_list_refuses_it_whole(world: World) -> None:
    intake = world.service("intake")
    content = (HEADER + "A-5,462012,架空 １２３４ ５６７８ ９０１８,,,,,,,,\r\n").encode()
    answer = await intake.as_().post(PATH, content=content, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 422
    assert "架空" not in answer.text
    assert await intake.rows("SELECT FROM import_file") == []


async def test_a_service_without_periods_of_its_own_ends_a_file_with_its_key_after_thirty_days(world: World) -> None:
    intake: Running = world.service("intake")
    report = await sent(intake.as_(), HEADER + FIRST)
    intake.pass_time(timedelta(days=31))
    async with intake.database.transaction(BY_SWEEP) as session:
        assert await forget_file(session, await intake.desk.clock.now(session))
    assert await intake.rows("SELECT FROM import_file") == []
    assert await intake.rows("SELECT FROM data_key WHERE subject_id = $1", UUID(report["import_id"])) == []


async def test_too_long_a_list_is_to_be_cut(world: World) -> None:
    lines = "".join(f"A-{number},462012,,,,,,,,,\r\n" for number in range(2_001))
    answer = (
        await world.service("intake")
        .as_()
        .post(PATH, content=(HEADER + lines).encode(), headers={"Content-Type": "text/csv"})
    )
    assert answer.status_code == 422
    assert "2,000" in answer.json()["detail"]
