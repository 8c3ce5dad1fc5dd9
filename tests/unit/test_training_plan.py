"""The decisions about a plan of training seats, as plain values; the numbers of DOMAIN.md 5 among them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.training.api.plan_words import told
from services.training.domain.plan import (
    Fault,
    Frame,
    Line,
    LineKind,
    Tree,
    check_plan,
    day_after,
    fiscal_quarter,
    totals,
)
from services.training.domain.plan_moves import (
    Book,
    Move,
    Moved,
    Refused,
    Taught,
    applied,
    carry_over,
    carry_remainders,
    open_to_all,
    remainders,
    revise,
    transfer,
    use_of,
)

ROOT = Path(__file__).resolve().parents[2]
KAGOSHIMA, KIRISHIMA, TOKUSHIMA = "462012", "462187", "362018"


def a_plan(name: str) -> list[Line]:
    """A plan of DOMAIN.md 5, as it lies in demo/plans."""
    plain = json.loads((ROOT / "demo" / "plans" / f"{name}.json").read_text(encoding="utf-8"))
    return [
        Line(
            each["key"],
            LineKind(each["kind"]),
            each.get("parent"),
            each.get("seats"),
            frame=Frame(each.get("quarter"), each.get("system"), each.get("field"), each.get("target_group")),
            per_course=each.get("per_course", False),
            label=each["label"],
        )
        for each in plain["lines"]
    ]


KAGOSHIMA_2022 = a_plan("kagoshima_2022")
TOKUSHIMA_2016 = a_plan("tokushima_2016")


def part(key: str, seats: int | None, parent: str | None = None, **frame: Any) -> Line:
    return Line(key, LineKind.PARTITION, parent, seats, frame=Frame(**frame))


def inside(key: str, kind: LineKind, seats: int | None, parent: str | None, **more: Any) -> Line:
    percent, per_course = more.pop("percent", None), more.pop("per_course", False)
    return Line(key, kind, parent, seats, percent, Frame(**more), per_course=per_course)


def changed(lines: Sequence[Line], key: str, **changes: Any) -> list[Line]:
    return [replace(line, **changes) if line.key == key else line for line in lines]


def rules(lines: Sequence[Line], prefecture: str = "46") -> list[tuple[str, str]]:
    return [named(fault) for fault in check_plan(prefecture, lines)]


def named(fault: Fault) -> tuple[str, str]:
    """Its rule and line; every rule has words in both languages, which name them with the numbers."""
    words = told(fault)
    for number in fault.numbers.keys() - {"excess", "from", "to"}:
        assert str(fault.numbers[number]) in words["message"]
        assert str(fault.numbers[number]) in words["message_ja"]
    assert fault.line in words["message"]
    return fault.rule, fault.line


def book(lines: Sequence[Line], taught: Sequence[Taught] = (), *, moves: Sequence[Move] = (), **more: Any) -> Book:
    tree = Tree(lines)
    return Book(tree, applied(tree.planned(), moves), use_of(tree, taught), **more)


def runs(seats: int, field: str, *, quarter: int = 3, town: str = KAGOSHIMA, system: str | None = None) -> Taught:
    found = system or ("job_seeker_basic" if field == "basic" else "job_seeker_practical")
    return Taught(quarter, found, field, town, seats, 1, seats)


def because(outcome: Moved | Refused) -> list[tuple[str, str]]:
    assert isinstance(outcome, Refused), outcome
    return [named(fault) for fault in outcome.faults]


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2022-03-31", (2021, 4)), ("2022-04-01", (2022, 1)), ("2022-10-01", (2022, 3)), ("2023-01-01", (2022, 4))],
)
def test_a_fiscal_year_begins_in_april(day: str, expected: tuple[int, int]) -> None:
    assert fiscal_quarter(date.fromisoformat(day)) == expected


@given(day=st.dates(date(1990, 4, 1), date(2199, 3, 31)))
def test_a_quarter_ends_where_the_next_begins(day: date) -> None:
    year, quarter = fiscal_quarter(day)
    after = day_after(year, quarter)
    assert day < after <= day + timedelta(days=92)
    assert fiscal_quarter(after) == ((year, quarter + 1) if quarter < 4 else (year + 1, 1))


# --- the plans of DOMAIN.md -----------------------------------------------------------------------------------------


def test_kagoshimas_parts_make_up_768() -> None:
    assert rules(KAGOSHIMA_2022) == []
    tree = Tree(KAGOSHIMA_2022)
    found = totals(tree, tree.planned())
    assert (found["q3"], found["q3-basic"], found["q3-practical"]) == (768, 326, 442)
    fields = ("care", "medical-office", "it", "web-design", "sales-office", "regional-needs", "other")
    assert [found[f"q3-{field}"] for field in fields] == [80, 75, 59, 60, 72, 48, 48]
    assert sum(tree.planned().values()) == 768, "overlays are counted in no sum"


def test_tokushimas_regional_frame_is_for_the_whole_year() -> None:
    assert rules(TOKUSHIMA_2016, "36") == []
    tree = Tree(TOKUSHIMA_2016)
    assert tree.planned() == {"regional": 48}
    assert tree.frame("regional").quarter is None
    assert because(carry_over(book(TOKUSHIMA_2016), 3, {"regional": 5})) == [("not_of_this_period", "regional")]
    assert because(open_to_all(book(TOKUSHIMA_2016), "regional", 5)) == [("no_parent_to_open_to", "regional")]


def test_kagoshimas_remainders_below_ten_go_to_the_next_quarter() -> None:
    taught = [runs(72, "care"), runs(65, "medical_office"), runs(59, "it"), runs(51, "web_design")]
    standing = book(KAGOSHIMA_2022, taught)
    # 80-72 and 60-51 are below ten; 75-65 is just enough for a course, 59-59 is nothing; the others were not touched.
    assert remainders(standing, 3) == {"q3-care": 8, "q3-web-design": 9}
    assert carry_over(standing, 3) == Moved((Move("q3-care", "q4-care", 8), Move("q3-web-design", "q4-web-design", 9)))


def test_kagoshimas_cancelled_seats_go_to_another_field_of_the_same_quarter() -> None:
    standing = book(KAGOSHIMA_2022, [runs(45, "it")])
    move = Move("q3-it", "q3-care", 14)
    assert transfer(standing, move) == Moved((move,))
    assert because(transfer(standing, replace(move, seats=15))) == [("not_left", "q3-it")]
    assert because(transfer(standing, replace(move, to_line="q4-care"))) == [("another_period", "q3-it")]


# --- what is wrong with a plan --------------------------------------------------------------------------------------

SMALL = [part("all", 100), part("it", 60, "all", field="it"), part("care", 40, "all", field="care")]


@pytest.mark.parametrize("seats", [59, 61])
def test_parts_that_do_not_sum_are_told_with_both_numbers(seats: int) -> None:
    (fault,) = check_plan("46", changed(SMALL, "it", seats=seats))
    assert fault == Fault("partition_sum", "all", 0, {"parent_seats": 100, "parts_seats": seats + 40})


def test_an_overlay_is_in_no_sum_and_may_overlap_its_like() -> None:
    overlays = [inside(key, LineKind.OVERLAY, 100, "all", target_group=key) for key in ("newcomers", "ice-age")]
    assert rules([*SMALL, *overlays]) == []


def test_an_overlay_is_not_larger_than_its_parent() -> None:
    (fault,) = check_plan("46", [*SMALL, inside("new", LineKind.OVERLAY, 61, "it")])
    assert (fault.rule, fault.line, fault.place) == ("overlay_above_parent", "new", 3)
    assert fault.numbers == {"parent": "it", "parent_seats": 60, "line_seats": 61, "excess": 1}


def test_an_upper_limit_is_not_larger_than_its_parent_and_not_smaller_than_what_is_planned() -> None:
    assert rules([*SMALL, inside("most", LineKind.LIMIT, 100, "all")]) == []
    assert rules([*SMALL, inside("most", LineKind.LIMIT, 101, "all")]) == [("limit_above_parent", "most")]
    assert rules([*SMALL, inside("most-it", LineKind.LIMIT, 60, "all", field="it")]) == []
    assert rules([*SMALL, inside("most-it", LineKind.LIMIT, 59, "all", field="it")]) == [("limit_exceeded", "most-it")]
    assert rules([*SMALL, inside("most", LineKind.LIMIT, 20, None, per_course=True)]) == []


@pytest.mark.parametrize(
    ("percent", "number", "needs"),
    [("33.4", None, 34), ("33", 40, 40), ("33", 20, 33), (None, 7, 7), ("0.01", None, 1), ("100", None, 100)],
)
def test_a_floor_is_the_greater_of_a_percentage_and_a_number(
    percent: str | None, number: int | None, needs: int
) -> None:
    floor = inside("least", LineKind.FLOOR, number, "all", percent=None if percent is None else Decimal(percent))
    assert floor.needs(100) == needs
    assert rules([*SMALL, floor]) == []


def test_a_floor_can_be_reached() -> None:
    assert rules([*SMALL, inside("least", LineKind.FLOOR, 101, "all")]) == [("floor_above_parent", "least")]
    care = inside("least", LineKind.FLOOR, None, "all", field="care", percent=Decimal(40))
    assert rules([*SMALL, care]) == []
    assert rules([*SMALL, replace(care, percent=Decimal("40.01"))]) == [("floor_not_reached", "least")]


def test_every_fault_is_told_at_once() -> None:
    lines = [
        part("all", 100, quarter=3),
        part("it", 60, "all", field="it", quarter=4),
        part("care", 41, "all", field="care", municipalities=frozenset({TOKUSHIMA})),
        part("care", 41, "all", field="care"),
        inside("new", LineKind.OVERLAY, 200, "all"),
        part("lost", 5, "nowhere"),
        part("a", 1, "b"),
        part("b", 1, "a"),
        inside("part-of-new", LineKind.PARTITION, 5, "new"),
        inside("odd", LineKind.OVERLAY, None, None, percent=Decimal(101)),
        inside("empty", LineKind.FLOOR, None, "all", per_course=True),
        part("huge", 100_001),
        part("fifth", 0, quarter=5),
    ]
    assert set(rules(lines)) == {
        ("partition_sum", "all"),
        ("quarter_outside_parent", "it"),
        ("municipality_outside_prefecture", "care"),
        ("duplicate_key", "care"),
        ("overlay_above_parent", "new"),
        ("unknown_parent", "lost"),
        ("cycle", "a"),
        ("cycle", "b"),
        ("mixed_frames", "part-of-new"),
        ("needs_parent", "odd"),
        ("seats_missing", "odd"),
        ("percent_only_in_floors", "odd"),
        ("percent_out_of_range", "odd"),
        ("floor_says_nothing", "empty"),
        ("per_course_only_in_limits", "empty"),
        ("seats_out_of_range", "huge"),
        ("no_such_quarter", "fifth"),
    }


def test_a_plan_as_a_whole_is_within_reason() -> None:
    most = [part(f"town-{town}", 100_000, municipalities=frozenset({f"46{town:04}"})) for town in range(11)]
    assert rules(most) == [("plan_out_of_range", "")]
    assert rules(most[:10]) == []


def test_two_parts_for_the_same_are_refused() -> None:
    twins = [part("all", 100), part("it", 60, "all", field="it"), part("it-too", 40, "all", field="it")]
    (fault,) = check_plan("46", twins)
    assert fault == Fault("same_frame_twice", "it-too", 2, {"other": "it"})


def test_a_plan_has_lines() -> None:
    assert rules([]) == [("no_lines", "")]


def test_a_line_says_nothing_that_its_parent_denies() -> None:
    parent = part(
        "p", 10, system="job_seeker_basic", field="it", target_group="newcomers", municipalities=frozenset({KAGOSHIMA})
    )
    child = part(
        "c",
        10,
        "p",
        system="job_seeker_practical",
        field="care",
        target_group="ice_age_generation",
        municipalities=frozenset({KAGOSHIMA, KIRISHIMA}),
    )
    assert rules([parent, child]) == [
        ("field_outside_parent", "c"),
        ("municipalities_outside_parent", "c"),
        ("system_outside_parent", "c"),
        ("target_group_outside_parent", "c"),
    ]


def test_a_chain_that_nobody_could_read_is_refused() -> None:
    chain = [part("0", 1), *(part(str(n), 1, str(n - 1)) for n in range(1, 400))]
    assert ("too_deep", "399") in rules(chain)
    assert ("too_deep", "9") not in rules(chain)


# --- use ------------------------------------------------------------------------------------------------------------


def test_a_course_run_counts_in_the_narrowest_line_and_in_those_above() -> None:
    area = part("area", 10, "it", municipalities=frozenset({KAGOSHIMA}))
    rest = part("rest", 50, "it")
    tree = Tree([*SMALL, area, rest, inside("new", LineKind.OVERLAY, 9, "it", target_group="newcomers")])
    use = use_of(tree, [runs(15, "it"), runs(12, "it", town=KIRISHIMA), runs(10, "care"), runs(99, "other")])
    assert {key: use.seats(key) for key in tree.lines} == {
        "all": 136, "it": 27, "care": 10, "area": 15, "rest": 12, "new": None,
    }  # fmt: skip
    assert use.own == {"all": 99, "it": 0, "care": 10, "area": 15, "rest": 12}


def test_seats_that_a_part_has_too_many_courses_for_are_not_moved_from_its_parent() -> None:
    opened = [Move("care", "all", 20)]
    assert book(SMALL, [runs(60, "it")], moves=opened).left("all") == 20
    assert book(SMALL, [runs(65, "it")], moves=opened).left("all") == 15
    assert book(SMALL, [runs(65, "it")], moves=opened).left("it") == 0


# --- moves ----------------------------------------------------------------------------------------------------------

YEAR = [
    part("year", 60),
    *(part(f"q{n}", 20, "year", quarter=n) for n in (1, 2, 3)),
    *(part(f"q{n}-it", 12, f"q{n}", field="it") for n in (1, 2, 3)),
    *(part(f"q{n}-care", 8, f"q{n}", field="care") for n in (1, 2, 3)),
]


def test_what_is_named_is_carried_over_as_far_as_it_is_left() -> None:
    standing = book(YEAR, [runs(2, "it", quarter=1)])
    assert carry_over(standing, 1, {"q1-it": 10}) == Moved((Move("q1-it", "q2-it", 10),))
    assert because(carry_over(standing, 1, {"q1-it": 11, "q1-care": 8})) == [("not_left", "q1-it")]
    assert because(carry_over(standing, 1, {"q2-it": 1})) == [("not_of_this_period", "q2-it")]
    assert because(carry_over(standing, 1, {"nowhere": 1})) == [("unknown_line", "nowhere")]
    assert because(carry_over(standing, 1, {"q1-it": 0})) == [("no_seats", "q1-it")]
    assert because(carry_over(standing, 3, {"q3-it": 1})) == [("no_line_in_next_period", "q3-it")]
    assert because(carry_over(standing, 4)) == [("no_next_period", "")]
    full = book(YEAR, [runs(12, "it", quarter=1), runs(8, "care", quarter=1)])
    assert because(carry_over(full, 1)) == [("nothing_to_carry_over", "")]


def test_the_minimum_lot_is_the_lines_own() -> None:
    taught = [runs(2, "it", quarter=1), runs(1, "care", quarter=1)]
    assert remainders(book(YEAR, taught), 1) == {"q1-care": 7}
    assert remainders(book(changed(YEAR, "q1-it", minimum_lot=11), taught), 1) == {"q1-it": 10, "q1-care": 7}


def test_a_carry_over_breaks_no_limit_of_the_quarter_it_goes_to() -> None:
    capped = [*YEAR, inside("most", LineKind.LIMIT, 14, "q2", field="it")]
    standing = book(capped)
    assert isinstance(carry_over(standing, 1, {"q1-it": 2}), Moved)
    assert because(carry_over(standing, 1, {"q1-it": 3})) == [("limit_exceeded", "most")]
    taught = [runs(9, "it", quarter=1), runs(1, "care", quarter=1)]
    assert carry_remainders(book(capped, taught), 1) == (Move("q1-care", "q2-care", 7),), "the rest goes by itself"


def test_what_was_reserved_in_a_quarter_goes_on_with_its_seats() -> None:
    standing = book([*YEAR, inside("new", LineKind.OVERLAY, 12, "q1-it", target_group="newcomers")])
    assert isinstance(carry_over(standing, 1, {"q1-it": 12}), Moved)
    assert because(transfer(standing, Move("q1-it", "q1-care", 1))) == [("overlay_above_parent", "new")]


def test_a_transfer_keeps_floors_and_limits() -> None:
    floor = inside("least", LineKind.FLOOR, None, "q1", field="care", percent=Decimal(40))
    assert because(transfer(book([*YEAR, floor]), Move("q1-care", "q1-it", 1))) == [("floor_not_reached", "least")]
    limit = inside("most", LineKind.LIMIT, 12, "q1", field="it")
    assert because(transfer(book([*YEAR, limit]), Move("q1-care", "q1-it", 1))) == [("limit_exceeded", "most")]
    assert isinstance(transfer(book([*YEAR, floor, limit]), Move("q1-it", "q1-care", 1)), Moved)


def test_a_transfer_goes_to_another_area_or_another_field() -> None:
    near, far = frozenset({KAGOSHIMA}), frozenset({KIRISHIMA})
    lines = [
        part("near", 20, municipalities=near),
        part("far", 20, municipalities=far),
        part("near-it", 10, "near", field="it"),
        part("near-care", 10, "near", field="care"),
        part("far-it", 10, "far", field="it"),
        part("far-care", 10, "far", field="care"),
    ]
    standing = book(lines)
    assert isinstance(transfer(standing, Move("near-it", "near-care", 3)), Moved)
    assert isinstance(transfer(standing, Move("near-it", "far-it", 3)), Moved)
    assert because(transfer(standing, Move("near-it", "far-care", 3))) == [("neither_area_nor_field", "near-it")]
    assert because(transfer(standing, Move("near-it", "near-it", 3))) == [("same_line", "near-it")]
    assert because(transfer(standing, Move("near-it", "near", 3))) == [("opens_to_all", "near-it")]


def test_what_nobody_claims_opens_to_all_that_the_parent_is_for_and_can_be_claimed_again() -> None:
    outcome = open_to_all(book(YEAR), "q1-care", 5)
    assert outcome == Moved((Move("q1-care", "q1", 5),))
    standing = book(YEAR, moves=outcome.moves)
    assert totals(standing.tree, standing.seats)["q1"] == 20
    assert transfer(standing, Move("q1", "q1-it", 5)) == Moved((Move("q1", "q1-it", 5),))
    assert because(transfer(standing, Move("q1", "q1-it", 6))) == [("not_left", "q1")]
    assert because(open_to_all(standing, "q1", 1)) == [("another_period", "q1")]


def test_limits_overlays_and_floors_hold_no_seats_to_move() -> None:
    standing = book([*YEAR, inside("new", LineKind.OVERLAY, 5, "q1-it")])
    assert because(open_to_all(standing, "new", 1)) == [("holds_no_seats", "new")]
    assert because(transfer(standing, Move("q1-it", "new", 1))) == [("holds_no_seats", "new")]


# --- versions -------------------------------------------------------------------------------------------------------


def test_the_first_version_gives_each_line_its_seats() -> None:
    assert revise(None, {}, Tree(SMALL)) == Moved((Move(None, "care", 40), Move(None, "it", 60)))


def test_a_later_version_changes_by_what_was_decided_and_leaves_moves_as_they_were() -> None:
    standing = book(SMALL, moves=[Move("it", "care", 10)])
    new = changed(changed(SMALL, "all", seats=105), "it", seats=65)
    outcome = revise(standing.tree, standing.seats, Tree(new))
    assert outcome == Moved((Move(None, "it", 5),))
    assert applied(standing.seats, outcome.moves) == {"all": 0, "it": 55, "care": 50}


def test_a_version_that_takes_what_was_moved_away_is_refused() -> None:
    standing = book(SMALL, moves=[Move("it", "care", 10)])
    new = changed(changed(SMALL, "all", seats=49), "it", seats=9)
    (fault,) = _refused(revise(standing.tree, standing.seats, Tree(new)))
    assert fault == Fault("below_what_was_moved", "it", numbers={"planned": 9, "moved": 10})
    dropped = [part("all", 60), part("it", 60, "all", field="it")]
    assert because(revise(standing.tree, standing.seats, Tree(dropped))) == [("line_dropped_with_seats", "care")]
    other = changed(SMALL, "care", frame=Frame(field="other"))
    assert because(revise(standing.tree, standing.seats, Tree(other))) == [("line_changed_meaning", "care")]


def test_a_line_that_is_split_later_keeps_what_it_was_given_by_moves() -> None:
    standing = book(SMALL, moves=[Move("it", "care", 10)])
    split = [*SMALL, part("care-a", 25, "care", target_group="a"), part("care-b", 15, "care", target_group="b")]
    outcome = revise(standing.tree, standing.seats, Tree(split))
    assert isinstance(outcome, Moved)
    assert applied(standing.seats, outcome.moves) == {"all": 0, "it": 50, "care": 10, "care-a": 25, "care-b": 15}


def test_a_move_that_the_coming_version_could_not_bear_is_refused() -> None:
    coming = Tree(changed(changed(SMALL, "all", seats=45), "it", seats=5))
    standing = book(SMALL, coming=[coming])
    assert isinstance(transfer(standing, Move("it", "care", 5)), Moved)
    assert because(transfer(standing, Move("it", "care", 6))) == [("breaks_coming_version", "it")]


def test_a_quarter_left_below_its_overlay_stops_no_later_version() -> None:
    lines = [*YEAR, inside("new", LineKind.OVERLAY, 12, "q1-it", target_group="newcomers")]
    standing = book(lines, moves=[Move("q1-it", "q2-it", 12)])
    new = changed(changed(changed(lines, "year", seats=61), "q3", seats=21), "q3-it", seats=13)
    assert isinstance(revise(standing.tree, standing.seats, Tree(new)), Moved)


def _refused(outcome: Moved | Refused) -> tuple[Fault, ...]:
    assert isinstance(outcome, Refused)
    return outcome.faults


# --- any plan, and whatever is done with it -------------------------------------------------------------------------

FIELDS = ("it", "care", "other")


@st.composite
def plans(draw: st.DrawFn) -> list[Line]:
    """A plan of two to four quarters by fields, which sums; with an overlay, a limit and a floor that it keeps."""
    quarters = draw(st.integers(2, 4))
    fields = FIELDS[: draw(st.integers(1, 3))]
    lines: list[Line] = []
    for quarter in range(1, quarters + 1):
        seats = {field: draw(st.integers(0, 40)) for field in fields}
        total = sum(seats.values())
        lines.append(part(f"q{quarter}", total, quarter=quarter))
        lines += [part(f"q{quarter}-{field}", number, f"q{quarter}", field=field) for field, number in seats.items()]
        overlay = draw(st.integers(0, total))
        lines.append(inside(f"q{quarter}-new", LineKind.OVERLAY, overlay, f"q{quarter}", target_group="newcomers"))
        limit = draw(st.integers(seats["it"], total))
        lines.append(inside(f"q{quarter}-most", LineKind.LIMIT, limit, f"q{quarter}", field="it"))
        lines.append(
            inside(f"q{quarter}-least", LineKind.FLOOR, draw(st.integers(0, seats["it"])), f"q{quarter}", field="it")
        )
    return lines


@given(plan=plans(), which=st.integers(0, 99), by=st.sampled_from([-1, 1]))
def test_a_plan_that_sums_is_well_and_one_seat_more_or_less_is_seen(plan: list[Line], which: int, by: int) -> None:
    assert rules(plan) == []
    parts = [line for line in plan if line.kind is LineKind.PARTITION and (line.seats or 0) + by >= 0]
    if parts:
        line = parts[which % len(parts)]
        faulty = changed(plan, line.key, seats=(line.seats or 0) + by)
        assert ("partition_sum", line.parent or line.key) in rules(faulty)


class Ledger(RuleBasedStateMachine):
    """Moves over a random plan: sums stay, nothing is negative, limits and floors hold, replay is the standing."""

    @initialize(plan=plans(), taken=st.integers(0, 30))
    def decided(self, plan: list[Line], taken: int) -> None:
        self.tree = Tree(plan)
        self.taught = [runs(taken, "it", quarter=1), runs(taken // 2, "care", quarter=2)]
        self.entries: list[Move] = []
        opening = revise(None, {}, self.tree)
        assert isinstance(opening, Moved)
        self.entries += opening.moves
        self.seats = applied({}, self.entries)
        self.left_behind: set[int] = set()

    @property
    def book(self) -> Book:
        return Book(self.tree, self.seats, use_of(self.tree, self.taught))

    def key(self, which: int) -> str:
        return self.tree.accounts[which % len(self.tree.accounts)].key

    def enter(self, outcome: Moved | Refused) -> None:
        if isinstance(outcome, Moved):
            assert outcome.moves
            self.entries += outcome.moves
            self.seats = applied(self.seats, outcome.moves)

    @rule(quarter=st.integers(1, 4))
    def carry_remainders(self, quarter: int) -> None:
        self.enter(carry_over(self.book, quarter))
        self.left_behind.add(quarter)

    @rule(which=st.integers(0, 20), seats=st.integers(1, 40))
    def carry(self, which: int, seats: int) -> None:
        key = self.key(which)
        quarter = self.tree.frame(key).quarter
        assert quarter is not None
        self.enter(carry_over(self.book, quarter, {key: seats}))
        self.left_behind.add(quarter)

    @rule(which=st.integers(0, 20), other=st.integers(0, 20), seats=st.integers(1, 40))
    def transfer(self, which: int, other: int, seats: int) -> None:
        self.enter(transfer(self.book, Move(self.key(which), self.key(other), seats)))

    @rule(which=st.integers(0, 20), seats=st.integers(1, 40))
    def open(self, which: int, seats: int) -> None:
        self.enter(open_to_all(self.book, self.key(which), seats))

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "tree"):
            return
        assert sum(self.seats.values()) == sum(self.tree.planned().values()), "sums are conserved"
        assert min(self.seats.values(), default=0) >= 0
        assert applied({}, self.entries) == self.seats
        for entry in self.entries:
            if entry.from_line is not None and entry.to_line is not None:
                before, after = (self.tree.frame(key).quarter for key in (entry.from_line, entry.to_line))
                assert before is not None
                assert after in {before, before + 1}
        found = totals(self.tree, self.seats)
        for quarter in {self.tree.frame(line.key).quarter for line in self.tree.accounts}:
            it = self.seats.get(f"q{quarter}-it", 0)
            assert it <= (self.tree.lines[f"q{quarter}-most"].seats or 0)
            if quarter not in self.left_behind:
                assert (self.tree.lines[f"q{quarter}-new"].seats or 0) <= found[f"q{quarter}"]
                assert it + self.seats.get(f"q{quarter}", 0) >= (self.tree.lines[f"q{quarter}-least"].seats or 0)


TestLedger = Ledger.TestCase
