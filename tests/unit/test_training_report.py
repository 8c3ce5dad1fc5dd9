"""The yearly report: what is counted, the rates, and that nothing hidden can be reckoned back."""

from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.domain.outcomes import Ending, Outcome
from services.training.domain.report import (
    COUNTED,
    MEASURES,
    RATES,
    Count,
    Dimension,
    Found,
    Known,
    Measure,
    Persons,
    Place,
    Seats,
    Stage,
    codes_of,
    known_of,
    show,
    tell,
)

CITY, TOWN = "462012", "462187"
KNOWN = st.builds(
    Known,
    enrolled=st.booleans(),
    ending=st.sampled_from([None, *Ending]),
    for_work=st.booleans(),
    due=st.booleans(),
    outcome=st.sampled_from([None, *Outcome]),
)
WAYS = [by for many in range(3) for by in combinations(Dimension, many)]


def part(
    known: Known, persons: int, *, own: bool = True, groups: tuple[str, ...] | None = None, **more: str
) -> Persons:
    at = {"prefecture": "46", "origin": "general", "system": "public_in_house", "field": "it"} | more
    town = at.pop("municipality", None)
    return Persons(**at, municipality=town, target_groups=groups, own=own, known=known, persons=persons)


COMPLETED = Known(enrolled=True, ending=Ending.COMPLETED)


def test_who_left_for_work_counts_among_those_whose_work_is_asked_for_and_no_other_who_left() -> None:
    for_work = Known(True, Ending.LEFT, for_work=True, due=True, outcome=Outcome.EMPLOYED)
    ill = for_work._replace(for_work=False)
    (cell,) = tell([part(for_work, 2), part(ill, 3)], [], ())
    assert [cell.count(each) for each in (Measure.LEFT, Measure.LOOKED_AT, Measure.EMPLOYED)] == [
        Count(5, 5), Count(2, 2), Count(2, 2),
    ]  # fmt: skip


def test_before_three_months_nobody_is_looked_at() -> None:
    early = Known(True, Ending.COMPLETED, due=False, outcome=Outcome.EMPLOYED)
    assert early.found is Found.NOT_DUE
    (cell,) = tell([part(early, 7)], [], ())
    assert cell.count(Measure.LOOKED_AT) == Count(0, 0)


@pytest.mark.parametrize("outcome", [None, Outcome.NOT_REACHED])
def test_who_was_not_reached_is_as_unheard_as_who_was_not_asked(outcome: Outcome | None) -> None:
    assert Known(True, Ending.COMPLETED, due=True, outcome=outcome).found is Found.UNHEARD


@given(KNOWN)
def test_each_request_stands_in_exactly_the_measures_whose_codes_name_it(known: Known) -> None:
    told = {False: "false", True: "true"}
    code = f"{told[known.enrolled]}|{known.ending or ''}|{told[known.for_work]}|{told[known.due]}|{known.outcome or ''}"
    assert known_of(code) == known
    by_code = {each.measure for each in MEASURES if each.stages and code in codes_of(each.measure)}
    assert by_code == {each.measure for each in MEASURES if each.holds(known.stage, known.found)}


@given(st.sampled_from(RATES), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_rate_is_an_exact_fraction_rounded_once_half_up(rate: object, numerator: int, denominator: int) -> None:
    assert isinstance(rate, type(RATES[0]))
    found = rate.of(numerator, denominator)
    if denominator == 0:
        assert found is None
        return
    exact = Fraction(numerator, denominator) * rate.scale
    assert found == Decimal(floor(exact * 10**rate.digits + Fraction(1, 2))) / 10**rate.digits


def test_half_is_rounded_up_where_a_float_would_go_down() -> None:
    (fill,) = [rate for rate in RATES if rate.name == "fill_rate"]
    assert fill.of(1, 2000) == Decimal("0.1")


def test_a_town_has_no_capacity_and_no_rate_of_it() -> None:
    (cell,) = tell(
        [part(COMPLETED, 5, municipality=CITY)], [Seats("46", "general", "x", "it", 20)], [Dimension.MUNICIPALITY]
    )
    assert cell.place == Place(municipality=CITY)
    assert cell.count(Measure.CAPACITY) is None
    assert [cell.rate(rate) for rate in RATES if rate.denominator is Measure.CAPACITY] == [None, None]


def test_who_was_named_for_several_groups_counts_in_each_and_once_in_all() -> None:
    parts = [part(COMPLETED, 2, groups=("disability", "single_parent")), part(COMPLETED, 3, groups=())]
    parts += [part(COMPLETED, 4, groups=("single_parent",)), part(COMPLETED, 5, own=False)]
    seats = [Seats("46", "general", "x", "it", 20)]
    cells = {cell.place.target_group: cell for cell in tell(parts, seats, [Dimension.TARGET_GROUP])}
    assert {group: cell.count(Measure.COMPLETED) for group, cell in cells.items()} == {
        None: Count(5, 5), "disability": Count(2, 2), "none": Count(3, 3), "single_parent": Count(6, 6),
    }  # fmt: skip
    assert {cell.count(Measure.CAPACITY) for cell in cells.values()} == {None}
    (cell,) = tell(parts, seats, ())
    assert (cell.count(Measure.COMPLETED), cell.count(Measure.CAPACITY)) == (Count(14, 14), Count(20, 20))


def test_of_a_year_without_courses_everything_is_nothing() -> None:
    (cell,) = tell([], [], ())
    assert {cell.count(measure) for measure in COUNTED} == {Count(0, 0)}
    assert {cell.rate(rate) for rate in RATES} == {None}


# --- small counts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("persons", "shown"), [(0, Count(0, 0)), (1, Count(None, 1)), (4, Count(None, 1)), (5, Count(5, 5))]
)
def test_less_than_five_are_hidden_and_none_is_not(persons: int, shown: Count) -> None:
    assert show(persons, own=False) == shown
    assert show(persons, own=True) == Count(persons, persons)


OTHERS = st.lists(
    st.builds(
        lambda known, origin, field, own, groups, persons: part(
            known,
            persons,
            own=own,
            groups=groups if own else None,
            origin=origin,
            field=field,
            **({"municipality": TOWN} if own else {}),
        ),
        KNOWN,
        st.sampled_from(["general", "delegated"]),
        st.sampled_from(["it", "care"]),
        st.booleans(),
        st.sampled_from([None, (), ("single_parent",), ("disability", "single_parent")]),
        st.integers(1, 9),
    ),
    max_size=8,
    # What counts in the same measures is one part, however it came to: of 4 and 3 together nobody hides the 7.
    unique_by=lambda each: (
        *(each.origin, each.field, each.own, each.target_groups),
        *(measure for measure, what in COUNTED.items() if what.holds(each.known.stage, each.known.found)),
    ),
)


@given(OTHERS, st.data())
def test_whatever_the_hidden_counts_are_every_answer_is_the_same(parts: list[Persons], data: st.DataObject) -> None:
    def other(each: Persons) -> Persons:
        hidden = not each.own and each.persons < 5
        return each._replace(persons=data.draw(st.integers(1, 4))) if hidden else each

    otherwise = [other(each) for each in parts]
    for by in WAYS:
        assert [shown(cell) for cell in tell(parts, [], by)] == [shown(cell) for cell in tell(otherwise, [], by)]


def shown(cell: object) -> object:
    return (
        cell.place,  # type: ignore[attr-defined]
        [cell.count(measure) for measure in COUNTED],  # type: ignore[attr-defined]
        [cell.rate(rate) for rate in RATES],  # type: ignore[attr-defined]
    )


@given(OTHERS)
def test_the_least_that_is_said_is_never_more_than_there_are(parts: list[Persons]) -> None:
    (cell,) = tell(parts, [], ())
    count = cell.count(Measure.APPLICATIONS)
    there = sum(each.persons for each in parts)
    assert count is not None
    assert count.at_least <= there
    assert count.count in {None, there}


# --- the documents --------------------------------------------------------------------------------------------------


def test_the_decision_shows_these_tables() -> None:
    text = (Path(__file__).parents[2] / "docs/decisions/0052-a-report-is-counted-from-facts.md").read_text("utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    measures = [[f"`{each.measure}`", each.ja, each.of, each.source] for each in MEASURES]
    rates = [[f"`{rate.name}`", rate.ja, f"`{rate.numerator}`", f"`{rate.denominator}`"] for rate in RATES]
    assert rows == measures + rates


def test_every_stage_and_finding_is_counted_somewhere() -> None:
    assert {stage for each in MEASURES for stage in each.stages} == set(Stage)
