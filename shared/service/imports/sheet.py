"""The file itself: bytes become a header and lines, and go back with one more column, in the office's own encoding.

A BOM means UTF-8, then strict UTF-8, then strict cp932: never `shift_jis`, never a replacement character. Whatever a
spreadsheet would run as a formula is defused on the way out and read back on the way in.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.problems import INVALID, Problem

MAX_BYTES = 8_388_608
MAX_ROWS = 20_000
MAX_COLUMNS = 200
_MAX_CELLS = 10_000  # of a row, however few columns the file has
_MAX_LINES = 100_000  # empty ones among them
ERROR_COLUMN = "エラー"
_BOM = b"\xef\xbb\xbf"
_JIS = (b"\x1b$B", b"\x1b$@")
"""ISO-2022-JP turns to kanji with these; its bytes pass as UTF-8."""
_SAVE_AS = "save it as UTF-8 or Shift_JIS (CP932) and send it again"
_SAVE_AS_JA = "UTF-8 か Shift_JIS(CP932)で保存し直して、もう一度送ってください"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Spreadsheets run these, in Japan the wide ones too."""

Line = tuple[int, tuple[str, ...]]
"""The row's number as spreadsheets show it, so that the first under the header is 2, and its cells."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file that could be read. A line may be longer than the header."""

    encoding: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]


def read_sheet(content: bytes) -> Sheet:
    """Decode and split a file. Raises `Problem(INVALID)` that says where it can't be read."""
    written, encoding = _decoded(content)
    try:
        header, lines = _split(csv.reader(_written_lines(written), strict=True))
    except csv.Error:
        limit = f"{csv.field_size_limit():,}"
        raise unreadable(
            f"not a CSV file (check the quotes; a cell holds {limit} characters at the most)",
            f"CSVとして読めません(引用符を確かめてください。一つの値は{limit}文字までです)",
        ) from None
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise unreadable("a column name appears twice", "同じ列名が二つあります")
    if not lines:
        raise unreadable("there is no row under the header", "見出しの下に行がありません")
    return Sheet(encoding, header, lines)


def write_sheet(sheet: Sheet, told: Mapping[int, str]) -> bytes:
    """The file again in its own encoding, with what is told about each row in the error column, the last."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    width, former = len(sheet.header), _error_column(sheet.header)
    writer.writerow([*_without(former, map(defused, sheet.header)), ERROR_COLUMN])
    for number, cells in sheet.lines:
        padded = [*map(defused, cells), *[""] * (width - len(cells))]
        # Cells come out of this encoding and fit in again; a word of ours may not.
        words = told.get(number, "").encode(sheet.encoding, "replace").decode(sheet.encoding)
        writer.writerow([*_without(former, padded[:width]), words, *padded[width:]])
    return out.getvalue().encode(sheet.encoding)


def charset_of(encoding: str) -> str:
    """The name that browsers know an encoding by: to them cp932 is Shift_JIS (WHATWG Encoding Standard)."""
    return "shift_jis" if encoding == "cp932" else "utf-8"


def defused(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return "'" + cell if cell.startswith(_FORMULA) else cell


def as_meant(cell: str) -> str:
    """A cell's value: without the blanks around it and without what `defused` put before it."""
    bare = cell.strip()
    return bare[1:] if bare.startswith("'") and bare[1:].startswith(_FORMULA) else bare


def unreadable(english: str, japanese: str) -> Problem:
    """The file as a whole can't be taken, for this reason."""
    return Problem(
        INVALID, detail=f"The file can't be read: {english}.", detail_ja=f"ファイルを読めません: {japanese}。"
    )


def _decoded(content: bytes) -> tuple[str, str]:
    candidates = ["utf-8-sig"] if content.startswith(_BOM) else ["utf-8", "cp932"]
    position = 0
    for encoding in candidates:
        try:
            written = content.decode(encoding)
        except UnicodeDecodeError as error:
            position = max(position, error.start)
            continue
        _refuse_other(content, encoding)
        if "\x00" in written:
            raise unreadable("it holds NUL characters", "NUL文字が含まれています")
        return written, "utf-8-sig" if encoding == "utf-8" else encoding
    if content.startswith(_BOM):
        raise unreadable(
            f"it begins as UTF-8, but is not (at byte {position + len(_BOM)}); {_SAVE_AS}",
            f"UTF-8の印(BOM)で始まりますが、UTF-8ではありません({position + len(_BOM)}バイト目)。{_SAVE_AS_JA}",
        )
    _refuse_other(content, "cp932")
    raise unreadable(
        f"neither UTF-8 nor cp932 (at byte {position}); {_SAVE_AS}",
        f"UTF-8でもcp932(Shift_JIS)でもありません({position}バイト目)。{_SAVE_AS_JA}",
    )


def _refuse_other(content: bytes, encoding: str) -> None:
    """What older systems write is named, where the bytes tell it."""
    if encoding == "utf-8" and any(mark in content for mark in _JIS):
        name = "ISO-2022-JP (JIS)"
    elif encoding == "cp932" and _is_euc(content):
        name = "EUC-JP"
    else:
        return
    raise unreadable(f"it is written in {name}; {_SAVE_AS}", f"文字コードが {name} です。{_SAVE_AS_JA}")


def _is_euc(content: bytes) -> bool:
    """EUC-JP often passes as cp932 full of half-width kana; a header in cp932 hardly ever passes as EUC-JP."""
    header = content.split(b"\n", 1)[0]
    try:
        content.decode("euc_jp")
    except UnicodeDecodeError:
        return False
    return not header.isascii()


def _written_lines(written: str) -> Iterator[str]:
    """Line by line, so that a line of millions of cells is seen before it becomes millions of objects."""
    for line in io.StringIO(written, newline=""):
        if line.count(",") >= _MAX_CELLS:
            raise unreadable(f"a row of more than {_MAX_CELLS:,} cells", f"値が{_MAX_CELLS:,}個を超える行があります")
        yield line


def _split(rows: Iterator[list[str]]) -> tuple[tuple[str, ...], tuple[Line, ...]]:
    """Header and lines, row by row: megabytes of empty lines must not become millions of rows first."""
    header = [cell.strip() for cell in next(rows, [])]
    while header and not header[-1]:
        header.pop()  # spreadsheets save empty columns beside the table
    if not header:
        raise unreadable("the header line is missing", "見出しの行がありません")
    if len(header) > MAX_COLUMNS:
        raise unreadable(f"more than {MAX_COLUMNS} columns", f"{MAX_COLUMNS}列を超えています")
    errors = _error_column(header)
    lines: list[Line] = []
    for number, row in enumerate(rows, start=2):
        if any(cell.strip() for cell in _without(errors, row)):
            lines.append((number, tuple(row)))
        if len(lines) > MAX_ROWS:
            raise unreadable(f"more than {MAX_ROWS:,} rows", f"{MAX_ROWS:,}行を超えています")
        if number > _MAX_LINES:
            raise unreadable(
                f"more than {_MAX_LINES:,} lines, empty ones among them", f"空行も入れて{_MAX_LINES:,}行を超えています"
            )
    return tuple(header), tuple(lines)


def _error_column(header: Sequence[str]) -> int | None:
    """The place of the error column of an earlier round: nothing that the office has written."""
    return header.index(ERROR_COLUMN) if ERROR_COLUMN in header else None


def _without(place: int | None, cells: Iterable[str]) -> list[str]:
    return [cell for each, cell in enumerate(cells) if each != place]
