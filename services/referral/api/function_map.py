"""見える化: the map of functions, the records behind its numbers, and what changed between two months."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Response
from pydantic import StringConstraints

from services.referral.api.map_shapes import (
    CellAnswer,
    ChangeAnswer,
    Number,
    RecordAnswer,
    SnapshotAnswer,
    TotalAnswer,
)
from services.referral.api.rows import FunctionOnMap
from services.referral.domain.map_demand import NUMBERS
from services.referral.domain.map_supply import Kind
from services.referral.domain.map_views import Change, by_kind
from services.referral.handlers import function_map as handlers
from services.referral.handlers.function_map import NoSnapshot, NotServed, Wanted
from services.referral.handlers.layouts import layout
from services.referral.handlers.map_lines import change_lines, map_lines
from shared.auth import Actor, Caller, Role, requires
from shared.codes import MunicipalityCode
from shared.problems import FORBIDDEN, NOT_FOUND, Problem, ProblemType, invalid
from shared.service import LongPages, Now, Page, Paging, Transaction, page, router
from shared.service.exports import Encoding, across, csv_answer

Drawn = TypeVar("Drawn")
Shape = TypeVar("Shape")

function_map = router(tag="function_map")

READERS = (Role.COUNSELLOR, Role.DIRECTORY, Role.RULES, Role.PLANNER, Role.OBSERVER)
MOST_LINES = 20_000
TOO_MANY = ProblemType(
    "map_too_long", 409, "There are too many lines for one file or page", "一つのファイルや頁にするには行が多すぎます"
)
CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}
}
PrefectureCode = Annotated[str, StringConstraints(pattern=r"^(0[1-9]|[1-3][0-9]|4[0-7])$")]
Prefecture = Annotated[PrefectureCode, Query(description="都道府県コード(2桁), e.g. 46")]
EncodingWanted = Annotated[Encoding, Query(description="文字コード: `cp932` か `utf-8`(BOM付き)")]
Rung = Literal[
    "outreach", "drop_in", "work_readiness", "work_training", "vocational_training", "job", "retention", "none"
]
_Month = Annotated[str, Query(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", description="A kept month, e.g. 2026-11.")]


async def wanted(
    prefecture: Prefecture,
    function: Annotated[
        FunctionOnMap | None, Query(description="Only this support function; `none` for unanswered.")
    ] = None,
    stage: Annotated[Rung | None, Query(description="Only this rung of the ladder; `none` for unanswered.")] = None,
    strand: Annotated[int | None, Query(ge=0, le=6, description="Only this of the six strands.")] = None,
    municipality: Annotated[MunicipalityCode | None, Query(description="Only this municipality.")] = None,
) -> Wanted:
    """The part of the map that is asked for."""
    if municipality is not None and municipality[:2] != prefecture:
        raise invalid(
            "/municipality",
            "elsewhere",
            "Take a municipality of this prefecture, or its own prefecture",
            "この都道府県の市町村を指定するか、都道府県を合わせてください",
            place="query",
        )
    return Wanted(prefecture, function, stage, strand, municipality)


Choice = Annotated[Wanted, Depends(wanted)]


@function_map.get(
    "/v1/function-map",
    dependencies=[requires(*READERS)],
    summary="The map of functions",
    description="支援機能の地図(見える化)。支援機能・段階・系統と市町村ごとに、供給と需要、判定(充足・不足・なし・余裕)、"
    "提案(広げる・近隣から借りる・新たに作る)を返します。自分の市町村でないところは、5人未満の人の数を伏せ、課題のある人・未充足・求める人の数を1〜4・5〜8・9〜12のような幅で示し、判定がそれで決まるときは`too_few`(少数のため示さず)とします。",
)
async def draw_map(choice: Choice, session: Transaction, now: Now, actor: Caller, pages: LongPages) -> Page[CellAnswer]:
    """As of now; by kind of support and municipality."""
    seen = await handlers.draw_map(session, choice, actor=actor, now=now)
    return _page(seen, pages, key=lambda each: (*_key(each.kind), each.municipality), show=CellAnswer.of)


@function_map.get(
    "/v1/function-map/totals",
    dependencies=[requires(*READERS)],
    summary="The map of functions over all municipalities",
    description="支援機能・段階・系統ごとの合計。伏せた人数を含む合計は「以上」だけを返し、差し引きで分からないようにします。",
)
async def sum_map(choice: Choice, session: Transaction, now: Now, actor: Caller, pages: LongPages) -> Page[TotalAnswer]:
    """By kind of support."""
    rows = by_kind(await handlers.draw_map(session, choice, actor=actor, now=now))
    return _page(rows, pages, key=lambda row: _key(row.kind), show=TotalAnswer.of)


@function_map.get(
    "/v1/function-map/records",
    dependencies=[requires(*READERS)],
    summary="The records behind a number of the map",
    description="地図の一つの数の元になった記録のID。人の数(合計は`prefecture`で指定)の元は、その市町村(都道府県)を担当する機関だけが見られます。"
    "事業の数の元には、事業(`programme`)と、申込みを受け付けている訓練コースの開講(`course_run`)があり、だれでも見られます。"
    "残した月の地図の元の記録は残しません。",
)
async def records_behind(
    number: Annotated[Number, Query(description="Which number.")],
    function: Annotated[FunctionOnMap, Query(description="The cell's support function.")],
    stage: Annotated[Rung, Query(description="The cell's rung of the ladder.")],
    strand: Annotated[int, Query(ge=0, le=6, description="The cell's strand.")],
    session: Transaction,
    now: Now,
    actor: Caller,
    pages: LongPages,
    municipality: Annotated[MunicipalityCode | None, Query(description="The cell's municipality.")] = None,
    prefecture: Annotated[PrefectureCode | None, Query(description="Instead of it: behind the sum of all.")] = None,
) -> Page[RecordAnswer]:
    """By id."""
    # One programme may serve many municipalities, so that what there is on offer has no sum.
    if (municipality is None) == (prefecture is None) or (prefecture is not None and number not in NUMBERS):
        raise invalid(
            "/municipality",
            "one_place",
            "Name the municipality, or the prefecture of a sum of people",
            "市町村か、人の数の合計なら都道府県の、どちらか一つを指定してください",
            place="query",
        )
    found = await handlers.records_behind(
        session,
        "unknown" if number == "room_unknown" else number,
        place=municipality or f"{prefecture}000",
        kind=Kind(function, stage, strand),
        actor=actor,
        now=now,
        after=pages.begin(UUID),
        limit=pages.one_more,
    )
    if isinstance(found, NotServed):
        raise Problem(
            FORBIDDEN,
            detail="Records of people are opened by agencies that serve the municipality, or the whole prefecture for"
            " its sum; ask one of them.",
            detail_ja="人の記録を開けるのは、その市町村(合計は都道府県)を担当する機関だけです。その機関に尋ねてください。",
        )
    return page(found, pages, key=lambda each: (each.id,), show=RecordAnswer.of)


@function_map.get(
    "/v1/function-map.csv",
    dependencies=[requires(*READERS)],
    summary="The map of functions as CSV",
    description="分科会に配る支援機能の地図(CSV)。列は市町村が編集できる設定(TOML)で決まります。",
    response_class=Response,
    responses=CSV,
)
async def export_map(
    choice: Choice, session: Transaction, now: Now, actor: Caller, encoding: EncodingWanted = Encoding.CP932
) -> Response:
    """With a line for each sum."""
    columns = layout(session, "function_map")
    lines = map_lines(await handlers.draw_map(session, choice, actor=actor, now=now))
    return csv_answer(f"{columns.title}_{choice.prefecture}", across(columns, few_enough(lines)), encoding)


@function_map.get(
    "/v1/function-map/snapshots",
    dependencies=[requires(*READERS)],
    summary="Months of which the map is kept",
    description="月ごとに残した地図の一覧。毎月はじめに自動で残ります。",
)
async def list_snapshots(
    prefecture: Prefecture, session: Transaction, _: Caller, pages: LongPages
) -> Page[SnapshotAnswer]:
    """Oldest first."""
    rows = await handlers.list_snapshots(session, prefecture)
    answers = [SnapshotAnswer(**dict(row)) for row in rows]
    return _page(answers, pages, key=lambda each: (each.month,), show=lambda each: each)


@function_map.get(
    "/v1/function-map/changes",
    dependencies=[requires(*READERS)],
    summary="What changed between two months",
    description="残した二つの月の地図の違い。片方だけにある欄は before か after が null です。",
)
async def compare_months(
    earlier: Annotated[_Month, Query(alias="from")],
    later: Annotated[_Month, Query(alias="to")],
    choice: Choice,
    session: Transaction,
    actor: Caller,
    pages: LongPages,
) -> Page[ChangeAnswer]:
    """By kind of support and municipality."""
    changed = await _changed(session, choice, earlier, later, actor)
    return _page(changed, pages, key=lambda each: (*_key(each.kind), each.municipality), show=ChangeAnswer.of)


@function_map.get(
    "/v1/function-map/changes.csv",
    dependencies=[requires(*READERS)],
    summary="What changed between two months, as CSV",
    description="残した二つの月の地図の違い(CSV)。",
    response_class=Response,
    responses=CSV,
)
async def export_changes(
    earlier: Annotated[_Month, Query(alias="from")],
    later: Annotated[_Month, Query(alias="to")],
    choice: Choice,
    session: Transaction,
    actor: Caller,
    encoding: EncodingWanted = Encoding.CP932,
) -> Response:
    """Before and after beside each other."""
    columns = layout(session, "map_changes")
    lines = change_lines(await _changed(session, choice, earlier, later, actor))
    name = f"{columns.title}_{choice.prefecture}_{earlier}_{later}"
    return csv_answer(name, across(columns, few_enough(lines)), encoding)


async def _changed(session: Transaction, choice: Wanted, earlier: str, later: str, actor: Actor) -> list[Change]:
    first, second = (date.fromisoformat(f"{month}-01") for month in (earlier, later))
    if first > second:
        raise invalid(
            "/from", "period", "Give the earlier month first", "古い月を先(from)に指定してください", place="query"
        )
    found = await handlers.compare_months(session, choice, earlier=first, later=second, actor=actor)
    if isinstance(found, NoSnapshot):
        raise Problem(
            NOT_FOUND,
            detail="No map is kept of one of these months; see /v1/function-map/snapshots.",
            detail_ja="この月の地図は残っていません。/v1/function-map/snapshots で月を確かめてください。",
        )
    return list(found)


def few_enough(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many as an office's software opens; else 409."""
    if len(lines) > MOST_LINES:
        raise Problem(
            TOO_MANY,
            detail="Choose a function, a stage, a strand or a municipality.",
            detail_ja="支援機能・段階・系統・市町村のどれかを選んでください。",
        )
    return lines


def _key(kind: Kind) -> tuple[str, str, int]:
    return kind.function, kind.stage, kind.strand


def _page(
    rows: Sequence[Drawn], pages: Paging, *, key: Callable[[Drawn], tuple[Any, ...]], show: Callable[[Drawn], Shape]
) -> Page[Shape]:
    """A page of what is drawn whole: its order is that of the key's texts."""
    begin = pages.begin(lambda *texts: texts)
    texts = sorted(((tuple(map(str, key(row))), row) for row in rows), key=lambda pair: pair[0])
    rest = [row for place, row in texts if begin is None or place > begin]
    return page(rest[: pages.one_more], pages, key=key, show=show)
