"""Files for Japanese offices: era days, words, marks; what cp932 lacks is named by its place and never lost."""

import csv
import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.handlers.exports import FIELDS_OF
from shared.problems import Problem
from shared.service.exports import Encoding, across, csv_answer, down, in_era, read_layout

LAYOUTS = Path(__file__).resolve().parents[2] / "services/intake/layouts"
FIELDS = {"name", "topics", "born", "at", "urgent"}
LAYOUT = """
title = "一覧"
[[column]]
heading = "氏名"
field = "name"
[[column]]
heading = "相談内容"
field = "topics"
words = "topic"
[[column]]
heading = "債務"
field = "topics"
mark = "debt"
[[column]]
heading = "生年月日"
field = "born"
form = "era"
[[column]]
heading = "受付"
field = "at"
[[column]]
heading = "緊急"
field = "urgent"
[words.topic]
debt = "債務のこと"
"""
ROW: dict[str, Any] = {
    "name": "架空 花子",
    "topics": ("debt", "new_code"),
    "born": date(1985, 4, 1),
    "at": datetime(2026, 11, 28, 15, 30, tzinfo=UTC),
    "urgent": True,
}


def read(body: bytes, codec: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode(codec), newline="")))


def test_a_line_shows_words_marks_eras_and_the_time_in_japan() -> None:
    lines = across(read_layout(LAYOUT, FIELDS), [ROW])
    assert lines == [
        ["氏名", "相談内容", "債務", "生年月日", "受付", "緊急"],
        ["架空 花子", "債務のこと、new_code", "○", "昭和60年4月1日", "2026-11-29 00:30", "○"],
    ]
    assert down(read_layout(LAYOUT, FIELDS), {})[0] == ["氏名", ""]


@pytest.mark.parametrize(
    ("day", "written"),
    [
        (date(2019, 4, 30), "平成31年4月30日"),
        (date(2019, 5, 1), "令和元年5月1日"),
        (date(2026, 11, 29), "令和8年11月29日"),
        (date(1989, 1, 7), "昭和64年1月7日"),
        (date(1989, 1, 8), "平成元年1月8日"),
        (date(1926, 12, 24), "大正15年12月24日"),
        (date(1926, 12, 25), "昭和元年12月25日"),
        (date(1912, 7, 29), "明治45年7月29日"),
        (date(1868, 10, 22), "1868年10月22日"),
    ],
)
def test_a_day_is_written_in_its_era(day: date, written: str) -> None:
    assert in_era(day) == written


@pytest.mark.parametrize(("encoding", "codec"), [(Encoding.CP932, "cp932"), (Encoding.UTF_8, "utf-8-sig")])
@given(
    st.lists(st.lists(st.text('架空花子髙﨑①㈱ｱｲｳ゛～−〜=+-@"\n,、 ', max_size=9), min_size=2, max_size=2), min_size=1)
)
def test_what_went_out_comes_back_whole(encoding: Encoding, codec: str, lines: list[list[str]]) -> None:
    answer = csv_answer("一覧", lines, encoding)
    equal = str.maketrans("〜−", "～－") if encoding is Encoding.CP932 else {}
    back = read(bytes(answer.body), codec)
    expected = [[cell.translate(equal) for cell in line] for line in lines]
    undone = [
        [cell[1:] if cell[:1] == "'" and cell[1:2] in set("=+-@－＝＋＠\n") else cell for cell in line] for line in back
    ]
    assert undone == expected
    if encoding is Encoding.UTF_8:
        assert bytes(answer.body).startswith(b"\xef\xbb\xbf"), "or Excel takes it for cp932"


@given(st.text(min_size=1, max_size=30))
def test_in_cp932_a_character_is_there_or_reported(text: str) -> None:
    try:
        body = bytes(csv_answer("x", [["氏名"], [text]], Encoding.CP932).body)
    except Problem as problem:
        for error in problem.members["errors"]:
            character = chr(int(error["character"].removeprefix("U+"), 16))
            assert character in text
            with pytest.raises(UnicodeEncodeError):
                character.encode("cp932")
    else:
        assert body.decode("cp932").count("?") == text.count("?")


def test_what_cp932_lacks_is_named_with_its_place() -> None:
    with pytest.raises(Problem) as refused:
        csv_answer("x", [["番号", "氏名"], ["1", "架空"], ["2", "𠮷田"]], Encoding.CP932)
    assert refused.value.members["code"] == "not_in_cp932"
    (error,) = refused.value.members["errors"]
    assert (error["row"], error["column"], error["character"]) == (3, "氏名", "U+20BB7")


def test_a_sheet_about_one_person_names_the_field_and_never_what_stands_in_another() -> None:
    lines = down(read_layout(LAYOUT, FIELDS), {"name": "架空 花子", "topics": ("𠮷",)})
    with pytest.raises(Problem) as refused:
        csv_answer("x", lines, Encoding.CP932, downwards=True)
    (error,) = refused.value.members["errors"]
    assert (error["row"], error["column"], error["character"]) == (2, "相談内容", "U+20BB7")
    assert "架空" not in str(refused.value.members)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "title =",
        "column = 3",
        "[[column]]\nfield = 'name'",
        "[[column]]\nheading = '氏名'",
        "[[column]]\nheading = '氏名'\nfield = 'salary'",
        "[[column]]\nheading = '氏名'\nfield = 'name'\nform = 'loud'",
        "[[column]]\nheading = '氏名'\nfield = 'name'\nwords = 'nowhere'",
        "[[column]]\nheading = '氏名'\nfield = 'name'\ncolour = 'red'",
    ],
)
def test_a_layout_that_can_not_be_used_says_why(text: str) -> None:
    with pytest.raises(Problem) as refused:
        read_layout(text, FIELDS)
    assert refused.value.members["code"] == "layout_broken"
    assert refused.value.members["detail_ja"]


def test_the_layouts_that_come_along_can_be_used() -> None:
    assert {path.stem for path in LAYOUTS.glob("*.toml")} == set(FIELDS_OF)
    for name, fields in FIELDS_OF.items():
        assert read_layout((LAYOUTS / f"{name}.toml").read_text("utf-8"), fields).columns
