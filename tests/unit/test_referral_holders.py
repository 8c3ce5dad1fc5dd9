"""A hand-over that is heard of late, beside what followed on it."""

from services.referral.domain.holders import HandOn, handed_on


def test_who_has_not_handed_it_on_holds_it() -> None:
    assert handed_on("npo", []) == "npo"
    assert handed_on("npo", [HandOn("school", "city")]) == "npo", "what another gave was not its own"


def test_who_has_handed_it_on_holds_it_no_more() -> None:
    assert handed_on("npo", [HandOn("npo", "school"), HandOn("school", "city")]) == "city"


def test_what_came_back_is_held_again() -> None:
    assert handed_on("npo", [HandOn("npo", "school"), HandOn("school", "npo")]) == "npo"
    assert handed_on("npo", [HandOn("npo", "npo")]) == "npo", "within its own house"
