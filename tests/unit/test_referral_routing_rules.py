"""Routing's rules as data: what can be published, which version holds on a day, and that their text is the rules."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.open_doors import shuts_every_door
from services.referral.domain.options import Capacity, Option, Stage
from services.referral.domain.routing_rules import (
    FIRST,
    Exclusion,
    Fact,
    NotPublished,
    RuleSet,
    Weights,
    Words,
    publish,
    read,
    replaced_by,
    rules_on,
    told,
)
from tests.unit.test_referral_routing import COURSE, DROP_IN, NOW, rule_sets

TODAY = date(2026, 11, 29)
NEXT = replace(FIRST, effective_from=TODAY + timedelta(days=1))
WORDS = Words(frozenset({"drop_in_space", "work_readiness", "job_placement"}), frozenset({"withdrawal", "youth"}))
ALL_STRANDS = frozenset("123456")
ALL_STAGES = frozenset(stage.value for stage in Stage)


def published(rules: RuleSet, decided_on: date = TODAY) -> RuleSet | NotPublished:
    return publish(rules, WORDS, decided_on=decided_on, today=TODAY)


def test_what_held_before_can_be_published_again_from_tomorrow() -> None:
    assert published(NEXT) == NEXT


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (replace(NEXT, effective_from=TODAY), NotPublished("not_later")),
        (replace(NEXT, weights=Weights(answers_need=101)), NotPublished("weight_out_of_range")),
        (replace(NEXT, weights=Weights(declined_before=-101)), NotPublished("weight_out_of_range")),
        (replace(NEXT, early={Stage.JOB: 101}), NotPublished("weight_out_of_range")),
        (replace(NEXT, stale_after_days=0), NotPublished("weight_out_of_range")),
        (replace(NEXT, weights=Weights(capacity_unknown=7)), NotPublished("room_out_of_order")),
        (replace(NEXT, weights=Weights(full=7)), NotPublished("room_out_of_order")),
        (replace(NEXT, exclusions=(Exclusion("x", Fact.STAGE),)), NotPublished("values_missing", 0)),
        (
            replace(NEXT, exclusions=(Exclusion("x", Fact.NEEDS, values=frozenset({"job"})),)),
            NotPublished("values_not_asked", 0),
        ),
        (
            replace(NEXT, exclusions=(Exclusion("x", Fact.NEEDS), Exclusion("x", Fact.PERIOD))),
            NotPublished("same_code"),
        ),
        (
            replace(NEXT, exclusions=(Exclusion("x", Fact.STAGE, values=ALL_STAGES),)),
            NotPublished("excludes_everybody"),
        ),
    ],
)
def test_what_can_not_hold_is_refused_with_its_reason(rules: RuleSet, expected: NotPublished) -> None:
    assert published(rules) == expected


def test_two_rules_that_share_all_stages_shut_every_door_unless_one_is_off() -> None:
    first, rest = frozenset({"job"}), ALL_STAGES - {"job"}
    both = (Exclusion("a", Fact.STAGE, values=first), Exclusion("b", Fact.STAGE, values=rest))
    assert published(replace(NEXT, exclusions=both)) == NotPublished("excludes_everybody")
    one = (both[0], replace(both[1], on=False))
    assert isinstance(published(replace(NEXT, exclusions=one)), RuleSet)


def test_what_will_be_decided_later_can_not_be_published_now() -> None:
    assert published(NEXT, TODAY + timedelta(days=1)) == NotPublished("decided_later")


@pytest.mark.parametrize(
    ("fact", "value", "nearest"),
    [
        (Fact.STAGE, "drop-in", "drop_in"),
        (Fact.STRAND, "7", None),
        (Fact.FUNCTION, "work_redyness", "work_readiness"),
        (Fact.FOR_WHOM, "withdrawl", "withdrawal"),
    ],
)
def test_a_value_that_nobody_knows_is_refused_with_the_nearest_word(
    fact: Fact, value: str, nearest: str | None
) -> None:
    rules = replace(NEXT, exclusions=(Exclusion("a", Fact.NEEDS), Exclusion("x", fact, values=frozenset({value}))))
    assert published(rules) == NotPublished("unknown_value", 1, nearest)
    off = replace(rules, exclusions=(replace(rules.exclusions[1], on=False),))
    assert published(off) == NotPublished("unknown_value", 0, nearest), "it may be switched on later"


def shut(**values: frozenset[str]) -> RuleSet:
    return replace(NEXT, exclusions=tuple(Exclusion(fact, Fact(fact), values=some) for fact, some in values.items()))


TRAINING = frozenset({"vocational_training"})


@pytest.mark.parametrize(
    ("rules", "is_shut"),
    [
        (shut(stage=TRAINING, strand=ALL_STRANDS), True),
        (shut(stage=TRAINING, function=WORDS.functions), True),
        (shut(strand=ALL_STRANDS), False),
        (shut(function=WORDS.functions), False),
        (shut(stage=ALL_STAGES - TRAINING), False),
        (shut(stage=TRAINING, strand=ALL_STRANDS - {"4"}), False),
        (shut(stage=TRAINING, function=WORDS.functions - {"drop_in_space"}), False),
    ],
)
def test_every_combination_that_shuts_every_door_is_refused(rules: RuleSet, is_shut: bool) -> None:
    assert published(rules) == (NotPublished("excludes_everybody") if is_shut else rules)


@pytest.mark.parametrize(
    ("rules", "options", "is_shut"),
    [
        (shut(strand=frozenset("4")), [DROP_IN], True),
        (shut(strand=frozenset("4")), [DROP_IN, replace(DROP_IN, id=UUID(int=11), strand=1)], False),
        (shut(strand=frozenset("4")), [DROP_IN, COURSE], False),
        (shut(strand=frozenset("4"), stage=TRAINING), [DROP_IN, COURSE], True),
        (shut(function=frozenset({"drop_in_space"}), stage=TRAINING), [DROP_IN, COURSE], True),
        (shut(stage=frozenset({"drop_in"}), function=frozenset({"other"})), [DROP_IN], True),
        (
            shut(strand=frozenset("1"), stage=frozenset({"drop_in"})),
            [DROP_IN, replace(DROP_IN, id=UUID(int=11), strand=1, stage=Stage.JOB)],
            True,
        ),
        (shut(for_whom=frozenset({"withdrawal"})), [replace(DROP_IN, for_whom=frozenset({"withdrawal"}))], False),
        (FIRST, [replace(DROP_IN, needs=frozenset(), for_whom=frozenset({"withdrawal"}))], False),
        (
            shut(for_whom=frozenset({"withdrawal"})),
            [replace(DROP_IN, needs=frozenset(), for_whom=frozenset({"withdrawal"}))],
            False,
        ),
        (replace(NEXT, exclusions=(Exclusion("x", Fact.CAPACITY),)), [replace(DROP_IN, capacity=Capacity.FULL)], True),
        (shut(strand=frozenset("4")), [], False),
        (shut(strand=frozenset("1")), [replace(DROP_IN, municipalities=frozenset())], False),
    ],
)
def test_rules_are_held_against_the_directory_in_force(rules: RuleSet, options: list[Option], is_shut: bool) -> None:
    assert shuts_every_door(rules, options, now=NOW, today=date(2026, 4, 1)) is is_shut


def test_the_newest_version_that_has_taken_effect_holds() -> None:
    second = replace(FIRST, version=2, effective_from=date(2026, 4, 1))
    corrected = replace(FIRST, version=3, effective_from=date(2026, 4, 1))
    later = replace(FIRST, version=4, effective_from=date(2027, 4, 1))
    published = [FIRST, second, corrected, later]
    assert rules_on(published, date(2026, 3, 31)).version == 1
    assert rules_on(published, date(2026, 4, 1)).version == 3
    assert rules_on(published, date(2027, 4, 1)).version == 4
    assert rules_on([], TODAY) == FIRST


def test_a_version_before_whose_day_a_later_one_holds_never_holds() -> None:
    second = replace(FIRST, version=2, effective_from=date(2030, 4, 1))
    third = replace(FIRST, version=3, effective_from=date(2030, 2, 1))
    same_day = replace(FIRST, version=4, effective_from=date(2030, 2, 1))
    later = replace(FIRST, version=5, effective_from=date(2031, 1, 1))
    assert replaced_by([FIRST, second, third]) == {2: 3}
    assert replaced_by([FIRST, second, third, same_day, later]) == {2: 3, 3: 4}
    assert replaced_by([FIRST, second, later]) == {}


@given(st.lists(st.dates(date(2030, 1, 1), date(2030, 1, 9)), max_size=6))
def test_whatever_holds_on_some_day_is_replaced_by_none_and_all_else_is(days: list[date]) -> None:
    every = [FIRST, *(replace(FIRST, version=number, effective_from=day) for number, day in enumerate(days, 2))]
    held = {rules_on(every, each.effective_from + timedelta(days=days)).version for each in every for days in range(10)}
    assert held | replaced_by(every).keys() == {each.version for each in every}
    assert not held & replaced_by(every).keys()


@given(rule_sets)
def test_rules_are_the_same_after_they_were_kept(rules: RuleSet) -> None:
    assert read(told(rules), version=rules.version, effective_from=rules.effective_from) == rules
