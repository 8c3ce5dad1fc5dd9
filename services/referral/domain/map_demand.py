"""Who asks for a kind of support somewhere, as it is counted, and as others may know it."""

from collections.abc import Callable
from dataclasses import dataclass

from services.referral.domain.small_counts import Shown, coarse, show, union

NUMBERS = ("open_needs", "waiting", "unmet", "wanting", "turned_away")
"""What is counted of people, and so hidden where it is small."""
BY_NEEDS = ("open_needs", "unmet", "wanting")
"""Of those, what the same people are counted in with several kinds of support; a referral is to one kind alone."""
Own = Callable[[str], bool]
"""Whether the reader serves a municipality."""


_ANY_NUMBER = 1_000_000


@dataclass(frozen=True, slots=True)
class Demand:
    """Who asks for it. Whoever could be helped in several ways asks in every cell that could answer."""

    open_needs: int = 0
    """Open cases with a need that this kind of support answers, and that nobody is answering now."""
    waiting: int = 0
    """Referrals that wait for room."""
    unmet: int = 0
    """Open records that a need has nobody."""
    wanting: int = 0
    """Different cases behind the three numbers before."""
    turned_away: int = 0
    """Referrals declined for lack of room in the period."""
    waiting_cases: int = 0
    """Different cases among those that wait; and so on. By them is judged whether a count is small."""
    unmet_cases: int = 0
    turned_away_cases: int = 0


@dataclass(frozen=True, slots=True)
class Pressure:
    """As much of a demand as says what a cell is worth."""

    wanting: int
    turned_away: int


def shown(demand: Demand, *, own: bool) -> dict[str, Shown]:
    """Every number as a reader sees it."""
    open_needs = show(demand.open_needs, own=own)
    records = {
        name: show(getattr(demand, name), people=getattr(demand, f"{name}_cases"), own=own)
        for name in ("waiting", "unmet", "turned_away")
    }
    wanting = union(open_needs, (records["waiting"], records["unmet"]), demand.wanting)
    if wanting.count is not None:
        wanting = show(wanting.count, own=own)
    every = {"open_needs": open_needs, **records, "wanting": wanting}
    # A person asks in every cell that could help: two kinds that answer nearly the same differ by few.
    return every if own else every | {name: coarse(every[name]) for name in BY_NEEDS}


def limits(demand: Demand, *, own: bool) -> tuple[Pressure, Pressure]:
    """The least and the most that may stand behind what a reader sees; made of that alone."""
    if own:
        real = Pressure(demand.wanting, demand.turned_away)
        return real, real
    seen = shown(demand, own=False)
    wanting, turned_away = seen["wanting"], seen["turned_away"]
    parts = seen["open_needs"], seen["waiting"], seen["unmet"]
    most = wanting.at_most if wanting.at_most is not None else sum(part.at_most or 0 for part in parts)
    # However few people they are, they may have been declined any number of times.
    away = _ANY_NUMBER if turned_away.count is None else turned_away.count
    return Pressure(wanting.at_least, turned_away.at_least), Pressure(most, away)
