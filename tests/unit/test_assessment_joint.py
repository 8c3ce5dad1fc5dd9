"""Several eyes: nobody sees another's levels before all are in; gaps keep both sides; pairs are of two agencies."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from services.assessment.domain.instruments import Answer
from services.assessment.domain.joint import (
    Gap,
    Joint,
    Refused,
    Seat,
    State,
    Went,
    agree,
    close,
    gaps,
    give,
    pairs,
    seen_by,
)

CHAIR = "desk"
SEATS = [Seat(agency, profession) for agency, profession in product(("desk", "npo", "clinic"), ("a", "b"))]
ANSWER = Answer({"mental": 2})


def begun(*seats: Seat) -> Joint:
    return Joint(CHAIR, frozenset(seats or SEATS))


@given(st.lists(st.tuples(st.sampled_from(("give", "close", "agree")), st.sampled_from(SEATS)), max_size=14))
def test_whatever_happens_others_levels_are_unseen_until_all_are_in_or_the_chair_closes(
    steps: list[tuple[str, Seat]],
) -> None:
    joint = begun()
    given_: dict[Seat, Answer] = {}
    agreed = 0
    for name, seat in steps:
        if name == "give":
            outcome = give(joint, seat)
            if isinstance(outcome, Went):
                assert seat not in given_
                given_[seat] = ANSWER
        elif name == "close":
            outcome = close(joint, by=seat.agency)
            assert isinstance(outcome, Refused) or seat.agency == CHAIR
        else:
            outcome = agree(joint, by=seat.agency)
            assert isinstance(outcome, Refused) or (seat.agency == CHAIR and joint.state is State.SIDE_BY_SIDE)
            agreed += isinstance(outcome, Went)
        before, joint = joint, outcome.joint if isinstance(outcome, Went) else joint
        closed = joint.state is not State.RATING
        by_chair = name == "close" and joint != before
        assert closed == (before.state is not State.RATING or given_.keys() == set(SEATS) or by_chair)
        for agency in ("desk", "npo", "clinic", "stranger"):
            seen = seen_by(joint, agency, given_)
            assert seen == (given_ if closed else {s: a for s, a in given_.items() if s.agency == agency})
        assert joint.given == given_.keys()
    assert agreed <= 1


def test_what_can_not_be_is_refused_with_its_reason() -> None:
    one, two = SEATS[0], SEATS[2]
    joint = begun(one, two)
    assert give(joint, Seat("stranger", "a")) == Refused("not_a_member")
    assert close(joint, by=CHAIR) == Refused("nobody_rated")
    assert agree(joint, by=CHAIR) == Refused("still_hidden")
    first = give(joint, one)
    assert isinstance(first, Went)
    assert give(first.joint, one) == Refused("given_already")
    assert close(first.joint, by="npo") == Refused("not_the_chair")
    last = give(first.joint, two)
    assert isinstance(last, Went)
    assert last.joint.state is State.SIDE_BY_SIDE
    assert give(last.joint, one) == Refused("closed")
    once = agree(last.joint, by=CHAIR)
    assert isinstance(once, Went)
    assert agree(once.joint, by=CHAIR) == Refused("agreed_already")


def test_a_gap_of_two_is_marked_with_who_stands_on_either_side_and_one_is_not() -> None:
    one, two, three = SEATS[0], SEATS[2], SEATS[4]
    seen = {
        one: Answer({"mental": 2, "stress": 3}),
        two: Answer({"mental": 4, "stress": 4}),
        three: Answer({"mental": 2}, frozenset({"stress"})),
    }
    assert gaps(seen, ["mental", "stress", "thinking"]) == [
        Gap("mental", 2, 4, low=tuple(sorted((one, three))), high=(two,))
    ]


def test_pairs_are_of_two_agencies_each_once() -> None:
    found = pairs(dict.fromkeys(SEATS, ANSWER))
    assert len(found) == 12
    assert len({frozenset(pair) for pair in found}) == 12
    assert all(one.agency < other.agency for one, other in found)
