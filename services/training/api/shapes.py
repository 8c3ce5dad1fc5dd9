"""What travels: answers about courses, seats and steps, and the words for what can't be done."""

from collections.abc import Mapping
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, Literal, assert_never
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, computed_field
from sqlalchemy import Row

from services.training.api.after_words import cant
from services.training.domain.instruction import AnothersName, Issuer, NotRegistered, NotYours
from services.training.domain.outcomes import Ending, Unfit
from services.training.domain.quota import Reason
from services.training.domain.selection import Result
from services.training.domain.status import facts_of, status_of
from services.training.domain.steps import Authority, Illegal, State, TooLate
from services.training.domain.trial import Skip
from services.training.handlers.steps import NotAccepted, Stopped
from shared.problems import FORBIDDEN, NOT_FOUND, Problem, ProblemType, illegal_move


class PoolView(BaseModel):
    """Seats for all, or delegated to a municipality or to several together (枠)."""

    pool_id: UUID
    kind: str
    municipality: str | None = Field(description="Whose alone they are.")
    municipalities: list[str] = Field(description="Whose they are; empty: for all.")
    target_groups: list[str] = Field(description="優先枠: for whom they are kept; empty: not by target group.")
    opens_at: datetime | None = Field(description="When what nobody of them claimed is open to all.")
    decision_allotment_id: UUID | None = Field(description="On which allotment of a decision (決定の配分) they rest.")
    in_force: bool = Field(description="False: taken seats stay as they are, and nobody else gets one.")
    source_pool_id: UUID | None = Field(description="From which pool they are lent (貸出し).")
    agreement_id: UUID | None = Field(description="On what agreement they are lent.")
    onward_step: int | None = Field(description="As whose, in the decision's order, they came at a cut-off.")
    granted: int
    held: int
    filled: int
    free: int
    waiting: int
    version: int


class CourseRun(BaseModel):
    """A course run (開講) with its pools."""

    model_config = ConfigDict(from_attributes=True)

    course_run_id: UUID = Field(validation_alias="id")
    course_number: str
    title: str
    provider: str = Field(validation_alias="provider_agency")
    prefecture: str
    site_municipality: str
    system: str
    field: str
    starts_on: date
    ends_on: date
    applications_close_at: datetime
    capacity: int
    min_enrolment: int | None = Field(description="最少開講人数: with fewer it may be cancelled.")
    cancel_decision_on: date | None = Field(description="中止決定日: the day on which that is decided.")
    cancelled_at: datetime | None = Field(description="中止: from then on it has no seats.")
    confirmed_at: datetime | None = Field(description="開講決定: it begins, however few applied.")
    hold_hours: int = Field(description="How long a seat is held; counts where `hold_days` says nothing.")
    hold_days: int | None = Field(description="How long a seat is held, in working days.")
    offer_days: int = Field(description="Working days in which a seat offered out of the line may be accepted.")
    host_workplace_id: UUID | None = Field(description="職親 of a trial place, as the directory knows it.")
    host_workplace_name: str | None
    from_time: time | None = Field(description="The hours of each day of a trial place.")
    until_time: time | None
    source: str
    checked_on: date = Field(description="確認日: when this entry was last compared with its source.")
    version: int
    free: int = Field(description="Free seats; in a list with `municipality`, those open to its people.")
    pools: list[PoolView]


class GrantingDecision(BaseModel):
    """The decision that granted seats (枠を委ねた決定), and where it stands now."""

    decision_id: UUID
    decision_allotment_id: UUID
    number: str = Field(examples=["46-2026-001"])
    title: str
    state: str
    allotted: int = Field(description="How many seats the allotment is, in all its pools together.")
    effective_at: datetime
    ends_at: datetime | None
    href: str = Field(examples=["/training/v1/decisions/01985b7e-6c1d-7a3e-9a54-3f1f4a8f0c11"])


class SeatGrant(BaseModel):
    """In which pool seats are, and which decision granted them."""

    pool_id: UUID
    course_run_id: UUID
    pool_kind: str
    municipalities: list[str]
    lent_by: str | None = Field(description="Which municipality lends them (貸出し); the decision is the one for it.")
    agreement_id: UUID | None
    onward_step: int | None = Field(description="As whose, in the decision's order, they came at a cut-off.")
    decision: GrantingDecision | None


def seat_grant(row: Row[Any]) -> SeatGrant:
    """A pool with its decision, out of their columns."""
    decision = None
    if row.decision_id is not None:
        decision = GrantingDecision(
            decision_id=row.decision_id,
            decision_allotment_id=row.decision_allotment_id,
            number=row.number,
            title=row.title,
            state=row.state,
            allotted=row.allotted,
            effective_at=row.effective_at,
            ends_at=row.ends_at,
            href=f"/training/v1/decisions/{row.decision_id}",
        )
    return SeatGrant(
        pool_id=row.pool_id,
        course_run_id=row.course_run_id,
        pool_kind=row.pool_kind,
        municipalities=row.municipalities,
        lent_by=row.lent_by,
        agreement_id=row.agreement_id,
        onward_step=row.onward_step,
        decision=decision,
    )


class PlaceInLine(BaseModel):
    """One place. Whose it is, is shown to the person's own municipality only."""

    pool_id: UUID
    pool_kind: str
    position: int
    since: datetime
    seat_request_id: UUID | None
    case_id: UUID | None


class Account(StrEnum):
    """Where a seat is in the ledger."""

    OUTSIDE = "outside"
    """Not offered: where a course run's capacity comes from, and goes back to."""
    RUN = "run"
    """Offered by the course run, and shared out to no pool."""
    FREE = "free"
    HELD = "held"
    FILLED = "filled"


class Balance(BaseModel):
    """What the entries of an account come to; all of a course run's accounts together come to nothing."""

    model_config = ConfigDict(from_attributes=True)

    account: Account
    pool_id: UUID | None
    seats: int = Field(description="Below zero only outside: so many seats came from there.")


class LedgerEntry(BaseModel):
    """One side of an entry of the ledger: seats that came into an account or, below zero, left it."""

    entry_id: int
    at: datetime
    kind: str
    seats: int
    by: str | None
    cause: str | None = Field(description="The event that led to it, if one did.")
    seat_request_id: UUID | None = Field(description="Whose seat; for the person's own municipality only.")


def ledger_entry(row: Row[Any], *, named: bool) -> LedgerEntry:
    """An entry as this caller may see it: with whose seat it moved, or without."""
    return LedgerEntry(
        entry_id=row.entry_id,
        at=row.at,
        kind=row.kind,
        seats=row.seats,
        by=row.by if named else None,
        cause=row.cause if named else None,
        seat_request_id=row.seat_request_id if named else None,
    )


class Fact(BaseModel):
    """A step that was taken: who did it, in whose name, on what authority."""

    model_config = ConfigDict(from_attributes=True)

    step: str
    agency: str
    legal_entity: str | None
    notification_number: str | None
    authority: str
    at: datetime
    id: UUID | None


class SeatRequestView(BaseModel):
    """A request for a seat, as it stands."""

    model_config = ConfigDict(from_attributes=True)

    seat_request_id: UUID = Field(validation_alias="id")
    course_run_id: UUID
    pool_id: UUID
    pool_kind: str
    case_id: UUID
    municipality: str
    referral_id: UUID | None
    requested_by: str
    state: State
    passed_over: Literal["overlapping_seat"] | None = Field(
        default=None, description="Why somebody who waits is offered no seat now: another one is at the same time."
    )
    position: int | None = Field(
        default=None,
        description="While waiting: the place in the line by the rule that holds; `place` says what decides.",
    )
    expires_at: datetime | None = Field(description="When the hold, or the wait, runs out; none once instructed.")
    requested_at: datetime
    released_reason: str | None
    offered: bool = Field(description="案内中: a seat out of the line, to be accepted or declined until it runs out.")
    paused_until: datetime | None = Field(description="休止: no seat is offered before then; the place stays.")
    skipped_because: Skip | None = Field(
        default=None, description="段階を飛ばす理由: why the steps before were not gone through, as said at asking."
    )
    together_id: UUID | None = Field(description="The same for those who wait for seats together.")
    result: Result | None = Field(description="選考結果: the school's last word.")
    ending: Ending | None = Field(description="修了・中途退校")
    version: int

    @computed_field(description="状態: reckoned from the facts. `state` says the same in the words of release 0.1.0.")
    def status(self) -> str:
        """By the table in `domain/status.py`."""
        return status_of(facts_of(self.state, self.result, self.ending))


class SeatRequestWithFacts(SeatRequestView):
    """A request with everything that followed from it, and what can be done next."""

    authority: Authority
    legal_moves: list[str]
    facts: list[Fact]


def seat_request_view(row: Row[Any], positions: Mapping[UUID, int]) -> SeatRequestView:
    """A request as it stands, with its place in the line."""
    return SeatRequestView.model_validate(row).model_copy(update={"position": positions.get(row.id)})


def place_in_line(row: Row[Any], position: int, *, named: bool) -> PlaceInLine:
    """A place as this caller may see it: with whose it is, or without."""
    return PlaceInLine(
        pool_id=row.pool_id,
        pool_kind=row.pool_kind,
        position=position,
        since=row.requested_at,
        seat_request_id=row.seat_request_id if named else None,
        case_id=row.case_id if named else None,
    )


_REFUSALS = {
    Reason.ALREADY_REQUESTED: ("The case has a request in this course already", "この講座にはすでに申込みがあります"),
    Reason.APPLICATIONS_CLOSED: ("Applications are closed", "応募は締め切られています"),
    Reason.HOLD_UNTIL_PASSED: ("The moment to hold until has passed", "仮押さえの期限がすでに過ぎています"),
    Reason.COURSE_CANCELLED: ("The course run is cancelled", "この講座は中止になりました"),
    Reason.OVERLAPPING_SEAT: (
        "The person holds another seat at the same time",
        "同じ期間の別の訓練の枠をすでに持っています",
    ),
    Reason.TOO_MANY_APPLICATIONS: (
        "The person has as many open applications as the region allows",
        "この地域で同時に申し込める件数に達しています",
    ),
    Reason.STEP_SKIPPED: (
        "The person has not completed the step before this one",
        "前の受入れ段階を終えた記録がありません",
    ),
    Reason.NO_SEATS_FOR_YOU: ("No seats are open to this municipality", "この自治体が使える枠がありません"),
}


_REMEDIES = {
    Reason.COURSE_CANCELLED: (
        "Look for another course run of the same field.",
        "同じ分野の別の講座を探してください。",
    ),
    Reason.OVERLAPPING_SEAT: (
        "Ask the person which one to keep, and give the other back first.",
        "どちらを受けるか本人に確かめ、もう一方を先に返してください。",
    ),
    Reason.TOO_MANY_APPLICATIONS: (
        "Give one of the open applications back first.",
        "申込みのどれかを先に取り下げてください。",
    ),
    Reason.STEP_SKIPPED: (
        "Ask for a place of the step before, or say why it is skipped (`skips_steps_because`).",
        "一つ前の段階に申し込むか、飛ばす理由(skips_steps_because)を添えてください。",
    ),
}


def refusal(reason: Reason) -> Problem:
    """Why no seat can be asked for, over HTTP."""
    if reason is Reason.NO_SUCH_COURSE:
        return Problem(NOT_FOUND)
    title, title_ja = _REFUSALS[reason]
    detail, detail_ja = _REMEDIES.get(reason, (None, None))
    return Problem(ProblemType(reason.value, 409, title, title_ja), detail=detail, detail_ja=detail_ja)


def stopped(outcome: Stopped) -> Problem:
    """Why a step can't be taken, over HTTP, and what can be done instead."""
    match outcome:
        case Illegal(legal=legal):
            return illegal_move(legal)
        case NotYours(authority=authority, issuer=issuer):
            who, who_ja = {
                Issuer.HELLO_WORK: ("Hello Work", "公共職業安定所"),
                Issuer.PLACEMENT: ("the municipality's free job placement", "市町村の無料職業紹介"),
            }[issuer]
            return Problem(
                FORBIDDEN,
                detail=f"Here only {who} may issue this ({authority}).",
                detail_ja=f"この地域でこれを出せるのは{who_ja}だけです。",
            )
        case TooLate() | NotRegistered() | AnothersName() | NotAccepted() | Unfit():
            return cant(outcome)
        case _:
            assert_never(outcome)
