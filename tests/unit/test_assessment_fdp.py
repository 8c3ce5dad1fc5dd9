"""The prolongation rule over every profile there is, and what follows from it."""

from datetime import date
from itertools import product

import pytest

from services.assessment.domain.fdp import Axis, Reason, Risk
from services.assessment.domain.rule import Rule, assess_prolongation, explain

EVERY_PROFILE = list(product((None, 1, 2, 3, 4, 5), repeat=5))


def levels(*values: int | None) -> dict[Axis, int | None]:
    return dict(zip(Axis, values, strict=True))


def by_counting(profile: tuple[int | None, ...]) -> str:
    """The rule once more, with nothing in common with the first: lowest level seen, and how many were seen."""
    seen = sorted(level for level in profile if level)
    if seen[:1] in ([1], [2]):
        return "true"
    return "false" if len(seen) == 5 else "undetermined"


def test_the_rule_holds_for_every_profile() -> None:
    assert len(EVERY_PROFILE) == 6**5
    wrong = [p for p in EVERY_PROFILE if assess_prolongation(levels(*p)).risk != by_counting(p)]
    assert wrong == []


def test_of_3125_full_profiles_243_have_no_axis_below_three() -> None:
    risks = [assess_prolongation(levels(*p)).risk for p in product(range(1, 6), repeat=5)]
    assert (len(risks), risks.count(Risk.FALSE), risks.count(Risk.UNDETERMINED)) == (3_125, 243, 0)


@pytest.mark.parametrize(
    ("profile", "risk"),
    [
        ((3, 3, 3, 3, 3), Risk.FALSE),
        ((5, 5, 2, 5, 5), Risk.TRUE),
        ((4, 4, 4, 4, None), Risk.UNDETERMINED),
        ((None, 1, None, None, None), Risk.TRUE),
        ((None, None, None, None, None), Risk.UNDETERMINED),
    ],
)
def test_the_examples_of_the_field(profile: tuple[int | None, ...], risk: Risk) -> None:
    assert assess_prolongation(levels(*profile)).risk is risk


def test_an_axis_that_nobody_named_is_missing() -> None:
    assert assess_prolongation({Axis.MENTAL: 5}).risk is Risk.UNDETERMINED


def test_the_reasons_are_the_axes_that_decided() -> None:
    assert assess_prolongation(levels(1, 3, 2, None, 5)).because == (
        Reason(Axis.INTERPERSONAL, 1),
        Reason(Axis.STRESS, 2),
    )
    assert assess_prolongation(levels(4, 3, None, 3, 5)).because == (Reason(Axis.STRESS, None),)
    assert assess_prolongation(levels(4, 3, 3, 3, 5)).because == ()


@pytest.mark.parametrize("profile", EVERY_PROFILE[::97], ids=str)
def test_the_words_name_the_axes_that_decided_and_no_other(profile: tuple[int | None, ...]) -> None:
    found = assess_prolongation(levels(*profile))
    words = explain(found)
    named = {axis for axis in Axis if axis in words.english}
    assert named == {reason.axis for reason in found.because} == {a for a in Axis if a.japanese in words.japanese}


def test_the_words_shut_nobody_out() -> None:
    words = explain(assess_prolongation(levels(1, 1, 1, 1, 1)))
    assert "shuts nobody out" in words.english
    assert "支援から外す理由や、順番を下げる理由にはなりません" in words.japanese


def test_the_words_name_the_levels_of_the_rule_that_flagged() -> None:
    three = Rule(2, date(2027, 4, 1), low=3)
    words = explain(assess_prolongation(levels(3, 4, 4, 4, 4), three), three)
    assert "level 1 or 2 or 3" in words.english
    assert "1か2か3" in words.japanese
    assert "level 4 or more" in explain(assess_prolongation(levels(4, 4, 4, 4, 4), three), three).english
