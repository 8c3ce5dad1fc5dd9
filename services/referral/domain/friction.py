"""制度の壁: boundaries between schemes on which people are stopped, counted as a proposal for change each year."""

import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from services.referral.domain.small_counts import Shown, show, total

_NONE = Shown(0, 0)


@dataclass(frozen=True, slots=True)
class Boundary:
    """One boundary of the list, in words, and the scheme it belongs to."""

    code: str
    scheme: str
    ja: str
    en: str
    scheme_ja: str
    scheme_en: str


@dataclass(frozen=True, slots=True)
class Counted:
    """So many records of a boundary in a municipality, in the quarter that begins on a day; of so many cases."""

    boundary: str
    municipality: str
    quarter: date
    records: int
    cases: int

    def shown(self, *, own: bool) -> Shown:
        """As a reader sees it; one person may have run into it on many days."""
        return show(self.records, people=self.cases, own=own)


@dataclass(frozen=True, slots=True)
class YearLine:
    """A line of the yearly list: a boundary in a municipality, or in all of them (None)."""

    boundary: str
    municipality: str | None
    quarters: tuple[Shown, Shown, Shown, Shown]

    @property
    def year(self) -> Shown:
        """The whole year, as far as its quarters are shown."""
        return total(self.quarters)


def read_boundaries(text: str) -> Mapping[str, Boundary]:
    """The list as it is written, by code."""
    plain = tomllib.loads(text)
    return {
        each["code"]: Boundary(each["code"], each["scheme"], each["ja"], each["en"], *plain["schemes"][each["scheme"]])
        for each in plain["boundary"]
    }


def quarters_of(year: int) -> tuple[date, date, date, date]:
    """The four quarters of a fiscal year (年度), which begins in April (地方自治法 Art. 208)."""
    return date(year, 4, 1), date(year, 7, 1), date(year, 10, 1), date(year + 1, 1, 1)


def yearly(counted: Iterable[Counted], year: int, own: Collection[str]) -> list[YearLine]:
    """The proposal list of a year: each boundary in all municipalities, then in each. `own`: whose counts are whole."""
    quarters = quarters_of(year)
    counts: dict[str, dict[str, dict[date, Shown]]] = defaultdict(lambda: defaultdict(dict))
    for each in counted:
        if each.quarter in quarters:
            counts[each.boundary][each.municipality][each.quarter] = each.shown(own=each.municipality in own)
    lines = []
    for boundary, places in sorted(counts.items()):
        each_place = [_line(boundary, place, found, quarters) for place, found in sorted(places.items())]
        sums = [total(line.quarters[number] for line in each_place) for number in range(4)]
        lines += [YearLine(boundary, None, (sums[0], sums[1], sums[2], sums[3])), *each_place]
    return lines


def _line(boundary: str, place: str, found: Mapping[date, Shown], quarters: tuple[date, ...]) -> YearLine:
    first, second, third, fourth = (found.get(quarter, _NONE) for quarter in quarters)
    return YearLine(boundary, place, (first, second, third, fourth))
