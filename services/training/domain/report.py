"""What came of a year's training: what is counted, the rates made of it, and what of small counts may be said.

A year's report is about the course runs that began in that fiscal year, whenever the rest happened. Code, documents and
tests read the two tables here. Hidden counts can't be reckoned back from it, because what is shown to a
reader is reckoned from what is shown to that reader of the smallest parts.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from services.training.domain.outcomes import Ending, Left, Outcome

LEAST_SHOWN = 5
"""From so many persons on a count is shown to everybody, as on the map of functions; to be joined with its rule."""


class Origin(StrEnum):
    """Where a seat comes from (枠の種類)."""

    GENERAL = "general"
    DELEGATED = "delegated"
    PRIORITY = "priority"
    UNSHARED = "unshared"
    """Offered by the course run and in no pool yet: nobody can have it."""


class Dimension(StrEnum):
    """By what the report may be told apart."""

    ORIGIN = "origin"
    SYSTEM = "system"
    FIELD = "field"
    MUNICIPALITY = "municipality"
    """The person's own: capacity belongs to none, and so no rate is made of it."""
    TARGET_GROUP = "target_group"
    """For whom the person was named when asking (対象者): somebody may count in several. No capacity here, either."""


OF_NO_GROUP = "none"
"""Who was named for no target group."""
_OF_PERSONS = {Dimension.MUNICIPALITY, Dimension.TARGET_GROUP}


class Stage(StrEnum):
    """How far somebody came who asked for a seat."""

    NOT_ENROLLED = "not_enrolled"
    IN_TRAINING = "in_training"
    COMPLETED = "completed"
    LEFT = "left"
    LEFT_FOR_WORK = "left_for_work"


class Found(StrEnum):
    """What is on record for the day three months after the end."""

    NOT_DUE = "not_due"
    INSURED = "insured"
    EMPLOYED = "employed"
    """In work that is not insured employment, one's own included."""
    OTHERWISE = "otherwise"
    UNHEARD = "unheard"


_FOR_RATE = (Stage.COMPLETED, Stage.LEFT_FOR_WORK)
"""Whose work is asked for."""


class Known(NamedTuple):
    """What is on record about one request, as far as the report asks; `due`: the set day has come."""

    enrolled: bool
    ending: Ending | None = None
    for_work: bool = False
    due: bool = False
    outcome: Outcome | None = None

    @property
    def stage(self) -> Stage:
        """How far it came."""
        if not self.enrolled:
            return Stage.NOT_ENROLLED
        if self.ending is None:
            return Stage.IN_TRAINING
        if self.ending is Ending.COMPLETED:
            return Stage.COMPLETED
        return Stage.LEFT_FOR_WORK if self.for_work else Stage.LEFT

    @property
    def found(self) -> Found:
        """What came of it, asked of who completed or left for work; who could not be reached was not heard of."""
        if not self.due or self.stage not in _FOR_RATE:
            return Found.NOT_DUE
        return _FOUND.get(self.outcome, Found.OTHERWISE)


_FOUND: Mapping[Outcome | None, Found] = {
    None: Found.UNHEARD,
    Outcome.NOT_REACHED: Found.UNHEARD,
    Outcome.EMPLOYED_INSURED: Found.INSURED,
    Outcome.EMPLOYED: Found.EMPLOYED,
    Outcome.SELF_EMPLOYED: Found.EMPLOYED,
}


class Measure(StrEnum):
    """What is counted."""

    CAPACITY = "capacity"
    APPLICATIONS = "applications"
    ENROLLED = "enrolled"
    IN_TRAINING = "in_training"
    ENDED = "ended"
    COMPLETED = "completed"
    LEFT = "left"
    LOOKED_AT = "looked_at"
    EMPLOYED = "employed"
    EMPLOYED_INSURED = "employed_insured"
    UNHEARD = "unheard"


@dataclass(frozen=True, slots=True)
class Counted:
    """One measure: what it counts, and from which facts."""

    measure: Measure
    ja: str
    of: str
    source: str
    stages: Collection[Stage] = ()
    founds: Collection[Found] = tuple(Found)

    def holds(self, stage: Stage, found: Found) -> bool:
        """Whether it counts a request."""
        return stage in self.stages and found in self.founds


_ENDED = (Stage.COMPLETED, Stage.LEFT, Stage.LEFT_FOR_WORK)
_DUE = (Found.INSURED, Found.EMPLOYED, Found.OTHERWISE, Found.UNHEARD)
MEASURES = (
    Counted(Measure.CAPACITY, "定員", "seats offered", "seat_entry: open, close, grant, return"),
    Counted(
        Measure.APPLICATIONS, "応募者数", "persons in a course run, also who gave the place back", "seat_request",
        tuple(Stage),
    ),
    Counted(Measure.ENROLLED, "入校者数", "requests with an enrolment", "enrolment", (Stage.IN_TRAINING, *_ENDED)),
    Counted(Measure.IN_TRAINING, "受講中", "enrolled, no end on record", "enrolment", (Stage.IN_TRAINING,)),
    Counted(Measure.ENDED, "訓練を終えた者", "enrolled, an end on record", "training_end", _ENDED),
    Counted(Measure.COMPLETED, "修了者数", "completed", "training_end", (Stage.COMPLETED,)),
    Counted(
        Measure.LEFT, "中途退校者数", "left, for work or otherwise", "training_end",
        (Stage.LEFT, Stage.LEFT_FOR_WORK),
    ),
    Counted(
        Measure.LOOKED_AT, "就職状況の対象者数", "completed or left for work, and three months have passed",
        "training_end", _FOR_RATE, _DUE,
    ),
    Counted(
        Measure.EMPLOYED, "就職者数", "of these in work three months after the end", "employment_outcome",
        _FOR_RATE, (Found.INSURED, Found.EMPLOYED),
    ),
    Counted(
        Measure.EMPLOYED_INSURED, "就職者数(雇用保険適用)", "of these in insured employment", "employment_outcome",
        _FOR_RATE, (Found.INSURED,),
    ),
    Counted(
        Measure.UNHEARD, "就職状況不明", "of these nothing on record, or not reached", "employment_outcome",
        _FOR_RATE, (Found.UNHEARD,),
    ),
)  # fmt: skip
"""What stands last counts: what was corrected doesn't."""
COUNTED = {each.measure: each for each in MEASURES}


class RateName(StrEnum):
    """What is made of the counts."""

    APPLICATION_RATIO = "application_ratio"
    FILL_RATE = "fill_rate"
    COMPLETION_RATE = "completion_rate"
    EMPLOYMENT_RATE = "employment_rate"
    INSURED_EMPLOYMENT_RATE = "insured_employment_rate"


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate: a measure over another, rounded once, half up."""

    name: RateName
    ja: str
    numerator: Measure
    denominator: Measure
    scale: int = 100
    digits: int = 1

    def of(self, numerator: int, denominator: int) -> Decimal | None:
        """Exact until it is rounded; of nothing there is no rate."""
        if denominator == 0:
            return None
        scale = self.scale * 10**self.digits
        rounded: int = (2 * numerator * scale + denominator) // (2 * denominator)
        return Decimal(rounded).scaleb(-self.digits)


RATES = (
    Rate(RateName.APPLICATION_RATIO, "応募倍率", Measure.APPLICATIONS, Measure.CAPACITY, scale=1, digits=2),
    Rate(RateName.FILL_RATE, "定員充足率", Measure.ENROLLED, Measure.CAPACITY),
    Rate(RateName.COMPLETION_RATE, "修了率", Measure.COMPLETED, Measure.ENDED),
    Rate(RateName.EMPLOYMENT_RATE, "就職率", Measure.EMPLOYED, Measure.LOOKED_AT),
    Rate(RateName.INSURED_EMPLOYMENT_RATE, "就職率(雇用保険適用)", Measure.EMPLOYED_INSURED, Measure.LOOKED_AT),
)


@dataclass(frozen=True, slots=True)
class Count:
    """A count as a reader sees it: exactly, or only that it is at least so many."""

    count: int | None
    at_least: int


def show(persons: int, *, own: bool) -> Count:
    """A smallest part, for a reader whose business it is, or is not."""
    return Count(persons, persons) if own or persons == 0 or persons >= LEAST_SHOWN else Count(None, 1)


class Place(NamedTuple):
    """Which cell: what is None is not told apart."""

    origin: str | None = None
    system: str | None = None
    field: str | None = None
    municipality: str | None = None
    target_group: str | None = None

    @classmethod
    def of(cls, by: Collection[Dimension], part: "Persons | Seats") -> "list[Place]":
        """The cells of a part, one for each of its groups; what the reader is not told stands together without any."""
        told = {"origin": part.origin, "system": part.system, "field": part.field}
        groups: Iterable[str | None] = (None,)
        if isinstance(part, Persons):
            told |= {} if part.municipality is None else {"municipality": part.municipality}
            if Dimension.TARGET_GROUP in by and part.target_groups is not None:
                groups = part.target_groups or (OF_NO_GROUP,)
        place = cls(**{name: value for name, value in told.items() if name in by})
        return [place._replace(target_group=group) for group in groups]


class Persons(NamedTuple):
    """A smallest part: so many requests of which the same is known. `own`: the reader's business.

    Of others' neither municipality nor target groups are told, so that a part is all of them together. A school is
    told no groups: how it trains a person doesn't depend on them.
    """

    prefecture: str
    origin: str
    system: str
    field: str
    municipality: str | None
    target_groups: tuple[str, ...] | None
    own: bool
    known: Known
    persons: int


class Seats(NamedTuple):
    """So many seats of one kind."""

    prefecture: str
    origin: str
    system: str
    field: str
    seats: int


@dataclass(slots=True)
class Cell:
    """A line of the report."""

    place: Place
    seats: int | None = 0
    """None where persons are told apart by what is their own: seats that are open to all belong to nobody's."""
    exact: dict[Measure, bool] = field(default_factory=lambda: defaultdict(lambda: True))
    at_least: dict[Measure, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, measure: Measure, part: Count) -> None:
        """A sum is exact only if every part of it is."""
        self.at_least[measure] += part.at_least
        self.exact[measure] &= part.count is not None

    def count(self, measure: Measure) -> Count | None:
        """None where it can't be told."""
        if measure is Measure.CAPACITY:
            return None if self.seats is None else Count(self.seats, self.seats)
        least = self.at_least[measure]
        return Count(least if self.exact[measure] else None, least)

    def rate(self, rate: Rate) -> Decimal | None:
        """Of exact counts only."""
        above, below = self.count(rate.numerator), self.count(rate.denominator)
        if above is None or below is None or above.count is None or below.count is None:
            return None
        return rate.of(above.count, below.count)


def tell(persons: Iterable[Persons], seats: Iterable[Seats], by: Collection[Dimension]) -> Sequence[Cell]:
    """The report, cell by cell, in order. Without any part there is one cell, of nothing, if nothing is told apart."""
    by_persons = not _OF_PERSONS.isdisjoint(by)
    cells: dict[Place, Cell] = {} if by else {Place(): Cell(Place())}
    for (place, measures), (least, exact) in _shown(persons, by).items():
        cell = _cell(cells, place)
        for measure in measures:
            cell.add(measure, Count(least if exact else None, least))
    for each in () if by_persons else seats:
        for place in Place.of(by, each):
            cell = _cell(cells, place)
            cell.seats = (cell.seats or 0) + each.seats
    if by_persons:
        for cell in cells.values():
            cell.seats = None
    return [cells[place] for place in sorted(cells, key=lambda place: tuple(value or "" for value in place))]


def _shown(
    persons: Iterable[Persons], by: Collection[Dimension]
) -> Mapping[tuple[Place, frozenset[Measure]], tuple[int, bool]]:
    """By cell and what they count in: the sum of what is shown of the smallest parts, and whether all of it is exact.

    A nation's year has tens of thousands of parts: they are added up here before they are told apart by measure.
    """
    places: dict[tuple[object, ...], Sequence[Place]] = {}
    sums: dict[tuple[Place, frozenset[Measure]], tuple[int, bool]] = {}
    for part, measures, together in _smallest(persons):
        cells = places.get(part[1:6])
        if cells is None:
            cells = places[part[1:6]] = Place.of(by, part)
        shown = show(together, own=part.own)
        for place in cells:
            least, exact = sums.get((place, measures), (0, True))
            sums[place, measures] = (least + shown.at_least, exact and shown.count is not None)
    return sums


def _smallest(persons: Iterable[Persons]) -> Iterable[tuple[Persons, frozenset[Measure], int]]:
    """By what they count in: nothing that is known beyond that makes a smaller part."""
    sums: dict[tuple[object, ...], tuple[Persons, frozenset[Measure], int]] = {}
    for part in persons:
        measures = _measures_of(part.known)
        key = part[:7], measures
        same = sums.get(key)
        sums[key] = (part, measures, part.persons + (same[2] if same else 0))
    return sums.values()


def _cell(cells: dict[Place, Cell], place: Place) -> Cell:
    return cells.setdefault(place, Cell(place))


@cache
def _measures_of(known: Known) -> frozenset[Measure]:
    stage, found = known.stage, known.found
    return frozenset(each.measure for each in MEASURES if each.holds(stage, found))


@cache
def known_of(code: str) -> Known:
    """What is known, from its code: `enrolled|ending|for work|due|outcome`, empty for what is not."""
    enrolled, ending, for_work, due, outcome = code.split("|")
    return Known(
        enrolled == "true",
        Ending(ending) if ending else None,
        for_work == "true",
        due == "true",
        Outcome(outcome) if outcome else None,
    )


def codes_of(measure: Measure) -> list[str]:
    """Every code that a measure counts."""
    told = ("false", "true")
    every = [
        f"{enrolled}|{ending}|{for_work}|{due}|{outcome}"
        for enrolled in told
        for ending in ("", *Ending)
        for for_work in told
        for due in told
        for outcome in ("", *Outcome)
    ]
    return [code for code in every if measure in _measures_of(known_of(code))]


FOR_WORK = Left.FOUND_WORK
"""Who left for it counts among those whose work is asked for."""
