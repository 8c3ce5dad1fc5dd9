"""What was recorded, and still is not as its author may think: said with the answer, instead of refusing it."""

from collections.abc import Sequence

from pydantic import BaseModel

from services.intake.domain.sheet import FieldSet

_SETS_JA = {
    FieldSet.IDENTITY: "氏名など",
    FieldSet.CONTACT: "連絡先",
    FieldSet.PROXY: "来談者",
    FieldSet.HEALTH: "健康",
    FieldSet.FAMILY: "家族",
    FieldSet.STORY: "相談の内容",
}


class Notice(BaseModel):
    """Something to know about what was recorded; nothing was refused."""

    code: str
    categories: list[str]
    message: str
    message_ja: str


def without_effect(unseen: Sequence[FieldSet]) -> Notice:
    """Sets that a consent names, and that none of its purposes shows."""
    named, named_ja = ", ".join(unseen), "、".join(_SETS_JA[each] for each in unseen)
    return Notice(
        code="shown_for_no_purpose",
        categories=list(unseen),
        message=f"None of the purposes shows {named}: add a purpose that does, or disclose it on another basis",
        message_ja=f"同意された目的では、{named_ja}は誰にも示されません。"
        "示す必要があれば、その目的への同意を得るか、ほかの根拠で提供してください",
    )
