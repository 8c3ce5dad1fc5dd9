"""The moves of a referral, one endpoint each. What is legal stands in one table, `domain.moves.MOVES`."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, assert_never
from uuid import UUID

from fastapi import Depends, Header, Response

from services.referral.api import answers
from services.referral.api.answer_words import NAMES
from services.referral.api.referrals import target_of
from services.referral.api.shapes import (
    DeclineBody,
    OutcomeBody,
    ReferralAnswer,
    RerouteBody,
    ReturnBody,
    ReviewBody,
    SendDraftBody,
    WithdrawBody,
)
from services.referral.domain.chain import NotRerouted
from services.referral.domain.moves import MOVES, Move, Moved, NotMoved, Said
from services.referral.handlers.moving import NotInvolved, NotReached, move_referral
from services.referral.handlers.referrals import (
    AlreadyReferred,
    CaseIsClosed,
    DoesNotFit,
    NotTheHolder,
    Target,
    TargetNotKnown,
)
from shared.auth import Caller, Role, requires
from shared.consent import ConsentLacking
from shared.problems import FORBIDDEN, Problem, illegal_move, invalid
from shared.service import Now, Transaction, day_in_japan, router
from shared.service.versions import if_match

moves = router(tag="referrals")

_BOTH = (Role.COUNSELLOR, Role.PROVIDER)
_DESK = (Role.COUNSELLOR,)
_LONGEST_WAIT = timedelta(days=366)


async def read_version(
    if_match_: Annotated[
        str | None, Header(alias="If-Match", description="The ETag that was read; may be left out.")
    ] = None,
) -> int | None:
    """The version the caller read, if it says so: the state machine alone already lets only one of two accept."""
    return None if if_match_ is None else await if_match(if_match_)


ReadVersion = Annotated[int | None, Depends(read_version)]


@dataclass(frozen=True, slots=True)
class Words:
    """What came with a move."""

    said: Said
    target: Target | None = None
    knowingly: bool = False
    instead_of: UUID | None = None


def table_of(*names: str) -> str:
    """The lines of the table for these moves, for people who read the interface."""
    return " ".join(_in_words(move) for move in MOVES if move.name in names)


def _in_words(move: Move) -> str:
    verbs, kinds = ", ".join(sorted(move.verbs)), ", ".join(sorted(move.kinds))
    by = " or ".join(sorted(party.value for party in move.by))
    target = "where it stood" if move.target is None else move.target.value
    sources = " or ".join(sorted(move.sources))
    silent = " once it has taken it over" if move.once_taken_over else ""
    return f"{kinds} ({verbs}): {by} may {move.name} from {sources} to {target}{silent}."


async def nothing() -> Words:
    """It speaks for itself."""
    return Words(Said())


async def send_now(body: SendDraftBody | None = None) -> Words:
    """A draft, as it was written."""
    return Words(Said()) if body is None else Words(Said(), knowingly=body.knowingly, instead_of=body.instead_of)


async def why_declined(body: DeclineBody) -> Words:
    """A decline without a reason helps nobody."""
    return Words(Said(reason=body.reason.value))


async def why_withdrawn(body: WithdrawBody | None = None) -> Words:
    """Some reason always stands with it."""
    return Words(Said(reason=(body or WithdrawBody()).reason.value))


async def what_is_missing(body: ReturnBody) -> Words:
    """Codes; each once."""
    return Words(Said(missing=tuple(dict.fromkeys(each.value for each in body.missing))))


async def when(body: ReviewBody, now: Now) -> Words:
    """A day to come, within a year: what waits is looked at again."""
    today: date = day_in_japan(now)
    if not today < body.review_on <= today + _LONGEST_WAIT:
        raise invalid(
            "/review_on", "not_to_come", "A day to come, within a year", "明日から1年以内の日を指定してください"
        )
    return Words(Said(day=body.review_on))


async def what_came_of_it(body: OutcomeBody) -> Words:
    """A code."""
    return Words(Said(outcome=body.outcome.value))


async def where_to(body: RerouteBody) -> Words:
    """The better place."""
    return Words(Said(), target_of(body), knowingly=body.knowingly)


def _open(
    name: str,
    roles: Collection[Role],
    summary: str,
    description: str,
    words: Callable[..., Awaitable[Words]] = nothing,
) -> None:
    """One of the moves as an endpoint: by whom, in which words, and what comes with it."""

    @moves.post(
        f"/v1/referrals/{{referral_id}}/{name.replace('_', '-')}",
        name="send_draft" if name == "send" else f"{name}_referral",
        dependencies=[requires(*roles)],
        summary=summary,
        description=f"{description}{table_of(name)}",
    )
    async def make_move(
        referral_id: UUID,
        came_with: Annotated[Words, Depends(words)],
        read: ReadVersion,
        response: Response,
        session: Transaction,
        now: Now,
        actor: Caller,
    ) -> ReferralAnswer:
        outcome = await move_referral(
            session,
            referral_id,
            name,
            actor=actor,
            now=now,
            said=came_with.said,
            target=came_with.target,
            read=read,
            knowingly=came_with.knowingly,
            instead_of=came_with.instead_of,
        )
        match outcome:
            case Moved(referral, _):
                return answers.answer(referral, actor, response)
            case NotMoved(legal):
                raise illegal_move((move.name for move in legal), NAMES)
            case NotReached(because):
                raise answers.consent_ran_out(because)
            case NotInvolved():
                raise Problem(
                    FORBIDDEN,
                    detail="Only its sender, its receiver and its coordinator move a referral.",
                    detail_ja="つなぎを動かせるのは、送った機関、受けた機関と調整役だけです。",
                )
            case (
                TargetNotKnown()
                | AlreadyReferred()
                | ConsentLacking()
                | NotRerouted()
                | NotTheHolder()
                | CaseIsClosed()
                | DoesNotFit()
            ):
                raise answers.refusal(outcome)
            case _:
                assert_never(outcome)


_open("send", _DESK, "Send a draft", "下書きを送ります。同意と、同じ所への重複は、この時点で確かめます。", send_now)
_open("receive", _BOTH, "Say that it was seen", "受け取ったことを知らせます。責任はまだ送った機関にあります。")
_open("accept", _BOTH, "Take it on", "受諾します。transfer と request では、これで担当が受けた機関に移ります。")
_open(
    "decline",
    _BOTH,
    "Say that it can't be taken on, with a reason",
    "理由を付けて断ります。調整役が確かめるまで何も終わらず、送った機関が引き続き責任を持ちます。",
    why_declined,
)
_open(
    "return",
    _BOTH,
    "Give it back: not enough was told",
    "情報が足りないので戻します。何が要るかを符号で示します。",
    what_is_missing,
)
_open("answer", _DESK, "Send it again, with what was missing", "足りない情報を相談票に足したあと、もう一度送ります。")
_open(
    "wait",
    _BOTH,
    "Keep it until there is room",
    "今は空きがないので、見直し日を決めて待機にします。断ったことにはなりません。",
    when,
)
_open(
    "reroute",
    _BOTH,
    "Pass it to a better place",
    "より合う事業・コースへ回します。経過は残り、同じ所へは戻せません。",
    where_to,
)
_open("confirm_decline", _DESK, "Confirm a decline", "断りを確認します。以後は調整役が責任を持ち、次の候補を示します。")
_open(
    "overrule_forward",
    _DESK,
    "Overrule a decline: take it on",
    "断りを認めず、受諾とします。本人の断りには使えません。",
)
_open("overrule_back", _DESK, "Overrule a decline: answer again", "断りを認めず、受けた機関へ差し戻します。")
_open("withdraw", _BOTH, "Take it back", "受諾される前に取り下げます。", why_withdrawn)
_open("contact", _BOTH, "First contact was made", "本人と初めて連絡がつきました。")
_open("start", _BOTH, "The service has begun", "支援・利用が始まりました。")
_open("miss", _BOTH, "The person did not come", "約束の日に来られませんでした(来所なし)。")
_open("hold", _BOTH, "Put it on hold", "見直し日を決めて一時休止します。", when)
_open("resume", _BOTH, "Go on after a hold", "休止の前の状態から続けます。")
_open(
    "set_outcome",
    _BOTH,
    "Say what came of it",
    "結果を記録します。開始・就職・3か月後の定着は、それぞれ別の結果です。",
    what_came_of_it,
)
_open(
    "close",
    _BOTH,
    "End it",
    "結果を記録したうえで終えます。始まらなかった(not_started)・途中でやめた(broken_off)ときは、"
    "責任を持つ機関が次の行き先を探します。",
)
_open(
    "expire",
    _DESK,
    "End what was taken over, and look for the next place",
    "支援中に返事がなく引き継いだものを終え、次の行き先を探します。",
)
_open(
    "add_outcome",
    _BOTH,
    "Add what came of it later",
    "終えたあとに分かった結果(3か月後の定着など)を足します。",
    what_came_of_it,
)
