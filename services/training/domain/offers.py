"""What a course run offers: its capacity, shared out to pools. Nobody loses a seat that is taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from services.training.domain.quota import Pool


@dataclass(frozen=True, slots=True)
class CourseOffer:
    """A course run as its planner wants it to stand in the catalogue, with the seats delegated to municipalities."""

    course_number: str
    title: str
    provider_agency: str
    site_municipality: str
    system: str
    field: str
    starts_on: date
    ends_on: date
    applications_close_at: datetime
    capacity: int
    hold_hours: int
    source: str
    checked_on: date
    delegated: Mapping[str, int]

    @property
    def prefecture(self) -> str:
        """The two digits of the site's prefecture."""
        return self.site_municipality[:2]


@dataclass(frozen=True, slots=True)
class Granted:
    """What each pool is to be granted more (or, below zero, less). New pools stand under their municipality."""

    deltas: Mapping[str | None, int]


@dataclass(frozen=True, slots=True)
class Denied:
    """The offer contradicts itself, or what people already have; `about` names the field."""

    reason: str
    about: str


def offer_course_run(offer: CourseOffer, pools: Sequence[Pool]) -> Granted | Denied:
    """Share the capacity out: what is delegated to municipalities, and the rest for all. Nobody loses a taken seat."""
    if offer.ends_on < offer.starts_on:
        return Denied("ends_before_it_starts", "ends_on")
    if sum(offer.delegated.values()) > offer.capacity:
        return Denied("delegated_above_capacity", "delegated")
    wanted: dict[str | None, int] = {pool.municipality: 0 for pool in pools}
    wanted.update(offer.delegated.items())
    wanted[None] = offer.capacity - sum(offer.delegated.values())
    standing = {pool.municipality: pool for pool in pools}
    for municipality, seats in wanted.items():
        pool = standing.get(municipality)
        if pool is None:
            continue
        about = "capacity" if municipality is None else "delegated"
        if seats < pool.taken:
            return Denied("below_what_is_taken", about)
        if seats == 0 and pool.waiting > 0:
            # They would stand in a line that no seat ever comes to.
            return Denied("people_wait_for_these_seats", about)
    before = {municipality: pool.granted for municipality, pool in standing.items()}
    return Granted({municipality: seats - before.get(municipality, 0) for municipality, seats in wanted.items()})
