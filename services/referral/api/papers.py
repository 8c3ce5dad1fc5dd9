"""Pages for paper: the map for the sub-committee's table, and an agency's own give-back page."""

from pathlib import Path

from fastapi.responses import HTMLResponse

from services.referral.api.function_map import READERS as MAP_READERS
from services.referral.api.function_map import TOO_MANY, Choice
from services.referral.api.numbers import READERS as NUMBER_READERS
from services.referral.api.numbers import Chosen
from services.referral.domain.function_map import Coverage
from services.referral.domain.map_views import by_kind, topics
from services.referral.domain.numbers import is_by_person
from services.referral.handlers import function_map as maps
from services.referral.handlers import numbers as figures
from services.referral.handlers.layouts import words_of
from shared.auth import Caller, requires
from shared.problems import Problem
from shared.service import Now, Transaction, day_in_japan, router
from shared.service.paper import paper

papers = router(tag="function_map")

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
MOST_ROWS = 150
_ACROSS = 14
"""So many municipalities stand beside each other on a page; more go on in the next table."""
_SIGNS = {
    Coverage.COVERED: "◎",
    Coverage.THIN: "△",
    Coverage.MISSING: "×",
    Coverage.UNUSED: "○",
    Coverage.TOO_FEW: "－",
}


@papers.get(
    "/v1/function-map.html",
    dependencies=[requires(*MAP_READERS)],
    summary="The map of functions to print",
    description="支援機能の地図を、支援機能×市町村の表で A4 横(A3 にも拡大できます)の紙に印刷する頁で返します。"
    "段階・系統などを選んでください。",
    response_class=HTMLResponse,
    responses={200: {"description": "HTML"}},
)
async def print_map(choice: Choice, session: Transaction, now: Now, actor: Caller) -> HTMLResponse:
    """A row for each kind of support, a column for each municipality."""
    rows = by_kind(await maps.draw_map(session, choice, actor=actor, now=now))
    if len(rows) > MOST_ROWS:
        raise Problem(
            TOO_MANY,
            detail=f"A page holds {MOST_ROWS} rows: choose a stage, a strand or a function.",
            detail_ja=f"一枚に{MOST_ROWS}行までです。段階・系統・支援機能のどれかを選んでください。",
        )
    towns = sorted({town for row in rows for town in row.cells})
    return paper(
        TEMPLATES,
        "function_map.html",
        demo=session.info["settings"].demo,
        now=now,
        choice=choice,
        rows=rows,
        topics=topics(rows),
        blocks=[towns[begin : begin + _ACROSS] for begin in range(0, len(towns), _ACROSS)],
        words=words_of("function_map"),
        signs=_SIGNS,
        states=list(Coverage),
    )


@papers.get(
    "/v1/give-back.html",
    dependencies=[requires(*NUMBER_READERS)],
    summary="The caller's own give-back page to print",
    description="自機関への還元ページを A4 の紙に印刷する頁で返します。",
    response_class=HTMLResponse,
    responses={200: {"description": "HTML"}},
    tags=["numbers"],
)
async def print_give_back(chosen: Chosen, session: Transaction, now: Now, actor: Caller) -> HTMLResponse:
    """Of the caller's agency alone."""
    found = await figures.give_back(session, chosen, actor.agency, now)
    return paper(
        TEMPLATES,
        "give_back.html",
        demo=session.info["settings"].demo,
        since=day_in_japan(chosen.since),
        until=day_in_japan(chosen.until),
        now=now,
        found=found,
        words=words_of("give_back"),
        is_by_person=is_by_person,
    )
