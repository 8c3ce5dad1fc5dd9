"""Deadlines in working days: the last moment of the day, in Japan, that still belongs to who keeps it."""

from dataclasses import replace
from datetime import datetime, timedelta

from services.training.domain.quota import Course
from services.training.handlers.motions import begin_of
from shared.service import day_in_japan, working_day_after

_INSTANT = timedelta(microseconds=1)


def end_of_working_day(now: datetime, days: int) -> datetime:
    """The end of the working day that is so many after today, which itself does not count (民法 Art. 140, 141)."""
    return begin_of(working_day_after(day_in_japan(now), days) + timedelta(days=1)) - _INSTANT


def holding(course: Course, now: datetime) -> Course:
    """With the time that a hold which begins now has, where it is given in working days."""
    if course.hold_days is None:
        return course
    return replace(course, hold_for=end_of_working_day(now, course.hold_days) - now)


def offering(course: Course, now: datetime) -> Course:
    """With the time that an offer out of the line has from now on."""
    if course.offer_days is None:
        return course
    return replace(course, offer_for=end_of_working_day(now, course.offer_days) - now)
