"""A CSV file before it meets the database: what can be read, what is wrong with its rows, what goes back."""

import csv
import io
import json
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import BeforeValidator, Field

from shared.codes import Code, FreeText
from shared.problems import Problem
from shared.service.failures import _OTHER, _WORDS
from shared.service.imports import Fault, FileRow
from shared.service.imports.faults import Faults
from shared.service.imports.rows import Rows, look_through
from shared.service.imports.sheet import MAX_BYTES, read_sheet, write_sheet

HEADER = "番号,名称,人数,電話,市町村"
MY_NUMBER = "123456789018"


class Place(FileRow):
    """A line with a text, a number, something that looks like a number, and a cell of many codes."""

    key: ClassVar = ("number",)

    number: Code = Field(alias="番号")
    name: FreeText = Field(alias="名称")
    seats: int = Field(alias="人数", ge=0)
    phone: str | None = Field(alias="電話", default=None)
    codes: Annotated[tuple[Code, ...], BeforeValidator(lambda cell: tuple(cell.split()))] = Field(
        alias="市町村", default=()
    )


def looked(*lines: str, header: str = HEADER) -> Rows[Place]:
    return look_through("\n".join((header, *lines)).encode(), Place)


def told(found: Rows[Place]) -> list[tuple[int, str | None, str]]:
    return [(row, fault.column, fault.code) for row, fault in found.faults.first(1000)]


def refused(content: bytes) -> dict[str, Any]:
    with pytest.raises(Problem) as found:
        look_through(content, Place)
    return found.value.members


# --- what can't be read at all --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "english", "japanese"),
    [
        (b"", "the header line is missing", "見出しの行がありません"),
        (b",,\r\nwitty,1,2", "the header line is missing", "見出しの行がありません"),
        (HEADER.encode(), "there is no row under the header", "見出しの下に行がありません"),
        (f"{HEADER}\n,,,\n  \n".encode(), "there is no row under the header", "見出しの下に行がありません"),
        (f"{HEADER},名称\na,witty,1".encode(), "a column name appears twice", "同じ列名が二つあります"),
        (f"{HEADER},name\na,witty,1".encode(), "by two names", "二つの名前で書かれています"),
        ("番号,人数,witty\na,1,x".encode(), "columns are missing: 名称", "列がありません: 名称"),
        (f"{HEADER}\na,wit\x00ty,1".encode(), "NUL", "NUL"),
        (b"\xef\xbb\xbf" + f"{HEADER}\na,機知witty,1".encode("cp932"), "as UTF-8, but is not (at byte 3)", "BOM"),
        (f"{HEADER}\na,witty,1".encode("utf-16"), "neither UTF-8 nor cp932", "UTF-8でもcp932"),
        ("番号,氏名\n1,架空 花子".encode("euc-jp"), "as UTF-8 or Shift_JIS (CP932)", "Shift_JIS(CP932)で保存し直して"),
        ("ふりがな\nあ".encode("euc-jp"), "as UTF-8 or Shift_JIS (CP932)", "Shift_JIS(CP932)で保存し直して"),
        (f"{HEADER}\na,架空 花子,1".encode("euc-jp"), "written in EUC-JP", "文字コードが EUC-JP です"),
        (f"{HEADER}\na,架空 花子,1".encode("iso2022_jp"), "written in ISO-2022-JP", "ISO-2022-JP (JIS) です"),
        (f'{HEADER}\na,"witty,1'.encode(), "not a CSV file", "引用符"),
        (f'{HEADER}\na,"witty"x,1'.encode(), "not a CSV file", "引用符"),
        (f"{HEADER}\na,".encode() + b"w" * (MAX_BYTES - 100), "131,072 characters", "131,072文字"),
        (f"{HEADER}\n".encode() + b"a,witty,1\n" * 20_001, "more than 20,000 rows", "20,000行を超えています"),
        (f"{HEADER}\na,witty,1".encode() + b"\n" * 100_001, "more than 100,000 lines", "100,000行を超えています"),
        (f"{HEADER}\na,witty,1{',' * 10_000}".encode(), "more than 10,000 cells", "10,000個を超える"),
        (",".join(f"witty{n}" for n in range(201)).encode(), "more than 200 columns", "200列を超えています"),
    ],
    ids=[
        "empty", "blank header", "header only", "blank rows only", "column twice", "by its other name",
        "missing column", "NUL", "BOM before cp932", "UTF-16",
        "EUC-JP", "EUC-JP that could be read as cp932", "EUC-JP that could not", "ISO-2022-JP",
        "open quote", "quote inside", "one huge cell",
        "20,001 rows", "empty lines", "10,001 cells", "201 columns",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_in_both_languages_and_nothing_is_echoed(
    content: bytes, english: str, japanese: str
) -> None:
    problem = refused(content)
    assert (problem["status"], problem["code"]) == (422, "invalid")
    assert english in problem["detail"]
    assert japanese in problem["detail_ja"]
    assert "witty" not in json.dumps(problem)


def test_a_file_may_have_twenty_thousand_rows_and_a_row_ten_thousand_cells() -> None:
    found = looked(*(f"a{number},名,1" for number in range(19_999)), f"b,名,1{',x' * 9_997}")
    assert (len(found.good), told(found)) == (19_999, [(20_001, None, "too_many_cells")])


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert read_sheet(b"\xef\xbb\xbf" + HEADER.encode() + b"\na").header[0] == "番号"


def test_empty_columns_beside_the_table_are_nothing_wrong() -> None:
    found = looked("a,名,1,,,,,", "b,名,2,,,", header=f"{HEADER},,,")
    assert ([number for number, _ in found.good], told(found)) == ([2, 3], [])


def test_a_row_is_counted_as_the_spreadsheet_counts_it() -> None:
    found = looked('a,"一行目\n二行目\n\n",1', "", "b,名,だめ")
    assert [(number, row.name) for number, row in found.good] == [(2, "一行目\n二行目")]
    assert told(found) == [(4, "人数", "int_parsing")]


# --- what is wrong with a row ---------------------------------------------------------------------------------------


def test_every_wrong_cell_of_a_row_is_told_once_however_much_is_wrong_in_it() -> None:
    found = looked("だめ,名,-1,,あ い う え お")
    assert told(found) == [
        (2, "番号", "string_pattern_mismatch"),
        (2, "人数", "greater_than_equal"),
        (2, "市町村", "string_pattern_mismatch"),
    ]


def test_a_cell_too_long_for_anything_is_not_searched_further() -> None:
    assert told(looked(f"a,名,1,,{'あ ' * 3000}")) == [(2, "市町村", "string_too_long")]


def test_the_same_row_twice_is_taken_once() -> None:
    found = looked("a,名,1", "b,名,1", " a , 名,01")
    assert ([number for number, _ in found.good], found.repeats, told(found)) == ([2, 3], {4: 2}, [])


def test_rows_that_contradict_one_another_are_all_refused_with_each_others_number() -> None:
    found = looked("a,名,1", "b,名,1", "a,名,2", "a,名,1")
    assert ([number for number, _ in found.good], found.repeats) == ([3], {})
    words = found.faults.words()
    assert words == {
        2: "番号: 4行目にも同じ番号があり、内容が違います",
        4: "番号: 2行目にも同じ番号があり、内容が違います",
        5: "番号: 2行目にも同じ番号があり、内容が違います",
    }


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (f"a,名 {MY_NUMBER},1", "名称"),
        (f"{MY_NUMBER}あ,名,1", "番号"),
        (f"a,名,{MY_NUMBER}x", "人数"),
        (f"a,名,1,,,{MY_NUMBER}", None),
        ("a,名,1,,,x,1234-5678-9018", None),
        (f"a,名,1,,{MY_NUMBER} だめ", "市町村"),
        (f"a,{MY_NUMBER}{'あ' * 4001},1", "名称"),
        ("a,⑫34⑤⑥78⑨0⑱,1", "名称"),
    ],
    ids=["text", "code", "number", "nobody's column", "beyond the columns", "codes", "too long", "circled"],
)
def test_a_my_number_anywhere_refuses_the_whole_file(line: str, column: str | None) -> None:
    problem = refused(f"{HEADER},備考\n{line}".encode())
    assert [(error["row"], error["column"], error["code"]) for error in problem["errors"]] == [
        (2, column, "personal_number")
    ]
    assert MY_NUMBER not in json.dumps(problem)


def test_a_my_number_in_the_error_column_of_an_earlier_round_is_seen_too() -> None:
    problem = refused(f"{HEADER},エラー\na,名,1,,,{MY_NUMBER}".encode())
    assert [(error["row"], error["column"]) for error in problem["errors"]] == [(2, None)]


def test_a_telephone_number_of_twelve_digits_is_one_also_beside_a_wrong_cell() -> None:
    assert told(looked(f"a,名,だめ,+{MY_NUMBER}")) == [(2, "人数", "int_parsing")]


# --- what goes back -------------------------------------------------------------------------------------------------


def cells(content: bytes, encoding: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(encoding), newline="")))


def test_every_character_of_cp932_comes_back() -> None:
    every = []
    for lead in range(256):
        for raw in (bytes([lead]), *(bytes([lead, trail]) for trail in range(256))):
            try:
                character = raw.decode("cp932")
            except UnicodeDecodeError:
                continue
            if len(character) == 1 and character not in '\x00"\r\n':
                every.append(character)
    content = f'番号,名称,人数\n"{"".join(every)}",名,1'.encode("cp932")
    assert len(every) > 7000
    (_, (cell, *_)) = cells(write_sheet(read_sheet(content), {}), "cp932")
    assert cell == "".join(every)


def test_words_that_the_encoding_does_not_have_cost_no_error_file() -> None:
    sheet = read_sheet(f"{HEADER}\na,名,1".encode("cp932"))
    assert cells(write_sheet(sheet, {2: "受け付けません〜😀"}), "cp932")[1][-1] == "受け付けません～?"


def test_our_own_words_can_all_be_written_in_cp932() -> None:
    for _, japanese in (*_WORDS.values(), _OTHER):
        assert japanese.encode("cp932").decode("cp932") == japanese


def test_an_error_file_sent_back_has_one_error_column_again() -> None:
    sheet = read_sheet("番号,エラー,名称,人数\na,前の,名,だめ\n,前の".encode())
    again = read_sheet(write_sheet(sheet, {2: "人数: 受け付けられない値です"}))
    assert cells(write_sheet(again, {2: "まだ"}), "utf-8-sig") == [
        ["番号", "名称", "人数", "エラー"],
        ["a", "名", "だめ", "まだ"],
    ]
    found = looked("a,名,1,前の", ",,,前の", header="番号,名称,人数,エラー")
    assert ([number for number, _ in found.good], told(found), found.ignored_columns) == ([2], [], [])


def test_what_is_said_of_a_row_with_too_many_cells_stands_in_the_error_column() -> None:
    sheet = read_sheet(f"{HEADER}\na,名,1,,,=x,y".encode())
    assert cells(write_sheet(sheet, {2: "多い"}), "utf-8-sig")[1] == ["a", "名", "1", "", "", "多い", "'=x", "y"]


# --- many faults ----------------------------------------------------------------------------------------------------


def test_twenty_thousand_rows_with_three_faults_each_are_kept_whole_in_little_room() -> None:
    found = looked(*["だめ,名,-1,,あ"] * 20_000)
    assert (found.faults.total, len(found.faults.rows)) == (60_000, 20_000)
    kept = json.dumps(found.faults.kept())
    assert len(kept) < 500_000
    assert Faults.read(json.loads(kept)).words() == found.faults.words()
    assert [row for row, _ in found.faults.first(7)] == [2, 2, 2, 3, 3, 3, 4]


def test_the_uppermost_faults_come_first_whatever_was_found_first() -> None:
    faults = Faults()
    for row, code in ((9, "a"), (2, "b"), (9, "c"), (3, "a")):
        faults.add(row, [Fault(None, code, "", "")])
    assert [(row, fault.code) for row, fault in faults.first(3)] == [(2, "b"), (3, "a"), (9, "a")]
