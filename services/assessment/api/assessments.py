"""Rating a case and reading its ratings: permissions, status codes, one call into the handlers each."""

from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from sqlalchemy import Row

from services.assessment import handlers
from services.assessment.api.shapes import (
    AssessmentAnswer,
    AxisChange,
    Because,
    ComparisonAnswer,
    LevelsShown,
    RecordAssessment,
)
from services.assessment.domain.fdp import Axis, assess_prolongation, explain
from services.assessment.domain.rubric import find_rubric
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.problems import Problem, ProblemType, invalid
from shared.service import Now, Page, Pages, Transaction, number, page, router

assessments = router(tag="assessments")

CORRECTED_ALREADY = ProblemType(
    "corrected_already",
    409,
    "Another assessment corrects this one; correct that one",
    "このアセスメントはすでに訂正されています。訂正後のものを訂正してください",
)


CASE_CLOSED = ProblemType("case_closed", 409, "This case is closed", "このケースは終結しています")


@assessments.post(
    "/v1/cases/{case_id}/assessments",
    status_code=201,
    summary="Record an assessment",
    description="FDP(5軸×5段階)の評価を記録し、長期化のおそれとその理由を返します。記録は書き換えません。"
    "誤りは `corrects` で新しい評価を加えて訂正します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def record_assessment(
    case_id: UUID, body: RecordAssessment, session: Transaction, now: Now, actor: Caller
) -> AssessmentAnswer:
    """Add a rating. A case opened in the last seconds may not have arrived yet: 404 `case_not_known`, try again."""
    _check(body, now)
    rated = handlers.Rated(
        levels={axis: getattr(body.levels, axis) for axis in Axis},
        setting=body.setting.value,
        rubric=body.rubric,
        raters=tuple(dict.fromkeys(body.raters)),
        rated_at=body.rated_at,
        corrects=body.corrects,
    )
    outcome = await handlers.record_assessment(session, case_id, rated, assessment_id=new_id(), actor=actor, now=now)
    match outcome:
        case Row():
            return _answer(outcome)
        case handlers.NothingToCorrect():
            raise invalid(
                "/corrects", "unknown", "This case has no such assessment", "その評価はこのケースにありません"
            )
        case handlers.CorrectedAlready():
            raise Problem(CORRECTED_ALREADY)
        case handlers.Closed():
            raise Problem(
                CASE_CLOSED,
                detail="If the person came back, reopen the case in intake first, and try again within seconds.",
                detail_ja="本人が再び相談に来たときは、先に相談受付でケースを再開し、数秒後にもう一度お試しください。",
            )
        case _:
            assert_never(outcome)


@assessments.get(
    "/v1/cases/{case_id}/assessments",
    summary="List assessments",
    description="支援ケースの評価を番号順に返します。訂正されたものも含みます。"
    "担当機関と、本人が目的「アセスメント」か「ケース会議」で同意した機関はすべてを、ほかの機関は自ら記録したものだけを読めます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_assessments(
    case_id: UUID, session: Transaction, now: Now, actor: Caller, pages: Pages
) -> Page[AssessmentAnswer]:
    """By number, from 1 without a gap."""
    after = pages.begin(number) or 0
    found = await handlers.list_assessments(session, case_id, actor=actor, now=now, after=after, limit=pages.one_more)
    return page(found, pages, key=lambda row: (row.number,), show=_answer)


@assessments.get(
    "/v1/cases/{case_id}/comparison",
    summary="Compare first and last",
    description="最初と最新の評価を軸ごとに比べます。訂正された評価は数えません。読める評価の範囲は一覧と同じです。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def compare_assessments(case_id: UUID, session: Transaction, now: Now, actor: Caller) -> ComparisonAnswer:
    """Initial and latest rating, and the change on each axis."""
    found = await handlers.compare_assessments(session, case_id, actor=actor, now=now)
    if found is None:
        return ComparisonAnswer(case_id=case_id, initial=None, latest=None, changes=[])
    return ComparisonAnswer(
        case_id=case_id,
        initial=_answer(found.initial),
        latest=_answer(found.latest),
        changes=[
            AxisChange(
                axis=each.axis,
                axis_ja=each.axis.japanese,
                initial=each.initial,
                latest=each.latest,
                change=each.change,
            )
            for each in found.changes
        ],
    )


def _answer(row: Row[Any]) -> AssessmentAnswer:
    found = assess_prolongation({axis: getattr(row, axis) for axis in Axis})
    words = explain(found)
    return AssessmentAnswer(
        assessment_id=row.id,
        case_id=row.case_id,
        number=row.number,
        rubric=row.rubric,
        setting=row.setting,
        levels=LevelsShown.model_validate(row),
        prolongation_risk=row.prolongation_risk,
        because=[Because(axis=r.axis, level=r.level, missing=r.level is None) for r in found.because],
        explanation=words.english,
        explanation_ja=words.japanese,
        raters=row.raters,
        rated_by=row.rated_by,
        rated_at=row.rated_at,
        recorded_at=row.recorded_at,
        corrects=row.corrects_id,
    )


def _check(body: RecordAssessment, now: datetime) -> None:
    if find_rubric(body.rubric) is None:
        raise invalid("/rubric", "unknown", "There is no such rubric", "この名前のものさしはありません")
    if body.rated_at is not None and body.rated_at > now:
        raise invalid("/rated_at", "in_the_future", "Nobody has rated in the future", "未来の日時は記録できません")
