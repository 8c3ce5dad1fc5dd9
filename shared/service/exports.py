"""Files and paper for Japanese offices, written as a layout says that the office itself may edit; no character is lost.

A layout is a TOML file: columns in their order, each with its heading, the field it shows and, for codes, the table of
words it is shown in. On paper a column that is empty takes `lines` to write on, and `[[by_hand]]` adds such lines at
the end. cp932 is what Excel and the ministries' systems read; what it can't hold is reported with its
place, and never becomes `?`. UTF-8 is written with a BOM, so that Excel opens it.
"""

import csv
import io
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from fastapi import Response

from shared.problems import Problem, ProblemType
from shared.service.clock import JST
from shared.service.imports.sheet import charset_of, defused

_SAME_CHARACTER = str.maketrans("\u301c\u2212\u2016\u2014\u00a2\u00a3\u00ac\u00a5", "～－∥―￠￡￢￥")
"""What JIS X 0208 and cp932 name by different code points. The same characters: a name with one stays as it was."""
_ERAS = (
    (date(2019, 5, 1), "令和"),
    (date(1989, 1, 8), "平成"),
    (date(1926, 12, 25), "昭和"),
    (date(1912, 7, 30), "大正"),
    (date(1868, 10, 23), "明治"),
)
_FORMS = {"", "era"}
_LONGEST = 40  # lines; a page has no more
_LISTED = 100

NOT_IN_CP932 = ProblemType(
    "not_in_cp932",
    409,
    "There are characters that cp932 (Shift_JIS) does not have: take the file in UTF-8, or write their standard form",
    "cp932(Shift_JIS)にない文字があります。UTF-8で書き出すか、標準の字体に直してください",
)
LAYOUT_BROKEN = ProblemType(
    "layout_broken", 409, "The layout of this file can't be used", "この書き出しの列の設定(TOML)に誤りがあります"
)


class Encoding(StrEnum):
    """文字コード."""

    CP932 = "cp932"
    UTF_8 = "utf-8"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, the field, how it is shown. With `mark` it only says whether this code is there."""

    heading: str
    field: str
    form: str
    words: Mapping[str, str]
    mark: str | None
    lines: int = 1
    """On paper, so many to write on where nothing is known."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A file's title and columns."""

    title: str
    columns: tuple[Column, ...]
    by_hand: tuple[tuple[str, int], ...] = ()
    """On paper alone: headings, each with so many lines to write on."""

    @property
    def fields(self) -> frozenset[str]:
        """What has to be read for it."""
        return frozenset(column.field for column in self.columns)


def read_layout(text: str, fields: Collection[str], known: Mapping[str, Mapping[str, str]] | None = None) -> Layout:
    """A layout as it was written, for a file that knows these fields. Raises `Problem(LAYOUT_BROKEN)`.

    `known`: tables of words that stand elsewhere already; the layout's own words win.
    """
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _broken(str(error), "TOMLとして読めません") from None
    words, found, by_hand = plain.get("words", {}), plain.get("column", []), plain.get("by_hand", [])
    if not isinstance(words, dict) or not isinstance(found, list) or not found:
        raise _broken("there is no [[column]]", "[[column]] がありません")
    words = {name: {**(known or {}).get(name, {}), **table} for name, table in words.items() if isinstance(table, dict)}
    columns = tuple(_column(number, each, words, fields) for number, each in enumerate(found, start=1))
    return Layout(str(plain.get("title", "export")), columns, _by_hand(by_hand))


def _column(number: int, plain: Any, words: Mapping[str, Any], fields: Collection[str]) -> Column:
    if not isinstance(plain, dict) or not isinstance(plain.get("heading"), str):
        raise _broken(f"column {number} has no heading", f"{number}番目の列に heading がありません")
    heading, field = plain["heading"], str(plain.get("field"))
    if field not in fields:
        raise _broken(
            f"column {number} ({heading}): field is none of {', '.join(sorted(fields))}",
            f"{number}番目の列({heading})の field は次のどれかにしてください: {', '.join(sorted(fields))}",
        )
    table = words.get(str(plain["words"]), {}) if "words" in plain else {}
    unknown = plain.keys() - {"heading", "field", "form", "words", "mark", "lines"}
    if unknown or plain.get("form", "") not in _FORMS or ("words" in plain and not table):
        raise _broken(
            f"column {number} ({heading}): form is era or absent, words names a [words.…] table, mark is a code",
            f"{number}番目の列({heading}): form は era か省略、words は [words.…] の名前、mark はコードです",
        )
    return Column(heading, field, plain.get("form", ""), table, plain.get("mark"), _lines(heading, plain))


def _by_hand(plain: Any) -> tuple[tuple[str, int], ...]:
    known = isinstance(plain, list) and all(
        isinstance(each, dict) and isinstance(each.get("heading"), str) and each.keys() <= {"heading", "lines"}
        for each in plain
    )
    if not known:
        raise _broken("each [[by_hand]] has a heading, and may have lines", "[[by_hand]] は heading と lines です")
    return tuple((each["heading"], _lines(each["heading"], each)) for each in plain)


def _lines(heading: str, plain: Mapping[str, Any]) -> int:
    lines = plain.get("lines", 1)
    if type(lines) is not int or not 1 <= lines <= _LONGEST:
        raise _broken(f"{heading}: lines is 1 to {_LONGEST}", f"{heading}: lines は 1 から {_LONGEST} です")
    return lines


def _broken(english: str, japanese: str) -> Problem:
    return Problem(LAYOUT_BROKEN, detail=f"{english}.", detail_ja=f"列の設定: {japanese}。")


def across(layout: Layout, rows: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Headings above, a line for each row."""
    lines = [[_shown(column, row.get(column.field)) for column in layout.columns] for row in rows]
    return [[column.heading for column in layout.columns], *lines]


def down(layout: Layout, row: Mapping[str, Any]) -> list[list[str]]:
    """Headings on the left, for a sheet about one person."""
    return [[column.heading, _shown(column, row.get(column.field))] for column in layout.columns]


def on_paper(column: Column, value: Any) -> str:
    """For a page that people read: days in both calendars."""
    match value:
        case datetime():
            local = value.astimezone(JST)
            return f"{in_era(local.date())}({local:%Y-%m-%d}) {local:%H:%M}"
        case date():
            return f"{in_era(value)}({value.isoformat()})"
        case _:
            return _shown(column, value)


def csv_answer(name: str, lines: Sequence[Sequence[str]], encoding: Encoding, *, downwards: bool = False) -> Response:
    """The file as a download; its headings stand on the left if it goes `downwards`, and else above.

    Raises `Problem(NOT_IN_CP932)` naming row, column and code point of what it lacks.
    """
    if encoding is Encoding.CP932:
        lines = [[cell.translate(_SAME_CHARACTER) for cell in line] for line in lines]
        _refuse_lost(lines, downwards=downwards)
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([[defused(cell) for cell in line] for line in lines])
    codec = "cp932" if encoding is Encoding.CP932 else "utf-8-sig"
    return Response(
        out.getvalue().encode(codec),
        media_type=f"text/csv; charset={charset_of(codec)}",
        headers={
            "Content-Disposition": f"attachment; filename=\"export.csv\"; filename*=UTF-8''{quote(name)}.csv",
            "Cache-Control": "no-store",
        },
    )


def in_era(day: date) -> str:
    """令和8年11月29日, as people read a day in Japan; before 明治, the plain year."""
    for begins, era in _ERAS:
        if day >= begins:
            year = day.year - begins.year + 1
            return f"{era}{'元' if year == 1 else year}年{day.month}月{day.day}日"
    return f"{day.year}年{day.month}月{day.day}日"


def _shown(column: Column, value: Any) -> str:
    if column.mark is not None:
        return "○" if value == column.mark or (isinstance(value, list | tuple) and column.mark in value) else ""
    match value:
        case None:
            return ""
        case bool():
            return "○" if value else ""
        case datetime():
            local = value.astimezone(JST)
            return in_era(local.date()) if column.form == "era" else f"{local:%Y-%m-%d %H:%M}"
        case date():
            return in_era(value) if column.form == "era" else value.isoformat()
        case list() | tuple():
            return "、".join(column.words.get(str(code), str(code)) for code in value)
        case _:
            return column.words.get(str(value), str(value))


def _refuse_lost(lines: Sequence[Sequence[str]], *, downwards: bool) -> None:
    lost = [
        (row, place, character)
        for row, line in enumerate(lines, start=1)
        for place, cell in enumerate(line)
        for character in dict.fromkeys(cell)
        if not _fits(character)
    ]
    if lost:
        raise Problem(
            NOT_IN_CP932,
            detail=f"{len(lost):,} places; the first are listed.",
            detail_ja=f"{len(lost):,}か所あります(先頭を示します)。",
            errors=[
                {
                    "row": row,
                    "column": lines[row - 1][0] if downwards else lines[0][place],
                    "code": "not_in_cp932",
                    "character": f"U+{ord(character):04X}",
                    "message": "cp932 does not have this character",
                    "message_ja": "cp932にない文字です",
                }
                for row, place, character in lost[:_LISTED]
            ],
        )


def _fits(character: str) -> bool:
    try:
        character.encode("cp932")
    except UnicodeEncodeError:
        return False
    return True
