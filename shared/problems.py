"""Problems: requests that can't be met, as RFC 9457 problem details in Japanese and English.

A `Problem` is raised, rolls the transaction back and leaves no trace. A refusal that is an *outcome* (no seat free,
say) is not a problem: it is a value that the handler returns. Nothing that was sent is ever echoed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem: a stable code, its HTTP status, and what to tell people."""

    code: str
    status: int
    title: str
    title_ja: str

    @property
    def uri(self) -> str:
        """The stable `type` member."""
        return f"urn:tsunagu:problem:{self.code}"


class Problem(HTTPException):
    """Raise `Problem(NOT_FOUND)`; `detail` and `detail_ja` add what to do about it, never the value that was sent."""

    def __init__(
        self,
        kind: ProblemType,
        *,
        detail: str | None = None,
        detail_ja: str | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status_code=kind.status, detail=kind.code, headers=dict(headers or {}))
        self.kind = kind
        self.members: dict[str, Any] = {
            "type": kind.uri,
            "title": kind.title,
            "title_ja": kind.title_ja,
            "status": kind.status,
            "code": kind.code,
        }
        if detail is not None:
            self.members["detail"] = detail
        if detail_ja is not None:
            self.members["detail_ja"] = detail_ja
        if errors:
            self.members["errors"] = list(errors)


MALFORMED = ProblemType("malformed", 400, "The body is not strict JSON", "本文が正しいJSONではありません")
KEY_MISSING = ProblemType(
    "idempotency_key_missing", 400, "An Idempotency-Key header is needed", "Idempotency-Key ヘッダーが必要です"
)
KEY_INVALID = ProblemType(
    "idempotency_key_invalid", 400, "The Idempotency-Key is not usable", "Idempotency-Key の形式が正しくありません"
)
KEY_REUSED = ProblemType(
    "idempotency_key_reused",
    422,
    "This Idempotency-Key was used for another request",
    "この Idempotency-Key は別の内容の要求で使われています",
)
IN_PROGRESS = ProblemType(
    "request_in_progress", 409, "The same request is still running", "同じ要求を処理している途中です"
)
UNAUTHENTICATED = ProblemType("unauthenticated", 401, "A valid token is needed", "有効なトークンが必要です")
FORBIDDEN = ProblemType("forbidden", 403, "Your role does not allow this", "この操作の権限がありません")
NOT_FOUND = ProblemType("not_found", 404, "Not found", "見つかりません")
METHOD_NOT_ALLOWED = ProblemType("method_not_allowed", 405, "Method not allowed", "この方法では呼び出せません")
CONFLICT = ProblemType("conflict", 409, "This contradicts what is already recorded", "記録済みの内容と矛盾します")
ERASED = ProblemType("erased", 410, "What was known about this has been erased", "この情報は消去されました")
STALE = ProblemType(
    "stale", 412, "Somebody changed this in the meantime; load it again", "ほかの人が更新しました。読み直してください"
)
TOO_LARGE = ProblemType(
    "too_large", 413, "This is too large: send it in parts", "送られたデータが大きすぎます。分けて送ってください"
)
UNSUPPORTED_MEDIA = ProblemType(
    "unsupported_media_type", 415, "Send application/json", "application/json で送ってください"
)
INVALID = ProblemType("invalid", 422, "Some values can't be accepted", "受け付けられない値があります")
IF_MATCH_MISSING = ProblemType("if_match_missing", 428, "An If-Match header is needed", "If-Match ヘッダーが必要です")
CASE_NOT_KNOWN = ProblemType(
    "case_not_known", 404, "This case is not known here", "この支援ケースはここではまだ分かりません"
)
NO_BASIS = ProblemType(
    "no_basis",
    403,
    "There is no legal basis for this disclosure",
    "この開示には法的な根拠がありません。本人の同意を得るか、担当機関に尋ねてください",
)
CONSENT_MISSING = ProblemType(
    "consent_missing", 409, "The person's consent does not cover this", "この操作に必要な本人同意がありません"
)
ILLEGAL_MOVE = ProblemType("illegal_move", 409, "This can't be done from here", "いまの状態ではこの操作はできません")
INTERNAL = ProblemType("internal", 500, "Something went wrong here", "内部で問題が起きました")
UNAVAILABLE = ProblemType("unavailable", 503, "Try again shortly", "しばらくしてからもう一度お試しください")

_BY_STATUS = {
    kind.status: kind
    for kind in (
        MALFORMED,
        UNAUTHENTICATED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        CONFLICT,
        TOO_LARGE,
        UNSUPPORTED_MEDIA,
        INVALID,
        INTERNAL,
        UNAVAILABLE,
    )
}


def invalid(pointer: str, code: str, message: str, message_ja: str, *, place: str = "body") -> Problem:
    """One value that only the service itself can judge, told like those that its shape refuses."""
    error = {"in": place, "pointer": pointer, "code": code, "message": message, "message_ja": message_ja}
    return Problem(INVALID, errors=[error])


def case_not_known() -> Problem:
    """The same answer for a case that doesn't exist, isn't heard of yet, or is another municipality's."""
    return Problem(
        CASE_NOT_KNOWN,
        detail="A case opened just now arrives within seconds: try again. Otherwise check the id.",
        detail_ja="受け付けたばかりのケースは数秒で届きます。もう一度お試しください。続く場合はIDを確かめてください。",
    )


_CONSENT_HELP = {
    "not_given": (
        "Record the person's consent in intake first. Supporting them goes on without it.",
        "先に相談受付で本人同意を記録してください。同意がなくても相談・支援は続けられます。",
    ),
    "not_yet_valid": (
        "The consent begins on a later day. Wait for it, or ask the person whether it may begin today.",
        "同意の開始日がまだ来ていません。その日を待つか、今日から始めてよいか本人に確認してください。",
    ),
    "expired": (
        "The consent has run out. Ask the person again and record it in intake.",
        "同意の有効期限が過ぎています。本人に改めて確認し、相談受付で記録してください。",
    ),
    "other_purpose": (
        "The consent was given for other purposes. Ask for the purpose 'referral' (for a course also 'training').",
        "同意の目的に「つなぎ」(訓練の場合は「訓練」でも可)が含まれていません。本人に確認してください。",
    ),
    "not_named": (
        "The consent names other agencies. Ask the person whether this one may know, and record it in intake.",
        "同意の提供先にこの機関が含まれていません。本人に確認し、相談受付で記録してください。",
    ),
}


def consent_missing(because: str) -> Problem:
    """What the person's consent lacks (`shared.consent`), and what to do about it."""
    detail, detail_ja = _CONSENT_HELP[because]
    error = {"pointer": "/case_id", "code": because}
    return Problem(CONSENT_MISSING, detail=detail, detail_ja=detail_ja, errors=[error])


def illegal_move(legal: Iterable[str], words: Mapping[str, str] = MappingProxyType({})) -> Problem:
    """What can't be done with a record as it stands, and what can be done instead; `words`: Japanese for the codes."""
    moves = list(dict.fromkeys(legal))
    called = [words.get(move, move) for move in moves]
    return Problem(
        ILLEGAL_MOVE,
        detail=f"Possible now: {', '.join(moves)}." if moves else "There is nothing left for you to do here.",
        detail_ja=f"いまできる操作: {'、'.join(called)}" if moves else "いまできる操作はありません。",
        errors=[{"legal": move} for move in moves],
    )


def problem_for_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem for an answer that a library gave as a bare status."""
    known = _BY_STATUS.get(status)
    kind = known or ProblemType("refused", status, "The request can't be met", "要求を受け付けられません")
    return Problem(kind, headers=headers)
