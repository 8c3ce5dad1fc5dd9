"""Codes of needs and topics in the words of the paper sheet, for reasons that are read out to the person."""

from services.referral.tables.vocabulary import vocabulary

WORDS_JA = dict(vocabulary().words("needs"))
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
