"""After the enrolment, over HTTP: attendance, the end of training, what came of it, and the record of it all."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.training.api.after_words import cant
from services.training.api.record import SeatRecord, shown
from services.training.api.seats import InItsName
from services.training.domain.attendance import Excuse, Month
from services.training.domain.outcomes import Checkpoint, End, Ending, Left, Outcome
from services.training.handlers import afterwards
from services.training.handlers.record import list_overdue
from shared.auth import Caller, Role, requires
from shared.service import Now, Page, Pages, Transaction, page, router

course_of_training = router(tag="training-records")
_READERS = requires(Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER)
_Days = Annotated[int, Field(ge=0, le=31)]
_Corrects = Annotated[UUID | None, Field(description="訂正する、いまの記録。前の記録は残ります。")]


class NewCertificate(InItsName):
    """A month as the school certifies it."""

    month: Annotated[str, StringConstraints(pattern=r"^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])$")] = Field(
        examples=["2027-04"]
    )
    days_held: _Days = Field(description="訓練実施日数", examples=[20])
    days_present: _Days = Field(description="出席日数", examples=[17])
    excused: dict[Excuse, _Days] = Field(
        default_factory=dict, description="やむを得ない欠席の日数(理由ごと)", examples=[{"illness": 2}]
    )
    days_to_come: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None, description="この月の後に予定している訓練日数。分かれば、80%に届かなくなった時に知らせます。"
    )
    corrects: _Corrects = None


class NewEnd(InItsName):
    """How training ended for the person."""

    ending: Ending = Field(examples=["completed"])
    ended_on: date = Field(examples=["2027-09-30"])
    reason: Left | None = Field(default=None, description="中途退校の理由")
    corrects: _Corrects = None


class NewOutcome(InItsName):
    """What the person does on one of the set days."""

    checkpoint: Checkpoint = Field(examples=["three_months"])
    outcome: Outcome = Field(examples=["employed_insured"])
    corrects: _Corrects = None


class OverdueOutcome(BaseModel):
    """A set day that has passed without a word."""

    model_config = ConfigDict(from_attributes=True)

    seat_request_id: UUID
    case_id: UUID
    course_run_id: UUID
    municipality: str
    provider: str = Field(validation_alias="provider_agency")
    checkpoint: Checkpoint
    due_on: date


@course_of_training.get(
    "/v1/seat-requests/{seat_request_id}/record",
    summary="Read everything on record about a request",
    description="選考結果・受講指示等・月ごとの出席・修了または中途退校・就職の状況を、だれがいつ記録したかとともに返します。"
    "訂正された記録も残っています。状態は記録から計算します。読んだことは、根拠とともに記録されます。"
    "欠席・退校の理由は、`reasons=true` のときだけ、記録した訓練実施機関・本人の自治体・公共職業安定所に返します。",
    dependencies=[_READERS],
)
async def get_seat_record(
    seat_request_id: UUID,
    session: Transaction,
    now: Now,
    actor: Caller,
    reasons: Annotated[bool, Query(description="欠席・退校の理由も読む")] = False,
) -> SeatRecord:
    """For the person's municipality, the course's school and Hello Work; for others with the person's consent."""
    return await shown(session, seat_request_id, actor, now, reasons=reasons)


@course_of_training.post(
    "/v1/seat-requests/{seat_request_id}/attendance-certificates",
    status_code=201,
    summary="Certify a month's attendance",
    description="訓練実施機関が月ごとの出席を証明します。やむを得ない欠席も出席には数えず、実施日の8割以上の出席かを日数で計算します。",
    dependencies=[requires(Role.PROVIDER)],
)
async def certify_attendance(
    seat_request_id: UUID, body: NewCertificate, session: Transaction, now: Now, actor: Caller
) -> SeatRecord:
    """One stands for each month; a correction names what it corrects."""
    month = date.fromisoformat(f"{body.month}-01")
    excused: dict[Excuse | None, int] = dict(body.excused.items())
    said = Month(month, body.days_held, body.days_present, excused, body.days_to_come)
    outcome = await afterwards.certify_attendance(
        session, seat_request_id, said, corrects=body.corrects, signature=body.signature, actor=actor, now=now
    )
    if outcome is not None:
        raise cant(outcome)
    return await shown(session, seat_request_id, actor, now)


@course_of_training.post(
    "/v1/seat-requests/{seat_request_id}/end-training",
    summary="Record a completion, or that somebody left",
    description="訓練実施機関が、修了または中途退校(理由つき)を記録します。",
    dependencies=[requires(Role.PROVIDER)],
)
async def end_training(
    seat_request_id: UUID, body: NewEnd, session: Transaction, now: Now, actor: Caller
) -> SeatRecord:
    """修了・中途退校."""
    said = End(body.ending, body.ended_on, body.reason)
    outcome = await afterwards.end_training(
        session, seat_request_id, said, corrects=body.corrects, signature=body.signature, actor=actor, now=now
    )
    if outcome is not None:
        raise cant(outcome)
    return await shown(session, seat_request_id, actor, now)


@course_of_training.post(
    "/v1/seat-requests/{seat_request_id}/employment-outcomes",
    status_code=201,
    summary="Record what became of the person",
    description="訓練の終了時・1か月後・3か月後の就職の状況を記録します。遅れても記録できます。",
    dependencies=[_READERS],
)
async def record_outcome(
    seat_request_id: UUID, body: NewOutcome, session: Transaction, now: Now, actor: Caller
) -> SeatRecord:
    """By the school, or by those who support the person."""
    outcome = await afterwards.record_outcome(
        session,
        seat_request_id,
        body.checkpoint,
        body.outcome,
        corrects=body.corrects,
        signature=body.signature,
        actor=actor,
        now=now,
    )
    if outcome is not None:
        raise cant(outcome)
    return await shown(session, seat_request_id, actor, now)


@course_of_training.get(
    "/v1/overdue-outcomes",
    summary="List employment outcomes that are overdue",
    description="期日を過ぎても就職の状況が記録されていない方の一覧です(自分の自治体、または自分の講座)。",
    dependencies=[_READERS],
)
async def list_overdue_outcomes(session: Transaction, now: Now, pages: Pages, actor: Caller) -> Page[OverdueOutcome]:
    """The longest overdue first."""
    after = pages.begin(lambda on, request_id, point: (date.fromisoformat(on), UUID(request_id), Checkpoint(point)))
    found = await list_overdue(session, actor, after=after, limit=pages.one_more, now=now)
    return page(
        found,
        pages,
        key=lambda row: (row.due_on, row.seat_request_id, row.checkpoint),
        show=OverdueOutcome.model_validate,
    )
