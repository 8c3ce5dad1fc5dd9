"""The same person at two doors: what is compared, how alike two sheets are, and for which reasons. Never a certainty.

Only equal values are found (by keyed fingerprints), so what is written in different ways is brought into one form
first. That form is for comparing alone: what was written down stays as it was written.
"""

import re
import unicodedata
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.intake.domain.sheet import katakana


class Kind(StrEnum):
    """A value of one sheet that may be compared with those of others."""

    READING = "reading"
    NAME = "name"
    PREVIOUS_READING = "previous_reading"
    PREVIOUS_NAME = "previous_name"
    BIRTH_DATE = "birth_date"
    READING_BORN = "reading_born"
    NAME_BORN = "name_born"
    PREVIOUS_READING_BORN = "previous_reading_born"
    PREVIOUS_NAME_BORN = "previous_name_born"
    GIVEN_BORN = "given_born"
    """Given name's reading and birth date: what stays when the family name changes."""
    PHONE = "phone"
    OTHER_PHONE = "other_phone"
    EMAIL = "email"


class MatchReason(StrEnum):
    """Why two sheets may be of one person."""

    READING_AND_BIRTH_DATE = "reading_and_birth_date"
    NAME_AND_BIRTH_DATE = "name_and_birth_date"
    PREVIOUS_NAME_AND_BIRTH_DATE = "previous_name_and_birth_date"
    GIVEN_NAME_AND_BIRTH_DATE = "given_name_and_birth_date"
    PREVIOUS_NAME = "previous_name"
    READING = "reading"
    NAME = "name"
    BIRTH_DATE = "birth_date"
    EMAIL = "email"
    PHONE = "phone"


class Likelihood(StrEnum):
    """How far it goes. There is no "certain": twins share a day, a family name, an address and a telephone."""

    LIKELY = "likely"
    POSSIBLE = "possible"
    WEAK = "weak"


COMPARED: Mapping[Kind, Kind] = {
    Kind.PREVIOUS_READING: Kind.READING,
    Kind.PREVIOUS_NAME: Kind.NAME,
    Kind.PREVIOUS_READING_BORN: Kind.READING_BORN,
    Kind.PREVIOUS_NAME_BORN: Kind.NAME_BORN,
    Kind.OTHER_PHONE: Kind.PHONE,
}
"""Kinds that are compared with another: the previous name of one may be the name of the other. Else, with their own."""

IDENTITY_FIELDS = ("name", "kana", "previous_name", "birth_date")
CONTACT_FIELDS = ("phone", "other_phone", "email")
CONTACT = frozenset({Kind.PHONE, Kind.OTHER_PHONE, Kind.EMAIL})
"""How the person is found: not compared for others where there was violence, or they could try numbers."""
IDENTITY = frozenset(Kind) - CONTACT

POINTS: Mapping[MatchReason, int] = {
    MatchReason.READING_AND_BIRTH_DATE: 60,
    MatchReason.NAME_AND_BIRTH_DATE: 60,
    MatchReason.PREVIOUS_NAME_AND_BIRTH_DATE: 60,
    MatchReason.GIVEN_NAME_AND_BIRTH_DATE: 25,
    MatchReason.PREVIOUS_NAME: 20,
    MatchReason.READING: 15,
    MatchReason.NAME: 15,
    MatchReason.BIRTH_DATE: 10,
    MatchReason.EMAIL: 40,
    MatchReason.PHONE: 35,
}
OTHER_BIRTH_DATE = -20
"""Two days of birth: mostly two people, sometimes an era that was mixed up."""
HIGHEST = 95
FROM = {Likelihood.LIKELY: 60, Likelihood.POSSIBLE: 30, Likelihood.WEAK: 15}
"""From how many points on. A day of birth alone is shared by forty in a million, and is shown to nobody."""

NAMES = frozenset({Kind.READING, Kind.NAME, Kind.PREVIOUS_READING, Kind.PREVIOUS_NAME})
"""Names alone, which many share."""
FINDING_ELSEWHERE = frozenset(kind for kind in Kind if kind.endswith("_born"))
"""In another municipality only what is rarely equal by chance."""

_SAYS: Mapping[Kind, MatchReason] = {
    Kind.READING: MatchReason.READING,
    Kind.NAME: MatchReason.NAME,
    Kind.BIRTH_DATE: MatchReason.BIRTH_DATE,
    Kind.READING_BORN: MatchReason.READING_AND_BIRTH_DATE,
    Kind.NAME_BORN: MatchReason.NAME_AND_BIRTH_DATE,
    Kind.GIVEN_BORN: MatchReason.GIVEN_NAME_AND_BIRTH_DATE,
    Kind.PHONE: MatchReason.PHONE,
    Kind.EMAIL: MatchReason.EMAIL,
}
_OF_CONTACT = frozenset({MatchReason.EMAIL, MatchReason.PHONE})
_SAID_BY: Mapping[MatchReason, frozenset[MatchReason]] = {
    MatchReason.READING_AND_BIRTH_DATE: frozenset(
        {MatchReason.READING, MatchReason.BIRTH_DATE, MatchReason.GIVEN_NAME_AND_BIRTH_DATE}
    ),
    MatchReason.NAME_AND_BIRTH_DATE: frozenset({MatchReason.NAME, MatchReason.BIRTH_DATE}),
    MatchReason.PREVIOUS_NAME_AND_BIRTH_DATE: frozenset({MatchReason.PREVIOUS_NAME, MatchReason.BIRTH_DATE}),
    MatchReason.GIVEN_NAME_AND_BIRTH_DATE: frozenset({MatchReason.BIRTH_DATE}),
}
"""What a reason says along with itself, and need not be said again."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two sheets are: points, and why. Reasons name fields, never values."""

    score: int
    reasons: tuple[MatchReason, ...]
    other_birth_date: bool

    @property
    def likelihood(self) -> Likelihood | None:
        """In words; None where it is not worth anybody's look."""
        return next((word for word, least in FROM.items() if self.score >= least), None)


def compared_as(kind: Kind) -> Kind:
    """What a kind is compared with."""
    return COMPARED.get(kind, kind)


def worth(kind: Kind, *, previous: bool) -> int:
    """How much it is worth that a kind agrees with a present name, or with a `previous` one; 0 if that can't be."""
    return max(
        (
            POINTS[_reason(kind, theirs)]
            for theirs in Kind
            if compared_as(theirs) == compared_as(kind) and theirs.startswith("previous") == previous
        ),
        default=0,
    )


def is_dayless(kind: Kind, sheet: Container[Kind]) -> bool:
    """A name beside which no day of birth stands: such ones are found apart from the others."""
    return kind in NAMES and Kind.BIRTH_DATE not in sheet


def finds(kind: Kind, *, dayless: bool, dated: bool, least: int, elsewhere: bool) -> bool:
    """Whether an equal value of this kind is enough to find somebody; what isn't speaks for or against who was found.

    Where a day of birth is `dated` in what is asked, a name finds those without a day alone: with the same day they are
    found by both together, with another one a name is worth nothing. So a common name costs no more than it brings.
    """
    if kind is Kind.BIRTH_DATE:
        return False
    if elsewhere:
        return kind in FINDING_ELSEWHERE
    most = max(worth(kind, previous=previous) for previous in (False, True))
    return most >= least and (dayless or not dated or kind not in NAMES)


def likeness(agreeing: Iterable[tuple[Kind, Kind]], *, other_birth_date: bool, masked: bool) -> Likeness:
    """Weigh what agrees: pairs of our kind and theirs. `masked` leaves out how the person is found.

    Only the best reason of each sort counts (a reading and the same name in kanji are one piece of evidence), and so
    that a family's telephone and a birthday, as twins have them, stay below "likely".
    """
    reasons = {_reason(ours, theirs) for ours, theirs in agreeing if not (masked and CONTACT & {ours, theirs})}
    best_of_name = max((POINTS[reason] for reason in reasons - _OF_CONTACT - {MatchReason.BIRTH_DATE}), default=0)
    best_of_contact = max((POINTS[reason] for reason in reasons & _OF_CONTACT), default=0)
    told = {said for reason in reasons for said in _SAID_BY.get(reason, ())}
    day = POINTS[MatchReason.BIRTH_DATE] if MatchReason.BIRTH_DATE in reasons - told else 0
    score = best_of_name + best_of_contact + day + (OTHER_BIRTH_DATE if other_birth_date else 0)
    shown = tuple(reason for reason in MatchReason if reason in reasons - told)
    return Likeness(max(0, min(score, HIGHEST)), shown, other_birth_date)


def _reason(ours: Kind, theirs: Kind) -> MatchReason:
    if {ours, theirs} & {Kind.PREVIOUS_NAME_BORN, Kind.PREVIOUS_READING_BORN}:
        return MatchReason.PREVIOUS_NAME_AND_BIRTH_DATE
    if {ours, theirs} & {Kind.PREVIOUS_NAME, Kind.PREVIOUS_READING}:
        return MatchReason.PREVIOUS_NAME
    return _SAYS[compared_as(ours)]


# --- the form in which values are compared --------------------------------------------------------------------------


def comparable(sheet: Mapping[str, str]) -> dict[Kind, str]:
    """What can be compared of a sheet (or of some of its fields), in the form in which equal is equal."""
    found = {
        Kind.READING: reading(sheet.get("kana", "")) or _reading_of_name(sheet.get("name", "")),
        Kind.NAME: name(sheet.get("name", "")),
        Kind.PREVIOUS_READING: _reading_of_name(sheet.get("previous_name", "")),
        Kind.PREVIOUS_NAME: name(sheet.get("previous_name", "")),
        Kind.BIRTH_DATE: sheet.get("birth_date", ""),
        Kind.PHONE: phone(sheet.get("phone", "")),
        Kind.OTHER_PHONE: phone(sheet.get("other_phone", "")),
        Kind.EMAIL: email(sheet.get("email", "")),
    }
    with_birth_date = {
        Kind.READING_BORN: found[Kind.READING],
        Kind.NAME_BORN: found[Kind.NAME],
        Kind.PREVIOUS_READING_BORN: found[Kind.PREVIOUS_READING],
        Kind.PREVIOUS_NAME_BORN: found[Kind.PREVIOUS_NAME],
        Kind.GIVEN_BORN: _given(sheet.get("kana", "")) or _given(sheet.get("name", "")),
    }
    if born := found[Kind.BIRTH_DATE]:
        found |= {kind: f"{value} {born}" for kind, value in with_birth_date.items() if value}
    return {kind: value for kind, value in found.items() if value}


_SMALL = str.maketrans("ァィゥェォッャュョヮヵヶ", "アイウエオツヤユヨワカケ")
_SAME_SOUND = str.maketrans("ヂヅヲヰヱ", "ジズオイエ")
_V = {
    "ヴア": "バ",
    "ヴイ": "ビ",
    "ヴエ": "ベ",
    "ヴオ": "ボ",
    "ヴ": "ブ",
    "ヷ": "バ",
    "ヸ": "ビ",
    "ヹ": "ベ",
    "ヺ": "ボ",
}
_V_SOUND = re.compile("|".join(_V))
_ROWS = {
    "ア": "アカサタナハマヤラワガザダバパ",
    "イ": "イキシチニヒミリギジビピ",
    "ウ": "ウクスツヌフムユルグズブプ",
    "エ": "エケセテネヘメレゲゼデベペ",
    "オ": "オコソトノホモヨロゴゾドボポ",
}
_VOWEL = {kana: vowel for vowel, row in _ROWS.items() for kana in row}
_DASHES = re.compile(r"(?<=[ァ-ヺ])[-\u2010-\u2015\u2212\u2500~\u301c]")
_LONG = {"オ": "ウ", "エ": "イ"}
"""Written サトウ and ケイコ, spoken サトオ and ケエコ."""


def reading(text: str) -> str:
    """A reading without spaces and marks; small and large kana, long marks, ヂ and ジ, ヴ and ブ are alike."""
    kana = _DASHES.sub("ー", katakana(text)).translate(_SMALL).translate(_SAME_SOUND)
    kana = _V_SOUND.sub(lambda found: _V[found[0]], kana)
    said: list[str] = []
    for char in kana.casefold():
        if char == "ー":
            said += _VOWEL.get(said[-1], "") if said else ""
        elif said and char == _LONG.get(_VOWEL.get(said[-1], "")):
            said.append(_VOWEL[said[-1]])
        elif char.isalnum():
            said.append(char)
    return "".join(said)


_VARIANTS = str.maketrans(
    "髙﨑邊邉澤齋齊斎濵濱廣國𠮷嶋嶌櫻眞惠榮龍應藏瀨德淸礒", "高崎辺辺沢斉斉斉浜浜広国吉島島桜真恵栄竜応蔵瀬徳清磯"
)
"""Characters that one desk has on its keyboard and the next has not."""
_IDEOGRAPHIC_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def name(text: str) -> str:
    """A name without spaces and marks; common variants of a character are alike."""
    plain = unicodedata.normalize("NFKC", _IDEOGRAPHIC_VARIATION.sub("", text)).translate(_VARIANTS).casefold()
    return "".join(char for char in plain if char.isalnum() or char == "々")


_FEWEST_DIGITS = 9


def phone(text: str) -> str:
    """The digits, as dialled within Japan; empty where they are too few to be anybody's, or all the same."""
    narrow = unicodedata.normalize("NFKC", text).strip()
    digits = "".join(char for char in narrow if char in "0123456789")
    if narrow.startswith("+81"):
        digits = "0" + digits[2:].removeprefix("0")
    return digits if len(digits) >= _FEWEST_DIGITS and len(set(digits)) > 1 else ""


def email(text: str) -> str:
    """An address without regard to width and case."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


_ONLY_KANA = re.compile(r"[ぁ-ゖァ-ヺー\s・]+")


def _reading_of_name(text: str) -> str:
    """A name that is written in kana is its own reading."""
    wide = unicodedata.normalize("NFKC", text)
    return reading(wide) if _ONLY_KANA.fullmatch(wide) else ""


def _given(text: str) -> str:
    """The reading after the family name, where a space tells them apart."""
    parts = unicodedata.normalize("NFKC", text).split()
    if len(parts) < 2:
        return ""
    return _reading_of_name(parts[-1])


def reindexed(fields: Collection[str]) -> frozenset[Kind]:
    """Which kinds are to be made anew once these fields were written."""
    kinds: frozenset[Kind] = IDENTITY if set(IDENTITY_FIELDS) & set(fields) else frozenset()
    return kinds | {Kind(field) for field in CONTACT_FIELDS if field in fields}
