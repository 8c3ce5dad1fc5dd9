"""Files for the sub-committee (分科会) and for agencies: their columns are layouts that an office may edit."""

import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.tables.vocabulary import vocabulary
from shared.service.exports import Layout, read_layout

_FOLDER = Path(__file__).resolve().parent.parent / "layouts"
_KIND = {"function", "stage", "strand", "municipality", "municipality_name"}
_TIMES = {
    *("reached", "median_hours", "median_days", "ninetieth_hours", "ninetieth_days", "waiting", "longest_hours"),
    *("unanswered", "ended", "least_median_hours", "least_ninetieth_hours"),
}
_CELL = {
    *("state", "why", "proposal", "lenders", "programmes", "with_room", "stale", "unknown", "places"),
    *("open_needs", "waiting", "unmet", "wanting", "turned_away"),
}
FIELDS_OF: Mapping[str, Collection[str]] = {
    "function_map": _KIND | _CELL,
    "map_changes": _KIND | {f"{name}_{when}" for name in _CELL for when in ("before", "after")},
    "friction_year": {
        "scheme",
        "boundary",
        "words",
        "municipality",
        "municipality_name",
        "first",
        "second",
        "third",
        "fourth",
        "year",
    },
    "pair_times": _TIMES | {"sender", "sender_name", "receiver", "receiver_name", "milestone"},
    "give_back": _TIMES | {"section", "item", "side"},
}
"""Which fields each file knows."""


def layout(session: AsyncSession, name: str) -> Layout:
    """The office's own layout of a file, where it has one, and else the one that comes along."""
    own: Path | None = session.info["settings"].layouts_path
    candidates = [own / f"{name}.toml"] if own is not None else []
    path = next((each for each in candidates if each.is_file()), _FOLDER / f"{name}.toml")
    # An office's own layout may be older than a code: what it has no word for is told in ours.
    return read_layout(
        path.read_text(encoding="utf-8-sig"), FIELDS_OF[name], {"function": _functions(), **words_of(name)}
    )


@cache
def words_of(name: str) -> Mapping[str, Mapping[str, str]]:
    """The tables of words that come along with a layout, for pages."""
    plain = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    words: dict[str, dict[str, str]] = plain.get("words", {})
    return words if "function" not in words else words | {"function": {**_functions(), **words["function"]}}


def _functions() -> dict[str, str]:
    """Support functions in the words of the directory's list."""
    return {code: function.japanese for code, function in vocabulary().functions.items()}
