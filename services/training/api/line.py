"""The line: its rules, offers that are accepted or declined, pauses, and why somebody is offered a seat, or none."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Row

from services.training.api.courses import Prefecture
from services.training.api.line_words import BARS, CRITERIA, WHY_NOT, place_problem, rule_problem
from services.training.api.seats import READERS, NewSeatRequest, known_groups, order_of, unmet_together, with_facts
from services.training.api.shapes import SeatRequestWithFacts
from services.training.domain.line import Criterion
from services.training.domain.line_place import WhyNot
from services.training.domain.offer_answers import DeclinedBecause
from services.training.handlers import line as handlers
from services.training.handlers import reading, seats
from services.training.handlers.line import Offer
from services.training.handlers.line_rules import Unrecordable, record_line_rule
from services.training.handlers.motions import begin_of
from services.training.handlers.target_groups import target_groups
from services.training.tables.line import find_rule, list_rules
from services.training.tables.seats import Placed
from shared.auth import Caller, Role, requires
from shared.codes import FreeText
from shared.problems import FORBIDDEN, Problem
from shared.service import Body, Now, Page, Pages, Transaction, day_in_japan, page, router

places = router(tag="line")
line_rules = router(tag="line-rules")
_WRITERS = requires(Role.COUNSELLOR, Role.PLACEMENT)


class Decline(Body):
    """Why the offered seat is declined; with `not_before` the person goes on waiting, at the end of the line."""

    reason: DeclinedBecause = Field(description="断る理由", examples=["dates_do_not_fit"])
    not_before: date | None = Field(
        default=None,
        description="列の最後で待ち続ける場合、次の案内を受けられる最初の日。省くと列から離れます。",
        examples=["2026-12-10"],
    )


class Pause(Body):
    """Until when no seat is to be offered; the place stays."""

    not_before: date = Field(description="案内を受けられる最初の日", examples=["2026-12-10"])


@places.post(
    "/v1/seat-requests/{seat_request_id}/accept",
    summary="Accept an offered seat",
    description="待ちの列から案内された席を受け、通常の仮押さえにします。推薦すると、受けたことになります。",
    dependencies=[_WRITERS],
)
async def accept_offer(seat_request_id: UUID, session: Transaction, now: Now, actor: Caller) -> SeatRequestWithFacts:
    """Until the end of the offer's last working day."""
    _go_on(await handlers.accept_offer(session, seat_request_id, actor=actor, now=now))
    return await with_facts(seat_request_id, session, now, actor)


@places.post(
    "/v1/seat-requests/{seat_request_id}/decline",
    summary="Decline an offered seat",
    description="案内された席を断ります。席はその場で次の方に回ります。列の最後で待ち続けることもできます。",
    dependencies=[_WRITERS],
)
async def decline_offer(
    seat_request_id: UUID, body: Decline, session: Transaction, now: Now, actor: Caller
) -> SeatRequestWithFacts:
    """The seat goes on in the same moment."""
    not_before = None if body.not_before is None else begin_of(body.not_before)
    outcome = await handlers.decline_offer(
        session, seat_request_id, because=body.reason, not_before=not_before, actor=actor, now=now
    )
    _go_on(outcome)
    return await with_facts(seat_request_id, session, now, actor)


@places.post(
    "/v1/seat-requests/{seat_request_id}/pause",
    summary="Pause a place in line",
    description="順番を保ったまま、指定した日まで案内を受けないようにします。",
    dependencies=[_WRITERS],
)
async def pause_place(
    seat_request_id: UUID, body: Pause, session: Transaction, now: Now, actor: Caller
) -> SeatRequestWithFacts:
    """Passed over, and not overtaken for good."""
    until = begin_of(body.not_before)
    _go_on(await handlers.pause_place(session, seat_request_id, until=until, actor=actor, now=now))
    return await with_facts(seat_request_id, session, now, actor)


@places.post(
    "/v1/seat-requests/{seat_request_id}/resume",
    summary="Resume a paused place in line",
    description="休止を終えます。使える空席があれば、その場で案内されます。",
    dependencies=[_WRITERS],
)
async def resume_place(seat_request_id: UUID, session: Transaction, now: Now, actor: Caller) -> SeatRequestWithFacts:
    """Earlier than was said."""
    _go_on(await handlers.resume_place(session, seat_request_id, actor=actor, now=now))
    return await with_facts(seat_request_id, session, now, actor)


class SeatsTogether(Body):
    """Who want seats together, such as a parent and a grown-up child."""

    requests: list[NewSeatRequest] = Field(min_length=2, max_length=5)


@places.post(
    "/v1/course-runs/{course_run_id}/seat-requests-together",
    status_code=201,
    summary="Ask for seats together",
    description="2〜5人が一緒に受講する席を求めます。全員分の空きがあれば全員が仮押さえ、なければ全員が一組で待ちます。"
    "一人でも申し込めない場合は、誰も申し込みません。",
    dependencies=[_WRITERS],
)
async def request_seats_together(
    course_run_id: UUID, body: SeatsTogether, session: Transaction, now: Now, actor: Caller
) -> list[SeatRequestWithFacts]:
    """All are offered seats at once, or none of them."""
    known_groups(session, *body.requests)
    orders = [order_of(each, actor, session.info["origin"]) for each in body.requests]
    outcomes = await seats.request_seats(session, course_run_id, orders, together=True, now=now)
    placed = [each for each in outcomes if isinstance(each, Placed)]
    if len(placed) < len(outcomes):
        raise unmet_together(outcomes)
    return [await with_facts(each.request.id, session, now, actor) for each in placed]


@places.post(
    "/v1/seat-requests/{seat_request_id}/separate",
    summary="Take a seat alone too",
    description="一緒に待つのをやめ、一人でも案内を受けられるようにします。順番は申込みのときのままです。",
    dependencies=[_WRITERS],
)
async def separate(seat_request_id: UUID, session: Transaction, now: Now, actor: Caller) -> SeatRequestWithFacts:
    """The others still want theirs together."""
    _go_on(await handlers.separate(session, seat_request_id, actor=actor, now=now))
    return await with_facts(seat_request_id, session, now, actor)


def _go_on(outcome: handlers.Stopped | None) -> None:
    if outcome is not None:
        raise place_problem(outcome)


class TargetGroupView(BaseModel):
    """For whom seats of a course may be kept."""

    code: str
    ja: str
    en: str


@places.get(
    "/v1/target-groups",
    summary="For whom seats may be kept",
    description="優先枠の対象者の一覧です(自治体の一覧があればそれ)。",
    dependencies=[requires(*Role)],
)
async def list_target_groups(session: Transaction) -> list[TargetGroupView]:
    """The office's own list, or ours."""
    return [TargetGroupView(code=code, ja=ja, en=en) for code, (ja, en) in target_groups(session).items()]


# --- why ------------------------------------------------------------------------------------------------------------


class Said(BaseModel):
    """A code and its words; `count`: of how many it holds, where it counts people."""

    code: str
    ja: str
    en: str
    count: int | None = None


class OrderUsed(BaseModel):
    """The rule by which the line is ordered."""

    line_rule_id: UUID | None = Field(description="None: nobody decided another, so it is the order of asking.")
    prefecture: str | None
    version: int | None
    decided_by: str | None
    decision_id: UUID | None
    criteria: list[Said] = Field(description="One after the other; then who has waited longer.")


class PlaceExplained(BaseModel):
    """Where somebody stands in the line, and why no seat is offered. Of others it says no more than how many."""

    seat_request_id: UUID
    state: str
    pool_id: UUID | None = Field(description="In the line for whose seats: after a cut-off no longer the own pool's.")
    pool_kind: str | None
    position: int | None = Field(description="1 is next; reckoned from the line as it is. None: it doesn't wait.")
    before: list[Said] = Field(description="Who comes earlier, by what decides it; by count only.")
    reasons: list[Said]
    together: int = Field(description="How many want seats together, this one included.")
    paused_until: datetime | None
    rule: OrderUsed


@places.get(
    "/v1/seat-requests/{seat_request_id}/place",
    summary="Why no seat is offered",
    description="待ちの列での順番と、案内されない理由を返します。先の順番の方については人数だけが分かります。",
    dependencies=[READERS],
)
async def explain_place(seat_request_id: UUID, session: Transaction, now: Now, actor: Caller) -> PlaceExplained:
    """For whoever may read the request."""
    found, _ = await reading.get_seat_request(session, seat_request_id, actor)
    place = await handlers.explain_place(session, seat_request_id, found.course_run_id, now)
    standing, pool = place.standing, place.pool
    return PlaceExplained(
        seat_request_id=seat_request_id,
        state=found.state,
        pool_id=None if pool is None else pool.id,
        pool_kind=None if pool is None else pool.kind,
        position=None if standing is None else standing.position,
        before=[_said(code, CRITERIA, count) for code, count in (standing.before if standing else {}).items()],
        reasons=[_why(reason, standing.before) for reason in standing.reasons] if standing else [],
        together=place.together,
        paused_until=found.paused_until,
        rule=_order(place.rule, place.criteria),
    )


def _why(reason: WhyNot, before: Mapping[str, int]) -> Said:
    said = _said(reason, WHY_NOT)
    return said.model_copy(update={"count": sum(before.values())}) if reason is WhyNot.OTHERS_BEFORE else said


class OfferExplained(BaseModel):
    """An offer of a seat, and why it went to this person on that day."""

    number: int
    offered_at: datetime
    expires_at: datetime = Field(description="The end of its last working day, Japan's time, or of the wait.")
    pool_id: UUID
    pool_kind: str
    answer: str | None = Field(description="accepted, kept_waiting, left, lapsed; None while it is open.")
    answer_reason: str | None
    answered_at: datetime | None
    rule: OrderUsed
    ranks: list[int] = Field(description="What each criterion said of the person; less comes earlier.")
    lost_a_seat: bool = Field(description="A late change had taken a seat: such people come before every criterion.")
    counted_since: datetime = Field(description="Since when the place counted.")
    offered_before: int = Field(description="So many seats were offered to others before, in the same moment.")
    passed_over: list[Said] = Field(description="Who came before and could not have a seat: how many, and why.")
    behind: int
    same_again: bool = Field(description="The rule was asked again with what was known then, and answered the same.")


@places.get(
    "/v1/seat-requests/{seat_request_id}/offers",
    summary="Why a seat was offered",
    description="案内された席ごとに、そのときの規則の版・順番・飛ばした方の人数と理由を返し、同じ判断になるかをその場で確かめます。",
    dependencies=[READERS],
)
async def explain_offers(seat_request_id: UUID, session: Transaction, actor: Caller) -> list[OfferExplained]:
    """Each is decided anew on what is kept of that moment. Empty: no seat came out of the line."""
    await reading.get_seat_request(session, seat_request_id, actor)
    return [_offer(each) for each in await handlers.explain_offers(session, seat_request_id)]


def _offer(offer: Offer) -> OfferExplained:
    row, account = offer.row, offer.account
    return OfferExplained(
        number=row.number,
        offered_at=row.at,
        expires_at=row.expires_at,
        pool_id=row.pool_id,
        pool_kind=row.pool_kind,
        answer=row.answer,
        answer_reason=row.reason,
        answered_at=row.answered_at,
        rule=_order(offer.rule, [each.value for each in account.criteria]),
        ranks=list(account.ranks),
        lost_a_seat=account.lost_a_seat,
        counted_since=account.counted_since,
        offered_before=account.offered_before,
        passed_over=[_said(bar, BARS, count) for bar, count in account.passed_over.items()],
        behind=account.behind,
        same_again=account.same_again,
    )


def _said(code: Any, words: Mapping[Any, tuple[str, str]], count: int | None = None) -> Said:
    en, ja = words[code]
    return Said(code=str(code), ja=ja, en=en, count=count)


def _order(rule: Row[Any] | None, criteria: Sequence[str]) -> OrderUsed:
    return OrderUsed(
        line_rule_id=rule and rule.id,
        prefecture=rule and rule.prefecture,
        version=rule and rule.version,
        decided_by=rule and rule.decided_by,
        decision_id=rule and rule.decision_id,
        criteria=[_said(each, CRITERIA) for each in criteria],
    )


# --- rules ----------------------------------------------------------------------------------------------------------


class NewLineRule(Body):
    """By what the line is ordered, from which day, and who decided it."""

    prefecture: Prefecture | None = Field(
        default=None, description="省くと、独自の規則のない全都道府県", examples=["46"]
    )
    criteria: list[Criterion] = Field(
        max_length=len(Criterion),
        description="順に比べます。すべて同じなら先に申し込んだ方が先です。支援の段階や延長の有無は基準にできません。",
        examples=[["own_line", "fewest_offers"]],
    )
    effective_on: date = Field(description="適用日(翌日以降)", examples=["2027-04-01"])
    decided_by: Annotated[FreeText, StringConstraints(min_length=1, max_length=300)] = Field(
        examples=["鹿児島県地域職業能力開発促進協議会"]
    )
    decision_id: UUID | None = Field(default=None, description="根拠とする分科会の決定(同じ都道府県のもの)")


class LineRuleView(BaseModel):
    """One version of the line's order."""

    line_rule_id: UUID | None
    prefecture: str | None = Field(description="None: for every prefecture without a rule of its own.")
    version: int
    effective_on: date | None
    criteria: list[Said]
    decided_by: str | None
    decision_id: UUID | None
    recorded_by: str | None
    recorded_at: datetime | None
    in_force: bool = Field(description="Whether it is the newest that holds today, of its prefecture or of all.")


@line_rules.post(
    "/v1/line-rules",
    status_code=201,
    summary="Record the order of the line",
    description="待ちの順番の規則を、都道府県ごと(または全体)に版として記録します(追記のみ)。",
    dependencies=[requires(Role.PLANNER, Role.OPERATOR)],
)
async def record_rule(body: NewLineRule, session: Transaction, now: Now, actor: Caller) -> LineRuleView:
    """A planner for the own prefecture; for all of them the platform's operator."""
    own = body.prefecture is not None and Role.PLANNER in actor.roles and actor.serves(f"{body.prefecture}0000")
    if not own and (body.prefecture is not None or Role.OPERATOR not in actor.roles):
        raise Problem(
            FORBIDDEN,
            detail="Only for a prefecture that you serve; for all of them the operator records it.",
            detail_ja="担当する都道府県についてだけ記録できます。全体の規則は運用者が記録します。",
        )
    outcome = await record_line_rule(
        session,
        prefecture=body.prefecture,
        criteria=body.criteria,
        effective_on=body.effective_on,
        decided_by=body.decided_by,
        decision_id=body.decision_id,
        actor=actor,
        now=now,
    )
    if isinstance(outcome, Unrecordable):
        raise rule_problem(outcome)
    recorded = await find_rule(session, outcome.id)
    assert recorded is not None
    return _rule(recorded, in_force=False)


@line_rules.get(
    "/v1/line-rules",
    summary="List the rules of the line",
    description="待ちの順番の規則の一覧です。何も決められていなければ、申込みの順(その枠の列が先)です。",
    dependencies=[requires(*Role)],
)
async def list_line_rules(
    session: Transaction, now: Now, pages: Pages, prefecture: Annotated[Prefecture | None, Query()] = None
) -> Page[LineRuleView]:
    """As they were recorded."""
    today = day_in_japan(now)
    found = await list_rules(session, prefecture, today=today, after=pages.begin(UUID), limit=pages.one_more)
    return page(found, pages, key=lambda row: (row.id,), show=lambda row: _rule(row, in_force=row.in_force))


def _rule(row: Row[Any], *, in_force: bool) -> LineRuleView:
    return LineRuleView(
        line_rule_id=row.id,
        prefecture=row.prefecture,
        version=row.version,
        effective_on=row.effective_on,
        criteria=[_said(each, CRITERIA) for each in row.criteria],
        decided_by=row.decided_by,
        decision_id=row.decision_id,
        recorded_by=row.recorded_by,
        recorded_at=row.recorded_at,
        in_force=in_force,
    )
