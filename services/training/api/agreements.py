"""Municipalities lend, recall and swap seats (貸出し・返還請求・交換): proposed by one, answered by the other."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, Field

from services.training.domain.agreements import Agreement, AgreementKind, AgreementMove, AgreementState
from services.training.domain.refusals import Denied, NotNow
from services.training.handlers import agreements as handlers
from services.training.handlers.agreements import Part, Wanted
from services.training.tables.agreements import agreement_of
from shared.auth import Actor, Caller, Role, requires
from shared.codes import DayAsWritten, MunicipalityCode
from shared.problems import Problem, ProblemType, illegal_move
from shared.service import Body, Now, Page, Pages, Transaction, page, router
from shared.service.exports import Encoding, across, csv_answer

agreements = router(tag="seat-agreements")
_EITHER = requires(Role.COUNSELLOR, Role.PLACEMENT)
_READERS = requires(Role.COUNSELLOR, Role.PLACEMENT, Role.PLANNER)


class PartBody(Body):
    """Seats of one pool of a course run, until the end of a day."""

    pool_id: UUID
    seats: int = Field(ge=1, le=1000, examples=[2])
    until_on: DayAsWritten = Field(description="この日までに押さえられていない席は戻る", examples=["2027-01-10"])


class ProposeAgreement(PartBody):
    """To lend seats of a pool to another municipality; with `in_return`, to swap them."""

    proposed_for: MunicipalityCode = Field(
        description="提案する側の市町村。貸す側でも借りる側でも", examples=["462012"]
    )
    taker: MunicipalityCode = Field(description="借りる側の市町村", examples=["462187"])
    in_return: PartBody | None = Field(default=None, description="交換なら、引換えに渡す席(借りる側の枠)")
    answer_within: int = Field(default=3, ge=1, le=20, description="回答の期限(開庁日)", examples=[3])

    @property
    def wanted(self) -> Wanted:
        """As the handler has it."""
        back = self.in_return
        return Wanted(
            self.proposed_for,
            self.taker,
            Part(self.pool_id, self.seats, self.until_on),
            None if back is None else Part(back.pool_id, back.seats, back.until_on),
            self.answer_within,
        )


class NoMore(Body):
    """There is nothing to say with it."""


class LegView(BaseModel):
    """What one gives the other, and where it stands now."""

    pool_id: UUID = Field(description="From which pool.")
    course_run_id: UUID
    course_number: str
    title: str
    giver: str
    taker: str
    seats: int
    until_on: date
    decision_id: UUID = Field(description="Which decision granted the seats; they stay with it.")
    lent_pool_id: UUID | None = Field(description="Where the seats are once both agreed.")
    outstanding: int = Field(description="Seats that are still with the taker.")
    taken: int = Field(description="Of these, how many are held or filled: they stay until they come free.")


class AgreementView(BaseModel):
    """A proposal to lend or swap seats, and what became of it."""

    agreement_id: UUID
    kind: AgreementKind
    state: AgreementState
    proposed_by: str
    proposed_for: str
    asked: str = Field(description="Which municipality answers.")
    answer_before: datetime = Field(description="At this moment an unanswered proposal lapses.")
    legs: list[LegView]
    legal_moves: list[str] = Field(description="What the caller's side can do next.")
    version: int


def show(row: Mapping[str, Any], actor: Actor, now: datetime) -> AgreementView:
    """As one of the two sees it."""
    agreement = agreement_of(row)
    return AgreementView(
        agreement_id=agreement.id,
        kind=agreement.kind,
        state=agreement.state(now),
        proposed_by=agreement.proposed_by,
        proposed_for=agreement.proposed_for,
        asked=agreement.asked,
        answer_before=agreement.answer_before,
        legs=[LegView.model_validate(leg) for leg in row["legs"]],
        legal_moves=_own_moves(agreement, actor, now),
        version=agreement.version,
    )


def _own_moves(agreement: Agreement, actor: Actor, now: datetime) -> list[str]:
    return [step.move.value for step in agreement.next_steps(now) if actor.serves(agreement.who(step.by))]


_CANT: dict[str, tuple[str, str, str, str]] = {
    "not_between_two": (
        "Seats are lent from one municipality to another, and one of the two proposes it",
        "貸し借りは二つの市町村の間のもので、どちらか一方が提案します",
        "Name the lender or the borrower as who proposes.",
        "貸す側か借りる側の市町村を指定してください。",
    ),
    "not_theirs_to_lend": (
        "These seats are not that municipality's own",
        "その市町村だけに委ねられた席ではありません",
        "Choose a pool that a decision delegated to one municipality alone; what is lent is not lent on.",
        "決定で一つの市町村だけに委ねた枠を選んでください。借りた席をさらに貸すことはできません。",
    ),
    "taker_elsewhere": (
        "The borrower lies in another prefecture than the course",
        "借りる側の市町村が講座と別の都道府県にあります",
        "A decision lends within its own prefecture.",
        "同じ都道府県の市町村を指定してください。",
    ),
    "not_lendable": (
        "The decision does not let these seats be lent",
        "この配分は、決定で貸出しが認められていません",
        "Have the sub-committee allow it (lendable).",
        "分科会で貸出しを認める決定を受けてください。",
    ),
    "due_back_already": (
        "Their cut-off has passed, or their decision is over",
        "枠の戻る日を過ぎたか、決定が効力を失っています",
        "Choose seats that are still theirs.",
        "まだ効力のある枠を選んでください。",
    ),
    "lent_beyond_cut_off": (
        "Seats are lent from today on, at most until their cut-off",
        "貸出しは今日から、その枠の戻る日までです",
        "Choose a day in between; the last is named.",
        "その間の日を指定してください。",
    ),
    "more_than_free": (
        "More seats than are free",
        "空いている席より多く指定されています",
        "Lend fewer: what somebody holds or waits for is not lent.",
        "席数を減らしてください。押さえられている席は貸せません。",
    ),
}


def _met(outcome: Agreement | Denied | NotNow) -> UUID:
    if isinstance(outcome, NotNow):
        raise illegal_move(outcome.legal)
    if isinstance(outcome, Denied):
        title, title_ja, detail, detail_ja = _CANT[outcome.reason]
        errors = [{"pointer": f"/{outcome.about}", "code": outcome.reason, **each} for each in outcome.named or ({},)]
        kind = ProblemType(outcome.reason, 409, title, title_ja)
        raise Problem(kind, detail=detail, detail_ja=detail_ja, errors=errors)
    return outcome.id


@agreements.post(
    "/v1/seat-agreements",
    status_code=201,
    summary="Propose to lend or to swap seats",
    description="委ねる枠の空いた席の貸出し(または交換)を、貸す側か借りる側の市町村が提案します。"
    "相手が期限までに同意すると席が移ります。提案だけでは席は押さえられません。",
    dependencies=[_EITHER],
)
async def propose_agreement(body: ProposeAgreement, session: Transaction, now: Now, actor: Caller) -> AgreementView:
    """By one of the two; the other answers."""
    agreement_id = _met(await handlers.propose(session, body.wanted, actor=actor, now=now))
    return show(await handlers.get_agreement(session, agreement_id, actor), actor, now)


@agreements.get(
    "/v1/seat-agreements",
    summary="List agreements on seats",
    description="自分の市町村が貸す側・借りる側である貸借・交換の一覧です。",
    dependencies=[_READERS],
)
async def list_agreements(
    session: Transaction,
    now: Now,
    pages: Pages,
    actor: Caller,
    state: Annotated[AgreementState | None, Query(description="Those that stand so now; else all.")] = None,
) -> Page[AgreementView]:
    """As they were proposed."""
    found = await handlers.list_agreements(
        session, actor, state=state, now=now, after=pages.begin(UUID), limit=pages.one_more
    )
    return page(found, pages, key=lambda row: (row["id"],), show=lambda row: show(row, actor, now))


@agreements.get(
    "/v1/seat-agreements.csv",
    summary="Agreements on seats as CSV",
    description="枠の貸借・交換(CSV)。渡す席ごとに一行です。",
    dependencies=[_READERS],
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}},
)
async def export_agreements(
    session: Transaction,
    now: Now,
    actor: Caller,
    encoding: Annotated[Encoding, Query(description="文字コード: `cp932` か `utf-8`(BOM付き)")] = Encoding.CP932,
) -> Response:
    """A line for what each gives."""
    columns = handlers.agreements_layout(session)
    lines = await handlers.agreement_lines(session, actor, now=now)
    return csv_answer(columns.title, across(columns, lines), encoding)


@agreements.get(
    "/v1/seat-agreements/{agreement_id}",
    summary="Read an agreement on seats",
    description="貸借・交換の内容と状態、いま借りた側にある席数を返します。",
    dependencies=[_READERS],
)
async def get_agreement(agreement_id: UUID, session: Transaction, now: Now, actor: Caller) -> AgreementView:
    """404 for everybody but the two."""
    return show(await handlers.get_agreement(session, agreement_id, actor), actor, now)


async def _take(
    agreement_id: UUID, move: AgreementMove, session: Transaction, now: datetime, actor: Actor
) -> AgreementView:
    _met(await handlers.take(session, agreement_id, move, actor=actor, now=now))
    return show(await handlers.get_agreement(session, agreement_id, actor), actor, now)


@agreements.post(
    "/v1/seat-agreements/{agreement_id}/agree",
    summary="Agree to lend or to swap seats",
    description="提案された側の市町村が同意します。その時点で空いていれば席が移り、待っている人に案内されます。交換は両方か、なしです。",
    dependencies=[_EITHER],
)
async def agree_to_agreement(
    agreement_id: UUID, body: NoMore, session: Transaction, now: Now, actor: Caller
) -> AgreementView:
    """The seats move at once."""
    _ = body
    return await _take(agreement_id, AgreementMove.AGREE, session, now, actor)


@agreements.post(
    "/v1/seat-agreements/{agreement_id}/decline",
    summary="Decline to lend or to swap seats",
    description="提案された側の市町村が断ります。席は動きません。",
    dependencies=[_EITHER],
)
async def decline_agreement(
    agreement_id: UUID, body: NoMore, session: Transaction, now: Now, actor: Caller
) -> AgreementView:
    """Nothing moves."""
    _ = body
    return await _take(agreement_id, AgreementMove.DECLINE, session, now, actor)


@agreements.post(
    "/v1/seat-agreements/{agreement_id}/withdraw",
    summary="Withdraw a proposal",
    description="提案した市町村が、回答の前に取り下げます。",
    dependencies=[_EITHER],
)
async def withdraw_agreement(
    agreement_id: UUID, body: NoMore, session: Transaction, now: Now, actor: Caller
) -> AgreementView:
    """Before it is answered."""
    _ = body
    return await _take(agreement_id, AgreementMove.WITHDRAW, session, now, actor)


@agreements.post(
    "/v1/seat-agreements/{agreement_id}/recall",
    summary="Recall lent seats",
    description="貸した市町村が席の返還を求めます。押さえられていない席はすぐに、押さえられている席は空いたときに戻ります。",
    dependencies=[_EITHER],
)
async def recall_seats(
    agreement_id: UUID, body: NoMore, session: Transaction, now: Now, actor: Caller
) -> AgreementView:
    """Nobody loses a seat."""
    _ = body
    return await _take(agreement_id, AgreementMove.RECALL, session, now, actor)


@agreements.post(
    "/v1/seat-agreements/{agreement_id}/give-back",
    summary="Give borrowed seats back",
    description="借りた市町村が、期限の前に席を返します。押さえられている席は空いたときに戻ります。",
    dependencies=[_EITHER],
)
async def give_seats_back(
    agreement_id: UUID, body: NoMore, session: Transaction, now: Now, actor: Caller
) -> AgreementView:
    """Before they are due."""
    _ = body
    return await _take(agreement_id, AgreementMove.GIVE_BACK, session, now, actor)
