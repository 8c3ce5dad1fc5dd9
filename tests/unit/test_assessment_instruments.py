"""Instruments as data: what may be published, what is an answer, and how a case came along over several versions."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assessment.domain.fdp import Axis
from services.assessment.domain.instruments import (
    Anchor,
    Answer,
    Fault,
    Found,
    Instrument,
    Item,
    faults_of,
    faults_of_answer,
)
from services.assessment.domain.progress import Point, progress_of, standing


def anchors(*levels: int) -> tuple[Anchor, ...]:
    return tuple(Anchor(level, f"Level {level}", f"段階{level}") for level in levels)


def instrument(name: str = "fdp", items: Mapping[str, tuple[int, ...]] | None = None) -> Instrument:
    made = items or {str(axis): (1, 2, 3, 4, 5) for axis in Axis}
    asked = tuple(Item(code, code, code, anchors(*levels)) for code, levels in made.items())
    return Instrument(name, f"{name}-1", name, name, "sample", "見本", asked)


def test_five_axes_with_five_levels_can_be_published() -> None:
    assert faults_of(instrument()) == []


def test_a_rubric_that_leaves_a_level_out_can_not() -> None:
    five: dict[str, tuple[int, ...]] = {str(axis): (1, 2, 3, 4, 5) for axis in Axis}
    assert faults_of(instrument(items=five | {"mental": (1, 2, 4, 5)})) == [Found(Fault.LEVEL_LEFT_OUT, "mental")]
    assert faults_of(instrument(items=five | {"mental": (1, 2, 3, 4)})) == [Found(Fault.LEVEL_LEFT_OUT, "mental")]
    assert faults_of(instrument(items=five | {"mental": (1, 2, 3, 4, 5, 6)})) == [Found(Fault.OTHER_LEVELS, "mental")]
    assert faults_of(instrument(items=five | {"luck": (1, 2)})) == [Found(Fault.ITEM_UNKNOWN, "luck")]
    without = {code: levels for code, levels in five.items() if code != "stress"}
    assert faults_of(instrument(items=without)) == [Found(Fault.ITEM_MISSING, "stress")]


def test_another_instrument_chooses_its_items_once_and_a_version_keeps_them() -> None:
    first = instrument("housing", {"roof": (1, 2, 3), "rent": (1, 2)})
    assert faults_of(first) == []
    assert faults_of(instrument("housing", {"roof": (1, 2, 3)}), first) == [Found(Fault.ITEM_MISSING, "rent")]
    assert faults_of(instrument("housing", {"roof": (1, 2, 3), "rent": (1,)}), first) == [
        Found(Fault.NO_LEVELS, "rent")
    ]


def test_an_item_named_twice_is_one_too_many() -> None:
    made = instrument("housing", {"roof": (1, 2)})
    assert faults_of(replace(made, items=made.items * 2)) == [Found(Fault.ITEM_TWICE, "roof")]


@pytest.mark.parametrize("level", [0, 6, -1])
def test_a_level_that_the_version_lacks_is_no_answer(level: int) -> None:
    assert faults_of_answer(instrument(), Answer({"mental": level})) == [Found(Fault.LEVEL_UNKNOWN, "mental")]


def test_an_axis_that_the_rubric_lacks_is_no_answer_in_levels_or_in_words() -> None:
    assert faults_of_answer(instrument(), Answer({"luck": 3})) == [Found(Fault.ITEM_UNKNOWN, "luck")]
    assert faults_of_answer(instrument(), Answer({}, frozenset({"luck"}))) == [Found(Fault.ITEM_UNKNOWN, "luck")]
    assert faults_of_answer(instrument(), Answer({"mental": 3}), told=["luck"]) == [Found(Fault.ITEM_UNKNOWN, "luck")]


def test_nothing_observed_is_an_answer() -> None:
    assert faults_of_answer(instrument(), Answer({}, frozenset(map(str, Axis)))) == []


BEGAN = datetime(2026, 4, 1, tzinfo=UTC)


def point(number: int, version: str = "fdp-1", *, corrects: int | None = None, days: int = 0, **levels: int) -> Point:
    return Point(
        UUID(int=number),
        number,
        version,
        BEGAN + timedelta(days=days or number),
        levels,
        None if corrects is None else UUID(int=corrects),
    )


def test_change_runs_from_the_first_to_the_last_that_stand_in_the_order_in_which_people_rated() -> None:
    late_entry = point(3, days=1, mental=1)
    found = progress_of([point(1, days=5, mental=2), point(2, days=9, mental=4), late_entry], ["mental", "stress"])
    assert found is not None
    assert [(step.initial, step.latest, step.change, step.trend) for step in found.steps] == [
        (1, 4, 3, "rising"),
        (None, None, None, "unknown"),
    ]


def test_what_was_corrected_counts_no_more_and_versions_that_differ_are_said() -> None:
    found = progress_of([point(1, mental=1), point(2, corrects=1, mental=3), point(3, "fdp-2", mental=3)], ["mental"])
    assert found is not None
    assert found.steps[0].levels == (3, 3)
    assert found.versions == ("fdp-1", "fdp-2")
    assert progress_of([], ["mental"]) is None


@given(
    st.lists(st.tuples(st.integers(0, 99), st.one_of(st.none(), st.integers(0, 20))), max_size=20),
)
def test_of_every_chain_of_corrections_the_last_one_stands(drawn: list[tuple[int, int | None]]) -> None:
    points: list[Point] = []
    for number, (day, of) in enumerate(drawn, start=1):
        free = [each.number for each in standing(points)]
        corrects = free[of % len(free)] if of is not None and free else None
        points.append(point(number, corrects=corrects, days=day + 1, mental=3))
    corrections = sum(each.corrects is not None for each in points)
    assert len(standing(points)) == len(points) - corrections
