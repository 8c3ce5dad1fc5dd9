"""What travels about plans of training seats: a plan as it was decided, as it stands, its ledger, and acts."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.training.api.courses import CourseField, Prefecture, System
from services.training.domain.plan import MINIMUM_LOT, MOST_SEATS, Frame, Line, LineKind
from services.training.handlers.plan_lines import Standing
from services.training.handlers.plans import Done, Draft
from shared.codes import Code, FreeText, MunicipalityCode
from shared.service import Body

MOST_LINES = 500
Text = Annotated[FreeText, StringConstraints(min_length=1, max_length=1000)]
Label = Annotated[FreeText, StringConstraints(max_length=200)]
Seats = Annotated[int, Field(strict=True, ge=0, le=MOST_SEATS)]
Some = Annotated[int, Field(strict=True, ge=1, le=MOST_SEATS)]
Quarter = Annotated[int, Field(strict=True, ge=1, le=4)]
FiscalYear = Annotated[int, Field(strict=True, ge=1990, le=2199)]

_LINES: list[dict[str, Any]] = [
    {"key": "q3", "kind": "partition", "quarter": 3, "seats": 768, "label": "10〜12月"},
    {"key": "q3-basic", "parent": "q3", "kind": "partition", "system": "job_seeker_basic", "seats": 326},
    {"key": "q3-practical", "parent": "q3", "kind": "partition", "system": "job_seeker_practical", "seats": 442},
    {"key": "q3-newcomers", "parent": "q3-basic", "kind": "overlay", "target_group": "newcomers", "seats": 97},
]
_PLAN_EXAMPLE: dict[str, Any] = {
    "fiscal_year": 2022,
    "prefecture": "46",
    "effective_on": "2022-10-01",
    "decided_by": "鹿児島県地域職業能力開発促進協議会",
    "source": "令和4年10〜12月の計画",
    "lines": _LINES,
}


class PlanLineBody(Body):
    """A line of a plan. What it leaves open, it leaves to its parent."""

    key: Code
    kind: LineKind = Field(description="partition 区分, overlay 内数, limit 上限, floor 下限")
    parent: Code | None = None
    seats: Seats | None = Field(default=None, description="Of a floor: at least so many.")
    percent: Annotated[float, Field(strict=True, ge=0.01, le=100)] | None = Field(
        default=None, description="Of a floor: of its parent's seats; with `seats`, the greater of both."
    )
    quarter: Quarter | None = Field(default=None, description="1 is April to June; none: the whole year.")
    system: System | None = None
    field: CourseField | None = None
    target_group: Code | None = Field(default=None, description="E.g. newcomers, ice_age_generation.")
    municipalities: Annotated[list[MunicipalityCode], Field(max_length=200)] = Field(
        default_factory=list, description="The area (地域枠); none: the whole prefecture."
    )
    minimum_lot: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        default=MINIMUM_LOT, description="Fewer seats than these are carried over by themselves."
    )
    per_course: bool = Field(strict=True, default=False, description="Of a limit: for every single course run.")
    label: Label = ""

    def line(self) -> Line:
        """The same, as the domain knows it."""
        frame = Frame(
            self.quarter,
            None if self.system is None else self.system.value,
            None if self.field is None else self.field.value,
            self.target_group,
            frozenset(self.municipalities),
        )
        return Line(
            self.key,
            self.kind,
            self.parent,
            self.seats,
            None if self.percent is None else Decimal(str(self.percent)),
            frame,
            self.minimum_lot,
            self.per_course,
            self.label,
        )


class PlanBody(Body):
    """A plan whole, as it was decided; of a year and prefecture that has one, its next version."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PLAN_EXAMPLE]})

    fiscal_year: FiscalYear = Field(description="年度")
    prefecture: Prefecture
    effective_on: Annotated[date, Field(ge=date(1990, 1, 1), le=date(2199, 12, 31))]
    decided_by: Text = Field(description="Who decided it: a body, not a person.")
    source: Text
    decision_id: UUID | None = Field(default=None, description="The sub-committee's decision (分科会の決定).")
    lines: Annotated[list[PlanLineBody], Field(max_length=MOST_LINES)]

    def draft(self) -> Draft:
        """The same, as the handlers know it."""
        return Draft(
            fiscal_year=self.fiscal_year,
            prefecture=self.prefecture,
            effective_on=self.effective_on,
            decided_by=self.decided_by,
            source=self.source,
            lines=[line.line() for line in self.lines],
            decision_id=self.decision_id,
        )


class PlanFault(BaseModel):
    """A rule that the plan breaks, on which line and by which numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "pointer": "/lines/0/seats",
                    "code": "partition_sum",
                    "line": "q3",
                    "numbers": {"parent_seats": 768, "parts_seats": 767},
                    "message": "q3: 768 seats, but its parts sum to 767",
                    "message_ja": "q3: 768人ですが、内訳の合計は767人です",
                }
            ]
        }
    )

    pointer: str
    code: str
    line: str | None
    numbers: dict[str, int | str]
    message: str
    message_ja: str


class PlanExamined(BaseModel):
    """What is wrong with a plan; nothing was kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"faults": []}]})

    faults: list[PlanFault]


class PlanRecorded(BaseModel):
    """The version is on record, and holds from its day on."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"plan_id": "01920000-0000-7000-8000-0000000000a1", "version_no": 1}]}
    )

    plan_id: UUID
    version_no: int


class PlanSummary(BaseModel):
    """A plan, and the version that holds; none before the first one's day."""

    model_config = ConfigDict(from_attributes=True)

    plan_id: UUID = Field(validation_alias="id")
    fiscal_year: int
    prefecture: str
    in_force: int | None
    effective_on: date | None
    decided_by: str | None
    source: str | None
    decision_id: UUID | None
    seats: int = Field(description="In all lines together; overlays, limits and floors are counted in no sum.")


class PlanLineShape(BaseModel):
    """A line, as it was decided."""

    key: str
    kind: LineKind
    parent: str | None
    seats: int | None
    percent: float | None
    quarter: int | None
    system: str | None
    field: str | None
    target_group: str | None
    municipalities: list[str]
    minimum_lot: int
    per_course: bool
    label: str

    @classmethod
    def values(cls, line: Line) -> dict[str, Any]:
        """Its members."""
        frame = line.frame
        return {
            "key": line.key,
            "kind": line.kind,
            "parent": line.parent,
            "seats": line.seats,
            "percent": line.percent,
            "quarter": frame.quarter,
            "system": frame.system,
            "field": frame.field,
            "target_group": frame.target_group,
            "municipalities": sorted(frame.municipalities),
            "minimum_lot": line.minimum_lot,
            "per_course": line.per_course,
            "label": line.label,
        }


class PlanLineStanding(PlanLineShape):
    """A line, as it stands by now."""

    standing: int = Field(description="With all that was moved; of a floor, what max(percent, number) comes to.")
    opened: int = Field(description="Of a line with parts: seats open to all that it is for.")
    used: int | None = Field(description="Capacity of course runs that fall into it; none where that can't be told.")
    left: int | None = Field(description="Below 0 where course runs have more capacity than there are seats.")
    largest: int = Field(description="The largest of those course runs.")

    @classmethod
    def of(cls, each: Standing) -> "PlanLineStanding":
        """As it stands."""
        return cls(
            **cls.values(each.line),
            standing=each.standing,
            opened=each.opened,
            used=each.used,
            left=each.left,
            largest=each.largest,
        )


class PlanAnswer(PlanSummary):
    """A plan with its lines as they stand."""

    lines: list[PlanLineStanding]


class PlanVersionSummary(BaseModel):
    """A version: who decided it, and from which day it holds."""

    model_config = ConfigDict(from_attributes=True)

    version_no: int
    effective_on: date
    decided_by: str
    source: str
    decision_id: UUID | None
    recorded_by: str
    recorded_at: datetime


class PlanVersionAnswer(PlanVersionSummary):
    """A version with its lines, as they were decided."""

    lines: list[PlanLineShape]


class PlanEntryAnswer(BaseModel):
    """An entry of the ledger. From nowhere: a version gave the seats; to nowhere: a version took them back."""

    model_config = ConfigDict(from_attributes=True)

    entry_id: int = Field(validation_alias="id")
    command_id: UUID
    kind: str
    from_line: str | None
    to_line: str | None
    seats: int
    version_no: int
    reason: str | None
    decision_id: UUID | None
    by: str | None = Field(description="The agency; none: the rule itself, at the quarter's end.")
    at: datetime


class LineCourseRun(BaseModel):
    """A course run behind a line's number."""

    model_config = ConfigDict(from_attributes=True)

    course_run_id: UUID = Field(validation_alias="id")
    course_number: str
    title: str
    system: str
    field: str
    site_municipality: str
    starts_on: date
    capacity: int


class ActBody(Body):
    """Something that is done with seats, once."""

    command_id: UUID = Field(description="Made by the caller for this act: sent again, it changes nothing.")
    reason: Text
    decision_id: UUID | None = Field(default=None, description="The sub-committee's decision (分科会の決定).")


class LineSeats(Body):
    """So many seats of a line."""

    line: Code
    seats: Some


class CarryOverBody(ActBody):
    """Carry over (繰越) to the next quarter. Without `lines`, every remainder below its minimum lot."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"command_id": "01920000-0000-7000-8000-0000000000b1", "quarter": 3, "reason": "最小単位に満たない残り"}
            ]
        }
    )

    quarter: Quarter
    lines: Annotated[list[LineSeats], Field(min_length=1, max_length=MOST_LINES)] | None = None


class TransferBody(ActBody):
    """Transfer (振替) within the period."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "command_id": "01920000-0000-7000-8000-0000000000b2",
                    "from_line": "q3-it",
                    "to_line": "q3-care",
                    "seats": 10,
                    "reason": "ITコースの中止",
                }
            ]
        }
    )

    from_line: Code
    to_line: Code
    seats: Some


class OpenToAllBody(ActBody):
    """Open to all that the line's parent is for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "command_id": "01920000-0000-7000-8000-0000000000b3",
                    "line": "q3-care",
                    "seats": 5,
                    "reason": "申請がないため",
                }
            ]
        }
    )

    line: Code
    seats: Some


class MoveAnswer(BaseModel):
    """An entry that was made."""

    from_line: str | None
    to_line: str | None
    seats: int


class ActAnswer(BaseModel):
    """What an act came to, now or when it was first sent."""

    command_id: UUID
    kind: str
    moves: list[MoveAnswer]
    at: datetime
    repeated: bool

    @classmethod
    def of(cls, done: Done) -> "ActAnswer":
        """As it was done."""
        moves = [MoveAnswer(from_line=each.from_line, to_line=each.to_line, seats=each.seats) for each in done.moves]
        return cls(command_id=done.command_id, kind=done.kind, moves=moves, at=done.at, repeated=done.repeated)
