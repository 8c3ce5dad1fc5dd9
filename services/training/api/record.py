"""Everything on record about a request, with who said it and when, and the rule of 80 % with its numbers."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.api.shapes import SeatRequestView, seat_request_view
from services.training.domain import attendance
from services.training.domain.attendance import Excuse, Reckoned, Standing
from services.training.domain.instruction import LAWS, Benefit, Kind
from services.training.domain.outcomes import MONTHS_AFTER, Checkpoint, Ending, Left, Outcome, due_on
from services.training.domain.selection import Because, Result
from services.training.handlers.record import Record, read_record
from services.training.tables.training_facts import month_of
from shared.auth import Actor


class FactView(BaseModel):
    """A fact of its own: who said it, and when. What was corrected stays; `stands` says which one counts."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    agency: str
    legal_entity: str | None = Field(description="法人番号; empty for what was recorded before names were asked for.")
    notification_number: str | None = Field(description="届出・許可・認定・契約の番号")
    at: datetime
    stands: bool


class ResultView(FactView):
    """選考結果."""

    result: Result
    result_on: date
    rank: int | None
    reason: Because | None
    moved_up: bool = Field(description="繰上げ: somebody accepted withdrew.")


class InstructionView(BaseModel):
    """A paper of the request: which one, on which law, with which effect. The last one stands, unless cancelled."""

    id: UUID
    number: int = Field(description="The request's papers are numbered.")
    changes: UUID | None = Field(description="変更: whose place it took.")
    stands: bool
    kind: Kind
    legal_basis: str
    benefit: Benefit
    document_number: str | None
    agency: str
    legal_entity: str
    notification_number: str | None
    authority: str
    at: datetime
    cancelled_at: datetime | None
    cancelled_by: str | None
    cancelled_because: str | None


class ReckoningView(BaseModel):
    """The rule of 80 %, in whole days. An excused absence is no presence."""

    model_config = ConfigDict(from_attributes=True)

    held: int
    present: int
    excused: int
    unexcused: int = Field(description="Absent without a reason; what that means for an allowance, Hello Work says.")
    needed: int = Field(description="The least whole number of days that is 80 % of those held.")
    short_by: int
    meets: bool


class MonthView(FactView):
    """A month as the school certified it, with the rule for it."""

    month: str = Field(examples=["2027-04"])
    excused: dict[Excuse, int] | None = Field(description="やむを得ない欠席の理由(`reasons=true` のときだけ)")
    days_to_come: int | None
    reckoning: ReckoningView


class AttendanceView(BaseModel):
    """All months together."""

    standing: Standing
    so_far: ReckoningView
    months: list[MonthView]


class EndView(FactView):
    """修了・中途退校."""

    ending: Ending
    ended_on: date
    reason: Left | None = Field(description="中途退校の理由(就職のほかは `reasons=true` のときだけ)")


class OutcomeView(FactView):
    """What the person did on a set day."""

    checkpoint: Checkpoint
    outcome: Outcome


class DueView(BaseModel):
    """A set day, and whether anything is on record for it."""

    checkpoint: Checkpoint
    due_on: date
    recorded: bool


class SeatRecord(SeatRequestView):
    """A request with everything that followed from it."""

    results: list[ResultView]
    instruction: InstructionView | None = Field(description="The last of the papers.")
    papers: list[InstructionView]
    attendance: AttendanceView
    ends: list[EndView]
    outcomes: list[OutcomeView]
    outcomes_due: list[DueView]


async def shown(
    session: AsyncSession, seat_request_id: UUID, actor: Actor, now: datetime, *, reasons: bool = False
) -> SeatRecord:
    """As this caller may see it. What a POST answers is kept for its repeat, and so tells no reasons."""
    return show(await read_record(session, seat_request_id, actor, reasons=reasons, now=now))


def show(record: Record) -> SeatRecord:
    """The record with what is reckoned from it."""
    last = {row.month: row for row in record.months}
    papers = [_paper(row, stands=row is record.papers[-1] and row.cancelled_at is None) for row in record.papers]
    standing = [month_of(row) for row in last.values()]
    end = record.ends[-1] if record.ends else None
    recorded = {row.checkpoint for row in record.outcomes}
    due = [] if end is None else [(point, due_on(end.ended_on, point)) for point in MONTHS_AFTER]
    return SeatRecord.model_construct(
        **dict(seat_request_view(record.request, record.positions)),
        results=[ResultView.model_validate(fact) for fact in _facts(record.results, ())],
        instruction=papers[-1] if papers else None,
        papers=papers,
        attendance=AttendanceView(
            standing=attendance.standing(standing),
            so_far=_reckoning(attendance.reckon(standing)),
            months=[
                _month(fact, row, record.excused.get(row.id))
                for fact, row in zip(_facts(record.months, ("month",)), record.months, strict=True)
            ],
        ),
        ends=[_end(fact, told_why=record.told_why(fact["agency"])) for fact in _facts(record.ends, ())],
        outcomes=[OutcomeView.model_validate(fact) for fact in _facts(record.outcomes, ("checkpoint",))],
        outcomes_due=[DueView(checkpoint=point, due_on=day, recorded=point.value in recorded) for point, day in due],
    )


def _facts(rows: Sequence[Row[Any]], about: Iterable[str]) -> list[dict[str, Any]]:
    """The last row about the same thing stands."""
    about = tuple(about)
    keys = [tuple(getattr(row, name) for name in about) for row in rows]
    last = {key: row.id for key, row in zip(keys, rows, strict=True)}
    return [row._asdict() | {"stands": last[key] == row.id} for key, row in zip(keys, rows, strict=True)]


def _month(fact: dict[str, Any], row: Row[Any], excused: Mapping[str, int] | None) -> MonthView:
    reckoning = _reckoning(attendance.reckon([month_of(row)]))
    more = {"month": f"{row.month:%Y-%m}", "reckoning": reckoning, "excused": excused}
    return MonthView.model_validate(fact | more)


def _end(fact: dict[str, Any], *, told_why: bool) -> EndView:
    reason = fact["reason"] if told_why or fact["reason"] == Left.FOUND_WORK else None
    return EndView.model_validate(fact | {"reason": reason})


def _reckoning(reckoned: Reckoned) -> ReckoningView:
    return ReckoningView.model_validate(reckoned)


def _paper(row: Row[Any], *, stands: bool) -> InstructionView:
    law = LAWS[Kind(row.kind)]
    more = {"legal_basis": law.basis, "benefit": law.benefit, "stands": stands}
    return InstructionView.model_validate(row._asdict() | more)
