"""Days of course runs as iCalendar (RFC 5545): what a counsellor's calendar takes in.

Written from the RFC, since a handful of properties is all that is needed: lines of at most 75 octets, text escaped,
moments in UTC (so that no VTIMEZONE is needed; Japan's clock is fixed), whole days as DATE.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

_LONGEST = 75
"""Octets of a line without its end (RFC 5545, 3.1)."""
_ESCAPED = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\r": ""})
_KINDS = (
    ("applications_close_at", "応募締切"),
    ("selection_on", "選考"),
    ("result_on", "結果通知"),
    ("cancel_decision_on", "中止決定日"),
    ("starts_on", "開始"),
    ("ends_on", "終了"),
)


@dataclass(frozen=True, slots=True)
class CourseDays:
    """A course run of which a calendar shows the days."""

    id: UUID
    course_number: str
    version: int
    record: Mapping[str, Any]


def calendar(name: str, courses: Iterable[CourseDays], *, now: datetime) -> str:
    """A whole calendar."""
    head = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Tsunagu//Training catalogue//JA", "CALSCALE:GREGORIAN")
    lines = [*head, "METHOD:PUBLISH", f"X-WR-CALNAME:{_text(name)}", "X-WR-TIMEZONE:Asia/Tokyo"]
    for course in courses:
        for kind, words, when in _days(course.record):
            lines += _event(course, kind, words, when, now)
    return "".join(f"{_folded(line)}\r\n" for line in (*lines, "END:VCALENDAR"))


def _days(record: Mapping[str, Any]) -> Iterator[tuple[str, str, date | datetime]]:
    for field, words in _KINDS:
        if record.get(field) is not None:
            yield field, words, _when(record[field])
    for number, visit in enumerate(record.get("visits_at") or (), start=1):
        yield f"visit-{number}", "見学会", _when(visit)


def _when(plain: str) -> date | datetime:
    return date.fromisoformat(plain) if len(plain) == len("2027-01-12") else datetime.fromisoformat(plain)


def _event(course: CourseDays, kind: str, words: str, when: date | datetime, now: datetime) -> list[str]:
    record = course.record
    title = record.get("title") or course.course_number
    lines = [
        "BEGIN:VEVENT",
        f"UID:{course.id}-{kind.replace('_', '-')}@tsunagu",
        f"DTSTAMP:{_utc(now)}",
        f"SEQUENCE:{course.version}",
        *(_hours(record, when) if kind == "starts_on" and record.get("from_time") else _times(when)),
        f"SUMMARY:{_text(f'【{words}】{title}')}",
        f"DESCRIPTION:{_text(_description(course))}",
        f"STATUS:{'CANCELLED' if record.get('status') == 'cancelled' else 'CONFIRMED'}",
        # A deadline takes nobody's time.
        "TRANSP:TRANSPARENT",
    ]
    place = record.get("selection_place") if kind == "selection_on" else None
    place = place or record.get("site_address")
    return [*lines, *([f"LOCATION:{_text(place)}"] if place else []), "END:VEVENT"]


def _description(course: CourseDays) -> str:
    record = course.record
    known = {
        "講座番号": course.course_number,
        "実施機関": record.get("operator_name"),
        "選考方法": record.get("selection_method"),
        "担当": record.get("hello_work"),
    }
    return "\n".join(f"{name}: {value}" for name, value in known.items() if value)


def _times(when: date | datetime) -> list[str]:
    if isinstance(when, datetime):
        return [f"DTSTART:{_utc(when)}"]
    # The end of a whole day is the day after, which is not part of it.
    return [f"DTSTART;VALUE=DATE:{when:%Y%m%d}", f"DTEND;VALUE=DATE:{when + timedelta(days=1):%Y%m%d}"]


def _hours(record: Mapping[str, Any], day: date | datetime) -> list[str]:
    """A trial place has hours: on its first day somebody is to be there, not at midnight."""
    begins, ends = (
        datetime.fromisoformat(f"{day:%Y-%m-%d}T{time.fromisoformat(record[name]):%H:%M}:00+09:00")
        for name in ("from_time", "until_time")
    )
    return [f"DTSTART:{_utc(begins)}", f"DTEND:{_utc(ends)}"]


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(value: str) -> str:
    return value.translate(_ESCAPED)


def _folded(line: str) -> str:
    """In pieces of 75 octets, none of which cuts a character in two; each but the first begins with a space."""
    pieces, size = [""], 0
    for character in line:
        octets = len(character.encode())
        if size + octets > _LONGEST:
            pieces.append(" ")
            size = 1
        pieces[-1] += character
        size += octets
    return "\r\n".join(pieces)
