"""The school's results, and a support instruction that is cancelled."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import Field

from services.training.api.after_words import cant
from services.training.api.record import SeatRecord, shown
from services.training.api.seats import InItsName
from services.training.domain.instruction import Signature
from services.training.domain.selection import Because, Result, Selection
from services.training.handlers import papers, selection
from shared.auth import Caller, Role, requires
from shared.codes import CorporateNumber
from shared.service import Body, Now, Transaction, router

results = router(tag="selection")


class NewResult(InItsName):
    """What the school says about the person."""

    result: Result = Field(description="選考中・合格・補欠・不合格", examples=["accepted"])
    result_on: date = Field(description="結果の日(選考中は予定日)", examples=["2027-03-20"])
    rank: int | None = Field(default=None, ge=1, le=1000, description="補欠の順位; 1 moves up first.")
    reason: Because | None = Field(default=None, description="不合格の理由")


class Cancellation(Body):
    """Why the support instruction is no longer needed, and in whose name."""

    reason: Literal["found_work", "left_training", "not_entitled", "other"] = Field(examples=["found_work"])
    legal_entity: CorporateNumber | None = Field(default=None, examples=["6000012070001"])


@results.post(
    "/v1/seat-requests/{seat_request_id}/select",
    summary="Give the school's result",
    description="訓練実施機関が選考結果を記録します。定員に達していなくても不合格にでき、その枠はその場で次の方に回ります。"
    "合格者が辞退すると、順位が先の補欠が繰り上がります。前の結果は残り、最後の結果が有効です。",
    dependencies=[requires(Role.PROVIDER)],
)
async def select(seat_request_id: UUID, body: NewResult, session: Transaction, now: Now, actor: Caller) -> SeatRecord:
    """選考, of somebody who was nominated."""
    said = Selection(body.result, body.result_on, body.rank, body.reason)
    outcome = await selection.select(session, seat_request_id, said, signature=body.signature, actor=actor, now=now)
    if outcome is not None:
        raise cant(outcome)
    return await shown(session, seat_request_id, actor, now)


@results.post(
    "/v1/seat-requests/{seat_request_id}/cancel-instruction",
    summary="Cancel a support instruction",
    description="必要のなくなった支援指示を、公共職業安定所が取り消します(求職者支援法12条)。受講中の方は続けられます。"
    "受講開始の前なら席は開講日まで残り、別のもの(受講推薦など)を出せます。",
    dependencies=[requires(Role.HELLO_WORK)],
)
async def cancel_instruction(
    seat_request_id: UUID, body: Cancellation, session: Transaction, now: Now, actor: Caller
) -> SeatRecord:
    """The paper stays on record."""
    signature = Signature(body.legal_entity)
    outcome = await papers.cancel_paper(
        session, seat_request_id, reason=body.reason, signature=signature, actor=actor, now=now
    )
    if outcome is not None:
        raise cant(outcome)
    return await shown(session, seat_request_id, actor, now)
