"""Which decision grants which seats, decided on plain values."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.training.domain.decisions import Selector
from services.training.domain.line import InLine, Promoted, offer_free_seats
from services.training.domain.offers import Denied
from services.training.domain.pools import FOR_ALL, Allotted, Bound, Place, Run, bind_seats, settle
from services.training.domain.quota import (
    DELEGATED,
    GENERAL,
    Course,
    Held,
    Pool,
    choose_pool,
    request_seat,
)

NOON = datetime(2026, 9, 10, 3, 0, tzinfo=UTC)
A, B, C = "462012", "462187", "462250"
RUN = Run("46", "46-web-1", "job_seeker_practical", "web_design", date(2026, 5, 11))
YEAR = Selector(fiscal_year=2026)
ONE = Selector(course_number=RUN.course_number)
COURSE = Course(UUID(int=1), "school", NOON + timedelta(days=30), timedelta(hours=72), RUN.starts_on)


def allotted(id_: int, room: int, *towns: str, selector: Selector = YEAR) -> Allotted:
    return Allotted(UUID(int=id_), "46", frozenset(towns or (A,)), selector, room)


def pool(
    id_: int, granted: int, *towns: str, taken: int = 0, rests_on: int | None = None, in_force: bool = True
) -> Pool:
    kind = DELEGATED if towns else GENERAL
    on = None if rests_on is None else UUID(int=rests_on)
    return Pool(UUID(int=id_), kind, towns, granted, taken, 0, 0, decision_allotment_id=on, in_force=in_force)


def bound(more: dict[str | None, int], *allotments: Allotted, pools: tuple[Pool, ...] = ()) -> dict[Place, int]:
    outcome = bind_seats(RUN, more, pools, allotments)
    assert isinstance(outcome, Bound), outcome
    return dict(outcome.deltas)


def test_an_allotment_speaks_of_the_courses_that_it_names() -> None:
    for selector, speaks in (
        (YEAR, True), (Selector(fiscal_year=2025), False), (Selector(fiscal_year=2026, quarter=1), True),
        (Selector(fiscal_year=2026, quarter=4), False), (Selector(fiscal_year=2026, field="care"), False),
        (Selector(fiscal_year=2026, field="web_design", system=RUN.system), True), (ONE, True),
        (Selector(course_number="46-web-2"), False),
    ):  # fmt: skip
        assert allotted(1, 1, selector=selector).grants(RUN, [A]) is speaks, selector


def test_march_belongs_to_the_fiscal_year_before() -> None:
    march = replace(RUN, starts_on=date(2027, 3, 31))
    assert allotted(1, 1, selector=Selector(fiscal_year=2026, quarter=4)).grants(march, [A])


def test_without_a_decision_nothing_is_delegated() -> None:
    assert bind_seats(RUN, {A: 1}, [], []) == Denied("no_decision_in_force", "delegated")
    assert bind_seats(RUN, {A: 1}, [], [allotted(1, 9, B)]) == Denied("no_decision_in_force", "delegated")
    assert bind_seats(RUN, {f"{A}+{B}": 1}, [], [allotted(1, 9, A)]) == Denied("no_decision_in_force", "delegated")
    elsewhere = replace(RUN, prefecture="47")
    assert bind_seats(elsewhere, {A: 1}, [], [allotted(1, 9)]) == Denied("no_decision_in_force", "delegated")


def test_no_more_is_granted_than_was_allotted() -> None:
    assert bind_seats(RUN, {A: 5}, [], [allotted(1, 4)]) == Denied("more_than_allotted", "delegated")
    assert bound({A: 4}, allotted(1, 4)) == {Place(A, UUID(int=1)): 4}


def test_seats_for_one_course_run_come_on_top_of_those_for_many() -> None:
    assert bound({A: 5}, allotted(1, 4), allotted(2, 2, selector=ONE)) == {
        Place(A, UUID(int=2)): 2, Place(A, UUID(int=1)): 3,
    }  # fmt: skip


def test_what_is_given_up_comes_from_where_nothing_new_is_granted() -> None:
    before, over, now = pool(1, 2, A), pool(2, 3, A, taken=1, rests_on=7, in_force=False), pool(3, 2, A, rests_on=8)
    assert bound({A: -5}, pools=(now, over, before)) == {
        Place(A, None): -2, Place(A, UUID(int=7)): -2, Place(A, UUID(int=8)): -1,
    }  # fmt: skip


def test_seats_given_up_by_one_are_there_for_another_of_the_same_allotment() -> None:
    both = allotted(1, 0, A, B)
    deltas = bound({A: -2, B: 2}, both, pools=(pool(1, 4, A, rests_on=1),))
    assert deltas == {Place(A, both.id): -2, Place(B, both.id): 2}


@given(st.lists(st.integers(-2, 4), max_size=4), st.integers(1, 12))
def test_nothing_is_lost_and_no_room_overdrawn(rooms: list[int], wanted: int) -> None:
    allotments = [allotted(n, room) for n, room in enumerate(rooms, 1)]
    outcome = bind_seats(RUN, {A: wanted, None: 3}, [], allotments)
    if isinstance(outcome, Denied):
        assert sum(max(0, room) for room in rooms) < wanted
        return
    assert outcome.deltas[FOR_ALL] == 3
    assert sum(outcome.deltas.values()) == wanted + 3
    assert all(each.room >= min(0, before) for each, before in zip(outcome.allotted, rooms, strict=True))
    assert sum(rooms) - sum(each.room for each in outcome.allotted) == wanted


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.lists(st.integers(-2, 4), max_size=3))
def test_what_is_stranded_goes_on_whole(free: list[int], rooms: list[int]) -> None:
    stranded = [pool(n, seats + 1, A, taken=1, rests_on=n, in_force=False) for n, seats in enumerate(free, 1)]
    moved = settle(RUN, stranded, [allotted(n, room) for n, room in enumerate(rooms, 90)])
    assert sum(moved.deltas.values()) == sum(free)
    again = sum(seats for place, seats in moved.deltas.items() if place != FOR_ALL)
    assert again == min(sum(free), sum(max(0, room) for room in rooms))


# --- who gets a seat of them ----------------------------------------------------------------------------------------


def test_own_seats_come_first_then_shared_then_general_ones() -> None:
    everybody, shared, own = pool(1, 9), pool(2, 9, A, B, rests_on=1), pool(3, 9, A, rests_on=2)
    assert choose_pool([everybody, shared, own], A) == own
    assert choose_pool([everybody, shared, replace(own, held=9)], A) == shared
    assert choose_pool([everybody, shared, own], B) == shared
    assert choose_pool([everybody, shared, own], C) == everybody


def test_nobody_gets_a_seat_of_a_decision_that_is_over() -> None:
    over, everybody = pool(1, 4, A, rests_on=1, in_force=False), pool(2, 1)
    outcome = request_seat(COURSE, [over, everybody], municipality=A, now=NOON)
    assert isinstance(outcome, Held)
    assert outcome.pool == everybody
    assert offer_free_seats(COURSE, [over], [waits(1, over.id)], NOON) == []


def waits(number: int, pool_id: UUID, town: str = A, *, line_no: int = 1) -> InLine:
    since = NOON + timedelta(minutes=number)
    return InLine(UUID(int=number), pool_id, town, line_no, since, NOON + timedelta(days=9))


def test_who_waits_since_the_old_decision_is_not_overtaken_under_the_new_one() -> None:
    over, new = pool(1, 1, A, taken=1, rests_on=1, in_force=False), pool(2, 2, A, rests_on=2)
    earlier, later, last = waits(1, over.id), waits(3, over.id, line_no=2), waits(2, new.id)
    offered = offer_free_seats(COURSE, [over, new], [last, later, earlier], NOON + timedelta(hours=1))
    assert [each.place for each in offered if isinstance(each, Promoted)] == [earlier, last]
