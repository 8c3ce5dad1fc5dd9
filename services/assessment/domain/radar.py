"""Where the corners of a radar lie: geometry alone, for any number of items and levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, pi, sin

RADIUS = 100.0


@dataclass(frozen=True, slots=True)
class Spoke:
    """An item's axis: its outer end, and where its name is written."""

    item: str
    x: float
    y: float
    label_x: float
    label_y: float
    anchor: str


def spokes(items: Sequence[str]) -> list[Spoke]:
    """The first points up, the others follow clockwise."""
    found = []
    for place, item in enumerate(items):
        across, down = _direction(place, len(items))
        anchor = "middle" if abs(across) < 0.2 else "start" if across > 0 else "end"
        found.append(
            Spoke(item, *_at(across, down, RADIUS), *_at(across, down, RADIUS * 1.12), anchor),
        )
    return found


def rings(items: Sequence[str], highest: int) -> list[list[tuple[float, float]]]:
    """The net: a ring for each level, the lowest first."""
    return [
        [_at(*_direction(place, len(items)), RADIUS * level / highest) for place in range(len(items))]
        for level in range(1, highest + 1)
    ]


Corner = tuple[float, float]


def corners(items: Sequence[str], levels: Mapping[str, int], highest: Mapping[str, int]) -> list[Corner | None]:
    """One rating's corners; None where it was not observed."""
    return [
        _at(*_direction(place, len(items)), RADIUS * levels[item] / highest[item]) if item in levels else None
        for place, item in enumerate(items)
    ]


def sides(drawn: Sequence[Corner | None]) -> list[tuple[Corner, Corner]]:
    """The lines between neighbours that were both observed: the shape stays open where nothing is known."""
    turned = [*drawn[1:], *drawn[:1]]
    return [(one, other) for one, other in zip(drawn, turned, strict=True) if one is not None and other is not None]


def _direction(place: int, count: int) -> tuple[float, float]:
    turn = 2 * pi * place / count
    return sin(turn), -cos(turn)


def _at(across: float, down: float, radius: float) -> tuple[float, float]:
    return round(across * radius, 2), round(down * radius, 2)
