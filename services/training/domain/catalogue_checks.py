"""What a planner would notice in a record of the catalogue: what can't be, and what is only unusual."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

_JAPAN = timezone(timedelta(hours=9))
_USUAL_MONTHS = {"job_seeker_basic": (2, 4), "job_seeker_practical": (3, 6)}
"""求職者支援訓練: 基礎 2-4 months, 実践 3-6."""
_USUAL_CAPACITY = (10, 30)
"""求職者支援訓練の定員."""
_SLACK = 16  # days: a course of three months may begin and end anywhere in its months


@dataclass(frozen=True, slots=True)
class Finding:
    """What was noticed, at which field; one that is `grave` can't be."""

    code: str
    field: str
    grave: bool = False


_IN_ORDER = (
    ("ends_before_start", "starts_on", "ends_on"),
    ("closes_before_opening", "applications_open_at", "applications_close_at"),
    ("closes_after_start", "applications_close_at", "starts_on"),
    ("selects_before_closing", "applications_close_at", "selection_on"),
    ("result_before_selection", "selection_on", "result_on"),
    ("result_after_start", "result_on", "starts_on"),
    ("cancels_after_start", "cancel_decision_on", "starts_on"),
    ("returns_after_start", "return_on", "starts_on"),
)
"""The first must not lie behind the second; days are Japan's."""
_AT_MOST = (
    ("more_needed_than_seats", "min_enrolment", "capacity"),
    ("more_priority_than_seats", "priority_seats", "capacity"),
    ("more_accepted_than_applied", "accepted", "applicants"),
)


def findings(record: Mapping[str, Any]) -> list[Finding]:
    """All that is to be noticed, what can't be first. Fields that are not told are not judged."""
    found = [*_out_of_order(record), *_too_many(record), *_incomplete(record), *_unusual(record)]
    return sorted(found, key=lambda finding: not finding.grave)


def _out_of_order(record: Mapping[str, Any]) -> Iterator[Finding]:
    for code, first, second in _IN_ORDER:
        if record.get(first) is None or record.get(second) is None:
            continue
        both_moments = first.endswith("_at") and second.endswith("_at")
        read = datetime.fromisoformat if both_moments else _day
        if read(record[first]) > read(record[second]):
            yield Finding(code, second if second != "starts_on" else first, grave=True)


def _day(plain: str) -> date:
    return date.fromisoformat(plain) if len(plain) == 10 else datetime.fromisoformat(plain).astimezone(_JAPAN).date()


def _too_many(record: Mapping[str, Any]) -> Iterator[Finding]:
    for code, fewer, more in _AT_MOST:
        if record.get(fewer) is not None and record.get(more) is not None and record[fewer] > record[more]:
            yield Finding(code, fewer, grave=True)
    delegated = sum((record.get("delegated") or {}).values())
    capacity = record.get("capacity")
    if capacity is not None and delegated + (record.get("priority_seats") or 0) > capacity:
        yield Finding("delegated_above_capacity", "delegated", grave=True)


def _incomplete(record: Mapping[str, Any]) -> Iterator[Finding]:
    if record.get("occupation_codes") and record.get("occupation_edition") is None:
        yield Finding("edition_needed", "occupation_edition", grave=True)
    if record.get("counted_on") is None and (record.get("applicants"), record.get("accepted")) != (None, None):
        yield Finding("counted_when", "counted_on", grave=True)


def differs_here(record: Mapping[str, Any], run: Mapping[str, Any], *, cancelled: bool) -> list[Finding]:
    """Where the course run that seats are asked for stands otherwise than its sources say: it changed late, here."""
    if cancelled:
        return [] if record.get("status") == "cancelled" else [Finding("cancelled_here", "status")]
    return [Finding("other_day_here", field) for field in RUN_DAYS if _is_another(record.get(field), run[field])]


RUN_DAYS = ("starts_on", "ends_on", "applications_close_at")
"""What both the catalogue and a course run say. Where they differ, the course run's is what seats are given by."""


def _is_another(said: str | None, here: date | datetime) -> bool:
    if said is None:
        return False
    return datetime.fromisoformat(said) != here if isinstance(here, datetime) else date.fromisoformat(said) != here


def _unusual(record: Mapping[str, Any]) -> Iterator[Finding]:
    system, months, capacity = record.get("system"), record.get("months"), record.get("capacity")
    if system in _USUAL_MONTHS:
        low, high = _USUAL_MONTHS[system]
        if months is not None and not low <= months <= high:
            yield Finding("unusual_months", "months")
        if capacity is not None and not _USUAL_CAPACITY[0] <= capacity <= _USUAL_CAPACITY[1]:
            yield Finding("unusual_capacity", "capacity")
    begins, ends = record.get("starts_on"), record.get("ends_on")
    if months is not None and begins is not None and ends is not None:
        days = (date.fromisoformat(ends) - date.fromisoformat(begins)).days
        if abs(days - months * 30.4) > _SLACK:
            yield Finding("months_and_days_differ", "months")
