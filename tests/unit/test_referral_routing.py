"""Where a case may go: reasons, order, and that nobody is left out for being difficult."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.cases import Need, Topic
from services.referral.api.candidates import _reason
from services.referral.api.words import WORDS_JA
from services.referral.domain.routing import (
    Capacity,
    Case,
    CourseRun,
    Excluded,
    Pool,
    Programme,
    Ranked,
    Reason,
    Routing,
    Stage,
    covers,
    route,
)

NOW = datetime(2026, 4, 1, 3, tzinfo=UTC)
KAGOSHIMA, KIRISHIMA, ZAMA = "462012", "462187", "142166"
NEEDS = ["health", "isolation", "housing", "with_people", "goals_and_outlook", "education_and_skills"]
CASE = Case(case_id=UUID(int=1), municipality=KAGOSHIMA, opened_by="desk", needs=frozenset({"with_people"}))
DROP_IN = Programme(
    id=UUID(int=10),
    agency_id="npo",
    name="居場所",
    function="drop_in_space",
    stage=Stage.DROP_IN,
    municipalities=frozenset({KAGOSHIMA}),
    needs=frozenset({"with_people"}),
    capacity=Capacity.HAS_ROOM,
)
COURSE = CourseRun(
    id=UUID(int=20),
    number="5-46-12-001",
    provider="school",
    field="care",
    system="job_seeker_practical",
    municipality=KAGOSHIMA,
    starts_on=date(2026, 5, 1),
    ends_on=date(2026, 7, 31),
    applications_close_at=NOW,
)


def ids(routing: Routing) -> list[UUID]:
    return [ranked.option.id for ranked in routing.items]


def codes(routing: Routing) -> dict[UUID, set[str]]:
    placed: list[Ranked | Excluded] = [*routing.items, *routing.excluded]
    return {entry.option.id: {reason.code for reason in entry.reasons} for entry in placed}


def pool(*, own: bool, free: int, waiting: int = 0) -> Pool:
    return Pool(KAGOSHIMA if own else None, free, 0, 0, waiting)


def test_without_any_option_the_opener_stays_the_coordinator() -> None:
    routing = route(CASE, [], NOW)

    assert (routing.need_unmet, routing.coordinator, routing.unmet_needs) == (True, "desk", ("with_people",))


def test_a_case_with_nothing_on_record_still_has_candidates() -> None:
    routing = route(replace(CASE, needs=frozenset()), [DROP_IN, COURSE], NOW)

    assert set(ids(routing)) == {DROP_IN.id, COURSE.id}


def test_until_needs_are_recorded_the_topics_speak() -> None:
    case = replace(CASE, needs=frozenset(), topics=frozenset({"health"}))

    assert "answers_needs" in codes(route(case, [replace(DROP_IN, needs=frozenset({"health"}))], NOW))[DROP_IN.id]


@pytest.mark.parametrize("topic", ["violence", "debt", "nothing_to_eat", "care", "withdrawal", "housing"])
def test_a_course_answers_no_topic_that_is_the_counters_own(topic: str) -> None:
    case = replace(CASE, needs=frozenset(), topics=frozenset({topic, "job_search"}))
    routing = route(case, [COURSE], NOW)

    assert [reason.about for reason in routing.items[0].reasons if reason.code == "answers_needs"] == [("job_search",)]
    assert routing.unmet_needs == (topic,)
    alone = route(replace(case, topics=frozenset({topic})), [COURSE], NOW)
    assert (alone.items, alone.need_unmet) == ((), True)


def test_a_topic_that_says_nothing_is_as_none() -> None:
    routing = route(replace(CASE, needs=frozenset(), topics=frozenset({"other"})), [COURSE], NOW)

    assert "needs_not_recorded" in codes(routing)[COURSE.id]


def test_reasons_name_needs_in_the_readers_language() -> None:
    assert WORDS_JA.keys() == {code.value for code in (*Topic, *Need)}
    shown = _reason(Reason("answers_needs", about=("nothing_to_eat", "people")))
    assert shown.text_ja == "記録された課題に応えます(食べるものがない、人との習慣と力)"
    assert shown.text_en == "Answers needs on record (nothing to eat, people)"


@pytest.mark.parametrize(
    ("option", "case", "code"),
    [
        (replace(DROP_IN, municipalities=frozenset({ZAMA})), CASE, "other_municipality"),
        (replace(COURSE, applications_close_at=NOW - timedelta(seconds=1)), CASE, "deadline_passed"),
        (DROP_IN, replace(CASE, open_targets=frozenset({DROP_IN.id})), "already_referred"),
        (replace(DROP_IN, needs=frozenset({"housing"})), CASE, "answers_no_need"),
        (COURSE, replace(CASE, needs=frozenset({"housing"})), "answers_no_need"),
    ],
)
def test_what_is_left_out_says_why(option: Programme | CourseRun, case: Case, code: str) -> None:
    routing = route(case, [option], NOW)

    assert routing.items == ()
    assert code in codes(routing)[option.id]


def test_a_deadline_includes_its_own_moment() -> None:
    assert ids(route(CASE, [COURSE], NOW)) == [COURSE.id]


def test_a_need_nobody_here_has_heard_of_does_not_shut_out_courses() -> None:
    assert ids(route(replace(CASE, needs=frozenset({"code_of_next_year"})), [COURSE], NOW)) == [COURSE.id]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (Capacity.HAS_ROOM, Capacity.ASK_FIRST),
        (Capacity.ASK_FIRST, Capacity.WAITING_LIST),
        (Capacity.WAITING_LIST, Capacity.UNKNOWN),
        (Capacity.UNKNOWN, Capacity.FULL),
    ],
)
def test_room_that_is_known_comes_first_and_a_full_programme_stays(better: Capacity, worse: Capacity) -> None:
    first = replace(DROP_IN, id=UUID(int=99), capacity=better)
    second = replace(DROP_IN, id=UUID(int=1), capacity=worse)

    assert ids(route(CASE, [second, first], NOW)) == [first.id, second.id]


def test_a_free_seat_of_the_own_pool_comes_before_the_general_pool_and_that_before_the_line() -> None:
    own = replace(COURSE, id=UUID(int=30), pools=(pool(own=True, free=1), pool(own=False, free=0)))
    general = replace(COURSE, id=UUID(int=20), pools=(pool(own=True, free=0), pool(own=False, free=9)))
    line = replace(COURSE, id=UUID(int=10), pools=(pool(own=False, free=0, waiting=3),))

    assert ids(route(CASE, [line, general, own], NOW)) == [own.id, general.id, line.id]


def test_another_towns_delegated_seats_are_not_counted() -> None:
    elsewhere = Pool(KIRISHIMA, 5, 0, 0, 0)

    assert "seat_waiting_line" in codes(route(CASE, [replace(COURSE, pools=(elsewhere,))], NOW))[COURSE.id]


def test_a_low_level_suggests_earlier_rungs_first() -> None:
    early = replace(DROP_IN, id=UUID(int=99), capacity=Capacity.UNKNOWN)
    late = replace(DROP_IN, id=UUID(int=1), stage=Stage.JOB)

    assert ids(route(CASE, [early, late], NOW)) == [late.id, early.id]
    assert ids(route(replace(CASE, levels={"stress": 2, "mental": 4}), [early, late], NOW)) == [early.id, late.id]


def test_an_agency_that_gave_the_case_back_comes_later_but_stays() -> None:
    other = replace(DROP_IN, id=UUID(int=99))

    routing = route(replace(CASE, declined_targets=frozenset({DROP_IN.id})), [DROP_IN, other], NOW)

    assert ids(routing) == [other.id, DROP_IN.id]


def test_a_prefectures_code_covers_its_towns() -> None:
    assert covers({"460001"}, KAGOSHIMA)
    assert not covers({"460001"}, ZAMA)
    assert not covers({KIRISHIMA}, KAGOSHIMA)


programmes = st.builds(
    Programme,
    id=st.uuids(),
    agency_id=st.just("npo"),
    name=st.just("事業"),
    function=st.just("any"),
    stage=st.sampled_from(Stage),
    municipalities=st.frozensets(st.sampled_from([KAGOSHIMA, KIRISHIMA, ZAMA, "460001"]), max_size=3),
    needs=st.frozensets(st.sampled_from(NEEDS)),
    capacity=st.sampled_from(Capacity),
)
pools = st.builds(
    Pool,
    municipality=st.sampled_from([None, KAGOSHIMA, ZAMA]),
    granted=st.integers(0, 5),
    held=st.integers(0, 5),
    filled=st.integers(0, 5),
    waiting=st.integers(0, 5),
)
courses = st.builds(
    replace,
    st.just(COURSE),
    id=st.uuids(),
    municipality=st.sampled_from([KAGOSHIMA, KIRISHIMA]),
    applications_close_at=st.sampled_from([NOW - timedelta(days=1), NOW, NOW + timedelta(days=9)]),
    pools=st.lists(pools, max_size=3).map(tuple),
)
options = st.lists(st.one_of(programmes, courses), max_size=8, unique_by=lambda option: option.id)
levels = st.dictionaries(
    st.sampled_from(["interpersonal", "mental", "stress", "thinking", "environment"]), st.integers(1, 5)
)
cases = st.builds(
    Case,
    case_id=st.uuids(),
    municipality=st.just(KAGOSHIMA),
    opened_by=st.just("desk"),
    topics=st.frozensets(st.sampled_from(NEEDS)),
    needs=st.frozensets(st.sampled_from(NEEDS)),
    urgent=st.booleans(),
    levels=levels,
)


@given(cases, options)
def test_the_prolongation_flag_never_excludes_and_never_lowers_a_place(
    case: Case, offered: list[Programme | CourseRun]
) -> None:
    unflagged = route(replace(case, prolongation_risk="false"), offered, NOW)
    flagged = route(replace(case, prolongation_risk="true"), offered, NOW)

    assert ids(flagged) == ids(unflagged)
    assert [ranked.score for ranked in flagged.items] == [ranked.score for ranked in unflagged.items]
    assert flagged.excluded == unflagged.excluded


@given(cases, options)
def test_low_levels_exclude_nothing_and_cost_nobody_a_point(case: Case, offered: list[Programme | CourseRun]) -> None:
    without = route(replace(case, levels=None), offered, NOW)
    rated = route(case, offered, NOW)
    before = {ranked.option.id: ranked.score for ranked in without.items}

    assert set(ids(rated)) == set(before)
    assert all(ranked.score >= before[ranked.option.id] for ranked in rated.items)
    assert rated.excluded == without.excluded


@given(cases, options)
def test_no_option_is_lost_and_somebody_always_holds_the_case(case: Case, offered: list[Programme | CourseRun]) -> None:
    routing = route(case, offered, NOW)
    left_out = [entry.option.id for entry in routing.excluded]

    assert sorted([*ids(routing), *left_out]) == sorted(option.id for option in offered)
    assert all(codes(routing).values())
    assert routing.need_unmet == (not routing.items)
    assert routing.coordinator == "desk"


@given(cases, options, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_options_arrive(
    case: Case, offered: list[Programme | CourseRun], chance: Random
) -> None:
    shuffled = list(offered)
    chance.shuffle(shuffled)

    assert route(case, shuffled, NOW) == route(case, offered, NOW)
