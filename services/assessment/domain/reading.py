"""Who may read what was rated: whoever holds the case, whom the person's consent names for it, and each its own."""

from enum import StrEnum


class Reach(StrEnum):
    """How far a caller may look into a case's ratings."""

    ALL = "all"
    OWN = "own"
    """What the agency rated itself is known to it already."""
    NO_BASIS = "no_basis"
    """It may know of the case, and not of its ratings."""
    NO_CASE = "no_case"
    """Nothing says that there is such a case."""


def reach(*, holds: bool, concerned: bool, agreed: bool, rated: bool) -> Reach:
    """`agreed`: the consent that stands covers this agency; it opens nothing to those whom the case doesn't concern."""
    if holds or (concerned and agreed):
        return Reach.ALL
    if rated:
        return Reach.OWN
    return Reach.NO_BASIS if concerned else Reach.NO_CASE
