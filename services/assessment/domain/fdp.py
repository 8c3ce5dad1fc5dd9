"""FDP (Five Different Positions): five axes, levels 1 to 5, and what they say about how long support may take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Axis(StrEnum):
    """The five axes, in the order in which they are shown."""

    INTERPERSONAL = "interpersonal"
    MENTAL = "mental"
    STRESS = "stress"
    THINKING = "thinking"
    ENVIRONMENT = "environment"

    @property
    def japanese(self) -> str:
        """As people at the counter call it."""
        return _JAPANESE[self]


_JAPANESE = {
    Axis.INTERPERSONAL: "対人関係",
    Axis.MENTAL: "メンタル",
    Axis.STRESS: "ストレス",
    Axis.THINKING: "思考",
    Axis.ENVIRONMENT: "環境",
}


class Setting(StrEnum):
    """Who rated: one agency, or several in a joint case conference (合同ケース会議)."""

    SOLO = "solo"
    JOINT_CONFERENCE = "joint_conference"


class Risk(StrEnum):
    """長期化のおそれ. Undetermined is an answer of its own: a missing axis is never "safe"."""

    TRUE = "true"
    FALSE = "false"
    UNDETERMINED = "undetermined"


Levels = Mapping[Axis, int | None]
"""A level for each axis; None, or no entry, where it was not observed."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One axis that decided: its level, or None because it is missing."""

    axis: Axis
    level: int | None


@dataclass(frozen=True, slots=True)
class Prolongation:
    """Whether support is likely to take long, and which axes say so."""

    risk: Risk
    because: tuple[Reason, ...]


def assess_prolongation(levels: Levels) -> Prolongation:
    """True as soon as one axis is at 1 or 2; false only if all five are rated, and all at 3 or more."""
    low = tuple(Reason(axis, level) for axis in Axis if (level := levels.get(axis)) is not None and level <= 2)
    if low:
        return Prolongation(Risk.TRUE, low)
    missing = tuple(Reason(axis, None) for axis in Axis if levels.get(axis) is None)
    if missing:
        return Prolongation(Risk.UNDETERMINED, missing)
    return Prolongation(Risk.FALSE, ())


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result in words, to be shown beside it."""

    english: str
    japanese: str


def explain(found: Prolongation) -> Explanation:
    """Say why, and what follows: the flag sets pace and resources, it never shuts anybody out."""
    match found.risk:
        case Risk.TRUE:
            return Explanation(
                f"Support is likely to take long: {', '.join(f'{r.axis} {r.level}' for r in found.because)}. One axis"
                " at level 1 or 2 is enough. Plan with several agencies and without haste; this shuts nobody out and"
                " lowers nobody's place in a line.",
                f"長期化のおそれ:あり({'、'.join(f'{r.axis.japanese} {r.level}' for r in found.because)})。"
                "一つの軸でも1か2であれば「あり」とします。複数の機関で、時間をかけた計画を立ててください。"
                "支援から外す理由や、順番を下げる理由にはなりません。",
            )
        case Risk.UNDETERMINED:
            return Explanation(
                f"Not determined yet: {', '.join(r.axis for r in found.because)} not rated. A missing axis is never"
                " taken as safe.",
                f"長期化のおそれ:未判定(未評価:{'、'.join(r.axis.japanese for r in found.because)})。"
                "評価していない軸を「問題なし」とはみなしません。",
            )
        case Risk.FALSE:
            return Explanation(
                "No sign that support will take long: all five axes are at level 3 or more.",
                "長期化のおそれ:なし(5つの軸すべてが3以上)。",
            )


@dataclass(frozen=True, slots=True)
class Rating:
    """A recorded assessment, as far as comparing needs it; `number` is its place among those of its case."""

    id: UUID
    number: int
    levels: Levels
    risk: Risk
    corrects: UUID | None


@dataclass(frozen=True, slots=True)
class Change:
    """One axis, first and last; no change can be told where either is missing."""

    axis: Axis
    initial: int | None
    latest: int | None

    @property
    def change(self) -> int | None:
        """Up is better."""
        return None if self.initial is None or self.latest is None else self.latest - self.initial


def standing(ratings: Sequence[Rating]) -> list[Rating]:
    """The ratings that count: those that no other corrects."""
    corrected = {rating.corrects for rating in ratings}
    return [rating for rating in ratings if rating.id not in corrected]


def compare(initial: Rating, latest: Rating) -> tuple[Change, ...]:
    """Axis by axis."""
    return tuple(Change(axis, initial.levels.get(axis), latest.levels.get(axis)) for axis in Axis)
