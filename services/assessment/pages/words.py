"""Codes in the words of the people who read a paper. A code that is not here is shown as it is."""

NEEDS = {
    "health": "健康・病気",
    "illness": "病気",
    "disability": "障害",
    "addiction": "依存",
    "mind": "こころの習慣・力",
    "daily_living": "日常生活",
    "isolation": "孤立",
    "family": "家族",
    "housing": "住まい",
    "income": "収入・生活費",
    "people": "人との関わり",
    "tasks": "作業の力",
    "experience": "成功体験・自己肯定感",
    "goals": "目標・見通し",
    "education": "学び・技能",
    "rent_or_loan": "家賃・ローン",
    "taxes_and_utilities": "税金・公共料金",
    "debt": "債務",
    "job_search": "仕事探し",
    "trouble_at_work": "仕事上のトラブル",
    "community": "地域との関係",
    "child_raising": "子育て",
    "care": "介護",
    "withdrawal": "ひきこもり・不登校",
    "violence": "DV・虐待",
    "nothing_to_eat": "食べるものがない",
    "other": "その他",
}
STANDINGS = {"covered": "支えがある", "open": "支えられる機関がある", "missing": "この地域にない"}
TASKS = {
    "joint_conference": "合同ケース会議を開く",
    "reassessment": "再評価する",
    "referral": "事業へつなぐ",
    "seat": "訓練の席を求める",
    "consent_to_seek": "本人の同意を得る",
    "action": "行うこと",
    "monitoring": "支援プランの状況を確かめる",
    "next_step": "職親の次の段階を本人と考える",
}
STATES = {
    "planned": "会議の終了を待つ",
    "open": "これから",
    "arrived": "先方の返事待ち",
    "came_back": "戻ってきた",
    "done": "済み",
    "dropped": "取りやめ",
}
ANSWERS = {"asked": "返事待ち", "coming": "出席", "not_coming": "欠席"}
CONFERENCE = {"called": "開催前", "in_session": "開催中", "concluded": "終了", "cancelled": "取りやめ"}
