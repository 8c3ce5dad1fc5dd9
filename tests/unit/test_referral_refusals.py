"""What a no is worth today, and what an accepted referral left behind."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest

from services.referral.domain.options import ROOM_IS_NEWS_FOR, Capacity, Option, Stage
from services.referral.domain.refusals import Been, last_words, refused
from tests.unit.test_referral_routing import COURSE, DROP_IN, TODAY

DAY = TODAY - timedelta(days=3)
"""On which it was declined, with a word about room from a later day."""
NO = Been(DROP_IN.id, "transfer", "declined", "no_capacity", since=DAY, stage="drop_in")


def holds(been: Been, option: Option | None = DROP_IN, today: date = TODAY) -> bool:
    options = {} if option is None else {option.id.int: option}
    return been.target in refused(last_words([been]), options, today)


@pytest.mark.parametrize(
    ("been", "option", "expected"),
    [
        (NO, DROP_IN, False),
        (replace(NO, state="expired", reason=None), DROP_IN, False),
        (NO, replace(DROP_IN, capacity_confirmed_on=DAY), True),
        (NO, replace(DROP_IN, capacity_confirmed_on=None), True),
        (NO, replace(DROP_IN, capacity=Capacity.ASK_FIRST), True),
        (NO, replace(DROP_IN, capacity=Capacity.FULL), True),
        (NO, None, True),
        (replace(NO, since=None), DROP_IN, True),
        (replace(NO, state="rerouted", reason=None), DROP_IN, True),
        (replace(NO, target=COURSE.id), COURSE, True),
        *(
            (replace(NO, reason=reason), DROP_IN, True)
            for reason in (
                "not_eligible", "not_our_service", "already_served", "person_declined", "no_contact", "other", None,
            )
        ),
    ],
)  # fmt: skip
def test_no_room_and_silence_pass_with_a_later_word_about_room_and_nothing_else_does(
    been: Been, option: Option | None, expected: bool
) -> None:
    assert holds(been, option) is expected


def test_a_word_about_room_that_is_too_old_makes_the_no_hold_again() -> None:
    assert not holds(NO, today=TODAY + ROOM_IS_NEWS_FOR - timedelta(days=1))
    assert holds(NO, today=TODAY + ROOM_IS_NEWS_FOR)


@pytest.mark.parametrize(
    ("later", "state"),
    [
        (replace(NO, state="accepted"), "accepted"),
        (replace(NO, state="closed", outcome="completed"), "closed"),
        (replace(NO, state="withdrawn"), "declined"),
        (replace(NO, state="draft"), "declined"),
        (replace(NO, state="sent"), "declined"),
        (replace(NO, verb="request"), "declined"),
    ],
)
def test_the_newest_answer_counts_and_what_its_sender_took_back_is_none(later: Been, state: str) -> None:
    assert last_words([replace(NO, reason="other"), later])[DROP_IN.id].state == state


@pytest.mark.parametrize("state", ["declined", "expired", "rerouted"])
def test_a_request_that_came_to_nothing_is_no_word_of_the_programmes(state: str) -> None:
    assert last_words([replace(NO, verb="request", state=state)]) == {}


@pytest.mark.parametrize(
    ("state", "outcome", "accepted"),
    [
        ("accepted", None, True),
        ("on_hold", None, True),
        ("outcome_set", "not_started", False),
        ("closed", "completed", True),
        ("closed", "next_stage", True),
        ("closed", "ended_by_person", True),
        ("closed", "not_started", False),
        ("closed", "broken_off", False),
        ("declined", None, False),
        ("sent", None, False),
    ],
)
def test_what_was_begun_counts_also_when_it_is_over(state: str, outcome: str | None, accepted: bool) -> None:
    assert replace(NO, state=state, outcome=outcome).accepted is accepted


def test_a_course_stands_on_the_rung_of_training() -> None:
    assert Been(UUID(int=1), "transfer", "accepted").rung is Stage.VOCATIONAL_TRAINING
    assert NO.rung is Stage.DROP_IN
