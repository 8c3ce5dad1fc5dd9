"""FDP (Five Different Positions): five axes, levels 1 to 5, and what they say about how long support may take."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

LEVELS = 5


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
