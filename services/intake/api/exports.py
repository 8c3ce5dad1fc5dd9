"""What is taken away: reception list, funnel, hand-over sheet; as files or on paper, laid out as the office likes."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from services.intake.api.paper import printed
from services.intake.api.persons import denied
from services.intake.domain.policy import Denied
from services.intake.handlers import exports as handlers
from services.intake.handlers import persons
from shared.auth import Caller, Role, requires
from shared.problems import Problem, ProblemType, invalid
from shared.service import Now, Transaction, router
from shared.service.exports import Encoding, across, csv_answer, down

exports = router(tag="exports")

MOST_ROWS = 20_000
_LONGEST_DAYS = 366
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}
}
_TOO_MANY = ProblemType(
    "too_many_rows",
    409,
    f"More than {MOST_ROWS:,} lines",
    f"{MOST_ROWS:,}行を超えます",
)
_Since = Annotated[date, Query(alias="from", description="この日から")]
_Until = Annotated[date, Query(alias="to", description="この日まで")]
_Wanted = Annotated[Encoding, Query(description="文字コード: `cp932` か `utf-8`(BOM付き)")]


@exports.get(
    "/v1/exports/reception-list.csv",
    summary="Reception list as CSV",
    description="期間中に自機関が受け付けた・担当する相談の一覧です。個人の項目は、担当しているケースだけに入ります。"
    "列は市町村が編集できる設定(TOML)で決まります。",
    dependencies=[requires(Role.COUNSELLOR)],
    response_class=Response,
    responses=_CSV,
)
async def export_reception_list(
    since: _Since, until: _Until, session: Transaction, actor: Caller, encoding: _Wanted = Encoding.CP932
) -> Response:
    """Oldest first; each person's fields are logged as an export."""
    _refuse_no_period(since, until)
    columns = handlers.layout(session, "reception_list")
    rows = await handlers.reception_list(session, columns, since=since, until=until, actor=actor, limit=MOST_ROWS)
    if rows is None:
        raise Problem(_TOO_MANY, detail="Ask for a shorter time.", detail_ja="期間を短くしてください。")
    return csv_answer(f"{columns.title}_{since}_{until}", across(columns, rows), encoding)


@exports.get(
    "/v1/exports/funnel.csv",
    summary="Screening outcomes as CSV",
    description="期間中の相談を、市町村とスクリーニング結果別に数えます。個人の情報は含みません。",
    dependencies=[requires(Role.COUNSELLOR)],
    response_class=Response,
    responses=_CSV,
)
async def export_funnel(
    since: _Since, until: _Until, session: Transaction, actor: Caller, encoding: _Wanted = Encoding.CP932
) -> Response:
    """Counts, and nothing about anybody."""
    _refuse_no_period(since, until)
    columns = handlers.layout(session, "funnel")
    rows = await handlers.funnel(session, since=since, until=until, actor=actor)
    return csv_answer(f"{columns.title}_{since}_{until}", across(columns, rows), encoding)


@exports.get(
    "/v1/cases/{case_id}/hand-over-sheet.csv",
    summary="Hand-over sheet as CSV",
    description="つなぐシート(一人分)です。日付・機関・相談内容・決めたことを、担当機関が書き出します。",
    dependencies=[requires(Role.COUNSELLOR)],
    response_class=Response,
    responses=_CSV,
)
async def export_hand_over_sheet(
    case_id: UUID, session: Transaction, now: Now, actor: Caller, encoding: _Wanted = Encoding.CP932
) -> Response:
    """By who holds the case."""
    columns = handlers.layout(session, "hand_over_sheet")
    sheet = await handlers.hand_over_sheet(session, columns, case_id, actor=actor, now=now)
    if isinstance(sheet, Denied):
        raise denied(sheet)
    return csv_answer(
        f"{columns.title}_{sheet.values['number']}", down(columns, sheet.values), encoding, downwards=True
    )


@exports.get(
    "/v1/cases/{case_id}/hand-over-sheet.html",
    summary="Hand-over sheet to print",
    description="つなぐシート(一人分)を、A4の紙に印刷する頁で書き出します。CSVと同じ設定と同じ中身で、分かっていないところは手で書ける"
    "空欄になります。",
    dependencies=[requires(Role.COUNSELLOR)],
    response_class=HTMLResponse,
    responses={200: {"description": "HTML"}},
)
async def print_hand_over_sheet(case_id: UUID, session: Transaction, now: Now, actor: Caller) -> HTMLResponse:
    """By who holds the case."""
    columns = handlers.layout(session, "hand_over_sheet")
    sheet = await handlers.hand_over_sheet(session, columns, case_id, actor=actor, now=now)
    if isinstance(sheet, Denied):
        raise denied(sheet)
    return printed(columns, sheet, demo=session.info["settings"].demo)


@exports.get(
    "/v1/cases/{case_id}/accesses.csv",
    summary="Who looked, as CSV",
    description="この方の情報をだれが見たか・書いたかの一覧を、本人に渡せる形で書き出します(古い順)。",
    dependencies=[requires(Role.COUNSELLOR)],
    response_class=Response,
    responses=_CSV,
)
async def export_accesses(
    case_id: UUID, session: Transaction, now: Now, actor: Caller, encoding: _Wanted = Encoding.CP932
) -> Response:
    """All of them in one file, for the person (開示請求, 個人情報保護法 Art. 76)."""
    columns = handlers.layout(session, "accesses")
    rows = await persons.list_accesses(session, case_id, after=0, limit=MOST_ROWS + 1, actor=actor, now=now)
    if isinstance(rows, Denied):
        raise denied(rows)
    if len(rows) > MOST_ROWS:
        raise Problem(
            _TOO_MANY,
            detail="Read `/accesses` instead: it comes in pages.",
            detail_ja="代わりに `/accesses` を、ページごとに読んでください。",
        )
    return csv_answer(columns.title, across(columns, [row._asdict() for row in rows]), encoding)


def _refuse_no_period(since: date, until: date) -> None:
    if not 0 <= (until - since).days <= _LONGEST_DAYS or not 1900 <= since.year < 2200:
        raise invalid(
            "/to",
            "no_period",
            "From one day to another within a year",
            "期間は1年以内で指定してください",
            place="query",
        )
