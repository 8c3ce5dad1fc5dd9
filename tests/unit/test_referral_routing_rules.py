"""Routing's rules as data: what can be published, which version holds on a day, and that their text is the rules."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given

from services.referral.domain.options import Stage
from services.referral.domain.routing_rules import (
    FIRST,
    Exclusion,
    Fact,
    NotPublished,
    RuleSet,
    Weights,
    publish,
    read,
    rules_on,
    told,
)
from tests.unit.test_referral_routing import rule_sets

TODAY = date(2026, 11, 29)
NEXT = replace(FIRST, effective_from=TODAY + timedelta(days=1))
ALL_STAGES = frozenset(stage.value for stage in Stage)


def test_what_held_before_can_be_published_again_from_tomorrow() -> None:
    assert publish(NEXT, today=TODAY) == NEXT


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (replace(NEXT, effective_from=TODAY), "not_later"),
        (replace(NEXT, weights=Weights(answers_need=101)), "weight_out_of_range"),
        (replace(NEXT, weights=Weights(declined_before=-101)), "weight_out_of_range"),
        (replace(NEXT, early={Stage.JOB: 101}), "weight_out_of_range"),
        (replace(NEXT, stale_after_days=0), "weight_out_of_range"),
        (replace(NEXT, weights=Weights(capacity_unknown=7)), "room_out_of_order"),
        (replace(NEXT, weights=Weights(full=7)), "room_out_of_order"),
        (replace(NEXT, exclusions=(Exclusion("x", Fact.STAGE),)), "values_missing"),
        (replace(NEXT, exclusions=(Exclusion("x", Fact.NEEDS, values=frozenset({"job"})),)), "values_not_asked"),
        (replace(NEXT, exclusions=(Exclusion("x", Fact.NEEDS), Exclusion("x", Fact.PERIOD))), "same_code"),
        (replace(NEXT, exclusions=(Exclusion("x", Fact.STAGE, values=ALL_STAGES),)), "excludes_everybody"),
    ],
)
def test_what_can_not_hold_is_refused_with_its_reason(rules: RuleSet, reason: str) -> None:
    assert publish(rules, today=TODAY) == NotPublished(reason)


def test_two_rules_that_share_all_stages_shut_every_door_unless_one_is_off() -> None:
    first, rest = frozenset({"job"}), ALL_STAGES - {"job"}
    both = (Exclusion("a", Fact.STAGE, values=first), Exclusion("b", Fact.STAGE, values=rest))
    assert publish(replace(NEXT, exclusions=both), today=TODAY) == NotPublished("excludes_everybody")
    one = (both[0], replace(both[1], on=False))
    assert isinstance(publish(replace(NEXT, exclusions=one), today=TODAY), RuleSet)


def test_the_newest_version_that_has_taken_effect_holds() -> None:
    second = replace(FIRST, version=2, effective_from=date(2026, 4, 1))
    corrected = replace(FIRST, version=3, effective_from=date(2026, 4, 1))
    later = replace(FIRST, version=4, effective_from=date(2027, 4, 1))
    published = [FIRST, second, corrected, later]
    assert rules_on(published, date(2026, 3, 31)).version == 1
    assert rules_on(published, date(2026, 4, 1)).version == 3
    assert rules_on(published, date(2027, 4, 1)).version == 4
    assert rules_on([], TODAY) == FIRST


@given(rule_sets)
def test_rules_are_the_same_after_they_were_kept(rules: RuleSet) -> None:
    assert read(told(rules), version=rules.version, effective_from=rules.effective_from) == rules
