"""つなぎ: send and look at referrals; everything that waits. Moving them is in `moves`."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from pydantic import RootModel

from services.referral.api import answers
from services.referral.api.shapes import (
    NoPlaceBody,
    ReferralAnswer,
    ReferralWithSteps,
    RequestBody,
    SendBody,
    SendTogetherBody,
    TargetBody,
    TogetherAnswer,
)
from services.referral.api.unmet_needs import WaitingNeedAnswer, waiting_need
from services.referral.domain.moves import Referral
from services.referral.domain.states import State, Verb
from services.referral.handlers import looking, needs, places
from services.referral.handlers import referrals as handlers
from services.referral.handlers.places import NothingToPlace, NotYours
from services.referral.handlers.referrals import HoldsAlready, Order, Sent, SentTogether, Target
from shared.auth import Caller, Role, requires
from shared.problems import FORBIDDEN, ILLEGAL_MOVE, INVALID, Problem, invalid
from shared.service import Now, Page, Pages, Transaction, moment, page, router

referrals = router(tag="referrals")

READERS = (Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER)


@referrals.post(
    "/v1/referrals",
    status_code=201,
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Refer a case to a programme or a course",
    description=(
        "ケースを事業または訓練コースへつなぎます。相手が受諾するまで、送った機関が責任を持ちます。"
        "verb=refer は担当が残り、transfer は受諾で担当が移ります。transfer を送れるのは担当機関だけです。"
        "draft=true なら下書きとして残すだけです。"
    ),
)
async def send_referral(
    body: SendBody, response: Response, session: Transaction, now: Now, actor: Caller
) -> ReferralAnswer:
    """The sender stays responsible until somebody accepts."""
    target = target_of(body)
    if body.draft and body.instead_of is not None:
        raise invalid(
            "/instead_of", "not_with_a_draft", "Not kept with a draft; say so when it is sent", "下書きには残せません"
        )
    if body.hold_until is not None and (body.course_run_id is None or body.hold_until <= now or body.draft):
        raise Problem(
            INVALID,
            detail="hold_until is for a course run, lies in the future, and is not kept with a draft.",
            detail_ja="hold_until は訓練コースへのつなぎだけに、将来の日時で指定してください。下書きには残せません。",
        )
    order = Order(
        target,
        Verb(body.verb),
        body.hold_until,
        body.task_id,
        draft=body.draft,
        knowingly=body.knowingly,
        instead_of=body.instead_of,
    )
    outcome = await handlers.send_referral(session, case_id=body.case_id, order=order, actor=actor, now=now)
    if not isinstance(outcome, Sent):
        raise answers.refusal(outcome)
    # Relative, since the service doesn't know under which path it is mounted.
    response.headers["Location"] = f"referrals/{outcome.referral.id}"
    return answers.answer(outcome.referral, actor, response)


def target_of(body: TargetBody) -> Target:
    """Exactly one of the two."""
    if (body.programme_id is None) == (body.course_run_id is None):
        raise Problem(
            INVALID,
            detail="Give either programme_id or course_run_id.",
            detail_ja="programme_id か course_run_id のどちらか一つを指定してください。",
        )
    return Target(body.programme_id, body.course_run_id)


@referrals.post(
    "/v1/referral-groups",
    status_code=201,
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Refer a case to several receivers at once",
    description=(
        "一つのケースを複数の機関へまとめてつなぎます。mode=parts はそれぞれが役割を分担し、"
        "mode=first は最初に受諾した機関に決まり、ほかは自動で取り下げられます。"
        "一つでも送れないときは、何も送りません。"
    ),
)
async def send_together(body: SendTogetherBody, session: Transaction, now: Now, actor: Caller) -> TogetherAnswer:
    """All of them, or none."""
    orders = [Order(target_of(part), Verb(part.verb), knowingly=body.knowingly) for part in body.parts]
    outcome = await handlers.send_together(
        session, case_id=body.case_id, orders=orders, mode=body.mode, actor=actor, now=now
    )
    if not isinstance(outcome, SentTogether):
        raise answers.refusal(outcome)
    return TogetherAnswer(
        group_id=outcome.group.id,
        mode=outcome.group.mode,
        referrals=[answers.answer(each, actor) for each in outcome.referrals],
    )


@referrals.post(
    "/v1/referral-requests",
    status_code=201,
    dependencies=[requires(Role.COUNSELLOR, Role.PROVIDER)],
    summary="Ask the holder of a case for it",
    description=(
        "自分の機関の事業のために、担当機関へケースの引き受けを申し出ます。担当機関が承諾するまで何も開示されず、"
        "担当は移りません。承諾には、この機関への本人同意が必要です。"
    ),
)
async def request_case(
    body: RequestBody, response: Response, session: Transaction, now: Now, actor: Caller
) -> ReferralAnswer:
    """The holder answers it like any other referral."""
    outcome = await handlers.request_case(
        session, case_id=body.case_id, programme_id=body.programme_id, actor=actor, now=now
    )
    if isinstance(outcome, HoldsAlready):
        raise answers.holds_already()
    if not isinstance(outcome, Sent):
        raise answers.refusal(outcome)
    return answers.answer(outcome.referral, actor, response)


@referrals.get(
    "/v1/referrals",
    dependencies=[requires(*READERS)],
    summary="Referrals received, sent, to be reviewed, or to be seen",
    description=(
        "box=in は受け取った、box=out は送った、box=review は調整役として判断を待つ、"
        "box=taken_over は調整役として引き継ぎ、次の行き先を探しているか責任を持っているつなぎ。"
        "戻ってきたものは box=out&state=declined で。"
    ),
)
async def list_referrals(
    session: Transaction,
    actor: Caller,
    pages: Pages,
    now: Now,
    box: Annotated[
        looking.Box | None,
        Query(
            description="Received, sent, declined and to be reviewed, or taken over as coordinator; without it, all to"
            " be seen."
        ),
    ] = None,
    state: Annotated[State | None, Query(description="Only in this state.")] = None,
    case_id: Annotated[UUID | None, Query(description="Only of this case.")] = None,
    group_id: Annotated[UUID | None, Query(description="Only those that were sent together.")] = None,
) -> Page[ReferralAnswer]:
    """Newest first."""
    rows = await looking.list_referrals(
        session,
        actor,
        box=box,
        state=state,
        case_id=case_id,
        group_id=group_id,
        before=pages.begin(lambda sent_at, referral_id: (moment(sent_at), UUID(referral_id))),
        limit=pages.one_more,
    )
    links = await looking.links_of(session, rows, now)
    return page(
        rows,
        pages,
        key=lambda each: (each.sent_at, each.id),
        show=lambda each: answers.answer(each, actor, link=links.get(each.id)),
    )


class WaitingAnswer(RootModel[ReferralAnswer | WaitingNeedAnswer]):
    """A referral, or a need that nobody answers (it has an `unmet_need_id`); `waits` says for whom and until when."""


@referrals.get(
    "/v1/waiting",
    dependencies=[requires(*READERS)],
    summary="Everything that waits, for whom, since when, until when",
    description=(
        "返事・連絡・判断・次の行き先などを待っているつなぎと、応えられる支援がない課題を、期限の早い順に。"
        "mine=true は自分の機関がすることだけ。"
    ),
)
async def list_waiting(
    session: Transaction,
    actor: Caller,
    pages: Pages,
    now: Now,
    mine: Annotated[bool, Query(description="Only what waits for the own agency.")] = False,
) -> Page[WaitingAnswer]:
    """The earliest day first; what is late stands at the top."""
    after, limit = pages.begin(_place), pages.one_more
    found = await looking.list_waiting(session, actor, mine=mine, after=after, limit=limit)
    lacking = await needs.list_waiting(session, actor, mine=mine, after=after, limit=limit)
    links = await looking.links_of(session, found, now)
    readings = await looking.readings(session, {row.case_id for row in lacking}, actor.agency, now)

    def show(each: Any) -> WaitingAnswer:
        if isinstance(each, Referral):
            return WaitingAnswer(answers.answer(each, actor, link=links.get(each.id)))
        return WaitingAnswer(waiting_need(each, readings[each.case_id], actor.agency))

    return page(sorted([*found, *lacking], key=_key)[:limit], pages, key=_key, show=show)


def _place(due_on: str, id_: str) -> tuple[date, UUID]:
    return date.fromisoformat(due_on), UUID(id_)


def _key(waiting: Any) -> tuple[date, UUID]:
    """By the day; both lists come in that order, so that their earliest are the earliest of all."""
    if isinstance(waiting, Referral):
        assert waiting.waits is not None  # the list asks for that
        return waiting.waits.due_on, waiting.id
    return waiting.review_on, UUID(int=waiting.id.int)


@referrals.post(
    "/v1/referrals/{referral_id}/no-place",
    dependencies=[requires(Role.COUNSELLOR, Role.PROVIDER)],
    summary="Say why what was declined, not answered, or came to nothing goes no further",
    description=(
        "断りが確定した、返事のなかった、または何も始まらずに終わったつなぎについて、次へつながない理由を記録します。"
        "nothing_fits なら、応えられる支援がない課題として残ります。次へつなぐときは、新しいつなぎを送ってください。"
    ),
)
async def say_no_place(
    referral_id: UUID, body: NoPlaceBody, response: Response, session: Transaction, now: Now, actor: Caller
) -> ReferralAnswer:
    """By who holds it."""
    outcome = await places.say_no_place(session, referral_id, body.reason, actor=actor, now=now)
    match outcome:
        case NotYours():
            raise Problem(FORBIDDEN)
        case NothingToPlace():
            raise Problem(
                ILLEGAL_MOVE,
                detail="No place is looked for: it is open, was sent on, or somebody has said why not.",
                detail_ja="次の行き先を探しているつなぎではありません。",
            )
        case _:
            return answers.answer(outcome, actor, response)


@referrals.get(
    "/v1/referrals/{referral_id}",
    dependencies=[requires(*READERS)],
    summary="A referral with its steps",
    description="つなぎの今の状態とこれまでの経過。送った機関、受けた機関、その市町村の機関だけが見られます。",
)
async def get_referral(
    referral_id: UUID, response: Response, session: Transaction, now: Now, actor: Caller
) -> ReferralWithSteps:
    """Its ETag may be sent with the next move."""
    return answers.whole(await looking.get_referral(session, referral_id, actor, now), actor, response)
