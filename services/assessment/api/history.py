"""A case's history over HTTP: every kind of thing has a shape of its own, told apart by `kind`."""

from datetime import date, datetime
from typing import Annotated, Literal, assert_never
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.assessment.api.shapes import SeatShape
from services.assessment.handlers import history as handlers
from services.assessment.handlers.history import Entry, Rating
from services.assessment.tables.conferences import Row as ConferenceRow
from services.assessment.tables.joint import Row as JointRow
from services.assessment.tables.plans import Plan
from services.assessment.tables.tasks import Row as TaskRow
from shared.auth import Caller, Role, requires
from shared.service import LongPages, Now, Page, Transaction, moment, page, router

history = router(tag="assessments")

_RATED: JsonDict = {
    "kind": "assessment",
    "id": "01939c2a-1c00-7a11-8b22-3c4d5e6f7081",
    "at": "2026-11-23T01:30:00Z",
    "number": 1,
    "instrument": "fdp",
    "rubric": "fdp-sample-1",
    "setting": "solo",
    "levels": {"interpersonal": 3, "mental": 2, "stress": 3, "thinking": 4},
    "not_observed": ["environment"],
    "prolongation_risk": "true",
    "rule_version": 1,
    "rated_by": "kagoshima-desk",
    "recorded_at": "2026-11-23T01:31:02Z",
    "corrects": None,
    "corrected_by": None,
}


class RatedThen(BaseModel):
    """A rating, by item of its own version; an item that is missing was not looked at."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RATED]})

    kind: Literal["assessment"] = "assessment"
    id: UUID
    at: datetime = Field(description="When it was rated.")
    number: int
    instrument: str
    rubric: str
    setting: str
    levels: dict[str, int]
    not_observed: list[str]
    prolongation_risk: str | None
    rule_version: int | None
    rated_by: str
    recorded_at: datetime
    corrects: UUID | None
    corrected_by: UUID | None = Field(description="The one that takes its place, as far as the caller sees it.")


class JointlyRatedThen(BaseModel):
    """The head of a joint rating; what each saw stands in GET /assessment/v1/joint_ratings/{joint_id}."""

    kind: Literal["joint_rating"] = "joint_rating"
    id: UUID
    at: datetime = Field(description="When it was begun.")
    conference_id: UUID | None
    instrument: str
    rubric: str
    chair: str
    state: str
    seats: list[SeatShape]
    closed_at: datetime | None
    agreed_at: datetime | None


class MetThen(BaseModel):
    """A joint case conference with the person's consent; what was said in it stands there alone."""

    kind: Literal["conference"] = "conference"
    id: UUID
    at: datetime = Field(description="When it was called.")
    chair: str
    state: str
    held_on: date
    members: list[SeatShape]
    task_id: UUID | None = Field(description="The duty that it meets.")
    reason: str | None


class PlannedThen(BaseModel):
    """A support plan (支援プラン): how far it has come; its words stand in GET /assessment/v1/plans/{plan_id}."""

    kind: Literal["plan"] = "plan"
    id: UUID
    at: datetime = Field(description="When it was drafted.")
    number: int
    state: str
    version: int
    agreed_version: int | None
    decided_version: int | None
    monitor_on: date
    next_plan_id: UUID | None
    created_by: str
    ended_at: datetime | None


class ToDoThen(BaseModel):
    """A task as it stands now; its words and steps stand in GET /assessment/v1/tasks/{task_id}."""

    kind: Literal["task"] = "task"
    id: UUID
    at: datetime = Field(description="When it was assigned.")
    task: str
    state: str
    owner: str
    due_on: date
    origin: str
    origin_id: UUID
    reason: str | None


HistoryEntry = Annotated[RatedThen | JointlyRatedThen | MetThen | PlannedThen | ToDoThen, Field(discriminator="kind")]


class HistoryPage(BaseModel):
    """Newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_RATED], "next_cursor": None}]})

    items: list[HistoryEntry]
    next_cursor: str | None


@history.get(
    "/v1/cases/{case_id}/history",
    summary="Read a case's history",
    description="支援ケースの評価・合同の評価・会議・プラン・することを、新しい順に一つの一覧で返します(コードのみ。記述は含みません)。"
    "見える範囲は、それぞれの一覧と同じです。支援会議(法第9条)で扱われたものは含みません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def read_history(case_id: UUID, session: Transaction, now: Now, actor: Caller, pages: LongPages) -> HistoryPage:
    """For the holder and whom consent reaches; who rated it sees what is its own."""
    before = pages.begin(lambda at, entry_id: (moment(at), UUID(entry_id)))
    found = await handlers.read_history(session, case_id, before=before, limit=pages.one_more, actor=actor, now=now)
    cut: Page[HistoryEntry] = page(found, pages, key=lambda entry: (entry.at, entry.id), show=_entry)
    return HistoryPage(items=cut.items, next_cursor=cut.next_cursor)


def _entry(entry: Entry) -> HistoryEntry:
    match entry.what:
        case Rating() as rating:
            return _rated(entry, rating)
        case JointRow() as row:
            return _jointly(entry, row)
        case ConferenceRow() as row:
            return _met(entry, row)
        case Plan() as plan:
            return _planned(entry, plan)
        case TaskRow() as row:
            return _to_do(entry, row)
        case _:
            assert_never(entry.what)


def _rated(entry: Entry, rating: Rating) -> RatedThen:
    rated = rating.rated
    return RatedThen(
        id=entry.id,
        at=entry.at,
        number=rated.number,
        instrument=rated.instrument,
        rubric=rated.rubric,
        setting=rated.setting,
        levels=dict(rated.levels),
        not_observed=list(rated.not_observed),
        prolongation_risk=None if rated.risk is None else rated.risk.value,
        rule_version=rated.rule_version,
        rated_by=rated.rated_by,
        recorded_at=rated.recorded_at,
        corrects=rated.corrects,
        corrected_by=rating.corrected_by,
    )


def _jointly(entry: Entry, row: JointRow) -> JointlyRatedThen:
    return JointlyRatedThen(
        id=entry.id,
        at=entry.at,
        conference_id=row.conference_id,
        instrument=row.instrument,
        rubric=row.rubric,
        chair=row.joint.chair,
        state=row.joint.state.value,
        seats=[SeatShape(agency=seat.agency, profession=seat.profession) for seat in sorted(row.joint.seats)],
        closed_at=row.closed_at,
        agreed_at=row.agreed_at,
    )


def _met(entry: Entry, row: ConferenceRow) -> MetThen:
    held = row.conference
    return MetThen(
        id=entry.id,
        at=entry.at,
        chair=held.chair,
        state=held.state.value,
        held_on=held.held_on,
        members=[SeatShape(agency=member.agency, profession=member.profession) for member in held.members],
        task_id=row.task_id,
        reason=row.reason,
    )


def _planned(entry: Entry, plan: Plan) -> PlannedThen:
    return PlannedThen(
        id=entry.id,
        at=entry.at,
        number=plan.number,
        state=plan.state.value,
        version=plan.version,
        agreed_version=plan.agreed_version,
        decided_version=plan.decided_version,
        monitor_on=plan.monitor_on,
        next_plan_id=plan.next_plan_id,
        created_by=plan.created_by,
        ended_at=plan.ended_at,
    )


def _to_do(entry: Entry, row: TaskRow) -> ToDoThen:
    return ToDoThen(
        id=entry.id,
        at=entry.at,
        task=row.task.kind.value,
        state=row.task.state.value,
        owner=row.task.owner,
        due_on=row.task.due_on,
        origin=row.origin,
        origin_id=row.origin_id,
        reason=row.reason,
    )
