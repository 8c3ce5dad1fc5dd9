"""Emergency access (緊急閲覧): one case, one hour, read only; its holder is told at once and judges it later."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

LASTS = timedelta(minutes=60)
REVIEW_DAYS = 2
"""Working days of public offices after the declaration."""


class Emergency(StrEnum):
    """Why it can't wait."""

    DANGER_TO_LIFE = "danger_to_life"
    VIOLENCE = "violence"
    """DV・虐待 that goes on now."""
    MEDICAL = "medical"
    """Who treats the person has to know."""
    MISSING = "missing"
    DISASTER = "disaster"


class Verdict(StrEnum):
    """What the review found."""

    JUSTIFIED = "justified"
    BEYOND_NEED = "beyond_need"
    """There was an emergency, and less would have done."""
    NOT_JUSTIFIED = "not_justified"


@dataclass(frozen=True, slots=True)
class Declaration:
    """An emergency that was declared: by whom, and who held the case then."""

    by: str
    holder: str
    ends_at: datetime
    review_due_on: date
    verdict: Verdict | None = None

    def reviewers(self, holder: str) -> frozenset[str]:
        """Who judges it: who was told then, and who holds the case now; never who declared it."""
        return frozenset({self.holder, holder}) - {self.by}

    def is_overdue(self, today: date) -> bool:
        """Nobody has judged it in time."""
        return self.verdict is None and self.review_due_on < today


@dataclass(frozen=True, slots=True)
class NotDeclared:
    """It can't be: emergency_open."""

    reason: str


def declare(
    *,
    by: str,
    holder: str,
    open_until: datetime | None,
    today: date,
    now: datetime,
    working_day_after: Callable[[date, int], date],
) -> Declaration | NotDeclared:
    """Begin an hour. A second one only after the first: each has its reason and its review."""
    if open_until is not None and now < open_until:
        return NotDeclared("emergency_open")
    return Declaration(by, holder, now + LASTS, working_day_after(today, REVIEW_DAYS))
