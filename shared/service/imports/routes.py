"""The two steps over HTTP: four routes for each kind of file."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import Row as TableRow
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Actor, Caller, Role, requires
from shared.bus.envelope import new_id
from shared.problems import CONFLICT, NOT_FOUND, UNAVAILABLE, Problem
from shared.service.imports.faults import Faults
from shared.service.imports.forms import CSV, Form
from shared.service.imports.keeping import put_away, take_out
from shared.service.imports.report import Report, kept_report, made_report, read_report
from shared.service.imports.rows import FileRow, R, Rows, look_through
from shared.service.imports.sheet import MAX_BYTES, MAX_ROWS, charset_of, unreadable, write_sheet
from shared.service.imports.taking import Taken, TakeRows, take_file
from shared.service.route import router
from shared.service.strict import Body
from shared.service.transaction import Desk, Now, Transaction

_LISTED_IN_PROBLEM = 20
_REMARK = "(取り込みます) "
_PATIENCE = 5.0


class CommitBody(Body):
    """Whether to take the good rows although others were rejected."""

    skip_rejected: bool = False


def import_router(
    *,
    path: str,
    tag: str,
    role: Role,
    row: type[R],
    take: TakeRows[R],
    title_ja: str,
    most_rows: int = MAX_ROWS,
    form: Form = CSV,
) -> APIRouter:
    """Four routes under `path`: check a file, see the report, take the error file, commit."""
    kind = path.rsplit("/", 1)[-1]
    name = kind.replace("-", "_")
    files = _Files(kind, row, take, most_rows, form)
    routes = router(prefix=path, tag=tag)
    may = requires(role)
    routes.add_api_route(
        "",
        files.check,
        methods=["POST"],
        status_code=201,
        dependencies=[may, Depends(_one_file_at_a_time)],
        name=f"check_{name}",
        summary=f"Dry run of a {form.called} file",
        description=f"{title_ja}の{form.called}を確かめます(まだ取り込みません)。"
        + ("UTF-8(BOM可)またはcp932。" if form is CSV else "UTF-8。"),
        openapi_extra=_body(form, row),
        max_body_size=MAX_BYTES,
    )
    routes.add_api_route(
        "/{import_id}",
        files.show,
        methods=["GET"],
        dependencies=[may],
        name=f"get_{name}",
        summary="The report of a file",
        description=f"{title_ja}の{form.called}を確かめた結果、または取り込んだ結果です。",
    )
    routes.add_api_route(
        "/{import_id}/errors.csv",
        files.error_file,
        methods=["GET"],
        dependencies=[may],
        name=f"get_{name}_errors",
        summary="The file with its error column",
        description="元のファイルに「エラー」列を加えて、同じ文字コードで返します。"
        if form is CSV
        else "どの行に何の誤りがあるかを、CSVで返します。",
        response_class=Response,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    routes.add_api_route(
        "/{import_id}/commit",
        files.commit,
        methods=["POST"],
        dependencies=[may, Depends(_one_file_at_a_time)],
        name=f"commit_{name}",
        summary="Take the file in",
        description=f"確かめた{title_ja}の{form.called}を取り込みます。",
    )
    return routes


def _body(form: Form, row: type[FileRow]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {form.media_type: {"schema": form.schema(row)}}}}


async def _one_file_at_a_time(request: Request) -> AsyncIterator[None]:
    """A file is work for seconds: the next one waits before it takes a connection or any memory."""
    desk: Desk = request.app.state.desk
    try:
        leave = await desk.lines.enter(("imports",), width=1, patience=_PATIENCE)
    except TimeoutError:
        raise Problem(
            UNAVAILABLE,
            detail="Another file is being worked on. Send this one again in a moment, with the same Idempotency-Key.",
            detail_ja="別のファイルを処理しています。少し待って、同じ Idempotency-Key で送り直してください。",
            headers={"Retry-After": "5"},
        ) from None
    try:
        yield
    finally:
        leave()


@dataclass(frozen=True, slots=True)
class _Files(Generic[R]):
    """Files of one kind, and what can be done with them."""

    kind: str
    row: type[R]
    take: TakeRows[R]
    most_rows: int
    form: Form

    async def check(
        self, request: Request, response: Response, session: Transaction, now: Now, actor: Caller
    ) -> Report:
        """Take every row in, undo it, and keep the file with what was found."""
        content = await request.body()
        import_id = new_id()
        rows, taken = await self._taken(session, content, actor, now, keep=False)
        kept = await put_away(session, import_id, content, actor)
        report = made_report(import_id, rows, taken, keep=False, preview=kept is content)
        values = {"id": import_id, "kind": self.kind, "agency": actor.agency, "content": kept}
        await session.execute(_INSERT, {**values, "report": kept_report(report, rows.faults, rows.remarks)})
        # Relative: the address outside has the prefix that the gateway takes off.
        response.headers["Location"] = f"{self.kind}/{import_id}"
        return report

    async def show(self, import_id: UUID, session: Transaction, actor: Caller) -> Report:
        """What was found, as it was told."""
        report, *_ = read_report((await self._find(session, import_id, actor)).report)
        return report

    async def error_file(self, import_id: UUID, session: Transaction, actor: Caller) -> Response:
        """The file with every error beside its row."""
        found = await self._find(session, import_id, actor)
        _, faults, remarks = read_report(found.report)
        whole = await take_out(session, import_id, found.content, actor)
        content, charset = await asyncio.to_thread(_error_file, self.form, whole, faults, remarks)
        name = f"{self.kind.replace('-', '_')}_errors.csv"
        return Response(
            content,
            media_type=f"text/csv; charset={charset}",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    async def commit(self, import_id: UUID, body: CommitBody, session: Transaction, now: Now, actor: Caller) -> Report:
        """Take every row in again, and keep what it makes."""
        found = await self._find(session, import_id, actor, lock=True)
        if found.committed_at is not None:
            raise Problem(CONFLICT, detail="This file was taken in already.", detail_ja="このファイルは取込済みです。")
        content = await take_out(session, import_id, found.content, actor)
        rows, taken = await self._taken(session, content, actor, now, keep=True)
        report = made_report(import_id, rows, taken, keep=True, preview=found.content is content)
        _refuse_rejected(report, skip=body.skip_rejected)
        values = {"id": import_id, "report": kept_report(report, rows.faults, rows.remarks), "now": now}
        await session.execute(_COMMITTED, values)
        return report

    async def _taken(
        self, session: AsyncSession, content: bytes, actor: Actor, now: datetime, *, keep: bool
    ) -> tuple[Rows[R], Taken]:
        # Seconds of plain computing: in a thread, since the loop serves everybody else.
        rows: Rows[R] = await asyncio.to_thread(self.form.rows, content, self.row)
        if len(rows.sheet.lines) > self.most_rows:
            raise unreadable(f"more than {self.most_rows:,} rows", f"{self.most_rows:,}行を超えています")
        return rows, await take_file(session, rows, self.take, actor, now, kind=self.kind, keep=keep)

    async def _find(self, session: AsyncSession, import_id: UUID, actor: Actor, *, lock: bool = False) -> TableRow[Any]:
        values = {"id": import_id, "kind": self.kind, "agency": actor.agency}
        found = (await session.execute(_FIND_LOCKED if lock else _FIND, values)).one_or_none()
        if found is None:
            raise Problem(NOT_FOUND)
        return found


async def read_again(session: AsyncSession, import_id: UUID, *, kind: str, row: type[R], actor: Actor) -> Rows[R]:
    """The rows of a file that was checked, for what a service shows beside the report. 404 for another agency's."""
    values = {"id": import_id, "kind": kind, "agency": actor.agency}
    found = (await session.execute(_FIND, values)).one_or_none()
    if found is None:
        raise Problem(NOT_FOUND)
    content = await take_out(session, import_id, found.content, actor)
    return await asyncio.to_thread(look_through, content, row)


_INSERT = text(
    "INSERT INTO import_file (id, kind, agency, content, report) VALUES (:id, :kind, :agency, :content, :report)"
).bindparams(bindparam("report", type_=JSONB))
_FIND = text(
    "SELECT content, report, committed_at FROM import_file WHERE id = :id AND kind = :kind AND agency = :agency"
)
_FIND_LOCKED = text(f"{_FIND.text} FOR UPDATE")
_COMMITTED = text("UPDATE import_file SET report = :report, committed_at = :now WHERE id = :id").bindparams(
    bindparam("report", type_=JSONB)
)


def _error_file(form: Form, content: bytes, faults: Faults, remarks: Faults) -> tuple[bytes, str]:
    """The file, and its charset. A remark is marked as one: its row is taken."""
    sheet, told = form.sheet(content), faults.words()
    told |= {row: f"{_REMARK}{words}" for row, words in remarks.words().items() if row not in told}
    return write_sheet(sheet, told), charset_of(sheet.encoding)


def _refuse_rejected(report: Report, *, skip: bool) -> None:
    errors = [error.model_dump() for error in report.errors[:_LISTED_IN_PROBLEM]]
    if report.rejected == report.rows:
        raise Problem(
            CONFLICT,
            detail="Not one row can be taken. Mend them, and check the file anew.",
            detail_ja="取り込める行が一つもありません。直してから、もう一度確かめてください。",
            errors=errors,
        )
    if report.rejected and not skip:
        raise Problem(
            CONFLICT,
            detail=f"{report.rejected:,} of {report.rows:,} rows are rejected. Mend them and check the file anew,"
            " or send skip_rejected: true to take the others.",
            detail_ja=f"{report.rows:,}行のうち{report.rejected:,}行を受け付けられません。直してもう一度確かめるか、"
            "skip_rejected: true で残りだけ取り込んでください。",
            errors=errors,
        )
