"""つなぎ: send, look at and move referrals. What is legal stands in one table, `domain.MOVES`."""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Annotated, Any, Literal, assert_never
from uuid import UUID

from fastapi import Depends, Header, Query, Response
from sqlalchemy import Row

from services.referral.api.shapes import (
    DeclineBody,
    ReferralAnswer,
    ReferralWithSteps,
    SendBody,
    StepAnswer,
    WithdrawBody,
)
from services.referral.domain.moves import MOVES, Moved, NotMoved, Party, Referral, State, legal_moves
from services.referral.handlers import referrals as handlers
from services.referral.handlers.referrals import (
    AlreadyReferred,
    NotInvolved,
    Sent,
    Target,
    TargetNotKnown,
)
from shared.auth import Actor, Caller, Role, requires
from shared.consent import ConsentLacking
from shared.problems import FORBIDDEN, INVALID, NOT_FOUND, Problem, ProblemType, consent_missing, illegal_move
from shared.service import Now, Page, Pages, Transaction, etag, page, router
from shared.service.versions import if_match

referrals = router(tag="referrals")

ALREADY_REFERRED = ProblemType(
    "already_referred", 409, "An open referral of this case waits there", "同じつなぎ先への返事待ちのつなぎがあります"
)

_READERS = (Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER)
_RECEIVERS = (Role.COUNSELLOR, Role.PROVIDER)


async def read_version(
    if_match_: Annotated[
        str | None, Header(alias="If-Match", description="The ETag that was read; may be left out.")
    ] = None,
) -> int | None:
    """The version the caller read, if it says so: the state machine alone already lets only one of two accept."""
    return None if if_match_ is None else await if_match(if_match_)


ReadVersion = Annotated[int | None, Depends(read_version)]


def table_of(*names: str) -> str:
    """The lines of `domain.MOVES` for these moves, for people who read the interface."""
    lines = [
        f"{'・'.join(sorted(kind.value for kind in move.kinds))}: {move.by.value} may {move.name} from"
        f" {' or '.join(sorted(state.value for state in move.sources))} to {move.target.value}."
        for move in MOVES
        if move.name in names
    ]
    return " ".join(lines)


@referrals.post(
    "/v1/referrals",
    status_code=201,
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Refer a case to a programme or a course",
    description="ケースを事業または訓練コースへつなぎます。相手が受諾するまで、送った機関が責任を持ちます。",
)
async def send_referral(
    body: SendBody, response: Response, session: Transaction, now: Now, actor: Caller
) -> ReferralAnswer:
    """The sender stays responsible until somebody accepts."""
    _check(body, now)
    outcome = await handlers.send_referral(
        session,
        case_id=body.case_id,
        target=Target(body.programme_id, body.course_run_id),
        hold_until=body.hold_until,
        task_id=body.task_id,
        actor=actor,
        now=now,
    )
    match outcome:
        case Sent(referral):
            # Relative, since the service doesn't know under which path it is mounted.
            response.headers["Location"] = f"referrals/{referral.id}"
            return _answer(referral, actor, response)
        case TargetNotKnown():
            raise Problem(
                NOT_FOUND,
                detail="No such programme or course run is known here; take one from the candidates or the directory.",
                detail_ja="この事業・コースはここではまだ分かりません。候補または事業の一覧から選んでください。",
            )
        case ConsentLacking(because):
            raise consent_missing(because)
        case AlreadyReferred(referral_id):
            raise Problem(
                ALREADY_REFERRED,
                detail="Wait for the answer, or withdraw that referral first.",
                detail_ja="返事を待つか、先にそのつなぎを取り下げてください。",
                errors=[{"referral_id": str(referral_id)}],
            )
        case _:
            assert_never(outcome)


def _check(body: SendBody, now: datetime) -> None:
    if (body.programme_id is None) == (body.course_run_id is None):
        raise Problem(
            INVALID,
            detail="Give either programme_id or course_run_id.",
            detail_ja="programme_id か course_run_id のどちらか一つを指定してください。",
        )
    if body.hold_until is not None and (body.course_run_id is None or body.hold_until <= now):
        raise Problem(
            INVALID,
            detail="hold_until is for a course run, and lies in the future.",
            detail_ja="hold_until は訓練コースへのつなぎだけに、将来の日時で指定してください。",
        )


@referrals.get(
    "/v1/referrals",
    dependencies=[requires(*_READERS)],
    summary="Referrals received, sent, or to be seen",
    description="box=in は受け取った、box=out は送ったつなぎ。戻ってきたものは box=out&state=declined で。",
)
async def list_referrals(
    session: Transaction,
    actor: Caller,
    pages: Pages,
    box: Annotated[
        Literal["in", "out"] | None, Query(description="Received or sent; without it, all to be seen.")
    ] = None,
    state: Annotated[State | None, Query(description="Only in this state.")] = None,
    case_id: Annotated[UUID | None, Query(description="Only of this case.")] = None,
) -> Page[ReferralAnswer]:
    """Newest first."""
    rows = await handlers.list_referrals(
        session, actor, box=box, state=state, case_id=case_id, before=pages.begin(UUID), limit=pages.one_more
    )
    return page(rows, pages, key=lambda referral: (referral.id,), show=lambda referral: _answer(referral, actor))


@referrals.get(
    "/v1/referrals/{referral_id}",
    dependencies=[requires(*_READERS)],
    summary="A referral with its steps",
    description="つなぎの今の状態とこれまでの経過。送った機関、受けた機関、その市町村の機関だけが見られます。",
)
async def get_referral(referral_id: UUID, response: Response, session: Transaction, actor: Caller) -> ReferralWithSteps:
    """Its ETag may be sent with the next move."""
    referral, steps = await handlers.get_referral(session, referral_id, actor)
    answer = _answer(referral, actor, response)
    return ReferralWithSteps(**answer.model_dump(), steps=[_step(row) for row in steps])


async def without_reason() -> None:
    """It speaks for itself."""


async def why_declined(body: DeclineBody) -> str:
    """A decline without a reason helps nobody."""
    return body.reason.value


async def why_withdrawn(body: WithdrawBody | None = None) -> str:
    """Some reason always stands with it."""
    return (body or WithdrawBody()).reason.value


def _open(
    name: str,
    roles: Collection[Role],
    summary: str,
    description: str,
    reason: Callable[..., Awaitable[str | None]] = without_reason,
) -> None:
    """One of the moves as an endpoint: by whom, in which words, with which reason."""

    @referrals.post(
        f"/v1/referrals/{{referral_id}}/{name}",
        name=f"{name}_referral",
        dependencies=[requires(*roles)],
        summary=summary,
        description=f"{description}{table_of(name)}",
    )
    async def move_referral(
        referral_id: UUID,
        because: Annotated[str | None, Depends(reason)],
        read: ReadVersion,
        response: Response,
        session: Transaction,
        now: Now,
        actor: Caller,
    ) -> ReferralAnswer:
        outcome = await handlers.move_referral(
            session, referral_id, name, actor=actor, now=now, reason=because, read=read
        )
        match outcome:
            case Moved(referral, _):
                return _answer(referral, actor, response)
            case NotMoved(legal):
                raise illegal_move(move.name for move in legal)
            case NotInvolved():
                raise Problem(
                    FORBIDDEN,
                    detail="Only its sender and its receiver move a referral.",
                    detail_ja="つなぎを動かせるのは、送った機関と受けた機関だけです。",
                )
            case _:
                assert_never(outcome)


_open("receive", _RECEIVERS, "Say that it was seen", "受け取ったことを知らせます。責任はまだ送った機関にあります。")
_open("accept", _RECEIVERS, "Take responsibility", "受諾します。これで責任は受けた機関に移ります。")
_open(
    "decline",
    _RECEIVERS,
    "Give it back, with a reason",
    "理由を付けて戻します。送った機関が引き続き責任を持ち、次の候補を選べます。",
    why_declined,
)
_open("withdraw", [Role.COUNSELLOR], "Take it back", "受諾される前に取り下げます。", why_withdrawn)


def _answer(referral: Referral, actor: Actor, response: Response | None = None) -> ReferralAnswer:
    if response is not None:
        response.headers["ETag"] = etag(referral.version)
    closed = referral.state in {State.DECLINED, State.WITHDRAWN} and Party.SENDER in referral.parties(actor.agency)
    return ReferralAnswer(
        referral_id=referral.id,
        case_id=referral.case_id,
        municipality=referral.municipality,
        sender=referral.sender,
        receiver=referral.receiver,
        programme_id=referral.programme_id,
        course_run_id=referral.course_run_id,
        state=referral.state,
        responsible_agency=referral.responsible_agency,
        progress=referral.progress,
        reason=referral.reason,
        sent_at=referral.sent_at,
        version=referral.version,
        next_moves=[move.name for move in legal_moves(referral, referral.parties(actor.agency))],
        next_candidates=f"/v1/cases/{referral.case_id}/candidates" if closed else None,
    )


def _step(row: Row[Any]) -> StepAnswer:
    return StepAnswer(version=row.version, step=row.step, by=row.by, reason=row.reason, at=row.at)
