"""How far two agencies see the same: Cohen's weighted kappa with its interval, from counts, and never per worker.

Weights are quadratic, as is usual for ranked levels (Cohen 1968). The variance is the large-sample one for a kappa that
is not zero (Fleiss, Cohen and Everitt 1969).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from math import sqrt
from operator import mul

Z95 = 1.959963984540054
"""Two-sided 95 % of a normal distribution."""
FEW = 10
"""Below so many co-ratings a kappa says next to nothing; it is shown as being of few."""

Counts = Sequence[Sequence[int]]
"""How often one agency said the row's level while the other said the column's."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """`n`: co-ratings. `exact`: the share of them in which both said the same."""

    kappa: float
    variance: float
    n: int
    exact: float

    @property
    def interval(self) -> tuple[float, float]:
        """Where kappa lies with 95 % confidence; it can't leave -1 to 1."""
        reach = Z95 * sqrt(self.variance)
        return max(self.kappa - reach, -1.0), min(self.kappa + reach, 1.0)

    @property
    def few(self) -> bool:
        """Too few for a judgement."""
        return self.n < FEW


@dataclass(frozen=True, slots=True)
class Undefined:
    """There is no kappa: no_ratings, or no_variation, where both always said one and the same level."""

    reason: str
    n: int


def weighted_kappa(counts: Counts) -> Agreement | Undefined:
    """1: always the same; 0: no more than chance; below: less. Levels further apart weigh more, by their square."""
    size, n = len(counts), sum(map(sum, counts))
    if n == 0:
        return Undefined("no_ratings", 0)
    # Counted, not computed: what both expect of chance is never quite 1 in floating point.
    if any(counts[level][level] == n for level in range(size)):
        return Undefined("no_variation", n)
    share = [[count / n for count in row] for row in counts]
    weight = _weights(size)
    rows, columns = [sum(row) for row in share], [sum(column) for column in zip(*share, strict=True)]
    cells = [(i, j) for i in range(size) for j in range(size) if counts[i][j]]
    by_row = [sum(map(mul, weight[i], columns)) for i in range(size)]
    by_column = [sum(map(mul, weight[j], rows)) for j in range(size)]  # as far from i to j as from j to i
    observed = sum(weight[i][j] * share[i][j] for i, j in cells)
    expected = sum(map(mul, rows, by_row))
    kappa = (observed - expected) / (1 - expected)
    spread = sum(share[i][j] * (weight[i][j] - (by_row[i] + by_column[j]) * (1 - kappa)) ** 2 for i, j in cells)
    variance = (spread - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    exact = sum(share[level][level] for level in range(size))
    return Agreement(kappa, max(variance, 0.0), n, exact)


@cache
def _weights(size: int) -> list[list[float]]:
    return [[1 - (i - j) ** 2 / (size - 1) ** 2 for j in range(size)] for i in range(size)]


def quarter_of(day: date) -> date:
    """The first day of a quarter."""
    return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
