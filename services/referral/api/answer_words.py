"""The words of moves, codes and states: of the door without an account, Japanese and English, and of the desks."""

MOVES = {
    "receive": ("読みました(お返事はこれからします)", "I have read it, and will answer"),
    "accept": ("引き受けます", "We take it on"),
    "return": ("情報が足りません", "We need to know more"),
    "wait": ("今は空きがありません", "No room now"),
    "decline": ("引き受けられません", "We can't take it on"),
    "contact": ("ご本人と連絡がつきました", "We are in touch with the person"),
    "start": ("利用・支援が始まりました", "It has begun"),
    "miss": ("約束の日に来られませんでした", "The person did not come"),
    "set_outcome": ("結果をお知らせします", "What came of it"),
    "close": ("終了します", "It is finished"),
}
NAMES = {
    "send": "送る",
    "receive": "受領",
    "accept": "受諾",
    "decline": "断る",
    "return": "退回(情報不足で戻す)",
    "answer": "追記して送り直す",
    "wait": "空き待ちにする",
    "reroute": "ほかへ回す(再転)",
    "confirm_decline": "断りを確認",
    "overrule_forward": "断りを認めず受諾とする",
    "overrule_back": "断りを認めず差し戻す",
    "withdraw": "取り下げる",
    "contact": "連絡がついた",
    "start": "開始した",
    "miss": "来所なし",
    "hold": "休止する",
    "resume": "再開する",
    "set_outcome": "結果を記録",
    "close": "終える",
    "expire": "引き継いだものを終え、次の行き先を探す",
    "add_outcome": "あとから分かった結果を足す",
}
"""Every move that somebody makes by hand, as a desk calls it."""
REASONS = {
    "no_capacity": ("定員に空きがない", "No room"),
    "not_eligible": ("対象の条件に合わない", "The conditions are not met"),
    "not_our_service": ("当方の事業ではない", "Not what we do"),
    "already_served": ("すでに利用している", "The person is with us already"),
    "person_declined": ("ご本人が望まない", "The person does not want it"),
    "no_contact": ("ご本人と連絡がつかない", "The person can't be reached"),
    "other": ("そのほか", "Another reason"),
}
WITHDRAWN = {
    "person_wishes": "ご本人の希望",
    "other_support_found": "ほかの支援が見つかった",
    "no_answer": "返事がない",
    "sent_by_mistake": "誤って送った",
}
"""Why a sender takes it back."""
MISSING = {
    "needs": ("困りごとの内容", "What the person needs"),
    "assessment": ("アセスメントの結果", "How the person was rated"),
    "wishes": ("ご本人の希望", "What the person wants"),
    "history": ("これまでの経過", "What happened so far"),
    "documents": ("書類", "Documents"),
    "contact": ("ご本人への連絡方法", "How to reach the person"),
    "consent": ("同意の範囲", "What the consent covers"),
}
OUTCOMES = {
    "started": ("利用を始めた", "It began"),
    "completed": ("最後まで利用した", "It was completed"),
    "employed": ("就職した", "The person has a job"),
    "employed_3_months": ("就職して3か月続いている", "Still in the job after three months"),
    "next_stage": ("次の段階へ進む・変える", "Another step of support fits now"),
    "not_started": ("始まらなかった", "It did not begin"),
    "broken_off": ("途中でやめた", "It was broken off"),
    "ended_by_person": ("ご本人の意思で終えた", "The person ended it"),
}
NEXT = {
    "receive": ("お読みになったことを依頼元に知らせました。", "We told the sender that you have read it."),
    "accept": (
        "依頼元から、ご本人の連絡先などについてご連絡します。ご本人と初めて連絡がついたら、次のリンクまたは電話でお知らせください。",
        "The sender tells you how to reach the person. Say by the next link, or by phone, once you are in contact.",
    ),
    "return": (
        "依頼元が情報を補い、あらためてお願いします。",
        "The sender will add what is missing and ask you again.",
    ),
    "wait": (
        "その日が来たら、あらためてお尋ねします。早く空きが出たときは、次のリンクまたは電話でお知らせください。",
        "We ask again on that day. If there is room before, tell us by the next link, or by phone.",
    ),
    "decline": (
        "調整役が内容を確かめ、次の支援先を探します。ありがとうございました。",
        "The coordinator looks at it and finds another way. Thank you.",
    ),
    "contact": (
        "始まったら、次のリンクまたは電話でお知らせください。",
        "Tell us by the next link, or by phone, when it begins.",
    ),
    "start": (
        "結果が出たら、次のリンクまたは電話でお知らせください。",
        "Tell us by the next link, or by phone, what comes of it.",
    ),
    "miss": ("次の約束については、依頼元と相談してください。", "Please talk with the sender about another day."),
    "set_outcome": (
        "終わるときは、次のリンクまたは電話でお知らせください。",
        "Tell us by the next link, or by phone, when it ends.",
    ),
    "close": ("ありがとうございました。", "Thank you."),
}
ASKS = {"decline": "reason", "return": "missing", "wait": "review_on", "set_outcome": "outcome"}
"""What has to be chosen with a move."""
IN_JAPANESE = {code: words[0] for table in (REASONS, MISSING, OUTCOMES) for code, words in table.items()} | WITHDRAWN
"""Every code that a mover may choose from."""
