"""Selection, attendance and the rule of 80 %, the end of training and the set days after it, as plain values."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import product
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.domain import attendance, outcomes, selection
from services.training.domain.attendance import Excuse, Month, Standing, Uncertifiable
from services.training.domain.outcomes import Checkpoint, End, Ending, Left, Unfit
from services.training.domain.selection import (
    Applicant,
    Because,
    Rejected,
    Result,
    Selected,
    Selection,
    Unselectable,
)
from services.training.domain.status import STATUSES, Said, facts_of, status_of
from services.training.domain.steps import SeatRequest, State, TooLate

NOW = datetime(2027, 3, 1, 3, 0, tzinfo=UTC)
TODAY = date(2027, 3, 1)
STARTS, ENDS = date(2027, 4, 5), date(2027, 9, 30)


# --- selection ------------------------------------------------------------------------------------------------------


def applied(state: State = State.NOMINATED, *, hours: int = 1) -> SeatRequest:
    ids = [UUID(int=number) for number in range(1, 5)]
    return SeatRequest(ids[0], ids[1], ids[2], ids[3], "462012", None, state, NOW + timedelta(hours=hours), 1)


def choose(
    said: Selection,
    *,
    at: SeatRequest | None = None,
    before: Result | None = None,
    others: Sequence[Applicant] = (),
) -> object:
    return selection.select(at or applied(), said, before=before, others=others, starts_on=STARTS, today=TODAY, now=NOW)


def test_a_result_keeps_the_seat_and_a_rejection_frees_it() -> None:
    assert choose(Selection(Result.ACCEPTED, TODAY)) == Selected(STARTS)
    assert choose(Selection(Result.RESERVE, TODAY, rank=2)) == Selected(STARTS)
    assert choose(Selection(Result.IN_SELECTION, date(2027, 3, 20))) == Selected(date(2027, 3, 20))
    assert choose(Selection(Result.REJECTED, TODAY, because=Because.PREREQUISITES)) == Rejected()


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        (Selection(Result.RESERVE, TODAY), "rank_of_a_reserve"),
        (Selection(Result.ACCEPTED, TODAY, rank=1), "rank_of_a_reserve"),
        (Selection(Result.REJECTED, TODAY), "reason_of_a_rejection"),
        (Selection(Result.ACCEPTED, TODAY, because=Because.OTHER), "reason_of_a_rejection"),
        (Selection(Result.ACCEPTED, date(2027, 3, 2)), "result_day_out_of_reach"),
        (Selection(Result.IN_SELECTION, date(2027, 2, 28)), "result_day_out_of_reach"),
        (Selection(Result.IN_SELECTION, date(2027, 4, 6)), "result_day_out_of_reach"),
        (Selection(Result.RESERVE, TODAY, rank=1), "rank_is_taken"),
    ],
)
def test_results_that_contradict_themselves_or_another(said: Selection, rule: str) -> None:
    outcome = choose(said, others=[Applicant(UUID(int=7), Result.RESERVE, 1)])
    assert isinstance(outcome, Unselectable)
    assert outcome.reason == rule


def test_a_result_is_given_from_the_nomination_to_the_instruction() -> None:
    for state in State:
        outcome = choose(Selection(Result.ACCEPTED, TODAY), at=applied(state))
        assert isinstance(outcome, Selected) == (state in {State.NOMINATED, State.COUNTERSIGNED}), state
    assert choose(Selection(Result.ACCEPTED, TODAY), at=applied(hours=-1)) == TooLate()


def test_a_result_may_be_corrected_but_not_taken_back() -> None:
    assert choose(Selection(Result.ACCEPTED, TODAY), before=Result.RESERVE) == Selected(STARTS)
    back = choose(Selection(Result.IN_SELECTION, TODAY), before=Result.ACCEPTED)
    assert back == Unselectable("result_is_known", "result")


def test_a_school_that_selects_selects_among_all() -> None:
    table = {
        (result, selects): selection.may_be_instructed(result, school_selects=selects)
        for result, selects in product([None, *Result], [False, True])
    }
    allowed = {key for key, may in table.items() if may}
    assert allowed == {(None, False), (Result.ACCEPTED, True), (Result.ACCEPTED, False)}


@given(st.lists(st.tuples(st.sampled_from(Result), st.integers(1, 9)), max_size=8))
def test_the_first_rank_moves_up(people: list[tuple[Result, int]]) -> None:
    applicants = [
        Applicant(UUID(int=number), result, rank if result is Result.RESERVE else None)
        for number, (result, rank) in enumerate(people)
    ]
    ranks = sorted(rank for result, rank in people if result is Result.RESERVE)
    found = selection.moves_up(applicants, starts_on=STARTS, today=TODAY, now=NOW)
    assert (found.rank if found else None) == (ranks[0] if ranks else None)


def test_who_ran_out_is_passed_over_and_after_the_first_day_nobody_moves_up() -> None:
    ends = [NOW - timedelta(seconds=1), NOW, None]
    reserves = [Applicant(UUID(int=n), Result.RESERVE, n, end) for n, end in enumerate(ends, 1)]
    assert selection.moves_up(reserves, starts_on=TODAY, today=TODAY, now=NOW) == reserves[1]
    assert selection.moves_up(reserves[:1], starts_on=STARTS, today=TODAY, now=NOW) is None
    assert selection.moves_up(reserves, starts_on=TODAY - timedelta(days=1), today=TODAY, now=NOW) is None


# --- attendance -----------------------------------------------------------------------------------------------------


def month(number: int = 5, *, held: int = 20, present: int = 20, excused: int = 0, to_come: int | None = None) -> Month:
    return Month(date(2027, number, 1), held, present, {Excuse.ILLNESS: excused} if excused else {}, to_come)


def certify(said: Month, *, today: date = date(2027, 12, 1), left_on: date | None = None) -> object:
    return attendance.certify(said, starts_on=STARTS, ends_on=ENDS, left_on=left_on, today=today)


def test_the_rule_against_every_day_counted_one_by_one() -> None:
    """All months there can be: 80 % as a fraction, with each day a day of its own."""
    for held in range(32):
        for present in range(held + 1):
            days = [True] * present + [False] * (held - present)
            share = Fraction(sum(days), len(days)) if days else Fraction(1)
            found = attendance.reckon([month(held=held, present=present)])
            assert found.meets == (share >= Fraction(8, 10)), (held, present)
            missing = next(more for more in range(33) if (present + more) * 10 >= held * 8)
            assert found.short_by == missing, (held, present)


def test_an_excused_day_is_no_presence() -> None:
    found = attendance.reckon([month(held=20, present=15, excused=5)])
    assert (found.meets, found.needed, found.short_by, found.unexcused) == (False, 16, 1, 0)
    assert attendance.reckon([month(held=20, present=16, excused=1)]).unexcused == 3


months = st.lists(
    st.integers(0, 23).flatmap(lambda held: st.tuples(st.just(held), st.integers(0, held))), min_size=1, max_size=6
)


@given(months, st.none() | st.integers(0, 60))
def test_out_of_reach_means_that_no_way_of_attending_leads_there(
    days: list[tuple[int, int]], to_come: int | None
) -> None:
    certified = [month(4 + n, held=held, present=present, to_come=to_come) for n, (held, present) in enumerate(days)]
    held, present = sum(d[0] for d in days), sum(d[1] for d in days)
    enough = Fraction(4, 5)
    so_far = held == 0 or Fraction(present, held) >= enough
    ways = (
        [] if to_come is None else [Fraction(present + n, held + to_come) for n in range(to_come + 1) if held + to_come]
    )
    reachable = to_come is None or any(way >= enough for way in ways)
    month_alone = Standing.ON_TRACK if days[-1][1] * 10 >= days[-1][0] * 8 else Standing.MONTH_BELOW
    wanted = month_alone if so_far else Standing.BELOW if reachable else Standing.OUT_OF_REACH
    assert attendance.standing(certified) is wanted


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        (month(3), "month_not_in_the_course"),
        (month(10), "month_not_in_the_course"),
        (Month(date(2026, 5, 1), 1, 1, {}), "month_not_in_the_course"),
        (Month(date(2027, 5, 2), 1, 1, {}), "not_a_month"),
        (month(4, held=27, present=1), "more_days_than_there_are"),
        (month(held=20, present=16, excused=5), "days_do_not_add_up"),
        (month(held=20, present=-1), "days_do_not_add_up"),
        (month(held=20, present=20, to_come=123), "more_days_than_there_are"),
    ],
)
def test_months_that_can_not_be_certified(said: Month, rule: str) -> None:
    outcome = certify(said)
    assert isinstance(outcome, Uncertifiable)
    assert outcome.reason == rule


def test_the_first_and_the_last_month_are_cut_by_the_course() -> None:
    assert certify(month(4, held=26, present=1)) is None
    assert certify(month(9, held=30, present=1)) is None


def test_a_month_is_certified_from_its_last_day_on() -> None:
    assert certify(month(5), today=date(2027, 5, 31)) is None
    assert certify(month(5), today=date(2027, 5, 30)) == Uncertifiable("month_is_not_over", "month")
    left = date(2027, 5, 14)
    assert certify(month(5, held=10, present=9), today=left, left_on=left) is None
    assert certify(month(6), left_on=left) == Uncertifiable("month_not_in_the_course", "month")


# --- the end, and what came of it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        (End(Ending.COMPLETED, ENDS), None),
        (End(Ending.LEFT, date(2027, 6, 1), Left.FOUND_WORK), None),
        (End(Ending.COMPLETED, ENDS, Left.OTHER), "reason_of_leaving"),
        (End(Ending.LEFT, date(2027, 6, 1)), "reason_of_leaving"),
        (End(Ending.LEFT, date(2027, 4, 4), Left.OTHER), "day_not_in_the_course"),
        (End(Ending.LEFT, date(2027, 10, 1), Left.OTHER), "day_not_in_the_course"),
        (End(Ending.COMPLETED, date(2027, 9, 29)), "completed_on_the_last_day"),
        (End(Ending.LEFT, date(2027, 4, 30), Left.OTHER), "attended_afterwards"),
    ],
)
def test_how_training_can_have_ended(said: End, rule: str | None) -> None:
    outcome = outcomes.end_training(said, starts_on=STARTS, ends_on=ENDS, today=ENDS, attended_last=date(2027, 5, 1))
    assert (outcome.reason if outcome else None) == rule


def test_an_end_is_not_told_before_its_day() -> None:
    before = outcomes.end_training(
        End(Ending.COMPLETED, ENDS), starts_on=STARTS, ends_on=ENDS, today=date(2027, 9, 29), attended_last=None
    )
    assert before == Unfit("day_to_come", "ended_on")


@pytest.mark.parametrize(
    ("ended", "days"),
    [
        (date(2027, 9, 30), [date(2027, 9, 30), date(2027, 10, 30), date(2027, 12, 30)]),
        (date(2027, 11, 30), [date(2027, 11, 30), date(2027, 12, 30), date(2028, 2, 29)]),
        (date(2026, 12, 31), [date(2026, 12, 31), date(2027, 1, 31), date(2027, 3, 31)]),
        (date(2027, 1, 31), [date(2027, 1, 31), date(2027, 2, 28), date(2027, 4, 30)]),
    ],
)
def test_the_set_days_are_clipped_to_the_month(ended: date, days: list[date]) -> None:
    assert [outcomes.due_on(ended, point) for point in Checkpoint] == days


def test_late_is_never_too_late_and_early_is() -> None:
    for today, found in ((date(2027, 12, 29), Unfit("day_to_come", "checkpoint")), (date(2030, 1, 1), None)):
        assert outcomes.record_outcome(Checkpoint.THREE_MONTHS, ended_on=ENDS, today=today) == found
    nothing = outcomes.record_outcome(Checkpoint.AT_END, ended_on=None, today=ENDS)
    assert nothing == Unfit("training_has_not_ended", "checkpoint")


# --- the status -----------------------------------------------------------------------------------------------------


def oracle(state: State, result: Result | None, ending: Ending | None) -> str:
    """Told as a counsellor would."""
    if state is State.RELEASED:
        return "rejected" if result is Result.REJECTED else "released"
    if state is State.ENROLLED:
        return ending.value if ending else "enrolled"
    if state is State.INSTRUCTED:
        return "instructed"
    if state in {State.NOMINATED, State.COUNTERSIGNED} and result:
        return result.value
    return state.value


def can_be(state: State, result: Result | None, ending: Ending | None) -> bool:
    """What the chain can come to: nothing ends that didn't begin, and a rejection always frees the seat."""
    if ending and state is not State.ENROLLED:
        return False
    if result is Result.REJECTED:
        return state is State.RELEASED
    if state in {State.WAITING, State.HELD}:
        return result is None
    return state not in {State.INSTRUCTED, State.ENROLLED} or result in {None, Result.ACCEPTED}


def test_the_status_is_what_a_counsellor_would_say() -> None:
    whole = list(product(State, [None, *Result], [None, *Ending]))
    possible = [each for each in whole if can_be(*each)]
    assert len(possible) == 23
    for each in possible:
        assert status_of(facts_of(*each)) == oracle(*each), each
    assert {status_of(facts_of(*each)) for each in possible} == {row.status for row in STATUSES}


@given(st.sets(st.sampled_from(Said), min_size=1))
def test_every_set_of_facts_has_one_status_and_a_new_fact_never_takes_it_back(said: set[Said]) -> None:
    place = {row.status: number for number, row in enumerate(STATUSES)}
    before = place[status_of(said)]
    for fact in Said:
        assert place[status_of(said | {fact})] >= before


def test_the_decision_shows_the_table_that_the_code_reads() -> None:
    text = (Path(__file__).parents[2] / "docs/decisions/0050-a-status-is-reckoned-from-facts.md").read_text("utf-8")
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    shown = [row for row in rows if row[0] in set(Said)]
    assert shown == [[row.fact, row.status, row.ja, row.said_by, row.state or "as before"] for row in STATUSES]
