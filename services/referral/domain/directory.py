"""How far an entry of the directory can be believed: who said it last, how long ago, and what its room says today."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.referral.domain.options import Capacity, Stage


class Freshness(StrEnum):
    """新しさ of an entry, by the day on which somebody confirmed it."""

    FRESH = "fresh"
    AGEING = "ageing"
    STALE = "stale"
    UNKNOWN = "unknown"
    """No day, or one that hasn't come yet: such a day confirms nothing, and must not keep an entry fresh for ever."""


@dataclass(frozen=True, slots=True)
class Days:
    """After how many days an entry is ageing, and stale."""

    ageing: int
    stale: int


@dataclass(frozen=True, slots=True)
class Function:
    """支援機能, in words, and the rung of the ladder where it usually stands."""

    code: str
    japanese: str
    english: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The codes that entries are written in, and the days that judge them: data of the region, not of the code."""

    functions: Mapping[str, Function]
    targets: Mapping[str, tuple[str, str]]
    needs: Mapping[str, tuple[str, str]]
    professions: Mapping[str, tuple[str, str]]
    kinds: Mapping[str, tuple[str, str]]
    industries: Mapping[str, tuple[str, str]]
    days: Days

    def words(self, of: str) -> Mapping[str, str]:
        """The codes of one list, such as `needs`, each in Japanese."""
        if of == "functions":
            return {code: function.japanese for code, function in self.functions.items()}
        listed: Mapping[str, tuple[str, str]] = getattr(self, of)
        return {code: japanese for code, (japanese, _) in listed.items()}


@dataclass(frozen=True, slots=True)
class Room:
    """空き: how many places, how many of them free; what isn't known is None."""

    state: Capacity
    total: int | None = None
    free: int | None = None


class RoomFault(StrEnum):
    """Why a word about room can't be true."""

    MORE_FREE_THAN_ALL = "more_free_than_all"
    FREE_WITHOUT_ROOM = "free_without_room"
    ROOM_WITHOUT_FREE = "room_without_free"


class Channel(StrEnum):
    """How an agency is told of a referral."""

    ACCOUNT = "account"
    EMAIL = "email"
    LETTER = "letter"


class TrialStep(StrEnum):
    """職親 takes a person in step by step: a visit, half a day, a week, a paid trial, a job."""

    VISIT = "visit"
    HALF_DAY = "half_day"
    WEEK = "week"
    PAID_TRIAL = "paid_trial"
    JOB = "job"


def freshness(confirmed_on: date | None, today: date, days: Days) -> Freshness:
    """Fresh, ageing from the first limit on, stale from the second."""
    if confirmed_on is None or confirmed_on > today:
        return Freshness.UNKNOWN
    age = (today - confirmed_on).days
    if age >= days.stale:
        return Freshness.STALE
    return Freshness.AGEING if age >= days.ageing else Freshness.FRESH


def is_stale(confirmed_on: date | None, today: date, after_days: int) -> bool:
    """Whether nobody vouches for it any more, or not yet: a day that hasn't come confirms nothing."""
    return freshness(confirmed_on, today, Days(after_days, after_days)) is not Freshness.FRESH


def room_fault(room: Room) -> RoomFault | None:
    """What contradicts itself in a word about room."""
    if room.total is not None and room.free is not None and room.free > room.total:
        return RoomFault.MORE_FREE_THAN_ALL
    if room.state in {Capacity.FULL, Capacity.WAITING_LIST} and room.free:
        return RoomFault.FREE_WITHOUT_ROOM
    if room.state is Capacity.HAS_ROOM and room.free == 0:
        return RoomFault.ROOM_WITHOUT_FREE
    return None


ACTS: Mapping[str, str] = {
    "self_reliance_act": "生活困窮者自立支援法",
    "public_assistance_act": "生活保護法",
    "social_welfare_act": "社会福祉法",
    "employment_security_act": "職業安定法",
    "human_resources_act": "職業能力開発促進法",
    "job_seeker_support_act": "求職者支援法",
    "employment_insurance_act": "雇用保険法",
    "disability_support_act": "障害者総合支援法",
    "disability_employment_act": "障害者雇用促進法",
    "single_parent_act": "母子及び父子並びに寡婦福祉法",
    "child_welfare_act": "児童福祉法",
    "youth_development_act": "子ども・若者育成支援推進法",
    "youth_employment_act": "青少年の雇用の促進等に関する法律",
    "isolation_act": "孤独・孤立対策推進法",
    "ordinance": "条例・要綱",
    "own": "法令によらない自主事業",
}
"""Acts that a programme may rest on. A legal basis is one of them, with the number of its article where it has one."""


def is_legal_basis(code: str) -> bool:
    """`self_reliance_act_3`, `social_welfare_act_106_4`, or the act alone."""
    numbers = code.split("_")
    while numbers and numbers[-1].isdecimal() and len(numbers[-1]) <= 3:
        numbers.pop()
    return "_".join(numbers) in ACTS


def nearest(written: str, words: Mapping[str, str]) -> str | None:
    """The code that somebody may have meant, with its word, if either is near enough to what was written."""
    near = nearest_code(written, words)
    if near is None:
        by_word = {word: code for code, word in words.items()}
        near = by_word.get(nearest_code(written, by_word) or "")
    return None if near is None else f"{near} {words[near]}"


def nearest_code(written: str, known: Collection[str]) -> str | None:
    """The code that somebody may have meant, if one is near enough."""
    found = difflib.get_close_matches(written, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None
