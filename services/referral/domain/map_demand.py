"""Who asks for a kind of support somewhere, as it is counted, and as others may know it."""

from collections.abc import Callable
from dataclasses import dataclass

from services.referral.domain.small_counts import Shown, show, union

NUMBERS = ("open_needs", "waiting", "unmet", "wanting", "turned_away")
"""What is counted of people, and so hidden where it is small."""
Own = Callable[[str], bool]
"""Whether the reader serves a municipality."""


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


@dataclass(frozen=True, slots=True)
class Pressure:
    """As much of a demand as says what a cell is worth."""

    wanting: int
    turned_away: int


def shown(demand: Demand, *, own: bool) -> dict[str, Shown]:
    """Every number as a reader sees it."""
    parts = {name: show(getattr(demand, name), own=own) for name in ("open_needs", "waiting", "unmet")}
    wanting = union(parts.values(), demand.wanting)
    if wanting.count is not None:
        wanting = show(wanting.count, own=own)
    return {**parts, "wanting": wanting, "turned_away": show(demand.turned_away, own=own)}


def limits(demand: Demand, *, own: bool) -> tuple[Pressure, Pressure]:
    """The least and the most that may stand behind what a reader sees; made of that alone."""
    if own:
        real = Pressure(demand.wanting, demand.turned_away)
        return real, real
    seen = shown(demand, own=False)
    wanting, turned_away = seen["wanting"], seen["turned_away"]
    parts = seen["open_needs"], seen["waiting"], seen["unmet"]
    # Several referrals may be of one case, so that only open cases are surely as many people.
    least = max(seen["open_needs"].at_least, min(wanting.at_least, 1)) if wanting.count is None else wanting.count
    most = wanting.at_most if wanting.at_most is not None else sum(part.at_most or 0 for part in parts)
    return Pressure(least, turned_away.at_least), Pressure(most, turned_away.at_most or 0)
