"""Instruments as data: what is asked, at which levels, in whose words. An answer is bound to its version for ever.

FDP is one of them; the career-formation check and the life-domain screening are others, and a region adds its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.assessment.domain.fdp import LEVELS, Axis

FDP = "fdp"


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a level looks like at the counter."""

    level: int
    english: str
    japanese: str


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is looked at. `special_care`: what is written about it tells of illness (要配慮個人情報)."""

    code: str
    english: str
    japanese: str
    anchors: tuple[Anchor, ...]
    special_care: bool = False


@dataclass(frozen=True, slots=True)
class Instrument:
    """One version of an instrument. `notice` is shown wherever its words are."""

    name: str
    version: str
    english: str
    japanese: str
    notice: str
    notice_ja: str
    items: tuple[Item, ...]

    @property
    def levels(self) -> Mapping[str, int]:
        """The highest level of each item, in the order in which they are asked."""
        return {item.code: len(item.anchors) for item in self.items}

    @property
    def special_care(self) -> frozenset[str]:
        """The items about which words tell of illness."""
        return frozenset(item.code for item in self.items if item.special_care)


class Fault(StrEnum):
    """What is wrong with an instrument, or with an answer to it."""

    LEVEL_LEFT_OUT = "level_left_out"
    NO_LEVELS = "no_levels"
    ITEM_TWICE = "item_twice"
    ITEM_MISSING = "item_missing"
    ITEM_UNKNOWN = "item_unknown"
    LEVEL_UNKNOWN = "level_unknown"
    OTHER_LEVELS = "other_levels"


@dataclass(frozen=True, slots=True)
class Found:
    """A fault, and where: an item's code, or nothing for the whole."""

    fault: Fault
    item: str | None = None


def faults_of(instrument: Instrument, before: Instrument | None = None) -> list[Found]:
    """Why this can't be published; `before` is the version in use, whose items and levels it must keep.

    A version changes the words. Other items or levels are another instrument: nothing could be compared over time.
    """
    codes = [item.code for item in instrument.items]
    found = [Found(Fault.ITEM_TWICE, code) for code in sorted({code for code in codes if codes.count(code) > 1})]
    for item in instrument.items:
        found += [Found(fault, item.code) for fault in _faults_of_levels([anchor.level for anchor in item.anchors])]
    if found:
        return found
    wanted = {str(axis): LEVELS for axis in Axis} if instrument.name == FDP else None
    if wanted is None and before is not None:
        wanted = dict(before.levels)
    return [] if wanted is None else list(_differences(instrument.levels, wanted))


def _faults_of_levels(levels: list[int]) -> Iterable[Fault]:
    if len(levels) < 2:
        yield Fault.NO_LEVELS
    elif levels != list(range(1, len(levels) + 1)):
        yield Fault.LEVEL_LEFT_OUT


def _differences(levels: Mapping[str, int], wanted: Mapping[str, int]) -> Iterable[Found]:
    for code, highest in wanted.items():
        if code not in levels:
            yield Found(Fault.ITEM_MISSING, code)
        elif levels[code] < highest:
            yield Found(Fault.LEVEL_LEFT_OUT, code)
        elif levels[code] > highest:
            yield Found(Fault.OTHER_LEVELS, code)
    yield from (Found(Fault.ITEM_UNKNOWN, code) for code in levels if code not in wanted)


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody saw: a level for some items, and which they could not observe. The others were not asked."""

    levels: Mapping[str, int]
    not_observed: frozenset[str] = frozenset()


def faults_of_answer(instrument: Instrument, answer: Answer, *, told: Iterable[str] = ()) -> list[Found]:
    """Why this is no answer to that version. `told`: the items that something was written about."""
    highest = instrument.levels
    unknown = {*answer.levels, *answer.not_observed, *told} - highest.keys()
    found = [Found(Fault.ITEM_UNKNOWN, code) for code in sorted(unknown)]
    for code, level in answer.levels.items():
        if code in highest and not 1 <= level <= highest[code]:
            found.append(Found(Fault.LEVEL_UNKNOWN, code))
    return found
