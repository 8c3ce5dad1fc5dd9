"""The directory as files: five kinds of CSV, taken in by two steps, written so that what goes out comes in again."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, assert_never

from fastapi import Depends, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.api.keeping import AGENCY_NOT_KNOWN
from services.referral.api.rows import (
    FIRM_STATES,
    AgencyRow,
    Columns,
    DirectoryRow,
    FirmRow,
    ProfessionalRow,
    ProgrammeRow,
    WorkplaceRow,
)
from services.referral.domain.options import Capacity
from services.referral.handlers import directory as handlers
from services.referral.handlers.directory import (
    AgencyEntry,
    AgencyNotKnown,
    Entry,
    FirmCantGo,
    FirmEntry,
    NotYourArea,
    Outcome,
    ProfessionalEntry,
    ProgrammeEntry,
    Remark,
    WorkplaceEntry,
)
from services.referral.tables import keeping, listing
from shared.auth import Actor, Caller, Role, requires
from shared.service import Paging, Transaction, page, paging, router
from shared.service.exports import Encoding, csv_answer
from shared.service.failures import words_for
from shared.service.imports import Became, Fault, Remarked, import_router
from shared.service.imports.taking import TakeRows

exports = router(tag="directory")

_FilePages = Annotated[Paging, Depends(paging(20_000, usual=10_000))]
"""An import takes 20,000 rows and 8 MB: a file of the usual length goes in again whole."""
_Wanted = Annotated[Encoding, Query(description="文字コード: `cp932` か `utf-8`(BOM付き)")]
_Named = Annotated[
    Columns, Query(description="列の名前: `ours` か `gif`(政府相互運用性フレームワークに名前のある項目は、その名前で)")
]
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}
}


@dataclass(frozen=True, slots=True)
class _File:
    """One kind of file: its rows, and what a row says."""

    kind: str
    name: str
    title_ja: str
    row: type[DirectoryRow]
    entry: Callable[[Any, Actor], Entry]


def agency_entry(row: AgencyRow, _: Actor) -> AgencyEntry:
    """支援機関."""
    return AgencyEntry(**row.model_dump())


def programme_entry(row: ProgrammeRow, actor: Actor) -> ProgrammeEntry:
    """事業. Who sends the file confirms it, if it doesn't say who did; a word about room is as old as its line."""
    said = row.model_dump()
    said["confirmed_by"] = row.confirmed_by or actor.agency
    if row.capacity_state is not Capacity.UNKNOWN and row.capacity_confirmed_on is None:
        said["capacity_confirmed_on"] = row.confirmed_on
    return ProgrammeEntry(**said)


def workplace_entry(row: WorkplaceRow, _: Actor) -> WorkplaceEntry:
    """職親. What a line says of trial places is as old as the line, if it doesn't say how old."""
    said = row.model_dump()
    said["steps_said_on"] = row.steps_said_on or row.confirmed_on
    return WorkplaceEntry(**said)


_FILES = (
    _File("agency", "agencies", "支援機関", AgencyRow, agency_entry),
    _File("programme", "programmes", "事業", ProgrammeRow, programme_entry),
    _File(
        "professional", "professionals", "専門職", ProfessionalRow, lambda row, _: ProfessionalEntry(**row.model_dump())
    ),
    _File("host_workplace", "host-workplaces", "職親", WorkplaceRow, workplace_entry),
    _File(
        "training_firm",
        "training-firms",
        "認定就労訓練をめざす事業者",
        FirmRow,
        lambda row, _: FirmEntry(**row.model_dump()),
    ),
)


def became(outcome: Outcome, kind: str) -> Became | Remarked | Fault:
    """What is told of a row."""
    match outcome:
        case AgencyNotKnown():
            return Fault("機関ID", "agency_not_known", *AGENCY_NOT_KNOWN)
        case NotYourArea():
            column = "所在地コード" if kind == "agency" else "機関ID"
            return Fault(column, "not_your_area", *_NOT_YOUR_AREA)
        case FirmCantGo(legal):
            words = [japanese for japanese, state in FIRM_STATES.items() if state in legal]
            return Fault(
                "状態",
                "illegal_move",
                f"From where this firm stands it can go to: {', '.join(legal)}",
                f"この事業者がいまの状態から進めるのは、{'・'.join(words)}です",
            )
        case handlers.Kept(what, ()):
            return what
        case handlers.Kept(what, remarks):
            return Remarked(what, tuple(_remark(remark, kind) for remark in remarks))
        case _:
            assert_never(outcome)


_NOT_YOUR_AREA = (
    "Who keeps the directory where the agency is, was, or unlisted has courses, else cases, writes this: send it there",
    "この機関の所在地(前の所在地や、未登録ならコースの実施地、なければケースのある市町村)の名簿を預かる機関が書きます。そちらへ送ってください",
)
_NOT_COME = (
    "That day hasn't come yet: it confirms nothing, and what was confirmed before stands. Correct it and send it again",
    "まだ来ていない日です。確認日として扱わず、前に確認された内容があればそちらを残しました。直してもう一度送ってください",
)
_REMARKS = {
    Remark.OWN_WORD_STANDS: (
        "The agency itself has told this within thirty days; its own word stands, and this one was not taken",
        "この機関が30日以内に自ら伝えた内容があるので、そちらを残しました(この欄は取り込みません)",
    ),
    Remark.FOLLOW_UP_PAST: words_for("follow_up_past"),
    Remark.DAY_NOT_COME: _NOT_COME,
    Remark.WORD_DAY_NOT_COME: _NOT_COME,
}


def _remark(remark: Remark, kind: str) -> Fault:
    of_room = kind == "programme"
    columns = {
        Remark.OWN_WORD_STANDS: "空き状況" if of_room else "受入れ段階",
        Remark.FOLLOW_UP_PAST: "次の連絡日",
        Remark.DAY_NOT_COME: "確認日",
        Remark.WORD_DAY_NOT_COME: "空き確認日" if of_room else "受入れ確認日",
    }
    return Fault(columns[remark], remark, *_REMARKS[remark])


def _taker(file: _File) -> TakeRows[Any]:
    async def take(
        session: AsyncSession, rows: Sequence[DirectoryRow], actor: Actor, now: datetime
    ) -> list[Became | Remarked | Fault]:
        entries = [file.entry(row, actor) for row in rows]
        told = rows[0].told | {"confirmed_by"}  # whoever confirms says so, with a column or without
        outcomes = await handlers.keep_entries(session, entries, told=told, actor=actor, now=now)
        return [became(outcome, file.kind) for outcome in outcomes]

    return take


imports = [
    import_router(
        path=f"/v1/{file.kind.replace('_', '-')}-imports",
        tag="directory",
        role=Role.DIRECTORY,
        row=file.row,
        take=_taker(file),
        title_ja=file.title_ja,
    )
    for file in _FILES
]


def _exporter(file: _File) -> Callable[..., Any]:
    async def export(
        request: Request,
        session: Transaction,
        _: Caller,
        pages: _FilePages,
        encoding: _Wanted = Encoding.CP932,
        columns: _Named = Columns.OURS,
    ) -> Response:
        key = keeping.KEYS[file.kind]
        after = pages.begin(lambda *texts: _of_length(texts, len(key)))
        rows = await listing.whole_entries(session, file.kind, after=after, limit=pages.one_more)
        shown = page(rows, pages, key=lambda row: tuple(getattr(row, name) for name in key), show=lambda row: row)
        lines = [file.row.header(columns), *(file.row.line(row._asdict()) for row in shown.items)]
        answer = await asyncio.to_thread(csv_answer, file.title_ja, lines, encoding)
        if shown.next_cursor is not None:
            # Relative, and with the filters that it was asked with: a cursor belongs to them.
            more = request.url.include_query_params(cursor=shown.next_cursor).query
            answer.headers["Link"] = f'<?{more}>; rel="next"'
        return answer

    return export


def _of_length(texts: tuple[str, ...], length: int) -> tuple[str, ...]:
    if len(texts) != length:
        raise ValueError("another list's place")
    return texts


for _file in _FILES:
    exports.add_api_route(
        f"/v1/exports/{_file.name}.csv",
        _exporter(_file),
        methods=["GET"],
        dependencies=[requires(*Role)],
        name=f"export_{_file.name.replace('-', '_')}",
        summary="A CSV file of the directory",
        description=f"{_file.title_ja}の名簿をCSVで書き出します。そのまま取り込めます。続きがあるときは、"
        '`Link` ヘッダーの `rel="next"` が次の部分を示します。cp932にない文字があるときは、行と文字を示して'
        "断ります(UTF-8なら書き出せます)。",
        response_class=Response,
        responses=_CSV,
    )
