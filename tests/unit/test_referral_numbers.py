"""Times of referrals: percentiles that somebody really waited, and the silent ones beside them."""

import re
import statistics
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.friction import Counted, read_boundaries, yearly
from services.referral.domain.numbers import (
    Milestone,
    Span,
    Way,
    by_pair,
    is_by_person,
    measure,
    nearest_rank,
    silent_until,
    thresholds_reached,
)
from services.referral.domain.states import DeclineReason, Outcome, State
from services.referral.handlers.layouts import layout, words_of
from services.referral.handlers.number_lines import give_back_lines
from services.referral.handlers.numbers import Declined, GiveBack

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
def test_each_number_of_hops_raises_one_alarm(hops: int, raised: tuple[int, ...], now: tuple[int, ...]) -> None:
    assert thresholds_reached(hops, raised) == now


def test_every_code_that_can_appear_has_its_word() -> None:
    words = words_of("give_back")
    asked = {milestone.value for milestone in Milestone} | {reason.value for reason in DeclineReason}
    codes = asked | {state.value for state in State if state is not State.DRAFT} | {each.value for each in Outcome}
    assert codes - words["item"].keys() == set()
    assert all(re.search(r"[ぁ-んァ-ヶ一-龠]", word) for table in words.values() for word in table.values())
    found = GiveBack(
        "桜の会", 0, 0, {}, 0, 0, {}, [Declined("npo", "other", 1)], {"sent": 1}, {"employed": 1}, {"x": 1}
    )
    lines = give_back_lines(found)
    sections = {"answered_us", "we_answered"} | {line["section"] for line in lines}
    assert sections == words["section"].keys()
    assert {milestone.value for milestone in Milestone} == words_of("pair_times")["milestone"].keys()


def test_an_offices_own_layout_has_our_words_for_what_it_does_not_name(tmp_path: Path) -> None:
    own = '[[column]]\nheading = "項目"\nfield = "item"\nwords = "item"\n\n[words.item]\naccept = "承諾"\n'
    (tmp_path / "give_back.toml").write_text(own, encoding="utf-8")
    session: Any = SimpleNamespace(info={"settings": SimpleNamespace(layouts_path=tmp_path)})
    (column,) = layout(session, "give_back").columns
    assert (column.words["accept"], column.words["employed"]) == ("承諾", "就職した")
    assert layout(session, "friction_year").columns


# --- Silence that has ended ------------------------------------------------------------------------------------------


def test_silence_counts_until_the_day_on_which_it_ended() -> None:
    sent = NOW - timedelta(hours=1_000)
    silent = [way(goes_on=False, silent_until=sent + timedelta(hours=hours)) for hours in (100, 300)]
    found = measure([way(1), *silent, way(goes_on=False)], Milestone.ACCEPT, now=NOW, days=days)
    assert (found.reached, found.waiting, found.unanswered, found.ended) == (1, 0, 2, 1)
    assert (found.median, found.longest_waiting) == (Span(timedelta(hours=1), 0), None)
    assert found.least_median is not None
    assert found.least_median.hours == 100.0
    assert found.least_ninetieth is not None
    assert found.least_ninetieth.hours == 300.0


def test_who_never_answers_has_not_the_cleanest_figures() -> None:
    slow = [way(hours) for hours in (50, 60, 70)]
    never = [way(goes_on=False, silent_until=NOW - timedelta(hours=1_000 - hours)) for hours in (240, 360, 360)]
    medians = [measure(each, Milestone.ACCEPT, now=NOW, days=days).least_median for each in (slow, never)]
    assert medians[0] is not None
    assert medians[1] is not None
    assert medians[0].time < medians[1].time


@pytest.mark.parametrize(
    ("state", "reason", "others_turn", "silent"),
    [
        ("expired", None, False, True),
        ("expired", None, True, False),
        ("withdrawn", "no_answer", False, True),
        ("withdrawn", "no_answer", True, False),
        ("withdrawn", "person_wishes", False, False),
        ("declined", "no_capacity", False, False),
        ("rerouted", None, False, False),
        ("sent", None, False, False),
    ],
)
def test_which_ends_are_silence(state: str, reason: str | None, others_turn: bool, silent: bool) -> None:
    assert (silent_until(state, reason, NOW, others_turn=others_turn) == NOW) == silent


def test_of_a_request_only_the_answer_is_waited_for() -> None:
    asked = [way(5, is_request=True), way(is_request=True)]
    accept, start = (measure(asked, each, now=NOW, days=days) for each in (Milestone.ACCEPT, Milestone.START))
    assert (accept.reached, accept.waiting) == (1, 1)
    assert (start.reached, start.waiting, start.unanswered, start.ended) == (0, 0, 0, 0)


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


def test_the_yearly_list_sums_up_what_is_shown_and_gives_nothing_hidden_away() -> None:
    april, october, next_year = date(2026, 4, 1), date(2026, 10, 1), date(2027, 4, 1)
    counted = [
        Counted("age_limit", "462012", april, 6, 6),
        Counted("age_limit", "462012", october, 7, 7),
        Counted("age_limit", "462187", april, 2, 2),
        Counted("age_limit", "462187", next_year, 50, 50),
    ]
    both, first, second = yearly(counted, 2026, own=())
    assert [shown.text_ja for shown in (*first.quarters, first.year)] == ["6", "0", "7", "0", "13"]
    assert [shown.text_ja for shown in (*second.quarters, second.year)] == ["5未満", "0", "0", "0", "1以上"]
    assert [shown.text_ja for shown in (*both.quarters, both.year)] == ["7以上", "0", "7", "0", "14以上"]
    assert (both.municipality, first.municipality) == (None, "462012")
    own = yearly(counted, 2026, own={"462187"})
    assert own[0].year.count == 15
