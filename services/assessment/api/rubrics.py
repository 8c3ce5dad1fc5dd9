"""The words for the levels, to be shown next to each level while rating."""

from typing import Annotated

from fastapi import Path

from services.assessment.api.shapes import AnchorAnswer, AxisAnswer, RubricAnswer
from services.assessment.domain.rubric import find_rubric
from shared.auth import Role, requires
from shared.codes import Code
from shared.problems import NOT_FOUND, Problem
from shared.service import router

rubrics = router(tag="rubrics")


@rubrics.get(
    "/v1/rubrics/{rubric}",
    summary="Read a rubric",
    description="5つの軸と5段階の目安の文言を返します。同梱のものは見本で、S.S.F. の公式の文言ではありません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def get_rubric(rubric: Annotated[Code, Path(examples=["fdp-sample-1"])]) -> RubricAnswer:
    """Axes in order, levels lowest first."""
    found = find_rubric(rubric)
    if found is None:
        raise Problem(NOT_FOUND)
    return RubricAnswer(
        rubric=found.name,
        notice=found.notice,
        notice_ja=found.notice_ja,
        axes=[
            AxisAnswer(
                axis=axis,
                axis_ja=axis.japanese,
                levels=[AnchorAnswer(level=a.level, text=a.english, text_ja=a.japanese) for a in anchors],
            )
            for axis, anchors in found.anchors.items()
        ],
    )
