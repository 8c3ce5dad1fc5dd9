"""The prolongation rule over every profile there is, and what follows from it."""

from itertools import product
from uuid import UUID

import pytest

from services.assessment.domain.fdp import (
    Axis,
    Change,
    Rating,
    Reason,
    Risk,
    assess_prolongation,
    compare,
    explain,
    standing,
)
from services.assessment.domain.rubric import NOTICE, SAMPLE, find_rubric

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


def rating(number: int, *values: int | None, corrects: int | None = None) -> Rating:
    found = levels(*values)
    return Rating(
        UUID(int=number),
        number,
        found,
        assess_prolongation(found).risk,
        None if corrects is None else UUID(int=corrects),
    )


def test_a_corrected_rating_no_longer_counts() -> None:
    first, second = rating(1, 1, 1, 1, 1, 1), rating(2, 3, 3, 3, 3, 3)
    third, fourth = rating(3, 2, 2, 2, 2, 2, corrects=1), rating(4, 3, 2, 2, 2, 2, corrects=3)
    assert [each.number for each in standing([first, second, third, fourth])] == [2, 4]


def test_change_is_told_axis_by_axis_and_never_guessed() -> None:
    changes = compare(rating(1, 1, 3, None, 5, 2), rating(2, 3, 3, 4, 4, None))
    assert [each.change for each in changes] == [2, 0, None, -1, None]
    assert changes[0] == Change(Axis.INTERPERSONAL, 1, 3)


def test_the_sample_rubric_says_that_it_is_a_sample_and_is_complete() -> None:
    rubric = find_rubric(SAMPLE)
    assert rubric is not None
    assert rubric.notice == NOTICE == "sample wording, not the official S.S.F. text"
    assert "公式の文言ではありません" in rubric.notice_ja
    assert list(rubric.anchors) == list(Axis)
    for anchors in rubric.anchors.values():
        assert [anchor.level for anchor in anchors] == [1, 2, 3, 4, 5]
    texts = [text for anchors in rubric.anchors.values() for a in anchors for text in (a.english, a.japanese)]
    assert len(set(texts)) == 50
    assert all(texts)


def test_there_is_no_other_rubric_yet() -> None:
    assert find_rubric("fdp-official") is None
