"""Trial places as plain values: the ladder, what differs from a course, and what is offered instead."""

import ast
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.domain import instruction, papers, quota, steps
from services.training.domain.alternatives import Candidate, Seeker, Unsuited, Why, WhyNot, find_alternatives, judge
from services.training.domain.instruction import RESTS_ON, Act, Basis, Kind, act_at
from services.training.domain.offers import CourseOffer, Denied, Granted, offer_course_run
from services.training.domain.papers import NO_PAPER
from services.training.domain.quota import GENERAL, Ask, Course, Held, Pool, Reason, Refused
from services.training.domain.steps import Authority, Illegal, Move, Moved, SeatRequest, State
from services.training.domain.trial import TRIAL, Skip, Step, next_step, offered_instead, skips, step_of

DOMAIN = Path(__file__).resolve().parents[2] / "services" / "training" / "domain"
NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
KAGOSHIMA, KIRISHIMA = "462012", "462187"
HOST, ANOTHER = UUID(int=71), UUID(int=72)


def a_place(step: Step | None = Step.VISIT, number: int = 1, **more: object) -> Course:
    course = Course(UUID(int=number), "npo-keeper", NOW + timedelta(days=20), timedelta(days=3), date(2027, 4, 1))
    return replace(course, step=step, **more)  # type: ignore[arg-type]


POOL = Pool(UUID(int=11), GENERAL, (), 2, 0, 0, 0)


# --- the ladder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "completed", "skipped"),
    [
        (Step.VISIT, [], False),
        (Step.HALF_DAY, [], True),
        (Step.HALF_DAY, [Step.VISIT], False),
        (Step.WEEK, [Step.VISIT], True),
        (Step.JOB, [Step.PAID_TRIAL], False),
        (Step.VISIT, [Step.WEEK], False),
        (Step.WEEK, [Step.WEEK], False),
    ],
)
def test_a_person_goes_up_one_step_at_a_time_and_may_go_down_or_stay(
    step: Step, completed: list[Step], skipped: bool
) -> None:
    assert skips(step, completed) is skipped


@given(st.sampled_from(Step))
def test_whoever_completed_a_step_may_have_the_next_and_not_the_one_after(step: Step) -> None:
    following = next_step(step)
    if following is None:
        assert step is Step.JOB
        return
    assert not skips(following, [step])
    assert next_step(following) is None or skips(next_step(following) or step, [step])


def test_the_same_step_does_instead_and_the_one_below_it() -> None:
    assert offered_instead(Step.WEEK) == (Step.WEEK, Step.HALF_DAY)
    assert offered_instead(Step.VISIT) == (Step.VISIT,)


def test_of_a_trial_place_the_field_is_the_step_and_a_course_has_none() -> None:
    assert step_of(TRIAL, "week") is Step.WEEK
    assert step_of("job_seeker_practical", "it") is None


# --- who gets a place -----------------------------------------------------------------------------------------------


def test_who_skips_a_step_is_refused_unless_somebody_says_why() -> None:
    ahead, sound, allowed = UUID(int=1), UUID(int=2), UUID(int=3)
    asks = [Ask(ahead, KAGOSHIMA), Ask(sound, KAGOSHIMA), Ask(allowed, KAGOSHIMA, may_skip=True)]
    skipping = {ahead, allowed}
    found = quota.request_seats(a_place(Step.WEEK), [POOL], asks, cases=(), referrals=(), now=NOW, skipping=skipping)
    assert found[0] == Refused(Reason.STEP_SKIPPED)
    assert [type(each) for each in found[1:]] == [Held, Held], "and nobody's place went with the refusal"


# --- from held to there ---------------------------------------------------------------------------------------------


def a_request(state: State, expires_at: datetime | None = None) -> SeatRequest:
    return SeatRequest(UUID(int=5), UUID(int=1), POOL.id, UUID(int=9), KAGOSHIMA, None, state, expires_at, 1)


@pytest.mark.parametrize("authority", Authority)
def test_between_the_nomination_and_coming_there_is_no_paper_in_either_mode(authority: Authority) -> None:
    assert steps.legal_moves(State.HELD, authority, is_trial=True) == (Move.NOMINATE, Move.RELEASE)
    assert steps.legal_moves(State.NOMINATED, authority, is_trial=True) == (Move.ENROL, Move.RELEASE)
    assert steps.legal_moves(State.NOMINATED, authority) != (Move.ENROL, Move.RELEASE)
    for paper in Kind:
        issuer = instruction.issuer_of(paper, authority)
        outcome = papers.issue(
            a_request(State.NOMINATED), paper, authority=authority, as_={issuer}, now=NOW, is_trial=True
        )
        assert outcome == Illegal((Move.ENROL, Move.RELEASE))
    assert papers.legal_moves(State.NOMINATED, authority, NO_PAPER, is_trial=True) == (Move.ENROL, Move.RELEASE)


def test_who_is_nominated_for_a_trial_place_is_out_of_the_race_with_the_clock() -> None:
    assert steps.outlasts_the_clock(State.NOMINATED, is_trial=True)
    assert not steps.outlasts_the_clock(State.NOMINATED, is_trial=False)
    assert not steps.outlasts_the_clock(State.HELD, is_trial=True)
    late = NOW + timedelta(days=365)
    request = a_request(State.NOMINATED)
    outcome = steps.take_step(request, Move.ENROL, authority=Authority.CURRENT_LAW, now=late, is_trial=True)
    assert outcome == Moved(State.ENROLLED)


@pytest.mark.parametrize("step", Step)
def test_where_work_is_paid_only_who_may_place_in_jobs_nominates(step: Step) -> None:
    may = RESTS_ON[act_at(Act.NOMINATE, step)]
    assert may >= instruction.NUMBERED
    assert (Basis.SUPPORT_DESK in may) is (step not in {Step.PAID_TRIAL, Step.JOB})


@pytest.mark.parametrize("act", [Act.SELECT, Act.ENROL, Act.CERTIFY, Act.END])
def test_a_host_workplace_says_who_was_there_and_a_school_says_it_of_its_courses(act: Act) -> None:
    assert RESTS_ON[act_at(act, Step.WEEK)] == {Basis.HOST_WORKPLACE}
    assert RESTS_ON[act_at(act, None)] == {Basis.TRAINING_SCHOOL}


# --- what is offered ------------------------------------------------------------------------------------------------


def an_offer(**changes: object) -> CourseOffer:
    offer = CourseOffer(
        course_number="46-t-1",
        title="園芸の職場見学",
        provider_agency="npo-keeper",
        site_municipality=KAGOSHIMA,
        system=TRIAL,
        field="visit",
        starts_on=date(2027, 4, 1),
        ends_on=date(2027, 4, 1),
        applications_close_at=NOW + timedelta(days=20),
        capacity=2,
        hold_hours=None,
        source="test",
        checked_on=date(2027, 2, 1),
        delegated={},
        host_workplace_id=HOST,
        host_workplace_name="みどり園芸",
    )
    return replace(offer, **changes)  # type: ignore[arg-type]


def test_a_trial_place_needs_no_plan_and_no_decision() -> None:
    assert offer_course_run(an_offer(from_time=time(9), until_time=time(12)), []) == Granted({None: 2})
    assert offer_course_run(an_offer(priority={"ice_age_generation": 1}), []) == Granted(
        {"@ice_age_generation": 1, None: 1}
    )


@pytest.mark.parametrize(
    ("changes", "reason", "about"),
    [
        ({"field": "it"}, "step_of_a_trial", "field"),
        ({"system": "job_seeker_practical"}, "step_of_a_trial", "field"),
        ({"system": "job_seeker_practical", "field": "it"}, "only_of_a_trial", "host_workplace_id"),
        ({"host_workplace_id": None}, "host_of_a_trial", "host_workplace_id"),
        ({"host_workplace_name": None}, "host_of_a_trial", "host_workplace_id"),
        ({"delegated": {KAGOSHIMA: 1}}, "no_plan_quota", "delegated"),
        ({"from_time": time(9)}, "hours_of_a_day", "until_time"),
        ({"from_time": time(12), "until_time": time(12)}, "hours_of_a_day", "until_time"),
    ],
)
def test_what_is_no_trial_place_or_no_course_is_refused_with_its_rule(
    changes: dict[str, object], reason: str, about: str
) -> None:
    assert offer_course_run(an_offer(**changes), []) == Denied(reason, about)


# --- instead of one that was called off -----------------------------------------------------------------------------

SEEKER = Seeker(UUID(int=9), KIRISHIMA, KAGOSHIMA, date(2027, 4, 1), step=Step.WEEK, host_workplace_id=HOST)


def a_candidate(number: int, step: Step = Step.WEEK, site: str = KAGOSHIMA, host: UUID = ANOTHER) -> Candidate:
    return Candidate(a_place(step, number), date(2027, 4, 7), site, online=False, pools=(POOL,), host_workplace_id=host)


def found(*candidates: Candidate) -> list[tuple[int, tuple[Why, ...]]]:
    near, within = ["462021"], timedelta(days=60)
    alternatives = find_alternatives(SEEKER, candidates, neighbours=near, within=within, now=NOW).alternatives
    return [(each.course_run_id.int, each.why) for each in alternatives]


def test_the_same_step_comes_before_the_one_below_and_the_host_that_is_known_before_others() -> None:
    offered = found(a_candidate(1, Step.HALF_DAY, host=HOST), a_candidate(2), a_candidate(3, host=HOST))
    assert [number for number, _ in offered] == [3, 2, 1]
    assert Why.STEP_BELOW in offered[2][1]
    assert Why.SAME_HOST in offered[0][1]


def test_a_trial_place_in_a_neighbour_town_is_none() -> None:
    assert found(a_candidate(1, site="462021")) == []
    within = timedelta(days=60)
    outcome = judge(SEEKER, a_candidate(1, site="462021"), neighbours=["462021"], within=within, now=NOW)
    assert outcome == Unsuited(WhyNot.TOO_FAR)
    assert [number for number, _ in found(a_candidate(2, site=KIRISHIMA))] == [2], "the person's own town"


# --- no second code -------------------------------------------------------------------------------------------------


def test_no_rule_of_the_seats_knows_a_step_by_its_name() -> None:
    """What differs stands in `trial.py`: elsewhere the ladder is a value, and never a word."""
    named = {}
    for path in sorted(DOMAIN.glob("*.py")):
        if path.name == "trial.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        words = [each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and each.value in set(Step)]
        words += [
            each.attr for each in ast.walk(tree) if isinstance(each, ast.Attribute) and each.attr in Step.__members__
        ]
        if words:
            named[path.name] = words
    assert named == {}


def test_every_reason_to_skip_is_a_code_and_no_words() -> None:
    assert {each.value for each in Skip} == {"worked_before", "plan_decided", "host_agrees", "person_wishes"}
