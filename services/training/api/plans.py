"""Plans of training seats (計画枠) over HTTP: versions, standing, the ledger, and the moves between lines."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, assert_never
from uuid import UUID

from fastapi import Path, Query, Response
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.api.courses import Prefecture
from services.training.api.plan_shapes import (
    ActAnswer,
    ActBody,
    CarryOverBody,
    LineCourseRun,
    OpenToAllBody,
    PlanAnswer,
    PlanBody,
    PlanEntryAnswer,
    PlanExamined,
    PlanFault,
    PlanLineShape,
    PlanLineStanding,
    PlanRecorded,
    PlanSummary,
    PlanVersionAnswer,
    PlanVersionSummary,
    TransferBody,
)
from services.training.api.plan_words import not_moved, not_recorded, told
from services.training.domain.plan_moves import Refused
from services.training.handlers import plans as handlers
from services.training.handlers.plan_lines import Standing, as_rows, plan_layout, stand
from services.training.handlers.plans import Act, CarryOver, Done, OpenToAll, Order, Recorded, Transfer, not_yours
from services.training.tables import plans
from shared.auth import Actor, Caller, Role, requires
from shared.codes import Code
from shared.problems import NOT_FOUND, Problem, invalid
from shared.service import Now, Page, Pages, Transaction, number, page, router
from shared.service.exports import Encoding, across, csv_answer

training_plans = router(tag="training-plans")

# --- versions -------------------------------------------------------------------------------------------------------


@training_plans.post(
    "/v1/training-plans",
    status_code=201,
    summary="Record a plan, or its next version",
    description="年度・都道府県の訓練計画枠を丸ごと記録します。すでにあれば次の版になり、過去は変わりません。"
    "validate_only=true なら、合わない規則をすべて返すだけで何も残しません。",
    dependencies=[requires(Role.PLANNER)],
    responses={200: {"model": PlanExamined, "description": "With `validate_only`: what is wrong; nothing was kept."}},
)
async def record_plan(
    body: PlanBody,
    response: Response,
    session: Transaction,
    now: Now,
    actor: Caller,
    validate_only: Annotated[bool, Query(description="Only say what is wrong with it.")] = False,
) -> PlanRecorded | PlanExamined:
    """Whole, or not at all."""
    if not actor.serves(f"{body.prefecture}0000"):
        raise not_yours()
    if validate_only:
        response.status_code = 200
        found = await handlers.examine_plan(session, body.draft(), now)
        return PlanExamined(faults=[PlanFault.model_validate(told(fault)) for fault in found])
    outcome = await handlers.record_plan(session, body.draft(), actor, now)
    match outcome:
        case Recorded():
            # Relative: the address outside has the prefix that the gateway takes off.
            response.headers["Location"] = f"training-plans/{outcome.plan_id}"
            return PlanRecorded(plan_id=outcome.plan_id, version_no=outcome.version_no)
        case Refused():
            raise not_recorded(outcome.faults)
        case _:
            assert_never(outcome)


@training_plans.get(
    "/v1/training-plans",
    summary="List plans",
    description="訓練計画枠を、年度・都道府県の順に返します。",
    dependencies=[requires(*Role)],
)
async def list_plans(
    session: Transaction,
    pages: Pages,
    prefecture: Prefecture | None = None,
    fiscal_year: Annotated[int | None, Query(ge=1990, le=2199)] = None,
) -> Page[PlanSummary]:
    """With the version in force."""
    found = await plans.list_plans(
        session,
        prefecture=prefecture,
        fiscal_year=fiscal_year,
        after=pages.begin(lambda year, code: (number(year), code)),
        limit=pages.one_more,
    )
    return page(found, pages, key=lambda row: (row.fiscal_year, row.prefecture), show=PlanSummary.model_validate)


@training_plans.get(
    "/v1/training-plans/{plan_id}",
    summary="Read a plan as it stands",
    description="計画枠を、いまの人数・訓練コースの定員・残りとともに返します。",
    dependencies=[requires(*Role)],
)
async def get_plan(plan_id: UUID, session: Transaction) -> PlanAnswer:
    """Line by line."""
    summary, standings = await _standing(session, plan_id)
    return PlanAnswer.model_validate({**summary._asdict(), "lines": [PlanLineStanding.of(each) for each in standings]})


@training_plans.get(
    "/v1/training-plans/{plan_id}/lines.csv",
    summary="A plan as it stands, as CSV",
    description="計画枠(CSV)。列は設定(TOML)で変えられます。",
    dependencies=[requires(*Role)],
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}},
)
async def export_plan(
    plan_id: UUID,
    session: Transaction,
    encoding: Annotated[Encoding, Query(description="文字コード: `cp932` か `utf-8`(BOM付き)")] = Encoding.CP932,
) -> Response:
    """A line of the file for each line of the plan."""
    summary, standings = await _standing(session, plan_id)
    columns = plan_layout(session)
    name = f"{columns.title}_{summary.prefecture}_{summary.fiscal_year}"
    return csv_answer(name, across(columns, as_rows(standings)), encoding)


@training_plans.get(
    "/v1/training-plans/{plan_id}/versions",
    summary="List a plan's versions",
    description="計画枠の版を古い順に返します。これから施行されるものも含みます。",
    dependencies=[requires(*Role)],
)
async def list_versions(plan_id: UUID, session: Transaction, pages: Pages) -> Page[PlanVersionSummary]:
    """The oldest first."""
    await handlers.get_plan(session, plan_id)
    after = pages.begin(number) or 0
    found = [each for each in await plans.read_versions(session, plan_id) if each.version_no > after]
    return page(
        found[: pages.one_more], pages, key=lambda each: (each.version_no,), show=PlanVersionSummary.model_validate
    )


@training_plans.get(
    "/v1/training-plans/{plan_id}/versions/{version_no}",
    summary="Read a version as it was decided",
    description="計画枠の一つの版を、決められたとおりに返します。",
    dependencies=[requires(*Role)],
)
async def get_version(
    plan_id: UUID, version_no: Annotated[int, Path(ge=1, le=1_000_000)], session: Transaction
) -> PlanVersionAnswer:
    """With its lines."""
    versions = await plans.read_versions(session, plan_id)
    if version_no > len(versions):
        raise Problem(NOT_FOUND)
    version = versions[version_no - 1]
    lines = await plans.read_lines(session, plan_id, version_no)
    return PlanVersionAnswer(
        **dict(PlanVersionSummary.model_validate(version)),
        lines=[PlanLineShape(**PlanLineShape.values(line)) for line in lines],
    )


@training_plans.get(
    "/v1/training-plans/{plan_id}/lines/{line}/course-runs",
    summary="The course runs behind a line's number",
    description="枠の「訓練コースの定員」に数えた訓練コースを返します。",
    dependencies=[requires(*Role)],
)
async def list_line_course_runs(
    plan_id: UUID, line: Annotated[Code, Path()], session: Transaction, pages: Pages
) -> Page[LineCourseRun]:
    """By first day. None for a line of which the catalogue can't tell."""
    plan = await handlers.get_plan(session, plan_id)
    use = (await handlers.read_book(session, plan)).use
    if line not in use.of:
        raise Problem(NOT_FOUND)
    found = await plans.list_runs(
        session,
        plan,
        use.of[line] or (),
        after=pages.begin(lambda starts_on, run_id: (date.fromisoformat(starts_on), UUID(run_id))),
        limit=pages.one_more,
    )
    return page(found, pages, key=lambda row: (row.starts_on, row.id), show=LineCourseRun.model_validate)


# --- the ledger -----------------------------------------------------------------------------------------------------


@training_plans.get(
    "/v1/training-plans/{plan_id}/entries",
    summary="The ledger of a plan",
    description="計画枠の台帳(追記のみ)。枠を指定すると、その枠に出入りした記録だけを返します。",
    dependencies=[requires(*Role)],
)
async def list_entries(
    plan_id: UUID,
    session: Transaction,
    pages: Pages,
    line: Annotated[Code | None, Query(description="Only what this line gave or took.")] = None,
) -> Page[PlanEntryAnswer]:
    """In the order in which they were made."""
    await handlers.get_plan(session, plan_id)
    after = pages.begin(lambda entry_id: number(entry_id, bits=64)) or 0
    found = await plans.list_entries(session, plan_id, line=line, after=after, limit=pages.one_more)
    return page(found, pages, key=lambda row: (row.id,), show=PlanEntryAnswer.model_validate)


@training_plans.post(
    "/v1/training-plans/{plan_id}/carry-overs",
    status_code=201,
    summary="Carry seats over to the next quarter",
    description="次の四半期の同じ枠へ繰り越します。枠を指定しなければ、最小単位に満たない残りをすべて繰り越します。",
    dependencies=[requires(Role.PLANNER)],
)
async def carry_over(plan_id: UUID, body: CarryOverBody, session: Transaction, now: Now, actor: Caller) -> ActAnswer:
    """繰越."""
    named = None if body.lines is None else {each.line: each.seats for each in body.lines}
    if named is not None and body.lines is not None and len(named) < len(body.lines):
        raise invalid("/lines", "same_line_twice", "A line stands there twice", "同じ枠が二度書かれています")
    return await _act(session, plan_id, body, CarryOver(body.quarter, named), actor, now)


@training_plans.post(
    "/v1/training-plans/{plan_id}/transfers",
    status_code=201,
    summary="Transfer seats within the period",
    description="同じ期の、別の地域または分野の枠へ振り替えます。",
    dependencies=[requires(Role.PLANNER)],
)
async def transfer(plan_id: UUID, body: TransferBody, session: Transaction, now: Now, actor: Caller) -> ActAnswer:
    """振替."""
    order = Transfer(body.from_line, body.to_line, body.seats)
    return await _act(session, plan_id, body, order, actor, now)


@training_plans.post(
    "/v1/training-plans/{plan_id}/open-to-all",
    status_code=201,
    summary="Open seats that nobody claims",
    description="申請のない枠を、親の枠の対象すべてに開きます。",
    dependencies=[requires(Role.PLANNER)],
)
async def open_to_all(plan_id: UUID, body: OpenToAllBody, session: Transaction, now: Now, actor: Caller) -> ActAnswer:
    """To all that the line's parent is for."""
    return await _act(session, plan_id, body, OpenToAll(body.line, body.seats), actor, now)


async def _act(
    session: AsyncSession, plan_id: UUID, body: ActBody, order: Order, actor: Actor, now: datetime
) -> ActAnswer:
    act = Act(body.command_id, order, body.reason, body.decision_id)
    outcome = await handlers.move_seats(session, plan_id, act, actor, now)
    match outcome:
        case Refused():
            raise not_moved(outcome.faults)
        case Done():
            return ActAnswer.of(outcome)
        case _:
            assert_never(outcome)


async def _standing(session: AsyncSession, plan_id: UUID) -> tuple[Row[Any], Sequence[Standing]]:
    plan = await handlers.get_plan(session, plan_id)
    (summary,) = await plans.list_plans(session, plan_id=plan_id)
    return summary, stand(await handlers.read_book(session, plan))
