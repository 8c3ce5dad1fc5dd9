"""Every 4xx and 5xx is a problem (RFC 9457), with pointers to what is wrong and never what was sent."""

import json
import re
from ast import literal_eval
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog
from anyio import BrokenResourceError
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException

from shared.codes import AGENCY_FORM, EMAIL_FORM, PHONE_FORM, POSTCODE_FORM
from shared.problems import INTERNAL, INVALID, MALFORMED, MEDIA_TYPE, UNSUPPORTED_MEDIA, Problem, problem_for_status
from shared.service.logs import where
from shared.service.places import names_at

_log = structlog.get_logger()

_WHOLE = ("A whole number is needed", "整数が必要です")
_YES_OR_NO = ("true or false is needed", "true か false が必要です")
_DAY = (
    "A day that there is in the calendar is needed, e.g. 2026-04-01",
    "暦にある日付が必要です(例: 2026-04-01)",
)
_MOMENT = (
    "A date and time is needed, e.g. 2026-04-01T09:00:00+09:00",
    "日時が必要です(例: 2026-04-01T09:00:00+09:00)",
)
_OBJECT = ("An object is needed", "項目の組({ … })が必要です")
_WORDS: dict[str, tuple[str, str]] = {
    "missing": ("This is needed", "必須です"),
    "extra_forbidden": ("There is no such field", "この項目はありません"),
    "personal_number": ("A number that may not be kept here was found", "ここに書いてはならない番号が含まれています"),
    "municipality_code": ("Not a local government code (six digits)", "全国地方公共団体コード(6桁)ではありません"),
    "corporate_number": ("Not a corporate number (13 digits)", "法人番号(13桁)ではありません"),
    "control_character": ("Control characters are not allowed", "制御文字は使えません"),
    "uuid_parsing": ("Not an id", "IDの形式ではありません"),
    "uuid_type": ("Not an id", "IDの形式ではありません"),
    "enum": ("Not one of the codes", "決められたコードではありません"),
    "literal_error": ("Not one of the codes", "決められたコードではありません"),
    "string_pattern_mismatch": ("Not in the expected form", "形式が違います"),
    "string_too_long": ("Too long", "長すぎます"),
    "string_too_short": ("Too short", "短すぎます"),
    "gaiji": (
        "A character that only some machines know (gaiji): write its standard form or its reading",
        "外字(一部の機械でしか読めない字)が含まれています。標準の字体か、よみで書いてください",
    ),
    "one_reason": (
        "Either an outcome or a reason of interruption, and exactly one of them",
        "達成したこと(outcome)か中断の理由(interruption)の、どちらか一つだけを書いてください",
    ),
    "not_among_topics": (
        "The most serious topic must be one of the topics",
        "最も深刻な相談内容は、相談内容の中から選んでください",
    ),
    "one_transfer_only": (
        "A case has one holder: only one of the parts may be a transfer, refer the others",
        "担当機関は一つです。transfer にできるのは一つだけで、ほかは refer で送ってください",
    ),
    "purposes_missing": (
        "Consent is given for a purpose: name at least one",
        "同意の目的(purposes)を一つ以上書いてください",
    ),
    "end_without_consent": (
        "Only consent that is given has a first and a last day",
        "期間(valid_from・valid_until)は、同意があるときだけ書けます",
    ),
    "ends_before_it_begins": (
        "The last day lies before the first one",
        "終わりの日(valid_until)が始まりの日(valid_from)より前です",
    ),
    "withdrawn_whole": (
        "Consent is withdrawn as a whole; for a part, record consent again for the rest",
        "撤回は同意の全体に対するものです。一部だけのときは、残りについての同意をあらためて記録してください",
    ),
    "receiver_without_hand_off": (
        "Only a hand-off has a receiver",
        "つなぎ先(receiver)は、結果が「つなぎ」(hand_off)のときだけ書けます",
    ),
    "nothing_to_find_by": (
        "Something to find somebody by is needed: name, reading, previous name, telephone or e-mail",
        "氏名、ふりがな、以前の氏名、電話番号、メールアドレスのどれかを書いてください",
    ),
    "known_by_a_case": (
        "With the answer `known` name your own case; with the others, none",
        "「知っている」(known)には自機関のケース(case_id)を書き、ほかの回答には書かないでください",
    ),
    "twice": ("The same entry stands there twice", "同じものが二度書かれています"),
    "zero_put_back": (
        "A leading zero was missing, as spreadsheets drop it, and was put back",
        "表計算ソフトで落ちた先頭の0を補いました",
    ),
    "follow_up_past": (
        "The day of the next call has gone by already",
        "次の連絡日が過ぎています",
    ),
    "not_in_vocabulary": ("Not a code of the directory's list", "名簿の用語一覧にないコードです"),
    "legal_basis": (
        "Not an act with its article, e.g. self_reliance_act_3, or ordinance, or own",
        "法律の略号と条(例: self_reliance_act_3)、ordinance、own のどれかで書いてください",
    ),
    "weekdays": ("Not weekdays, e.g. 土 日, or なし", "曜日(例: 土 日、ないときは「なし」)ではありません"),
    "opening_hours": ("Not hours, e.g. 月-金 08:30-17:15", "受付時間(例: 月-金 08:30-17:15)ではありません"),
    "trial_steps": ("Not trial places, e.g. 見学:3/1、一週間:2", "受入れ段階(例: 見学:3/1、一週間:2)ではありません"),
    "hour_of_the_day": ("Not an hour of the day, e.g. 09:00", "時刻(例: 09:00)ではありません"),
    "too_many_parts": ("More parts than there are in a line", "「|」で区切った項目が多すぎます"),
    "email_needed": (
        "Who is told by e-mail needs an e-mail address",
        "連絡方法が「メール」のときは、連絡先メールも書いてください",
    ),
    "ends_before_it_starts": ("The last day lies before the first one", "終わりの日が始まりの日より前です"),
    "more_free_than_all": ("More places free than there are", "空きの数が定員より多くなっています"),
    "free_without_room": (
        "Full, or with a waiting list, there is no place free",
        "「満員」「待機」のときは、空きの数は0か空欄にしてください",
    ),
    "room_without_free": (
        "With room, at least one place is free; leave the number out if it is not known",
        "「空きあり」のときは、空きの数は1以上か空欄にしてください",
    ),
    "certificate_missing": (
        "A certified firm has the day of its certificate and who gave it",
        "「認定」のときは、認定日と認定者コードを書いてください",
    ),
    "certificate_too_early": (
        "A firm that isn't certified yet has no certificate: leave its day and authority out",
        "認定の前は、認定日と認定者コードを空欄にしてください",
    ),
    "follow_up_missing": (
        "A firm on its way needs the day on which it is called next",
        "「関心あり」「申請中」のときは、次の連絡日を書いてください",
    ),
    "greater_than_equal": ("Too small", "小さすぎます"),
    "less_than_equal": ("Too large", "大きすぎます"),
    "empty": ("This must not be empty", "空にはできません"),
    "json_invalid": ("Not JSON", "JSONではありません"),
    "claim_path": (
        "Not a path to a claim, e.g. realm_access.roles",
        "クレームの場所の書き方ではありません(例 realm_access.roles)",
    ),
    "too_long": ("Too long, or too many", "長すぎるか、多すぎます"),
    "too_short": ("Too short, or too few", "短すぎるか、足りません"),
    "string_type": ("A text is needed", "文字で書いてください"),
    **dict.fromkeys(("list_type", "tuple_type"), ("A list is needed", "一覧([ … ])が必要です")),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), _OBJECT),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    "float_type": ("A number is needed", "数で書いてください"),
    **dict.fromkeys(("bool_type", "bool_parsing"), _YES_OR_NO),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"), _DAY),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), _MOMENT),
    "no_year_of_era": (
        "This era has no such year: check the era and the year",
        "その元号にその年はありません。元号と年を確かめてください",
    ),
    "day_out_of_reach": ("Not a day from 1900 to 2199", "1900年から2199年までの日付ではありません"),
    "timezone_aware": ("A date and time needs its offset, e.g. +09:00", "日時には時差(+09:00 など)が必要です"),
}
_LIMITS = {
    "expected": ("allowed: {}", "使えるもの: {}"),
    "max_length": ("at most {}", "{}まで"),
    "min_length": ("at least {}", "{}以上"),
    "nearest": ("did you mean {}?", "近いコード: {}"),
    "le": ("at most {}", "{}まで"),
    "ge": ("at least {}", "{}以上"),
}
"""What would be accepted, by pydantic's own name of it: ours, and never what was sent."""
_FORMS = {
    AGENCY_FORM: (
        "Not an agency's id: lower-case letters, digits and hyphens, as in the directory",
        "機関IDではありません。登録簿にある、英小文字・数字・ハイフンの名で書いてください",
    ),
    EMAIL_FORM: ("Not an e-mail address, e.g. a@example.jp", "メールアドレスの形ではありません(例: a@example.jp)"),
    PHONE_FORM: (
        "Not a telephone number: digits and hyphens, with the area code, e.g. 099-000-0000",
        "電話番号の形ではありません。市外局番から、数字とハイフンで書いてください(例: 099-000-0000)",
    ),
    POSTCODE_FORM: ("Not a postcode: seven digits, e.g. 890-0000", "郵便番号(7桁の数字、例: 890-0000)ではありません"),
}
"""What is meant by a pattern that no person can read."""
_OTHER = ("This value can't be accepted", "受け付けられない値です")


def answer_failures(app: FastAPI) -> None:
    """Register the three handlers that turn failures into problems."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(Exception, _bug)


def problem_response(problem: Problem, request: Request) -> Response:
    """The problem as an answer; `instance` is the request's id, for the support desk."""
    members = dict(problem.members)
    request_id = request.scope.get("state", {}).get("request_id")
    if request_id is not None:
        members["instance"] = f"urn:uuid:{request_id}"
    return Response(
        json.dumps(members, ensure_ascii=False).encode(),
        status_code=problem.status_code,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **(problem.headers or {})},
    )


def words_for(
    code: str, context: Mapping[str, Any] | None = None, code_words: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, str]:
    """What to tell people about a validation code, in English and Japanese; with what would be accepted, if known."""
    english, japanese = _FORMS.get((context or {}).get("pattern", ""), _WORDS.get(code, _OTHER))
    for name in _LIMITS.keys() & (context or {}).keys():
        value = (context or {})[name]
        said_ja = _in_words(str(value), code_words) if name == "expected" else value
        limit, limit_ja = _LIMITS[name][0].format(value), _LIMITS[name][1].format(said_ja)
        english, japanese = f"{english} ({limit})", f"{japanese}({limit_ja})"
    return english, japanese


_ONE = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+|True|False|None"""
_ALTERNATIVES = re.compile(rf"(?:{_ONE})(?:(?:, | or )(?:{_ONE}))*")
"""Pydantic's own sentence of what a field takes: 'a', 'b' or 'c'."""


def _in_words(expected: str, code_words: Mapping[str, str]) -> str:
    """Codes as a person calls them, with the code that a machine sends, where somebody has named them."""
    if _ALTERNATIVES.fullmatch(expected) is None:
        return expected  # our own list, which is no English sentence
    values = [literal_eval(one) for one in re.findall(_ONE, expected)]
    codes = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return "、".join(f"{code_words[code]}({code})" if code in code_words else code for code in codes)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = error if isinstance(error, Problem) else problem_for_status(error.status_code, error.headers)
    if problem.status_code == 405:
        problem.headers = {"Allow": ", ".join(_allowed(request))}
    return problem_response(problem, request)


def _allowed(request: Request) -> list[str]:
    """Every method that this path has; the router itself knows only the first route's."""
    allowed: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.methods and route.path_regex.match(get_route_path(request.scope)):
            allowed |= route.methods
    return sorted(allowed)


async def _bug(request: Request, error: Exception) -> Response:
    """Outside the routes that are transactions: health, streams, and the frame itself."""
    if not _is_hanging_up(error):
        _log.error("request_failed", error=type(error).__name__, where=where(error))
    return problem_response(Problem(INTERNAL), request)


def _is_hanging_up(error: BaseException) -> bool:
    """A listener to a stream went away while the next event was on its way to it: no fault of ours."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_hanging_up(part) for part in error.exceptions)
    return isinstance(error, BrokenResourceError)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if isinstance(error.body, bytes):  # FastAPI parses nothing that doesn't call itself JSON
        return problem_response(Problem(UNSUPPORTED_MEDIA), request)
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return problem_response(Problem(MALFORMED), request)
    names, words = _names(request.app), getattr(request.app.state, "code_words", {})
    return problem_response(
        Problem(INVALID, errors=[_pointed(_with_hint(item, request), names, words) for item in found[:20]]), request
    )


def _with_hint(item: Mapping[str, Any], request: Request) -> Mapping[str, Any]:
    """What was sent under a name that there is not, with the names that there are at its place."""
    route = request.scope.get("route")
    if item["type"] != "extra_forbidden" or item["loc"][0] != "body" or route is None:
        return item
    names = names_at(request.app.openapi(), route.name, item["loc"][1:-1])
    return {**item, "ctx": {"expected": ", ".join(names)}} if names else item


def _names(app: FastAPI) -> frozenset[str]:
    """Every name of a field or parameter in the app's own description; any other name is a caller's text."""
    if not hasattr(app.state, "names"):
        document = app.openapi()
        schemas = document["components"]["schemas"].values()
        operations = [operation for path in document.get("paths", {}).values() for operation in path.values()]
        app.state.names = frozenset(
            {name for schema in schemas for name in schema.get("properties", {})}
            | {parameter["name"].lower() for operation in operations for parameter in operation.get("parameters", [])}
        )
    names: frozenset[str] = app.state.names
    return names


def _pointed(item: Mapping[str, Any], names: frozenset[str], code_words: Mapping[str, str]) -> dict[str, str]:
    place, *path = item["loc"]
    if item["type"] == "extra_forbidden":
        path = path[:-1]  # the unknown name is the caller's own text, and may be anything
    parts = [str(part) if isinstance(part, int) or part in names or part.lower() in names else "*" for part in path]
    english, japanese = words_for(item["type"], item.get("ctx"), code_words)
    escaped = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
    return {
        "in": str(place),
        "pointer": escaped or "/",
        "code": item["type"],
        "message": english,
        "message_ja": japanese,
    }
