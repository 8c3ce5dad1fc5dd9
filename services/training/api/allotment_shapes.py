"""What travels about one allotment: so many seats for whom, of which courses, until when, and who is next."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel, Field

from services.training.api.courses import CourseField, System
from services.training.domain.decisions import Selector
from services.training.domain.motions import Onward, Seats
from shared.codes import Code, DayAsWritten, MunicipalityCode
from shared.problems import Problem, invalid
from shared.service import Body


class OnwardBody(Body):
    """Whom what goes back at the cut-off is offered next, and until which day."""

    municipalities: list[MunicipalityCode] = Field(min_length=1, max_length=200, examples=[["462187"]])
    cut_off_on: DayAsWritten = Field(
        description="この日までに押さえられていない席は、その次へ", examples=["2027-02-01"]
    )


class SeatsBody(Body):
    """So many seats for one municipality, or for several together, of the courses that are meant."""

    municipalities: list[MunicipalityCode] = Field(min_length=1, max_length=200, examples=[["462012"]])
    course_number: Code | None = Field(default=None, description="一つの開講を講座番号で。ほかの指定とは併用できません")
    system: System | None = None
    field: CourseField | None = None
    quarter: int | None = Field(default=None, ge=1, le=4, description="年度の四半期(4〜6月が1)")
    fiscal_year: int | None = Field(default=None, ge=2000, le=2199, examples=[2026])
    seats: int = Field(ge=1, le=10_000, examples=[4])
    cut_off_on: DayAsWritten = Field(description="この日までに押さえられていない枠は戻る", examples=["2027-01-15"])
    returns_percent: int = Field(default=100, ge=1, le=100, description="戻す割合(%)")
    lendable: bool = Field(default=False, description="ほかの市町村への貸出しを認めるか")
    onward: list[OnwardBody] = Field(
        default_factory=list,
        max_length=10,
        description="戻る日に、次に案内する市町村(順に)。書かなければ一般枠",
    )
    carries_over: bool = Field(
        default=False, description="四半期の終わりに残った10席未満を、次の四半期の配分に繰り越すか"
    )


def line_of(number: int, line: SeatsBody) -> Seats:
    classes = (line.system, line.field, line.quarter, line.fiscal_year)
    if line.course_number is None and line.fiscal_year is None:
        raise _selector(number, "A course number, or a fiscal year.", "講座番号か年度を指定してください。")
    if line.course_number is not None and any(each is not None for each in classes):
        raise _selector(number, "A course number stands alone.", "講座番号はほかの指定と併用できません。")
    selector = Selector(
        line.course_number,
        None if line.system is None else line.system.value,
        None if line.field is None else line.field.value,
        line.quarter,
        line.fiscal_year,
    )
    return Seats(
        tuple(line.municipalities),
        selector,
        line.seats,
        line.cut_off_on,
        line.returns_percent,
        line.lendable,
        tuple(Onward(tuple(each.municipalities), each.cut_off_on) for each in line.onward),
        line.carries_over,
    )


def _selector(number: int, english: str, japanese: str) -> Problem:
    return invalid(f"/allotments/{number}/course_number", "which_courses", english, japanese)


# --- answers --------------------------------------------------------------------------------------------------------


class OnwardView(BaseModel):
    """Whom what goes back is offered next."""

    municipalities: list[str]
    cut_off_on: date


class AllotmentView(BaseModel):
    """Seats as they are proposed."""

    municipalities: list[str]
    course_number: str | None
    system: str | None
    field: str | None
    quarter: int | None
    fiscal_year: int | None
    seats: int
    cut_off_on: date
    returns_percent: int
    lendable: bool
    onward: list[OnwardView] = Field(default_factory=list, description="Whom what goes back is offered next, in order.")
    carries_over: bool = False


class DecidedAllotment(AllotmentView):
    """Seats as they are decided: what a seat pool names as its ground."""

    decision_allotment_id: UUID
    carried_over: int = Field(
        default=0, description="繰越: seats that came from the quarter before or, below zero, went to the next."
    )
