"""Codes of needs and topics in the words of the paper sheet, for reasons that are read out to the person."""

WORDS_JA = {
    "health": "健康",
    "daily_living": "日常生活",
    "isolation": "孤立",
    "family": "家族",
    "housing": "住まい",
    "income": "収入・生活費",
    "mind": "心の習慣と力",
    "people": "人との習慣と力",
    "tasks": "課題に向かう習慣と力",
    "experience": "成功体験と自己肯定感",
    "goals": "目標と見通し",
    "education": "学びと技能",
    "rent_or_loan": "家賃・ローンの支払い",
    "taxes_and_utilities": "税金・公共料金の支払い",
    "debt": "債務",
    "job_search": "仕事探し・就職",
    "trouble_at_work": "仕事上の不安・トラブル",
    "community": "地域との関係",
    "child_raising": "子育て",
    "care": "介護",
    "withdrawal": "ひきこもり・不登校",
    "violence": "DV・虐待",
    "nothing_to_eat": "食べるものがない",
    "other": "その他",
}
"""A code that nobody here has heard of yet is shown as it is."""
GROUPS_JA = {
    "any": "どなたでも",
    "youth": "若者",
    "withdrawal": "ひきこもりの状態にある方",
    "disability": "障害のある方",
    "single_parent": "ひとり親",
    "elderly": "高齢の方",
}
"""For whom a programme is."""
STAGES_JA = {
    "outreach": "アウトリーチ",
    "drop_in": "居場所",
    "work_readiness": "就労準備",
    "work_training": "就労訓練",
    "vocational_training": "職業訓練",
    "job": "一般就労",
    "retention": "定着支援",
}
"""The rungs of the ladder."""
