"""Why something can't be done about the sub-committee, over HTTP: the rule, what to do, and what it stands against."""

from typing import TypeVar

from services.training.domain.refusals import Denied, NotNow
from shared.problems import Problem, ProblemType, illegal_move

Value = TypeVar("Value")

_CANT: dict[str, tuple[str, str, str, str]] = {
    "already_set_up": (
        "The prefecture has a sub-committee",
        "この都道府県の分科会はすでに登録されています",
        "Change its rules and members instead.",
        "規則や委員を変えてください。",
    ),
    "share_out_of_reach": (
        "No vote could ever reach this",
        "決して達することのない割合です",
        "Give a share of at most the whole.",
        "全体以下の割合にしてください。",
    ),
    "no_tie_to_break": (
        "A casting vote decides a tie, and needs a majority of half",
        "部会長の決裁は可否同数のときのもので、過半数の規則と併せて使います",
        "Set the majority to more than 1 of 2, or leave the casting vote out.",
        "可決の割合を2分の1にするか、部会長の決裁を外してください。",
    ),
    "rules_begin_later": (
        "New rules hold from a later day",
        "規則は翌日以降から適用します",
        "Choose a day after today.",
        "明日以降の日を指定してください。",
    ),
    "chair_votes": (
        "The chair has a vote",
        "部会長は議決権のある委員です",
        "Set voting to true, or let another member preside.",
        "議決権を有りにするか、別の委員を部会長にしてください。",
    ),
    "already_a_member": (
        "This body's office is a member on some of these days",
        "この機関・役職は、その期間にすでに委員です",
        "End the other membership first.",
        "先に前の委員の任期を終えてください。",
    ),
    "chair_already_there": (
        "There is a chair on some of these days",
        "その期間にはすでに部会長がいます",
        "End the other chair's membership first.",
        "先に前の部会長の任期を終えてください。",
    ),
    "membership_ended": (
        "This membership has an end",
        "この委員の任期はすでに終わっています",
        "Seat the body anew if it comes back.",
        "再び加わる場合は、新しく委員として登録してください。",
    ),
    "ends_before_it_begins": (
        "It ends before it begins",
        "終わりの日が始まりの日より前です",
        "Choose a later last day.",
        "始まりの日以降にしてください。",
    ),
    "was_there_later": (
        "The member took part after that day",
        "その日より後の会議に出席または投票しています",
        "End it on the last day on which it took part, or later.",
        "最後に参加した日以降にしてください。",
    ),
    "day_or_answers_by": (
        "A meeting has a day; a written resolution has a moment until which answers count",
        "会議には開催日、持ち回りには回答期限のどちらか一方を指定します",
        "Give one of the two.",
        "どちらか一方を指定してください。",
    ),
    "answers_by_passed": (
        "The time for answers is over",
        "回答期限が過ぎています",
        "Conclude the vote as it stands, or plan another meeting.",
        "投票を締めるか、別の会議を開いてください。",
    ),
    "nothing_on_the_agenda": (
        "A meeting is convened with its agenda",
        "議題がないまま招集はできません",
        "Put an item on the agenda first.",
        "先に議題を加えてください。",
    ),
    "not_yet_the_day": (
        "The meeting's day has not come",
        "開催日がまだ来ていません",
        "Record it on its day, or later.",
        "当日以降に記録してください。",
    ),
    "votes_open": (
        "A vote is still going on",
        "締めていない投票があります",
        "Conclude it, or withdraw the motion.",
        "投票を締めるか、議題を取り下げてください。",
    ),
    "no_member_that_day": (
        "Somebody listed was no member on that day",
        "その日に委員でない者が出席者に含まれています",
        "List members of that day only.",
        "その日の委員だけを指定してください。",
    ),
    "no_motion_of_ours": (
        "There is no such motion in this sub-committee",
        "この分科会にその議題(案)はありません",
        "Table the motion first.",
        "先に案を提出してください。",
    ),
    "already_on_the_agenda": (
        "The motion is on this agenda",
        "この案はすでに議題に入っています",
        "Nothing needs to be done.",
        "そのままで大丈夫です。",
    ),
    "other_kind_of_motion": (
        "A quota has allotments; training content has a wish",
        "枠の案には配分を、訓練内容の案には要望を書きます",
        "Give what this kind of motion is about.",
        "案の種類に合うものだけを書いてください。",
    ),
    "nothing_allotted": (
        "A quota allots seats, or supersedes a decision",
        "配分がありません",
        "Add an allotment, or name the decision that is to end.",
        "配分を加えるか、失効させる決定を指定してください。",
    ),
    "named_twice": (
        "A municipality is named twice",
        "同じ市町村が二度書かれています",
        "Name each once.",
        "一度だけ書いてください。",
    ),
    "other_prefecture": (
        "A municipality lies in another prefecture",
        "ほかの都道府県の市町村が含まれています",
        "A sub-committee decides for its own prefecture.",
        "分科会は自らの都道府県についてだけ決定できます。",
    ),
    "cut_off_before_effect": (
        "The seats would return before they are granted",
        "戻る日が効力の始まる日より前です",
        "Choose a later cut-off date.",
        "戻る日を遅くしてください。",
    ),
    "cut_off_after_end": (
        "The decision ends before the cut-off date",
        "決定の終わりの日が、枠の戻る日より前です",
        "Choose an earlier cut-off date, or a later end.",
        "戻る日を早めるか、終わりの日を遅くしてください。",
    ),
    "next_ends_too_early": (
        "Whoever is next has the seats until a later day than whoever comes before",
        "次に案内する市町村の日が、前の市町村の戻る日以前です",
        "Choose a later day for each that follows.",
        "後の市町村ほど遅い日にしてください。",
    ),
    "no_quarter_to_carry_from": (
        "Only the seats of a quarter are carried over into the next",
        "繰り越せるのは四半期を定めた配分だけです",
        "Name the quarter, or leave the carry-over out.",
        "四半期を指定するか、繰越しを外してください。",
    ),
    "allotted_twice": (
        "The same seats are allotted twice to a municipality",
        "同じ市町村に同じ講座の枠が二度配分されています",
        "Write one line with the sum.",
        "一行にまとめてください。",
    ),
    "no_votes_are_taken": (
        "No votes are taken in this meeting now",
        "この会議ではいま採決できません",
        "Record who is present first; in writing, convene it and mind the time for answers.",
        "先に出席を記録してください。持ち回りは招集後、回答期限までです。",
    ),
    "not_on_the_agenda": (
        "The motion is not on this meeting's agenda",
        "この会議の議題に入っていません",
        "Put it on the agenda of a coming meeting; if it can't wait, the chair may decide urgently.",
        "次の会議の議題に加えてください。急ぐときは部会長が専決できます。",
    ),
    "put_once_in_a_meeting": (
        "It was put to the vote in this meeting",
        "この会議ではすでに採決しています",
        "Put it on the agenda of another meeting.",
        "別の会議の議題に加えてください。",
    ),
    "not_on_the_roll": (
        "This seat is not on the meeting's roll",
        "この会議の委員名簿にありません",
        "Only who was a member on the day votes.",
        "当日の委員だけが投票できます。",
    ),
    "only_advises": (
        "This member advises and does not vote",
        "この委員には議決権がありません",
        "An adviser's opinion can be brought as a paper.",
        "意見は資料として提出できます。",
    ),
    "was_not_there": (
        "Only members present vote",
        "出席した委員だけが投票できます",
        "A written resolution lets absent members answer.",
        "欠席者も含めるには持ち回りで採決してください。",
    ),
    "already_voted": (
        "This seat has voted",
        "この委員はすでに投票しています",
        "A vote is not changed.",
        "投票は変えられません。",
    ),
    "votes_are_missing": (
        "Not all have voted",
        "まだ投票していない委員がいます",
        "Wait for the others; who does not want to decide abstains.",
        "全員の投票を待ってください。決めない委員は棄権とします。",
    ),
    "only_the_chair": (
        "Only the chair of today decides urgently",
        "専決できるのは現在の部会長だけです",
        "Name the member who presides.",
        "部会長である委員を指定してください。",
    ),
    "over_before_it_begins": (
        "The decision would be over before it begins",
        "効力の始まりより前に終わる決定です",
        "Amend its last day.",
        "終わりの日を改めてください。",
    ),
    "nothing_to_supersede": (
        "A decision named as superseded is not in force, is of another kind, or has been superseded",
        "代わりに失効させる決定が、効力を持たないか、種類が違うか、すでに別の決定に代わられています",
        "Name decisions that are in force, or will be.",
        "効力のある(またはこれから生じる)決定だけを指定してください。",
    ),
    "contradicts_decision_in_force": (
        "It allots seats that a decision in force allots to the same municipality",
        "効力のある決定が、同じ市町村・同じ講座の枠をすでに定めています",
        "Name that decision in `supersedes`, or choose other courses or municipalities.",
        "その決定を supersedes に指定するか、講座・市町村を改めてください。",
    ),
}


def met(outcome: Value | Denied | NotNow) -> Value:
    """What came of it, or the problem that says which rule stands against it."""
    if isinstance(outcome, NotNow):
        raise illegal_move(outcome.legal)
    if isinstance(outcome, Denied):
        raise cant(outcome)
    return outcome


def cant(denied: Denied) -> Problem:
    """The rule that stands against it, what to do, and what it stands against."""
    title, title_ja, detail, detail_ja = _CANT[denied.reason]
    errors = [{"pointer": f"/{denied.about}", "code": denied.reason, **each} for each in denied.named or ({},)]
    kind = ProblemType(denied.reason, 409, title, title_ja)
    return Problem(kind, detail=detail, detail_ja=detail_ja, errors=errors)
