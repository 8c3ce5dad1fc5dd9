"""The map as lines of a file: what stands in which field, in words that a layout may change."""

from collections.abc import Iterable
from typing import Any

from services.referral.domain.map_demand import NUMBERS
from services.referral.domain.map_views import Change, Row, Seen, by_kind
from shared.codes import place_name


def map_lines(seen: Iterable[Seen]) -> list[dict[str, Any]]:
    """Each kind of support in each municipality, and after them its sum."""
    lines = []
    for row in by_kind(seen):
        lines += [_line(each) for each in row.cells.values()]
        lines.append(_sum(row))
    return lines


def change_lines(changed: Iterable[Change]) -> list[dict[str, Any]]:
    """What differs, before and after beside each other."""
    return [
        {
            "function": each.kind.function,
            "stage": each.kind.stage,
            "strand": each.kind.strand,
            "municipality": each.municipality,
            "municipality_name": place_name(each.municipality),
            **_when(each.before, "before"),
            **_when(each.after, "after"),
        }
        for each in changed
    ]


def _line(seen: Seen) -> dict[str, Any]:
    kind, supply = seen.kind, seen.supply
    return {
        "function": kind.function,
        "stage": kind.stage,
        "strand": kind.strand,
        "municipality": seen.municipality,
        "municipality_name": place_name(seen.municipality),
        "state": seen.state.value,
        "why": seen.why.value,
        "proposal": seen.proposal.value,
        "lenders": [place_name(each) for each in seen.lenders],
        "programmes": supply.programmes,
        "with_room": supply.with_room,
        "stale": supply.stale,
        "unknown": supply.unknown,
        "places": supply.places,
        **{name: getattr(seen, name).text_ja for name in NUMBERS},
    }


def _sum(row: Row) -> dict[str, Any]:
    """Programmes and places have no sum: one may serve many municipalities."""
    kind = row.kind
    sums = {name: shown.text_ja for name, shown in row.sums.items()}
    return {
        "function": kind.function,
        "stage": kind.stage,
        "strand": kind.strand,
        "municipality": None,
        "municipality_name": "計",
        **sums,
    }


def _when(seen: Seen | None, when: str) -> dict[str, Any]:
    return {} if seen is None else {f"{name}_{when}": value for name, value in _line(seen).items()}
