"""Rerouting (再転): a receiver passes a referral to a better place, and the chain of places is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 4
"""Places in one chain. After so many somebody has to sit down with the person instead of sending them on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a referral of the chain went: an agency, with a programme or a course run."""

    agency: str
    target: object


@dataclass(frozen=True, slots=True)
class NotRerouted:
    """Why it can't go there: in_the_chain (it was there already: a cycle) or too_long."""

    reason: str


def reroute(chain: Sequence[Place], to: Place, *, sender: str) -> NotRerouted | None:
    """None: it may go there. The same agency twice is a cycle, unless it is another programme of who passes it on.

    The chain begins at its sender, who has seen the person, and is no place of those that are counted.
    """
    if len(chain) >= LONGEST:
        return NotRerouted("too_long")
    before = {sender, *(place.agency for place in chain[:-1])} - {chain[-1].agency}
    if any(place.target == to.target for place in chain) or to.agency in before:
        return NotRerouted("in_the_chain")
    return None
