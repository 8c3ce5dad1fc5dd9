"""Who holds a case (担当), where intake's word of it comes after what was accepted here since."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

ACCEPTS = frozenset({"accept", "overrule_forward"})
"""Moves by which somebody takes a case on, or another for them."""
TAKING = ACCEPTS | {"enrol"}
"""Steps by which somebody takes a case on: of a course run, training tells."""


@dataclass(frozen=True, slots=True)
class HandOn:
    """An acceptance that moves the case: from whom, to whom."""

    sender: str
    receiver: str


def still_ahead(ahead: Sequence[UUID], answered: UUID | None) -> list[UUID]:
    """What intake has yet to hear of, in order: it hears in order, so that what it answers answers all before."""
    return list(ahead[ahead.index(answered) + 1 :] if answered in ahead else ahead)


def handed_on(holder: str, ahead: Iterable[HandOn]) -> str:
    """Who holds it by now: each acceptance that intake has yet to hear of moves it on, if its sender held it."""
    for each in ahead:
        if each.sender == holder:
            holder = each.receiver
    return holder


def has_handed_on(holder: str, ahead: Iterable[HandOn]) -> bool:
    """Whether an acceptance that intake has yet to hear of took it on from this holder, wherever it came since."""
    return any(each.sender == holder != each.receiver for each in ahead)
