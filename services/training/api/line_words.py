"""Words of the line: why no seat is offered, what puts somebody first, and what can't be done with a place."""

from typing import assert_never

from services.training.api.after_words import cant
from services.training.domain.line import LOST_A_SEAT, WAITED_LONGER, Bar, Criterion
from services.training.domain.line_place import WhyNot
from services.training.domain.offer_answers import OutOfReach
from services.training.domain.steps import Illegal, TooLate
from services.training.handlers.line import Stopped
from services.training.handlers.line_rules import Unrecordable
from shared.problems import Problem, ProblemType, illegal_move

WHY_NOT: dict[WhyNot, tuple[str, str]] = {
    WhyNot.APPLICATIONS_CLOSED: ("Applications are closed", "応募は締め切られています"),
    WhyNot.WAIT_ENDED: ("The moment to wait until has passed", "待つ期限を過ぎています"),
    WhyNot.PAUSED: (
        "The place is paused, or that of somebody to be seated together: resume it to be offered a seat",
        "本人(または一緒に申し込んだ方)が休止中です。再開すると案内されます",
    ),
    WhyNot.OVERLAPPING_SEAT: (
        "The person, or somebody to be seated together, has another seat at the same time",
        "本人(または一緒に申し込んだ方)に、期間の重なる別の席があります",
    ),
    WhyNot.NO_POOL_IN_FORCE: (
        "The decision that granted these seats is not in force, or they went back; nothing else is open to this person",
        "待っている枠の決定は効力がない(または枠が戻った)状態で、ほかに使える枠もありません",
    ),
    WhyNot.OWN_POOL_CLOSED: (
        "The decision that granted these seats is not in force, or they went back: the place counts in another line",
        "待っていた枠の決定は効力がない(または枠が戻った)ため、別の枠の列で待っています",
    ),
    WhyNot.NO_FREE_SEAT: ("No seat is free that this person may have", "この方が使える空席がありません"),
    WhyNot.KEPT_FOR_OTHERS: (
        "Seats are free, and kept for other municipalities or for a target group",
        "空席はありますが、ほかの市町村または優先枠の対象者のための席です",
    ),
    WhyNot.TOO_FEW_TOGETHER: (
        "Free seats are too few for all who want them together",
        "空席はありますが、一緒に受講する全員分はありません",
    ),
    WhyNot.OTHERS_BEFORE: ("Others come before", "先の順番の方がいます"),
    WhyNot.OFFER_DUE: ("A seat is about to be offered", "まもなく案内されます"),
}
CRITERIA: dict[str, tuple[str, str]] = {
    Criterion.OWN_LINE.value: ("Waits for the seats of this very pool", "その枠の列で待っている"),
    Criterion.TARGET_GROUP.value: ("Belongs to the pool's target group", "優先枠の対象者である"),
    Criterion.FEWEST_OFFERS.value: ("Was offered a seat less often", "案内を受けた回数が少ない"),
    Criterion.REFERRED.value: ("Comes by a referral", "つなぎ(紹介)による申込みである"),
    LOST_A_SEAT: ("Had a seat that a late change took", "日程変更・定員減などで席を失った"),
    WAITED_LONGER: ("Has waited longer", "先に申し込んでいる"),
}
BARS: dict[Bar, tuple[str, str]] = {
    Bar.PAUSED: ("Paused", "休止中"),
    Bar.OVERLAPPING: ("Has another seat at the same time", "期間の重なる別の席がある"),
    Bar.TOGETHER: ("Seats were too few for all who want them together", "一緒に受講する全員分の席がなかった"),
}
_CANT: dict[str, tuple[int, str, str, str, str]] = {
    "pause_out_of_reach": (
        422,
        "No seat could be offered from that day on",
        "その日からでは案内できません",
        "Choose a day after today on which the person still waits, or give the place back.",
        "明日以降で、待つ期限までの日を指定してください。待つのをやめる場合は返却してください。",
    ),
    "rule_begins_later": (
        422,
        "A rule holds from a later day",
        "規則は翌日以降から適用します",
        "Choose a day after today, and none before the day of the version recorded last.",
        "明日以降で、最後に記録された版の適用日以降の日を指定してください。",
    ),
    "decision_of_others": (
        422,
        "No sub-committee of this prefecture made that decision",
        "この都道府県の分科会の決定ではありません",
        "Name a decision of the prefecture that the rule is for, or leave it out.",
        "規則の対象となる都道府県の決定を指定するか、省いてください。",
    ),
    "criterion_twice": (
        422,
        "A criterion is named twice",
        "同じ基準が二度書かれています",
        "Name each criterion once.",
        "基準はそれぞれ一度だけ書いてください。",
    ),
}


def place_problem(outcome: Stopped) -> Problem:
    """Why something can't be done with a place or an offer, over HTTP."""
    match outcome:
        case Illegal(legal=legal):
            return illegal_move(legal)
        case TooLate():
            return cant(outcome)
        case OutOfReach():
            return _problem("pause_out_of_reach")
        case _:
            assert_never(outcome)


def rule_problem(outcome: Unrecordable) -> Problem:
    """Why a rule can't be recorded."""
    return _problem(outcome.reason, outcome.about)


def _problem(code: str, about: str = "not_before") -> Problem:
    status, title, title_ja, remedy, remedy_ja = _CANT[code]
    errors = [{"pointer": f"/{about}", "code": code}]
    return Problem(ProblemType(code, status, title, title_ja), detail=remedy, detail_ja=remedy_ja, errors=errors)
