"""How a referral is shown, and how what can't be done with one is told."""

from dataclasses import asdict
from typing import Any, assert_never

from fastapi import Response

from services.referral.api.shapes import (
    OutcomeAnswer,
    ReferralAnswer,
    ReferralWithSteps,
    StepAnswer,
    ToldAnswer,
    WaitsAnswer,
)
from services.referral.domain.chain import NotRerouted
from services.referral.domain.clocks import leaves_a_need, reached
from services.referral.domain.links import LinkState
from services.referral.domain.moves import Referral, legal_moves
from services.referral.domain.states import Clock, State, Verb, Waits
from services.referral.handlers.looking import Whole
from services.referral.handlers.referrals import (
    AlreadyReferred,
    CaseIsClosed,
    DoesNotFit,
    NotSent,
    NotTheHolder,
    TargetNotKnown,
)
from shared.auth import Actor
from shared.consent import ConsentLacking
from shared.problems import CONSENT_MISSING, NOT_FOUND, Problem, ProblemType, consent_missing
from shared.service import etag

ALREADY_REFERRED = ProblemType(
    "already_referred", 409, "An open referral of this case is there", "同じつなぎ先へのつなぎがもうあります"
)
NOT_THE_HOLDER = ProblemType(
    "transfer_by_holder_only", 409, "Only its holder hands a case over", "ケースの担当を渡せるのは担当機関だけです"
)
HOLDER_HAS_CHANGED = ProblemType(
    "holder_has_changed", 409, "The case is held by another agency now", "このケースの担当は、いまは別の機関です"
)
CASE_CLOSED = ProblemType("case_has_ended", 409, "The case has ended", "このケースは終結しています")
DOES_NOT_FIT = ProblemType(
    "does_not_fit", 409, "Routing leaves this programme out", "この事業は、このケースのつなぎ先の候補になりません"
)
HOLDS_ALREADY = ProblemType(
    "holds_the_case_already", 409, "You hold this case", "このケースは、すでにご自分の機関の担当です"
)
REROUTING_ENDS = ProblemType("rerouting_ends", 409, "It can't be passed on there", "そこへは回せません")

_CLOSED = frozenset({State.DECLINED, State.WITHDRAWN, State.EXPIRED})
_CASE_IS_OVER = frozenset({"case_closed", "case_erased"})


def answer(
    referral: Referral, actor: Actor, response: Response | None = None, link: LinkState | None = None
) -> ReferralAnswer:
    """A referral, with what the caller may do next."""
    return ReferralAnswer(**_shown(referral, actor, response, link))


def whole(found: Whole, actor: Actor, response: Response) -> ReferralWithSteps:
    """The same with everything that happened to it."""
    return ReferralWithSteps(
        **_shown(found.referral, actor, response, found.link),
        steps=[StepAnswer(**row) for row in found.steps],
        outcomes=[
            OutcomeAnswer(number=row.number, outcome=row.outcome, by=row.by, at=row.at) for row in found.outcomes
        ],
        chain=[each.id for each in found.chain[:-1]],
        next_id=found.next_id,
        told=None if found.told is None else ToldAnswer(**asdict(found.told)),
    )


def _shown(
    referral: Referral, actor: Actor, response: Response | None, link: LinkState | None = None
) -> dict[str, Any]:
    if response is not None:
        response.headers["ETag"] = etag(referral.version)
    waits, parties = referral.waits, referral.parties(actor.agency)
    holds = actor.agency == referral.responsible_agency
    return {
        "referral_id": referral.id,
        **{name: getattr(referral, name) for name in _AS_THEY_ARE},
        "waits": None if waits is None else waiting(waits, link),
        "missing": list(referral.missing),
        "next_moves": [
            *dict.fromkeys(move.name for move in legal_moves(referral, parties)),
            *(
                ["no_place"]
                if waits is not None and waits.clock is Clock.PLACE and waits.agency == actor.agency
                else []
            ),
        ],
        "next_candidates": f"/v1/cases/{referral.case_id}/candidates" if holds and _is_looked_on(referral) else None,
    }


def _is_looked_on(referral: Referral) -> bool:
    """Whether candidates are asked for after it; for a case that is over, nobody would answer."""
    if leaves_a_need(referral):
        return referral.waits is not None
    return referral.state in _CLOSED and referral.reason not in _CASE_IS_OVER


def waiting(waits: Waits, link: LinkState | None = None) -> WaitsAnswer:
    """What is waited for, and how far silence has come."""
    return WaitsAnswer(
        clock=waits.clock,
        agency_id=waits.agency,
        since=waits.since,
        due_on=waits.due_on,
        tier=reached(waits),
        link=link,
    )


_AS_THEY_ARE = (
    "case_id",
    "municipality",
    "verb",
    "sender",
    "receiver",
    "coordinator",
    "programme_id",
    "course_run_id",
    "state",
    "responsible_agency",
    "progress",
    "reason",
    "outcome",
    "review_on",
    "proposed_programme_id",
    "proposed_course_run_id",
    "group_id",
    "rerouted_from",
    "sent_at",
    "version",
)


def refusal(outcome: NotSent | NotRerouted | NotTheHolder) -> Problem:
    """What stands against a referral, and what to do about it."""
    match outcome:
        case TargetNotKnown():
            return Problem(
                NOT_FOUND,
                detail="No such programme or course run is known here; take one from the candidates or the directory.",
                detail_ja="この事業・コースはここではまだ分かりません。候補または事業の一覧から選んでください。",
            )
        case ConsentLacking(because):
            return consent_missing(because)
        case AlreadyReferred(referral_id):
            return Problem(
                ALREADY_REFERRED,
                detail="Wait for the answer, withdraw that referral first, or send with `knowingly` (not to a course).",
                detail_ja="返事を待つか、そのつなぎを取り下げてください。承知のうえで送るときは knowingly を付けます"
                "(訓練コースを除く)。",
                errors=[{"referral_id": str(referral_id)}],
            )
        case CaseIsClosed():
            return Problem(
                CASE_CLOSED,
                detail="Reopen the case in intake first, or open a new one.",
                detail_ja="先に相談受付でケースを開き直すか、新しいケースを開いてください。",
            )
        case DoesNotFit(reasons):
            words = [_DOES_NOT_FIT[reason] for reason in reasons]
            return Problem(
                DOES_NOT_FIT,
                detail=f"{' '.join(english for english, _ in words)} Choose another, or send with `knowingly`.",
                detail_ja=f"{''.join(japanese for _, japanese in words)}"
                "ほかの事業を選ぶか、承知のうえで送るときは knowingly を付けてください。",
                errors=[{"code": reason} for reason in reasons],
            )
        case NotTheHolder(holder, Verb.TRANSFER):
            return Problem(
                NOT_THE_HOLDER,
                detail=f"{holder} holds this case. Send it with verb=refer (the holder stays), or ask {holder}.",
                detail_ja=f"このケースの担当は {holder} です。"
                f"verb=refer(担当は移らない)で送るか、{holder} に相談してください。",
                errors=[{"holder": holder}],
            )
        case NotTheHolder(holder, _):
            return Problem(
                HOLDER_HAS_CHANGED,
                detail="Only its holder gives a case. Decline the request; the agency asks the new holder.",
                detail_ja="ケースを渡せるのは担当機関だけです。申し出は断り、相手から新しい担当機関へ申し出てもらってください。",
                errors=[{"holder": holder}],
            )
        case NotRerouted(reason):
            detail, detail_ja = _NOT_REROUTED[reason]
            return Problem(REROUTING_ENDS, detail=detail, detail_ja=detail_ja, errors=[{"code": reason}])
        case _:
            assert_never(outcome)


def holds_already() -> Problem:
    """Asking is for who does not hold the case."""
    return Problem(
        HOLDS_ALREADY,
        detail="Nobody is to be asked for it. Refer it to your own programme with verb=refer instead.",
        detail_ja="申し出る相手はありません。自分の機関の事業へは、verb=refer のつなぎで送ってください。",
        errors=[{"pointer": "/case_id", "code": "held"}],
    )


_DOES_NOT_FIT = {
    "ended": ("Its period is over.", "この事業の実施期間は終わっています。"),
    "other_municipality": ("It serves other towns.", "この事業の対象地域は、このケースの市町村ではありません。"),
}


def consent_ran_out(because: str) -> Problem:
    """Who is asked can't record consent: the sender asks the person."""
    return Problem(
        CONSENT_MISSING,
        detail="The consent does not reach you any more, and so you can't take the person on. Give it back with"
        " missing=consent: the sender asks the person anew.",
        detail_ja="本人の同意がこの機関に及んでいないため、受諾できません(期限切れなど)。"
        "「同意の範囲」(missing=consent)を示して戻すと、送った機関が本人に改めて確認します。",
        errors=consent_missing(because).members["errors"],
    )


_NOT_REROUTED = {
    "in_the_chain": (
        "It has been there already: it would go in a circle. Decline it with a reason; the coordinator goes on.",
        "すでに通った機関です(たらい回しになります)。理由を付けて断ると、調整役が引き継ぎます。",
    ),
    "too_long": (
        "It was passed on often enough. Decline it with a reason; the coordinator sits down with the person.",
        "もう何度も回されています。理由を付けて断ると、調整役が本人と一緒に考えます。",
    ),
}
