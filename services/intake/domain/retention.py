"""How long what is known is kept (保存期間): by class of record, which a municipality sets for itself.

No law names the years for these records: each municipality's own rules for documents do (文書管理規則 [?]). Five years
after the closure is common, and therefore the default [?]; every other default is ours [?].
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from services.intake.domain.custody import Interruption, Outcome


class RecordClass(StrEnum):
    """What kind of record it is: a closed case by how it ended, and what ends before its case, or never had one."""

    SUPPORT = "support"
    INFORMATION = "information"
    """情報提供のみ: information was enough."""
    MISTAKE = "mistake"
    """Opened by mistake."""
    MEETING_NOTE = "meeting_note"
    """What was said in a statutory meeting (支援会議の記録), from its day on."""
    EMERGENCY = "emergency"
    """Why an emergency was declared, in words; from then on, and not before its review."""
    INQUIRY = "inquiry"
    """That another municipality's desk was asked, and what it answered."""
    DRAFT = "draft"
    """A half-typed sheet that was put away, or became a case."""
    LIST = "list"
    """Another agency's list, as the file that was sent."""


@dataclass(frozen=True, slots=True)
class Periods:
    """Whole years, and days: between the notice to a case's holder and its erasure, and of what agencies keep."""

    support: int = 5
    information: int = 3
    mistake: int = 1
    notice_days: int = 30
    meeting_note: int = 5
    emergency: int = 3
    inquiry: int = 1
    draft_days: int = 30
    list_days: int = 30

    def began_before(self, kept_as: RecordClass, today: date) -> date:
        """What is kept since before this day is over."""
        if kept_as in OF_AGENCIES:
            return today - timedelta(days=int(getattr(self, f"{kept_as}_days")))
        return years_before(today, int(getattr(self, kept_as.value)))


EVERYWHERE = ""
OF_AGENCIES = frozenset({RecordClass.DRAFT, RecordClass.LIST})
"""They belong to an agency, which may serve several municipalities: one period, in days, for all."""
_OF_ALL = frozenset(f"{kept_as}_days" for kept_as in OF_AGENCIES)
_WORDS = frozenset(field.name for field in fields(Periods))
ENDINGS = (*Outcome, *Interruption)


def class_of(ended: Outcome | Interruption) -> RecordClass:
    """Which class a case is of, by how it was closed."""
    if ended is Interruption.OPENED_BY_MISTAKE:
        return RecordClass.MISTAKE
    return RecordClass.INFORMATION if ended is Outcome.INFORMATION_ENOUGH else RecordClass.SUPPORT


def read_periods(written: Mapping[str, Any]) -> dict[str, Periods]:
    """The periods of a municipality's own file: `[default]`, and a table for each code that differs. `ValueError`."""
    found = {EVERYWHERE: _changed(Periods(), written.get("default", {}), _WORDS)}
    for code, own in written.items():
        if code != "default":
            found[code] = _changed(found[EVERYWHERE], own, _WORDS - _OF_ALL)
    return found


def _changed(periods: Periods, own: Any, words: frozenset[str]) -> Periods:
    if not isinstance(own, Mapping) or not own.keys() <= words:
        raise ValueError(f"a table of {', '.join(sorted(words))} is wanted")
    if not all(type(value) is int and 1 <= value <= 100 for value in own.values()):
        raise ValueError("whole numbers from 1 to 100 are wanted")
    return replace(periods, **{str(name): value for name, value in own.items()})


def years_before(today: date, years: int) -> date:
    """What began before this day has been kept for so many whole years."""
    try:
        return today.replace(year=today.year - years)
    except ValueError:  # 29 February
        return date(today.year - years, 2, 28)
