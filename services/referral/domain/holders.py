"""Who holds a case (担当), where intake's word of a hand-over comes after what followed on it here."""

from collections.abc import Iterable
from dataclasses import dataclass

ACCEPTS = frozenset({"accept", "overrule_forward"})
"""Moves by which somebody takes a case on, or another for them."""
TAKING = ACCEPTS | {"enrol"}
"""Steps by which somebody takes a case on: of a course run, training tells."""


@dataclass(frozen=True, slots=True)
class HandOn:
    """An acceptance that moves the case: from whom, to whom."""

    sender: str
    receiver: str


def handed_on(holder: str, since: Iterable[HandOn]) -> str:
    """Who holds it by now: each acceptance since then, in their order, moves it on if its sender held it."""
    for each in since:
        if each.sender == holder:
            holder = each.receiver
    return holder
