"""CSV files from Japanese offices, taken in two steps: a dry run with a report for every row, then the commit.

Encodings: a BOM means UTF-8, then strict UTF-8, then strict cp932 (never `shift_jis`, never a replacement character).
The dry run does the real work and rolls it back, so that what it promises is what the commit does. The error file comes
back in the file's own encoding with one more column, 「エラー」.
"""

import csv
import io
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Row as TableRow
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Actor, Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import holds_my_number
from shared.problems import CONFLICT, INVALID, NOT_FOUND, Problem
from shared.service.failures import words_for
from shared.service.route import router
from shared.service.strict import Body
from shared.service.transaction import Now, Transaction

MAX_BYTES = 8_388_608
MAX_ROWS = 20_000
_MAX_LINES = 100_000  # empty ones among them
ERROR_COLUMN = "エラー"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Spreadsheets run these, in Japan the wide ones too."""
_PREVIEW = 3

Became = Literal["created", "updated", "unchanged"]


class FileRow(BaseModel):
    """A line of a file. Fields carry the Japanese column name as `alias`; the English field name works as well."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, validate_by_alias=True, validate_by_name=True, hide_input_in_errors=True
    )


class RowRefused(Exception):
    """A row that reads well but can't be taken: a rule speaks against it. `column` is the Japanese column name."""

    def __init__(self, code: str, message: str, message_ja: str, column: str | None = None) -> None:
        super().__init__(code)
        self.code, self.message, self.message_ja, self.column = code, message, message_ja, column


R = TypeVar("R", bound=FileRow)
Apply = Callable[[AsyncSession, R, datetime, Actor], Awaitable[Became]]
"""Takes one row in, in its own savepoint. Raises `RowRefused`."""


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with one row; `row` counts from 2, as spreadsheets show it under the header."""

    row: int
    column: str | None
    code: str
    message: str
    message_ja: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file that could be read: its encoding, header, and lines with their row numbers."""

    encoding: str
    header: tuple[str, ...]
    lines: tuple[tuple[int, tuple[str, ...]], ...]


class Report(BaseModel):
    """What a dry run or a commit came to."""

    import_id: UUID
    status: Literal["checked", "committed"]
    encoding: str
    rows: int
    created: int
    updated: int
    unchanged: int
    rejected: int
    errors: list[dict[str, Any]]
    ignored_columns: list[str]
    preview: list[dict[str, str]]


class CommitBody(Body):
    """Whether to take the good rows although others were rejected."""

    skip_rejected: bool = False


def read_sheet(content: bytes) -> Sheet:
    """Decode and split a file. Raises `Problem(INVALID)` that says where it can't be read."""
    text_, encoding = _decoded(content)
    try:
        header, lines = _split(csv.reader(io.StringIO(text_, newline=""), strict=True))
    except csv.Error:
        raise _unreadable(
            "not a CSV file (check the quotes)", "CSVとして読めません(引用符を確かめてください)"
        ) from None
    if len(set(header)) != len(header):
        raise _unreadable("a column name appears twice", "同じ列名が二つあります")
    return Sheet(encoding, header, lines)


def _split(rows: Iterator[list[str]]) -> tuple[tuple[str, ...], tuple[tuple[int, tuple[str, ...]], ...]]:
    """Header and lines, row by row: megabytes of empty lines must not become millions of rows first."""
    header = tuple(cell.strip() for cell in next(rows, []))
    if not any(header):
        raise _unreadable("the header line is missing", "見出しの行がありません")
    lines: list[tuple[int, tuple[str, ...]]] = []
    for number, row in enumerate(rows, start=2):
        if any(cell.strip() for cell in row):
            lines.append((number, tuple(row)))
        if len(lines) > MAX_ROWS or number > _MAX_LINES:
            raise _unreadable(f"more than {MAX_ROWS} rows", f"{MAX_ROWS}行を超えています")
    return header, tuple(lines)


def write_sheet(sheet: Sheet, errors: Sequence[RowError]) -> bytes:
    """The file again in its own encoding, with the error column; cells that a spreadsheet would run are defused."""
    by_row: dict[int, list[str]] = {}
    for error in errors:
        place = f"{error.column}: " if error.column else ""
        by_row.setdefault(error.row, []).append(place + error.message_ja)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*(defused(name) for name in sheet.header), ERROR_COLUMN])
    for number, cells in sheet.lines:
        padded = [*cells, *[""] * (len(sheet.header) - len(cells))]
        writer.writerow([*(defused(cell) for cell in padded), " / ".join(by_row.get(number, []))])
    return out.getvalue().encode(sheet.encoding)


def defused(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return "'" + cell if cell.startswith(_FORMULA) else cell


def parse_rows(sheet: Sheet, model: type[R]) -> tuple[list[tuple[int, R]], list[RowError], list[str]]:
    """Rows that fit the model, what is wrong with the others, and columns nobody asked for."""
    aliases = {field.alias or name: name for name, field in model.model_fields.items()}
    names = {**{name: name for name in aliases.values()}, **aliases}
    ignored = [column for column in sheet.header if column not in names and column != ERROR_COLUMN]
    taken = [names[column] for column in sheet.header if column in names]
    if len(set(taken)) != len(taken):
        raise _unreadable("a column stands there twice, by two names", "同じ列が二つの名前で書かれています")
    japanese = {name: alias for alias, name in aliases.items()}
    missing = [
        japanese[name]
        for name, field in model.model_fields.items()
        if field.is_required() and name not in {names.get(column) for column in sheet.header}
    ]
    if missing:
        raise _unreadable(f"columns are missing: {', '.join(missing)}", f"列がありません: {'、'.join(missing)}")
    good: list[tuple[int, R]] = []
    errors: list[RowError] = []
    for number, cells in sheet.lines:
        if len(cells) > len(sheet.header):
            errors.append(
                RowError(number, None, "too_many_cells", "More cells than columns", "列より多くの値があります")
            )
            continue
        values = {
            names[column]: _undefused(cell.strip())
            for column, cell in zip(sheet.header, cells, strict=False)
            if column in names and cell.strip()
        }
        try:
            good.append((number, model.model_validate(values)))
        except ValidationError as error:
            errors.extend(_row_errors(number, error, japanese))
    return good, errors, ignored


def import_router(*, path: str, tag: str, role: Role, row: type[R], apply: Apply[R], title_ja: str) -> APIRouter:
    """Four routes under `path`: check a file, see the report, take the error file, commit."""
    routes = router(prefix=path, tag=tag)
    kind = path.rsplit("/", 1)[-1]
    name = kind.replace("-", "_")

    async def check(request: Request, response: Response, session: Transaction, now: Now, actor: Caller) -> Report:
        content = await request.body()
        import_id = new_id()
        report = await _take(session, import_id, content, row, apply, now, actor, keep=False)
        await session.execute(
            _INSERT,
            {
                "id": import_id,
                "kind": kind,
                "agency": actor.agency,
                "content": content,
                "report": report.model_dump(mode="json"),
            },
        )
        # Relative: the address outside has the prefix that the gateway takes off.
        response.headers["Location"] = f"{kind}/{import_id}"
        return report

    async def show(import_id: UUID, session: Transaction, actor: Caller) -> Report:
        return Report.model_validate((await _find(session, import_id, kind, actor)).report)

    async def error_file(import_id: UUID, session: Transaction, actor: Caller) -> Response:
        found = await _find(session, import_id, kind, actor)
        errors = [RowError(**error) for error in found.report["errors"]]
        sheet = read_sheet(found.content)
        charset = "utf-8" if sheet.encoding == "utf-8-sig" else "shift_jis"
        return Response(
            write_sheet(sheet, errors),
            # Browsers know cp932 by the name Shift_JIS; the bytes are cp932's.
            media_type=f"text/csv; charset={charset}",
            headers={"Content-Disposition": f'attachment; filename="{name}_errors.csv"'},
        )

    async def commit(
        import_id: UUID,
        body: CommitBody,
        session: Transaction,
        now: Now,
        actor: Caller,
    ) -> Report:
        found = await _find(session, import_id, kind, actor, lock=True)
        if found.committed_at is not None:
            raise Problem(CONFLICT, detail="This file was taken in already.", detail_ja="このファイルは取込済みです。")
        report = await _take(session, import_id, found.content, row, apply, now, actor, keep=True)
        if report.rejected and not body.skip_rejected:
            raise Problem(
                CONFLICT,
                detail="Some rows are rejected. Mend them, or send skip_rejected: true to take the others.",
                detail_ja="受け付けられない行があります。直すか、skip_rejected: true で残りだけ取り込んでください。",
                errors=report.errors[:20],
            )
        await session.execute(_COMMITTED, {"id": import_id, "report": report.model_dump(mode="json"), "now": now})
        return report

    rule = [requires(role)]
    body_is_csv = {
        "requestBody": {
            "required": True,
            "content": {"text/csv": {"schema": {"type": "string", "examples": [_example(row)]}}},
        }
    }
    routes.add_api_route(
        "",
        check,
        methods=["POST"],
        status_code=201,
        dependencies=rule,
        name=f"check_{name}",
        summary="Dry run of a CSV file",
        description=f"{title_ja}のCSVを確かめます(まだ取り込みません)。UTF-8(BOM可)またはcp932。",
        openapi_extra=body_is_csv,
        max_body_size=MAX_BYTES,
    )
    routes.add_api_route(
        "/{import_id}", show, methods=["GET"], dependencies=rule, name=f"get_{name}", summary="The report of a file"
    )
    routes.add_api_route(
        "/{import_id}/errors.csv",
        error_file,
        methods=["GET"],
        dependencies=rule,
        name=f"get_{name}_errors",
        summary="The file with its error column",
        description="元のファイルに「エラー」列を加えて、同じ文字コードで返します。",
        response_class=Response,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    routes.add_api_route(
        "/{import_id}/commit",
        commit,
        methods=["POST"],
        dependencies=rule,
        name=f"commit_{name}",
        summary="Take the file in",
        description=f"確かめた{title_ja}のCSVを取り込みます。",
    )
    return routes


_INSERT = text(
    "INSERT INTO import_file (id, kind, agency, content, report) VALUES (:id, :kind, :agency, :content, :report)"
).bindparams(bindparam("report", type_=JSONB))
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || :model, 7470005))")
_COMMITTED = text("UPDATE import_file SET report = :report, committed_at = :now WHERE id = :id").bindparams(
    bindparam("report", type_=JSONB)
)


class _RollBack(Exception):
    """Ends the dry run's savepoint."""


async def _take(
    session: AsyncSession,
    import_id: UUID,
    content: bytes,
    model: type[R],
    apply: Apply[R],
    now: datetime,
    actor: Actor,
    *,
    keep: bool,
) -> Report:
    """Take every row in, each in a savepoint; without `keep`, undo it all at the end."""
    sheet = read_sheet(content)
    good, errors, ignored = parse_rows(sheet, model)
    _refuse_personal_numbers(sheet, errors, ignored)
    # One file after another: two that bring the same new row would otherwise meet at its unique key.
    await session.execute(_ONE_AT_A_TIME, {"model": model.__name__})
    counts: dict[str, int] = {"created": 0, "updated": 0, "unchanged": 0}
    try:
        async with session.begin_nested():
            for number, row in good:
                try:
                    async with session.begin_nested():
                        counts[await apply(session, row, now, actor)] += 1
                except RowRefused as refused:
                    errors.append(RowError(number, refused.column, refused.code, refused.message, refused.message_ja))
            if not keep:
                raise _RollBack
    except _RollBack:
        session.info.pop("emitted", None)
    errors.sort(key=lambda error: error.row)
    return Report(
        import_id=import_id,
        status="committed" if keep else "checked",
        encoding=sheet.encoding,
        rows=len(sheet.lines),
        rejected=len({error.row for error in errors}),
        errors=[asdict(error) for error in errors],
        ignored_columns=ignored,
        preview=[dict(zip(sheet.header, cells, strict=False)) for _, cells in sheet.lines[:_PREVIEW]],
        **counts,
    )


def _refuse_personal_numbers(sheet: Sheet, errors: Sequence[RowError], ignored: Sequence[str]) -> None:
    """The file itself is kept until its commit, so a My Number anywhere refuses all of it, and nothing is kept."""
    unasked = [(place, name) for place, name in enumerate(sheet.header) if name in ignored]
    found = [(error.row, error.column) for error in errors if error.code == "personal_number"] + [
        (number, name)
        for number, cells in sheet.lines
        for place, name in unasked
        if place < len(cells) and holds_my_number(cells[place])
    ]
    if any(holds_my_number(name) for name in sheet.header):
        found.append((1, None))
    if found:
        english, japanese = words_for("personal_number")
        # A column that nobody asked for is named by the file's author: only our own names are told.
        places = [
            {"row": number, "column": None if name in ignored else name, "code": "personal_number"}
            for number, name in sorted(found, key=lambda place: place[0])[:20]
        ]
        words = {"message": english, "message_ja": japanese}
        raise Problem(
            INVALID,
            detail="The file holds numbers that may not be kept here. Nothing was kept: remove them and send it anew.",
            detail_ja="ここに書いてはならない番号が含まれています。ファイルは保存していません。取り除いて送り直してください。",
            errors=[{**place, **words} for place in places],
        )


async def _find(
    session: AsyncSession, import_id: UUID, kind: str, actor: Actor, *, lock: bool = False
) -> TableRow[Any]:
    query = "SELECT content, report, committed_at FROM import_file WHERE id = :id AND kind = :kind AND agency = :agency"
    found = (
        await session.execute(
            text(query + (" FOR UPDATE" if lock else "")), {"id": import_id, "kind": kind, "agency": actor.agency}
        )
    ).one_or_none()
    if found is None:
        raise Problem(NOT_FOUND)
    return found


def _decoded(content: bytes) -> tuple[str, str]:
    if content.startswith(b"\xef\xbb\xbf"):
        candidates = ["utf-8-sig"]
    else:
        candidates = ["utf-8", "cp932"]
    position = 0
    for encoding in candidates:
        try:
            text_ = content.decode(encoding)
        except UnicodeDecodeError as error:
            position = max(position, error.start)
            continue
        if "\x00" in text_:
            raise _unreadable("it holds NUL characters", "NUL文字が含まれています")
        return text_, "utf-8-sig" if encoding == "utf-8" else encoding
    raise _unreadable(
        f"neither UTF-8 nor cp932 (at byte {position})", f"UTF-8でもcp932(Shift_JIS)でもありません({position}バイト目)"
    )


def _undefused(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _row_errors(number: int, error: ValidationError, japanese: Mapping[str, str]) -> list[RowError]:
    found = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        field = str(item["loc"][0]) if item["loc"] else None
        message, message_ja = words_for(item["type"])
        column = japanese.get(field, field) if field else None
        found.append(RowError(number, column, item["type"], message, message_ja))
    return found


def _unreadable(english: str, japanese: str) -> Problem:
    return Problem(
        INVALID, detail=f"The file can't be read: {english}.", detail_ja=f"ファイルを読めません: {japanese}。"
    )


def _example(model: type[FileRow]) -> str:
    return ",".join(field.alias or name for name, field in model.model_fields.items())
