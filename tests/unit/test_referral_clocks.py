"""Clocks of a referral: which runs when, on which working days, and what silence leads to."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.clocks import (
    DAYS,
    IN_SERVICE_REVIEW,
    after,
    asks_later,
    continues,
    deliver,
    is_of,
    next_tier,
    reached,
    start,
    waits_for,
)
from services.referral.domain.moves import AT_WORK, OPEN, Moved, Referral, advance
from services.referral.domain.states import Clock, Outcome, Party, Progress, State, Tier, Verb, Waits
from services.referral.tables.calendars import Calendar
from shared.service import is_working_day
from tests.unit.test_referral_moves import TO_COURSE, TO_PROGRAMME

MONDAY = date(2026, 6, 1)
"""A week without a holiday."""


def begun(referral: Referral, today: date = MONDAY, is_open: Callable[[date], bool] = is_working_day) -> Waits:
    found = start(referral, today=today, is_open=is_open, days=DAYS)
    assert found is not None
    return found


def ladder(waits: Waits, of: Referral = TO_PROGRAMME) -> list[tuple[str, date]]:
    found = []
    while waits.tier is not None:
        assert waits.tier_on is not None
        found.append((waits.tier.value, waits.tier_on))
        waits = next_tier(waits, of=of, is_open=is_working_day, days=DAYS)
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


LEAVES_A_NEED = {State.DECLINED, State.EXPIRED}
"""This way is closed, and what it was about is still somebody's."""


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("to", [TO_PROGRAMME, TO_COURSE], ids=["programme", "course"])
@pytest.mark.parametrize("state", State)
def test_everything_that_is_open_or_has_no_place_yet_waits_for_somebody(state: State, to: Referral, verb: Verb) -> None:
    """Nothing waits unseen: of what is over only what is answered, taken back or passed on waits for nobody."""
    before = State.ACCEPTED if state is State.ON_HOLD else None
    expected = state in OPEN or (state in LEAVES_A_NEED and verb is not Verb.REQUEST)
    holder = "city" if to is TO_PROGRAMME and state in LEAVES_A_NEED and verb is not Verb.REQUEST else "desk"
    found = waits_for(replace(to, state=state, verb=verb, before_hold=before, responsible_agency=holder))
    assert (found is not None) == expected
    if state in LEAVES_A_NEED and found is not None:
        assert found == (Clock.PLACE, Party.COORDINATOR if holder == "city" else Party.SENDER)


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize(("holder", "party"), [("npo", "receiver"), ("desk", "sender"), ("city", "coordinator")])
def test_what_is_closed_and_came_to_nothing_waits_for_whoever_answers_for_it(
    verb: Verb, outcome: Outcome, holder: str, party: str
) -> None:
    closed = replace(TO_PROGRAMME, state=State.CLOSED, verb=verb, outcome=outcome, responsible_agency=holder)
    nothing = outcome in {"not_started", "broken_off"}
    assert waits_for(closed) == ((Clock.PLACE, Party(party)) if nothing else None)


def test_what_is_added_later_begins_no_second_search_for_what_has_its_place() -> None:
    closed = replace(TO_PROGRAMME, state=State.CLOSED, outcome="not_started")
    assert continues(closed, replace(closed, outcome="broken_off")), "somebody has said where it goes, or is at it"
    assert not continues(closed, replace(closed, outcome="employed"))
    assert not continues(replace(closed, outcome="started"), replace(closed, outcome="broken_off"))


@pytest.mark.parametrize("to", [TO_PROGRAMME, TO_COURSE], ids=["programme", "course"])
@pytest.mark.parametrize("state", sorted(AT_WORK))
def test_what_the_coordinator_has_taken_over_waits_for_it(state: State, to: Referral) -> None:
    before = State.ACCEPTED if state is State.ON_HOLD else None
    taken = replace(to, state=state, before_hold=before, responsible_agency="city", taken_over=True)
    waits = begun(taken)
    assert (waits.clock, waits.agency, waits.due_on) == (Clock.START, "city", date(2026, 6, 22))
    assert is_of(waits, taken)
    assert not asks_later(taken)
    assert ladder(waits, taken) == [("remind", date(2026, 6, 11)), ("second", date(2026, 6, 23))]


def test_a_course_that_was_sent_waits_for_who_can_take_it_back() -> None:
    assert waits_for(TO_COURSE) == (Clock.ACKNOWLEDGE, Party.SENDER), "its provider answers by its seats alone"


def test_a_request_leaves_a_need_only_where_it_had_moved_the_case() -> None:
    asked = replace(TO_PROGRAMME, verb=Verb.REQUEST, sender="city", responsible_agency="city")
    for state, begins in ((State.WAITING, None), (State.ACCEPTED, (Clock.PLACE, Party.COORDINATOR))):
        ended = advance(replace(asked, state=state), "expire", {Party.CLOCK})
        assert isinstance(ended, Moved)
        assert waits_for(ended.referral) == begins, "unanswered, its holder has the case as before"


def test_nobody_stands_behind_the_coordinator_so_it_stays_with_it_and_is_seen_to_be_late() -> None:
    waits = begun(replace(TO_PROGRAMME, state=State.EXPIRED, responsible_agency="city"))
    assert (waits.agency, waits.due_on) == ("city", date(2026, 6, 15)), "ten working days"
    assert ladder(waits) == [("remind", date(2026, 6, 9)), ("second", date(2026, 6, 16))]


# --- Seats and courses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("progress", "agency"),
    [
        (Progress.SEAT_WAITING, "desk"),
        (Progress.SEAT_HELD, "desk"),
        (Progress.NOMINATED, "desk"),
        (Progress.COUNTERSIGNED, "desk"),
        (Progress.INSTRUCTED, "school"),
    ],
)
def test_a_seat_waits_until_the_day_that_training_has_named(progress: Progress, agency: str) -> None:
    ends = date(2026, 6, 10)
    waits = begun(replace(TO_COURSE, state=State.RECEIVED, progress=progress, review_on=ends))
    assert (waits.clock, waits.agency, waits.due_on) == (Clock.SEAT, agency, ends)
    assert ladder(waits, TO_COURSE) == [("remind", ends), ("second", date(2026, 6, 13))]


def test_what_came_of_a_course_is_asked_when_it_has_ended() -> None:
    enrolled = replace(TO_COURSE, state=State.ACCEPTED, progress=Progress.ENROLLED, review_on=date(2026, 9, 30))
    waits = begun(enrolled)
    assert (waits.clock, waits.agency, waits.since) == (Clock.START, "school", date(2026, 9, 30))
    assert waits.due_on == date(2026, 10, 22), "15 working days; 12 October is a holiday"
    assert ladder(waits, TO_COURSE) == [
        ("remind", date(2026, 10, 1)),
        ("second", date(2026, 10, 23)),
        *[
            ("take_over", date(2026, 11, 5))  # eight working days more; 3 November is a holiday
        ],
    ]
    late = begun(replace(enrolled, review_on=date(2026, 5, 1)))
    assert late.since == MONDAY, "told after its end, its time begins on the day it is told"


# --- What has to be sent out first ------------------------------------------------------------------------------------


def test_what_was_not_sent_out_waits_for_its_sender() -> None:
    waits = deliver(TO_PROGRAMME, today=MONDAY, is_open=is_working_day, days=DAYS)
    assert (waits.clock, waits.agency, waits.due_on) == (Clock.DELIVER, "desk", date(2026, 6, 3))
    assert ladder(waits) == [
        ("remind", date(2026, 6, 3)),
        ("second", date(2026, 6, 4)),
        ("take_over", date(2026, 6, 5)),
    ]
    assert is_of(waits, TO_PROGRAMME)
    assert not is_of(waits, replace(TO_PROGRAMME, state=State.RETURNED)), "there it is the sender's own move"


def test_support_that_has_begun_is_not_taken_over_sooner_for_want_of_a_letter() -> None:
    accepted = replace(TO_PROGRAMME, state=State.ACCEPTED)
    without = deliver(accepted, today=MONDAY, is_open=is_working_day, days=DAYS)
    assert without.due_on == begun(accepted).due_on


def test_the_post_takes_its_days_before_the_receivers_begin() -> None:
    by_post = start(TO_PROGRAMME, today=MONDAY, is_open=is_working_day, days=DAYS, on_the_way=3)
    assert by_post is not None
    assert by_post.due_on == date(2026, 6, 8), "three days on the way, two to answer"
    assert by_post.tier_on == date(2026, 6, 6), "a reminder on the morning after the fourth"


@pytest.mark.parametrize("state", [State.IN_SERVICE, State.WAITING, State.ON_HOLD])
def test_who_is_asked_on_the_day_that_was_named_has_days_to_answer(state: State) -> None:
    referral = replace(TO_PROGRAMME, state=state, review_on=date(2026, 5, 29))
    waits = start(referral, today=MONDAY, is_open=is_working_day, days=DAYS, on_the_way=3, asked=True)
    assert waits is not None
    assert waits.due_on == date(2026, 6, 8)


@pytest.mark.parametrize(
    ("tier", "so_far"),
    [(Tier.REMIND, None), (Tier.SECOND, Tier.REMIND), (Tier.TAKE_OVER, Tier.SECOND), (None, Tier.SECOND)],
)
def test_the_tier_that_silence_has_come_to(tier: Tier | None, so_far: Tier | None) -> None:
    on = None if tier is None else MONDAY
    assert reached(Waits(Clock.CONTACT, "npo", MONDAY, MONDAY, tier, on)) is so_far


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

    assert [tier for tier, _ in ladder(waits, TO_COURSE)] == ["remind", "second"]


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
        waits = next_tier(waits, of=TO_PROGRAMME, is_open=is_open, days=days)
    assert [tier for tier, _, _ in reached] == [Tier.REMIND, Tier.SECOND, Tier.TAKE_OVER]
    assert [on for _, on, _ in reached] == sorted(on for _, on, _ in reached)
    assert reached[0][2] >= count // 2
    assert reached[1][2] == count
    assert reached[2][2] == count + max(1, (count + 1) // 2)


def test_an_agency_that_is_never_open_is_reminded_in_the_end() -> None:
    assert after(MONDAY, 2, lambda _: False) == MONDAY + timedelta(days=1_000)


def test_parties_are_asked_by_name() -> None:
    assert waits_for(replace(TO_PROGRAMME, state=State.SENT)) == (Clock.ACKNOWLEDGE, Party.RECEIVER)


@pytest.mark.parametrize(
    ("day", "opens"),
    [
        (date(2026, 6, 3), False),  # a Wednesday, closed that once
        (date(2026, 6, 10), True),
        (date(2026, 6, 6), False),  # a Saturday
        (date(2026, 4, 29), False),  # a Wednesday, a holiday
    ],
)
def test_an_agency_is_closed_on_its_weekdays_its_own_days_and_holidays(day: date, opens: bool) -> None:
    calendar = Calendar(frozenset({5, 6}), frozenset({date(2026, 6, 3)}), {})
    assert calendar.is_open(day) is opens
