"""How long a closed case is kept (保存期間): years by class of record, which a municipality sets for itself.

No law names the years for these records: each municipality's own rules for documents do (文書管理規則 [?]). Five years
after the closure is common, and therefore the default [?].
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from services.intake.domain.custody import Interruption, Outcome


class RecordClass(StrEnum):
    """What kind of record a closed case is."""

    SUPPORT = "support"
    INFORMATION = "information"
    """情報提供のみ: information was enough."""
    MISTAKE = "mistake"
    """Opened by mistake."""


@dataclass(frozen=True, slots=True)
class Periods:
    """Whole years after the closure, and days between the notice to the holder and the erasure."""

    support: int = 5
    information: int = 3
    mistake: int = 1
    notice_days: int = 30

    def years(self, kept_as: RecordClass) -> int:
        """For a class of record."""
        return int(getattr(self, kept_as.value))


EVERYWHERE = ""
ENDINGS = (*Outcome, *Interruption)


def class_of(ended: Outcome | Interruption) -> RecordClass:
    """Which class a case is of, by how it was closed."""
    if ended is Interruption.OPENED_BY_MISTAKE:
        return RecordClass.MISTAKE
    return RecordClass.INFORMATION if ended is Outcome.INFORMATION_ENOUGH else RecordClass.SUPPORT


def read_periods(written: Mapping[str, Any]) -> dict[str, Periods]:
    """The periods of a municipality's own file: `[default]`, and a table for each code that differs. `ValueError`."""
    found = {EVERYWHERE: _changed(Periods(), written.get("default", {}))}
    for code, own in written.items():
        if code != "default":
            found[code] = _changed(found[EVERYWHERE], own)
    return found


def _changed(periods: Periods, own: Any) -> Periods:
    if not isinstance(own, Mapping) or not own.keys() <= {*RecordClass, "notice_days"}:
        raise ValueError("a table of support, information, mistake and notice_days is wanted")
    if not all(type(value) is int and 1 <= value <= 100 for value in own.values()):
        raise ValueError("whole numbers from 1 to 100 are wanted")
    return replace(periods, **{str(name): value for name, value in own.items()})


def closed_before(today: date, years: int) -> date:
    """Who was closed before this day has been kept for so many whole years."""
    try:
        return today.replace(year=today.year - years)
    except ValueError:  # 29 February
        return date(today.year - years, 2, 28)
