"""A hand-over that is heard of late, beside what followed on it."""

from uuid import UUID

from services.referral.domain.holders import HandOn, handed_on, has_handed_on, still_ahead

FIRST, SECOND, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)


def test_who_has_not_handed_it_on_holds_it() -> None:
    assert handed_on("npo", []) == "npo"
    assert handed_on("npo", [HandOn("school", "city")]) == "npo", "what another gave was not its own"


def test_who_has_handed_it_on_holds_it_no_more() -> None:
    assert handed_on("npo", [HandOn("npo", "school"), HandOn("school", "city")]) == "city"


def test_what_came_back_is_held_again() -> None:
    assert handed_on("npo", [HandOn("npo", "school"), HandOn("school", "npo")]) == "npo"
    assert handed_on("npo", [HandOn("npo", "npo")]) == "npo", "within its own house"


def test_who_has_handed_it_on_has_also_where_it_came_back_and_not_within_its_own_house() -> None:
    assert has_handed_on("npo", [HandOn("npo", "school"), HandOn("school", "npo")])
    assert not has_handed_on("npo", [HandOn("school", "npo"), HandOn("npo", "npo")])


def test_what_intake_answers_answers_all_that_it_heard_before() -> None:
    assert still_ahead([FIRST, SECOND, THIRD], SECOND) == [THIRD]
    assert still_ahead([FIRST, SECOND], SECOND) == []


def test_a_word_that_answers_nothing_or_says_it_again_leaves_what_is_ahead() -> None:
    assert still_ahead([SECOND, THIRD], None) == [SECOND, THIRD]
    assert still_ahead([SECOND, THIRD], FIRST) == [SECOND, THIRD], "told again after it was answered"
