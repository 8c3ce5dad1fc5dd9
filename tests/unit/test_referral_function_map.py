"""The map of functions: what a cell says, what it proposes, and what outsiders may read of it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.function_map import (
    Cell,
    Coverage,
    Group,
    Picture,
    Proposal,
    TurnedAway,
    Unmet,
    Waiting,
    Why,
    classify,
    draw,
    needs_answered,
    offers_behind,
    propose,
)
from services.referral.domain.map_demand import NUMBERS, Demand, Pressure, shown
from services.referral.domain.map_supply import (
    COURSE_KINDS,
    UNANSWERED,
    Kind,
    Offer,
    Record,
    RecordKind,
    Seats,
    Supply,
    Thresholds,
)
from services.referral.domain.map_views import see
from services.referral.domain.options import Pool
from services.referral.domain.small_counts import Shown, show, total, union
from services.referral.tables.vocabulary import vocabulary

TODAY = date(2026, 11, 30)
NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
A, B, C, FAR = "462012", "462187", "462039", "142166"
DROP_IN = Kind("drop_in_space", "drop_in", 4)
READY = Kind("work_readiness", "work_readiness", 4)
COURSE = Kind("job_seeker_training", "vocational_training", 5)
BY = Thresholds()


def offer(**changes: Any) -> Offer:
    values: dict[str, Any] = {
        "id": uuid4(),
        "capacity_confirmed_on": TODAY,
        "kind": DROP_IN,
        "area": frozenset({A}),
        "needs": frozenset({"isolation"}),
        "capacity": "has_room",
        "free": 5,
        "confirmed_on": TODAY,
    }
    return Offer(**(values | changes))


def seats(granted: int = 5, own: str | None = None, *, held: int = 0, filled: int = 0, **changes: Any) -> Seats:
    """A pool of a course run in A: general, or delegated to one municipality."""
    values: dict[str, Any] = {"course_run_id": UUID(int=7), "system": "job_seeker_basic", "site": A, "closes_at": NOW}
    return Seats(**(values | changes), pool=Pool(own, granted, held, filled, waiting=0))


def group(people: int, municipality: str = A, *needs: str) -> Group:
    return Group(municipality, frozenset(needs or {"isolation"}), people)


def drawn(**parts: Any) -> dict[tuple[str, Kind], Cell]:
    return draw(
        Picture(today=TODAY, now=NOW, municipalities=parts.pop("municipalities", frozenset({A, B, C, FAR})), **parts),
        BY,
    )


def words(cell: Cell) -> tuple[Coverage, Why, Proposal]:
    return cell.state, cell.why, cell.proposal


# --- What a cell says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "people", "says"),
    [
        ({}, 5, (Coverage.COVERED, Why.NOTHING, Proposal.NONE)),
        ({}, 6, (Coverage.THIN, Why.SHORT, Proposal.EXTEND)),
        ({}, 0, (Coverage.UNUSED, Why.NOTHING, Proposal.NONE)),
        ({"free": None}, 3, (Coverage.COVERED, Why.NOTHING, Proposal.NONE)),
        ({"free": None}, 4, (Coverage.THIN, Why.SHORT, Proposal.EXTEND)),
        ({"free": 0}, 1, (Coverage.THIN, Why.FULL, Proposal.EXTEND)),
        ({"capacity": "full", "free": 9}, 1, (Coverage.THIN, Why.FULL, Proposal.EXTEND)),
        ({"capacity": "full"}, 0, (Coverage.COVERED, Why.NOTHING, Proposal.NONE)),
        ({"capacity": "waiting_list"}, 1, (Coverage.THIN, Why.FULL, Proposal.EXTEND)),
        (
            {"capacity": "full", "capacity_confirmed_on": TODAY - timedelta(days=30)},
            1,
            (Coverage.THIN, Why.ROOM_UNKNOWN, Proposal.EXTEND),
        ),
        ({"capacity": "ask_first"}, 1, (Coverage.THIN, Why.ROOM_UNKNOWN, Proposal.EXTEND)),
        ({"capacity": "unknown", "free": None}, 1, (Coverage.THIN, Why.ROOM_UNKNOWN, Proposal.EXTEND)),
        ({"confirmed_on": TODAY - timedelta(days=179)}, 1, (Coverage.COVERED, Why.NOTHING, Proposal.NONE)),
        ({"confirmed_on": TODAY - timedelta(days=180)}, 1, (Coverage.THIN, Why.STALE, Proposal.EXTEND)),
        ({"capacity_confirmed_on": TODAY - timedelta(days=29)}, 1, (Coverage.COVERED, Why.NOTHING, Proposal.NONE)),
        ({"capacity_confirmed_on": TODAY - timedelta(days=30)}, 1, (Coverage.THIN, Why.ROOM_UNKNOWN, Proposal.EXTEND)),
        ({"area": frozenset({"460001"})}, 5, (Coverage.COVERED, Why.NOTHING, Proposal.NONE)),
        ({"ends_on": TODAY}, 5, (Coverage.COVERED, Why.NOTHING, Proposal.NONE)),
        ({"starts_on": TODAY}, 5, (Coverage.COVERED, Why.NOTHING, Proposal.NONE)),
    ],
)
def test_a_cell_weighs_room_that_can_be_relied_on_against_who_wants_it(
    changes: dict[str, Any], people: int, says: Any
) -> None:
    cells = drawn(offers=[offer(**changes)], groups=[group(people)] if people else [])
    assert words(cells[A, DROP_IN]) == says


@pytest.mark.parametrize("period", [{"ends_on": TODAY - timedelta(days=1)}, {"starts_on": TODAY + timedelta(days=1)}])
def test_what_is_not_offered_today_is_no_supply_and_answers_nothing(period: dict[str, Any]) -> None:
    cells = drawn(offers=[offer(**period)], groups=[group(2)])
    assert cells.keys() == {(A, UNANSWERED)}
    assert words(cells[A, UNANSWERED]) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.CREATE)


def test_a_need_that_something_elsewhere_answers_is_missing_here() -> None:
    cells = drawn(offers=[offer(area=frozenset({FAR}))], groups=[group(2)])
    assert words(cells[A, DROP_IN]) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.CREATE)
    assert cells[A, DROP_IN].demand == Demand(open_needs=2, wanting=2)


def test_a_neighbour_with_room_is_named_before_others_of_the_prefecture() -> None:
    near, other = offer(area=frozenset({C})), offer(area=frozenset({B}))
    cells = drawn(offers=[near, other], groups=[group(2)], neighbours={A: frozenset({C})})
    assert words(cells[A, DROP_IN]) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.BORROW)
    assert cells[A, DROP_IN].lenders == (C, B)


def test_a_neighbour_beyond_the_prefecture_lends_too() -> None:
    cells = drawn(offers=[offer(area=frozenset({FAR}))], groups=[group(2)], neighbours={A: frozenset({FAR})})
    assert cells[A, DROP_IN].lenders == (FAR,)


def test_who_has_enough_for_the_own_people_lends_as_well_and_asks_nobody() -> None:
    cells = drawn(offers=[offer(area=frozenset({B})), offer(area=frozenset({C}))], groups=[group(2), group(2, B)])
    assert (cells[B, DROP_IN].state, cells[C, DROP_IN].state) == (Coverage.COVERED, Coverage.UNUSED)
    assert cells[A, DROP_IN].lenders == (C, B)
    assert cells[B, DROP_IN].lenders == cells[C, DROP_IN].lenders == ()


def test_nobody_lends_what_is_short_at_home_or_what_is_shared_already() -> None:
    short = drawn(offers=[offer(area=frozenset({B}), free=1)], groups=[group(2), group(2, B)])
    assert words(short[A, DROP_IN]) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.CREATE)
    shared = drawn(offers=[offer(area=frozenset({A, B}), free=1)], groups=[group(2)])
    assert (shared[A, DROP_IN].state, shared[B, DROP_IN].state) == (Coverage.THIN, Coverage.UNUSED)
    assert shared[A, DROP_IN].lenders == ()


def test_no_more_than_a_few_lenders_are_named() -> None:
    towns = [f"4630{number}" for number in range(10, 18)]
    cells = drawn(
        offers=[offer(area=frozenset({town})) for town in towns],
        groups=[group(1)],
        municipalities=frozenset({A, *towns}),
    )
    assert cells[A, DROP_IN].lenders == tuple(towns[:5])


def test_places_are_shared_by_everybody_whom_a_programme_serves() -> None:
    shared = offer(area=frozenset({A, B}), free=5)
    enough = drawn(offers=[shared], groups=[group(3), group(2, B)])
    assert (enough[A, DROP_IN].state, enough[B, DROP_IN].state) == (Coverage.COVERED, Coverage.COVERED)
    short = drawn(offers=[shared], groups=[group(3), group(3, B)])
    assert (short[A, DROP_IN].state, short[B, DROP_IN].state) == (Coverage.THIN, Coverage.THIN)
    helped = drawn(offers=[shared, offer(free=1)], groups=[group(3), group(3, B)])
    assert (helped[A, DROP_IN].state, helped[B, DROP_IN].state) == (Coverage.COVERED, Coverage.THIN)


def test_people_turned_away_for_lack_of_room_weigh_more_than_room_on_paper() -> None:
    says = [(Coverage.COVERED, Why.NOTHING, Proposal.NONE), (Coverage.THIN, Why.TURNED_AWAY, Proposal.EXTEND)]
    for referrals, each in zip((2, 3), says, strict=True):
        cells = drawn(offers=[offer()], groups=[group(1)], turned_away=[TurnedAway(A, DROP_IN, referrals)])
        assert words(cells[A, DROP_IN]) == each
    gone = drawn(turned_away=[TurnedAway(A, DROP_IN, 1)])
    assert words(gone[A, DROP_IN]) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.CREATE)


# --- Seats of course runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "function", "strand"),
    [
        ("public_in_house", "vocational_training", 3),
        ("public_commissioned", "vocational_training", 3),
        ("commissioned_disability", "vocational_training", 2),
        ("disability_school", "vocational_training", 2),
        ("job_seeker_basic", "job_seeker_training", 5),
        ("job_seeker_practical", "job_seeker_training", 5),
    ],
)
def test_each_training_system_stands_in_the_directorys_own_words(system: str, function: str, strand: int) -> None:
    cells = drawn(seats=[seats(system=system)])
    assert cells.keys() == {(town, Kind(function, "vocational_training", strand)) for town in (A, B, C)}
    assert vocabulary().functions[function].stage == "vocational_training"
    assert system in COURSE_KINDS


def test_a_course_run_is_supply_up_to_its_deadline_and_not_a_moment_longer() -> None:
    assert drawn(seats=[seats(closes_at=NOW)])[A, COURSE].supply == Supply(programmes=1, with_room=1, places=5)
    assert drawn(seats=[seats(closes_at=NOW - timedelta(microseconds=1))]) == {}


def test_a_delegated_pool_is_its_municipalitys_alone_and_a_general_one_the_prefectures() -> None:
    cells = drawn(seats=[seats(2, B), seats(5)], groups=[group(1, town, "skills") for town in (A, B, C, FAR)])
    assert [cells[town, COURSE].supply.places for town in (A, B, C)] == [5, 7, 5]
    assert [cells[town, COURSE].supply.programmes for town in (A, B, C)] == [1, 1, 1]
    assert words(cells[FAR, COURSE]) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.CREATE)


def test_delegated_seats_are_for_the_own_people_first_and_may_be_lent_by_who_has_enough() -> None:
    cells = drawn(seats=[seats(2, B)], groups=[group(2, B, "skills"), group(1, A, "skills"), group(1, C, "skills")])
    assert cells[B, COURSE].state is Coverage.COVERED
    assert words(cells[A, COURSE]) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.BORROW)
    assert cells[A, COURSE].lenders == (B,)
    short = drawn(seats=[seats(2, B)], groups=[group(3, B, "skills"), group(1, A, "skills")])
    assert cells[B, COURSE].supply == short[B, COURSE].supply
    assert (short[B, COURSE].why, short[A, COURSE].proposal) == (Why.SHORT, Proposal.CREATE)


def test_general_seats_are_shared_by_the_whole_prefecture() -> None:
    wanted = [group(3, A, "skills"), group(3, B, "skills")]
    enough = drawn(seats=[seats(6)], groups=wanted)
    assert [enough[town, COURSE].state for town in (A, B)] == [Coverage.COVERED, Coverage.COVERED]
    short = drawn(seats=[seats(5)], groups=wanted)
    assert [short[town, COURSE].why for town in (A, B)] == [Why.SHORT, Why.SHORT]
    helped = drawn(seats=[seats(5), seats(1, A)], groups=wanted)
    assert [helped[town, COURSE].state for town in (A, B)] == [Coverage.COVERED, Coverage.THIN]


@pytest.mark.parametrize("taken", [{"held": 3, "filled": 2}, {"held": 0, "filled": 5}, {"held": 9, "filled": 0}])
def test_a_full_course_is_full_and_never_stale_or_unknown(taken: dict[str, Any]) -> None:
    cell = drawn(seats=[seats(**taken)], groups=[group(1, A, "skills")])[A, COURSE]
    assert words(cell) == (Coverage.THIN, Why.FULL, Proposal.EXTEND)
    assert cell.supply == Supply(programmes=1)


@pytest.mark.parametrize(
    "nothing", [seats(0), seats(system="of_tomorrow"), seats(3, "131016"), seats(3, site="131016")]
)
def test_seats_that_nobody_here_may_use_are_no_supply_and_answer_nothing(nothing: Seats) -> None:
    assert drawn(seats=[nothing], groups=[group(1, A, "skills")]).keys() == {(A, UNANSWERED)}


def test_a_programme_of_the_directory_and_a_course_run_of_the_same_kind_stand_together() -> None:
    programme = offer(kind=COURSE, needs=frozenset({"housing"}), free=3)
    picture = Picture(
        today=TODAY, now=NOW, municipalities=frozenset({A, B}), offers=[programme], seats=[seats(2, A), seats(5)]
    )
    cells = draw(picture, BY)
    assert cells[A, COURSE].supply == Supply(programmes=2, with_room=2, places=10)
    assert cells[B, COURSE].supply == Supply(programmes=1, with_room=1, places=5)
    run = Record(UUID(int=7), RecordKind.COURSE_RUN)
    assert set(offers_behind(picture, BY, "places", A, COURSE)) == {run, Record(programme.id, RecordKind.PROGRAMME)}
    assert offers_behind(picture, BY, "programmes", B, COURSE) == [run]
    assert offers_behind(picture, BY, "stale", A, COURSE) == []


def test_a_course_helps_with_whatever_is_not_the_counters_own_business() -> None:
    groups = [group(1, A, "skills"), group(1, A, "a_need_of_tomorrow"), group(1, A, "housing"), group(1, A, "debt")]
    picture = Picture(today=TODAY, now=NOW, municipalities=frozenset({A}), seats=[seats()], groups=groups)
    cells = draw(picture, BY)
    assert (cells[A, COURSE].demand.open_needs, cells[A, UNANSWERED].demand.open_needs) == (2, 2)
    for kind in (COURSE, UNANSWERED):
        assert needs_answered(picture, BY, kind) == {"skills", "a_need_of_tomorrow"}
    assert needs_answered(picture, BY, DROP_IN) == frozenset()


def test_refusals_of_two_systems_of_one_kind_add_up() -> None:
    away = [TurnedAway(A, COURSE, 2), TurnedAway(A, COURSE, 1), TurnedAway(B, COURSE, 2)]
    cells = drawn(seats=[seats()], turned_away=away)
    assert [(cells[town, COURSE].demand.turned_away, cells[town, COURSE].why) for town in (A, B)] == [
        (3, Why.TURNED_AWAY),
        (2, Why.NOTHING),
    ]


# --- Who asks --------------------------------------------------------------------------------------------------------


def test_a_case_with_two_needs_wants_one_place_and_asks_in_every_kind_that_answers() -> None:
    drop_in = offer(needs=frozenset({"isolation", "family"}))
    ready = offer(kind=READY, needs=frozenset({"family"}))
    cells = drawn(offers=[drop_in, ready], groups=[group(2, A, "isolation", "family"), group(1, A, "isolation")])
    assert (cells[A, DROP_IN].demand.open_needs, cells[A, READY].demand.open_needs) == (3, 2)


def test_who_waits_or_has_nobody_is_counted_once_beside_the_open_needs() -> None:
    known, other, whole = uuid4(), uuid4(), uuid4()
    cells = drawn(
        offers=[offer()],
        groups=[group(1), group(1, A, "debt")],
        waiting=[
            Waiting(A, known, DROP_IN, frozenset({"isolation"})),
            Waiting(A, other, DROP_IN, frozenset()),
            Waiting(A, other, DROP_IN, frozenset()),
        ],
        unmet=[
            Unmet(A, known, "isolation", frozenset({"isolation"})),
            Unmet(A, other, "isolation", frozenset()),
            Unmet(A, whole, None, frozenset()),
        ],
    )
    assert cells[A, DROP_IN].demand == Demand(
        open_needs=1, waiting=3, unmet=2, wanting=2, waiting_cases=2, unmet_cases=2
    )
    assert cells[A, UNANSWERED].demand == Demand(open_needs=1, unmet=1, wanting=2, unmet_cases=1)


def test_an_unmet_need_that_nobody_else_has_on_record_still_has_its_place() -> None:
    cells = drawn(unmet=[Unmet(A, uuid4(), "debt", frozenset())])
    assert cells[A, UNANSWERED].demand == Demand(unmet=1, wanting=1, unmet_cases=1)


def test_what_waits_for_a_kind_that_is_offered_no_more_is_missing() -> None:
    cells = drawn(waiting=[Waiting(A, uuid4(), READY, frozenset())])
    assert words(cells[A, READY]) == (Coverage.MISSING, Why.NO_SUPPLY, Proposal.CREATE)


def test_the_numbers_of_supply() -> None:
    old = TODAY - timedelta(days=200)
    cells = drawn(
        offers=[
            offer(),
            offer(free=None),
            offer(free=0),
            offer(capacity="full"),
            offer(capacity="unknown", free=None),
            offer(confirmed_on=old),
            offer(area=frozenset({B})),
        ]
    )
    assert cells[A, DROP_IN].supply == Supply(programmes=6, with_room=2, stale=1, unknown=1, places=8)


def test_stale_and_unknown_together_are_unknown_and_one_full_among_them_is_full() -> None:
    old, older = (offer(confirmed_on=date(year, 1, 1)) for year in (2026, 2025))
    unknown, full = offer(capacity="unknown"), offer(capacity="waiting_list")
    for offers, why in (([old, unknown], Why.ROOM_UNKNOWN), ([old, full], Why.FULL), ([old, older], Why.STALE)):
        assert drawn(offers=offers, groups=[group(1)])[A, DROP_IN].why is why


def test_nothing_at_all_is_an_empty_map() -> None:
    assert drawn() == {}
    assert drawn(groups=[Group(A, frozenset(), 4)]) == {}


counts = st.integers(0, 9)


@given(counts, counts, counts, counts, counts, st.fractions(0, 3))
def test_every_cell_has_one_state_that_says_what_it_means(
    programmes: int, with_room: int, stale: int, wanting: int, turned_away: int, share: Fraction
) -> None:
    with_room, stale = min(programmes, with_room), min(programmes, stale)
    supply = Supply(programmes, with_room, stale, 0, with_room)
    state, why = classify(supply, Pressure(wanting, turned_away), share, BY)
    asked = wanting > 0 or turned_away > 0
    assert (state is Coverage.MISSING) == (asked and programmes == 0)
    assert (state is Coverage.UNUSED) == (not asked and with_room > 0)
    assert (why is Why.NOTHING) == (state in {Coverage.COVERED, Coverage.UNUSED})
    if state is Coverage.COVERED and asked:
        assert with_room
        assert share >= 1 or not wanting
    for lenders in ((), (B,)):
        assert (propose(state, lenders) is Proposal.NONE) == (state in {Coverage.COVERED, Coverage.UNUSED})


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.sampled_from(["isolation", "family"]), counts), max_size=5))
def test_more_room_never_makes_a_cell_worse(asked: list[tuple[str, str, int]]) -> None:
    order = [Coverage.MISSING, Coverage.THIN, Coverage.COVERED, Coverage.UNUSED]
    groups = [group(people, town, need) for town, need, people in asked]
    base = offer(area=frozenset({A, B}), id=UUID(int=1), free=2)
    before = drawn(offers=[base], groups=groups)
    after = drawn(offers=[replace(base, free=4)], groups=groups)
    for place, cell in before.items():
        assert order.index(after[place].state) >= order.index(cell.state)


# --- Small counts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "own", "text"),
    [(0, False, "0"), (1, False, "5未満"), (4, False, "5未満"), (5, False, "5"), (4, True, "4")],
)
def test_small_counts_are_hidden_from_others(count: int, own: bool, text: str) -> None:
    assert show(count, own=own).text_ja == text


def test_a_sum_is_exact_only_if_each_of_its_parts_is() -> None:
    assert total([Shown(7, 7), Shown(0, 0)]) == Shown(7, 7)
    assert total([show(7, own=False), show(3, own=False)]) == Shown(None, 8)
    assert total([show(7, own=False), show(3, own=False)]).text_ja == "8以上"
    assert total([]) == Shown(0, 0)
    assert union(Shown(7, 7), [Shown(2, 2)], 8) == Shown(8, 8)
    assert union(Shown(7, 7), [show(3, own=False)], 8) == Shown(None, 7)
    assert union(Shown(0, 0), [show(3, own=False)], 3) == Shown(None, 1, below=5)
    assert union(show(2, own=False), [show(3, own=False)], 4) == Shown(None, 1)
    assert union(show(2, own=False), [show(30, people=6, own=False)], 7) == Shown(None, 5)


hidden = st.integers(1, 4)


@given(st.lists(st.one_of(st.just(0), st.integers(5, 50), st.tuples(hidden, hidden)), max_size=8))
def test_whatever_the_hidden_counts_are_a_reader_sees_the_same(row: list[Any]) -> None:
    """The whole of secondary suppression: nothing that is shown depends on what is hidden."""
    seen = []
    for version in (0, 1):
        parts = [show(each[version] if isinstance(each, tuple) else each, own=False) for each in row]
        hides = any(part.count is None for part in parts)
        seen.append((parts, total(parts), union(parts[0], parts[1:], 99) if hides else None))
    assert seen[0] == seen[1]


FEW = Shown(None, 1, below=5)
FIVE_TO_EIGHT = Shown(None, 5, below=9)


@pytest.mark.parametrize(
    ("demand", "unmet", "wanting"),
    [
        (Demand(unmet=5, unmet_cases=1, wanting=1), FEW, FEW),
        (Demand(unmet=5, unmet_cases=5, wanting=5), FIVE_TO_EIGHT, FIVE_TO_EIGHT),
        (Demand(unmet=9, unmet_cases=6, waiting=2, waiting_cases=2, wanting=7), Shown(None, 9, 13), Shown(None, 5)),
        (Demand(unmet=9, unmet_cases=4, waiting=9, waiting_cases=1, wanting=4), FEW, Shown(None, 1)),
        (Demand(7, unmet=9, unmet_cases=2, wanting=8), FEW, Shown(None, 5)),
        (Demand(7, unmet=9, unmet_cases=8, wanting=8), Shown(None, 9, 13), FIVE_TO_EIGHT),
    ],
)
def test_what_is_hidden_is_few_people_however_many_records_they_have(demand: Demand, unmet: Any, wanting: Any) -> None:
    seen = shown(demand, own=False)
    assert (seen["unmet"], seen["wanting"]) == (unmet, wanting)
    assert shown(demand, own=True)["unmet"] == Shown(demand.unmet, demand.unmet)


def test_of_referrals_that_were_turned_away_the_people_are_counted_over_all_systems() -> None:
    one, other = uuid4(), uuid4()
    away = [TurnedAway(A, DROP_IN, 3, frozenset({one, other})), TurnedAway(A, DROP_IN, 2, frozenset({one}))]
    demand = drawn(turned_away=away)[A, DROP_IN].demand
    assert (demand.turned_away, demand.turned_away_cases) == (5, 2)


def test_the_municipality_itself_sees_its_own_numbers() -> None:
    cell = replace(drawn(groups=[group(1)])[A, UNANSWERED], demand=Demand(1, 2, 3, 4, 1))
    own = see(cell, own=lambda municipality: municipality == A)
    assert [getattr(own, name).count for name in NUMBERS] == [1, 2, 3, 4, 1]
