"""訓練の年次報告 over HTTP: capacity, applications, enrolment, completion and employment; and the delegated share."""

from operator import itemgetter
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query, Response

from services.training.api.courses import AnyField, AnySystem, Prefecture
from services.training.api.report_shapes import (
    DelegatedEntry,
    DelegatedShare,
    ReportCell,
    ReportEntry,
    ReportRequest,
)
from services.training.domain.report import Dimension, Measure, Origin, Place
from services.training.handlers import report as handlers
from services.training.tables import report as tables
from services.training.tables.report import Year
from shared.auth import Caller, Role, requires
from shared.codes import Code, MunicipalityCode
from shared.service import LongPages, Now, Page, Pages, Transaction, number, page, router
from shared.service.exports import Encoding, across, csv_answer

reports = router(tag="training-report")
_ALL = requires(*Role)
_WHO_SEES_PERSONS = requires(Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER)
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}
}
_FiscalYear = Annotated[int, Query(ge=1990, le=2198, description="年度: course runs that begin in it.")]
OfPersons = Literal[
    "applications", "enrolled", "in_training", "ended", "completed", "left", "looked_at", "employed",
    "employed_insured", "unheard",
]  # fmt: skip


async def _year(
    fiscal_year: _FiscalYear,
    prefecture: Annotated[Prefecture | None, Query(description="Where the courses are; else all.")] = None,
    trials: Annotated[bool, Query(description="職親の受入れ: of trial places alone; else of courses alone.")] = False,
) -> Year:
    """Which year of which prefecture."""
    return Year(fiscal_year, prefecture, trials)


async def _plan_year(
    fiscal_year: _FiscalYear,
    prefecture: Annotated[Prefecture | None, Query(description="Where the courses are; else all.")] = None,
) -> Year:
    """The same of courses: no decision is about trial places."""
    return Year(fiscal_year, prefecture)


async def _cell(origin: Origin | None = None, system: AnySystem | None = None, field: AnyField | None = None) -> Place:
    """Which cell; what is left out is not told apart."""
    return Place(origin, system, field)


_Year = Annotated[Year, Depends(_year)]
_PlanYear = Annotated[Year, Depends(_plan_year)]
_Place = Annotated[Place, Depends(_cell)]
_By = Annotated[
    list[Dimension] | None, Query(max_length=2, description="Told apart by one or two of these; may be repeated.")
]


@reports.get(
    "/v1/training-report",
    summary="The yearly report of training",
    description="年度に開始した訓練コースの定員・応募者・入校者・修了者・就職者と、応募倍率・定員充足率・修了率・就職率を、枠の種類・"
    "訓練種別・分野・市町村(本人の)・対象者の区分のうち二つまでで分けて返します。対象者の区分は、本人の市町村または都道府県を担当する"
    "機関にだけ分けて返し、二つ以上に当たる人はそれぞれに数えます。自分が担当しない人の5未満の人数は伏せ、伏せた人数を含む数は「以上」"
    "だけを返します。定義は決定記録 0052 にあります。",
    dependencies=[_ALL],
)
async def read_report(
    session: Transaction, year: _Year, now: Now, actor: Caller, pages: LongPages, by: _By = None
) -> Page[ReportCell]:
    """Cell by cell."""
    cells = await handlers.read_report(session, year, by or (), actor=actor, now=now)
    begin = pages.begin(lambda *texts: texts)
    keyed = [(tuple(value or "" for value in cell.place), cell) for cell in cells]
    rest = [each for each in keyed if begin is None or each[0] > begin]
    return page(rest[: pages.one_more], pages, key=lambda each: each[0], show=lambda each: ReportCell.of(each[1]))


@reports.get(
    "/v1/training-report.csv",
    summary="The yearly report of training as CSV",
    description="年次報告のCSVです。最後の行は計です。列は書き換えられる設定(TOML)で決まります。",
    dependencies=[_ALL],
    response_class=Response,
    responses=_CSV,
)
async def export_report(
    session: Transaction,
    year: _Year,
    now: Now,
    actor: Caller,
    by: _By = None,
    encoding: Annotated[Encoding, Query(description="文字コード: `cp932` か `utf-8`(BOM付き)")] = Encoding.CP932,
) -> Response:
    """With a line for all together."""
    columns = handlers.report_layout(session)
    lines = await handlers.report_lines(session, year, by or (), actor=actor, now=now)
    return csv_answer(f"{columns.title}_{year.fiscal_year}", across(columns, lines), encoding)


@reports.get(
    "/v1/training-report/entries",
    summary="The ledger's entries behind a capacity",
    description="報告の定員の元になった台帳の記入です。seats の和が定員になります。",
    dependencies=[_ALL],
)
async def list_report_entries(session: Transaction, year: _Year, place: _Place, pages: LongPages) -> Page[ReportEntry]:
    """Oldest first."""
    after = pages.begin(lambda entry_id, origin: (number(entry_id, bits=64), origin)) or (0, "")
    rows = await tables.list_seat_entries(session, year, place, after=after, limit=pages.one_more)
    return page(rows, pages, key=lambda row: (row["entry_id"], row["origin"]), show=ReportEntry.of)


@reports.get(
    "/v1/training-report/requests",
    summary="The requests behind a number of the report",
    description="報告の人数の元になった申込みです。自分の自治体の人(訓練機関は自校の人)の申込みだけを返します。",
    dependencies=[_WHO_SEES_PERSONS],
)
async def list_report_requests(
    session: Transaction,
    year: _Year,
    place: _Place,
    measure: Annotated[OfPersons, Query(description="Which number.")],
    now: Now,
    actor: Caller,
    pages: LongPages,
    municipality: Annotated[MunicipalityCode | None, Query(description="Of persons of this municipality.")] = None,
    target_group: Annotated[Code | None, Query(description="Of persons named for it; `none`: for no group.")] = None,
) -> Page[ReportRequest]:
    """By id."""
    rows = await handlers.list_requests(
        session,
        year,
        place._replace(municipality=municipality, target_group=target_group),
        Measure(measure),
        actor=actor,
        now=now,
        after=pages.begin(UUID),
        limit=pages.one_more,
    )
    return page(rows, pages, key=lambda row: (row["id"],), show=ReportRequest.of)


@reports.get(
    "/v1/training-report/delegated",
    summary="The delegated share's use against the decisions",
    description="その年度の訓練コースに委ねる枠の決定ごとに、決定した席数、配分、返還、いま使われている席、入校者を返します。"
    "入校者は人数なので、その配分の市町村をすべて担当する機関と講座の訓練機関のほかには、5未満なら伏せます。",
    dependencies=[_ALL],
)
async def list_delegated_shares(
    session: Transaction, year: _PlanYear, now: Now, actor: Caller, pages: Pages
) -> Page[DelegatedShare]:
    """By prefecture, decision and allotment."""
    after = pages.begin(
        lambda prefecture, decided, serial, place: (prefecture, number(decided), number(serial), number(place))
    )
    shares = await handlers.list_delegated(session, year, actor=actor, now=now, after=after, limit=pages.one_more)
    key = itemgetter("prefecture", "fiscal_year", "serial", "number")
    return page(shares, pages, key=lambda share: key(share[0]), show=lambda share: DelegatedShare.of(*share))


@reports.get(
    "/v1/training-report/delegated.csv",
    summary="The delegated share's use as CSV",
    description="委ねる枠の使われ方(CSV)。決定の配分ごとに一行です。入校者の伏せ方は一覧と同じです。",
    dependencies=[_ALL],
    response_class=Response,
    responses=_CSV,
)
async def export_delegated_shares(
    session: Transaction,
    year: _PlanYear,
    now: Now,
    actor: Caller,
    encoding: Annotated[Encoding, Query(description="文字コード: `cp932` か `utf-8`(BOM付き)")] = Encoding.CP932,
) -> Response:
    """A line for each allotment."""
    columns = handlers.delegated_layout(session)
    lines = await handlers.delegated_lines(session, year, actor=actor, now=now)
    return csv_answer(f"{columns.title}_{year.fiscal_year}", across(columns, lines), encoding)


@reports.get(
    "/v1/training-report/delegated/{decision_allotment_id}/entries",
    summary="The ledger's entries behind the delegated share",
    description="配分(granted)・返還(returned)・使用(taken)・入校(enrolled)の元になった台帳の記入です。入校のものは、"
    "その配分の市町村をすべて担当する機関と、講座の訓練機関だけに返します。",
    dependencies=[_ALL],
)
async def list_delegated_entries(
    decision_allotment_id: UUID,
    about: Annotated[Literal["granted", "returned", "taken", "enrolled"], Query(alias="number")],
    session: Transaction,
    actor: Caller,
    pages: LongPages,
) -> Page[DelegatedEntry]:
    """Oldest first."""
    after = pages.begin(lambda entry_id: number(entry_id, bits=64)) or 0
    rows = await handlers.list_delegated_entries(
        session, decision_allotment_id, about, actor=actor, after=after, limit=pages.one_more
    )
    return page(rows, pages, key=lambda row: (row["entry_id"],), show=DelegatedEntry.of)
