"""Seats: asked for, read, taken step by step up to an enrolment, given back."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal, assert_never
from uuid import UUID

from fastapi import Response
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.api.shapes import (
    Fact,
    SeatGrant,
    SeatRequestView,
    SeatRequestWithFacts,
    refusal,
    seat_grant,
    seat_request_view,
    stopped,
)
from services.training.domain.instruction import Kind, Signature
from services.training.domain.offer_answers import line_moves
from services.training.domain.papers import legal_moves
from services.training.domain.quota import Held, Refused, Repeated, Waitlisted
from services.training.domain.steps import Move, State
from services.training.domain.trial import Skip, step_of
from services.training.handlers import papers, places, reading, seats, steps
from services.training.handlers.papers import Paper
from services.training.handlers.target_groups import unknown_groups
from services.training.tables.facts import authority_in
from services.training.tables.seats import Claim, Placed
from shared.auth import Actor, Caller, Role, requires
from shared.bus.mailbox import Origin
from shared.codes import Code, CorporateNumber, FreeText
from shared.consent import ConsentLacking
from shared.problems import INVALID, Problem, case_not_known, consent_missing, invalid
from shared.service import Body, Now, Page, Pages, Together, Transaction, day_in_japan, gathered, page, router

requests = router(tag="seat-requests")
Number = Annotated[FreeText, StringConstraints(min_length=1, max_length=60)]


class TargetGroup(Body):
    """To which target group the municipality says that the person belongs, and how it knows."""

    target_group: Code = Field(description="GET /v1/target-groups にある符号", examples=["ice_age_generation"])
    basis: Literal["document_seen", "own_record", "person_said"] = Field(
        description="確かめ方: 書類・自治体の記録・本人の申告"
    )


class NewSeatRequest(Body):
    """For which case. Whose municipality's it is, training has heard from intake."""

    case_id: UUID = Field(examples=["01985b7e-6c1d-7a3e-9a54-3f1f4a8f0c11"])
    hold_until: AwareDatetime | None = Field(
        default=None, description="Hold the seat no longer than this.", examples=["2026-09-16T16:00:00+09:00"]
    )
    benefit_ends_on: date | None = Field(
        default=None,
        description="給付の終わる日: where the course is cancelled, only one that begins by then is offered instead.",
        examples=["2026-12-31"],
    )
    skips_steps_because: Skip | None = Field(
        default=None,
        description="職親の受入れで前の段階を飛ばす理由: 同様の就労経験・プランや会議の決定・職親の了解・本人の希望",
    )
    target_groups: list[TargetGroup] = Field(
        default_factory=list, max_length=5, description="優先枠の対象者にあたること(申し込む市町村が確かめたもの)"
    )


class SeatAnswer(BaseModel):
    """A seat is held, or the person stands in line. Neither is an acceptance."""

    seat_request_id: UUID
    outcome: Literal["held", "waiting"]
    state: State
    course_run_id: UUID
    pool_id: UUID
    pool_kind: str
    expires_at: AwareDatetime
    position: int | None
    version: int


class InItsName(Body):
    """In whose name it is done; left out, it is as registered for the caller's own agency."""

    legal_entity: CorporateNumber | None = Field(default=None, description="法人番号", examples=["7000012050002"])
    notification_number: Number | None = Field(default=None, description="届出・許可・認定・契約の番号")

    @property
    def signature(self) -> Signature:
        """As the handlers take it."""
        return Signature(self.legal_entity, self.notification_number)


class Nomination(Body):
    """In whose name the placement acts, or the desk where no work is paid."""

    legal_entity: CorporateNumber = Field(description="法人番号", examples=["8000020130001"])
    notification_number: Number | None = Field(
        default=None,
        description="届出・許可番号。無給の受入れを推薦する相談窓口は、契約の番号があれば書きます。",
        examples=["46-特-000001"],
    )


class Countersignature(Body):
    """In whose name; left out, it is as registered."""

    legal_entity: CorporateNumber | None = Field(default=None, examples=["6000012070001"])


class Instruction(Body):
    """In whose name, and which paper. A free job placement gives the number of its notification as well."""

    legal_entity: CorporateNumber = Field(examples=["6000012070001"])
    notification_number: Number | None = None
    kind: Kind = Field(default=Kind.INSTRUCTION, description="受講指示・支援指示・受講推薦")
    document_number: Number | None = Field(default=None, description="文書番号")
    changes: UUID | None = Field(
        default=None, description="変更する、いま有効な支援指示。前の支援指示は記録に残ります。"
    )


class Release(Body):
    """Why it is given back."""

    reason: Literal["withdrawn", "person_declined", "other"] = Field(examples=["person_declined"])


async def _request_seats(
    session: AsyncSession, course_run_id: UUID, orders: Sequence[seats.AgencyOrder], now: datetime
) -> list[Placed | Problem]:
    """For all who ask for seats of one course at the same time: in the minute before a deadline, many do."""
    strange = [bool(unknown_groups(session, (claim.target_group for claim in order.claims))) for order in orders]
    sound = [order for order, is_strange in zip(orders, strange, strict=True) if not is_strange]
    outcomes = iter(await seats.request_seats(session, course_run_id, sound, now=now))
    return [_no_such_group() if is_strange else _placed(next(outcomes)) for is_strange in strange]


def _placed(outcome: Placed | seats.Unmet) -> Placed | Problem:
    return outcome if isinstance(outcome, Placed) else _unmet(outcome)


def _no_such_group() -> Problem:
    return invalid(
        "target_groups",
        "unknown_target_group",
        "take a code of GET /v1/target-groups",
        "GET /v1/target-groups にある符号を指定してください",
    )


def _unmet(outcome: seats.Unmet) -> Problem:
    match outcome:
        case Refused(reason):
            return refusal(reason)
        case ConsentLacking(because):
            return consent_missing(because)
        case seats.Stranger():
            return case_not_known()
        case Repeated():
            raise AssertionError("only a referral can be repeated")
        case _:
            assert_never(outcome)


@requests.post(
    "/v1/course-runs/{course_run_id}/seat-requests",
    status_code=201,
    summary="Ask for a seat",
    description="訓練の枠を求めます。空きがあれば仮押さえ、なければ待ちの列に入ります。本人同意が要ります。同じ講座には一つのケースで一件だけです。",
    dependencies=[requires(Role.COUNSELLOR, Role.PLACEMENT)],
)
async def request_seat(
    course_run_id: UUID,
    body: NewSeatRequest,
    response: Response,
    actor: Caller,
    together: Annotated[Together[seats.AgencyOrder, Placed], gathered(_request_seats)],
) -> SeatAnswer:
    """Held, or in line; refused with a reason as the problem's code. 404 for a case that isn't the caller's."""
    order = order_of(body, actor, together.origin)
    placed = await together(course_run_id, order)
    response.headers["Location"] = f"../../seat-requests/{placed.request.id}"
    return _answer(placed)


def order_of(body: NewSeatRequest, actor: Actor, origin: Origin) -> seats.AgencyOrder:
    """What an agency asks for."""
    claims = {each.target_group: Claim(each.target_group, each.basis) for each in body.target_groups}
    return seats.AgencyOrder(
        body.case_id,
        actor,
        origin,
        body.hold_until,
        body.benefit_ends_on,
        claims=tuple(claims.values()),
        skip=body.skips_steps_because,
    )


def known_groups(session: AsyncSession, *bodies: NewSeatRequest) -> None:
    """Refuse a target group that is not in the list."""
    for body in bodies:
        if unknown_groups(session, [each.target_group for each in body.target_groups]):
            raise _no_such_group()


def unmet_together(outcomes: Sequence[Placed | seats.Unmet]) -> Problem:
    """Why nobody of those who want seats together has any: because of the first who can't ask."""
    unmet = [each for each in outcomes if not isinstance(each, Placed | Repeated)]
    return _unmet(unmet[0])


def _answer(placed: Placed) -> SeatAnswer:
    request, outcome = placed.request, placed.outcome
    return SeatAnswer(
        seat_request_id=request.id,
        outcome="held" if isinstance(outcome, Held) else "waiting",
        state=request.state,
        course_run_id=request.course_run_id,
        pool_id=outcome.pool.id,
        pool_kind=outcome.pool.kind,
        expires_at=outcome.expires_at,
        position=outcome.position if isinstance(outcome, Waitlisted) else None,
        version=request.version,
    )


READERS = requires(Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER)


@requests.get(
    "/v1/seat-requests",
    summary="List seat requests",
    description="自分の自治体の申込み(実施機関は自分の講座の申込み)の一覧です。",
    dependencies=[READERS],
)
async def list_seat_requests(
    session: Transaction,
    actor: Caller,
    pages: Pages,
    now: Now,
    case_id: UUID | None = None,
    course_run_id: UUID | None = None,
    state: State | None = None,
) -> Page[SeatRequestView]:
    """A page, in the order in which they came."""
    found = await reading.list_seat_requests(
        session,
        actor,
        case_id=case_id,
        course_run_id=course_run_id,
        state=state,
        after=pages.begin(UUID),
        limit=pages.one_more,
    )
    positions = await places.positions_of(session, found, now)
    return page(found, pages, key=lambda row: (row.id,), show=lambda row: seat_request_view(row, positions))


@requests.get(
    "/v1/seat-requests/{seat_request_id}",
    summary="Read a seat request with its facts",
    description="申込みの状態と、推薦・副署・受講指示・受講開始の記録を返します。",
    dependencies=[READERS],
)
async def get_seat_request(
    seat_request_id: UUID, session: Transaction, now: Now, actor: Caller
) -> SeatRequestWithFacts:
    """As it stands, with what can be done next."""
    return await with_facts(seat_request_id, session, now, actor)


@requests.post(
    "/v1/seat-requests/{seat_request_id}/nominate",
    summary="Nominate the person for the held seat",
    description="市町村の無料職業紹介が、仮押さえした枠に本人を推薦します。職親の受入れのうち無給の段階(見学・半日・一週間)は、相談窓口も推薦できます。",
    dependencies=[requires(Role.PLACEMENT, Role.COUNSELLOR)],
)
async def nominate(
    seat_request_id: UUID, body: Nomination, session: Transaction, now: Now, actor: Caller
) -> SeatRequestWithFacts:
    """推薦, before the hold runs out."""
    signature = Signature(body.legal_entity, body.notification_number)
    _go_on(await steps.take_step(session, seat_request_id, Move.NOMINATE, signature=signature, actor=actor, now=now))
    return await with_facts(seat_request_id, session, now, actor)


@requests.post(
    "/v1/seat-requests/{seat_request_id}/countersign",
    summary="Countersign a nomination",
    description="公共職業安定所が推薦に副署します(現行法の地域だけ)。",
    dependencies=[requires(Role.HELLO_WORK)],
)
async def countersign(
    seat_request_id: UUID,
    session: Transaction,
    now: Now,
    actor: Caller,
    body: Countersignature | None = None,
) -> SeatRequestWithFacts:
    """Hello Work's consent to the nomination."""
    signature = Signature(None if body is None else body.legal_entity)
    _go_on(await steps.take_step(session, seat_request_id, Move.COUNTERSIGN, signature=signature, actor=actor, now=now))
    return await with_facts(seat_request_id, session, now, actor)


@requests.post(
    "/v1/seat-requests/{seat_request_id}/instruct",
    summary="Issue the training instruction",
    description="受講指示を出します。現行法の地域では公共職業安定所、委ねた地域では市町村の無料職業紹介だけが出せます。"
    "支援指示と受講推薦(kind)は、どの地域でも公共職業安定所だけが出せます。支援指示は、新しい支援指示で変更できます(changes)。"
    "取り消した後は、別のもの(受講推薦など)を出せます。",
    dependencies=[requires(Role.HELLO_WORK, Role.PLACEMENT)],
)
async def instruct(
    seat_request_id: UUID, body: Instruction, session: Transaction, now: Now, actor: Caller
) -> SeatRequestWithFacts:
    """受講指示; from then on the seat no longer runs out."""
    if body.notification_number is None and Role.HELLO_WORK not in actor.roles:
        raise Problem(
            INVALID,
            detail="A free job placement gives the number of its notification.",
            detail_ja="無料職業紹介は届出番号を書いてください。",
        )
    signature = Signature(body.legal_entity, body.notification_number)
    paper = Paper(body.kind, body.document_number, body.changes)
    _go_on(await papers.issue_paper(session, seat_request_id, paper, signature=signature, actor=actor, now=now))
    return await with_facts(seat_request_id, session, now, actor)


@requests.post(
    "/v1/seat-requests/{seat_request_id}/enrol",
    summary="Enrol the person",
    description="訓練実施機関が受講開始を記録します。",
    dependencies=[requires(Role.PROVIDER)],
)
async def enrol(
    seat_request_id: UUID, session: Transaction, now: Now, actor: Caller, body: InItsName | None = None
) -> SeatRequestWithFacts:
    """受講開始: the held seat is filled."""
    signature = (body or InItsName()).signature
    _go_on(await steps.enrol(session, seat_request_id, signature=signature, actor=actor, now=now))
    return await with_facts(seat_request_id, session, now, actor)


@requests.post(
    "/v1/seat-requests/{seat_request_id}/release",
    summary="Give a seat or a place in line back",
    description="枠や順番を返します。空いた枠はその場で次の方に回ります。",
    dependencies=[requires(Role.COUNSELLOR, Role.PLACEMENT)],
)
async def release_seat(
    seat_request_id: UUID, body: Release, session: Transaction, now: Now, actor: Caller
) -> SeatRequestWithFacts:
    """Not after an enrolment."""
    _go_on(await seats.release_seat(session, seat_request_id, reason=body.reason, actor=actor, now=now))
    return await with_facts(seat_request_id, session, now, actor)


@requests.get(
    "/v1/seat-requests/{seat_request_id}/grant",
    summary="Which decision granted this seat",
    description="この席(または待っている枠)が、どの分科会の決定によるものかを返します。一般枠に決定はありません。",
    dependencies=[READERS],
)
async def get_seat_grant(seat_request_id: UUID, session: Transaction, now: Now, actor: Caller) -> SeatGrant:
    """A seat stays with the decision that it was granted by, also when that is superseded."""
    found, _ = await reading.get_seat_request(session, seat_request_id, actor)
    return seat_grant(await reading.get_grant(session, found.pool_id, now=now))


def _go_on(outcome: steps.Stopped | None) -> None:
    if outcome is not None:
        raise stopped(outcome)


async def with_facts(seat_request_id: UUID, session: AsyncSession, now: datetime, actor: Actor) -> SeatRequestWithFacts:
    """A request with its facts, and what may be done with it next."""
    found, facts = await reading.get_seat_request(session, seat_request_id, actor)
    view = seat_request_view(found, await places.positions_of(session, [found], now))
    series = await papers.series_of(session, seat_request_id)
    authority = await authority_in(session, view.municipality[:2], day_in_japan(now))
    paused = view.paused_until is not None and now < view.paused_until
    is_trial = step_of(found.system, found.field) is not None
    moves = line_moves(view.state, offered=view.offered, paused=paused, together=view.together_id is not None)
    return SeatRequestWithFacts.model_construct(
        **dict(view),
        authority=authority,
        legal_moves=[move.value for move in (*moves, *legal_moves(view.state, authority, series, is_trial=is_trial))],
        facts=[Fact.model_validate(fact) for fact in facts],
    )
