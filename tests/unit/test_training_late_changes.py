"""Late changes and alternatives as plain values: who is affected in which order, and what is offered, with reasons."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from services.training.domain.alternatives import (
    Alternative,
    Candidate,
    Seeker,
    Unsuited,
    Why,
    WhyNot,
    find_alternatives,
    judge,
)
from services.training.domain.late_changes import (
    After,
    Claim,
    Denied,
    Effect,
    Planned,
    Terms,
    plan_change,
    weakest_first,
)
from services.training.domain.quota import DELEGATED, GENERAL, PRIORITY, Course, Pool
from services.training.domain.selection import Result
from services.training.domain.steps import SeatRequest, State

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
TODAY = date(2027, 3, 1)
RUN, FOR_ALL, OWN = UUID(int=1), UUID(int=11), UUID(int=12)
KAGOSHIMA, KIRISHIMA, ZAMA = "462012", "462187", "142166"
BEFORE = Terms(4, date(2027, 4, 1), date(2027, 6, 30), NOW + timedelta(days=20), KAGOSHIMA)


def a_claim(number: int, state: State = State.HELD, **more: object) -> Claim:
    """Somebody who asked `number` hours after the first."""
    pool_id = more.pop("pool_id", FOR_ALL)
    assert isinstance(pool_id, UUID)
    expires = NOW + timedelta(days=3) if state in {State.WAITING, State.HELD, State.NOMINATED} else None
    request = SeatRequest(UUID(int=100 + number), RUN, pool_id, UUID(int=number), KAGOSHIMA, None, state, expires, 1)
    line_no = number if state is State.WAITING else None
    return replace(Claim(request, NOW + timedelta(hours=number), "desk", line_no), **more)  # type: ignore[arg-type]


def a_pool(
    held: int, *, granted: int = 4, filled: int = 0, whose: tuple[str, ...] = (), pool_id: UUID = FOR_ALL
) -> Pool:
    return Pool(pool_id, DELEGATED if whose else GENERAL, whose, granted, held, filled, 0)


def planned(after: Terms | None, claims: list[Claim], pools: list[Pool], before: Terms = BEFORE) -> Planned:
    found = plan_change(before, after, claims, pools, today=TODAY, now=NOW)
    assert isinstance(found, Planned), found
    return found


def test_the_weakest_claim_comes_first_and_of_equal_ones_who_asked_last() -> None:
    claims = [
        a_claim(1, State.ENROLLED),
        a_claim(2, State.INSTRUCTED),
        a_claim(3, State.NOMINATED, result=Result.ACCEPTED),
        a_claim(4, State.NOMINATED),
        a_claim(5),
        a_claim(6),
        a_claim(7, State.WAITING),
    ]
    assert [each.request.case_id.int for each in weakest_first(claims)] == [7, 6, 5, 4, 3, 2, 1]


def test_seats_that_nobody_has_go_first_and_nobody_is_affected() -> None:
    pools = [a_pool(1, granted=2), a_pool(1, granted=2, whose=(KAGOSHIMA,), pool_id=OWN)]
    claims = [a_claim(1), a_claim(2, pool_id=OWN)]
    found = planned(replace(BEFORE, capacity=2), claims, pools)
    assert (found.affected, found.returns) == ((), {FOR_ALL: 1, OWN: 1})
    assert planned(replace(BEFORE, capacity=3), claims, pools).returns == {FOR_ALL: 1}, "own seats stay longer"


def test_of_free_seats_those_for_all_go_first_then_a_target_groups_then_lent_ones_and_own_ones_last() -> None:
    own, lent = [a_pool(0, granted=1, whose=(KAGOSHIMA,), pool_id=UUID(int=number)) for number in (2, 3)]
    lent = replace(lent, agreement_id=RUN, source_pool_id=own.id)
    kept = replace(a_pool(0, granted=1, pool_id=UUID(int=1)), kind=PRIORITY, target_groups=("single_parent",))
    pools = [own, lent, kept, a_pool(0, granted=1)]
    order = [FOR_ALL, kept.id, lent.id, own.id]
    for capacity in (3, 2, 1):
        found = planned(replace(BEFORE, capacity=capacity), [], pools)
        assert found.returns == dict.fromkeys(order[: 4 - capacity], 1)


def test_below_what_is_held_the_weakest_lose_their_seats_and_those_who_wait_fall_behind() -> None:
    claims = [
        a_claim(1),
        a_claim(2, State.NOMINATED),
        a_claim(3),
        a_claim(4, State.ENROLLED),
        a_claim(5, State.WAITING),
    ]
    found = planned(replace(BEFORE, capacity=2), claims, [a_pool(3, filled=1)])
    told = [(each.claim.request.case_id.int, each.effect, each.after) for each in found.affected]
    assert told == [
        (5, Effect.PLACE_FALLS, After.KEEPS),
        (3, Effect.SEAT_LOST, After.IN_LINE),
        (1, Effect.SEAT_LOST, After.IN_LINE),
    ]
    assert (found.returns, found.closes) == ({FOR_ALL: 2}, 2)


def test_after_the_deadline_no_line_is_left_to_stand_in() -> None:
    before = replace(BEFORE, applications_close_at=NOW - timedelta(days=1))
    found = planned(replace(before, capacity=1), [a_claim(1), a_claim(2)], [a_pool(2, granted=4)], before)
    assert [(each.claim.request.case_id.int, each.after) for each in found.affected] == [(2, After.ENDED)]


def test_a_hold_that_ran_out_leads_into_no_line() -> None:
    over = a_claim(2)
    over = replace(over, request=replace(over.request, expires_at=NOW - timedelta(seconds=1)))
    found = planned(replace(BEFORE, capacity=1), [a_claim(1), over], [a_pool(2, granted=4)])
    assert [(each.claim.request.case_id.int, each.after) for each in found.affected] == [(2, After.ENDED)]


def test_who_is_paused_beyond_the_new_deadline_is_told_that_no_seat_will_be_offered() -> None:
    def waits(number: int, until: timedelta | None) -> Claim:
        return a_claim(number, State.WAITING, paused_until=None if until is None else NOW + until)

    claims = [waits(1, timedelta(days=9)), waits(2, timedelta(days=5)), waits(3, None)]
    earlier = replace(BEFORE, applications_close_at=NOW + timedelta(days=5))
    found = planned(earlier, claims, [a_pool(4)])
    assert [(each.claim.request.case_id.int, each.effect) for each in found.affected] == [(1, Effect.HOLD_ENDS)]


def test_where_the_new_days_meet_another_seat_the_one_of_this_course_is_affected() -> None:
    busy = a_claim(1, busy=((date(2027, 7, 1), date(2027, 9, 30)),))
    found = planned(replace(BEFORE, ends_on=date(2027, 7, 1)), [busy, a_claim(2)], [a_pool(2)])
    told = {each.claim.request.case_id.int: each.effect for each in found.affected}
    assert told == {1: Effect.COLLIDES, 2: Effect.MOVED}


def test_a_seat_that_collides_is_the_first_to_leave_with_the_capacity() -> None:
    busy = a_claim(1, State.NOMINATED, busy=((date(2027, 7, 1), date(2027, 9, 30)),))
    after = replace(BEFORE, capacity=1, ends_on=date(2027, 7, 1))
    found = planned(after, [busy, a_claim(2)], [a_pool(2, granted=2)], replace(BEFORE, capacity=2))
    assert {each.claim.request.case_id.int: each.effect for each in found.affected} == {
        1: Effect.COLLIDES,
        2: Effect.MOVED,
    }
    assert found.returns == {FOR_ALL: 1}


def test_whose_benefit_ends_before_the_new_start_is_told_so_and_whose_wait_was_long_enough() -> None:
    after = replace(
        BEFORE, starts_on=date(2027, 5, 1), applications_close_at=BEFORE.applications_close_at + timedelta(days=20)
    )
    claims = [
        a_claim(1, benefit_ends_on=date(2027, 4, 15)),
        a_claim(2, hold_until=BEFORE.applications_close_at),
        a_claim(3, benefit_ends_on=date(2027, 5, 1)),
    ]
    found = planned(after, claims, [a_pool(3)])
    assert {each.claim.request.case_id.int: each.effect for each in found.affected} == {
        1: Effect.BENEFIT_ENDS,
        2: Effect.HOLD_ENDS,
        3: Effect.MOVED,
    }


@pytest.mark.parametrize(
    ("changes", "claims", "reason"),
    [
        ({}, [], "nothing_changes"),
        ({"ends_on": date(2027, 3, 31)}, [], "ends_before_it_starts"),
        ({"starts_on": TODAY}, [], "starts_in_the_past"),
        ({"site_municipality": ZAMA}, [], "another_prefecture"),
        ({"capacity": 5}, [], "capacity_rises_by_file"),
        ({"capacity": 0}, [], "no_seat_is_left"),
        ({"capacity": 1}, [], "below_what_is_filled"),
        (
            {"ends_on": date(2027, 7, 1)},
            [a_claim(1, State.ENROLLED, busy=((date(2027, 7, 1), date(2027, 9, 1)),))],
            "enrolled_would_overlap",
        ),
    ],
)
def test_what_cannot_be_is_refused_naming_the_rule(
    changes: dict[str, object], claims: list[Claim], reason: str
) -> None:
    after = replace(BEFORE, **changes)  # type: ignore[arg-type]
    found = plan_change(BEFORE, after, claims, [a_pool(0, filled=2)], today=TODAY, now=NOW)
    assert isinstance(found, Denied)
    assert found.reason == reason


def test_a_cancellation_ends_every_request_and_takes_every_seat_and_is_refused_once_somebody_began() -> None:
    claims = [a_claim(1), a_claim(2, State.WAITING), a_claim(3, State.INSTRUCTED)]
    found = planned(None, claims, [a_pool(2), a_pool(0, granted=0, whose=(KAGOSHIMA,), pool_id=OWN)])
    assert [each.claim.request.case_id.int for each in found.affected] == [2, 1, 3]
    assert {each.after for each in found.affected} == {After.ENDED}
    assert (found.returns, found.closes) == ({FOR_ALL: 4}, 4)
    begun = plan_change(BEFORE, None, [a_claim(1, State.ENROLLED)], [], today=TODAY, now=NOW)
    assert begun == Denied("people_are_enrolled", "cancel")
    late = plan_change(BEFORE, None, [], [], today=BEFORE.starts_on, now=NOW)
    assert late == Denied("course_has_begun", "")


# --- alternatives ---------------------------------------------------------------------------------------------------

SEEKER = Seeker(UUID(int=1), KAGOSHIMA, KAGOSHIMA, date(2027, 4, 1))
WITHIN = timedelta(days=60)


def a_candidate(number: int, starts_on: date = date(2027, 4, 10), **more: object) -> Candidate:
    closes = more.pop("closes", NOW + timedelta(days=9))
    course = Course(UUID(int=1000 + number), "school", closes, timedelta(hours=72), starts_on)  # type: ignore[arg-type]
    candidate = Candidate(course, starts_on + timedelta(days=90), KAGOSHIMA, online=False, pools=(a_pool(0),))
    return replace(candidate, **more)  # type: ignore[arg-type]


def judged(candidate: Candidate, seeker: Seeker = SEEKER) -> Alternative | Unsuited:
    return judge(seeker, candidate, neighbours=[KIRISHIMA], within=WITHIN, now=NOW)


@pytest.mark.parametrize(
    ("candidate", "seeker", "why"),
    [
        (a_candidate(1, site_municipality=ZAMA), SEEKER, WhyNot.TOO_FAR),
        (a_candidate(1, date(2027, 6, 1)), SEEKER, WhyNot.STARTS_TOO_LATE),
        (a_candidate(1), replace(SEEKER, benefit_ends_on=date(2027, 4, 9)), WhyNot.BENEFIT_ENDS_BEFORE),
        (a_candidate(1), replace(SEEKER, busy=((date(2027, 7, 9), date(2027, 9, 1)),)), WhyNot.OVERLAPS_ANOTHER_SEAT),
        (a_candidate(1), replace(SEEKER, asked=frozenset({UUID(int=1001)})), WhyNot.ASKED_ALREADY),
        (a_candidate(1, pools=(a_pool(4),)), SEEKER, WhyNot.NO_FREE_SEAT),
        (a_candidate(1, pools=(a_pool(0, whose=(ZAMA,)),)), SEEKER, WhyNot.NO_FREE_SEAT),
        (a_candidate(1, pools=(replace(a_pool(3), waiting=1),)), SEEKER, WhyNot.NO_FREE_SEAT),
        (a_candidate(1, closes=NOW - timedelta(seconds=1)), SEEKER, WhyNot.NO_FREE_SEAT),
    ],
)
def test_why_a_course_run_is_none_for_somebody(candidate: Candidate, seeker: Seeker, why: WhyNot) -> None:
    assert judged(candidate, seeker) == Unsuited(why)


def test_the_day_on_which_a_benefit_ends_is_in_time() -> None:
    found = judged(a_candidate(1), replace(SEEKER, benefit_ends_on=date(2027, 4, 10)))
    assert isinstance(found, Alternative)
    assert found.why == (Why.OWN_TOWN, Why.GENERAL_SEATS, Why.BEFORE_BENEFIT_ENDS)


def test_seats_for_a_target_group_are_offered_to_whom_they_are_for_and_to_nobody_else() -> None:
    group = "employment_ice_age"
    kept = a_candidate(1, pools=(a_pool(4), replace(a_pool(0, pool_id=OWN), kind="priority", target_groups=(group,))))
    assert judged(kept) == Unsuited(WhyNot.NO_FREE_SEAT)
    found = judged(kept, replace(SEEKER, target_groups=(group,)))
    assert isinstance(found, Alternative)
    assert found.why == (Why.OWN_TOWN, Why.TARGET_GROUP_SEATS)


def test_near_ones_come_first_then_the_nearest_start_then_own_seats_and_the_rest_is_counted() -> None:
    own = (a_pool(0, granted=1, whose=(KAGOSHIMA,), pool_id=OWN),)
    candidates = [
        a_candidate(1, site_municipality=ZAMA, online=True),
        a_candidate(2, site_municipality=KIRISHIMA),
        a_candidate(3, date(2027, 4, 20)),
        a_candidate(4),
        a_candidate(5, pools=own),
        a_candidate(6, site_municipality=ZAMA),
    ]
    found = find_alternatives(SEEKER, candidates, neighbours=[KIRISHIMA], within=WITHIN, now=NOW)
    assert [each.course_run_id.int - 1000 for each in found.alternatives] == [5, 4, 3]
    assert found.others == {WhyNot.TOO_FAR: 1}
    far = find_alternatives(SEEKER, candidates[:2], neighbours=[KIRISHIMA], within=WITHIN, now=NOW)
    assert [each.why[0] for each in far.alternatives] == [Why.NEIGHBOUR, Why.ONLINE]
