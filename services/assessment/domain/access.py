"""Who sees a case's ratings, and the words about them: one pure decision, and what it doesn't grant is denied.

Levels are codes, and yet they tell of a person. Words are sealed, and tell of illness where the instrument says so.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Ground(StrEnum):
    """Why an agency may see."""

    HOLDER = "holder"
    """担当機関: its own statutory duty."""
    CONSENT = "consent"
    """The person's consent reaches to it, for an assessment or a case conference."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an agency stands to a case."""

    holds: bool
    concerned: bool
    """It opened the case, or serves its municipality: it knows that there is one."""
    rated: bool = False
    """It rated the case itself: that it knows already."""
    consented: bool = False
    named: bool = False
    """The consent names it, wherever it is; or it was asked to a conference on that consent."""
    categories: frozenset[str] = frozenset()
    """Which sets of data the consent names; empty: what the purpose needs, and that is not illness."""


@dataclass(frozen=True, slots=True)
class Sees:
    """Everybody's ratings, on this ground; words that tell of illness only if `illness`."""

    ground: Ground
    illness: bool


@dataclass(frozen=True, slots=True)
class SeesOwn:
    """What it rated itself, and nothing else."""


@dataclass(frozen=True, slots=True)
class NoBasis:
    """It may know of the case, and not of its ratings."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """For this agency there is no such case."""


STORY, HEALTH = "story", "health"


def decide(standing: Standing) -> Sees | SeesOwn | NoBasis | Hidden:
    """How much of a case's ratings an agency sees."""
    if standing.holds:
        return Sees(Ground.HOLDER, illness=True)
    if standing.consented and (standing.concerned or standing.named) and _reaches(standing.categories):
        return Sees(Ground.CONSENT, illness=HEALTH in standing.categories)
    if standing.rated:
        return SeesOwn()
    return NoBasis() if standing.concerned else Hidden()


def _reaches(categories: Collection[str]) -> bool:
    """Ratings are part of the person's story; a consent to the address alone doesn't open them."""
    return not categories or STORY in categories or HEALTH in categories
