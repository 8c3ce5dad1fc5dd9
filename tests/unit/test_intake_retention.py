"""How long a closed case is kept: by its class, by the municipality's own years, over leap days."""

from datetime import date
from typing import Any

import pytest

from services.intake.domain.custody import Interruption, Outcome
from services.intake.domain.retention import Periods, RecordClass, class_of, closed_before, read_periods


def test_how_a_case_was_closed_says_which_record_it_is() -> None:
    assert class_of(Outcome.GOAL_REACHED) is RecordClass.SUPPORT
    assert class_of(Interruption.DIED) is RecordClass.SUPPORT
    assert class_of(Outcome.INFORMATION_ENOUGH) is RecordClass.INFORMATION
    assert class_of(Interruption.OPENED_BY_MISTAKE) is RecordClass.MISTAKE


def test_without_a_file_the_defaults_hold_everywhere() -> None:
    assert read_periods({}) == {"": Periods(support=5, information=3, mistake=1, notice_days=30)}


def test_a_municipality_changes_what_it_names_and_no_more() -> None:
    found = read_periods({"default": {"support": 7}, "462012": {"notice_days": 60}})
    assert found == {"": Periods(support=7), "462012": Periods(support=7, notice_days=60)}


@pytest.mark.parametrize(
    "written", [{"default": {"suport": 5}}, {"462012": {"support": 0}}, {"462012": {"support": True}}, {"462012": 5}]
)
def test_what_is_no_period_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        read_periods(written)


@pytest.mark.parametrize(
    ("today", "years", "before"),
    [
        (date(2031, 11, 29), 5, date(2026, 11, 29)),
        (date(2028, 2, 29), 1, date(2027, 2, 28)),
        (date(2028, 2, 29), 4, date(2024, 2, 29)),
        (date(2029, 3, 1), 5, date(2024, 3, 1)),
    ],
)
def test_years_are_whole_calendar_years(today: date, years: int, before: date) -> None:
    assert closed_before(today, years) == before
