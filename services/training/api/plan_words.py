"""What is wrong with a plan or a move, in words: the rule, the line, the numbers, and what to do."""

from collections.abc import Sequence
from typing import Any

from services.training.domain.plan import Fault
from shared.problems import INVALID, Problem, ProblemType

NOT_MOVED = ProblemType(
    "seats_not_moved", 409, "The seats can't be moved so; nothing was moved", "この移動はできません。何も移していません"
)

_PLACES = {
    "partition_sum": "seats",
    "duplicate_key": "key",
    "unknown_parent": "parent",
    "needs_parent": "parent",
    "cycle": "parent",
    "mixed_frames": "kind",
    "percent_only_in_floors": "percent",
    "percent_out_of_range": "percent",
    "per_course_only_in_limits": "per_course",
    "minimum_lot_out_of_range": "minimum_lot",
    "no_such_quarter": "quarter",
    "quarter_outside_parent": "quarter",
    "system_outside_parent": "system",
    "field_outside_parent": "field",
    "target_group_outside_parent": "target_group",
    "municipalities_outside_parent": "municipalities",
    "municipality_outside_prefecture": "municipalities",
    **dict.fromkeys(
        (
            "seats_missing",
            "seats_out_of_range",
            "floor_says_nothing",
            "overlay_above_parent",
            "limit_above_parent",
            "limit_exceeded",
            "floor_above_parent",
            "floor_not_reached",
            "below_what_was_moved",
        ),
        "seats",
    ),
}
"""The field of a line that a fault is about; else the line as a whole."""

_WORDS = {
    "no_lines": ("A plan has at least one line", "枠を一つ以上書いてください"),
    "duplicate_key": (
        "{line}: {times} lines have this key; give each its own",
        "{line}: 同じキーの枠が{times}個あります。別のキーにしてください",
    ),
    "unknown_parent": (
        "{line}: its parent is none of the plan's lines",
        "{line}: 親の枠がこの計画にありません",
    ),
    "needs_parent": (
        "{line}: an overlay or a floor needs a parent in which it counts",
        "{line}: 内数・下限には、どの枠の中かを示す親が必要です",
    ),
    "cycle": ("{line}: its parents go in a circle", "{line}: 親をたどると自分に戻ります"),
    "too_deep": ("{line}: at most {most} levels", "{line}: 階層は{most}段までです"),
    "mixed_frames": (
        "{line}: a {kind} can't stand inside the {parent_kind} {parent}; its seats would count twice",
        "{line}: {parent}({parent_kind})の中に {kind} は置けません。二重に数えることになります",
    ),
    "seats_missing": ("{line}: say how many seats", "{line}: 人数を書いてください"),
    "seats_out_of_range": ("{line}: from 0 to {most} seats", "{line}: 人数は0から{most}までです"),
    "plan_out_of_range": (
        "{seats} seats in all; at most {most}",
        "合計{seats}人です。計画全体では{most}人までです",
    ),
    "floor_says_nothing": (
        "{line}: a floor is a percentage, a number, or the greater of both",
        "{line}: 下限には割合か人数(両方なら多いほう)を書いてください",
    ),
    "percent_only_in_floors": ("{line}: only a floor has a percentage", "{line}: 割合は下限にだけ書けます"),
    "percent_out_of_range": (
        "{line}: a percentage above 0 and up to 100, with two decimals at most",
        "{line}: 割合は0より大きく100以下、小数は第二位までです",
    ),
    "per_course_only_in_limits": (
        "{line}: only an upper limit can hold for every single course",
        "{line}: 一コースごとの指定は上限にだけ書けます",
    ),
    "minimum_lot_out_of_range": ("{line}: a lot of 1 to 1000", "{line}: 最小単位は1から1000までです"),
    "no_such_quarter": ("{line}: quarters are 1 to 4, or none", "{line}: 四半期は1から4、または書きません"),
    "municipality_outside_prefecture": (
        "{line}: {municipality} lies in another prefecture",
        "{line}: {municipality} は別の都道府県です",
    ),
    "quarter_outside_parent": (
        "{line}: quarter {line_has}, but its parent {parent} is of quarter {parent_has}",
        "{line}: 第{line_has}四半期ですが、親の {parent} は第{parent_has}四半期です",
    ),
    "system_outside_parent": (
        "{line}: {line_has}, but its parent {parent} is for {parent_has}",
        "{line}: 訓練種別 {line_has} は、親の {parent}({parent_has})に入りません",
    ),
    "field_outside_parent": (
        "{line}: {line_has}, but its parent {parent} is for {parent_has}",
        "{line}: 分野 {line_has} は、親の {parent}({parent_has})に入りません",
    ),
    "target_group_outside_parent": (
        "{line}: {line_has}, but its parent {parent} is for {parent_has}",
        "{line}: 対象者 {line_has} は、親の {parent}({parent_has})に入りません",
    ),
    "municipalities_outside_parent": (
        "{line}: {municipality} is not in the area of its parent {parent}",
        "{line}: {municipality} は親の {parent} の地域に入りません",
    ),
    "same_frame_twice": (
        "{line}: for the same as {other}; put them together, or say what is different",
        "{line}: {other} と同じ内容の枠です。一つにまとめるか、違いを書いてください",
    ),
    "partition_sum": (
        "{line}: {parent_seats} seats, but its parts sum to {parts_seats}",
        "{line}: {parent_seats}人ですが、内訳の合計は{parts_seats}人です",
    ),
    "overlay_above_parent": (
        "{line}: {line_seats} of its parent's, but {parent} has only {parent_seats}",
        "{line}: 内数が{line_seats}人ですが、{parent} は{parent_seats}人しかありません",
    ),
    "limit_above_parent": (
        "{line}: a limit of {line_seats} limits nothing in {parent} with {parent_seats}",
        "{line}: 上限が{line_seats}人ですが、{parent} は{parent_seats}人です",
    ),
    "limit_exceeded": (
        "{line}: at most {limit}, but the lines that it limits come to {lines_seats}",
        "{line}: 上限は{limit}人ですが、対象の枠の合計は{lines_seats}人です",
    ),
    "floor_above_parent": (
        "{line}: at least {line_seats}, but {parent} has only {parent_seats}",
        "{line}: 下限は{line_seats}人ですが、{parent} は{parent_seats}人しかありません",
    ),
    "floor_not_reached": (
        "{line}: at least {floor}, but the lines that may count come to {lines_seats}",
        "{line}: 下限は{floor}人ですが、対象になりうる枠の合計は{lines_seats}人です",
    ),
    "effective_after_the_year": (
        "Later than the plan's year: choose {latest} or an earlier day",
        "計画の年度を過ぎています。{latest} までの日を指定してください",
    ),
    "unknown_decision": (
        "This prefecture's sub-committee made no such decision",
        "この都道府県の分科会に、その決定はありません",
    ),
    "decision_not_ratified": (
        "Decision {number} is urgent and not ratified, so it may lapse: have it ratified first",
        "決定 {number} は追認されていない専決です。失効することがあるので、先に追認してください",
    ),
    "decision_not_in_force": (
        "Decision {number} is not in force then",
        "決定 {number} は、その時点で効力がありません",
    ),
    "effective_before_last_version": (
        "A version holds from {last} already: choose that day or a later one",
        "{last} からの版がすでにあります。その日以降を指定してください",
    ),
    "effective_before_last_move": (
        "Seats were moved on {last}: choose that day or a later one, since the past stays as it was",
        "{last} に枠の移動があります。過去は変えられないので、その日以降を指定してください",
    ),
    "line_changed_meaning": (
        "{line}: the key stood for something else before; give the new line a new key",
        "{line}: このキーは別の枠を表していました。新しい枠には新しいキーを付けてください",
    ),
    "below_what_was_moved": (
        "{line}: {planned} planned, but {moved} were moved out of it already",
        "{line}: 新しい計画は{planned}人ですが、すでに{moved}人が移されています",
    ),
    "line_dropped_with_seats": (
        "{line}: {seats} seats that were moved there would be lost; keep the line, or move them first",
        "{line}: 移されてきた{seats}人分が失われます。枠を残すか、先に移してください",
    ),
    "not_in_force": ("No version of the plan holds yet", "まだ施行された版がありません"),
    "unknown_line": ("{line}: the plan in force has no such line", "{line}: 施行中の計画にない枠です"),
    "holds_no_seats": (
        "{line}: a {kind} reserves no seats of its own; move those of the lines in which they stand",
        "{line}: {kind} は独自の枠を持ちません。実際に人数のある枠を動かしてください",
    ),
    "no_seats": ("{line}: at least one seat", "{line}: 1人以上を指定してください"),
    "not_left": (
        "{line}: {wanted} wanted, but only {left} are left that no course run uses",
        "{line}: {wanted}人のうち、訓練コースが使っていないのは{left}人です",
    ),
    "not_of_this_period": (
        "{line}: not a line of quarter {quarter}",
        "{line}: 第{quarter}四半期の枠ではありません",
    ),
    "no_line_in_next_period": (
        "{line}: quarter {quarter} has no such line; record a version that has it, with 0 seats if need be",
        "{line}: 第{quarter}四半期に同じ枠がありません。0人でもよいので、その枠のある版を先に記録してください",
    ),
    "no_next_period": (
        "Quarter {quarter} is the last of the plan's year",
        "第{quarter}四半期は年度の最後です",
    ),
    "nothing_to_carry_over": (
        "Nothing below the minimum lot is left of quarter {quarter}; name lines to carry over more",
        "第{quarter}四半期に、最小単位に満たない残りはありません。それ以上を繰り越すには枠を指定してください",
    ),
    "same_line": ("{line}: from a line to itself", "{line}: 同じ枠どうしです"),
    "another_period": (
        "{line}: {to_line} is of another period; that is a carry-over",
        "{line}: {to_line} は別の期です。期をまたぐのは繰越です",
    ),
    "opens_to_all": (
        "{line}: stands in {to_line}; to give seats back to it is to open them to all",
        "{line}: {to_line} は上位の枠です。そこへ戻すのは「誰にでも開く」操作です",
    ),
    "neither_area_nor_field": (
        "{line}: {to_line} is of another area and another field; move in two steps",
        "{line}: {to_line} は地域も分野も違います。二段階に分けて移してください",
    ),
    "no_parent_to_open_to": (
        "{line}: stands in no other line, so the plan doesn't say who all are; record a version that does",
        "{line}: 親の枠がなく、誰に開くかが計画にありません。親を定めた版を記録してください",
    ),
    "breaks_coming_version": (
        "{line}: a version that is decided and takes effect later could not be carried out",
        "{line}: 決定済みでこれから施行される版が実行できなくなります",
    ),
}


def told(fault: Fault) -> dict[str, Any]:
    """A fault as an error of a problem. Keys and numbers are codes and counts: they may be named."""
    english, japanese = _WORDS[fault.rule]
    values = {"line": fault.line, **fault.numbers}
    return {
        "in": "body",
        "pointer": _pointer(fault),
        "code": fault.rule,
        "line": fault.line or None,
        "numbers": dict(fault.numbers),
        "message": english.format(**values),
        "message_ja": japanese.format(**values),
    }


def not_recorded(faults: Sequence[Fault]) -> Problem:
    """The plan can't be recorded so: every reason."""
    return Problem(
        INVALID,
        detail="Nothing was recorded. Every rule that the plan breaks is listed.",
        detail_ja="何も記録していません。合わない規則をすべて示します。",
        errors=[told(fault) for fault in faults],
    )


def not_moved(faults: Sequence[Fault]) -> Problem:
    """The seats can't be moved so: every reason."""
    return Problem(NOT_MOVED, errors=[told(fault) for fault in faults])


def _pointer(fault: Fault) -> str:
    if "decision" in fault.rule:
        return "/decision_id"
    if fault.place is None:
        return "/effective_on" if fault.rule.startswith("effective") else "/lines" if fault.rule == "no_lines" else ""
    field = _PLACES.get(fault.rule)
    return f"/lines/{fault.place}" + ("" if field is None else f"/{field}")
