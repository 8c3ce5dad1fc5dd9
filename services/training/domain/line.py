"""Who is next in line (待ち): by the rule that a prefecture decided, replayable from what was known at that moment.

A rule is a list of criteria, each from the closed list below; who is equal by all of them stands in the order of
asking. Training knows neither levels nor the prolongation flag, so no rule can lower anybody by them (DOMAIN.md 4).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

from services.training.domain.quota import Course, Pool, narrowest_first


class Criterion(StrEnum):
    """By what a rule may put somebody first. The list is closed: what is not in it decides nothing."""

    OWN_LINE = "own_line"
    """Who waits for this pool's seats before who waits for another's; who waits for a closed pool's waits here too."""
    TARGET_GROUP = "target_group"
    """In a priority pool that is open to all: whom it was there for."""
    FEWEST_OFFERS = "fewest_offers"
    """Who was offered a seat of this course less often."""
    REFERRED = "referred"
    """Who comes by a referral before who was put down without one."""


FIRST = 1
"""The first number of a line. Below it stand, before all others, those whose seat a change took."""
LOST_A_SEAT = "lost_a_seat"
"""What comes before every criterion."""
WAITED_LONGER = "waited_longer"
"""What decides between those who are equal by every criterion."""


@dataclass(frozen=True, slots=True)
class LineRule:
    """One version of the order (待ちの順番の規則); `id` None: what holds where nobody decided another."""

    criteria: tuple[Criterion, ...]
    id: UUID | None = None


BY_ASKING = LineRule((Criterion.OWN_LINE,))
"""The order of asking, each pool's own line first."""


@dataclass(frozen=True, slots=True)
class InLine:
    """Somebody who waits, as far as the order may look."""

    seat_request_id: UUID
    pool_id: UUID
    municipality: str
    line_no: int
    requested_at: datetime
    """Since when the place counts: the asking, or the day of an offer that was let pass."""
    waits_until: datetime
    paused_until: datetime | None = None
    together_id: UUID | None = None
    """Those with the same one want seats together, or none."""
    referred: bool = False
    offers: int = 0
    target_groups: tuple[str, ...] = ()
    is_busy: bool = False
    """Whether the person has another seat at the same time."""

    @property
    def lost_a_seat(self) -> bool:
        """Whether a late change took the seat that the person had (`late_changes`)."""
        return self.line_no < FIRST

    def is_paused(self, now: datetime) -> bool:
        """Whether the person can't take a seat for the time being."""
        return self.paused_until is not None and now < self.paused_until


class Bar(StrEnum):
    """Why somebody is passed over although a seat is free; the place in line stays."""

    PAUSED = "paused"
    OVERLAPPING = "overlapping_seat"
    TOGETHER = "too_few_together"


@dataclass(frozen=True, slots=True)
class Promoted:
    """The next in line has a seat, in this pool, and may say no until then."""

    place: InLine
    pool_id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The wait was over before a seat came free."""

    place: InLine


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A seat of this pool was free, and could not be given to this person."""

    place: InLine
    pool_id: UUID
    bar: Bar


Outcome = Promoted | Lapsed | PassedOver


def offer_free_seats(
    course: Course, pools: Sequence[Pool], line: Sequence[InLine], now: datetime, rule: LineRule = BY_ASKING
) -> list[Outcome]:
    """Give every free seat to whoever is next and can have it. Whoever is not in the outcomes was not looked at.

    People who want seats together get them whole or not at all; a seat that they can't use goes on to the next.
    """
    giving = [pool for pool in sorted(pools, key=narrowest_first) if pool.is_open and pool.free > 0]
    # Whose wait is over holds nobody back who wanted a seat together with them, whatever seats are free.
    over = sorted((place for place in line if now > place.waits_until), key=_as_asked)
    outcomes: list[Outcome] = [Lapsed(place) for place in over if _may_have_one_of(giving, place)]
    left = Seats(giving)
    queue = Queue(line, pools, rule, without=over)
    for pool in giving:
        for party in queue.parties(pool):
            if left.of(pool) == 0:
                break
            bar = _bar(party, pool, left, now)
            if bar is not None:
                outcomes += [PassedOver(place, pool.id, bar) for place in party if _serves(pool, place)]
                continue
            outcomes += left.give(course, dict.fromkeys(party, pool), now)
            queue.remove(party)
    # What is free still, nobody can use alone: those who want seats together may, from more than one pool.
    for party in queue.together():
        spread = left.spread(party) if _bar_of(party, now) is None else None
        if spread is not None:
            outcomes += left.give(course, spread, now)
            queue.remove(party)
    return outcomes


Party = tuple[InLine, ...]
"""One person, or those who want seats together."""


class Queue:
    """Those who wait, in the order in which each pool sees them."""

    def __init__(
        self, line: Sequence[InLine], pools: Sequence[Pool], rule: LineRule, *, without: Collection[InLine] = ()
    ) -> None:
        self._pools = pools
        self._closed = {pool.id for pool in pools if not pool.is_open}
        self._rule = rule
        self._since = _since(line)
        self._parties = _parties([place for place in sorted(line, key=_as_asked) if place not in without])

    def parties(self, pool: Pool) -> list[Party]:
        """Whoever may have seats of the pool, first who comes first. A party stands where its last one stands."""
        served = [party for party in self._parties if any(_serves(pool, place) for place in party)]
        return sorted(served, key=lambda party: self.party_key(party, pool))

    def together(self) -> list[Party]:
        """Those who want seats together, by their own lines."""
        pools = {pool.id: pool for pool in self._pools}
        parties = [party for party in self._parties if len(party) > 1]
        return sorted(parties, key=lambda party: self.party_key(party, pools[party[0].pool_id]))

    def party_of(self, seat_request_id: UUID) -> Party:
        """With whom somebody wants seats."""
        return next(party for party in self._parties if any(p.seat_request_id == seat_request_id for p in party))

    def party_key(self, party: Party, pool: Pool) -> tuple[Any, ...]:
        """That of the last of them: who joins others doesn't bring them forward."""
        return max(self.key(place, pool) for place in party)

    def key(self, place: InLine, pool: Pool) -> tuple[Any, ...]:
        """Less is earlier; no two are equal. Of those who lost a seat the strongest claim has the least number."""
        return (
            min(place.line_no, FIRST),
            *self.ranks(place, pool),
            *self._since[place],
            place.line_no,
            place.seat_request_id,
        )

    def ranks(self, place: InLine, pool: Pool) -> tuple[int, ...]:
        """What each criterion says of the person; less comes earlier."""
        return tuple(self._rank(place, pool, each) for each in self._rule.criteria)

    def counts_since(self, place: InLine) -> datetime:
        """Since when the place counts against those in other lines."""
        return self._since[place][0]

    def decided_by(self, before: Party, party: Party, pool: Pool) -> str:
        """By what the one comes before the other."""
        decides = (LOST_A_SEAT, *(criterion.value for criterion in self._rule.criteria))
        pairs = zip(decides, self.party_key(before, pool), self.party_key(party, pool), strict=False)
        return next((word for word, one, other in pairs if one != other), WAITED_LONGER)

    def remove(self, party: Party) -> None:
        """They have seats."""
        self._parties.remove(party)

    def _rank(self, place: InLine, pool: Pool, criterion: Criterion) -> int:
        match criterion:
            case Criterion.OWN_LINE:
                return int(place.pool_id != pool.id and place.pool_id not in self._closed)
            case Criterion.TARGET_GROUP:
                return int(not pool.prefers(place.target_groups))
            case Criterion.FEWEST_OFFERS:
                return place.offers
            case Criterion.REFERRED:
                return int(not place.referred)


def _since(line: Sequence[InLine]) -> Mapping[InLine, tuple[datetime, UUID]]:
    """Since when each place counts: never before the one in front of it in the same line.

    Two who ask at the same moment get the lock in another order than their clocks were read.
    """
    since: dict[InLine, tuple[datetime, UUID]] = {}
    for pool_id, own in groupby(sorted(line, key=_as_asked), lambda place: place.pool_id):
        latest: datetime | None = None
        for place in own:
            latest = place.requested_at if latest is None else max(latest, place.requested_at)
            since[place] = latest, pool_id
    return since


def _as_asked(place: InLine) -> tuple[UUID, int, datetime, UUID]:
    return place.pool_id, place.line_no, place.requested_at, place.seat_request_id


def _parties(line: Sequence[InLine]) -> list[Party]:
    parties: dict[UUID, list[InLine]] = {}
    for place in line:
        parties.setdefault(place.together_id or place.seat_request_id, []).append(place)
    return [tuple(party) for party in parties.values()]


class Seats:
    """Free seats, while they are given away."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self._pools = pools
        self._free = {pool.id: pool.free for pool in pools}

    def of(self, pool: Pool) -> int:
        """How many are left in the pool."""
        return self._free[pool.id]

    def give(self, course: Course, given: Mapping[InLine, Pool], now: datetime) -> list[Outcome]:
        """One to each, from that pool."""
        until = now + (course.hold_for if course.offer_for is None else course.offer_for)
        for pool in given.values():
            self._free[pool.id] -= 1
        return [Promoted(place, pool.id, min(until, place.waits_until)) for place, pool in given.items()]

    def spread(self, party: Sequence[InLine]) -> dict[InLine, Pool] | None:
        """A seat for each, from whatever pools; None if they can't all have one."""
        if not party:
            return {}
        for pool in self._pools:
            if self._free[pool.id] > 0 and _serves(pool, party[0]):
                self._free[pool.id] -= 1
                rest = self.spread(party[1:])
                self._free[pool.id] += 1
                if rest is not None:
                    return {party[0]: pool} | rest
        return None


def _bar(party: Party, pool: Pool, left: Seats, now: datetime) -> Bar | None:
    if (bar := _bar_of(party, now)) is not None:
        return bar
    if len(party) > left.of(pool) or not all(_serves(pool, place) for place in party):
        return Bar.TOGETHER
    return None


def _bar_of(party: Party, now: datetime) -> Bar | None:
    if any(place.is_paused(now) for place in party):
        return Bar.PAUSED
    return Bar.OVERLAPPING if any(place.is_busy for place in party) else None


def _serves(pool: Pool, place: InLine) -> bool:
    # Of a pool that gives seats it is the same as `serves`; of another it says who stands in its line.
    return pool.is_for(place.municipality, place.target_groups)


def _may_have_one_of(pools: Collection[Pool], place: InLine) -> bool:
    return any(_serves(pool, place) for pool in pools)
