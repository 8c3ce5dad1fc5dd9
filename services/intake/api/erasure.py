"""Erasing, legal holds and the end of use over HTTP."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.intake.api.persons import NOT_THE_HOLDER
from services.intake.domain.erasure import HoldReason, Reason, Refused, StopReason
from services.intake.handlers import cases as case_handlers
from services.intake.handlers import erasure as handlers
from services.intake.handlers.erasure import Standing
from services.intake.tables import retention as tables
from shared.auth import Caller, Role, requires
from shared.problems import ERASED, Problem, ProblemType
from shared.service import Body, Now, Page, Pages, Transaction, page, router

erasure = router(tag="erasure")

_REFUSALS = {
    "not_the_holder": NOT_THE_HOLDER,
    "erased": ERASED,
    "still_open": ProblemType("still_open", 409, "The case is open", "このケースは終結していません"),
    "on_hold": ProblemType(
        "on_hold", 409, "A legal hold stands: nothing is erased", "法的な保全の対象です。消去できません"
    ),
    "use_stopped": ProblemType("use_stopped_already", 409, "The use has ended already", "すでに利用停止の対象です"),
    "use_not_stopped": ProblemType("use_not_stopped", 409, "The use has not ended", "利用停止の対象ではありません"),
    "not_on_hold": ProblemType("not_on_hold", 409, "There is no legal hold", "保全の対象ではありません"),
}


class EraseCase(Body):
    """消去の指示, with its reason."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "persons_request"}]})

    reason: Reason


class HoldCase(Body):
    """保全, or its end, with the reason."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "litigation"}]})

    reason: HoldReason


class StopUse(Body):
    """利用停止, or its end, with the reason."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "persons_request"}]})

    reason: StopReason


class DueCase(BaseModel):
    """保存期間の満了: erased on that day, unless it is held or reopened."""

    model_config = ConfigDict(from_attributes=True)

    case_id: UUID
    number: str
    noticed_at: datetime
    erase_on: date
    held: bool


class ErasureState(BaseModel):
    """Whether a case is erased, ordered to be, or kept from it; and whether its data is used."""

    case_id: UUID
    reason: str | None
    ordered_at: datetime | None
    erased_at: datetime | None
    held: bool
    hold_reason: str | None
    use_stopped: bool


@erasure.post(
    "/v1/cases/{case_id}/erasure",
    status_code=202,
    summary="Order that a case be erased",
    description="終結したケースについて、この方の情報をすべて消去するよう指示します。取り消せません。数秒のうちに鍵を破棄し、"
    "控えから戻しても読めなくなります。番号と担当の記録(符号だけ)は残ります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def order_erasure(case_id: UUID, body: EraseCase, session: Transaction, now: Now, actor: Caller) -> ErasureState:
    """By who holds it, once it is closed and unless it must be kept."""
    return _shown(case_id, await handlers.order_erasure(session, case_id, body.reason, actor=actor, now=now))


@erasure.get(
    "/v1/cases/{case_id}/erasure",
    summary="Whether a case is erased",
    description="消去の指示・実施と、保全の状態です。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def get_erasure(case_id: UUID, session: Transaction, actor: Caller) -> ErasureState:
    """For whose business the case is."""
    case = await case_handlers.get_case(session, case_id, actor)
    return _shown(case_id, await handlers.get_standing(session, case))


@erasure.post(
    "/v1/cases/{case_id}/legal-hold",
    summary="Keep a case from being erased",
    description="訴訟・調査などのため、保全します。保全の間は、期限が来ても消去されません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def place_hold(case_id: UUID, body: HoldCase, session: Transaction, now: Now, actor: Caller) -> ErasureState:
    """By who holds it."""
    return _shown(case_id, await handlers.place_hold(session, case_id, body.reason, actor=actor, now=now))


@erasure.post(
    "/v1/cases/{case_id}/legal-hold/lifting",
    summary="End a legal hold",
    description="保全を終えます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def lift_hold(case_id: UUID, body: HoldCase, session: Transaction, now: Now, actor: Caller) -> ErasureState:
    """By who holds it."""
    return _shown(case_id, await handlers.lift_hold(session, case_id, body.reason, actor=actor, now=now))


@erasure.post(
    "/v1/cases/{case_id}/use-stop",
    summary="End the use of a case's data",
    description="利用停止(個人情報保護法第98条以下)です。情報は残りますが、本人への開示のほかには、だれも読み書きできません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def stop_use(case_id: UUID, body: StopUse, session: Transaction, now: Now, actor: Caller) -> ErasureState:
    """By who holds it."""
    return _shown(case_id, await handlers.stop_use(session, case_id, body.reason, actor=actor, now=now))


@erasure.post(
    "/v1/cases/{case_id}/use-stop/lifting",
    summary="Let a case's data be used again",
    description="利用停止を終えます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def resume_use(case_id: UUID, body: StopUse, session: Transaction, now: Now, actor: Caller) -> ErasureState:
    """By who holds it."""
    return _shown(case_id, await handlers.resume_use(session, case_id, body.reason, actor=actor, now=now))


@erasure.get(
    "/v1/retention",
    summary="Cases that were kept long enough",
    description="保存期間が満了し、予告の日に消去される自機関の支援ケースの一覧です(消去の早い順)。残すものは保全してください。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_retention(session: Transaction, actor: Caller, pages: Pages) -> Page[DueCase]:
    """Of the cases that the agency holds."""
    after = pages.begin(_place) or (date.min, UUID(int=0))
    found = await tables.find_noticed(session, actor.agency, after=after, limit=pages.one_more)
    return page(found, pages, key=lambda row: (row.erase_on.isoformat(), row.case_id), show=DueCase.model_validate)


def _place(day: str, case_id: str) -> tuple[date, UUID]:
    return date.fromisoformat(day), UUID(case_id)


def _shown(case_id: UUID, standing: Standing | Refused) -> ErasureState:
    if isinstance(standing, Refused):
        raise Problem(_REFUSALS[standing.reason])
    order, hold = standing.order, standing.hold
    return ErasureState(
        case_id=case_id,
        reason=order.reason if order else None,
        ordered_at=order.ordered_at if order else None,
        erased_at=order.erased_at if order else None,
        held=standing.held,
        hold_reason=hold.reason if hold and standing.held else None,
        use_stopped=standing.case.use_stopped,
    )
