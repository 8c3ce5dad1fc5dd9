"""The rule's versions never reach back, and what a flag asks of the agencies."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assessment.domain.fdp import Axis, Risk
from services.assessment.domain.rule import (
    FIRST,
    Consequences,
    Due,
    Duty,
    Flagged,
    NotPublished,
    Rule,
    assess_prolongation,
    consequences,
    publish,
    replay,
    rule_on,
)

TODAY = date(2026, 11, 30)

levels = st.fixed_dictionaries({axis: st.one_of(st.none(), st.integers(1, 5)) for axis in Axis})


@given(
    history=st.lists(st.tuples(levels, st.integers(0, 400)), max_size=30),
    lows=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 200)), max_size=4),
)
def test_replaying_the_history_gives_the_same_flags_and_a_new_version_changes_none(
    history: list[tuple[dict[Axis, int | None], int]], lows: list[tuple[int, int]]
) -> None:
    rules = [FIRST]
    first_day = date(2026, 1, 1)
    told: list[Flagged] = []
    for levels_, offset in sorted(history, key=lambda pair: pair[1]):
        day = first_day + timedelta(days=offset)
        while lows and first_day + timedelta(days=lows[0][1]) <= day:
            low, later = lows.pop(0)
            published = publish(Rule(len(rules) + 1, day + timedelta(days=later), low=low), today=day)
            assert isinstance(published, Rule)
            rules.append(published)
        rule = rule_on(rules, day)
        told.append(Flagged(levels_, day, rule.version, assess_prolongation(levels_, rule).risk))
    assert replay(rules, told) == []


def test_replay_finds_a_flag_that_was_changed_and_a_version_that_did_not_hold_yet() -> None:
    two = Rule(2, TODAY + timedelta(days=10), low=3)
    three = dict.fromkeys(Axis, 3)
    right = Flagged(three, TODAY, 1, Risk.FALSE)
    changed = Flagged(three, TODAY, 1, Risk.TRUE)
    too_early = Flagged(three, TODAY, 2, Risk.TRUE)
    unknown = Flagged(three, TODAY, 7, Risk.FALSE)
    assert replay([FIRST, two], [right, changed, too_early, unknown]) == [changed, too_early, unknown]
    assert rule_on([FIRST, two], two.effective_from) == two


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (Rule(2, TODAY), "not_later"),
        (Rule(2, TODAY + timedelta(days=1), low=0), "low_out_of_range"),
        (Rule(2, TODAY + timedelta(days=1), low=5), "low_out_of_range"),
        (Rule(2, TODAY + timedelta(days=1), conference_within=0), "days_out_of_range"),
        (Rule(2, TODAY + timedelta(days=1), reassess_clear=1000), "days_out_of_range"),
    ],
)
def test_a_rule_that_reaches_back_or_tells_nothing_is_not_published(rule: Rule, reason: str) -> None:
    assert publish(rule, today=TODAY) == NotPublished(reason)


def days_on(day: date, count: int) -> date:
    return day + timedelta(days=count)


def test_a_flag_brings_a_conference_a_next_rating_and_a_note_to_routing() -> None:
    assert consequences(FIRST, Risk.TRUE, rated_on=TODAY, today=TODAY, working_day_after=days_on) == Consequences(
        (
            Due(Duty.JOINT_CONFERENCE, TODAY + timedelta(days=10)),
            Due(Duty.REASSESSMENT, TODAY + timedelta(days=90)),
        ),
        several_agencies=True,
    )


@pytest.mark.parametrize(("risk", "days"), [(Risk.FALSE, 180), (Risk.UNDETERMINED, 30)])
def test_without_a_flag_there_is_the_next_rating_alone(risk: Risk, days: int) -> None:
    assert consequences(FIRST, risk, rated_on=TODAY, today=TODAY, working_day_after=days_on) == Consequences(
        (Due(Duty.REASSESSMENT, TODAY + timedelta(days=days)),), several_agencies=False
    )


def test_what_was_rated_long_ago_and_written_down_today_is_not_overdue_at_once() -> None:
    found = consequences(
        FIRST, Risk.FALSE, rated_on=TODAY - timedelta(days=900), today=TODAY, working_day_after=days_on
    )
    assert found.dues == (Due(Duty.REASSESSMENT, TODAY),)
