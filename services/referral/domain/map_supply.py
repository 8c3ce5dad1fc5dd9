"""What there is of each kind of support: programmes of the directory, and seats of course runs (訓練コースの開講)."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from services.referral.domain.directory import is_stale
from services.referral.domain.options import Capacity, Pool, Stage, room_today
from services.referral.domain.routing import answered_by_course


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The numbers of the rules; a snapshot keeps those by which it was drawn."""

    stale_days: int = 180
    """An entry that nobody has confirmed for longer is not relied upon."""
    unnumbered_places: int = 3
    """"Has room" without a number counts for so many places."""
    turned_away: int = 3
    """So many refusals for lack of room in the period, and room on paper is not believed."""
    lenders: int = 5
    """So many municipalities are named, of whom something may be borrowed."""


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """支援の種類: a function at a stage of the ladder, in one of the six strands."""

    function: str
    stage: str
    strand: int


UNANSWERED = Kind("none", "none", 0)
"""Needs that nothing in the region answers, and whole cases for which nobody was found."""

_PUBLIC = Kind("vocational_training", Stage.VOCATIONAL_TRAINING.value, 3)
_WITH_DISABILITY = Kind("vocational_training", Stage.VOCATIONAL_TRAINING.value, 2)
_JOB_SEEKER = Kind("job_seeker_training", Stage.VOCATIONAL_TRAINING.value, 5)
COURSE_KINDS = {
    "public_in_house": _PUBLIC,
    "public_commissioned": _PUBLIC,
    "commissioned_disability": _WITH_DISABILITY,
    "disability_school": _WITH_DISABILITY,
    "job_seeker_basic": _JOB_SEEKER,
    "job_seeker_practical": _JOB_SEEKER,
}
"""Which kind of support a training system (訓練種別) is, in the directory's own words: a course and a programme of the
same kind stand in one cell.

The strand is that of the law and the purse behind it. Public training (公共職業訓練) is a business of employment
insurance (3); training for people with disabilities goes with their social services (2); training for job seekers has
an Act of its own (求職者支援法, 5). That is the same everywhere, so that no region is asked for it. A system that is
not here is no supply: nobody could say of what.
"""

_UNSAID = frozenset({Capacity.UNKNOWN, Capacity.ASK_FIRST})
"""Words that say nothing of room; who is told to ask knows no more than before."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A programme as the map sees it; `area` holds codes as they were entered, a prefecture's own among them."""

    id: UUID
    kind: Kind
    area: frozenset[str]
    needs: frozenset[str]
    capacity: str
    free: int | None
    confirmed_on: date
    capacity_confirmed_on: date | None = None
    starts_on: date | None = None
    ends_on: date | None = None

    def runs(self, today: date) -> bool:
        """Whether it is offered on that day."""
        return (self.starts_on is None or self.starts_on <= today) and (self.ends_on is None or self.ends_on >= today)

    def is_stale(self, today: date, by: Thresholds) -> bool:
        """Whether nobody vouches for it today."""
        return is_stale(self.confirmed_on, today, by.stale_days)

    def room(self, today: date) -> Capacity:
        """What is known of its room today, as in the directory and in routing."""
        return room_today(Capacity(self.capacity), self.capacity_confirmed_on, today)

    def places(self, today: date, by: Thresholds) -> int:
        """Free places that can be relied upon. Not known, or not known any more, is not room."""
        if self.room(today) is not Capacity.HAS_ROOM or self.is_stale(today, by):
            return 0
        return by.unnumbered_places if self.free is None else self.free


@dataclass(frozen=True, slots=True)
class Seats:
    """A pool (枠) of a course run: of one municipality or several, where delegated; else of the site's prefecture."""

    course_run_id: UUID
    system: str
    site: str
    closes_at: datetime
    pool: Pool

    def are_open(self, now: datetime) -> bool:
        """Whether anybody may still apply; the deadline itself is in time. A pool of no seats is for nobody."""
        return now <= self.closes_at and self.pool.granted > 0


class RecordKind(StrEnum):
    """What kind of record stands behind a number."""

    PROGRAMME = "programme"
    COURSE_RUN = "course_run"
    CASE = "case"
    REFERRAL = "referral"
    NEED_UNMET = "need_unmet"


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """A record that a number counts."""

    id: UUID
    what: RecordKind


@dataclass(frozen=True, slots=True)
class Part:
    """A programme, or one pool of a course run: places that the same municipalities share."""

    of: Record
    kind: Kind
    towns: frozenset[str]
    needs: frozenset[str]
    """Empty for a course, which helps with whatever a course helps with."""
    places: int
    stale: bool = False
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Supply:
    """What there is for a municipality. A course run is one programme, however many of its pools are there."""

    programmes: int = 0
    with_room: int = 0
    stale: int = 0
    unknown: int = 0
    places: int = 0


_NOTHING = Supply()


def parts_of(
    offers: Iterable[Offer],
    seats: Iterable[Seats],
    municipalities: Collection[str],
    *,
    today: date,
    now: datetime,
    by: Thresholds,
) -> list[Part]:
    """Everything that may be used now by people of these municipalities."""
    area = _areas(municipalities)
    parts = [_programme(offer, area(offer.area), today, by) for offer in offers if offer.runs(today)]
    parts += [_pool(each, area, COURSE_KINDS[each.system]) for each in seats if _counts(each, now)]
    return [part for part in parts if part.towns]


def answers(parts: Iterable[Part], asked: Collection[str]) -> frozenset[str]:
    """The needs that these answer; `asked`: all that anybody has, of which a course helps with many."""
    found: set[str] = set()
    any_course = False
    for part in parts:
        found |= part.needs
        any_course = any_course or part.of.what is RecordKind.COURSE_RUN
    return frozenset(found) | (answered_by_course(asked) if any_course else frozenset())


def supply_of(parts: Collection[Part]) -> Supply:
    """What these are together, to a municipality that all of them serve."""
    if not parts:
        return _NOTHING
    return Supply(
        programmes=len({part.of for part in parts}),
        with_room=len({part.of for part in parts if part.places}),
        stale=sum(part.stale for part in parts),
        unknown=sum(part.unknown for part in parts),
        places=sum(part.places for part in parts),
    )


def _counts(seats: Seats, now: datetime) -> bool:
    return seats.system in COURSE_KINDS and seats.are_open(now)


def _programme(offer: Offer, towns: frozenset[str], today: date, by: Thresholds) -> Part:
    places, stale = offer.places(today, by), offer.is_stale(today, by)
    unknown = not stale and offer.room(today) in _UNSAID
    return Part(Record(offer.id, RecordKind.PROGRAMME), offer.kind, towns, offer.needs, places, stale, unknown)


def _pool(seats: Seats, area: "_Area", kind: Kind) -> Part:
    """Its room is the ledger's own word of this moment: never stale, and never unknown."""
    towns = area(seats.pool.whose or [f"{seats.site[:2]}000"])
    return Part(Record(seats.course_run_id, RecordKind.COURSE_RUN), kind, towns, frozenset(), seats.pool.free)


_Area = Callable[[Iterable[str]], frozenset[str]]


def _areas(municipalities: Collection[str]) -> _Area:
    """Which of these municipalities an area holds: `options.covers`, for many at once."""
    known, within = frozenset(municipalities), dict[str, frozenset[str]]()
    for prefecture in {town[:2] for town in known}:
        within[prefecture] = frozenset(town for town in known if town[:2] == prefecture)

    def area(codes: Iterable[str]) -> frozenset[str]:
        whole = [within.get(code[:2], frozenset()) for code in codes if code[2:5] == "000"]
        return known.intersection(codes).union(*whole)

    return area
