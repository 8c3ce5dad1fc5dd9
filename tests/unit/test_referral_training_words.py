"""Training's words as an outcome of the referral: reckoned from those that stand, in any order, and corrected."""

from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain import training_words as words
from services.referral.domain.states import Outcome, State

DAYS = ("at_end", "one_month", "three_months")
SAID = ("employed_insured", "employed", "self_employed", "further_training", "seeking", "not_seeking", "not_reached")


def test_completing_having_a_job_and_having_one_after_three_months_are_different_things() -> None:
    assert words.of_end("completed", for_work=False) is Outcome.COMPLETED
    assert words.of_end("left", for_work=True) is Outcome.EMPLOYED
    assert words.of_end("left", for_work=False) is Outcome.BROKEN_OFF
    for said in SAID[:3]:
        assert [words.of_set_day(day, said) for day in DAYS] == [
            Outcome.EMPLOYED, Outcome.EMPLOYED, Outcome.EMPLOYED_3_MONTHS,
        ]  # fmt: skip
    assert words.of_set_day("at_end", "further_training") is Outcome.NEXT_STAGE
    assert {words.of_set_day(day, said) for day in DAYS for said in SAID[4:]} == {None}


told = st.lists(
    st.one_of(
        st.tuples(st.just("end"), st.sampled_from(["completed", "left", "for_work"])),
        st.tuples(st.sampled_from(DAYS), st.sampled_from(SAID)),
    ),
    max_size=12,
)


@given(told)
def test_the_referral_shows_the_furthest_of_what_stands_whatever_was_corrected(history: list[tuple[str, str]]) -> None:
    state, shown = State.ACCEPTED, None
    stand: dict[str, Outcome | None] = {}
    for about, said in history:
        before = dict(stand)
        if about == "end":
            stand[about] = words.of_end("completed" if said == "completed" else "left", for_work=said == "for_work")
        else:
            stand[about] = words.of_set_day(about, said)
        after = words.standing(stand.values())
        moves = words.moves(state, shown, before.values(), stand.values())
        if moves:
            shown = after
        corrected = words.standing(before.values()) not in stand.values()
        assert ("correct_outcome" in moves) <= corrected, "who came further was not corrected"
        if "close" in moves:
            state = State.CLOSED
        if after is not None:
            assert shown is after


def test_what_was_said_by_hand_is_not_corrected_by_training() -> None:
    completed, left = [Outcome.COMPLETED], [Outcome.BROKEN_OFF]
    assert words.moves(State.CLOSED, "next_stage", [], completed) == ("add_outcome",)
    assert words.moves(State.CLOSED, "next_stage", completed, left) == ("add_outcome",)
    assert words.moves(State.CLOSED, "completed", completed, left) == ("correct_outcome",)
    assert words.moves(State.CLOSED, "completed", completed, [*completed, Outcome.EMPLOYED]) == ("add_outcome",)
    assert words.moves(State.OUTCOME_SET, "employed", [], completed) == ("close", "add_outcome"), "who has a job has it"
    assert words.moves(State.OUTCOME_SET, "completed", [], left) == ("set_outcome", "close"), "a place is looked for"
    for state in (State.RECEIVED, State.WITHDRAWN, State.DECLINED, State.EXPIRED):
        assert words.moves(state, None, [], completed) == ()
