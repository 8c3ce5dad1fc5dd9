"""Several eyes: each member rates alone and unseen, all levels stand side by side afterwards, and one is agreed.

Who sees another's levels first no longer says their own. So nothing of them is told, by nobody and nowhere, until all
are in or the chair closes; and the difference is kept afterwards, with both reasons.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from services.assessment.domain.instruments import Answer


@dataclass(frozen=True, slots=True, order=True)
class Seat:
    """A member's place: an agency, and the profession with which it looks."""

    agency: str
    profession: str


class State(StrEnum):
    """How far a joint rating has come."""

    RATING = "rating"
    SIDE_BY_SIDE = "side_by_side"
    AGREED = "agreed"


@dataclass(frozen=True, slots=True)
class Joint:
    """A joint rating: who is asked, and who has answered."""

    chair: str
    seats: frozenset[Seat]
    state: State = State.RATING
    given: frozenset[Seat] = frozenset()

    @property
    def waiting(self) -> frozenset[Seat]:
        """Whose levels are not in. The chair may know, to remind them; it says nothing of levels."""
        return self.seats - self.given


@dataclass(frozen=True, slots=True)
class Went:
    """So it stands now."""

    joint: Joint


@dataclass(frozen=True, slots=True)
class Refused:
    """It can't be: not_a_member, given_already, closed, still_hidden, not_the_chair, agreed_already, nobody_rated."""

    reason: str


def give(joint: Joint, seat: Seat) -> Went | Refused:
    """A member's levels, once. With the last of them all become visible."""
    if seat not in joint.seats:
        return Refused("not_a_member")
    if joint.state is not State.RATING:
        return Refused("closed")
    if seat in joint.given:
        return Refused("given_already")
    given = joint.given | {seat}
    return Went(replace(joint, given=given, state=State.SIDE_BY_SIDE if given == joint.seats else State.RATING))


def close(joint: Joint, *, by: str) -> Went | Refused:
    """The chair ends the rating: who has not answered by now does not."""
    if by != joint.chair:
        return Refused("not_the_chair")
    if joint.state is not State.RATING:
        return Refused("closed")
    return Went(replace(joint, state=State.SIDE_BY_SIDE)) if joint.given else Refused("nobody_rated")


def agree(joint: Joint, *, by: str) -> Went | Refused:
    """One level for each item, after all were seen. There is no second one: who was wrong rates anew."""
    if by != joint.chair:
        return Refused("not_the_chair")
    if joint.state is State.RATING:
        return Refused("still_hidden")
    return Refused("agreed_already") if joint.state is State.AGREED else Went(replace(joint, state=State.AGREED))


def seen_by(joint: Joint, agency: str, given: Mapping[Seat, Answer]) -> Mapping[Seat, Answer]:
    """Whose levels an agency sees: its own, and the others' once nobody can be led by them any more."""
    if joint.state is not State.RATING:
        return given
    return {seat: answer for seat, answer in given.items() if seat.agency == agency}


WIDE = 2


@dataclass(frozen=True, slots=True)
class Gap:
    """An item that two members saw two levels apart, or more; whose reasons stand beside it."""

    item: str
    lowest: int
    highest: int
    low: tuple[Seat, ...]
    high: tuple[Seat, ...]


def gaps(given: Mapping[Seat, Answer], items: Iterable[str]) -> list[Gap]:
    """Where the members differ by two levels or more. It is shown, and not averaged away."""
    found = []
    for item in items:
        levels = {seat: answer.levels[item] for seat, answer in given.items() if item in answer.levels}
        if not levels:
            continue
        lowest, highest = min(levels.values()), max(levels.values())
        if highest - lowest >= WIDE:
            found.append(Gap(item, lowest, highest, _at(levels, lowest), _at(levels, highest)))
    return found


def _at(levels: Mapping[Seat, int], level: int) -> tuple[Seat, ...]:
    return tuple(sorted(seat for seat, seen in levels.items() if seen == level))


def pairs(given: Mapping[Seat, Answer]) -> list[tuple[Seat, Seat]]:
    """Every two agencies that looked at the same person: what agreement is counted from, never two of one agency."""
    seats: Collection[Seat] = sorted(given)
    return [(one, other) for one in seats for other in seats if one.agency < other.agency]
