"""One-time links: which moves they make, what is seen, until when; and the code that is typed from a letter."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain import clocks
from services.referral.domain.codes import ALPHABET, BITS, read_code, write_code
from services.referral.domain.links import (
    GIVES_UP,
    LIFE,
    Answered,
    Standing,
    ends_at,
    gives_up,
    moves_by_link,
    next_try,
    stands,
    wants_link,
)
from services.referral.domain.moves import AT_WORK
from services.referral.domain.states import Clock, Progress, State, Tier, Verb, Waits
from tests.unit.test_referral_moves import TO_COURSE, TO_PROGRAMME

NOW = datetime(2026, 4, 1, tzinfo=UTC)
numbers = st.integers(0, 2**BITS - 1)

# Written by hand, and not from the table: what a link lets its holder do.
DOES = {
    State.SENT: ("receive", "accept", "return", "wait", "decline"),
    State.RECEIVED: ("accept", "return", "wait", "decline"),
    State.WAITING: ("accept", "wait", "decline"),
    State.ACCEPTED: ("contact", "start", "miss", "set_outcome"),
    State.CONTACT_MADE: ("start", "miss", "set_outcome"),
    State.NO_SHOW: ("contact", "start", "set_outcome"),
    State.IN_SERVICE: ("miss", "set_outcome"),
    State.ON_HOLD: ("set_outcome",),
    State.OUTCOME_SET: ("set_outcome", "close"),
}


# --- The code of a letter ------------------------------------------------------------------------------------------


@given(numbers)
def test_a_code_is_read_as_it_is_written(number: int) -> None:
    code = write_code(number)
    assert len(code) == 19
    assert read_code(code) == code.replace("-", "")


@given(numbers, st.booleans(), st.sampled_from(["", "-", " ", "ー", "‐", "−", " - "]))
def test_a_code_is_read_however_it_is_typed(number: int, capitals: bool, between: str) -> None:
    plain = write_code(number).replace("-", "")
    typed = between.join(plain[start : start + 4] for start in range(0, 16, 4))
    typed = typed.replace("0", "O").replace("1", "l") if capitals else typed.lower()
    assert read_code(typed) == plain
    wide = "".join(chr(ord(sign) + 0xFEE0) if sign.isalnum() and sign.isascii() else sign for sign in typed)
    assert read_code(wide) == plain


@given(numbers, st.integers(0, 15), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_always_seen(number: int, place: int, sign: str) -> None:
    plain = write_code(number).replace("-", "")
    wrong = plain[:place] + sign + plain[place + 1 :]
    assert (read_code(wrong) is None) == (wrong != plain)


@given(numbers, st.integers(0, 14))
def test_neighbours_that_changed_places_are_seen_but_for_the_first_and_the_last_sign(number: int, place: int) -> None:
    plain = write_code(number).replace("-", "")
    pair = plain[place : place + 2]
    wrong = plain[:place] + pair[::-1] + plain[place + 2 :]
    assert (read_code(wrong) is None) == (wrong != plain and set(pair) != {"0", "Z"})


@given(st.text(max_size=80))
def test_whatever_is_typed_is_a_code_or_none(typed: str) -> None:
    code = read_code(typed)
    assert code is None or (len(code) == 16 and set(code) <= set(ALPHABET))


def test_two_numbers_have_two_codes_and_every_bit_counts() -> None:
    assert len({write_code(1 << bit) for bit in range(BITS)}) == BITS


# --- What a link does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", Verb)
def test_a_link_makes_its_moves_and_no_other(state: State, verb: Verb) -> None:
    before = State.ACCEPTED if state is State.ON_HOLD else None
    referral = replace(TO_PROGRAMME, state=state, verb=verb, before_hold=before)
    does = () if verb is Verb.REQUEST else DOES.get(state, ())
    assert moves_by_link(referral) == does
    assert wants_link(referral) == bool(does)


@pytest.mark.parametrize("state", sorted(AT_WORK))
def test_who_goes_on_with_what_was_taken_over_may_still_say_so_but_is_not_asked(state: State) -> None:
    before = State.ACCEPTED if state is State.ON_HOLD else None
    taken = replace(TO_PROGRAMME, state=state, before_hold=before, responsible_agency="city", taken_over=True)
    assert stands(taken, None) is Standing.OPEN
    assert not wants_link(taken)


@pytest.mark.parametrize("state", [State.SENT, State.RECEIVED, State.RETURNED, State.DECLINED])
def test_a_course_answers_by_its_seats(state: State) -> None:
    assert not wants_link(replace(TO_COURSE, state=state, progress=Progress.SEAT_HELD))


ANSWER = Answered("accept", None, NOW)


@pytest.mark.parametrize("state", [State.WITHDRAWN, State.EXPIRED, State.REROUTED])
def test_what_was_taken_back_is_so_whatever_was_answered(state: State) -> None:
    assert stands(replace(TO_PROGRAMME, state=state), ANSWER) is Standing.OVER
    assert stands(replace(TO_PROGRAMME, state=state), None) is Standing.OVER


@pytest.mark.parametrize("state", [State.ACCEPTED, State.RETURNED, State.DECLINE_PENDING, State.DECLINED, State.CLOSED])
def test_who_answered_sees_the_answer(state: State) -> None:
    assert stands(replace(TO_PROGRAMME, state=state), ANSWER) is Standing.ANSWERED


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        (State.SENT, Standing.OPEN),
        (State.ACCEPTED, Standing.OPEN),
        (State.RETURNED, Standing.NOT_NOW),
        (State.DECLINE_PENDING, Standing.NOT_NOW),
        (State.DRAFT, Standing.NOT_NOW),
        (State.DECLINED, Standing.OVER),
        (State.CLOSED, Standing.OVER),
    ],
)
def test_an_unanswered_link_stands_where_its_referral_does(state: State, standing: Standing) -> None:
    assert stands(replace(TO_PROGRAMME, state=state), None) is standing


# --- Until when ----------------------------------------------------------------------------------------------------


def weekdays(day: date) -> bool:
    return day.weekday() < 5


def test_the_day_of_taking_over_is_the_one_that_the_clock_comes_to() -> None:
    days = dict(clocks.DAYS)
    waits = clocks.start(TO_PROGRAMME, today=date(2026, 4, 1), is_open=weekdays, days=days)
    assert waits is not None
    walked = waits
    while walked.tier is not Tier.TAKE_OVER:
        walked = clocks.next_tier(walked, of=TO_PROGRAMME, is_open=weekdays, days=days)
    day = clocks.takes_over_on(waits, of=TO_PROGRAMME, is_open=weekdays, days=days)
    assert day == walked.tier_on == date(2026, 4, 7), "Monday is whole"
    assert clocks.takes_over_on(waits, of=TO_COURSE, is_open=weekdays, days=days) is None


def test_a_clock_that_has_run_out_takes_over_on_no_day() -> None:
    over = Waits(Clock.CONTACT, "npo", date(2026, 4, 1), date(2026, 4, 8), None, None)
    assert clocks.takes_over_on(over, of=TO_PROGRAMME, is_open=weekdays, days=clocks.DAYS) is None


@given(st.none() | st.integers(-10_000, 50_000))
def test_a_link_ends_when_the_coordinator_takes_over_and_after_a_fortnight_at_the_latest(minutes: int | None) -> None:
    at = None if minutes is None else NOW + timedelta(minutes=minutes)
    ends = ends_at(NOW, at)
    assert NOW + timedelta(hours=1) <= ends <= NOW + LIFE
    if at is not None and NOW + timedelta(hours=1) <= at <= NOW + LIFE:
        assert ends == at


def test_a_link_never_ends_before_its_answer_is_due() -> None:
    due = NOW + LIFE + timedelta(days=9)
    assert ends_at(NOW, None, due) == due
    assert ends_at(NOW, due + timedelta(days=5), due) == due, "a fortnight, or until it is due; no longer"
    assert ends_at(NOW, NOW + timedelta(days=2), due) == NOW + timedelta(days=2)


# --- Mail ----------------------------------------------------------------------------------------------------------


def test_pauses_grow_and_leave_a_try_the_time_to_end() -> None:
    tries = [next_try(tries, NOW) - NOW for tries in range(1, 30)]
    assert tries == sorted(tries)
    assert tries[0] >= timedelta(minutes=2)
    assert tries[-1] <= timedelta(hours=2)


def test_after_a_day_it_is_given_up() -> None:
    assert not gives_up(NOW, NOW + GIVES_UP - timedelta(seconds=1))
    assert gives_up(NOW, NOW + timedelta(days=1))
