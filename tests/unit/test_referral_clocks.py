"""Clocks of a referral: which runs when, on which working days, and what silence leads to."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.clocks import DAYS, IN_SERVICE_REVIEW, after, continues, next_tier, start, waits_for
from services.referral.domain.moves import OPEN, Referral
from services.referral.domain.states import Clock, Kind, Party, State, Tier, Verb, Waits
from shared.service import is_working_day
from tests.unit.test_referral_moves import TO_COURSE, TO_PROGRAMME

MONDAY = date(2026, 6, 1)
"""A week without a holiday."""


def begun(referral: Referral, today: date = MONDAY, is_open: Callable[[date], bool] = is_working_day) -> Waits:
    found = start(referral, today=today, is_open=is_open, days=DAYS)
    assert found is not None
    return found


def ladder(waits: Waits, kind: Kind = Kind.PROGRAMME) -> list[tuple[str, date]]:
    found = []
    while waits.tier is not None:
        assert waits.tier_on is not None
        found.append((waits.tier.value, waits.tier_on))
        waits = next_tier(waits, kind=kind, is_open=is_working_day, days=DAYS)
    return found


@pytest.mark.parametrize(
    ("state", "due_on", "expected"),
    [
        # Two working days for a receipt: Tuesday is whole, so Wednesday morning; then Thursday, then one day more.
        ("sent", "06-03", [("remind", "06-03"), ("second", "06-04"), ("take_over", "06-05")]),
        ("received", "06-08", [("remind", "06-04"), ("second", "06-09"), ("take_over", "06-12")]),
        ("accepted", "06-08", [("remind", "06-04"), ("second", "06-09"), ("take_over", "06-12")]),
        ("contact_made", "06-22", [("remind", "06-11"), ("second", "06-23"), ("take_over", "07-03")]),
        ("returned", "06-08", [("remind", "06-04"), ("second", "06-09"), ("take_over", "06-12")]),
        ("decline_pending", "06-03", [("remind", "06-03"), ("second", "06-04"), ("take_over", "06-05")]),
    ],
)
def test_half_then_the_end_then_the_coordinator(state: str, due_on: str, expected: list[tuple[str, str]]) -> None:
    waits = begun(replace(TO_PROGRAMME, state=State(state)))

    assert waits.due_on == date.fromisoformat(f"2026-{due_on}")
    assert ladder(waits) == [(tier, date.fromisoformat(f"2026-{on}")) for tier, on in expected]


def test_a_day_that_somebody_named_comes_first() -> None:
    waits = begun(replace(TO_PROGRAMME, state=State.WAITING, review_on=date(2026, 7, 1)))

    assert waits.due_on == date(2026, 7, 1)
    assert ladder(waits) == [
        ("remind", date(2026, 7, 1)),
        ("second", date(2026, 7, 4)),
        ("take_over", date(2026, 7, 7)),
    ]


def test_a_service_that_goes_on_is_looked_at_in_the_end() -> None:
    assert begun(replace(TO_PROGRAMME, state=State.IN_SERVICE)).due_on == MONDAY + timedelta(days=IN_SERVICE_REVIEW)


def test_golden_week_is_no_silence() -> None:
    waits = begun(replace(TO_PROGRAMME, state=State.SENT), date(2026, 5, 1))

    assert waits.due_on == date(2026, 5, 8), "2 to 6 May are holidays or a weekend"


def test_an_agencys_own_closed_days_do_not_count() -> None:
    closed = {date(2026, 6, 2), date(2026, 6, 3)}
    waits = begun(
        replace(TO_PROGRAMME, state=State.SENT), is_open=lambda day: is_working_day(day) and day not in closed
    )

    assert waits.due_on == date(2026, 6, 5)


@pytest.mark.parametrize("state", State)
def test_everything_that_is_open_waits_for_somebody(state: State) -> None:
    """Nothing waits unseen: every open state has a clock, but for seats, which have training's."""
    for verb in Verb:
        referral = replace(TO_PROGRAMME, state=state, verb=verb)
        assert (waits_for(referral) is not None) == (state in OPEN)
    assert waits_for(replace(TO_COURSE, state=State.RECEIVED)) is None


@pytest.mark.parametrize(
    ("state", "verb", "agency"),
    [
        (State.SENT, Verb.TRANSFER, "npo"),
        (State.SENT, Verb.REQUEST, "desk"),
        (State.RETURNED, Verb.REFER, "desk"),
        (State.DECLINE_PENDING, Verb.TRANSFER, "city"),
        (State.WAITING, Verb.TRANSFER, "npo"),
        (State.ACCEPTED, Verb.REQUEST, "npo"),
    ],
)
def test_it_waits_for_whose_move_it_is(state: State, verb: Verb, agency: str) -> None:
    assert begun(replace(TO_PROGRAMME, state=state, verb=verb)).agency == agency


def test_accepting_lets_the_clock_of_first_contact_run_on() -> None:
    received = replace(TO_PROGRAMME, state=State.RECEIVED)
    received = replace(received, waits=begun(received))
    accepted = replace(received, state=State.ACCEPTED)

    assert continues(received, accepted)
    assert not continues(replace(received, state=State.SENT), accepted)
    assert not continues(replace(received, verb=Verb.REQUEST), replace(accepted, verb=Verb.REQUEST))
    assert not continues(replace(received, waits=None), accepted)


def test_a_course_is_never_taken_from_its_line() -> None:
    waits = begun(TO_COURSE)

    assert [tier for tier, _ in ladder(waits, Kind.COURSE_RUN)] == ["remind", "second"]


@given(
    st.dates(date(2024, 1, 1), date(2029, 12, 31)),
    st.sampled_from([Clock.ACKNOWLEDGE, Clock.CONTACT, Clock.START, Clock.ANSWER, Clock.DECIDE]),
    st.integers(1, 60),
    st.sets(st.integers(0, 6), max_size=6),
)
def test_tiers_come_in_order_and_none_before_its_share_of_working_days(
    today: date, clock: Clock, count: int, closed: set[int]
) -> None:
    def is_open(day: date) -> bool:
        return day.weekday() not in closed

    state = {
        Clock.ACKNOWLEDGE: State.SENT,
        Clock.CONTACT: State.ACCEPTED,
        Clock.START: State.CONTACT_MADE,
        Clock.ANSWER: State.RETURNED,
        Clock.DECIDE: State.DECLINE_PENDING,
    }[clock]
    days = {**DAYS, clock: count}
    waits = start(replace(TO_PROGRAMME, state=state), today=today, is_open=is_open, days=days)
    reached = []
    while waits is not None and waits.tier is not None:
        assert waits.tier_on is not None
        whole = sum(is_open(today + timedelta(days=n)) for n in range(1, (waits.tier_on - today).days))
        reached.append((waits.tier, waits.tier_on, whole))
        waits = next_tier(waits, kind=Kind.PROGRAMME, is_open=is_open, days=days)
    assert [tier for tier, _, _ in reached] == [Tier.REMIND, Tier.SECOND, Tier.TAKE_OVER]
    assert [on for _, on, _ in reached] == sorted(on for _, on, _ in reached)
    assert reached[0][2] >= count // 2
    assert reached[1][2] == count
    assert reached[2][2] == count + max(1, (count + 1) // 2)


def test_an_agency_that_is_never_open_is_reminded_in_the_end() -> None:
    assert after(MONDAY, 2, lambda _: False) == MONDAY + timedelta(days=1_000)


def test_parties_are_asked_by_name() -> None:
    assert waits_for(replace(TO_PROGRAMME, state=State.SENT)) == (Clock.ACKNOWLEDGE, Party.RECEIVER)
