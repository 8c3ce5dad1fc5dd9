"""docs/referral-moves.md is the table of moves that the code goes by.

Written anew by `python -m tests.architecture.test_referral_moves`.
"""

from dataclasses import replace
from pathlib import Path

from services.referral.domain.clocks import _RUNS, DAYS, TAKEN_OVER, leaves_a_need
from services.referral.domain.moves import AT_WORK, ENDED, IN_FLIGHT, MOVES, Move
from services.referral.domain.states import Clock, Kind, Party, State, Verb
from tests.unit.test_referral_moves import TO_PROGRAMME

PAGE = Path(__file__).resolve().parents[2] / "docs" / "referral-moves.md"
PARTIES = {
    Party.SENDER: "送った機関 sender",
    Party.RECEIVER: "受けた機関 receiver",
    Party.COORDINATOR: "調整役 coordinator",
    Party.TRAINING: "訓練の席 training",
    Party.PERSON: "本人(同意) person",
    Party.CLOCK: "期限 clock",
    Party.SERVICE: "ほかのつなぎ・担当の変更 service",
}
VERBS = {Verb.REFER: "refer", Verb.TRANSFER: "transfer", Verb.REQUEST: "request"}
STATES = {
    State.DRAFT: "下書き",
    State.SENT: "送った",
    State.RECEIVED: "受領した",
    State.RETURNED: "退回(情報不足)",
    State.WAITING: "空き待ち",
    State.DECLINE_PENDING: "断り(調整役が確認中)",
    State.ACCEPTED: "受諾した",
    State.CONTACT_MADE: "連絡がついた",
    State.IN_SERVICE: "支援中",
    State.NO_SHOW: "来所なし",
    State.ON_HOLD: "休止中",
    State.OUTCOME_SET: "結果が出た",
    State.CLOSED: "終えた",
    State.DECLINED: "断りが確定",
    State.REROUTED: "再転した",
    State.WITHDRAWN: "取下げ",
    State.EXPIRED: "返事なし(調整役へ)",
}
CLOCKS = {
    Clock.ACKNOWLEDGE: "受領",
    Clock.CONTACT: "返事・初回連絡",
    Clock.START: "開始・結果",
    Clock.ANSWER: "追記",
    Clock.DECIDE: "調整役の判断",
    Clock.REVIEW: "見直し",
    Clock.DELIVER: "手紙・メールを出す",
    Clock.SEAT: "席の期限",
    Clock.PLACE: "次の行き先",
}
HEAD = """# つなぎの動き / The moves of a referral

この表はコード(`services/referral/domain/moves.py`)から作られ、違えばテストが失敗します。手で直さないでください。
Made from the code, and held to it by a test: `python -m tests.architecture.test_referral_moves` writes it.

`refer` はケースの担当が残り、`transfer` は受諾で担当が移り、`request` は受けたい機関が担当機関に申し出ます。
"""
AFTER = """
- 本人が断った(`person_declined`・`no_contact`)つなぎは、調整役でも受諾にできません。
- 頼んだ機関が調整役を兼ねるときも、断りを受諾に変えることはできません。
- `take_over` は、調整役が受けた機関自身のときは起きません。引き継いだあとは、\
期限がさらに何かを終えることはありません。席は前にだけ進みます(`progress`)。別の席に替わったときは、その席の初めからです。\
本人が別の訓練コースに同意すると、つなぎの相手はそのコースの学校になります(`change_course`)。
- `transfer` を送れるのは担当機関だけです。担当が変わると、返事待ちの `transfer` は `refer` になります(`keep_holder`)。
- ケースが中断で終わると、返事待ちのつなぎは取下げになります(`end_with_case`)。終結のときは続きます。
- 断りの確認や、受諾前の返事なしで調整役が持つのは、つなぎ(次の先を探すこと)です。ケースの担当は変わりません。
- 下書きの取下げは `never_sent` となり、ほかの機関には見えないままです。
"""
CLOCKS_AFTER = """
- 支援中に返事がなく調整役が引き継いだもの(`take_over`)は、どの状態でも調整役が待たれます(`start`、15 日)。\
結果を記録するか、終えて次の行き先を探します(`expire`)。訓練コースも、修了後に結果の知らせがなければ同じです。
- 次の行き先(`place`)を探す日数は、市町村ごとに変えられます。別の所へ送るか、送らない理由(`no-place`)を記録すると\
終わります。申し出(request)が断られたときは始まりません。
- 訓練コースは、`sent` が受領(`acknowledge`、送った機関)、\
`received` が席の期限(`seat`、送った機関。受講指示のあとは受けた機関)、\
`accepted` が修了日から数えた結果(`start`、受けた機関)、`declined` が次の行き先(`place`、送った機関)です。
- 相手にアカウントがなく、手紙を印刷していないか、メールが届かなかったあいだは、送った機関が待たれます\
(`deliver`、2 日)。印刷・送信した日から相手の期限が始まり、手紙には郵便の 3 日を足します。
"""


def page() -> str:
    """The document as it has to stand."""
    return HEAD + _moves() + AFTER + _states()


def _moves() -> str:
    lines = [
        "",
        "## 動き / Moves",
        "",
        "| move | だれが by | どこへ kind, verb | from | to | 責任 responsible | asks |",
    ]
    lines.append("|---|---|---|---|---|---|---|")
    return "\n".join((*lines, *(_line(move) for move in MOVES), ""))


def _line(move: Move) -> str:
    by = "、".join(words for party, words in PARTIES.items() if party in move.by)
    by += "(引き継いだあと once taken over)" if move.once_taken_over else ""
    verbs = " ".join(words for verb, words in VERBS.items() if verb in move.verbs)
    kinds = " ".join(sorted(kind.value for kind in move.kinds))
    sources = " ".join(state.value for state in State if state in move.sources)
    stays = "休止の前 where it stood" if State.ON_HOLD in move.sources else "変わらない unchanged"
    target = stays if move.target is None else move.target.value
    if move.becomes is not None:
        target = f"変わらない unchanged, {move.becomes.value}"
    holds = "変わらない unchanged" if move.to is None else PARTIES[move.to]
    return f"| `{move.name}` | {by} | {kinds}: {verbs} | {sources} | {target} | {holds} | {move.asks or ''} |"


def _states() -> str:
    lines = [
        "",
        "## 状態と期限 / States and clocks",
        "",
        "| state | 意味 | 種類 sort | 待つ相手と期限(開庁日) |",
        "|---|---|---|---|",
    ]
    sorts = [
        ({State.DRAFT}, "下書き draft"),
        (IN_FLIGHT, "返事待ち in flight"),
        (AT_WORK, "支援中 at work"),
        (ENDED, "終わり ended"),
    ]
    for state, words in STATES.items():
        sort = next(name for states, name in sorts if state in states)
        lines.append(f"| `{state.value}` | {words} | {sort} | {_clock(state)} |")
    return "\n".join((*lines, "")) + CLOCKS_AFTER


def _clock(state: State) -> str:
    if state not in _RUNS:
        sample = replace(TO_PROGRAMME, state=state, outcome="broken_off")
        always = leaves_a_need(replace(sample, outcome=None))
        when = "" if always else "何も始まらずに終わったとき、"
        return f"{when}{_PLACE}" if leaves_a_need(sample) else "なし"
    clock, party = _RUNS[state]
    who = "頼まれた機関 asked" if party is None else PARTIES[party]
    return f"{who}: {CLOCKS[clock]} `{clock.value}` {DAYS[clock]} 日"


_PLACE = f"責任を持つ機関 responsible: {CLOCKS[Clock.PLACE]} `place` {DAYS[Clock.PLACE]} 日"


def test_the_page_of_moves_is_the_table_that_the_code_goes_by() -> None:
    assert set(STATES) == set(State)
    assert set(CLOCKS) == set(Clock)
    assert TAKEN_OVER == (Clock.START, Party.COORDINATOR)
    assert f"`start`、{DAYS[Clock.START]} 日" in CLOCKS_AFTER
    assert {kind for move in MOVES for kind in move.kinds} == set(Kind)
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.architecture.test_referral_moves"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
