"""Where a case may go: reasons, order, and that nobody is left out for being difficult."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.cases import Need, Topic
from services.referral.api.reasons import reason_answer
from services.referral.api.words import WORDS_JA
from services.referral.domain import routing as domain
from services.referral.domain.options import Capacity, CourseRun, Option, Pool, Programme, Stage, covers
from services.referral.domain.routing import Case, Excluded, Ranked, Reason, Routing
from services.referral.domain.routing_rules import FIRST, Exclusion, Fact, RuleSet, Weights
from services.referral.domain.told import Reading

NOW = datetime(2026, 4, 1, 3, tzinfo=UTC)
KAGOSHIMA, KIRISHIMA, ZAMA = "462012", "462187", "142166"
NEEDS = ["health", "isolation", "housing", "people", "goals_and_outlook", "education_and_skills"]
CASE = Case(case_id=UUID(int=1), municipality=KAGOSHIMA, holder="desk", needs=frozenset({"people"}))
DROP_IN = Programme(
    id=UUID(int=10),
    agency_id="npo",
    name="居場所",
    function="drop_in_space",
    stage=Stage.DROP_IN,
    municipalities=frozenset({KAGOSHIMA}),
    needs=frozenset({"people"}),
    capacity=Capacity.HAS_ROOM,
    capacity_confirmed_on=date(2026, 4, 1),
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


def route(
    case: Case, options: Iterable[Option], now: datetime = NOW, rules: RuleSet = FIRST, **changes: Any
) -> Routing:
    """As asked on that day."""
    return domain.route(case, options, rules, now=now, today=(now + timedelta(hours=9)).date(), **changes)


def ids(routing: Routing) -> list[UUID]:
    return [ranked.option.id for ranked in routing.items]


def codes(routing: Routing) -> dict[UUID, set[str]]:
    placed: list[Ranked | Excluded] = [*routing.items, *routing.excluded]
    return {entry.option.id: {reason.code for reason in entry.reasons} for entry in placed}


def pool(*, own: bool, free: int, waiting: int = 0) -> Pool:
    return Pool(KAGOSHIMA if own else None, free, 0, 0, waiting)


def test_without_any_option_the_opener_stays_the_coordinator() -> None:
    routing = route(CASE, [], NOW)

    assert (routing.need_unmet, routing.coordinator, routing.unmet_needs) == (True, "desk", ("people",))


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
    shown = reason_answer(Reason("answers_needs", about=("nothing_to_eat", "people")), Reading(whole=True))
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


def test_only_an_urgent_case_is_told_that_there_is_room_at_once() -> None:
    full = replace(DROP_IN, capacity=Capacity.FULL)
    assert "urgent_and_room" not in reasons(route(CASE, [DROP_IN]))
    assert reasons(route(replace(CASE, urgent=True), [DROP_IN]))["urgent_and_room"].weight == 4
    assert "urgent_and_room" not in reasons(route(replace(CASE, urgent=True), [full]))


def test_a_pool_that_was_cut_after_seats_were_given_takes_none_from_another() -> None:
    cut, free = Pool(KAGOSHIMA, 1, 3, 0, 0), pool(own=True, free=1)
    assert reasons(route(CASE, [replace(COURSE, pools=(cut, free))]), COURSE)["own_pool_free"].count == 1


def test_who_waits_for_another_towns_seats_does_not_stand_in_this_line() -> None:
    elsewhere = Pool(KIRISHIMA, 0, 0, 0, 7)
    found = route(CASE, [replace(COURSE, pools=(elsewhere, pool(own=False, free=0, waiting=2)))])
    assert reasons(found, COURSE)["seat_waiting_line"].count == 2


def test_once_needs_are_recorded_the_topics_speak_no_longer() -> None:
    case = replace(CASE, topics=frozenset({"housing", "debt"}))
    assert case.asked.wanted == CASE.needs
    assert route(case, [DROP_IN]).unmet_needs == ()


def test_who_answers_more_of_the_needs_comes_first() -> None:
    case = replace(CASE, needs=frozenset({"people", "housing"}))
    both = replace(DROP_IN, id=UUID(int=99), needs=case.needs)

    routing = route(case, [DROP_IN, both])
    assert ids(routing) == [both.id, DROP_IN.id]
    assert [reasons(routing, each)["answers_needs"].weight for each in (both, DROP_IN)] == [20, 10]


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
    strand=st.integers(1, 6),
    for_whom=st.frozensets(st.sampled_from(["youth", "withdrawal", "any"])),
    conditions=st.frozensets(st.sampled_from(["living_alone"])),
    legal_basis=st.sampled_from([None, "self_reliance_act_3"]),
    starts_on=st.sampled_from([None, date(2026, 3, 1), date(2026, 5, 1)]),
    ends_on=st.sampled_from([None, date(2026, 3, 31), date(2026, 4, 1)]),
    capacity_total=st.none() | st.integers(0, 9),
    capacity_confirmed_on=st.sampled_from([None, date(2026, 3, 30), date(2026, 1, 1)]),
    confirmed_on=st.sampled_from([None, date(2026, 3, 30), date(2025, 1, 1)]),
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
    holder=st.just("desk"),
    topics=st.frozensets(st.sampled_from(NEEDS)),
    needs=st.frozensets(st.sampled_from(NEEDS)),
    urgent=st.booleans(),
    levels=levels,
    stage=st.none() | st.sampled_from(Stage),
    neighbours=st.frozensets(st.sampled_from([KIRISHIMA, ZAMA])),
    served_needs=st.frozensets(st.sampled_from(NEEDS), max_size=1),
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
    assert [ranked.score for ranked in routing.items] == sorted((each.score for each in routing.items), reverse=True)
    assert all(ranked.score == sum(each.weight for each in ranked.reasons) for ranked in routing.items)


@given(cases, options, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_options_arrive(
    case: Case, offered: list[Programme | CourseRun], chance: Random
) -> None:
    shuffled = list(offered)
    chance.shuffle(shuffled)

    assert route(case, shuffled, NOW) == route(case, offered, NOW)


# --- the ladder, eligibility, room and consent ------------------------------------------------------------------------


def reasons(routing: Routing, option: Option = DROP_IN) -> dict[str, Reason]:
    placed: list[Ranked | Excluded] = [*routing.items, *routing.excluded]
    return {reason.code: reason for entry in placed if entry.option.id == option.id for reason in entry.reasons}


@pytest.mark.parametrize(
    ("stands", "offered", "code", "count"),
    [
        (None, Stage.OUTREACH, None, None),
        (None, Stage.DROP_IN, "next_rung", None),
        (None, Stage.JOB, "rungs_skipped", 4),
        (Stage.DROP_IN, Stage.DROP_IN, "same_rung", None),
        (Stage.DROP_IN, Stage.WORK_READINESS, "next_rung", None),
        (Stage.DROP_IN, Stage.VOCATIONAL_TRAINING, "rungs_skipped", 2),
        (Stage.JOB, Stage.WORK_READINESS, "rungs_down", 3),
        (Stage.JOB, Stage.RETENTION, "next_rung", None),
    ],
)
def test_up_down_beside_and_skipping_are_remarked_and_never_barred(
    stands: Stage | None, offered: Stage, code: str | None, count: int | None
) -> None:
    option = replace(DROP_IN, stage=offered)
    found = route(replace(CASE, stage=stands), [option])

    assert ids(found) == [option.id]
    told = {name: reason.count for name, reason in reasons(found).items() if "rung" in name}
    assert told == ({} if code is None else {code: count})


def test_a_region_may_weigh_the_next_rung_and_what_is_skipped() -> None:
    weighed = replace(FIRST, weights=Weights(next_rung=2, rung_skipped=-1))
    near, far = replace(DROP_IN, id=UUID(int=99)), replace(DROP_IN, id=UUID(int=1), stage=Stage.JOB)

    strong = replace(far, needs=frozenset({"people"}), capacity=Capacity.HAS_ROOM)
    early = replace(near, capacity=Capacity.ASK_FIRST)
    assert ids(route(CASE, [early, strong])) == [strong.id, early.id]
    assert ids(route(CASE, [early, strong], rules=weighed)) == [early.id, strong.id]
    found = route(CASE, [near, far], rules=weighed)
    assert (reasons(found, near)["next_rung"].weight, reasons(found, far)["rungs_skipped"].weight) == (2, -4)


@pytest.mark.parametrize(
    ("stands", "in_order"),
    [
        (None, ["drop_in", "outreach", "work_readiness", "work_training", "job"]),
        (Stage.WORK_READINESS, ["work_training", "work_readiness", "drop_in", "job", "outreach"]),
        (Stage.JOB, ["job", "work_training", "work_readiness", "drop_in", "outreach"]),
    ],
)
def test_of_equal_points_what_is_nearest_to_the_next_rung_comes_first(
    stands: Stage | None, in_order: list[str]
) -> None:
    stages = [Stage.JOB, Stage.OUTREACH, Stage.WORK_TRAINING, Stage.DROP_IN, Stage.WORK_READINESS]
    offered = [replace(DROP_IN, id=UUID(int=number), stage=stage) for number, stage in enumerate(stages, 1)]
    found = route(replace(CASE, stage=stands), offered)

    assert len({each.score for each in found.items}) == 1
    assert [each.stage for each in found.items] == in_order
    assert ids(route(replace(CASE, stage=stands), offered, reckoned=1)) == [each.id for each in offered], "as it was"


def test_a_neighbours_programme_comes_after_ones_own_and_only_where_the_rules_let_it() -> None:
    next_door = replace(DROP_IN, id=UUID(int=1), municipalities=frozenset({KIRISHIMA}))
    case = replace(CASE, neighbours=frozenset({KIRISHIMA}))

    assert ids(route(case, [next_door, DROP_IN])) == [DROP_IN.id, next_door.id]
    assert "neighbour_municipality" in reasons(route(case, [next_door]), next_door)
    assert "serves_municipality" not in reasons(route(case, [next_door]), next_door)
    for found in (route(CASE, [next_door]), route(case, [next_door], rules=replace(FIRST, neighbours=False))):
        assert found.items == ()
        assert "other_municipality" in reasons(found, next_door)


@pytest.mark.parametrize(
    ("lacks", "code"),
    [
        ("not_given", "consent_needed"),
        ("not_yet_valid", "consent_not_yet_valid"),
        ("expired", "consent_expired"),
        ("other_purpose", "consent_other_purpose"),
        ("not_named", "consent_not_named"),
    ],
)
def test_who_may_not_be_told_yet_is_shown_with_the_reason_and_not_hidden(lacks: str, code: str) -> None:
    found = route(CASE, [DROP_IN], lacking=lambda *_: lacks)
    assert ids(found) == [DROP_IN.id]
    assert reasons(found)[code].weight == 0

    strict = replace(FIRST, exclusions=(Exclusion("told", Fact.CONSENT),))
    left_out = not ids(route(CASE, [DROP_IN], rules=strict, lacking=lambda *_: lacks))
    assert left_out == (lacks in {"other_purpose", "not_named"}), "no consent yet never leaves an option out"


def test_consent_is_asked_of_each_agency_and_for_a_course_as_a_course() -> None:
    asked: set[tuple[str, bool]] = set()
    route(replace(CASE, needs=frozenset()), [DROP_IN, COURSE], lacking=lambda *what: asked.add(what))
    assert asked == {("npo", False), ("school", True)}


TODAY = date(2026, 4, 1)


@pytest.mark.parametrize(
    ("rule", "option", "code"),
    [
        (Exclusion("x", Fact.PERIOD), replace(DROP_IN, ends_on=TODAY - timedelta(days=1)), "ended"),
        (Exclusion("x", Fact.PERIOD), replace(DROP_IN, ends_on=TODAY), None),
        (Exclusion("x", Fact.STAGE, values=frozenset({"drop_in"})), DROP_IN, "stage_left_out"),
        (Exclusion("x", Fact.STAGE, values=frozenset({"vocational_training"})), COURSE, "stage_left_out"),
        (Exclusion("x", Fact.STAGE, values=frozenset({"job"})), DROP_IN, None),
        (Exclusion("x", Fact.STRAND, values=frozenset({"4"})), DROP_IN, "strand_left_out"),
        (Exclusion("x", Fact.STRAND, values=frozenset({"5"})), DROP_IN, None),
        (Exclusion("x", Fact.FUNCTION, values=frozenset({"drop_in_space"})), DROP_IN, "function_left_out"),
        (Exclusion("x", Fact.CAPACITY), replace(DROP_IN, capacity=Capacity.FULL), "full"),
        (Exclusion("x", Fact.CAPACITY), replace(DROP_IN, capacity=Capacity.UNKNOWN), None),
        (
            Exclusion("x", Fact.FOR_WHOM, values=frozenset({"withdrawal"})),
            replace(DROP_IN, for_whom=frozenset({"withdrawal"})),
            "not_for_whom",
        ),
        (
            Exclusion("x", Fact.FOR_WHOM, values=frozenset({"withdrawal"})),
            replace(DROP_IN, for_whom=frozenset({"withdrawal", "youth"})),
            None,
        ),
        (Exclusion("x", Fact.FOR_WHOM, values=frozenset({"withdrawal"})), DROP_IN, None),
        (Exclusion("x", Fact.NEEDS), replace(DROP_IN, needs=frozenset({"housing"})), "answers_no_need"),
    ],
)
def test_an_exclusion_leaves_out_what_it_names_while_it_is_on(
    rule: Exclusion, option: Option, code: str | None
) -> None:
    found = route(CASE, [option], rules=replace(FIRST, exclusions=(rule,)))
    off = route(CASE, [option], rules=replace(FIRST, exclusions=(replace(rule, on=False),)))

    assert [(each.code, each.rule) for entry in found.excluded for each in entry.reasons] == (
        [] if code is None else [(code, "x")]
    )
    assert ids(off) == [option.id]


def test_somebody_who_belongs_to_the_group_is_not_left_out() -> None:
    rules = replace(FIRST, exclusions=(Exclusion("x", Fact.FOR_WHOM, values=frozenset({"withdrawal"})),))
    option = replace(DROP_IN, for_whom=frozenset({"withdrawal"}))
    case = replace(CASE, topics=frozenset({"withdrawal"}))

    assert ids(route(case, [option], rules=rules)) == [option.id]
    assert "ask_whether_eligible" not in reasons(route(case, [option]))


def test_what_only_the_person_can_say_is_a_remark() -> None:
    option = replace(
        DROP_IN,
        for_whom=frozenset({"youth"}),
        conditions=frozenset({"living_alone"}),
        starts_on=TODAY + timedelta(days=9),
        confirmed_on=TODAY - timedelta(days=181),
    )
    found = reasons(route(CASE, [option]))

    assert found["ask_whether_eligible"].about == ("youth",)
    assert found["has_conditions"].about == ("living_alone",)
    assert found["begins_later"].about == ("2026-04-10",)
    assert found["stale_entry"].count == 180
    fresh = replace(option, confirmed_on=TODAY - timedelta(days=179), starts_on=TODAY, for_whom=frozenset({"any"}))
    assert not {"stale_entry", "begins_later", "ask_whether_eligible"} & reasons(route(CASE, [fresh])).keys()


def test_room_that_nobody_confirmed_for_thirty_days_is_not_known() -> None:
    told = replace(DROP_IN, capacity_confirmed_on=TODAY - timedelta(days=29))
    assert "has_room" in reasons(route(CASE, [told]))
    old = replace(DROP_IN, capacity_confirmed_on=TODAY - timedelta(days=30))
    assert "capacity_unknown" in reasons(route(CASE, [old]))


def test_without_a_candidate_the_municipalitys_coordinator_holds_it() -> None:
    case = replace(CASE, coordinator="council")
    assert route(case, []).coordinator == "council"
    assert route(case, [DROP_IN]).coordinator == "desk", "until somebody accepts"


def test_a_need_that_somebody_serves_already_is_not_unmet() -> None:
    case = replace(CASE, needs=frozenset({"housing", "health"}), served_needs=frozenset({"health"}))
    assert route(case, []).unmet_needs == ("housing",)


def test_what_serves_the_person_already_says_so_and_stays() -> None:
    found = route(replace(CASE, taken_targets=frozenset({DROP_IN.id})), [DROP_IN])
    assert "there_already" in reasons(found)
    assert ids(found) == [DROP_IN.id]


exclusions = st.lists(
    st.one_of(
        st.builds(Exclusion, st.just("a"), st.sampled_from([Fact.NEEDS, Fact.PERIOD, Fact.CAPACITY, Fact.CONSENT])),
        st.builds(
            Exclusion,
            st.just("b"),
            st.just(Fact.STAGE),
            values=st.frozensets(st.sampled_from([stage.value for stage in Stage]), min_size=1, max_size=3),
        ),
        st.just(Exclusion("c", Fact.FOR_WHOM, values=frozenset({"withdrawal"}))),
    ),
    max_size=4,
).map(tuple)
weight = st.integers(-100, 100)
rule_sets = st.builds(
    RuleSet,
    version=st.just(2),
    effective_from=st.just(TODAY),
    weights=st.builds(Weights, **dict.fromkeys(Weights.__slots__, weight)),
    early=st.dictionaries(st.sampled_from(Stage), st.integers(0, 100)),
    neighbours=st.booleans(),
    exclusions=exclusions,
)


@given(cases, options, rule_sets, levels, st.sampled_from([None, "true", "false", "undetermined"]))
def test_under_no_rules_do_levels_or_the_flag_exclude_or_lower_anything(
    case: Case, offered: list[Option], rules: RuleSet, others: dict[str, int], flag: str | None
) -> None:
    plain = route(replace(case, levels=None, prolongation_risk=None), offered, rules=rules)
    rated = route(replace(case, levels=others, prolongation_risk=flag), offered, rules=rules)
    before = {ranked.option.id: ranked.score for ranked in plain.items}

    assert set(ids(rated)) == set(before)
    assert all(ranked.score >= before[ranked.option.id] for ranked in rated.items)
    assert rated.excluded == plain.excluded
    assert rated.unmet_needs == plain.unmet_needs
    flagged = route(replace(case, levels=others, prolongation_risk="true"), offered, rules=rules)
    assert ids(flagged) == ids(rated)


def test_no_rule_can_be_made_that_lowers_a_place_for_a_low_level() -> None:
    with pytest.raises(ValueError, match="lowers no place"):
        replace(FIRST, early={Stage.JOB: -1})
    assert {"levels", "prolongation_risk"}.isdisjoint(domain.Asked.__slots__), "what exclusions see of a case"
    assert {fact.value for fact in Fact} == {
        "needs", "period", "stage", "strand", "function", "for_whom", "capacity", "consent",
    }  # fmt: skip
