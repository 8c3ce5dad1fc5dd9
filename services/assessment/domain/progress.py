"""How a case has come along in one instrument: first and latest that stand, change per item, and the way in between.

Levels are ranks, not measures: they are compared and drawn, and never added up or averaged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Point:
    """A rating that was recorded; `number` is its place among those of its case."""

    id: UUID
    number: int
    version: str
    """Of the instrument."""
    rated_at: datetime
    levels: Mapping[str, int]
    corrects: UUID | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One item over time. None where it was not observed; no change can be told where either end is missing."""

    item: str
    levels: tuple[int | None, ...]

    @property
    def initial(self) -> int | None:
        """At the first rating."""
        return self.levels[0]

    @property
    def latest(self) -> int | None:
        """At the last one."""
        return self.levels[-1]

    @property
    def change(self) -> int | None:
        """From the first to the last; up is better."""
        return None if self.initial is None or self.latest is None else self.latest - self.initial

    @property
    def trend(self) -> Literal["rising", "falling", "level", "unknown"]:
        """Over the last two that were observed: rising, falling, level; unknown where there are not two."""
        seen = [level for level in self.levels if level is not None]
        if len(seen) < 2:
            return "unknown"
        return "rising" if seen[-1] > seen[-2] else "falling" if seen[-1] < seen[-2] else "level"


@dataclass(frozen=True, slots=True)
class Progress:
    """The ratings that stand, in the order in which people rated, and each item over them."""

    points: tuple[Point, ...]
    steps: tuple[Step, ...]

    @property
    def versions(self) -> tuple[str, ...]:
        """In whose words the first and the last were given; two where they differ, which must be said beside them."""
        return tuple(dict.fromkeys((self.points[0].version, self.points[-1].version)))


def standing(points: Sequence[Point]) -> list[Point]:
    """Those that no other corrects, in the order in which people rated."""
    corrected = {point.corrects for point in points}
    return sorted(
        (point for point in points if point.id not in corrected), key=lambda point: (point.rated_at, point.number)
    )


def progress_of(points: Sequence[Point], items: Sequence[str]) -> Progress | None:
    """None as long as nothing was rated."""
    stand = standing(points)
    if not stand:
        return None
    steps = tuple(Step(item, tuple(point.levels.get(item) for point in stand)) for item in items)
    return Progress(tuple(stand), steps)
