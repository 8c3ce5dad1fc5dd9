"""How long a closed case is kept: by its class, by the municipality's own years, over leap days."""

from datetime import date
from typing import Any

import pytest

from services.intake.domain.custody import Interruption, Outcome
from services.intake.domain.retention import Periods, RecordClass, class_of, read_periods, years_before


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


def test_every_class_of_record_has_a_period() -> None:
    today = date(2031, 11, 29)
    assert {kept_as: Periods().began_before(kept_as, today) for kept_as in RecordClass} == {
        RecordClass.SUPPORT: date(2026, 11, 29),
        RecordClass.INFORMATION: date(2028, 11, 29),
        RecordClass.MISTAKE: date(2030, 11, 29),
        RecordClass.MEETING_NOTE: date(2026, 11, 29),
        RecordClass.EMERGENCY: date(2028, 11, 29),
        RecordClass.INQUIRY: date(2030, 11, 29),
        RecordClass.DRAFT: date(2031, 10, 30),
        RecordClass.LIST: date(2031, 10, 30),
    }


def test_what_belongs_to_an_agency_has_one_period_for_all() -> None:
    assert read_periods({"default": {"draft_days": 7, "list_days": 90}})[""] == Periods(draft_days=7, list_days=90)
    for word in ("draft_days", "list_days"):
        with pytest.raises(ValueError, match="wanted"):
            read_periods({"462012": {word: 7}})


def test_the_access_log_has_no_period_to_set() -> None:
    """It is a chain: cut anywhere, nobody could tell an end that was due from one that was forged."""
    with pytest.raises(ValueError, match="wanted"):
        read_periods({"default": {"access_log": 3}})


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
    assert years_before(today, years) == before
