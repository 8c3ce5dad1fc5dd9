"""The reception sheet (相談受付票): what may be written down about a person, and to which set each field belongs.

Every field may be missing: an anonymous person is taken up like any other. A set is what policy opens or masks as one.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class FieldSet(StrEnum):
    """What is opened or masked as one."""

    IDENTITY = "identity"
    CONTACT = "contact"
    """How and where the person is found: masked for all but the holder where there was violence."""
    PROXY = "proxy"
    """Who came in the person's place; may be the very person to hide from."""
    HEALTH = "health"
    """要配慮個人情報: illness and disability (個人情報保護法 Art. 2(3))."""
    FAMILY = "family"
    STORY = "story"
    """What was told, in words, and what comes next."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the sheet: its set, its name for people, and how long it may be."""

    set: FieldSet
    label: str
    longest: int


FIELDS: Mapping[str, Field] = {
    "name": Field(FieldSet.IDENTITY, "氏名", 100),
    "kana": Field(FieldSet.IDENTITY, "ふりがな", 100),
    "previous_name": Field(FieldSet.IDENTITY, "以前の氏名", 100),
    "sex": Field(FieldSet.IDENTITY, "性別", 10),
    "birth_date": Field(FieldSet.IDENTITY, "生年月日", 10),
    "postcode": Field(FieldSet.CONTACT, "郵便番号", 8),
    "address": Field(FieldSet.CONTACT, "住所", 300),
    "phone": Field(FieldSet.CONTACT, "電話番号", 30),
    "other_phone": Field(FieldSet.CONTACT, "その他の電話番号", 30),
    "email": Field(FieldSet.CONTACT, "メールアドレス", 254),
    "contact_note": Field(FieldSet.CONTACT, "連絡の際の注意", 500),
    "proxy_name": Field(FieldSet.PROXY, "来談者の氏名", 100),
    "proxy_phone": Field(FieldSet.PROXY, "来談者の電話番号", 30),
    "proxy_relation": Field(FieldSet.PROXY, "本人との関係", 50),
    "health_note": Field(FieldSet.HEALTH, "病気・障害", 4_000),
    "family_note": Field(FieldSet.FAMILY, "家族", 4_000),
    "story": Field(FieldSet.STORY, "相談の内容", 20_000),
    "next_step": Field(FieldSet.STORY, "次の対応", 4_000),
}
"""The fields of the national model form, in its order. `next_step` is the case's: it always has one."""


def fields_of(sets: Iterable[FieldSet]) -> tuple[str, ...]:
    """The fields of some sets, in the sheet's order."""
    wanted = frozenset(sets)
    return tuple(name for name, field in FIELDS.items() if field.set in wanted)


def sets_of(fields: Iterable[str]) -> frozenset[FieldSet]:
    """The sets that some fields belong to."""
    return frozenset(FIELDS[name].set for name in fields)


def katakana(text: str) -> str:
    """A reading as it is kept: full-width katakana, so that equal readings are equal. Names are never rewritten."""
    wide = unicodedata.normalize("NFKC", text)
    return "".join(chr(ord(char) + 0x60) if "ぁ" <= char <= "ゖ" else char for char in wide)
