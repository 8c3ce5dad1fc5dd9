"""What a course run offers: its capacity, shared out to pools. Nobody loses a seat that is taken."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as made
from datetime import date, datetime, time
from uuid import UUID

from services.training.domain.quota import AT, Pool
from services.training.domain.trial import TRIAL, misfit


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
    hold_hours: int | None
    source: str
    checked_on: date
    delegated: Mapping[str, int]
    """Seats by whose they are: a municipality's code, or several in their order, joined by +."""
    min_enrolment: int | None = None
    """With fewer it may be cancelled (最少開講人数)."""
    cancel_decision_on: date | None = None
    """The day on which that is decided (中止決定日)."""
    hold_days: int | None = None
    """How long a seat is held, in working days; instead of hours."""
    offer_days: int = 3
    """Working days in which a seat that is offered out of the line may be accepted."""
    priority: Mapping[str, int] = made(default_factory=dict)
    """Seats kept for target groups (優先枠), by their code, or several in their order, joined by +."""
    priority_opens_at: datetime | None = None
    """When what nobody of them claimed is open to all; None: when applications close."""
    host_workplace_id: UUID | None = None
    """職親, as the directory knows it, of a trial place; `field` is the step then."""
    host_workplace_name: str | None = None
    from_time: time | None = None
    """The hours of each of its days, in Japan."""
    until_time: time | None = None

    @property
    def prefecture(self) -> str:
        """The two digits of the site's prefecture."""
        return self.site_municipality[:2]

    @property
    def kept(self) -> Mapping[str, int]:
        """The seats that are not for all, by whose they are."""
        return dict(self.delegated) | {AT + groups: seats for groups, seats in self.priority.items()}

    @property
    def shared_as(self) -> str:
        """The same in one word, by which a file is known that says it again."""
        return " ".join(f"{whose}:{seats}" for whose, seats in sorted(self.kept.items()))

    @property
    def is_trial(self) -> bool:
        """Whether a host workplace takes people in."""
        return self.system == TRIAL


@dataclass(frozen=True, slots=True)
class Granted:
    """What is to be granted more (or, below zero, less), by whose the seats are; under None, for all."""

    deltas: Mapping[str | None, int]


@dataclass(frozen=True, slots=True)
class Denied:
    """The offer contradicts itself, or what people already have; `about` names the field."""

    reason: str
    about: str


def offer_course_run(offer: CourseOffer, pools: Sequence[Pool]) -> Granted | Denied:
    """Share the capacity out: what is delegated to municipalities, and the rest for all. Nobody loses a taken seat."""
    host, hours = (offer.host_workplace_id, offer.host_workplace_name), (offer.from_time, offer.until_time)
    if broken := misfit(offer.system, offer.field, host=host, hours=hours, delegates=bool(offer.delegated)):
        return Denied(*broken)
    if offer.hold_hours is not None and offer.hold_days is not None:
        return Denied("hold_in_hours_and_days", "hold_days")
    if offer.ends_on < offer.starts_on:
        return Denied("ends_before_it_starts", "ends_on")
    if offer.min_enrolment is not None and offer.min_enrolment > offer.capacity:
        return Denied("more_needed_than_seats", "min_enrolment")
    if offer.cancel_decision_on is not None and offer.cancel_decision_on > offer.starts_on:
        return Denied("cancels_after_start", "cancel_decision_on")
    if offer.priority_opens_at is not None and not offer.priority:
        return Denied("nothing_to_open", "priority_opens_at")
    kept = offer.kept
    # What a cut-off sent on is no offer's to say; what is lent stays with who lent it, and is spoken for.
    onward = sum(pool.granted for pool in pools if pool.onward_step is not None)
    if sum(kept.values()) + onward > offer.capacity:
        return Denied("delegated_above_capacity", "priority" if offer.priority else "delegated")
    wanted: dict[str | None, int] = {pool.whose: 0 for pool in pools if not pool.is_moved}
    wanted.update(kept)
    wanted[None] = offer.capacity - sum(kept.values()) - onward
    before: dict[str | None, int] = {}
    for whose, seats in wanted.items():
        # A municipality has a pool for each decision that granted it seats.
        standing = _standing(whose, pools)
        lent = _lent(pools, {pool.id for pool in standing})
        before[whose] = sum(pool.granted for pool in standing) + lent
        about = "capacity" if whose is None else "priority" if whose.startswith(AT) else "delegated"
        if seats < sum(pool.taken for pool in standing) + lent:
            return Denied("below_what_is_taken", about)
        if seats == 0 and any(pool.waiting for pool in standing if pool.is_open):
            # They would stand in a line that no seat ever comes to.
            return Denied("people_wait_for_these_seats", about)
    return Granted({whose: seats - before[whose] for whose, seats in wanted.items()})


def offer_again(offer: CourseOffer, pools: Sequence[Pool]) -> Granted | Denied:
    """The same where the file says of pools what it said before, and what they have by now may not be so any more.

    What went back at a cut-off, or with a decision that ended, stays where it went: nobody asks for it anew.
    """
    has = dict.fromkeys(offer.kept, 0)
    for whose in has:
        standing = _standing(whose, pools)
        has[whose] = sum(pool.granted for pool in standing) + _lent(pools, {pool.id for pool in standing})
    delegated = {whose: has[whose] for whose in offer.delegated}
    priority = {groups: has[AT + groups] for groups in offer.priority}
    return offer_course_run(replace(offer, delegated=delegated, priority=priority), pools)


def _standing(whose: str | None, pools: Sequence[Pool]) -> list[Pool]:
    return [pool for pool in pools if pool.whose == whose and not pool.is_moved]


def _lent(pools: Sequence[Pool], by: Collection[UUID]) -> int:
    return sum(pool.granted for pool in pools if pool.source_pool_id in by)
