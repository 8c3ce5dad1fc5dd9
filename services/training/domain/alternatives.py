"""Another course run for somebody whose seat a change took or worsened: which, in which order, and why not the others.

Nothing is looked up here, and nobody's level or flag is known: the same rows give the same answer, with its reasons.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.training.domain.quota import DELEGATED, GENERAL, PRIORITY, Course, Held, Pool, request_seat
from services.training.domain.trial import Step

Days = tuple[date, date]
"""First and last day."""
MOST = 3
"""So many are offered: a person can compare three, and the counsellor can look for more."""


class Why(StrEnum):
    """Why a course run is offered."""

    OWN_TOWN = "own_town"
    SAME_SITE = "same_site"
    NEIGHBOUR = "neighbour"
    ONLINE = "online"
    OWN_SEATS = "own_seats"
    TARGET_GROUP_SEATS = "target_group_seats"
    GENERAL_SEATS = "general_seats"
    BEFORE_BENEFIT_ENDS = "before_benefit_ends"
    SAME_HOST = "same_host"
    """Of a trial place: the host workplace that the person knows."""
    STEP_BELOW = "step_below"
    """Of a trial place: where the same step has none."""


class WhyNot(StrEnum):
    """Why a course run of the same field is not; the first that applies."""

    ASKED_ALREADY = "asked_already"
    TOO_FAR = "too_far"
    STARTS_TOO_LATE = "starts_too_late"
    BENEFIT_ENDS_BEFORE = "benefit_ends_before"
    OVERLAPS_ANOTHER_SEAT = "overlaps_another_seat"
    NO_FREE_SEAT = "no_free_seat"


@dataclass(frozen=True, slots=True)
class Seeker:
    """Who needs another course run, as far as it matters to which one."""

    case_id: UUID
    municipality: str
    site_municipality: str
    """Where the course is that changed: somebody who would have gone there can."""
    starts_on: date
    busy: tuple[Days, ...] = ()
    """Days of the seats that the person has elsewhere."""
    asked: frozenset[UUID] = frozenset()
    """Course runs in which the person stands already."""
    benefit_ends_on: date | None = None
    target_groups: tuple[str, ...] = ()
    step: Step | None = None
    """Of the trial place that is wanted; a course has none."""
    host_workplace_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A course run of the same field that still takes people."""

    course: Course
    ends_on: date
    site_municipality: str
    online: bool
    pools: tuple[Pool, ...]
    host_workplace_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A course run with a free seat that the person may have, and why it is offered."""

    course_run_id: UUID
    starts_on: date
    days_apart: int
    free: int
    why: tuple[Why, ...]


@dataclass(frozen=True, slots=True)
class Unsuited:
    """A course run that is none for this person."""

    why: WhyNot


@dataclass(frozen=True, slots=True)
class Found:
    """The alternatives, best first, and how many others there were, by why they are none."""

    alternatives: tuple[Alternative, ...]
    others: Mapping[WhyNot, int]


def find_alternatives(
    seeker: Seeker,
    candidates: Sequence[Candidate],
    *,
    neighbours: Collection[str],
    within: timedelta,
    now: datetime,
) -> Found:
    """Near ones first, then the nearest start, then own seats before those that are for all."""
    judged = [judge(seeker, each, neighbours=neighbours, within=within, now=now) for each in candidates]
    found = sorted((each for each in judged if isinstance(each, Alternative)), key=_best_first)
    return Found(tuple(found[:MOST]), Counter(each.why for each in judged if isinstance(each, Unsuited)))


def judge(
    seeker: Seeker, candidate: Candidate, *, neighbours: Collection[str], within: timedelta, now: datetime
) -> Alternative | Unsuited:
    """Whether a course run is one for this person, and why."""
    course = candidate.course
    reach = _reach(seeker, candidate, neighbours)
    if course.id in seeker.asked:
        return Unsuited(WhyNot.ASKED_ALREADY)
    if reach is None:
        return Unsuited(WhyNot.TOO_FAR)
    if course.starts_on > seeker.starts_on + within:
        return Unsuited(WhyNot.STARTS_TOO_LATE)
    if seeker.benefit_ends_on is not None and course.starts_on > seeker.benefit_ends_on:
        return Unsuited(WhyNot.BENEFIT_ENDS_BEFORE)
    if overlaps((course.starts_on, candidate.ends_on), seeker.busy):
        return Unsuited(WhyNot.OVERLAPS_ANOTHER_SEAT)
    # As the door would decide: whoever is offered a seat must not overtake those who wait for it.
    town, groups = seeker.municipality, seeker.target_groups
    outcome = request_seat(course, candidate.pools, municipality=town, target_groups=groups, now=now)
    if not isinstance(outcome, Held):
        return Unsuited(WhyNot.NO_FREE_SEAT)
    seats = _SEATS[outcome.pool.kind]
    in_time = () if seeker.benefit_ends_on is None else (Why.BEFORE_BENEFIT_ENDS,)
    apart = abs((course.starts_on - seeker.starts_on).days)
    host = seeker.host_workplace_id
    known = (Why.SAME_HOST,) if host is not None and candidate.host_workplace_id == host else ()
    below = () if course.step is seeker.step else (Why.STEP_BELOW,)
    return Alternative(course.id, course.starts_on, apart, outcome.pool.free, (reach, seats, *in_time, *known, *below))


def overlaps(days: Days, others: Collection[Days]) -> bool:
    """Whether any of the others has a day of these; the last day of a course is still one of its days."""
    return any(days[0] <= last and first <= days[1] for first, last in others)


_SEATS = {DELEGATED: Why.OWN_SEATS, PRIORITY: Why.TARGET_GROUP_SEATS, GENERAL: Why.GENERAL_SEATS}
_NEAR = (Why.OWN_TOWN, Why.SAME_SITE, Why.NEIGHBOUR, Why.ONLINE)


def _reach(seeker: Seeker, candidate: Candidate, neighbours: Collection[str]) -> Why | None:
    site = candidate.site_municipality
    if site == seeker.municipality:
        return Why.OWN_TOWN
    if site == seeker.site_municipality:
        return Why.SAME_SITE
    if seeker.step is not None:
        return None  # a few hours at a time: in the person's town, or where they would have gone
    if site in neighbours:
        return Why.NEIGHBOUR
    return Why.ONLINE if candidate.online else None


def _best_first(each: Alternative) -> tuple[bool, bool, int, int, bool, UUID]:
    below, strange = Why.STEP_BELOW in each.why, Why.SAME_HOST not in each.why
    reach, seats = each.why[:2]
    return below, strange, _NEAR.index(reach), each.days_apart, seats is Why.GENERAL_SEATS, each.course_run_id
