"""What the map of functions tells to whom: nothing that is said depends on a count that the reader may not see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.referral.domain.function_map import (
    Coverage,
    Group,
    Picture,
    Proposal,
    TurnedAway,
    Unmet,
    Waiting,
    Why,
    draw,
    judge_kept,
    to_keep,
)
from services.referral.domain.map_demand import NUMBERS, Own
from services.referral.domain.map_supply import Kind, Offer, Supply, Thresholds
from services.referral.domain.map_views import Change, Seen, by_kind, changes, see, topics
from services.referral.domain.small_counts import Shown
from services.referral.handlers import layouts
from services.referral.handlers.layouts import FIELDS_OF
from services.referral.handlers.map_lines import change_lines, map_lines
from shared.service.exports import read_layout

TODAY, NOW = date(2026, 11, 30), datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
A, B, C, FAR = TOWNS = ("462012", "462187", "462039", "142166")
DROP_IN, READY = Kind("drop_in_space", "drop_in", 4), Kind("work_readiness", "work_readiness", 4)
NEEDS = {DROP_IN: "isolation", READY: "people"}
BY = Thresholds()
OF_CASES = {name: f"{name}_cases" for name in ("waiting", "unmet", "turned_away")}
ASKS = ("open_needs", "waiting", "unmet", "turned_away")
Many = tuple[int, int]
"""So many records, of so many different cases."""
Counts = Mapping[tuple[str, Kind, str], int | Many]
CHANGES = Path(layouts.__file__).resolve().parent.parent / "layouts" / "map_changes.toml"


@dataclass(frozen=True)
class Worlds:
    """Two of them, which differ in counts that `own` may not see alone."""

    offers: list[Offer]
    first: Counts
    second: Counts
    own: frozenset[str]
    neighbours: Mapping[str, frozenset[str]]


def offer(free: int, *area: str, kind: Kind = DROP_IN) -> Offer:
    return Offer(uuid4(), kind, frozenset(area), frozenset({NEEDS[kind]}), "has_room", free, TODAY, TODAY)


def world(offers: list[Offer], counts: Counts, neighbours: Mapping[str, frozenset[str]] | None = None) -> Picture:
    groups, waiting, unmet, away = [], [], [], []
    for (town, kind, asks), count in counts.items():
        records, people = count if isinstance(count, tuple) else (count, count)
        cases = [uuid4() for _ in range(people)]
        of = [cases[number % people] for number in range(records)]
        match asks:
            case "open_needs":
                groups += [Group(town, frozenset({NEEDS[kind]}), people)] if people else []
            case "waiting":
                waiting += [Waiting(town, case, kind, frozenset()) for case in of]
            case "unmet":
                unmet += [Unmet(town, case, NEEDS[kind], frozenset()) for case in of]
            case _:
                away += [TurnedAway(town, kind, records, frozenset(cases))] if records else []
    return Picture(
        *(TODAY, NOW, frozenset(TOWNS), offers, (), groups, waiting, unmet, away), neighbours=neighbours or {}
    )


FEW = [(people + more, people) for people in range(1, 5) for more in (0, 1, 6)]
"""Each of them with one record, or some with several."""
MANY = [(people + more, people) for people in range(5, 9) for more in (0, 5)]
NOBODY = (0, 0)
pairs = st.one_of(
    st.just((NOBODY, NOBODY)),
    st.sampled_from(MANY).map(lambda many: (many, many)),
    st.sampled_from([(one, other) for one in FEW for other in FEW]),
)


@st.composite
def worlds(draw_: Any) -> Worlds:
    own = draw_(st.frozensets(st.sampled_from(TOWNS), max_size=2))
    first, second = {}, {}
    for town in TOWNS:
        for kind in NEEDS:
            for asks in ASKS:
                one, other = draw_(pairs)
                first[town, kind, asks], second[town, kind, asks] = one, one if town in own else other
    areas = st.frozensets(st.sampled_from(TOWNS), min_size=1)
    # Each need is answered somewhere: else both would be one count, under `none`, and the two would differ in it.
    kinds = [*NEEDS, *draw_(st.lists(st.sampled_from([*NEEDS]), max_size=4))]
    offers = [
        replace(offer(draw_(st.integers(0, 20)), *draw_(areas), kind=kind), id=UUID(int=number))
        for number, kind in enumerate(kinds)
    ]
    near = draw_(st.dictionaries(st.sampled_from(TOWNS), st.frozensets(st.sampled_from(TOWNS)), max_size=4))
    return Worlds(offers, first, second, own, near)


def serves(own: frozenset[str]) -> Own:
    return lambda town: town in own


def seen(picture: Picture, own: Own) -> list[Seen]:
    cells = draw(picture, BY, own=own).values()
    return sorted((see(cell, own=own) for cell in cells), key=lambda each: (each.kind, each.municipality))


def live(picture: Picture, own: Own) -> Any:
    """The list and each cell, the sums, the file, and what the page says."""
    found = seen(picture, own)
    rows = by_kind(found)
    return found, rows, map_lines(found), topics(rows)


def kept(picture: Picture, own: Own) -> Any:
    """Two months and their differences, the later with what is drawn; of the earlier is not kept who shares what."""
    month = to_keep(picture, BY)
    before, after = (judge_kept(each, own=own) for each in (replace(month, shared=None), month))
    found = changes(before, after, own=own)
    return [see(cell, own=own) for cell in (*before, *after)], found, change_lines(found)


@pytest.mark.parametrize("door", [live, kept])
@given(two=worlds())
@settings(max_examples=100)
def test_two_worlds_that_differ_in_hidden_counts_alone_are_one_to_others(
    door: Callable[[Picture, Own], Any], two: Worlds
) -> None:
    own = serves(two.own)
    first, second = (door(world(two.offers, counts, two.neighbours), own) for counts in (two.first, two.second))
    assert first == second


@given(worlds())
@settings(max_examples=100)
def test_what_is_said_to_others_is_true(two: Worlds) -> None:
    picture = world(two.offers, two.first, two.neighbours)
    real = draw(picture, BY)
    for each in seen(picture, serves(two.own)):
        cell = real[each.municipality, each.kind]
        assert each.state in {cell.state, Coverage.TOO_FEW}
        assert (each.state is Coverage.TOO_FEW) <= (cell.state in {Coverage.COVERED, Coverage.THIN})
        if each.proposal is not Proposal.NONE and each.state is Coverage.THIN:
            assert cell.proposal is Proposal.EXTEND
        for name in NUMBERS:
            shown, count = getattr(each, name), getattr(cell.demand, name)
            assert shown.count in {None, count}
            assert shown.at_least <= count
            assert shown.below is None or 0 < getattr(cell.demand, OF_CASES.get(name, name)) < shown.below


@given(worlds())
@settings(max_examples=50)
def test_a_month_that_is_kept_says_what_the_map_said(two: Worlds) -> None:
    picture, own = world(two.offers, two.first, two.neighbours), serves(two.own)
    month = judge_kept(to_keep(picture, BY), own=own)
    assert {(cell.municipality, cell.kind): cell for cell in month} == draw(picture, BY, own=own)


def said(picture: Picture, town: str, *own: str) -> tuple[Coverage, Why, Proposal]:
    cell = draw(picture, BY, own=serves(frozenset(own)))[town, DROP_IN]
    return cell.state, cell.why, cell.proposal


UNSAID = Coverage.TOO_FEW, Why.TOO_FEW, Proposal.NONE
COVERED = Coverage.COVERED, Why.NOTHING, Proposal.NONE
SHORT = Coverage.THIN, Why.SHORT, Proposal.EXTEND


@pytest.mark.parametrize(
    ("free", "people", "outside", "inside"),
    [
        (4, 1, COVERED, COVERED),
        (3, 3, UNSAID, COVERED),
        (3, 4, UNSAID, SHORT),
        (6, 6, UNSAID, COVERED),
        (8, 6, COVERED, COVERED),
        (4, 7, SHORT, SHORT),
    ],
)
def test_others_are_told_what_a_cell_is_worth_where_no_small_count_decides_it(
    free: int, people: int, outside: Any, inside: Any
) -> None:
    picture = world([offer(free, A)], {(A, DROP_IN, "open_needs"): people})
    assert (said(picture, A), said(picture, A, A)) == (outside, inside)


@pytest.mark.parametrize(
    ("away", "outside"), [(1, UNSAID), (4, UNSAID), (5, (Coverage.THIN, Why.TURNED_AWAY, Proposal.EXTEND))]
)
def test_others_are_not_told_by_the_state_how_few_were_turned_away(away: int, outside: Any) -> None:
    assert said(world([offer(9, A)], {(A, DROP_IN, "turned_away"): away}), A) == outside


def test_the_own_cell_does_not_tell_how_few_want_the_same_places_elsewhere() -> None:
    """Of six places three are wanted here: whether they are enough would say whether three or four ask over there."""
    shared = [offer(6, A, B)]
    for people, real in ((3, COVERED), (4, SHORT)):
        picture = world(shared, {(A, DROP_IN, "open_needs"): 3, (B, DROP_IN, "open_needs"): people})
        assert (said(picture, A, A), said(picture, A, A, B)) == (UNSAID, real)


def test_nobody_is_named_as_lender_of_whom_it_may_not_be_known_that_there_is_enough() -> None:
    counts = {(A, DROP_IN, "open_needs"): 6, (B, DROP_IN, "open_needs"): 2}
    picture = world([offer(3, B)], counts)
    assert said(picture, A, A) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.CREATE)
    assert said(picture, A, A, B) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.BORROW)
    assert said(world([offer(4, B)], counts), A) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.BORROW)


# --- The file of what changed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [field.name for field in fields(Seen) if field.name not in {"municipality", "kind"}])
def test_whatever_makes_a_line_of_the_file_of_changes_stands_in_it(field: str) -> None:
    """`changes` compares all that is seen, so that each of it has a column, before and after."""
    before = seen(world([offer(9, A)], {(A, DROP_IN, "open_needs"): 6}), serves(frozenset(TOWNS)))[0]
    other = {
        "state": Coverage.THIN, "why": Why.SHORT, "proposal": Proposal.EXTEND, "lenders": (B,),
        "supply": Supply(2, 2, 2, 2, 2),
    }.get(field, Shown(99, 99))  # fmt: skip
    after: dict[str, Any] = {field: other}
    (line,) = change_lines([Change(A, DROP_IN, before, replace(before, **after))])
    columns = read_layout(CHANGES.read_text("utf-8"), FIELDS_OF["map_changes"]).columns
    pairs = {column.field.removesuffix("_before") for column in columns if column.field.endswith("_before")}
    assert any(line[f"{name}_before"] != line[f"{name}_after"] for name in pairs)
    assert pairs == {column.field.removesuffix("_after") for column in columns if column.field.endswith("_after")}
