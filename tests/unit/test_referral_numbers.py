"""Times of referrals: percentiles that somebody really waited, and the silent ones beside them."""

import statistics
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.friction import Counted, quarter_of, quarters_of, read_boundaries, yearly
from services.referral.domain.numbers import (
    Milestone,
    Span,
    Way,
    by_pair,
    is_by_person,
    measure,
    nearest_rank,
    thresholds_reached,
)

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)


def days(begin: datetime, end: datetime) -> int:
    return (end.date() - begin.date()).days


def way(hours: float | None = None, *, ago: float = 1_000, goes_on: bool = True, **changes: Any) -> Way:
    """Sent so many hours ago, accepted so many hours later."""
    sent = NOW - timedelta(hours=ago)
    reached = {} if hours is None else {Milestone.ACCEPT: sent + timedelta(hours=hours)}
    values: dict[str, Any] = {"sender": "desk", "receiver": "npo", "sent_at": sent, "reached": reached}
    return Way(**(values | {"goes_on": goes_on} | changes))


# --- Percentiles -----------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-1_000, 1_000), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[int], percent: int) -> None:
    found = nearest_rank(sorted(values), percent)
    enough = [value for value in values if sum(other <= value for other in values) * 100 >= percent * len(values)]
    assert found == min(enough)
    assert nearest_rank(sorted(values), 50) == statistics.median_low(values)


def test_a_percentile_of_nothing_is_none() -> None:
    assert nearest_rank([], 50) is None


def test_small_numbers_of_referrals_have_their_figures_too() -> None:
    hours = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 90.0]
    found = measure([way(each) for each in hours], Milestone.ACCEPT, now=NOW, days=days)
    assert (found.median, found.ninetieth) == (Span(timedelta(hours=5), 0), Span(timedelta(hours=9), 0))
    assert (found.reached, found.waiting, found.ended, found.longest_waiting) == (10, 0, 0, None)


# --- The silent ones -------------------------------------------------------------------------------------------------


def test_the_silent_ones_are_counted_beside_and_raise_the_lower_bounds() -> None:
    ways = [way(1), way(2), way(ago=500), way(ago=100), way(ago=300, goes_on=False)]
    found = measure(ways, Milestone.ACCEPT, now=NOW, days=days)
    assert (found.reached, found.waiting, found.ended) == (2, 2, 1)
    assert found.median == Span(timedelta(hours=1), 0)
    assert found.longest_waiting is not None
    assert found.longest_waiting.hours == 500.0
    assert found.least_median is not None
    assert (found.least_median.hours, found.least_median.working_days) == (2.0, 0)
    assert found.least_ninetieth is not None
    assert found.least_ninetieth.hours == 500.0


def test_nobody_has_answered_yet() -> None:
    found = measure([way(ago=48)], Milestone.ACCEPT, now=NOW, days=days)
    assert (found.median, found.ninetieth, found.waiting) == (None, None, 1)
    assert found.least_median == Span(timedelta(hours=48), 2)


waited = st.integers(1, 500)


@given(st.lists(waited, max_size=20), st.lists(waited, max_size=20), st.integers(0, 5))
def test_every_referral_stands_in_one_of_three_numbers_and_the_bounds_hold(
    reached: list[int], silent: list[int], ended: int
) -> None:
    ways = [*(way(each) for each in reached), *(way(ago=each) for each in silent), *[way(goes_on=False)] * ended]
    found = measure(ways, Milestone.ACCEPT, now=NOW, days=days)
    assert (found.reached, found.waiting, found.ended) == (len(reached), len(silent), ended)
    if reached:
        assert found.median is not None
        assert found.median.time == timedelta(hours=statistics.median_low(reached))
    if reached or silent:
        # However long the silent ones will take in the end, the percentile of all will not be less.
        later = [*reached, *(each * 2 for each in silent)]
        assert found.least_median is not None
        assert found.least_median.time <= timedelta(hours=statistics.median_low(later))


def test_pairs_stand_by_themselves() -> None:
    found = by_pair([way(1), way(3, receiver="other"), way(5, receiver="other")], now=NOW, days=days)
    assert list(found) == [("desk", "npo"), ("desk", "other")]
    assert found["desk", "other"][Milestone.ACCEPT].reached == 2
    assert found["desk", "npo"][Milestone.CLOSE].waiting == 1


def test_hours_are_told_to_a_tenth() -> None:
    assert Span(timedelta(minutes=33), 0).hours == 0.6


# --- Declines and hops -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["no_capacity", "not_eligible", "not_our_service", "already_served", "other", "new"])
def test_reasons_lie_with_the_agency_unless_they_are_the_persons(reason: str) -> None:
    assert not is_by_person(reason)
    assert is_by_person("person_declined")
    assert is_by_person("no_contact")


@pytest.mark.parametrize(
    ("hops", "raised", "now"),
    [(2, (), ()), (3, (), (3,)), (4, (3,), ()), (5, (3,), (5,)), (9, (), (3, 5, 8)), (9, (3, 5, 8), ())],
)
def test_each_number_of_receivers_raises_one_alarm(hops: int, raised: tuple[int, ...], now: tuple[int, ...]) -> None:
    assert thresholds_reached(hops, raised) == now


# --- Walls between schemes -------------------------------------------------------------------------------------------

TOML = """
[[boundary]]
code = "age_limit"
scheme = "local"
ja = "年齢"
en = "Age"

[schemes]
local = ["市町村の事業", "Municipal"]
"""


def test_the_list_of_boundaries_is_read_with_its_schemes() -> None:
    found = read_boundaries(TOML)["age_limit"]
    assert (found.ja, found.scheme_ja, found.scheme_en) == ("年齢", "市町村の事業", "Municipal")


@pytest.mark.parametrize(
    ("day", "quarter"),
    [
        (date(2026, 3, 31), date(2026, 1, 1)),
        (date(2026, 4, 1), date(2026, 4, 1)),
        (date(2026, 12, 31), date(2026, 10, 1)),
    ],
)
def test_a_day_lies_in_its_quarter(day: date, quarter: date) -> None:
    assert quarter_of(day) == quarter
    assert quarter in quarters_of(quarter.year if quarter.month > 3 else quarter.year - 1)


def test_the_yearly_list_sums_up_what_is_shown_and_gives_nothing_hidden_away() -> None:
    april, october, next_year = date(2026, 4, 1), date(2026, 10, 1), date(2027, 4, 1)
    counted = [
        Counted("age_limit", "462012", april, 6),
        Counted("age_limit", "462012", october, 7),
        Counted("age_limit", "462187", april, 2),
        Counted("age_limit", "462187", next_year, 50),
    ]
    both, first, second = yearly(counted, 2026, own=())
    assert [shown.text_ja for shown in (*first.quarters, first.year)] == ["6", "0", "7", "0", "13"]
    assert [shown.text_ja for shown in (*second.quarters, second.year)] == ["5未満", "0", "0", "0", "1以上"]
    assert [shown.text_ja for shown in (*both.quarters, both.year)] == ["7以上", "0", "7", "0", "14以上"]
    assert (both.municipality, first.municipality) == (None, "462012")
    own = yearly(counted, 2026, own={"462187"})
    assert own[0].year.count == 15
