"""A support plan on A4 paper: what is known in print, what is still to come as room to write and to sign by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import Query
from fastapi.responses import HTMLResponse

from services.assessment.handlers import plan_views
from shared.auth import Caller, Role, requires
from shared.service import Now, Transaction, router
from shared.service.paper import paper

sheets = router(tag="plans")

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
WORDS: Mapping[str, Mapping[str, str]] = {
    "State": {
        "draft": "案(本人の同意の前)",
        "agreed": "本人同意済み(決定の前)",
        "heard": "支援調整会議済み(決定の前)",
        "in_force": "支援決定済み",
        "changing": "支援決定済み(変更案を作成中)",
        "change_agreed": "支援決定済み(変更案に本人同意)",
        "change_heard": "支援決定済み(変更案の決定待ち)",
        "evaluated": "評価済み",
        "given_up": "取りやめ",
        "interrupted": "ケース終結により中断",
    },
    "Who": {"person": "本人", "family": "家族", "desk": "担当機関", "agency": "支援機関"},
    "Rhythm": {
        "once": "一回",
        "daily": "毎日",
        "weekly": "週一回",
        "fortnightly": "二週に一回",
        "monthly": "月一回",
        "as_needed": "必要なとき",
    },
    "Going": {"going_well": "順調", "slow": "ゆっくり", "stopped": "止まっている", "done": "済み"},
    "Consenting": {"written": "書面", "oral": "口頭"},
    "Opinion": {"appropriate": "適切", "with_conditions": "条件つきで適切", "change_needed": "見直しが必要"},
    "Decided": {"support": "支援決定", "confirmed": "確認"},
}
"""The codes as they stand on paper, by their class in `domain.plan`."""


@sheets.get(
    "/v1/plans/{plan_id}/sheet.html",
    summary="Plan to print",
    description="支援プランをA4の紙に印刷する頁で返します。まだないところは、手で書き込む空欄になります。閲覧は記録されます。",
    dependencies=[requires(Role.COUNSELLOR)],
    response_class=HTMLResponse,
    responses={200: {"description": "HTML"}},
)
async def print_plan(
    plan_id: UUID,
    session: Transaction,
    now: Now,
    actor: Caller,
    version: Annotated[int | None, Query(ge=1, le=100_000, description="版")] = None,
) -> HTMLResponse:
    """For whoever reads the whole plan; what the caller has no basis for is said to be withheld."""
    sheet = await plan_views.read_sheet(session, plan_id, version, actor=actor, now=now)
    return paper(
        TEMPLATES,
        "plan.html",
        demo=session.info["settings"].demo,
        sheet=sheet,
        shown=sheet.shown,
        plan=sheet.shown.seen.plan,
        word=word,
    )


def word(kind: str, code: str) -> str:
    """A code as it stands on paper; one that is not known stands as it is."""
    return WORDS[kind].get(code, code)
