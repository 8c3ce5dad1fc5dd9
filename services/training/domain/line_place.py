"""Where somebody stands in the line, and why no seat is offered: reckoned from the line as it is, never stored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.training.domain.line import InLine, LineRule, Party, Queue, Seats
from services.training.domain.quota import Course, Pool, usable_pools


class WhyNot(StrEnum):
    """Why no seat is offered to somebody who waits."""

    APPLICATIONS_CLOSED = "applications_closed"
    WAIT_ENDED = "wait_ended"
    """The moment that was given to wait until has passed."""
    PAUSED = "paused"
    OVERLAPPING_SEAT = "overlapping_seat"
    """The person has another seat at the same time."""
    NO_POOL_IN_FORCE = "no_pool_in_force"
    """What they wait for rests on a decision that is in force no more, or went back; nothing else is for them."""
    OWN_POOL_CLOSED = "own_pool_closed"
    """The same, and they stand in the line for other seats."""
    NO_FREE_SEAT = "no_free_seat"
    """None that the person may have."""
    KEPT_FOR_OTHERS = "kept_for_others"
    """Seats are free, for other municipalities or for a target group."""
    TOO_FEW_TOGETHER = "too_few_together"
    """There are free seats, and not enough for all who want them together."""
    OTHERS_BEFORE = "others_before"
    OFFER_DUE = "offer_due"
    """A seat is free and this person's, at the next look at the line."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands: 1 is next. `before`: how many come earlier, by what decides between them."""

    pool_id: UUID
    position: int
    before: Mapping[str, int]
    reasons: tuple[WhyNot, ...]


def stand(
    course: Course, pools: Sequence[Pool], line: Sequence[InLine], place: InLine, now: datetime, rule: LineRule
) -> Standing:
    """Somebody who waits, in the line whose seats they would get first."""
    pool = pool_waited_for(pools, place)
    queue = Queue(line, pools, rule)
    party = queue.party_of(place.seat_request_id)
    parties = queue.parties(pool)
    earlier = parties[: parties.index(party)] if party in parties else []
    before = Counter[str]()
    for each in earlier:
        before[queue.decided_by(each, party, pool)] += len(each)
    reasons = _reasons(course, pools, place, party, now, is_first=not earlier)
    inside = [each for each in party if queue.key(each, pool) < queue.key(place, pool)]
    return Standing(pool.id, sum(map(len, earlier)) + len(inside) + 1, before, reasons)


def positions(pools: Sequence[Pool], line: Sequence[InLine], rule: LineRule) -> dict[UUID, tuple[UUID, int]]:
    """Of everybody: the pool whose seats they would get first, and where they stand there."""
    queue = Queue(line, pools, rule)
    wanted = {place.seat_request_id: pool_waited_for(pools, place) for place in line}
    found = {}
    for pool in {pool.id: pool for pool in wanted.values()}.values():
        in_order = [
            place for party in queue.parties(pool) for place in sorted(party, key=lambda place: queue.key(place, pool))
        ]
        for number, place in enumerate(in_order, 1):
            if wanted[place.seat_request_id].id == pool.id:
                found[place.seat_request_id] = pool.id, number
    return found


def pool_waited_for(pools: Sequence[Pool], place: InLine) -> Pool:
    """A person's own pool while it is open; else the first other whose line they stand in."""
    own = next(pool for pool in pools if pool.id == place.pool_id)
    others = usable_pools(pools, place.municipality, place.target_groups)
    return own if own.is_open or not others else others[0]


def _reasons(
    course: Course, pools: Sequence[Pool], place: InLine, party: Party, now: datetime, *, is_first: bool
) -> tuple[WhyNot, ...]:
    if now > course.applications_close_at:
        return (WhyNot.APPLICATIONS_CLOSED,)
    if now > place.waits_until:
        return (WhyNot.WAIT_ENDED,)
    reasons = []
    if any(each.is_paused(now) for each in party):
        reasons.append(WhyNot.PAUSED)
    if any(each.is_busy for each in party):
        reasons.append(WhyNot.OVERLAPPING_SEAT)
    usable = usable_pools(pools, place.municipality, place.target_groups)
    own = next(pool for pool in pools if pool.id == place.pool_id)
    kept = [WhyNot.KEPT_FOR_OTHERS for pool in pools if pool.is_open and pool.free > 0 and pool not in usable][:1]
    if not usable:
        return (*reasons, WhyNot.NO_FREE_SEAT if own.is_open else WhyNot.NO_POOL_IN_FORCE, *kept)
    if not own.is_open:
        reasons.append(WhyNot.OWN_POOL_CLOSED)
    if not is_first:
        reasons.append(WhyNot.OTHERS_BEFORE)
    if all(pool.free == 0 for pool in usable):
        reasons += [WhyNot.NO_FREE_SEAT, *kept]
    elif Seats([pool for pool in pools if pool.is_open]).spread(party) is None:
        reasons.append(WhyNot.TOO_FEW_TOGETHER)
    return tuple(reasons) or (WhyNot.OFFER_DUE,)
