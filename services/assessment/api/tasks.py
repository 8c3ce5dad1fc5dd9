"""Tasks over HTTP: what is due today, what is overdue, what happened to each; done, handed on, postponed, dropped."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.assessment.domain.moves import NotMoved
from services.assessment.domain.tasks import DropReason
from services.assessment.handlers import tasks as handlers
from services.assessment.handlers.tasks import Change, NotYours, Shown
from shared.auth import Caller, Role, requires
from shared.codes import AgencyId, DayAsWritten
from shared.problems import FORBIDDEN, Problem, illegal_move, invalid
from shared.service import Body, Now, Page, Pages, Transaction, day_in_japan, etag, page, router

tasks = router(tag="tasks")

_TASK: JsonDict = {
    "task_id": "01939c2a-1c00-7a11-8b22-3c4d5e6f7099",
    "case_id": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d",
    "task": "joint_conference",
    "state": "open",
    "owner": "kagoshima-desk",
    "due_on": "2026-12-14",
    "overdue": False,
    "told": 0,
    "origin": "rule",
    "origin_id": "01939c2a-1c00-7a11-8b22-3c4d5e6f7081",
    "reason": None,
    "has_words": False,
    "legal": ["finish", "hand_on", "postpone", "drop"],
    "version": 1,
}


class TaskAnswer(BaseModel):
    """A task (すること): whose, until when, where it comes from, and what the caller may do with it now."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TASK]})

    task_id: UUID
    case_id: UUID
    task: str
    state: str
    owner: str
    due_on: date
    overdue: bool
    told: int = Field(description="0: to nobody; 1: the holder was told that it is overdue; 2: the municipality.")
    origin: str
    origin_id: UUID
    reason: str | None
    has_words: bool
    legal: list[str]
    version: int


class WordsAnswer(BaseModel):
    """What is to be done, in words; null where nothing was written."""

    task_id: UUID
    words: str | None


class StepAnswer(BaseModel):
    """One thing that happened to a task."""

    number: int
    name: str
    state: str
    owner: str
    due_on: date
    reason: str | None
    by: str
    at: datetime


class StepsAnswer(BaseModel):
    """All of them, the oldest first."""

    steps: list[StepAnswer]


class FinishTask(Body):
    """It is done."""


class HandOnTask(Body):
    """Another agency does it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"owner": "npo-hinata"}]})

    owner: AgencyId


class PostponeTask(Body):
    """It has until later."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"due_on": "2027-01-15"}]})

    due_on: DayAsWritten


class DropTask(Body):
    """It need not be done any more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "other_way_found"}]})

    reason: Literal["not_needed", "person_wishes", "other_way_found", "mistake"]


@tasks.get(
    "/v1/tasks",
    summary="List tasks",
    description="待っていることを期日の早い順に返します。`whose=own` 自機関のすること、`held` 担当ケースのすべて、"
    "`late` 市町村内で期日を大きく過ぎたもの。`until` に今日の日付を入れると、今日までのものだけになります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_tasks(
    session: Transaction,
    now: Now,
    actor: Caller,
    pages: Pages,
    whose: Annotated[Literal["own", "held", "late"], Query(description="だれの")] = "own",
    until: Annotated[date | None, Query(description="この日までが期日のもの")] = None,
    case_id: Annotated[UUID | None, Query(description="このケースのもの")] = None,
) -> Page[TaskAnswer]:
    """The first to be due first; what is overdue therefore stands on top."""
    after = pages.begin(lambda day, task_id: (date.fromisoformat(day), UUID(task_id))) or (date.min, UUID(int=0))
    found = await handlers.list_tasks(
        session, whose=whose, until=until, case_id=case_id, after=after, limit=pages.one_more, actor=actor, now=now
    )
    return page(found, pages, key=lambda each: (each.row.task.due_on, each.row.task.id), show=_answer)


@tasks.get(
    "/v1/tasks/{task_id}",
    summary="Read a task",
    description="することを一件返します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def get_task(task_id: UUID, response: Response, session: Transaction, now: Now, actor: Caller) -> TaskAnswer:
    """With what the caller may do with it."""
    return _tagged(await handlers.get_task(session, task_id, actor=actor, now=now), response)


@tasks.get(
    "/v1/tasks/{task_id}/words",
    summary="Read what is to be done",
    description="することの内容を返します。する機関と担当機関が読めます。閲覧は記録されます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def read_words(task_id: UUID, session: Transaction, now: Now, actor: Caller) -> WordsAnswer:
    """For its owner, and for who holds the case."""
    return WordsAnswer(task_id=task_id, words=await handlers.read_words(session, task_id, actor=actor, now=now))


@tasks.get(
    "/v1/tasks/{task_id}/steps",
    summary="Read a task's history",
    description="することの経過を古い順に返します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_steps(task_id: UUID, session: Transaction, now: Now, actor: Caller) -> StepsAnswer:
    """Who did what, when."""
    found = await handlers.list_steps(session, task_id, actor=actor, now=now)
    return StepsAnswer(steps=[StepAnswer.model_validate(step, from_attributes=True) for step in found])


@tasks.post(
    "/v1/tasks/{task_id}/finish",
    summary="Finish a task",
    description="することが済んだと記録します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def finish_task(
    task_id: UUID, body: FinishTask, response: Response, session: Transaction, now: Now, actor: Caller
) -> TaskAnswer:
    """By its owner or by who holds the case."""
    _ = body
    return await _change(task_id, Change("finish"), response, session, now, actor)


@tasks.post(
    "/v1/tasks/{task_id}/hand_on",
    summary="Hand a task on",
    description="することを別の機関に渡します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def hand_on_task(
    task_id: UUID, body: HandOnTask, response: Response, session: Transaction, now: Now, actor: Caller
) -> TaskAnswer:
    """By its owner or by who holds the case."""
    return await _change(task_id, Change("hand_on", owner=body.owner), response, session, now, actor)


@tasks.post(
    "/v1/tasks/{task_id}/postpone",
    summary="Postpone a task",
    description="期日を延ばします。担当機関だけができます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def postpone_task(
    task_id: UUID, body: PostponeTask, response: Response, session: Transaction, now: Now, actor: Caller
) -> TaskAnswer:
    """By who holds the case: whoever is late can't give themselves time."""
    if body.due_on < day_in_japan(now):
        raise invalid("/due_on", "in_the_past", "It lies in the past", "過去の日付です")
    return await _change(task_id, Change("postpone", due_on=body.due_on), response, session, now, actor)


@tasks.post(
    "/v1/tasks/{task_id}/drop",
    summary="Drop a task",
    description="しなくてよくなったことを、理由とともに記録します。担当機関だけができます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def drop_task(
    task_id: UUID, body: DropTask, response: Response, session: Transaction, now: Now, actor: Caller
) -> TaskAnswer:
    """By who holds the case."""
    return await _change(task_id, Change("drop", reason=DropReason(body.reason)), response, session, now, actor)


async def _change(
    task_id: UUID, change: Change, response: Response, session: Transaction, now: Now, actor: Caller
) -> TaskAnswer:
    outcome = await handlers.change_task(session, task_id, change, read=None, actor=actor, now=now)
    match outcome:
        case Shown():
            return _tagged(outcome, response)
        case NotMoved(legal):
            raise illegal_move(legal)
        case NotYours():
            raise Problem(
                FORBIDDEN,
                detail="Its owner and the agency that holds the case move a task.",
                detail_ja="することを動かせるのは、する機関と担当機関です。",
            )


def _tagged(shown: Shown, response: Response) -> TaskAnswer:
    response.headers["ETag"] = etag(shown.row.version)
    return _answer(shown)


def _answer(shown: Shown) -> TaskAnswer:
    row, task = shown.row, shown.row.task
    return TaskAnswer(
        task_id=task.id,
        case_id=task.case_id,
        task=task.kind.value,
        state=task.state.value,
        owner=task.owner,
        due_on=task.due_on,
        overdue=shown.overdue,
        told=task.tier,
        origin=row.origin,
        origin_id=row.origin_id,
        reason=row.reason,
        has_words=row.words is not None,
        legal=list(shown.legal),
        version=row.version,
    )
