"""What goes over the wire about support plans: bodies, answers, and an example of each."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.assessment.api.shapes import Words
from services.assessment.domain.plan import (
    Consenting,
    Decided,
    Ending,
    GivenUp,
    Going,
    Opinion,
    Reached,
    Rhythm,
    SentBack,
    State,
    Way,
    Who,
)
from shared.codes import AgencyId, Code, DayAsWritten
from shared.service import Body

_LINE: JsonDict = {
    "who": "agency",
    "agency": "npo-hinata",
    "what": "週に一度、居場所に通い、午前のプログラムに加わる",
    "begins_on": "2026-12-07",
    "ends_on": "2027-05-31",
    "rhythm": "weekly",
    "scheme": "work-readiness",
}
_PLAN: JsonDict = {
    "problems": "生活のリズムが崩れ、人と話すことがほとんどない。家計の見通しが立たない。",
    "goal": "週に三日、決まった時刻に外に出る。",
    "lines": [_LINE],
    "monitor_on": "2027-01-15",
}
_HEAD: JsonDict = {
    "plan_id": "01939c2a-1c00-7a11-8b22-3c4d5e6f70a1",
    "case_id": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d",
    "number": 1,
    "state": "in_force",
    "version": 1,
    "agreed_version": 1,
    "decided_version": 1,
    "monitor_on": "2027-01-15",
    "next_plan_id": None,
    "created_by": "kagoshima-desk",
    "created_at": "2026-11-30T01:30:00Z",
    "ended_at": None,
}
Version = Annotated[int, Field(strict=True, ge=1, le=100_000, description="Which version; 412 if another is newer.")]
On = Annotated[DayAsWritten, Field(description="The day on which it happened; not a day to come.")]


class LineShape(Body):
    """One line: what is done, by whom, from when until when, how often, under which scheme."""

    who: Who
    agency: AgencyId | None = Field(default=None, description="With `who` agency, and then always.")
    what: Words
    begins_on: DayAsWritten
    ends_on: DayAsWritten
    rhythm: Rhythm
    scheme: Code | None = Field(default=None, description="The scheme that is used, by the region's own code.")


class WritePlan(Body):
    """What a version of a plan says. All words are sealed, and in no event."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PLAN]})

    problems: Words = Field(description="解決すべき課題")
    goal: Words = Field(description="目標")
    lines: list[LineShape] = Field(max_length=30, description="支援の内容; at least one.")
    monitor_on: DayAsWritten = Field(description="次回モニタリング: not past, and not after the last line's end.")


class AgreePlan(Body):
    """The person's yes, or no, to a version."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"version": 1, "on": "2026-12-01", "way": "written", "witness": "長女が同席"}]}
    )

    version: Version
    on: On
    way: Consenting
    witness: Words | None = Field(default=None, description="立会人; sealed.")


class HearPlan(Body):
    """What the support co-ordination meeting (支援調整会議) said about a version."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"version": 1, "on": "2026-12-03", "opinion": "appropriate", "words": "家計支援も加えたい"}]
        }
    )

    version: Version
    on: On
    opinion: Opinion
    words: Words | None = None


class DecidePlan(Body):
    """支援決定: the municipality says yes to a version."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"version": 1, "on": "2026-12-04", "decided": "support", "decision_number": "r8-fukushi-123"}]
        }
    )

    version: Version
    on: On
    decided: Decided
    decision_number: Code | None = None


class SendBackPlan(Body):
    """The municipality gives a version back, with a reason."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"version": 1, "on": "2026-12-04", "reason": "change_needed"}]}
    )

    version: Version
    on: On
    reason: SentBack
    words: Words | None = None


class MonitoredLine(Body):
    """How one line goes."""

    line_id: UUID
    going: Going


class MonitorPlan(Body):
    """モニタリング: what was seen, and when it is looked at again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "on": "2027-01-15",
                    "way": "visit",
                    "seen": "居場所には続けて通えている。朝は起きられる日が増えた。",
                    "lines": [{"line_id": "01939c2a-1c00-7a11-8b22-3c4d5e6f70a2", "going": "going_well"}],
                    "next_on": "2027-02-15",
                }
            ]
        }
    )

    on: On
    way: Way
    seen: Words
    lines: list[MonitoredLine] = Field(default=[], max_length=30, description="Lines of the version in force.")
    next_on: DayAsWritten = Field(description="次回モニタリング")


class EvaluatePlan(Body):
    """評価: whether the goal was reached, what changed, what remains, and what follows."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "on": "2027-05-31",
                    "reached": "partly",
                    "changes": "週に三日、外に出られるようになった。",
                    "remains": "働くことへの不安が残る。",
                    "ending": "new_plan",
                }
            ]
        }
    )

    on: On
    reached: Reached
    changes: Words = Field(description="見られた変化")
    remains: Words | None = Field(default=None, description="残された課題; needed unless the goal was reached.")
    ending: Ending


class GiveUpPlan(Body):
    """A plan that was not decided, or the change of one, is not pursued."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"on": "2026-12-04", "reason": "person_wishes"}]})

    on: On
    reason: GivenUp
    words: Words | None = None


class PlanHead(BaseModel):
    """A support plan (支援プラン): how far it has come. Words are read by version, and by step."""

    model_config = ConfigDict(json_schema_extra={"examples": [_HEAD]})

    plan_id: UUID
    case_id: UUID
    number: int = Field(description="Its number among the plans of its case.")
    state: State
    version: int = Field(description="The newest version.")
    agreed_version: int | None = Field(description="The newest to which the person agreed.")
    decided_version: int | None = Field(description="The one that is carried out.")
    monitor_on: date
    next_plan_id: UUID | None
    created_by: str
    created_at: datetime
    ended_at: datetime | None


class PlanAnswer(PlanHead):
    """The same, with what the caller may do with it now."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_HEAD, "legal": ["revise", "monitor", "evaluate"]}]},
    )

    legal: list[str]


class LineAnswer(BaseModel):
    """A line, how it went when it was last looked at, and the task that it brought."""

    line_id: UUID
    who: Who
    agency: str | None
    what: str
    begins_on: date
    ends_on: date
    rhythm: Rhythm
    scheme: str | None
    going: Going | None
    task_id: UUID | None


class VersionAnswer(BaseModel):
    """What a version says. `withheld`: what is there, and this caller has no basis to read."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_PLAN,
                    "plan_id": _HEAD["plan_id"],
                    "version": 1,
                    "lines": [
                        {
                            **_LINE,
                            "line_id": "01939c2a-1c00-7a11-8b22-3c4d5e6f70a2",
                            "going": None,
                            "task_id": None,
                        }
                    ],
                    "withheld": [],
                    "written_by": "kagoshima-desk",
                    "written_at": "2026-11-30T01:30:00Z",
                }
            ]
        }
    )

    plan_id: UUID
    version: int
    problems: str | None
    goal: str
    monitor_on: date
    lines: list[LineAnswer]
    withheld: list[str]
    written_by: str
    written_at: datetime


class PlanStepAnswer(BaseModel):
    """Something that happened to a plan, with its codes and its words."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "number": 5,
                    "move": "monitor",
                    "state": "in_force",
                    "version": 1,
                    "on": "2027-01-15",
                    "code": "visit",
                    "detail": {"next_on": "2027-02-15", "lines": {}},
                    "words": {"seen": "居場所には続けて通えている。"},
                    "withheld": [],
                    "by": "kagoshima-desk",
                    "at": "2027-01-15T06:00:00Z",
                }
            ]
        }
    )

    number: int
    move: str
    state: str
    version: int
    on: date
    code: str | None
    detail: dict[str, Any] = Field(description="Codes, days and ids of this move.")
    words: dict[str, str]
    withheld: list[str]
    by: str
    at: datetime


Whose = Literal["held", "to_decide"]
