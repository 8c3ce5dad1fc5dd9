"""Carry-over (繰越) of an allotment: fewer than ten seats left of a quarter are in the next quarter's number.

As with plans (`plan_moves.carry_remainders`), and only where the decision says so. `training_0013_guards` refuses the
same in SQL.
"""

from dataclasses import dataclass
from uuid import UUID

MINIMUM_LOT = 10


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is left of an allotment whose quarter is over, and the allotment that comes after it, if one does."""

    allotment_id: UUID
    next_id: UUID | None
    left: int


def carries(remainder: Remainder) -> int:
    """How many seats go on: nothing where there is no next one, or where there are enough for a lot of their own."""
    if remainder.next_id is None or remainder.left >= MINIMUM_LOT:
        return 0
    return max(0, remainder.left)
