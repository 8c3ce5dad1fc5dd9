"""A conference on paper: the sheet for its table, and its minutes on one page. Both hold what the reader may see."""

from uuid import UUID

from fastapi.responses import HTMLResponse

from services.assessment.domain.conference import Lane
from services.assessment.domain.rule import assess_prolongation, explain
from services.assessment.handlers.assessments import axes
from services.assessment.handlers.conference_papers import Levels, Paper, read_paper
from services.assessment.pages import words
from services.assessment.pages.progress import TEMPLATES
from shared.auth import Caller, Role, requires
from shared.service import Now, Transaction, router
from shared.service.paper import paper

papers = router(tag="conferences")


@papers.get(
    "/v1/conferences/{conference_id}/sheet.html",
    summary="A sheet for the table",
    description="会議の卓上資料(A4)。構成員、議題、課題の地図、最新の評価、待っていることを、読む機関に見せてよい範囲で載せます。",
    dependencies=[requires(Role.COUNSELLOR)],
    response_class=HTMLResponse,
    responses={200: {"description": "HTML"}},
)
async def print_sheet(conference_id: UUID, session: Transaction, now: Now, actor: Caller) -> HTMLResponse:
    """Before the meeting, and in it; the log is written before the answer leaves."""
    shown = await read_paper(session, conference_id, actor=actor, now=now)
    return _page("conference_sheet.html", shown, session, now, actor)


@papers.get(
    "/v1/conferences/{conference_id}/minutes.html",
    summary="Minutes on one page",
    description="会議の議事録(A4)。出席者、議題、課題の地図、合同の評価、決まったこと、議事を載せます。",
    dependencies=[requires(Role.COUNSELLOR)],
    response_class=HTMLResponse,
    responses={200: {"description": "HTML"}},
)
async def print_minutes(conference_id: UUID, session: Transaction, now: Now, actor: Caller) -> HTMLResponse:
    """As they stand; that the conference is not over is said on them."""
    shown = await read_paper(session, conference_id, actor=actor, now=now)
    return _page("conference_minutes.html", shown, session, now, actor)


def _page(template: str, shown: Paper, session: Transaction, now: Now, actor: Caller) -> HTMLResponse:
    record = shown.record
    return paper(
        TEMPLATES,
        template,
        demo=session.info["settings"].demo,
        paper=shown,
        record=record,
        held=record.seen.held,
        row=record.seen.row,
        art9=record.seen.held.lane is Lane.ART_9,
        today=record.seen.today,
        flag=None if shown.levels is None else _flag(shown.levels),
        missing=missing(shown),
        words=words,
        reader=actor.agency,
        printed_at=now,
    )


def missing(shown: Paper) -> list[str]:
    """What this paper leaves out, for this reader: an empty place must not be read as "nothing is known"."""
    levels = shown.levels
    found = [
        ("評価(この機関には開示の根拠がありません)", shown.hidden),
        ("ほかの機関による評価", levels is not None and levels.own_only),
        (
            "病気・障害に関わる記述(健康に関する情報への同意が及んでいません)",
            any(each.withheld for each in shown.record.problems) or (levels is not None and bool(levels.withheld)),
        ),
        ("ほかの機関がすること", shown.own_tasks),
        ("構成員の発言・記述(支援会議の中にとどまります)", shown.record.own_only),
    ]
    return [what for what, left_out in found if left_out]


def _flag(levels: Levels) -> str | None:
    if levels.rule is None:
        return None
    return explain(assess_prolongation(axes(levels.latest.levels), levels.rule), levels.rule).japanese
