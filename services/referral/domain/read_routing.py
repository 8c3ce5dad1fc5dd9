"""A routing as somebody may read it who may not know everything that it was reckoned from.

A reason that is left out would still be read from the points, and from the order: both are made anew, of the rest.
"""

from dataclasses import replace

from services.referral.domain.routing import Ranked, Reason, Routing, from_next_rung
from services.referral.domain.told import Reading

OF_LEVELS = frozenset({"earlier_stage_first", "plan_for_long_support"})
OF_URGENCY = frozenset({"urgent_and_room"})
WITHHELD = Reason("holder_knows_more")
"""Stands beside every candidate, whatever the case is like: its presence says nothing."""


def order_for(reading: Reading) -> str:
    """Which order this reader sees: who comes to know more, or less, sees another."""
    return " ".join(name for name in ("levels", "urgency") if getattr(reading, name))


def as_read(routing: Routing, reading: Reading) -> Routing:
    """The same candidates, put into the order of what this reader may know."""
    hidden = (frozenset() if reading.levels else OF_LEVELS) | (frozenset() if reading.urgency else OF_URGENCY)
    if not hidden:
        return routing
    items = sorted(
        (_without(each, hidden) for each in routing.items),
        key=lambda each: (-each.score, from_next_rung(_distance(each)), each.option.id.int),
    )
    return replace(routing, items=tuple(items))


def _without(ranked: Ranked, hidden: frozenset[str]) -> Ranked:
    reasons = (*(reason for reason in ranked.reasons if reason.code not in hidden), WITHHELD)
    return replace(ranked, reasons=reasons, score=sum(reason.weight for reason in reasons))


def _distance(ranked: Ranked) -> int:
    """How far it is from where the person stands, as its reasons have it."""
    for reason in ranked.reasons:
        match reason.code:
            case "next_rung":
                return 1
            case "rungs_skipped":
                return (reason.count or 0) + 1
            case "rungs_down":
                return -(reason.count or 0)
            case _:
                pass
    return 0
