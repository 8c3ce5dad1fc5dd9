"""Working days against the calendar that the Cabinet Office publishes (内閣府「国民の祝日」), with days off in lieu."""

from datetime import date, timedelta

import pytest

from shared.service import is_working_day, working_day_after

# As published for these years: 5/6 of 2026 and 3/22 of 2027 are in lieu of a Sunday, 9/22 of 2026 is between holidays.
PUBLISHED = {
    2024: "1/1 1/8 2/11 2/12 2/23 3/20 4/29 5/3 5/4 5/5 5/6 7/15 8/11 8/12 9/16 9/22 9/23 10/14 11/3 11/4 11/23",
    2025: "1/1 1/13 2/11 2/23 2/24 3/20 4/29 5/3 5/4 5/5 5/6 7/21 8/11 9/15 9/23 10/13 11/3 11/23 11/24",
    2026: "1/1 1/12 2/11 2/23 3/20 4/29 5/3 5/4 5/5 5/6 7/20 8/11 9/21 9/22 9/23 10/12 11/3 11/23",
    2027: "1/1 1/11 2/11 2/23 3/21 3/22 4/29 5/3 5/4 5/5 7/19 8/11 9/20 9/23 10/11 11/3 11/23",
}
HOLIDAYS = {date(year, *map(int, each.split("/"))) for year, days in PUBLISHED.items() for each in days.split()}
CLOSED = {(12, 29), (12, 30), (12, 31), (1, 1), (1, 2), (1, 3)}
"""行政機関の休日に関する法律 Art. 1(1)(iii)."""


def published(day: date) -> bool:
    return day.weekday() < 5 and day not in HOLIDAYS and (day.month, day.day) not in CLOSED


def test_every_day_of_four_years_is_a_working_day_or_none_as_published() -> None:
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range((date(2028, 1, 1) - date(2024, 1, 1)).days)]
    assert [day for day in days if is_working_day(day) != published(day)] == []


def test_counting_on_from_every_day_lands_where_the_calendar_says() -> None:
    day = date(2024, 1, 1)
    while day < date(2027, 11, 1):
        following = [each for n in range(1, 40) if published(each := day + timedelta(days=n))]
        for count in (1, 2, 5, 10):
            assert working_day_after(day, count) == following[count - 1], (day, count)
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("begins", "count", "ends"),
    [
        (date(2026, 12, 25), 2, date(2027, 1, 4)),  # 28th, then nothing before the 4th of January
        (date(2026, 12, 28), 1, date(2027, 1, 4)),
        (date(2026, 4, 28), 1, date(2026, 4, 30)),
        (date(2026, 5, 1), 1, date(2026, 5, 7)),  # Golden Week: Saturday to Wednesday, the last in lieu of Sunday
        (date(2026, 9, 18), 1, date(2026, 9, 24)),  # five days, of which one lies between two holidays
        (date(2027, 3, 19), 1, date(2027, 3, 23)),  # the equinox falls on a Sunday
        (date(2024, 2, 9), 1, date(2024, 2, 13)),
    ],
)
def test_new_year_golden_week_and_days_in_lieu(begins: date, count: int, ends: date) -> None:
    assert working_day_after(begins, count) == ends


def test_the_day_itself_does_not_count_and_no_days_are_none() -> None:
    assert working_day_after(date(2026, 11, 30), 0) == date(2026, 11, 30)
    assert working_day_after(date(2026, 11, 28), 1) == date(2026, 11, 30)
