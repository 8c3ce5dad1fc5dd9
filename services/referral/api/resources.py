"""専門職・職親・認定就労訓練をめざす事業者: who can be called, where trial places are, and which firms to call next."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, assert_never
from uuid import UUID

from fastapi import Query, Response
from pydantic import Field
from sqlalchemy import ColumnElement, Table

from services.referral.api.keeping import OWN, changed
from services.referral.api.listed import (
    FirmAnswer,
    FirmStepAnswer,
    ProfessionalAnswer,
    Stale,
    WorkplaceAnswer,
    example,
    shown_firm,
    shown_professional,
    shown_step,
    shown_workplace,
)
from services.referral.api.rows import Industry, Profession
from services.referral.domain.directory import TrialStep
from services.referral.domain.firms import Firm, FirmFault, FirmState, NoWay
from services.referral.handlers import listing as handlers
from services.referral.tables import listing
from services.referral.tables.schema import host_workplace, professional, training_firm
from services.referral.tables.vocabulary import vocabulary
from shared.auth import Caller, Role, requires
from shared.codes import AgencyId, DayAsWritten, MunicipalityCode
from shared.problems import NOT_FOUND, Problem, illegal_move, invalid
from shared.service import Body, Now, Page, Pages, Transaction, day_in_japan, number, page, router
from shared.service.failures import words_for

resources = router(tag="directory")

_Agency = Annotated[AgencyId | None, Query(description="Only this agency's.")]


class FirmStepBody(Body):
    """Where a firm stands from now on. The same state again says that it was called."""

    model_config = example(state="certified", certified_on="2026-11-20", certified_by="460001")

    state: FirmState
    follow_up_on: DayAsWritten | None = Field(default=None, description="When it is called next.")
    certified_on: DayAsWritten | None = None
    certified_by: MunicipalityCode | None = None


@resources.get(
    "/v1/professionals",
    dependencies=[requires(*Role)],
    summary="Professionals of the directory",
    description="専門職の一覧。職種・地域・機関・確認の古さで絞り込めます。",
)
async def list_professionals(
    session: Transaction,
    _: Caller,
    now: Now,
    pages: Pages,
    profession: Annotated[Profession | None, Query(description="Only this profession.")] = None,
    municipality: Annotated[MunicipalityCode | None, Query(description="Only who may be called there.")] = None,
    agency_id: _Agency = None,
    stale: Stale = None,
) -> Page[ProfessionalAnswer]:
    """In the order in which they came."""
    table, today = professional, day_in_japan(now)
    wheres = [
        *([table.c.profession == profession] if profession else []),
        *([listing.in_area(municipality, listing.area_of(table))] if municipality else []),
        *([table.c.agency_id == agency_id] if agency_id else []),
        *_as_old(table, today, stale),
    ]
    rows = await listing.list_of_agencies(
        session, "professional", wheres=wheres, after=pages.begin(UUID), limit=pages.one_more
    )
    return page(rows, pages, key=lambda row: (row.id,), show=lambda row: shown_professional(row, today))


@resources.get(
    "/v1/host-workplaces",
    dependencies=[requires(*Role)],
    summary="Host workplaces and their trial places",
    description="職親(職場体験の受入れ先)の一覧。所在地・業種・受入れ段階・確認の古さで絞り込めます。",
)
async def list_host_workplaces(
    session: Transaction,
    _: Caller,
    now: Now,
    pages: Pages,
    municipality: Annotated[MunicipalityCode | None, Query(description="Only where it is.")] = None,
    industry: Annotated[Industry | None, Query(description="Only this industry.")] = None,
    step: Annotated[TrialStep | None, Query(description="Only who takes people in at this step.")] = None,
    agency_id: _Agency = None,
    stale: Stale = None,
) -> Page[WorkplaceAnswer]:
    """In the order in which they came."""
    table, today = host_workplace, day_in_japan(now)
    wheres = [
        *([table.c.municipality == municipality] if municipality else []),
        *([table.c.industry == industry] if industry else []),
        *([table.c.agency_id == agency_id] if agency_id else []),
        *([table.c.steps.contains([{"step": step.value}])] if step else []),
        *_as_old(table, today, stale),
    ]
    rows = await listing.list_of_agencies(
        session, "host_workplace", wheres=wheres, after=pages.begin(UUID), limit=pages.one_more
    )
    return page(rows, pages, key=lambda row: (row.id,), show=lambda row: shown_workplace(row, today))


@resources.get(
    "/v1/training-firms",
    dependencies=[requires(*Role)],
    summary="Firms on the way to certified work training",
    description="認定就労訓練をめざす事業者の一覧。状態・所在地・業種・確認の古さで絞り込めます。"
    "`due=true` で、連絡する日が来た事業者だけを返します。",
)
async def list_training_firms(
    session: Transaction,
    _: Caller,
    now: Now,
    pages: Pages,
    state: Annotated[FirmState | None, Query(description="Only those that stand there.")] = None,
    due: Annotated[
        bool | None, Query(description="Only those whose day to be called has come, or only others.")
    ] = None,
    municipality: Annotated[MunicipalityCode | None, Query(description="Only where it is.")] = None,
    industry: Annotated[Industry | None, Query(description="Only this industry.")] = None,
    agency_id: _Agency = None,
    stale: Stale = None,
) -> Page[FirmAnswer]:
    """In the order in which they came."""
    table, today = training_firm, day_in_japan(now)
    has_come = table.c.follow_up_on.is_not(None) & (table.c.follow_up_on <= today)
    wheres = [
        *([table.c.state == state] if state else []),
        *([table.c.agency_id == agency_id] if agency_id else []),
        *([has_come == due] if due is not None else []),
        *([table.c.municipality == municipality] if municipality else []),
        *([table.c.industry == industry] if industry else []),
        *_as_old(table, today, stale),
    ]
    rows = await listing.list_of_agencies(
        session, "training_firm", wheres=wheres, after=pages.begin(UUID), limit=pages.one_more
    )
    return page(rows, pages, key=lambda row: (row.id,), show=lambda row: shown_firm(row, today))


@resources.get(
    "/v1/training-firms/{firm_id}/steps",
    dependencies=[requires(*Role)],
    summary="A firm's way so far",
    description="事業者がどの状態をたどり、だれがいつ連絡し、次の連絡日をいつにしたか(古い順)。",
)
async def list_firm_steps(firm_id: UUID, session: Transaction, _: Caller, pages: Pages) -> Page[FirmStepAnswer]:
    """Oldest first."""
    if await listing.find_entry(session, "training_firm", firm_id) is None:
        raise Problem(NOT_FOUND)
    rows = await listing.list_firm_steps(session, firm_id, after=pages.begin(number), limit=pages.one_more)
    return page(rows, pages, key=lambda row: (row.version,), show=shown_step)


@resources.post(
    "/v1/training-firms/{firm_id}/steps",
    dependencies=[requires(*OWN)],
    summary="A firm's next step",
    description="事業者の状態(関心あり・申請中・認定・失効)を進めるか、連絡したことと次の連絡日を記録します。",
)
async def move_training_firm(
    firm_id: UUID, body: FirmStepBody, session: Transaction, actor: Caller, now: Now, response: Response
) -> FirmAnswer:
    """By who follows it up, or who keeps the directory there. An illegal step names the legal ones."""
    to = Firm(body.state, body.follow_up_on, body.certified_on, body.certified_by)
    outcome = await handlers.move_training_firm(session, firm_id, to, actor=actor, now=now)
    match outcome:
        case NoWay(legal):
            raise illegal_move(state.value for state in legal)
        case FirmFault():
            about_call = outcome in {FirmFault.FOLLOW_UP_MISSING, FirmFault.FOLLOW_UP_PAST}
            pointer = "/follow_up_on" if about_call else "/certified_on"
            raise invalid(pointer, outcome.value, *words_for(outcome.value))
        case handlers.Changed() | handlers.NotThere() | handlers.NotYours():
            return shown_firm(changed(outcome, response), day_in_japan(now))
        case _:
            assert_never(outcome)


def _as_old(table: Table, today: date, stale: bool | None) -> Sequence[ColumnElement[bool]]:
    return [] if stale is None else [listing.is_stale(table, today, vocabulary().days) == stale]
