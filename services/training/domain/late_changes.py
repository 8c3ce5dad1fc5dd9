"""A course run changes late (定員減・日程変更) or is cancelled (中止): who is affected, in which order, and what then.

Normal, not an error (DOMAIN.md section 5, rule 4). Nobody who is enrolled loses a seat, and of the others as few as
possible: seats that nobody has go first, then those of whoever has the weakest claim.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time
from enum import StrEnum
from uuid import UUID

from services.training.domain.alternatives import Days, overlaps
from services.training.domain.quota import Pool, narrowest_first
from services.training.domain.selection import Result
from services.training.domain.steps import SeatRequest, State


class Effect(StrEnum):
    """What a change means for a person; of several the gravest."""

    CANCELLED = "course_cancelled"
    SEAT_LOST = "seat_lost"
    COLLIDES = "collides"
    """The new days overlap with those of another seat that the person has."""
    BENEFIT_ENDS = "benefit_ends_before"
    HOLD_ENDS = "hold_ends_before"
    """Until when the person said to wait was long enough, and is no longer; or the time is over at once, or before
    the day on which a pause ends."""
    PLACE_FALLS = "place_falls"
    """Somebody who lost a seat now stands before this person in the line."""
    MOVED = "days_or_place_changed"
    HOURS = "hours_changed"
    """Of a trial place: the same days, at other hours."""


NOBODYS_CHOICE = frozenset({"disaster", "facilities", "instructor"})
"""Reasons for which a course run is cancelled although it was decided that it begins (開講決定)."""


class After(StrEnum):
    """How the request stands afterwards."""

    KEEPS = "keeps"
    IN_LINE = "first_in_line"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a course run may change late."""

    capacity: int
    starts_on: date
    ends_on: date
    applications_close_at: datetime
    site_municipality: str
    from_time: time | None = None
    """Of each day of a trial place; by a file alone."""
    until_time: time | None = None

    @property
    def days(self) -> Days:
        """First and last day."""
        return self.starts_on, self.ends_on


TERMS = tuple(each.name for each in fields(Terms))
"""Their names."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that stands, and what its claim rests on."""

    request: SeatRequest
    requested_at: datetime
    requested_by: str
    line_no: int | None = None
    result: Result | None = None
    hold_until: datetime | None = None
    benefit_ends_on: date | None = None
    busy: tuple[Days, ...] = ()
    """Days of the seats that the person has in other course runs."""
    target_groups: tuple[str, ...] = ()
    paused_until: datetime | None = None

    @property
    def has_a_seat(self) -> bool:
        """Held or filled."""
        return self.request.holds_a_seat or self.request.state is State.ENROLLED


_STRENGTH = {
    State.WAITING: 0,
    State.HELD: 1,
    State.NOMINATED: 2,
    State.COUNTERSIGNED: 3,
    State.INSTRUCTED: 6,
    State.ENROLLED: 7,
}
_SELECTED = {Result.IN_SELECTION: 4, Result.RESERVE: 4, Result.ACCEPTED: 5}


def strength(claim: Claim) -> int:
    """Waiting, held, nominated, selected, instructed, enrolled: the further somebody is, the later it is their turn."""
    standing = _STRENGTH[claim.request.state]
    if claim.result is None or not claim.request.holds_a_seat:
        return standing
    return max(standing, _SELECTED.get(claim.result, 0))


def weakest_first(claims: Sequence[Claim]) -> list[Claim]:
    """In the order in which they are affected; of equal claims whoever asked last comes first."""
    latest = sorted(claims, key=lambda claim: (claim.requested_at, claim.request.id), reverse=True)
    return sorted(latest, key=strength)


@dataclass(frozen=True, slots=True)
class Affected:
    """One person, what the change means, and how the request stands afterwards."""

    claim: Claim
    effect: Effect
    after: After


@dataclass(frozen=True, slots=True)
class Planned:
    """What a change comes to: who is affected, weakest claim first, and how many seats leave each pool."""

    after: Terms | None
    affected: tuple[Affected, ...]
    returns: Mapping[UUID, int]
    closes: int
    """By how many seats the capacity falls."""

    @property
    def leaving(self) -> list[Affected]:
        """Those whose request ends, or goes on as a place in the line."""
        return [each for each in self.affected if each.after is not After.KEEPS]


@dataclass(frozen=True, slots=True)
class Denied:
    """The change can't be made; `about` names the field."""

    reason: str
    about: str


def plan_change(
    before: Terms, after: Terms | None, claims: Sequence[Claim], pools: Sequence[Pool], *, today: date, now: datetime
) -> Planned | Denied:
    """What would come of it. `after` is None where the course run is cancelled."""
    if today >= before.starts_on:
        return Denied("course_has_begun", "")
    if after is None:
        return _cancel(before, claims, pools)
    if denied := _deny(before, after, claims, pools, today):
        return denied
    colliding = [each for each in claims if each.has_a_seat and overlaps(after.days, each.busy)]
    returns, losing = _lower(before.capacity - after.capacity, before, claims, pools, colliding)
    losers = {each.request.id for each in losing}
    moves = {each.request.id for each in colliding}
    found = []
    for claim in weakest_first(claims):
        effect = _effect(claim, before, after, losers=losers, colliding=moves, now=now)
        if effect is not None:
            found.append(Affected(claim, effect, _afterwards(claim, effect, after, now)))
    return Planned(after, tuple(found), returns, before.capacity - after.capacity)


def moved_by_file(before: Terms, after: Terms, claims: Sequence[Claim], *, now: datetime) -> Planned:
    """Whom it affects that a file says other days, another place or hours. Nobody loses a seat by a file."""
    effects = [
        (claim, _effect(claim, before, after, losers=set(), colliding=set(), now=now))
        for claim in weakest_first(claims)
    ]
    affected = tuple(Affected(claim, effect, After.KEEPS) for claim, effect in effects if effect is not None)
    return Planned(after, affected, {}, 0)


def _cancel(before: Terms, claims: Sequence[Claim], pools: Sequence[Pool]) -> Planned | Denied:
    if any(claim.request.state is State.ENROLLED for claim in claims):
        return Denied("people_are_enrolled", "cancel")
    affected = tuple(Affected(claim, Effect.CANCELLED, After.ENDED) for claim in weakest_first(claims))
    return Planned(None, affected, {pool.id: pool.granted for pool in pools if pool.granted}, before.capacity)


def _deny(before: Terms, after: Terms, claims: Sequence[Claim], pools: Sequence[Pool], today: date) -> Denied | None:
    if after == before:
        return Denied("nothing_changes", "")
    if after.ends_on < after.starts_on:
        return Denied("ends_before_it_starts", "ends_on")
    if after.starts_on <= today:
        return Denied("starts_in_the_past", "starts_on")
    if after.site_municipality[:2] != before.site_municipality[:2]:
        return Denied("another_prefecture", "site_municipality")
    if after.capacity > before.capacity:
        return Denied("capacity_rises_by_file", "capacity")
    if after.capacity < 1:
        return Denied("no_seat_is_left", "capacity")
    if after.capacity < sum(pool.filled for pool in pools):
        return Denied("below_what_is_filled", "capacity")
    if any(each.request.state is State.ENROLLED and overlaps(after.days, each.busy) for each in claims):
        return Denied("enrolled_would_overlap", "starts_on")
    return None


def _lower(
    seats: int, before: Terms, claims: Sequence[Claim], pools: Sequence[Pool], colliding: Sequence[Claim]
) -> tuple[Mapping[UUID, int], list[Claim]]:
    """Seats leave in this order: in no pool, free (for all, for target groups, lent, own), then the weakest claim's."""
    seats -= min(seats, before.capacity - sum(pool.granted for pool in pools))
    coming_free = Counter(claim.request.pool_id for claim in colliding)
    returns: Counter[UUID] = Counter()
    for pool in sorted(pools, key=narrowest_first, reverse=True):
        taken = min(seats, pool.free + coming_free[pool.id])
        returns[pool.id] += taken
        seats -= taken
    collide = {claim.request.id for claim in colliding}
    holding = [each for each in claims if each.request.holds_a_seat and each.request.id not in collide]
    losing = weakest_first(holding)[:seats]
    returns.update(claim.request.pool_id for claim in losing)
    return +returns, losing


def _effect(
    claim: Claim, before: Terms, after: Terms, *, losers: set[UUID], colliding: set[UUID], now: datetime
) -> Effect | None:
    if claim.request.id in losers:
        return Effect.SEAT_LOST
    if claim.request.id in colliding:
        return Effect.COLLIDES
    benefit = claim.benefit_ends_on
    if benefit is not None and before.starts_on <= benefit < after.starts_on:
        return Effect.BENEFIT_ENDS
    if _runs_out(claim, before, after, now):
        return Effect.HOLD_ENDS
    if losers and claim.request.state is State.WAITING:
        return Effect.PLACE_FALLS
    if (before.days, before.site_municipality) != (after.days, after.site_municipality):
        return Effect.MOVED
    if (before.from_time, before.until_time) != (after.from_time, after.until_time):
        return Effect.HOURS
    return None


def _runs_out(claim: Claim, before: Terms, after: Terms, now: datetime) -> bool:
    if claim.request.state not in {State.WAITING, State.HELD} or before.applications_close_at == (
        after.applications_close_at
    ):
        return False
    resumes = claim.paused_until
    if claim.request.state is State.WAITING and resumes is not None and resumes > after.applications_close_at:
        return True
    until = claim.hold_until
    said = until is not None and before.applications_close_at <= until < after.applications_close_at
    return said or after.applications_close_at < now


def _afterwards(claim: Claim, effect: Effect, after: Terms, now: datetime) -> After:
    if effect not in {Effect.SEAT_LOST, Effect.COLLIDES}:
        return After.KEEPS
    until = (
        after.applications_close_at if claim.hold_until is None else min(after.applications_close_at, claim.hold_until)
    )
    # After the deadline no line is left to stand in; nor does a hold that is only still to be swept lead into one.
    return After.IN_LINE if now <= until and not claim.request.has_run_out(now) else After.ENDED
