"""The directory in memory, laid out by area and need, so that looking costs what is found and not what there is.

State to keep, without I/O: whoever feeds it knows when an entry has changed. Shelves are sorted, so that two processes
with the same directory find the same.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from uuid import UUID

from services.referral.domain.options import CourseRun, Option, Programme
from services.referral.domain.routing import Asked, answered_by
from services.referral.domain.routing_rules import Fact, RuleSet

SMALL = 200
"""In a region with no more options than that each is named."""
NAMED = 20
"""In a larger one, so many of each kind that can't take a case are named; the rest are counted."""
STILL_TOLD = timedelta(days=14)
"""A deadline just missed is worth knowing; older course runs are history."""
_ANY = ""
_Shelf = tuple[str, str]
"""An area (a town's code, a prefecture's own code as 46*, or all of its towns as 46), and a need or any."""
_Deadline = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Near:
    """What to look at one by one, and how many options of the region are further off."""

    options: tuple[Option, ...]
    beyond: int


@dataclass(slots=True)
class Directory:
    """Programmes and course runs by where and for what they are, and which towns are neighbours."""

    options: dict[int, Option] = field(default_factory=dict)
    neighbours: dict[str, frozenset[str]] = field(default_factory=dict)
    _programmes: dict[_Shelf, list[int]] = field(default_factory=dict)
    _courses: dict[str, list[_Deadline]] = field(default_factory=dict)

    def put(self, option: Option) -> None:
        """A new entry, or what it is now."""
        self.drop(option.id)
        self.options[option.id.int] = option
        if isinstance(option, Programme):
            for shelf in _shelves(option):
                insort(self._programmes.setdefault(shelf, []), option.id.int)
        else:
            for reach in _reaches(option):
                insort(self._courses.setdefault(reach, []), _deadline(option))

    def drop(self, option_id: UUID) -> None:
        """It is no longer there."""
        known = self.options.pop(option_id.int, None)
        if isinstance(known, Programme):
            for shelf in _shelves(known):
                numbers = self._programmes[shelf]
                del numbers[bisect_left(numbers, option_id.int)]
        elif known is not None:
            for reach in _reaches(known):
                places = self._courses[reach]
                del places[bisect_left(places, _deadline(known))]

    def near(self, asked: Asked, rules: RuleSet, now: datetime) -> Near:
        """Whatever may take the case, and of what can't the nearest, which a counsellor would ask about."""
        wanted = asked.wanted if rules.switched_on(Fact.NEEDS) else frozenset[str]()
        towns = [asked.municipality, *(asked.neighbours if rules.neighbours else ())]
        found = self._matching(towns, wanted)
        # An open referral is told even where the programme answers nothing that is on record now.
        found.update(target.int for target in asked.open_targets if self._is_programme(target))
        here = asked.municipality[:2]
        there = self._shelf(here, _ANY)
        told = self._told(asked, now)
        small = len(there) + len(told) <= SMALL
        named: set[int] = set(there) if small else set()
        if wanted and not small:
            own = (self._shelf(area, _ANY) for area in _areas_of(asked.municipality))
            named.update(_few(own, found))
        elsewhere = (self._shelf(here, need) for need in sorted(asked.wanted) or [_ANY])
        named.update(_few(elsewhere, found | named))
        looked_at = found | named
        beyond = len(there) - sum(_holds(there, each) for each in looked_at)
        courses = self._courses_near(asked, wanted, now, told, most=SMALL if small else NAMED)
        options = tuple(self.options[each] for each in sorted(looked_at | courses))
        return Near(options, beyond + len(told) - len(courses))

    def _matching(self, towns: Iterable[str], wanted: Collection[str]) -> set[int]:
        areas = {area for town in towns for area in _areas_of(town)}
        found: set[int] = set()
        for area in areas:
            for need in wanted or [_ANY]:
                found.update(self._shelf(area, need))
        return found

    def _told(self, asked: Asked, now: datetime) -> list[_Deadline]:
        """Courses in the prefecture, or with seats of the town's own, the nearest deadline first."""
        town = asked.municipality
        return sorted({place for reach in (town[:2], town) for place in self._open_since(reach, now - STILL_TOLD)})

    def _courses_near(
        self, asked: Asked, wanted: Collection[str], now: datetime, told: Sequence[_Deadline], *, most: int
    ) -> set[int]:
        """All that answer and are open, and a few others."""
        still = told[bisect_left(told, (now, 0)) :]
        if wanted and told and not answered_by(self.options[told[0][1]], wanted):
            still = []
        waits = {target.int for target in asked.open_targets}
        looked_at = {number for place, number in told if number in waits} | {number for _, number in still}
        looked_at.update(_few([[number for _, number in reversed(told)]], looked_at, most))
        return looked_at

    def _open_since(self, reach: str, moment: datetime) -> Sequence[_Deadline]:
        places = self._courses.get(reach, [])
        return places[bisect_right(places, (moment, 1 << 128)) :]

    def _shelf(self, area: str, need: str) -> Sequence[int]:
        return self._programmes.get((area, need), ())

    def _is_programme(self, target: UUID) -> bool:
        return isinstance(self.options.get(target.int), Programme)


def _few(shelves: Iterable[Sequence[int]], but: Collection[int], most: int = NAMED) -> set[int]:
    """The first of these shelves that are not known yet; no more is looked at than is known and named."""
    found: set[int] = set()
    for number in chain.from_iterable(shelves):
        if len(found) == most:
            break
        if number not in but:
            found.add(number)
    return found


def _holds(shelf: Sequence[int], number: int) -> bool:
    place = bisect_left(shelf, number)
    return place < len(shelf) and shelf[place] == number


def _shelves(programme: Programme) -> Iterator[_Shelf]:
    codes = programme.municipalities
    areas = {f"{code[:2]}*" if code[2:5] == "000" else code for code in codes} | {code[:2] for code in codes}
    return ((area, need) for area in areas for need in (_ANY, *programme.needs))


def _areas_of(town: str) -> tuple[str, str]:
    """Under which areas an entry lies that covers a town: `options.covers`, as shelves."""
    return town, f"{town[:2]}*"


def _reaches(course: CourseRun) -> set[str]:
    return {course.municipality[:2], *(pool.municipality for pool in course.pools if pool.municipality is not None)}


def _deadline(course: CourseRun) -> _Deadline:
    return course.applications_close_at, course.id.int
