"""Course runs change late or are cancelled: a trial, the change, whom it affects, and what they answer."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, assert_never
from uuid import UUID

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints
from sqlalchemy import Row

from services.training.api.shapes import refusal
from services.training.domain.alternatives import Why, WhyNot
from services.training.domain.late_changes import After, Denied, Effect
from services.training.domain.quota import Refused
from services.training.handlers import affected as answers
from services.training.handlers import late_changes as handlers
from services.training.handlers.affected import NotHeld
from services.training.handlers.late_changes import Change, Done, Offer, Outdated, Trial
from services.training.handlers.reading import sight
from services.training.tables import affected as tables
from shared.auth import Actor, Caller, Role, requires
from shared.codes import MunicipalityCode
from shared.consent import ConsentLacking
from shared.problems import NOT_FOUND, Problem, ProblemType, consent_missing
from shared.service import Body, Now, Page, Pages, Transaction, day_in_japan, page, router

changes = router(tag="late-changes")
_OPERATORS = requires(Role.PROVIDER, Role.PLANNER)


class ChangeReason(StrEnum):
    """Why a course run changes."""

    TOO_FEW_APPLICANTS = "too_few_applicants"
    INSTRUCTOR = "instructor"
    FACILITIES = "facilities"
    DISASTER = "disaster"
    OPERATOR = "operator"
    OTHER = "other"


class CourseChange(Body):
    """What changes; what is left out stays as it is. `cancel` (中止) leaves nothing."""

    reason: ChangeReason
    cancel: bool = False
    capacity: int | None = Field(default=None, ge=0, le=1000, description="定員: fewer than before.")
    starts_on: date | None = Field(default=None, examples=["2027-04-12"])
    ends_on: date | None = Field(default=None, examples=["2027-10-08"])
    applications_close_at: AwareDatetime | None = Field(default=None, examples=["2027-03-16T16:00:00+09:00"])
    site_municipality: MunicipalityCode | None = Field(default=None, examples=["462012"])


class TriedCourseChange(CourseChange):
    """The change as it was tried, with the sign that its trial gave."""

    sign: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] = Field(
        description="試算のしるし", examples=["0123456789abcdef0123456789abcdef"]
    )


class AlternativeCourse(BaseModel):
    """Another course run with a free seat for this person, and why it is offered."""

    course_run_id: UUID
    starts_on: date
    days_apart: int
    free: int
    why: list[Why]


class PersonAffected(BaseModel):
    """One person whom the change affects. Whose it is, is shown to the own municipality and the course's school."""

    place: int = Field(description="Weakest claim first; of equal ones who asked last.")
    seat_request_id: UUID | None
    case_id: UUID | None
    municipality: str
    stood: str
    effect: Effect
    afterwards: After
    alternatives: list[AlternativeCourse]
    others: dict[WhyNot, int] = Field(description="How many other course runs there are, by why they are not offered.")
    owner: str = Field(description="Who asks the person: the agency that asked for the seat.")


class ChangeTrial(BaseModel):
    """What the change would come to. Its `sign` goes with the change, which is refused where that is no longer so."""

    course_run_id: UUID
    kind: Literal["changed", "cancelled"]
    capacity_falls_by: int
    affected: list[PersonAffected]
    answer_by: datetime
    sign: str


class ChangeDone(BaseModel):
    """The change stands, and everybody affected has a record."""

    change_id: UUID
    course_run_id: UUID
    kind: Literal["changed", "cancelled"]
    affected: int
    answer_by: datetime


class CourseChangeView(BaseModel):
    """A change on record."""

    change_id: UUID
    course_run_id: UUID
    kind: str
    reason: str
    before: dict[str, Any]
    after: dict[str, Any] | None
    affected: int
    agency: str
    at: datetime


class AffectedView(PersonAffected):
    """A person's record: what changed, what is offered, who asks until when, and what was answered."""

    affected_id: UUID
    change_id: UUID
    course_run_id: UUID
    course_number: str
    title: str
    kind: str
    reason: str
    next_request_id: UUID | None = Field(description="The place in the line that goes on for the seat.")
    answer_by: datetime
    open: bool
    overdue: bool
    answer: str | None
    answered_by: str | None
    answered_at: datetime | None
    moved_to: UUID | None


class AffectedAnswer(Body):
    """What the person said."""

    answer: Literal["accept", "stay", "leave"] = Field(
        description="accept: 別の講座に移る, stay: この講座に残る(または待つ), leave: やめる"
    )
    course_run_id: UUID | None = Field(default=None, description="With `accept`: which of the alternatives.")


class CancellationDueView(BaseModel):
    """A course run for which too few applied by the day of the decision (中止決定日)."""

    course_run_id: UUID
    course_number: str
    title: str
    starts_on: date
    decide_on: date
    min_enrolment: int
    applicants: int
    applicants_now: int


@changes.post(
    "/v1/course-runs/{course_run_id}/change-trials",
    summary="Try a late change of a course run",
    description="定員減・日程変更・中止を試算します。影響を受ける人を順番どおりに、代わりの案とともに返します。何も書き込みません。",
    dependencies=[_OPERATORS],
)
async def try_course_change(
    course_run_id: UUID, body: CourseChange, session: Transaction, now: Now, actor: Caller
) -> ChangeTrial:
    """Who is affected, in which order, with what is offered to each."""
    outcome = await handlers.try_change(session, course_run_id, _change(body), actor=actor, now=now)
    if isinstance(outcome, Denied):
        raise _denied(outcome)
    return _trial(outcome, actor)


@changes.post(
    "/v1/course-runs/{course_run_id}/changes",
    status_code=201,
    summary="Change a course run late, or cancel it",
    description="試算したとおりに変更・中止します。席・順番・記録・お知らせが一度に変わります。",
    dependencies=[_OPERATORS],
)
async def change_course(
    course_run_id: UUID, body: TriedCourseChange, session: Transaction, now: Now, actor: Caller
) -> ChangeDone:
    """Done as it was tried, or refused."""
    outcome = await handlers.change_course(session, course_run_id, _change(body), sign=body.sign, actor=actor, now=now)
    match outcome:
        case Denied():
            raise _denied(outcome)
        case Outdated():
            raise Problem(
                _OUTDATED,
                detail="Try the change again, look at who is affected now, and send the new sign.",
                detail_ja="もう一度試算し、いま影響を受ける人を確かめてから、新しいしるしで送ってください。",
                errors=[{"pointer": "/sign", "code": "trial_outdated"}],
            )
        case Done(change_id=change_id, trial=trial):
            return ChangeDone(
                change_id=change_id,
                course_run_id=trial.run.id,
                kind=_kind(trial),
                affected=len(trial.offers),
                answer_by=trial.answer_by,
            )
        case _:
            assert_never(outcome)


@changes.get(
    "/v1/course-runs/{course_run_id}/changes",
    summary="The late changes of a course run",
    description="講座の変更・中止の記録です。",
    dependencies=[requires(*Role)],
)
async def list_course_changes(course_run_id: UUID, session: Transaction, pages: Pages) -> Page[CourseChangeView]:
    """In the order in which they were made."""
    found = await tables.list_changes(session, course_run_id, after=pages.begin(UUID), limit=pages.one_more)
    return page(
        found,
        pages,
        key=lambda row: (row.id,),
        show=lambda row: CourseChangeView(**_named(row, CourseChangeView) | {"change_id": row.id}),
    )


@changes.get(
    "/v1/affected",
    summary="Who is affected by late changes",
    description="変更・中止の影響を受ける人の一覧です(自分の自治体の人、実施機関は自分の講座の人)。回答期限の早い順です。",
    dependencies=[requires(Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER, Role.PLANNER)],
)
async def list_affected(
    session: Transaction,
    actor: Caller,
    pages: Pages,
    now: Now,
    course_run_id: UUID | None = None,
    case_id: UUID | None = None,
    is_open: Annotated[bool | None, Query(alias="open", description="Not answered yet, or answered; else all.")] = None,
) -> Page[AffectedView]:
    """By the moment by which they are asked to answer."""
    found = await tables.list_affected(
        session,
        sight(actor),
        course_run_id=course_run_id,
        case_id=case_id,
        is_open=is_open,
        after=pages.begin(lambda at, affected_id: (datetime.fromisoformat(at), UUID(affected_id))),
        limit=pages.one_more,
    )
    return page(found, pages, key=lambda row: (row.answer_by, row.id), show=lambda row: _affected(row, now))


@changes.post(
    "/v1/affected/{affected_id}/answer",
    summary="Record what an affected person said",
    description="影響を受けた人の返事を記録します。別の講座に移るときは、古い席を返して新しい席を押さえるまでを一度に行います。",
    dependencies=[requires(Role.COUNSELLOR, Role.PLACEMENT)],
)
async def answer_change(
    affected_id: UUID, body: AffectedAnswer, session: Transaction, now: Now, actor: Caller
) -> AffectedView:
    """Both seats change, or none does."""
    outcome = await answers.answer(
        session, affected_id, body.answer, course_run_id=body.course_run_id, actor=actor, now=now
    )
    match outcome:
        case Denied():
            raise _denied(outcome)
        case NotHeld():
            raise _not_held(outcome)
        case None:
            found = await tables.find_affected(session, affected_id)
            assert found is not None
            return _affected(found, now)
        case _:
            assert_never(outcome)


@changes.get(
    "/v1/cancellations-due",
    summary="Course runs on which a decision is due",
    description="中止決定日までに応募が最少開講人数に達しなかった講座です。中止するか開講するかを決めてください。",
    dependencies=[_OPERATORS],
)
async def list_cancellations_due(
    session: Transaction, actor: Caller, pages: Pages, now: Now
) -> Page[CancellationDueView]:
    """Until they are cancelled, confirmed, or begin."""
    found = await tables.list_due(
        session,
        sight(actor),
        today=day_in_japan(now),
        after=pages.begin(lambda day, run_id: (date.fromisoformat(day), UUID(run_id))),
        limit=pages.one_more,
    )
    return page(
        found,
        pages,
        key=lambda row: (row.starts_on, row.course_run_id),
        show=lambda row: CancellationDueView(**_named(row, CancellationDueView)),
    )


@changes.post(
    "/v1/course-runs/{course_run_id}/confirmation",
    status_code=204,
    summary="Decide that a course run begins",
    description="応募が最少開講人数に達しなくても開講することを決めます(開講決定)。この後は、災害・施設・講師の事情のほかでは中止できません。",
    dependencies=[_OPERATORS],
)
async def confirm_course(course_run_id: UUID, session: Transaction, now: Now, actor: Caller) -> None:
    """Once, by whoever runs the course or plans for its place."""
    denied = await answers.confirm_course(session, course_run_id, actor=actor, now=now)
    if denied is not None:
        raise _denied(denied)


# --- shapes and words -----------------------------------------------------------------------------------------------


def _change(body: CourseChange) -> Change:
    return Change(
        reason=body.reason.value,
        cancel=body.cancel,
        capacity=body.capacity,
        starts_on=body.starts_on,
        ends_on=body.ends_on,
        applications_close_at=body.applications_close_at,
        site_municipality=body.site_municipality,
    )


def _kind(trial: Trial) -> Literal["changed", "cancelled"]:
    return "cancelled" if trial.planned.after is None else "changed"


def _trial(trial: Trial, actor: Actor) -> ChangeTrial:
    runs_it = trial.run.row["provider_agency"] == actor.agency
    return ChangeTrial(
        course_run_id=trial.run.id,
        kind=_kind(trial),
        capacity_falls_by=trial.planned.closes,
        affected=[
            _person(offer, place, named=runs_it or actor.serves(offer.affected.claim.request.municipality))
            for place, offer in enumerate(trial.offers, 1)
        ],
        answer_by=trial.answer_by,
        sign=trial.sign,
    )


def _person(offer: Offer, place: int, *, named: bool) -> PersonAffected:
    claim = offer.affected.claim
    return PersonAffected(
        place=place,
        seat_request_id=claim.request.id if named else None,
        case_id=claim.request.case_id if named else None,
        municipality=claim.request.municipality,
        stood=claim.request.state.value,
        effect=offer.affected.effect,
        afterwards=offer.affected.after,
        alternatives=[
            AlternativeCourse.model_validate(each, from_attributes=True) for each in offer.found.alternatives
        ],
        others=dict(offer.found.others),
        owner=claim.requested_by,
    )


def _affected(row: Row[Any], now: datetime) -> AffectedView:
    values = _named(row, AffectedView) | {"affected_id": row.id, "alternatives": row.offers}
    return AffectedView.model_validate(values | {"overdue": row.open and now > row.answer_by})


def _named(row: Row[Any], shape: type[BaseModel]) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name in shape.model_fields}  # noqa: SLF001


_OUTDATED = ProblemType(
    "trial_outdated", 409, "Others would be affected by now", "試算の後に、影響を受ける人が変わりました"
)
_TAKEN = ProblemType("alternative_taken", 409, "The seat that was offered is taken", "案内した席はもう空いていません")
_WORDS: dict[str, tuple[int, str, str, str, str]] = {
    "course_has_begun": (
        409,
        "The course has begun",
        "訓練はもう始まっています",
        "Record endings person by person instead.",
        "受講している人ごとに、終了を記録してください。",
    ),
    "is_cancelled": (
        409,
        "The course run is cancelled already",
        "この講座はすでに中止されています",
        "Nothing is left to change: offer a new course run under a number of its own.",
        "変更できることはありません。新しい講座は別の講座番号で登録してください。",
    ),
    "is_to_begin": (
        409,
        "It was decided that this course run begins",
        "この講座は開講が決まっています",
        "Only a disaster, the facilities or the instructor can undo that. Otherwise let it begin.",
        "災害・施設・講師の事情のほかでは中止できません。予定どおり開講してください。",
    ),
    "is_confirmed": (
        409,
        "That this course run begins was decided before",
        "開講はすでに決まっています",
        "There is nothing left to decide.",
        "あらためて決めることはありません。",
    ),
    "nothing_to_confirm": (
        409,
        "This course run needs no number of applicants",
        "最少開講人数の定めがない講座です",
        "It begins anyway. Only a course run with 最少開講人数 is decided on.",
        "そのまま開講します。最少開講人数のある講座だけ、開講を決めます。",
    ),
    "people_are_enrolled": (
        409,
        "People are enrolled",
        "受講を始めた人がいます",
        "A course in which somebody is enrolled is not cancelled: record endings person by person.",
        "受講開始の記録がある講座は中止できません。受講している人ごとに、終了を記録してください。",
    ),
    "nothing_changes": (
        422,
        "Nothing would change",
        "変わることがありません",
        "Say what changes: capacity, days, deadline, place, or cancel.",
        "定員・日程・応募締切・所在地・中止のうち、変わるものを書いてください。",
    ),
    "ends_before_it_starts": (
        422,
        "The course ends before it starts",
        "終了日が開始日より前です",
        "Move the last day as well.",
        "終了日も合わせて変えてください。",
    ),
    "starts_in_the_past": (
        422,
        "The new first day is not to come",
        "新しい開始日がこれからの日ではありません",
        "Choose a day after today.",
        "明日以降の日にしてください。",
    ),
    "another_prefecture": (
        422,
        "The place is in another prefecture",
        "所在地が別の都道府県です",
        "Seats are delegated by the prefecture's sub-committee: cancel this course run and offer one there.",
        "枠は都道府県の分科会の決定によるものです。この講座を中止し、移る先で新しく登録してください。",
    ),
    "capacity_rises_by_file": (
        422,
        "The capacity only falls here",
        "ここで増やすことはできません",
        "Seats that are added are shared out to pools: send them as a course file.",
        "増やす席は枠への配分が要ります。講座の取込みで登録してください。",
    ),
    "no_seat_is_left": (
        422,
        "No seat would be left",
        "席が残りません",
        "Cancel the course run instead.",
        "中止(cancel)にしてください。",
    ),
    "below_what_is_filled": (
        409,
        "Fewer seats than people who are enrolled",
        "受講を始めた人数を下回っています",
        "Nobody who is enrolled loses the seat: keep at least so many.",
        "受講を始めた人の席は減らせません。その人数以上にしてください。",
    ),
    "enrolled_would_overlap": (
        409,
        "Somebody enrolled would have two seats at a time",
        "受講を始めた人が同じ期間に二つの席を持つことになります",
        "Have the other seat given back first, or choose other days.",
        "先にもう一方の席を返してもらうか、別の日程にしてください。",
    ),
    "not_offered": (
        422,
        "This course run was not offered",
        "案内していない講座です",
        "Name one of the alternatives, or ask for a seat there as for any other.",
        "案内した講座の中から選ぶか、通常の申込みをしてください。",
    ),
    "is_answered": (
        409,
        "The person has answered already",
        "すでに返事が記録されています",
        "Ask for, or give back, a seat as always.",
        "この後の変更は、通常の申込みや返却で行ってください。",
    ),
    "asked_anew": (
        409,
        "The course run changed once more since",
        "この後に、講座がもう一度変わりました",
        "Record the answer with the person's newest record: it says what is offered now.",
        "いちばん新しい記録(いまの案があります)に返事を記録してください。",
    ),
    "has_begun": (
        409,
        "The person is enrolled",
        "すでに受講を始めています",
        "Record an ending instead, if there is one.",
        "やめる場合は、終了を記録してください。",
    ),
    "nothing_to_stay_in": (
        409,
        "There is no seat and no place in line to stay in",
        "残る席や順番がありません",
        "Accept an alternative, or record that the person leaves.",
        "別の講座に移るか、やめることを記録してください。",
    ),
}


def _denied(denied: Denied) -> Problem:
    status, title, title_ja, remedy, remedy_ja = _WORDS[denied.reason]
    errors = [{"pointer": f"/{denied.about}", "code": denied.reason}] if denied.about else []
    return Problem(
        ProblemType(denied.reason, status, title, title_ja), detail=remedy, detail_ja=remedy_ja, errors=errors
    )


def _not_held(outcome: NotHeld) -> Problem:
    """Raised, so that the old seat is not given back either."""
    match outcome.because:
        case Refused(reason):
            return refusal(reason)
        case ConsentLacking(because):
            return consent_missing(because)
        case None:
            return Problem(
                _TAKEN,
                detail="Nothing was given back. Choose another alternative, or stay.",
                detail_ja="元の席や順番はそのままです。別の案を選ぶか、残ってください。",
            )
        case _:
            return Problem(NOT_FOUND)
