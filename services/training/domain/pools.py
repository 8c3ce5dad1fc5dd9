"""Which decision grants which seats of a course run to whom: delegated pools (委ねる枠) rest on allotments in force.

A pool belongs to one allotment for good, so that each seat in it says by which decision it was granted. What is in
force, and what an allotment has left, is looked up for one moment and given here. `training_0007` refuses the same in
SQL, whatever is decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from services.training.domain.decisions import Selector
from services.training.domain.offers import Denied
from services.training.domain.plan import fiscal_quarter
from services.training.domain.quota import AT, Pool

NO_DECISION = "no_decision_in_force"
ALLOTTED_ALREADY = "more_than_allotted"
CUT_OFF = "cut_off_passed"


@dataclass(frozen=True, slots=True)
class Run:
    """A course run, as far as allotments choose among course runs."""

    prefecture: str
    course_number: str
    system: str
    field: str
    starts_on: date


@dataclass(frozen=True, slots=True)
class Allotted:
    """An allotment in force: to whom, of which course runs, and how many of its seats are in no pool yet.

    What was granted under a decision that it supersedes, or that superseded it, counts in its number too.
    """

    id: UUID
    prefecture: str
    municipalities: frozenset[str]
    selector: Selector
    room: int
    cut_off: bool = False
    """Whether its cut-off (枠の戻る日) has passed: what went back to all is not delegated by it once more."""

    def grants(self, run: Run, municipalities: Sequence[str]) -> bool:
        """Whether it speaks of these seats: to these municipalities, by themselves or some of those that it names."""
        return run.prefecture == self.prefecture and self.municipalities >= set(municipalities) and self._covers(run)

    def _covers(self, run: Run) -> bool:
        wanted = self.selector
        if wanted.course_number is not None:
            return wanted.course_number == run.course_number
        fiscal_year, quarter = fiscal_quarter(run.starts_on)
        return wanted.fiscal_year == fiscal_year and all(
            asked is None or asked == is_
            for asked, is_ in ((wanted.system, run.system), (wanted.field, run.field), (wanted.quarter, quarter))
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where seats are: the pool of a municipality or of several (joined by +) on an allotment; for target groups
    (after an @); or for all."""

    whose: str | None
    allotment_id: UUID | None
    onward_step: int | None = None
    """Which of those that the allotment names next."""
    agreement_id: UUID | None = None

    @property
    def target_groups(self) -> str | None:
        """For which target groups, joined by +."""
        return self.whose.removeprefix(AT) if self.whose is not None and self.whose.startswith(AT) else None

    @classmethod
    def of(cls, pool: Pool) -> "Place":
        """Where this pool is."""
        return cls(pool.whose, pool.decision_allotment_id, pool.onward_step, pool.agreement_id)


FOR_ALL = Place(None, None)


@dataclass(frozen=True, slots=True)
class Bound:
    """So many seats more or, below zero, fewer in each place; and what the allotments have left then."""

    deltas: Mapping[Place, int]
    allotted: Sequence[Allotted]


def bind_seats(
    run: Run, deltas: Mapping[str | None, int], pools: Sequence[Pool], allotted: Sequence[Allotted]
) -> Bound | Denied:
    """Find for what each municipality gets or gives the decision that grants it, or the pool that it comes from.

    An allotment for exactly these municipalities comes before one that names others too, and one for this course run
    before one for many.
    """
    bound: dict[Place, int] = {}
    left = {each.id: each for each in allotted}
    for whose, more in sorted(deltas.items(), key=lambda item: item[1]):
        if whose is None or whose.startswith(AT):
            bound[Place(whose, None)] = more
            continue
        if more > 0:
            granting = _granting(run, whose, left)
            # Below nothing where a new number is less than what is taken under the one before.
            if sum(max(0, each.room) for each in granting) < more:
                return Denied(_why_not(run, whose, left), "delegated")
            moved = _take(more, whose, granting)
        else:
            moved = _give(-more, [pool for pool in pools if pool.whose == whose and not pool.is_moved])
        bound |= moved
        left = _after(left, moved)
    return Bound(bound, list(left.values()))


def settle(run: Run, stranded: Sequence[Pool], allotted: Sequence[Allotted]) -> Bound:
    """Where seats go that nobody has, and whose decision is in force no more.

    They stay delegated as far as a decision in force grants them to the same municipalities; the rest is for all.
    `allotted`: what is left once these seats were returned.
    """
    bound: dict[Place, int] = {}
    left = {each.id: each for each in allotted}
    for pool in stranded:
        assert pool.whose is not None
        moved = _take(pool.free, pool.whose, _granting(run, pool.whose, left))
        left = _after(left, moved)
        for place, seats in {**moved, FOR_ALL: pool.free - sum(moved.values())}.items():
            bound[place] = bound.get(place, 0) + seats
    return Bound({place: seats for place, seats in bound.items() if seats}, list(left.values()))


def _granting(run: Run, whose: str, allotted: Mapping[UUID, Allotted]) -> list[Allotted]:
    municipalities = whose.split("+")

    def nearest(each: Allotted) -> tuple[bool, bool, UUID]:
        return len(each.municipalities) > len(municipalities), each.selector.course_number is None, each.id

    granting = (each for each in allotted.values() if not each.cut_off and each.grants(run, municipalities))
    return sorted(granting, key=nearest)


def _why_not(run: Run, whose: str, allotted: Mapping[UUID, Allotted]) -> str:
    if _granting(run, whose, allotted):
        return ALLOTTED_ALREADY
    return CUT_OFF if any(each.grants(run, whose.split("+")) for each in allotted.values()) else NO_DECISION


def _take(seats: int, whose: str, granting: Sequence[Allotted]) -> dict[Place, int]:
    """As many as there are, from one after the other."""
    taken: dict[Place, int] = {}
    for each in granting:
        taken[Place(whose, each.id)] = min(seats, max(0, each.room))
        seats -= taken[Place(whose, each.id)]
    return {place: seats for place, seats in taken.items() if seats}


def _give(seats: int, pools: Sequence[Pool]) -> dict[Place, int]:
    """From where nothing new is granted first."""
    given: dict[Place, int] = {}
    for pool in sorted(pools, key=lambda pool: (pool.decision_allotment_id is not None, pool.in_force, pool.id)):
        given[Place.of(pool)] = -min(seats, pool.free)
        seats += given[Place.of(pool)]
    return {place: seats for place, seats in given.items() if seats}


def _after(allotted: Mapping[UUID, Allotted], moved: Mapping[Place, int]) -> dict[UUID, Allotted]:
    left = dict(allotted)
    for place, seats in moved.items():
        if place.allotment_id in left:
            left[place.allotment_id] = replace(left[place.allotment_id], room=left[place.allotment_id].room - seats)
    return left
