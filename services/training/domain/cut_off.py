"""Cut-off (枠の戻る日): the moment after which delegated seats that nobody holds go back, whole or in part, for all.

It is the end of the decided day, 0:00 in Japan of the next. A part that stays is reckoned once, at the cut-off: later
no more than that is ever free in the pool, so a seat that is given back afterwards goes back as well. `training_0010`
refuses the same in SQL.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.training.domain.quota import Pool

WARNED_BEFORE = 5
"""Working days before the decided day, on which whoever has seats that would go back is told."""


@dataclass(frozen=True, slots=True)
class CutOff:
    """What a pool's cut-off comes to: so many seats were free, and so many of them stay."""

    pool_id: UUID
    free: int
    kept: int

    @property
    def returns(self) -> int:
        """Seats that go back."""
        return self.free - self.kept


def cut_off(pool: Pool, returns_percent: int) -> CutOff:
    """What a pool's cut-off comes to, as the pool stands."""
    return CutOff(pool.id, pool.free, pool.free - part_that_returns(pool.free, returns_percent))


def part_that_returns(free: int, returns_percent: int) -> int:
    """Seats of so many that go back; part of a seat goes back whole, so that somebody can have it."""
    return -(-free * returns_percent // 100)


def comes_near(pool: Pool, now: datetime, until: datetime) -> bool:
    """Whether to warn of its cut-off, which is still to come: there is something that would go back."""
    return pool.cut_off_at is not None and now < pool.cut_off_at <= until and pool.free > 0 and pool.is_open


def next_due(pools: Sequence[Pool], now: datetime) -> list[Pool]:
    """Pools that seats have to leave; lent ones first, since what is lent goes back to the lender before it goes on."""
    due = [pool for pool in pools if pool.is_due(now)]
    return [pool for pool in due if pool.source_pool_id is not None] or due


@dataclass(frozen=True, slots=True)
class Leaving:
    """Seats that leave a pool: by its cut-off, and because its decision is over."""

    pool: Pool
    by_cut_off: int
    stranded: int

    @property
    def seats(self) -> int:
        """All of them."""
        return self.by_cut_off + self.stranded


def going_back(pools: Sequence[Pool], over_before: Collection[UUID]) -> list[Leaving]:
    """What leaves each pool. At one moment its cut-off comes before the end of its decision, as if an instant earlier.

    `over_before`: pools whose decision was over before their cut-off came, so that it had none of their seats.
    """
    leaving = []
    for pool in pools:
        cut = 0 if pool.is_stranded and pool.id in over_before else pool.surplus
        leaving.append(Leaving(pool, cut, pool.free - cut if pool.is_stranded else 0))
    return [each for each in leaving if each.seats]
