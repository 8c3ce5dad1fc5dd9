"""What goes over the wire: bodies, answers, and an example of each."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.assessment.domain.fdp import Axis, Setting
from services.assessment.domain.rubric import SAMPLE
from shared.codes import Code
from shared.service import Body

Level = Annotated[int, Field(ge=1, le=5, strict=True)]
Risk = Literal["true", "false", "undetermined"]

_LEVELS: JsonDict = {"interpersonal": 3, "mental": 2, "stress": 3, "thinking": 4, "environment": None}
_ASSESSMENT: JsonDict = {
    "assessment_id": "01939c2a-1c00-7a11-8b22-3c4d5e6f7081",
    "case_id": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d",
    "number": 1,
    "rubric": SAMPLE,
    "setting": "solo",
    "levels": _LEVELS,
    "prolongation_risk": "true",
    "because": [{"axis": "mental", "level": 2, "missing": False}],
    "explanation": "Support is likely to take long: mental 2. One axis at level 1 or 2 is enough.",
    "explanation_ja": "長期化のおそれ:あり(メンタル 2)。一つの軸でも1か2であれば「あり」とします。",
    "raters": ["counsellor-07"],
    "rated_by": "kagoshima-desk",
    "rated_at": "2026-11-23T01:30:00Z",
    "recorded_at": "2026-11-23T01:31:02Z",
    "corrects": None,
}


class LevelsGiven(Body):
    """The five axes (対人関係・メンタル・ストレス・思考・環境); null or absent where it was not observed."""

    interpersonal: Level | None = None
    mental: Level | None = None
    stress: Level | None = None
    thinking: Level | None = None
    environment: Level | None = None


class RecordAssessment(Body):
    """An FDP rating."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"levels": _LEVELS, "setting": "solo", "raters": ["counsellor-07"]}]}
    )

    levels: LevelsGiven
    setting: Setting = Setting.SOLO
    rubric: Code = SAMPLE
    raters: list[Code] = Field(default=[], max_length=30, description="Codes of those who rated; never names.")
    rated_at: Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC))] | None = Field(
        default=None, description="Default: now; for a correction, when the corrected one was rated."
    )
    corrects: UUID | None = Field(default=None, description="The assessment of this case that this one puts right.")


class LevelsShown(BaseModel):
    """A level for each axis, null where it was not observed."""

    model_config = ConfigDict(from_attributes=True)

    interpersonal: int | None
    mental: int | None
    stress: int | None
    thinking: int | None
    environment: int | None


class Because(BaseModel):
    """An axis that decided: at level 1 or 2, or missing."""

    axis: Axis
    level: int | None
    missing: bool


class AssessmentAnswer(BaseModel):
    """A recorded rating (アセスメント), with the prolongation risk (長期化のおそれ) and the reason for it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ASSESSMENT]})

    assessment_id: UUID
    case_id: UUID
    number: int
    rubric: str
    setting: str
    levels: LevelsShown
    prolongation_risk: Risk
    because: list[Because]
    explanation: str
    explanation_ja: str
    raters: list[str]
    rated_by: str
    rated_at: datetime
    recorded_at: datetime
    corrects: UUID | None


class AxisChange(BaseModel):
    """One axis from the first to the last rating; up is better. Null where either is missing."""

    axis: Axis
    axis_ja: str
    initial: int | None
    latest: int | None
    change: int | None


class ComparisonAnswer(BaseModel):
    """First and last rating that stand; both null as long as nothing was rated."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "case_id": _ASSESSMENT["case_id"],
                    "initial": _ASSESSMENT,
                    "latest": _ASSESSMENT,
                    "changes": [
                        {"axis": "mental", "axis_ja": "メンタル", "initial": 2, "latest": 2, "change": 0},
                    ],
                }
            ]
        }
    )

    case_id: UUID
    initial: AssessmentAnswer | None
    latest: AssessmentAnswer | None
    changes: list[AxisChange]


class AnchorAnswer(BaseModel):
    """What a level looks like at the counter."""

    level: int
    text: str
    text_ja: str


class AxisAnswer(BaseModel):
    """An axis with its five levels, lowest first."""

    axis: Axis
    axis_ja: str
    levels: list[AnchorAnswer]


class RubricAnswer(BaseModel):
    """A rubric (評価のものさし); `notice` must be shown wherever its texts are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "rubric": SAMPLE,
                    "notice": "sample wording, not the official S.S.F. text",
                    "notice_ja": "見本の文言です(S.S.F. の公式の文言ではありません)",
                    "axes": [
                        {
                            "axis": "mental",
                            "axis_ja": "メンタル",
                            "levels": [
                                {
                                    "level": 3,
                                    "text": "Has ups and downs, keeps going with support",
                                    "text_ja": "波はあるが、支えがあれば続けられる",
                                }
                            ],
                        }
                    ],
                }
            ]
        }
    )

    rubric: str
    notice: str
    notice_ja: str
    axes: list[AxisAnswer]
