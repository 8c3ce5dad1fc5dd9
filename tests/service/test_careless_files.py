"""Files as careless and malicious people send them. The directory's import stands for all: they share one way in."""

import asyncio
import csv
import io
import json
import time
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.service.referral_region import AGENCIES, keeper_of
from tests.world import Caller, Running

CSV = {"Content-Type": "text/csv"}
PATH = "/v1/agency-imports"
NUMBER = "123456789018"
HEADER, FIRST, *_ = AGENCIES.splitlines()


@pytest.fixture
def keeper(referral: Running) -> Caller:
    return keeper_of(referral)


async def check(keeper: Caller, content: str | bytes) -> Any:
    return await keeper.post(PATH, content=content.encode() if isinstance(content, str) else content, headers=CSV)


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{FIRST.replace('桜の会', '桜の会 1234-5678-9018')}",
        f"{HEADER},個人番号\n{FIRST},{NUMBER}",
        f"{HEADER},備考\n{FIRST}\n,,,,,,,,,,あ {NUMBER}",
        f"{HEADER},{NUMBER}\n{FIRST},x",
    ],
    ids=["in a name", "in a column nobody asked for", "in a row without anything else", "as a column's name"],
)
async def test_of_a_file_with_a_my_number_nothing_is_kept(referral: Running, keeper: Caller, content: str) -> None:
    answer = await check(keeper, content)
    assert answer.status_code == 422
    assert {error["code"] for error in answer.json()["errors"]} == {"personal_number"}
    assert NUMBER not in answer.text
    for table in ("import_file", "idempotency", "agency"):
        assert await referral.rows(f"SELECT FROM {table}") == []


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{FIRST}".encode("utf-16"),
        HEADER.encode() + b"\n" + FIRST.encode("cp932"),
        b"\xef\xbb\xbf\xef\xbb\xbf" + AGENCIES.encode(),
        f"{HEADER},agency_id\n{FIRST},another".encode(),
        f"{HEADER},{HEADER}\n".encode(),
        AGENCIES.replace("桜", "\x00").encode(),
        f'{HEADER}\n"'.encode(),
        b"\r\n",
        b"",
    ],
    ids=["UTF-16", "half cp932", "two BOMs", "alias", "twice", "NUL", "open quote", "blank", "empty"],
)
async def test_what_cannot_be_read_with_certainty_is_refused(referral: Running, keeper: Caller, content: bytes) -> None:
    assert (await check(keeper, content)).status_code == 422
    assert await referral.rows("SELECT FROM import_file") == []


async def test_lines_may_end_as_they_like(keeper: Caller) -> None:
    assert (await check(keeper, AGENCIES.replace("\r\n", "\n").replace("\n", "\r"))).json()["created"] == 2


async def test_megabytes_of_empty_lines_keep_nobody_waiting(keeper: Caller) -> None:
    began = time.process_time()
    assert (await check(keeper, HEADER.encode() + b"\n" * 8_000_000)).status_code == 422
    assert time.process_time() - began < 2


@pytest.mark.parametrize("cell", ["=1+1", "+81", "@x", "＝1+1", "＠x"])
async def test_the_error_file_runs_nothing(keeper: Caller, cell: str) -> None:
    content = f"{HEADER},{cell}\n{FIRST.replace('桜の会', cell).replace('462012 462187', '')},{cell}"
    report = (await check(keeper, content)).json()
    assert report["rejected"] == 1
    lines = (await keeper.get(f"{PATH}/{report['import_id']}/errors.csv")).text.splitlines()
    assert len(lines) == 2
    assert all(f",{cell}" not in line for line in lines)
    assert all(f",'{cell}" in line for line in lines)


async def test_of_two_files_with_the_same_new_rows_one_creates_and_the_other_finds_them(keeper: Caller) -> None:
    checks = await asyncio.gather(*(check(keeper, AGENCIES) for _ in range(4)))
    assert [answer.json()["created"] for answer in checks] == [2] * 4
    taken = await asyncio.gather(
        *(keeper.post(f"{PATH}/{answer.json()['import_id']}/commit", json={}) for answer in checks)
    )
    assert [answer.status_code for answer in taken] == [200] * 4
    assert sorted(answer.json()["created"] for answer in taken) == [0, 0, 0, 2]


# --- many errors, many rows -----------------------------------------------------------------------------------------


def many(rows: int, *, wrong: int = 0) -> str:
    """A file of so many agencies, the last ones wrong in two cells."""
    lines = [FIRST.replace("sakura-npo", f"npo-{number:05}") for number in range(rows)]
    lines[rows - wrong :] = [
        line.replace("462012 462187", "だめ").replace("npo,462012", "npo,x") for line in lines[:wrong]
    ]
    return "\n".join((HEADER, *lines))


async def commit(keeper: Caller, report: Any, *, key: str | None = None, **body: Any) -> Any:
    return await keeper.post(f"{PATH}/{report['import_id']}/commit", body, key=key)


async def test_of_many_errors_the_report_lists_some_and_counts_all_and_the_error_file_has_them(
    referral: Running, keeper: Caller
) -> None:
    answer = await check(keeper, many(20_000, wrong=19_999))
    report = answer.json()
    assert (report["rows"], report["created"], report["rejected"], report["errors_total"]) == (
        20_000,
        1,
        19_999,
        39_998,
    )
    assert (len(report["errors"]), report["errors"][0]["row"], report["errors"][-1]["row"]) == (200, 3, 102)
    assert "39,798 more" in report["errors_note"]
    assert "39,798件" in report["errors_note_ja"]
    assert len(answer.content) < 100_000
    ((kept,),) = await referral.rows("SELECT length(report::text) FROM import_file")
    assert kept < 1_000_000
    where = f"{PATH}/{report['import_id']}"
    assert (await keeper.get(where)).json() == report
    _, first, *others = csv.reader(io.StringIO((await keeper.get(f"{where}/errors.csv")).text, newline=""))
    assert first[-1] == ""
    assert len(others) == 19_999
    words = "全国地方公共団体コード(6桁)ではありません"
    assert {row[-1] for row in others} == {f"所在地コード: {words} / 対象地域コード: {words}"}


async def test_few_errors_are_all_listed(keeper: Caller) -> None:
    report = (await check(keeper, many(101, wrong=100))).json()
    assert (len(report["errors"]), report["errors_total"], report["errors_note"]) == (200, 200, None)


async def test_a_cell_of_any_length_makes_no_long_report(keeper: Caller) -> None:
    answer = await check(keeper, f"{HEADER},{'あ' * 50_000}\n{FIRST},{'い' * 50_000}")
    assert answer.json()["created"] == 1
    assert len(answer.content) < 3_000


async def test_a_dry_run_of_many_chunks_leaves_nothing_and_promises_what_the_commit_does(
    referral: Running, keeper: Caller
) -> None:
    known = (await check(keeper, many(700))).json()
    assert await referral.rows("SELECT FROM agency") == []
    assert (await commit(keeper, known)).json()["created"] == 700
    changed = many(1300, wrong=30).replace("npo-00005,7000012050002", "npo-00005,")
    promised = (await check(keeper, changed)).json()
    done = (await commit(keeper, promised, skip_rejected=True)).json()
    counts = ("rows", "created", "updated", "unchanged", "rejected", "errors_total")
    assert [promised[name] for name in counts] == [done[name] for name in counts] == [1300, 570, 1, 699, 30, 60]
    assert len(await referral.rows("SELECT FROM agency")) == 1270


async def test_a_row_twice_in_a_file_is_one_record_and_a_contradiction_is_none(
    referral: Running, keeper: Caller
) -> None:
    other = FIRST.replace("sakura-npo", "ume-npo")
    lines = (HEADER, FIRST, FIRST, other, other.replace("桜の会", "梅の会"), FIRST)
    report = (await check(keeper, "\n".join(lines))).json()
    assert (report["created"], report["updated"], report["unchanged"], report["rejected"]) == (1, 0, 2, 2)
    assert [(error["row"], error["column"], error["code"]) for error in report["errors"]] == [
        (4, "機関ID", "contradicts_another_row"),
        (5, "機関ID", "contradicts_another_row"),
    ]
    assert "桜の会" not in json.dumps(report["errors"], ensure_ascii=False)
    assert (await commit(keeper, report)).status_code == 409
    assert (await commit(keeper, report, skip_rejected=True)).json()["created"] == 1
    assert [tuple(row) for row in await referral.rows("SELECT agency_id, version FROM agency")] == [("sakura-npo", 1)]


async def test_a_file_of_which_nothing_can_be_taken_stays_open(referral: Running, keeper: Caller) -> None:
    report = (await check(keeper, many(3, wrong=3))).json()
    for skip in (False, True):
        answer = await commit(keeper, report, skip_rejected=skip)
        assert (answer.status_code, answer.json()["code"], len(answer.json()["errors"])) == (409, "conflict", 6)
    assert [tuple(row) for row in await referral.rows("SELECT committed_at FROM import_file")] == [(None,)]


async def test_a_refused_commit_says_how_many_rows_and_takes_none(referral: Running, keeper: Caller) -> None:
    report = (await check(keeper, many(600, wrong=50))).json()
    answer = await commit(keeper, report)
    assert (answer.status_code, len(answer.json()["errors"])) == (409, 20)
    assert "50 of 600" in answer.json()["detail"]
    assert "600行のうち50行" in answer.json()["detail_ja"]
    assert await referral.rows("SELECT FROM agency") == []


# --- twice, and at once ---------------------------------------------------------------------------------------------


async def test_a_commit_sent_again_with_its_key_gets_the_same_answer_and_with_another_is_told(keeper: Caller) -> None:
    report = (await check(keeper, AGENCIES)).json()
    key = str(uuid4())
    first, again = await commit(keeper, report, key=key), await commit(keeper, report, key=key)
    assert (first.json(), again.json()["created"]) == (again.json(), 2)
    assert again.headers["Idempotency-Replayed"] == "true"
    another = await commit(keeper, report)
    assert (another.status_code, another.json()["detail_ja"]) == (409, "このファイルは取込済みです。")


async def test_of_two_commits_of_one_file_at_once_one_takes_it_in(referral: Running, keeper: Caller) -> None:
    report = (await check(keeper, many(600))).json()
    answers = await asyncio.gather(*(commit(keeper, report) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert {row["version"] for row in await referral.rows("SELECT version FROM agency")} == {1}


async def test_the_report_of_a_file_that_version_0_1_0_took_is_still_read(referral: Running, keeper: Caller) -> None:
    report = (await check(keeper, many(2, wrong=1))).json()
    old = {
        name: value for name, value in report.items() if name not in {"errors_total", "errors_note", "errors_note_ja"}
    }
    async with referral.database.transaction() as session:
        await session.execute(text("UPDATE import_file SET report = CAST(:old AS jsonb)"), {"old": json.dumps(old)})
    where = f"{PATH}/{report['import_id']}"
    assert (await keeper.get(where)).json() == report
    assert "対象地域コード" in (await keeper.get(f"{where}/errors.csv")).text.splitlines()[-1]
