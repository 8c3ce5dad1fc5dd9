"""Files as careless and malicious people send them. The directory's import stands for all: they share one way in."""

import asyncio
import time
from typing import Any

import pytest

from shared.auth import Role
from tests.service.referral_region import AGENCIES
from tests.world import Caller, Running, World

CSV = {"Content-Type": "text/csv"}
PATH = "/v1/agency-imports"
NUMBER = "123456789018"
HEADER, FIRST, *_ = AGENCIES.splitlines()


@pytest.fixture
def referral(world: World) -> Running:
    return world.service("referral")


@pytest.fixture
def keeper(referral: Running) -> Caller:
    return referral.as_("kagoshima-city", Role.DIRECTORY)


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
async def test_what_cannot_be_read_with_certainty_is_refused(keeper: Caller, content: bytes) -> None:
    assert (await check(keeper, content)).status_code == 422


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
