"""What goes over the wire: bodies, answers, and an example of each."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic.config import JsonDict

from services.assessment.domain.fdp import Axis, Setting
from shared.codes import AgencyId, Code, FreeText
from shared.service import Body

SAMPLE = "fdp-sample-1"
NOT_OBSERVED = "not_observed"
Level = Annotated[
    StrictInt | StrictBool | StrictStr | None,
    Field(
        json_schema_extra={"anyOf": [{"type": "integer", "minimum": 1}, {"const": NOT_OBSERVED}, {"type": "null"}]},
        description="A level of the item, or `not_observed`; null is the same.",
    ),
]
Words = Annotated[FreeText, Field(min_length=1)]
Title = Annotated[FreeText, Field(min_length=1, max_length=200)]
Risk = Literal["true", "false", "undetermined"]

_LEVELS: JsonDict = {"interpersonal": 3, "mental": 2, "stress": 3, "thinking": 4, "environment": NOT_OBSERVED}
_SHOWN: JsonDict = {"interpersonal": 3, "mental": 2, "stress": 3, "thinking": 4, "environment": None}
ASSESSMENT: JsonDict = {
    "assessment_id": "01939c2a-1c00-7a11-8b22-3c4d5e6f7081",
    "case_id": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d",
    "number": 1,
    "instrument": "fdp",
    "rubric": SAMPLE,
    "setting": "solo",
    "levels": _SHOWN,
    "not_observed": ["environment"],
    "prolongation_risk": "true",
    "rule_version": 1,
    "because": [{"axis": "mental", "level": 2, "missing": False}],
    "explanation": "Support is likely to take long: mental 2. One axis at level 1 or 2 is enough.",
    "explanation_ja": "長期化のおそれ:あり(メンタル 2)。一つの軸でも1か2であれば「あり」とします。",
    "several_agencies": True,
    "raters": ["counsellor-07"],
    "professions": ["career_consultant"],
    "rated_by": "kagoshima-desk",
    "rated_at": "2026-11-23T01:30:00Z",
    "recorded_at": "2026-11-23T01:31:02Z",
    "corrects": None,
}


class SeatShape(Body):
    """A member's place: an agency, and the profession with which it looks."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"agency": "npo-hinata", "profession": "job_coach"}]})

    agency: AgencyId
    profession: Code


class Rater(Body):
    """Who rated: a code of the agency's own, never a name; and the profession with which they looked."""

    code: Code
    profession: Code | None = Field(default=None, description="職種: one of GET /assessment/v1/professions.")


def _as_rater(value: Any) -> Any:
    return {"code": value} if isinstance(value, str) else value


class RecordAssessment(Body):
    """A rating in one version of an instrument; without `rubric` in the version of FDP that is in use."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "levels": _LEVELS,
                    "evidence": {"mental": "面談の予定を二度、当日に取りやめた。"},
                    "setting": "solo",
                    "raters": [{"code": "counsellor-07", "profession": "career_consultant"}],
                }
            ]
        }
    )

    levels: dict[Code, Level] = Field(max_length=40, description="By item; one that is left out was not looked at.")
    evidence: dict[Code, Words] = Field(
        default={}, max_length=40, description="根拠: what was seen, by item. Sealed, and in no event."
    )
    setting: Setting = Setting.SOLO
    rubric: Code | None = Field(default=None, description="ものさしの版: one of GET /assessment/v1/rubrics.")
    raters: list[Annotated[Rater, BeforeValidator(_as_rater)]] = Field(default=[], max_length=30)
    rated_at: Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC))] | None = Field(
        default=None, description="Default: now; for a correction, when the corrected one was rated."
    )
    corrects: UUID | None = Field(default=None, description="The assessment of this case that this one puts right.")


class Because(BaseModel):
    """An axis that decided: low, or missing."""

    axis: Axis
    level: int | None
    missing: bool


class DueAnswer(BaseModel):
    """What the rating asks of the agencies, and its last day."""

    duty: str
    due_on: date


class AssessmentAnswer(BaseModel):
    """A recorded rating (アセスメント); of FDP with the prolongation risk (長期化のおそれ) and the reason for it."""

    model_config = ConfigDict(json_schema_extra={"examples": [ASSESSMENT]})

    assessment_id: UUID
    case_id: UUID
    number: int
    instrument: str
    rubric: str
    setting: str
    levels: dict[str, int | None]
    not_observed: list[str]
    prolongation_risk: Risk | None
    rule_version: int | None
    because: list[Because]
    explanation: str | None
    explanation_ja: str | None
    several_agencies: bool = Field(description="One agency alone will not do.")
    raters: list[str]
    professions: list[str]
    rated_by: str
    rated_at: datetime
    recorded_at: datetime
    corrects: UUID | None


class RecordedAnswer(AssessmentAnswer):
    """The same, with the duties that it brought; none where somebody rated later."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**ASSESSMENT, "duties": [{"duty": "reassessment", "due_on": "2027-02-21"}]}]}
    )

    duties: list[DueAnswer]


class EvidenceAnswer(BaseModel):
    """What was seen, by item. `withheld`: words that tell of illness, which the consent doesn't name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "assessment_id": ASSESSMENT["assessment_id"],
                    "evidence": {"mental": "面談の予定を二度、当日に取りやめた。"},
                    "withheld": [],
                }
            ]
        }
    )

    assessment_id: UUID
    evidence: dict[str, str]
    withheld: list[str]


class AxisChange(BaseModel):
    """One item from the first to the last rating; up is better. Null where either is missing."""

    axis: str
    axis_ja: str
    initial: int | None
    latest: int | None
    change: int | None
    trend: Literal["rising", "falling", "level", "unknown"]
    levels: list[int | None] = Field(description="At each rating that stands, in the order of `ratings`.")


class RatingPoint(BaseModel):
    """One rating on the way."""

    assessment_id: UUID
    number: int
    rubric: str
    rated_at: datetime
    rated_by: str


class ComparisonAnswer(BaseModel):
    """First and last rating that stand, and the way in between; both null as long as nothing was rated."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "case_id": ASSESSMENT["case_id"],
                    "instrument": "fdp",
                    "initial": ASSESSMENT,
                    "latest": ASSESSMENT,
                    "ratings": [],
                    "changes": [
                        {
                            "axis": "mental",
                            "axis_ja": "メンタル",
                            "initial": 2,
                            "latest": 3,
                            "change": 1,
                            "trend": "rising",
                            "levels": [2, 3],
                        },
                    ],
                    "notice": None,
                    "notice_ja": None,
                }
            ]
        }
    )

    case_id: UUID
    instrument: str
    initial: AssessmentAnswer | None
    latest: AssessmentAnswer | None
    ratings: list[RatingPoint]
    changes: list[AxisChange]
    notice: str | None = Field(description="Said where the first and the last were given in different versions.")
    notice_ja: str | None


# --- instruments ----------------------------------------------------------------------------------------------------


class AnchorShape(Body):
    """What a level looks like at the counter."""

    level: int = Field(strict=True, ge=1, le=10)
    text: Title
    text_ja: Title


class ItemShape(Body):
    """One thing that is looked at, with its levels, lowest first."""

    item: Code
    item_en: Title
    item_ja: Title
    levels: list[AnchorShape] = Field(max_length=10)
    special_care: bool = Field(default=False, description="要配慮: what is written about it tells of illness.")


_ITEM: JsonDict = {
    "item": "mental",
    "item_en": "Mental",
    "item_ja": "メンタル",
    "levels": [
        {
            "level": 3,
            "text": "Has ups and downs, keeps going with support",
            "text_ja": "波はあるが、支えがあれば続けられる",
        }
    ],
    "special_care": True,
}
_RUBRIC: JsonDict = {
    "instrument": "fdp",
    "rubric": SAMPLE,
    "title": "Five Different Positions",
    "title_ja": "FDP(5軸5段階)",
    "notice": "sample wording, not the official S.S.F. text",
    "notice_ja": "見本の文言です(S.S.F. の公式の文言ではありません)",
    "items": [_ITEM],
}


class PublishRubric(Body):
    """A new version of an instrument (ものさし), in a region's own words; or the first of an instrument of its own."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_RUBRIC, "rubric": "fdp-kagoshima-1", "effective_from": "2027-04-01"}]}
    )

    instrument: Code
    rubric: Code = Field(description="The version's name, for ever.")
    title: Title
    title_ja: Title
    notice: Title
    notice_ja: Title
    items: list[ItemShape] = Field(min_length=1, max_length=40)
    effective_from: date = Field(description="From this day on it is the version in use; not before today.")


class RubricAnswer(BaseModel):
    """A version of an instrument (評価のものさし); `notice` must be shown wherever its texts are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**_RUBRIC, "effective_from": "2000-01-01", "published_by": "tsunagu"}],
        }
    )

    instrument: str
    rubric: str
    title: str
    title_ja: str
    notice: str
    notice_ja: str
    items: list[ItemShape]
    effective_from: date
    published_by: str


class PutProfession(Body):
    """An entry of the list of professions. Out of use, old conferences still name it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "Job coach", "title_ja": "ジョブコーチ", "in_use": True}]}
    )

    title: Title
    title_ja: Title
    in_use: bool = True


class ProfessionAnswer(BaseModel):
    """A profession (職種) that sits in joint case conferences."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "profession": "job_coach",
                    "title": "Job coach",
                    "title_ja": "ジョブコーチ(職場適応援助者)",
                    "in_use": True,
                    "version": 1,
                }
            ]
        }
    )

    profession: str
    title: str
    title_ja: str
    in_use: bool
    version: int


class ProfessionsAnswer(BaseModel):
    """The whole list."""

    notice: str
    notice_ja: str
    professions: list[ProfessionAnswer]
