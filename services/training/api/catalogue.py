"""訓練コースの目録 over HTTP: search, as CSV and as a calendar; what sources say, and settling where they differ."""

import asyncio
from collections.abc import Collection
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import StringConstraints

from services.training.api.calendar import CourseDays, calendar
from services.training.api.catalogue_shapes import (
    CatalogueEntry,
    CatalogueStatus,
    Delivery,
    Differing,
    RecordField,
    Settle,
    StatementView,
    WholeEntry,
    here,
    show_differing,
    show_entry,
    show_statement,
    show_whole,
)
from services.training.api.courses import AnyField, AnySystem, Prefecture
from services.training.domain.catalogue import OURS, searchable
from services.training.domain.catalogue_checks import RUN_DAYS
from services.training.handlers import catalogue as handlers
from services.training.handlers import catalogue_reading as reading
from services.training.tables.catalogue_search import Reader, Wanted
from shared.auth import Caller, Role, requires
from shared.codes import Code, FreeText, MunicipalityCode
from shared.service import IfMatch, Now, Page, Pages, Paging, Transaction, etag, number, page, paging, router
from shared.service.exports import Encoding, across, csv_answer

catalogue_courses = router(tag="catalogue")
_ALL = requires(*Role)
_KEEPER = requires(Role.PLANNER)
_FilePages = Annotated[Paging, Depends(paging(20_000, usual=10_000))]
_FeedPages = Annotated[Paging, Depends(paging(1_000, usual=500))]
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}
}
_CALENDAR: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/calendar": {"schema": {"type": "string"}}}, "description": "iCalendar (RFC 5545)"}
}


async def _wanted(
    now: Now,
    text: Annotated[
        Annotated[FreeText, StringConstraints(min_length=1, max_length=100)] | None,
        Query(description="In the title, operator, place, qualification, numbers or who may apply."),
    ] = None,
    field: Annotated[AnyField | None, Query(description="分野; of a trial place its step.")] = None,
    system: Annotated[AnySystem | None, Query(description="訓練種別; `trial`: places at host workplaces.")] = None,
    status: CatalogueStatus | None = None,
    prefecture: Annotated[Prefecture | None, Query(description="Where it is held.")] = None,
    municipality: Annotated[MunicipalityCode | None, Query(description="Where it is held.")] = None,
    starts_from: Annotated[date | None, Query(description="The first day, or later.")] = None,
    starts_to: Annotated[date | None, Query(description="The first day, or earlier.")] = None,
    delivery: Annotated[
        list[Delivery] | None, Query(max_length=len(Delivery), description="All of these; may be repeated.")
    ] = None,
    open_now: Annotated[bool, Query(description="Applications are open.")] = False,
    with_free: Annotated[bool, Query(description="With a free seat in a pool open to your municipalities.")] = False,
) -> Wanted:
    """What every form of the search takes."""
    return Wanted(
        text=None if text is None else searchable(text),
        field=field,
        system=system,
        status=status,
        prefecture=prefecture,
        municipality=municipality,
        starts_from=starts_from,
        starts_to=starts_to,
        delivery=tuple(dict.fromkeys(delivery or ())),
        open_at=now if open_now else None,
        free=with_free,
    )


async def _reader(
    actor: Caller,
    now: Now,
    target_group: Annotated[
        list[Code] | None,
        Query(max_length=20, description="優先枠: free seats kept for one of these groups count too; may be repeated."),
    ] = None,
) -> Reader:
    """For whom seats are free: as they would be given to somebody of the caller's municipalities and these groups."""
    return Reader(actor.municipalities, now, tuple(target_group or ()))


_Search = Annotated[Wanted, Depends(_wanted)]
_Reader = Annotated[Reader, Depends(_reader)]


def _place(begins_on: str, course_id: str) -> tuple[date, UUID]:
    return date.fromisoformat(begins_on), UUID(course_id)


async def _found(session: Transaction, wanted: Wanted, reader: Reader, pages: Paging) -> Page[CatalogueEntry]:
    rows = await reading.search(session, wanted, reader=reader, after=pages.begin(_place), limit=pages.one_more)
    return page(rows, pages, key=lambda row: (row.begins_on, row.id), show=show_entry)


@catalogue_courses.get(
    "/v1/catalogue",
    summary="Search the catalogue",
    description="訓練コースの目録を、分野・場所・日付・実施方法・自分の自治体が使える空きなどで探します。開始日の順です。",
    dependencies=[_ALL],
)
async def search_catalogue(
    session: Transaction, wanted: _Search, pages: Pages, reader: _Reader
) -> Page[CatalogueEntry]:
    """By first day; those of which it is unknown at the end."""
    return await _found(session, wanted, reader, pages)


@catalogue_courses.get(
    "/v1/catalogue.csv",
    summary="The catalogue as CSV",
    description='探した結果のCSVです。続きがあるときは、`Link` ヘッダーの `rel="next"` が次の部分を示します。',
    dependencies=[_ALL],
    response_class=Response,
    responses=_CSV,
)
async def export_catalogue(
    request: Request,
    session: Transaction,
    wanted: _Search,
    pages: _FilePages,
    reader: _Reader,
    encoding: Annotated[Encoding, Query(description="文字コード: `cp932` か `utf-8`(BOM付き)")] = Encoding.CP932,
) -> Response:
    """Columns as the office's layout says."""
    found = await _found(session, wanted, reader, pages)
    columns = reading.catalogue_layout(session)
    names = handlers.sources(session) | {OURS: "席の登録"}
    told = [reading.catalogue_line(item.model_dump(), _changed_here(item), names) for item in found.items]
    lines = across(columns, told)
    answer = await asyncio.to_thread(csv_answer, columns.title, lines, encoding)
    return _with_more(answer, request, found)


@catalogue_courses.get(
    "/v1/catalogue.ics",
    summary="The catalogue as a calendar",
    description="探した結果の応募締切・見学会・選考・結果通知・開始・終了を、iCalendar(RFC 5545)で返します。",
    dependencies=[_ALL],
    response_class=Response,
    responses=_CALENDAR,
)
async def feed_catalogue(
    request: Request, session: Transaction, wanted: _Search, pages: _FeedPages, reader: _Reader, now: Now
) -> Response:
    """The same search, as days."""
    found = await _found(session, wanted, reader, pages)
    return _with_more(_as_calendar("訓練コース", found.items, now), request, found)


def _changed_here(item: CatalogueEntry) -> list[str]:
    return sorted({finding.code for finding in here(item.record.model_dump(mode="json"), item.seats)})


def _with_more(answer: Response, request: Request, found: Page[CatalogueEntry]) -> Response:
    if found.next_cursor is not None:
        # Relative, and with the filters that it was asked with: a cursor belongs to them.
        more = request.url.include_query_params(cursor=found.next_cursor).query
        answer.headers["Link"] = f'<?{more}>; rel="next"'
    return answer


def _as_calendar(name: str, items: Collection[CatalogueEntry], now: datetime) -> Response:
    courses = [_course_days(item) for item in items]
    return Response(
        calendar(name, courses, now=now).encode(),
        media_type="text/calendar; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="training.ics"', "Cache-Control": "no-store"},
    )


def _course_days(item: CatalogueEntry) -> CourseDays:
    """By the days of the course run here, where there is one: a calendar is what people act by.

    Its version rises with either's, or a calendar that took the days in before would not take the others.
    """
    record, version = item.record.model_dump(mode="json"), item.version
    if item.seats is not None:
        record |= {name: value for name, value in item.seats.model_dump(mode="json").items() if name in RUN_DAYS}
        record |= {"status": "cancelled"} if item.seats.cancelled_at is not None else {}
        version += item.seats.version
    return CourseDays(item.catalogue_id, item.course_number, version, record)


@catalogue_courses.get(
    "/v1/catalogue/{catalogue_id}",
    summary="Read a course of the catalogue",
    description="載っている内容と、項目ごとに、どの出典がいつ何と述べているか、食い違いをどう決めたかを返します。",
    dependencies=[_ALL],
)
async def get_catalogue_course(
    catalogue_id: UUID, response: Response, session: Transaction, reader: _Reader
) -> WholeEntry:
    """With every source's word."""
    row = await reading.get_course(session, catalogue_id, reader=reader)
    response.headers["ETag"] = etag(row.version)
    return show_whole(row, await handlers.get_entry(session, catalogue_id))


@catalogue_courses.get(
    "/v1/catalogue/{catalogue_id}/calendar.ics",
    summary="A course's days as a calendar",
    description="応募締切・見学会・選考・結果通知・開始・終了を、iCalendar(RFC 5545)で返します。",
    dependencies=[_ALL],
    response_class=Response,
    responses=_CALENDAR,
)
async def get_course_calendar(catalogue_id: UUID, session: Transaction, reader: _Reader, now: Now) -> Response:
    """Of one course run."""
    item = show_entry(await reading.get_course(session, catalogue_id, reader=reader))
    return _as_calendar(item.record.title or item.course_number, [item], now)


@catalogue_courses.get(
    "/v1/catalogue/{catalogue_id}/statements",
    summary="What was said of a course, as it came in",
    description="出典ごとの内容を、届いた順にすべて返します(追記のみ)。",
    dependencies=[_ALL],
)
async def list_catalogue_statements(catalogue_id: UUID, session: Transaction, pages: Pages) -> Page[StatementView]:
    """Oldest first."""
    found = await reading.list_statements(
        session,
        catalogue_id,
        after=pages.begin(lambda statement_id: number(statement_id, bits=64)) or 0,
        limit=pages.one_more,
    )
    return page(found, pages, key=lambda row: (row.id,), show=show_statement)


@catalogue_courses.post(
    "/v1/catalogue/{catalogue_id}/settlements",
    status_code=201,
    summary="Decide whose word stands",
    description="出典の食い違いについて、どの出典の内容を載せるかを項目ごとに決めます。誰がいつ決めたかが残ります。"
    "決めたあとに出典の内容が変わると、また食い違いとして示します。読んだ版を `If-Match` で示してください。",
    dependencies=[_KEEPER],
)
async def settle_difference(
    catalogue_id: UUID,
    body: Settle,
    version: IfMatch,
    response: Response,
    session: Transaction,
    now: Now,
    actor: Caller,
) -> WholeEntry:
    """By the planner of the place."""
    await handlers.settle_difference(
        session,
        catalogue_id,
        field=body.field,
        source=body.source,
        reason=body.reason,
        read_version=version,
        actor=actor,
        now=now,
    )
    return await get_catalogue_course(catalogue_id, response, session, Reader(actor.municipalities, now))


@catalogue_courses.get(
    "/v1/catalogue-differences",
    summary="Where the sources differ",
    description="担当する地域の講座のうち、出典が食い違い、まだ決めていない項目があるものの一覧です。",
    dependencies=[_KEEPER],
)
async def list_catalogue_differences(
    session: Transaction,
    pages: Pages,
    actor: Caller,
    field: Annotated[RecordField | None, Query(description="Only on this field.")] = None,
) -> Page[Differing]:
    """A course at a time, with each source's word."""
    found = await reading.list_differing(
        session, mine=actor.municipalities, field=field, after=pages.begin(UUID), limit=pages.one_more
    )
    return page(found, pages, key=lambda entry: (entry.id,), show=show_differing)
