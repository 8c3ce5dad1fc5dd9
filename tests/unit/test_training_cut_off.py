"""What a cut-off comes to, decided on plain values."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.training.domain.cut_off import Leaving, cut_off, going_back
from services.training.domain.decisions import Selector
from services.training.domain.line import InLine, Promoted, offer_free_seats
from services.training.domain.offers import Denied
from services.training.domain.pools import Allotted, Run, bind_seats, settle
from services.training.domain.quota import (
    DELEGATED,
    GENERAL,
    Course,
    Pool,
    choose_pool,
)

MIDNIGHT = datetime(2027, 1, 15, 15, 0, tzinfo=UTC)
A = "462012"
COURSE = Course(UUID(int=1), "school", MIDNIGHT + timedelta(days=30), timedelta(hours=72), date(2027, 4, 1))
RUN = Run("46", "46-web-1", "job_seeker_practical", "web_design", COURSE.starts_on)
OWN = Pool(
    UUID(int=1), DELEGATED, (A,), 5, 2, 0, 0, decision_allotment_id=UUID(int=9), cut_off_at=MIDNIGHT
)  # two of five are held


def test_the_decided_day_belongs_to_those_who_keep_it() -> None:
    assert not OWN.is_due(MIDNIGHT - timedelta(milliseconds=1))
    assert OWN.is_due(MIDNIGHT)
    assert not replace(OWN, kept=3).is_due(MIDNIGHT)


def test_half_of_three_seats_are_two_that_go_back() -> None:
    cut = cut_off(OWN, 50)
    assert (cut.free, cut.returns, cut.kept) == (3, 2, 1)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 100), st.integers(0, 40))
def test_held_seats_stay_and_the_same_cut_off_again_takes_nothing(
    free: int, held: int, percent: int, released: int
) -> None:
    pool = replace(OWN, granted=free + held, held=held)
    cut = cut_off(pool, percent)
    assert 0 <= cut.kept <= free
    assert cut.returns * 100 >= free * percent > (cut.returns - 1) * 100 or free == 0
    marked = replace(pool, kept=cut.kept)
    assert going_back([marked], ()) == ([Leaving(marked, cut.returns, 0)] if cut.returns else [])
    after = replace(marked, granted=marked.granted - cut.returns)
    assert going_back([after], ()) == []
    assert not after.is_due(MIDNIGHT)
    # Given back afterwards: beyond what stayed it goes the same way.
    later = replace(after, held=held - min(held, released))
    going = sum(each.seats for each in going_back([later], ()))
    assert going == later.free - min(later.free, max(cut.kept, 0))
    assert later.taken <= later.granted - going


def test_of_a_decision_that_is_over_nothing_stays() -> None:
    over = replace(OWN, kept=3, in_force=False)
    assert going_back([over], ()) == [Leaving(over, 0, over.free)]
    # At one moment the cut-off comes first; unless the decision was over before it.
    both = replace(OWN, kept=1, in_force=False)
    assert going_back([both], ()) == [Leaving(both, both.free - 1, 1)]
    assert going_back([both], {both.id}) == [Leaving(both, 0, both.free)]


def test_nobody_asks_or_waits_where_all_went_back() -> None:
    closed, general = replace(OWN, granted=2, kept=0), Pool(UUID(int=2), GENERAL, (), 1, 1, 0, 0)
    assert choose_pool([closed, general], A) == general
    assert choose_pool([replace(OWN, granted=3, kept=1), general], A) == replace(OWN, granted=3, kept=1)


def test_who_waited_where_all_went_back_stands_in_the_line_for_all_by_how_long() -> None:
    closed, general = replace(OWN, granted=2, kept=0), Pool(UUID(int=2), GENERAL, (), 1, 0, 0, 0)
    line = [
        InLine(UUID(int=n), pool, town, 1, MIDNIGHT - timedelta(hours=hours), COURSE.applications_close_at)
        for n, pool, town, hours in ((11, general.id, "462187", 1), (12, closed.id, A, 2))
    ]
    (outcome,) = offer_free_seats(COURSE, [closed, general], line, MIDNIGHT)
    assert isinstance(outcome, Promoted)
    assert (outcome.place.seat_request_id, outcome.pool_id) == (UUID(int=12), general.id)


def test_after_its_cut_off_an_allotment_grants_nothing() -> None:
    allotted = Allotted(UUID(int=9), "46", frozenset([A]), Selector(fiscal_year=2027), 4, cut_off=True)
    assert bind_seats(RUN, {A: 1}, [], [allotted]) == Denied("cut_off_passed", "delegated")
    assert bind_seats(RUN, {A: 1}, [], [allotted, replace(allotted, id=UUID(int=8), cut_off=False, room=0)]) == Denied(
        "more_than_allotted", "delegated"
    )
    assert set(settle(RUN, [replace(OWN, in_force=False)], [allotted]).deltas.values()) == {3}
    assert [place.whose for place in settle(RUN, [replace(OWN, in_force=False)], [allotted]).deltas] == [None]
