"""Why something can't be said about selection, attendance, an end or a registration: the rule, and what to do."""

from typing import assert_never

from services.training.domain.attendance import Uncertifiable
from services.training.domain.instruction import AnothersName, NotRegistered
from services.training.domain.outcomes import Unfit
from services.training.domain.selection import Unselectable
from services.training.domain.steps import TooLate
from services.training.handlers.registrations import NotStanding
from services.training.handlers.steps import NotAccepted
from shared.problems import Problem, ProblemType

_CANT: dict[str, tuple[int, str, str, str, str]] = {
    "not_under_selection": (
        409,
        "Nobody has applied here, or the instruction is out",
        "選考の対象ではありません",
        "A result is given from the nomination to the instruction.",
        "選考結果を出せるのは、推薦の後、受講指示の前です。",
    ),
    "rank_of_a_reserve": (
        422,
        "A reserve, and nobody else, has a rank",
        "補欠にだけ順位があります",
        "Give a rank to a reserve, and leave it out otherwise.",
        "補欠には順位を書き、それ以外では省いてください。",
    ),
    "reason_of_a_rejection": (
        422,
        "A rejection, and nothing else, has a reason",
        "不合格にだけ理由があります",
        "Give the coded reason of a rejection, and leave it out otherwise.",
        "不合格には理由を選び、それ以外では省いてください。",
    ),
    "result_is_known": (
        409,
        "A result was given already",
        "選考結果はすでに出ています",
        "Correct it by another result: accepted, reserve or rejected.",
        "合格・補欠・不合格のいずれかで訂正してください。",
    ),
    "result_day_out_of_reach": (
        422,
        "The day does not fit the result",
        "結果の日が合いません",
        "A result is of today or earlier; under selection it is due from today to the first day of the course.",
        "結果の日は今日以前、選考中の場合の予定日は今日から開講日までとしてください。",
    ),
    "rank_is_taken": (
        409,
        "Another reserve has this rank",
        "この順位の補欠がすでにいます",
        "Give another rank, or change the other reserve first.",
        "別の順位にするか、先に相手の順位を変えてください。",
    ),
    "not_a_month": (
        422,
        "This is no month",
        "月の指定ではありません",
        "Write the month as YYYY-MM.",
        "月を YYYY-MM の形で書いてください。",
    ),
    "month_not_in_the_course": (
        422,
        "The month is not in the course",
        "この月は訓練期間に含まれません",
        "Certify months from the first day of the course to its last, or to the day of leaving.",
        "開講日から終了日(退校日)までの月について証明してください。",
    ),
    "month_is_not_over": (
        409,
        "The month is not over",
        "この月はまだ終わっていません",
        "Certify it from its last day of training on.",
        "その月の最後の日以降に証明してください。",
    ),
    "days_do_not_add_up": (
        422,
        "The days do not add up",
        "日数が合いません",
        "Days present and days excused together are at most the days held; none is below zero.",
        "出席日数と、やむを得ない欠席の日数の合計を、訓練実施日数以下にしてください。",
    ),
    "more_days_than_there_are": (
        422,
        "More days than there are",
        "日数が多すぎます",
        "Count at most the days of the course in this month, and after it.",
        "その月(以降)の訓練期間の日数以下にしてください。",
    ),
    "is_on_record": (
        409,
        "This is on record",
        "すでに記録されています",
        "To correct it, name the entry that stands in `corrects`.",
        "訂正する場合は、現在の記録を corrects で指定してください。",
    ),
    "not_the_one_that_stands": (
        409,
        "Another entry stands by now",
        "訂正しようとした記録は、いまの記録ではありません",
        "Read the record again, and correct what stands.",
        "記録を読み直し、現在の記録を訂正してください。",
    ),
    "reason_of_leaving": (
        422,
        "Leaving, and nothing else, has a reason",
        "中途退校にだけ理由があります",
        "Give the coded reason of leaving, and leave it out for a completion.",
        "中途退校には理由を選び、修了では省いてください。",
    ),
    "day_not_in_the_course": (
        422,
        "The day is not in the course",
        "この日は訓練期間に含まれません",
        "Choose a day from the first to the last day of the course.",
        "開講日から終了日までの日を指定してください。",
    ),
    "day_to_come": (
        409,
        "The day has not come",
        "その日はまだ来ていません",
        "Record it on that day or later.",
        "その日以降に記録してください。",
    ),
    "completed_on_the_last_day": (
        422,
        "Training is completed on its last day",
        "修了日は訓練の終了日です",
        "Who ended earlier has left: give the reason, such as work that was found.",
        "それより前に終わった場合は、中途退校として理由(就職など)を選んでください。",
    ),
    "attended_afterwards": (
        409,
        "Attendance is certified after this day",
        "この日より後の月の出席が証明されています",
        "Correct the certificates, or the day.",
        "出席の証明か、この日を訂正してください。",
    ),
    "training_has_not_ended": (
        409,
        "Training has not ended for this person",
        "訓練がまだ終わっていません",
        "The school records the completion or the leaving first.",
        "先に訓練実施機関が修了または中途退校を記録してください。",
    ),
    "nothing_to_change": (
        409,
        "There is no such support instruction to change",
        "変更できる支援指示ではありません",
        "Only the support instruction that stands can be changed, by another one, until training ends.",
        "変更できるのは、いま有効な支援指示だけです(新しい支援指示で、訓練が終わるまで)。",
    ),
    "nothing_to_cancel": (
        409,
        "There is no support instruction to cancel",
        "取り消せる支援指示がありません",
        "Only a support instruction that stands can be cancelled.",
        "取り消せるのは、有効な支援指示だけです。",
    ),
}
HOLD_EXPIRED = ProblemType("hold_expired", 409, "The hold ran out", "仮押さえの期限が過ぎました")
_NOT_REGISTERED = ProblemType(
    "not_registered",
    403,
    "The agency is not registered for this today",
    "この行為のための届出・許可が登録されていません",
)
_ANOTHERS_NAME = ProblemType(
    "anothers_name", 403, "The agency can't act in this name", "この名義・番号では行為できません"
)
_NOT_ACCEPTED = ProblemType(
    "not_accepted", 409, "The school has not accepted this person", "訓練実施機関の合格の結果がありません"
)
_NOT_STANDING = ProblemType(
    "registration_not_standing", 409, "This registration does not stand", "訂正できる登録ではありません"
)


def cant(
    outcome: Unselectable | Uncertifiable | Unfit | TooLate | NotRegistered | AnothersName | NotAccepted | NotStanding,
) -> Problem:
    """Why it can't be said, over HTTP."""
    match outcome:
        case Unselectable(reason, about) | Uncertifiable(reason, about) | Unfit(reason, about):
            status, title, title_ja, remedy, remedy_ja = _CANT[reason]
            errors = [{"pointer": f"/{about}", "code": reason}] if about else []
            kind = ProblemType(reason, status, title, title_ja)
            return Problem(kind, detail=remedy, detail_ja=remedy_ja, errors=errors)
        case TooLate():
            return Problem(
                HOLD_EXPIRED,
                detail="The seat goes to the next in line. Ask for a seat again.",
                detail_ja="枠は次の方に回ります。あらためて申し込んでください。",
            )
        case NotRegistered():
            return Problem(
                _NOT_REGISTERED,
                detail="The platform's operator registers the legal entity and its number, with the days they hold.",
                detail_ja="運用者に、法人番号と届出・許可番号、その有効期間の登録を依頼してください。",
            )
        case AnothersName():
            return Problem(
                _ANOTHERS_NAME,
                detail="Act in the legal entity's name and under the number that are registered for your own agency.",
                detail_ja="自機関について登録された法人番号と届出・許可番号で行ってください。名義は貸せません。",
                errors=[{"pointer": "/legal_entity", "code": "anothers_name"}],
            )
        case NotAccepted():
            return Problem(
                _NOT_ACCEPTED,
                detail="This school selects. Wait until it has accepted the person.",
                detail_ja="選考のある訓練です。合格の結果を待ってください。",
            )
        case NotStanding():
            return Problem(
                _NOT_STANDING,
                detail="Name a registration of the same agency that nothing has superseded.",
                detail_ja="同じ機関の、まだ訂正されていない登録を指定してください。",
                errors=[{"pointer": "/supersedes", "code": "registration_not_standing"}],
            )
        case _:
            assert_never(outcome)
