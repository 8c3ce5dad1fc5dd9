"""The directory in memory finds what looking at everything would find, and costs what is found."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.nearby import NAMED, SMALL, STILL_TOLD, Directory
from services.referral.domain.options import CourseRun, Option, Programme
from services.referral.domain.routing import Case
from services.referral.domain.routing_rules import FIRST, Exclusion, Fact, RuleSet
from tests.unit.test_referral_routing import (
    CASE,
    COURSE,
    DROP_IN,
    KAGOSHIMA,
    KIRISHIMA,
    NOW,
    ZAMA,
    cases,
    courses,
    ids,
    options,
    pool,
    programmes,
    route,
    rule_sets,
)


def directory_of(entries: Iterable[Option]) -> Directory:
    directory = Directory()
    for entry in entries:
        directory.put(entry)
    return directory


def looked_at(directory: Directory, case: Case, rules: RuleSet = FIRST) -> list[UUID]:
    return [option.id for option in directory.near(case.asked, rules, NOW).options]


def within_reach(course: CourseRun, case: Case) -> bool:
    own = any(each.municipality == case.municipality for each in course.pools)
    near = own or course.municipality[:2] == case.municipality[:2]
    return near and course.applications_close_at > NOW - STILL_TOLD


histories = st.lists(
    st.one_of(programmes, courses).map(lambda entry: replace(entry, id=UUID(int=entry.id.int % 12))), max_size=30
)


@given(histories, st.sets(st.integers(0, 11), max_size=4), cases, rule_sets, st.randoms(use_true_random=False))
def test_it_finds_what_looking_at_everything_finds(
    history: list[Option], gone: set[int], case: Case, rules: RuleSet, chance: Random
) -> None:
    directory = directory_of(history)
    for number in gone:
        directory.drop(UUID(int=number))
    newest = {entry.id: entry for entry in history if entry.id.int not in gone}
    everything = [e for e in newest.values() if isinstance(e, Programme) or within_reach(e, case)]
    near = directory.near(case.asked, rules, NOW)
    found, whole = (route(case, entries, rules=rules) for entries in (near.options, everything))

    assert found.items == whole.items
    assert found.unmet_needs == whole.unmet_needs
    assert set(found.excluded) <= set(whole.excluded)
    here = [e for e in everything if isinstance(e, CourseRun) or KAGOSHIMA[:2] in {c[:2] for c in e.municipalities}]
    of_neighbours = [e for e in near.options if e not in here]
    assert len(near.options) - len(of_neighbours) + near.beyond == len(here), "each is named or counted"
    shuffled = list(newest.values())
    chance.shuffle(shuffled)
    assert directory_of(shuffled).near(case.asked, rules, NOW) == near


@given(options, cases)
def test_where_little_is_there_everything_of_the_region_is_named(offered: list[Option], case: Case) -> None:
    assert directory_of(offered).near(case.asked, FIRST, NOW).beyond <= len(offered)


def test_what_answers_nothing_is_named_up_to_a_number_and_counted_beyond() -> None:
    others = [replace(DROP_IN, id=UUID(int=n), needs=frozenset({"housing"})) for n in range(100, 400)]
    near = directory_of([DROP_IN, *others]).near(CASE.asked, FIRST, NOW)

    assert len(near.options) == 1 + NAMED
    assert near.beyond == 300 - NAMED


@pytest.mark.parametrize(("courses", "named", "beyond"), [(50, SMALL, 0), (51, 1 + NAMED + 51, 149 - NAMED)])
def test_in_a_small_region_each_option_is_named(courses: int, named: int, beyond: int) -> None:
    nothing = [replace(DROP_IN, id=UUID(int=n), needs=frozenset({"housing"})) for n in range(100, 150)]
    elsewhere = [replace(nothing[0], id=UUID(int=n), municipalities=frozenset({KIRISHIMA})) for n in range(200, 299)]
    many = [replace(COURSE, id=UUID(int=500 + n)) for n in range(courses)]
    near = directory_of([DROP_IN, *nothing, *elsewhere, *many]).near(CASE.asked, FIRST, NOW)

    assert (len(near.options), near.beyond) == (named, beyond)


def test_where_the_rules_ask_for_no_need_everything_of_the_town_is_looked_at() -> None:
    others = [replace(DROP_IN, id=UUID(int=n), needs=frozenset({"housing"})) for n in range(100, 200)]
    off = replace(FIRST, exclusions=(Exclusion("answers_no_need", Fact.NEEDS, on=False),))
    near = directory_of([DROP_IN, *others]).near(CASE.asked, off, NOW)

    assert (len(near.options), near.beyond) == (101, 0)
    assert len(ids(route(CASE, near.options, rules=off))) == 101


def test_the_same_help_in_another_town_is_named() -> None:
    there = replace(DROP_IN, municipalities=frozenset({KIRISHIMA}))
    found = route(CASE, directory_of([there]).near(CASE.asked, FIRST, NOW).options)

    assert [reason.code for entry in found.excluded for reason in entry.reasons] == ["other_municipality"]


def test_an_open_referral_is_named_whatever_the_needs_are_now() -> None:
    crowd = [replace(DROP_IN, id=UUID(int=n), needs=frozenset({"housing"})) for n in range(100)]
    far = replace(crowd[-1], municipalities=frozenset({ZAMA}), id=UUID(int=999))
    case = replace(CASE, open_targets=frozenset({crowd[-1].id, far.id, UUID(int=12345)}))

    assert {crowd[-1].id, far.id} <= set(looked_at(directory_of([*crowd, far]), case))


def test_a_prefectures_own_code_covers_the_town_and_its_neighbours_prefecture_too() -> None:
    whole = replace(DROP_IN, municipalities=frozenset({"140007"}))
    case = replace(CASE, neighbours=frozenset({ZAMA}))

    assert looked_at(directory_of([whole]), case) == [whole.id]
    assert looked_at(directory_of([whole]), CASE) == []


def test_courses_are_found_by_prefecture_or_by_ones_own_seats_until_a_fortnight_after_their_deadline() -> None:
    far = replace(COURSE, id=UUID(int=30), municipality=ZAMA, pools=(pool(own=True, free=1),))
    stranger = replace(far, id=UUID(int=31), pools=())
    just_missed = replace(COURSE, id=UUID(int=32), applications_close_at=NOW - timedelta(days=13))
    history = replace(just_missed, id=UUID(int=33), applications_close_at=NOW - STILL_TOLD)
    found = looked_at(directory_of([COURSE, far, stranger, just_missed, history]), CASE)

    assert found == [COURSE.id, far.id, just_missed.id]


def test_where_courses_answer_nothing_the_latest_few_are_named() -> None:
    many = [replace(COURSE, id=UUID(int=n), applications_close_at=NOW + timedelta(hours=n)) for n in range(300)]
    case = replace(CASE, needs=frozenset({"housing"}))
    near = directory_of(many).near(case.asked, FIRST, NOW)

    assert [option.id.int for option in near.options] == list(range(280, 300))
    assert near.beyond == 280
    assert len(directory_of(many).near(CASE.asked, FIRST, NOW).options) == 300


def test_looking_touches_what_is_found_and_not_what_there_is() -> None:
    class Counted(dict):  # type: ignore[type-arg]
        asked = 0

        def __getitem__(self, key: object) -> object:
            Counted.asked += 1
            return super().__getitem__(key)

    mine = [replace(DROP_IN, id=UUID(int=n)) for n in range(5)]
    for crowd in (300, 5_000):
        others = [replace(DROP_IN, id=UUID(int=100 + n), needs=frozenset({"housing"})) for n in range(crowd)]
        directory = directory_of([*mine, *others])
        directory.options = Counted(directory.options)
        Counted.asked = 0
        assert len(ids(route(CASE, directory.near(CASE.asked, FIRST, NOW).options))) == 5
        assert Counted.asked == 5 + NAMED
