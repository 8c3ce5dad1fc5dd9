"""Reading support plans: where they stand, what a version says, what happened; as far as the caller may see."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from services.assessment.api.plan_shapes import (
    LineAnswer,
    PlanAnswer,
    PlanHead,
    PlanStepAnswer,
    VersionAnswer,
    Whose,
)
from services.assessment.handlers import plan_views
from services.assessment.handlers.plan_views import ShownLine, ShownStep
from services.assessment.tables.plans import Plan
from shared.auth import Caller, Role, requires
from shared.service import Now, Page, Pages, Transaction, etag, number, page, router

plan_readings = router(tag="plans")


@plan_readings.get(
    "/v1/cases/{case_id}/plans",
    summary="List a case's plans",
    description="ケースの支援プランを番号順に返します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_plans(case_id: UUID, session: Transaction, now: Now, actor: Caller, pages: Pages) -> Page[PlanHead]:
    """Heads, without words."""
    after = pages.begin(number) or 0
    found = await plan_views.list_plans(session, case_id, actor=actor, now=now, after=after, limit=pages.one_more)
    return page(found, pages, key=lambda plan: (plan.number,), show=head)


@plan_readings.get(
    "/v1/plans",
    summary="List plans at work",
    description="進行中の支援プランを返します。`whose=held` 担当ケースのもの、`to_decide` 自市町村の決定を待つもの。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_waiting(
    session: Transaction,
    actor: Caller,
    pages: Pages,
    whose: Annotated[Whose, Query(description="どのプラン")] = "held",
) -> Page[PlanHead]:
    """The oldest first."""
    after = pages.begin(UUID) or UUID(int=0)
    found = await plan_views.list_waiting(session, whose=whose, after=after, limit=pages.one_more, actor=actor)
    return page(found, pages, key=lambda plan: (plan.id,), show=head)


@plan_readings.get(
    "/v1/plans/{plan_id}",
    summary="Read a plan",
    description="支援プランの状態と、いまできる操作を返します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def get_plan(plan_id: UUID, response: Response, session: Transaction, now: Now, actor: Caller) -> PlanAnswer:
    """Without words."""
    seen = await plan_views.get_plan(session, plan_id, actor=actor, now=now)
    response.headers["ETag"] = etag(seen.plan.steps)
    return PlanAnswer(**head(seen.plan).model_dump(), legal=list(seen.legal))


@plan_readings.get(
    "/v1/plans/{plan_id}/content",
    summary="Read what a plan says",
    description="支援プランの内容(課題、目標、支援の内容)を返します。版を指定しなければ、いまの版です。担う機関には、目標と"
    "自機関の行だけを返します。閲覧は記録されます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def read_content(
    plan_id: UUID,
    session: Transaction,
    now: Now,
    actor: Caller,
    version: Annotated[int | None, Query(ge=1, le=100_000, description="版")] = None,
) -> VersionAnswer:
    """As far as the caller may see; the log is written before the answer leaves."""
    shown = await plan_views.read_version(session, plan_id, version, actor=actor, now=now)
    return VersionAnswer(
        plan_id=plan_id,
        version=shown.version.version,
        problems=shown.problems,
        goal=shown.goal,
        monitor_on=shown.version.monitor_on,
        lines=[_line(each) for each in shown.lines],
        withheld=list(shown.withheld),
        written_by=shown.version.written_by,
        written_at=shown.version.written_at,
    )


@plan_readings.get(
    "/v1/plans/{plan_id}/steps",
    summary="Read a plan's history",
    description="支援プランの経過(同意、意見、決定、モニタリング、評価)を古い順に返します。閲覧は記録されます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_plan_steps(
    plan_id: UUID, session: Transaction, now: Now, actor: Caller, pages: Pages
) -> Page[PlanStepAnswer]:
    """With their words, as far as the caller may see."""
    after = pages.begin(number) or 0
    found = await plan_views.list_steps(session, plan_id, after=after, limit=pages.one_more, actor=actor, now=now)
    return page(found, pages, key=lambda shown: (shown.step.number,), show=_step)


def head(plan: Plan) -> PlanHead:
    """A plan without its words."""
    return PlanHead(
        plan_id=plan.id,
        case_id=plan.case_id,
        number=plan.number,
        state=plan.state,
        version=plan.version,
        agreed_version=plan.agreed_version,
        decided_version=plan.decided_version,
        monitor_on=plan.monitor_on,
        next_plan_id=plan.next_plan_id,
        created_by=plan.created_by,
        created_at=plan.created_at,
        ended_at=plan.ended_at,
    )


def _line(shown: ShownLine) -> LineAnswer:
    return LineAnswer(
        line_id=shown.id,
        who=shown.line.who,
        agency=shown.line.agency,
        what=shown.what,
        begins_on=shown.line.begins_on,
        ends_on=shown.line.ends_on,
        rhythm=shown.line.rhythm,
        scheme=shown.line.scheme,
        going=shown.going,
        task_id=shown.task_id,
    )


def _step(shown: ShownStep) -> PlanStepAnswer:
    step = shown.step
    return PlanStepAnswer(
        number=step.number,
        move=step.move,
        state=step.state.value,
        version=step.version,
        on=step.on,
        code=step.code,
        detail=dict(step.detail),
        words=dict(shown.words),
        withheld=list(shown.withheld),
        by=step.by,
        at=step.at,
    )
