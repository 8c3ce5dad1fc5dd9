"""Japan's public codes, with the right and wrong examples of their sources, and the number that must not be kept."""

import csv
import random
import unicodedata
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

import shared.codes
from shared.codes import (
    AgencyId,
    Code,
    CorporateNumber,
    FreeText,
    MomentAsWritten,
    MunicipalityCode,
    holds_my_number,
    is_corporate_number,
    is_municipality_code,
    is_my_number,
    place_name,
)

NUMBER = "123456789018"
"""The documented fictitious example."""


@pytest.mark.parametrize(
    "code", ["130001", "271004", "142166", "412015", "011002", "110001", "090000", "462012", "462187"]
)
def test_a_right_municipality_code(code: str) -> None:
    assert is_municipality_code(code)
    for place in range(6):
        for digit in "0123456789":
            wrong = code[:place] + digit + code[place + 1 :]
            if place == 5 and wrong != code:
                assert not is_municipality_code(wrong)


@pytest.mark.parametrize("code", ["", "13000", "1300010", "13000a", "１３０００１", " 130001", "130001\n", "13-0001"])
def test_what_is_no_municipality_code(code: str) -> None:
    assert not is_municipality_code(code)
    with pytest.raises(ValidationError):
        TypeAdapter(MunicipalityCode).validate_python(code)


def test_the_list_of_places_is_whole_and_its_codes_are_right() -> None:
    """47 prefectures, 1,741 municipalities and six villages of the northern territories (総務省)."""
    with (Path(shared.codes.__file__).with_name("municipalities.csv")).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["code"] for row in rows}) == 47 + 1741 + 6
    assert all(is_municipality_code(row["code"]) for row in rows)
    assert sum(not row["municipality"] for row in rows) == 47
    assert len({row["code"][:2] for row in rows}) == 47


@pytest.mark.parametrize(
    ("code", "name"),
    [("462012", "鹿児島市"), ("142166", "座間市"), ("011002", "札幌市"), ("130001", "東京都"), ("46", "鹿児島県"),
     ("462022", "462022"), ("", "")],
)  # fmt: skip
def test_a_place_has_its_name_or_else_its_code(code: str, name: str) -> None:
    assert place_name(code) == name


@pytest.mark.parametrize("number", ["7000012050002", "8000020130001", "6000020271004"])
def test_a_right_corporate_number(number: str) -> None:
    assert is_corporate_number(number)
    assert not is_corporate_number(str((int(number[0]) + 1) % 10) + number[1:])
    assert TypeAdapter(CorporateNumber).validate_python(number) == number


def test_modulo_nine_takes_nought_for_nine() -> None:
    assert is_corporate_number("7009012050002")


@pytest.mark.parametrize("number", ["", "700001205000", "70000120500020", "７000012050002", "0000000000000"])
def test_what_is_no_corporate_number(number: str) -> None:
    assert not is_corporate_number(number)


def test_the_check_digit_of_my_number() -> None:
    assert is_my_number(NUMBER)
    assert [digit for digit in "0123456789" if is_my_number(NUMBER[:11] + digit)] == ["8"]
    draw = random.Random(1)
    share = sum(is_my_number(f"{draw.randrange(10**12):012d}") for _ in range(20_000)) / 20_000
    assert 0.08 < share < 0.12


WRITTEN = {
    "plain": "123456789018",
    "full width": "１２３４５６７８９０１８",
    "hyphens": "1234-5678-9018",
    "full-width hyphens": "１２３４－５６７８－９０１８",
    "spaces": "1234 5678 9018",
    "ideographic spaces": "1234　5678　9018",
    "minus signs": "1234−5678−9018",
    "long vowel marks": "1234ー5678ー9018",
    "between kanji": "番号は123456789018です",
    "between brackets": "「123456789018」",
    "three by three": "123-456-789-018",
    "each by itself": "1 2 3 4 5 6 7 8 9 0 1 8",
    "dots": "1234.5678.9018",
    "over two lines": "1234\n56789018",
    "circled": "①②③④⑤⑥⑦⑧⑨⓪①⑧",
    "with zero-width spaces": "1234\u200b5678\u200b9018",
    "with soft hyphens": "1234\u00ad5678\u00ad9018",
    "beside other digits": "2026年 1234 5678 9018 10月",
    "beside a telephone number": "電話 099-123-4567、番号 123456789018",
    "mixed widths": "１２３４-5678-９０１８",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_my_number_is_seen_however_it_is_written(name: str) -> None:
    assert holds_my_number(WRITTEN[name])
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(FreeText).validate_python(f"相談の記録 {WRITTEN[name]} 以上")
    (error,) = caught.value.errors()
    assert error["type"] == "personal_number"


@pytest.mark.parametrize(
    "text",
    [
        "7000012050002",
        "8000020130001",
        "1234567890180",
        "9123456789018",
        "123456789019",
        "12345678901",
        "1-1234-5678-9018",
        "1234-5678-9018-3456",
        "099-123-4567",
        "2026-04-01T10:30:00",
        "〒890-8577 鹿児島市",
        "",
    ],
)
def test_other_numbers_are_let_through(text: str) -> None:
    assert not holds_my_number(text)


def test_no_corporate_number_is_taken_for_a_my_number() -> None:
    draw, seen = random.Random(2), 0
    while seen < 500:
        number = f"{draw.randrange(10**13):013d}"
        if is_corporate_number(number):
            seen += 1
            assert not holds_my_number(f"法人番号 {number}")
            assert not holds_my_number(f"法人番号{number[0]}-{number[1:5]}-{number[5:9]}-{number[9:]}")


def test_free_text_is_composed_but_never_made_compatible() -> None:
    text = TypeAdapter(FreeText)
    assert text.validate_python("か\u3099") == "が"
    for kept in ("髙橋", "﨑", "ｶﾅ", "①", "㈱", "塚\ufa10"):
        assert text.validate_python(kept) == unicodedata.normalize("NFC", kept)
    assert text.validate_python("  改行\nと\tタブ ") == "改行\nと\tタブ"
    for bad in ("\x00", "a\x07b", "\x1b[31m", "\x7f", "x" * 4_001):
        with pytest.raises(ValidationError):
            text.validate_python(bad)


@pytest.mark.parametrize("bare", ["123456789018", "1764547200", "1764547200.5", "-1", "１７６４５４７２００"])
def test_a_bare_number_is_no_moment(bare: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(MomentAsWritten).validate_python(bare)


@pytest.mark.parametrize("bad", ["", "A", "ab", "-abc", "a b c", "相談", "abc\n", "a" * 41])
def test_what_is_no_agency_id(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AgencyId).validate_python(bad)


@pytest.mark.parametrize("bad", ["", "A", "a b", "相談", "a\n", "a" * 65, "_a", "a/b"])
def test_what_is_no_code(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Code).validate_python(bad)
