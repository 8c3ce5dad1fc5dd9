"""The decisions about seats, as plain values."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.domain import offers, quota, steps
from services.training.domain.line import InLine, Lapsed, Promoted, offer_free_seats
from services.training.domain.offers import CourseOffer, Denied, Granted
from services.training.domain.quota import Course, Held, Pool, Reason, Refused, Waitlisted
from services.training.domain.steps import Authority, Illegal, Move, Moved, SeatRequest, State, TooLate

NOON = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)
DEADLINE = NOON + timedelta(days=10)
COURSE = Course(UUID(int=1), "school", DEADLINE, timedelta(hours=72), date(2026, 10, 1))
KAGOSHIMA, KIRISHIMA = "462012", "462187"
SOON = timedelta(seconds=1)


def general(granted: int = 10, *, held: int = 0, filled: int = 0, waiting: int = 0, next_line_no: int = 1) -> Pool:
    return Pool(UUID(int=10), "general", (), granted, held, filled, waiting, next_line_no)


def delegated(granted: int = 4, *, held: int = 0, waiting: int = 0, to: str = KAGOSHIMA) -> Pool:
    return Pool(UUID(int=int(to)), "delegated", (to,), granted, held, 0, waiting)


def in_line(number: int, pool: Pool, *, municipality: str = KAGOSHIMA, until: datetime = DEADLINE) -> InLine:
    since = NOON - timedelta(minutes=100 - number)
    return InLine(UUID(int=1000 + number), pool.id, municipality, number, since, until)


def ask(*pools: Pool, municipality: str = KAGOSHIMA, now: datetime = NOON, **more: datetime | bool | None) -> object:
    return quota.request_seat(COURSE, pools, municipality=municipality, now=now, **more)  # type: ignore[arg-type]


# --- who gets a seat ------------------------------------------------------------------------------------------------


def test_the_own_municipalitys_seats_come_first() -> None:
    own = delegated()
    assert ask(general(), own) == Held(own, NOON + timedelta(hours=72))


def test_a_municipality_whose_own_seats_are_gone_takes_a_general_one() -> None:
    everybody = general()
    assert ask(everybody, delegated(held=4)) == Held(everybody, NOON + timedelta(hours=72))


def test_another_municipalitys_seats_are_not_for_you() -> None:
    assert ask(general(0), delegated(to=KIRISHIMA)) == Refused(Reason.NO_SEATS_FOR_YOU)


def test_without_any_pool_nobody_is_promised_a_place_in_line() -> None:
    assert ask() == Refused(Reason.NO_SEATS_FOR_YOU)


def test_who_finds_no_seat_waits_for_the_own_municipalitys_ones() -> None:
    own = replace(delegated(held=4, waiting=2), next_line_no=7)
    assert ask(general(held=10), own) == Waitlisted(own, line_no=7, position=3, expires_at=DEADLINE)


def test_without_own_seats_one_waits_in_the_general_line() -> None:
    full = general(held=6, filled=4, waiting=1, next_line_no=2)
    assert ask(full) == Waitlisted(full, line_no=2, position=2, expires_at=DEADLINE)


def test_a_newcomer_never_overtakes_a_line_even_beside_a_free_seat() -> None:
    assert isinstance(ask(general(held=9, waiting=1)), Waitlisted)


def test_the_deadline_itself_is_still_in_time() -> None:
    assert isinstance(ask(general(), now=DEADLINE), Held)
    assert ask(general(), now=DEADLINE + timedelta(microseconds=1)) == Refused(Reason.APPLICATIONS_CLOSED)


def test_a_second_request_of_a_case_is_refused() -> None:
    assert ask(general(), already_requested=True) == Refused(Reason.ALREADY_REQUESTED)


def test_a_hold_until_a_moment_that_has_passed_is_refused() -> None:
    assert ask(general(), hold_until=NOON - SOON) == Refused(Reason.HOLD_UNTIL_PASSED)


def test_a_shorter_hold_may_be_asked_for_and_a_longer_one_may_not() -> None:
    short = ask(general(), hold_until=NOON + timedelta(hours=5))
    long = ask(general(), hold_until=NOON + timedelta(days=9))
    assert isinstance(short, Held)
    assert isinstance(long, Held)
    assert (short.expires_at, long.expires_at) == (NOON + timedelta(hours=5), NOON + timedelta(hours=72))


@given(st.timedeltas(timedelta(), timedelta(days=10)), st.none() | st.timedeltas(timedelta(), timedelta(days=20)))
def test_a_hold_never_outlives_the_application_deadline(ago: timedelta, asked: timedelta | None) -> None:
    now = DEADLINE - ago
    outcome = ask(general(), now=now, hold_until=None if asked is None else now + asked)
    assert isinstance(outcome, Held)
    assert now <= outcome.expires_at <= DEADLINE


pools_of_a_course = st.builds(
    lambda everybody, own, other: [everybody, own, other],
    st.builds(
        general, st.integers(0, 5), held=st.integers(0, 5), filled=st.integers(0, 5), waiting=st.integers(0, 3)
    ).filter(lambda pool: pool.free >= 0),
    st.builds(delegated, st.integers(0, 5), held=st.integers(0, 5), waiting=st.integers(0, 3)).filter(
        lambda pool: pool.free >= 0
    ),
    st.builds(delegated, st.integers(0, 5), waiting=st.integers(0, 3), to=st.just(KIRISHIMA)),
)


@given(pools_of_a_course)
def test_a_seat_is_held_only_where_one_is_free_and_nobody_waits(pools: list[Pool]) -> None:
    outcome = ask(*pools)
    if isinstance(outcome, Held):
        assert outcome.pool.free > 0
        assert outcome.pool.waiting == 0
        assert outcome.pool.municipality in {None, KAGOSHIMA}
    elif isinstance(outcome, Waitlisted):
        assert outcome.pool.municipality in {None, KAGOSHIMA}
        usable = [pool for pool in pools if pool.municipality in {None, KAGOSHIMA}]
        assert not any(pool.free > 0 and pool.waiting == 0 for pool in usable)
    else:
        assert all(pool.granted == 0 for pool in pools if pool.municipality in {None, KAGOSHIMA})


# --- many at once ---------------------------------------------------------------------------------------------------

ASKS = st.builds(
    quota.Ask,
    case_id=st.integers(1, 5).map(lambda number: UUID(int=number)),
    municipality=st.sampled_from([KAGOSHIMA, KIRISHIMA, "462209"]),
    hold_until=st.sampled_from([None, NOON - SOON, NOON, NOON + SOON]),
    referral_id=st.none() | st.integers(11, 13).map(lambda number: UUID(int=number)),
    consent_withdrawn=st.sampled_from([False, False, False, True]),
)


def decide(pools: list[Pool], asks: list[quota.Ask], cases: set[UUID], referrals: set[UUID]) -> list[object]:
    return list(quota.request_seats(COURSE, pools, asks, cases=cases, referrals=referrals, now=NOON))


@given(
    asks=st.lists(ASKS, max_size=12),
    seats=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)),
    cases=st.sets(st.integers(1, 5).map(lambda number: UUID(int=number)), max_size=2),
    referrals=st.sets(st.integers(11, 13).map(lambda number: UUID(int=number)), max_size=1),
)
def test_many_at_once_get_what_they_would_have_got_one_by_one(
    asks: list[quota.Ask], seats: tuple[int, int, int], cases: set[UUID], referrals: set[UUID]
) -> None:
    pools = [general(seats[0]), delegated(seats[1]), delegated(seats[2], to=KIRISHIMA)]
    expected: list[object] = []
    standing, asked, led = list(pools), set(cases), set(referrals)
    for each in asks:
        (outcome,) = decide(standing, [each], asked, led)
        expected.append(outcome)
        if isinstance(outcome, Held | Waitlisted):
            standing = [_after(pool, outcome) if pool.id == outcome.pool.id else pool for pool in standing]
            asked.add(each.case_id)
            led |= {each.referral_id} - {None}  # type: ignore[arg-type]
    assert decide(pools, asks, cases, referrals) == expected
    assert all(pool.held <= pool.granted for pool in standing)


def _after(pool: Pool, outcome: Held | Waitlisted) -> Pool:
    """The pool as it would be read from the tables afterwards."""
    if isinstance(outcome, Held):
        return replace(pool, held=pool.held + 1, version=pool.version + 1)
    return replace(pool, waiting=pool.waiting + 1, next_line_no=outcome.line_no + 1, version=pool.version + 1)


# --- freed seats ----------------------------------------------------------------------------------------------------


def test_a_free_seat_goes_to_the_first_in_line() -> None:
    pool = general(3, held=1, waiting=3)
    line = [in_line(number, pool) for number in (3, 1, 2)]
    assert offer_free_seats(COURSE, [pool], line, NOON) == [
        Promoted(line[1], pool.id, NOON + timedelta(hours=72)),
        Promoted(line[2], pool.id, NOON + timedelta(hours=72)),
    ]


def test_who_waited_too_long_gives_way_to_the_next() -> None:
    pool = general(1, waiting=2)
    gone, next_one = in_line(1, pool, until=NOON - SOON), in_line(2, pool)
    assert offer_free_seats(COURSE, [pool], [gone, next_one], NOON) == [
        Lapsed(gone),
        Promoted(next_one, pool.id, NOON + timedelta(hours=72)),
    ]


def test_a_general_seat_nobody_waits_for_goes_to_who_waits_in_a_delegated_line() -> None:
    everybody, own = general(1), delegated(2, held=2, waiting=1)
    waits = in_line(1, own)
    assert offer_free_seats(COURSE, [everybody, own], [waits], NOON) == [
        Promoted(waits, everybody.id, NOON + timedelta(hours=72))
    ]


def test_a_pools_own_line_comes_before_others_who_waited_longer() -> None:
    everybody, own = general(1, waiting=1), delegated(2, held=2, waiting=1)
    elsewhere, here = in_line(1, own), in_line(2, everybody, municipality=KIRISHIMA)
    outcomes = offer_free_seats(COURSE, [everybody, own], [elsewhere, here], NOON)
    assert outcomes == [Promoted(here, everybody.id, NOON + timedelta(hours=72))]


def test_new_delegated_seats_reach_residents_who_wait_in_the_general_line() -> None:
    everybody, own = general(1, held=1, waiting=2), delegated(1)
    stranger, resident = in_line(1, everybody, municipality=KIRISHIMA), in_line(2, everybody)
    outcomes = offer_free_seats(COURSE, [everybody, own], [stranger, resident], NOON)
    assert outcomes == [Promoted(resident, own.id, NOON + timedelta(hours=72))]


@given(st.data())
def test_after_an_offer_no_seat_is_free_beside_somebody_who_may_have_it(data: st.DataObject) -> None:
    everybody = general(data.draw(st.integers(0, 4)))
    pools = [everybody, delegated(data.draw(st.integers(0, 4))), delegated(data.draw(st.integers(0, 4)), to=KIRISHIMA)]
    towns = st.sampled_from([KAGOSHIMA, KIRISHIMA, "142166"])
    line = []
    for number in range(data.draw(st.integers(0, 8))):
        town = data.draw(towns)
        pool = data.draw(st.sampled_from([pool for pool in pools if pool.municipality in {None, town}]))
        late = data.draw(st.booleans())
        line.append(in_line(number, pool, municipality=town, until=NOON - SOON if late else DEADLINE))
    outcomes = offer_free_seats(COURSE, pools, line, NOON)
    moved = [outcome.place for outcome in outcomes]
    assert len(set(moved)) == len(moved)
    left = [place for place in line if place not in moved]
    for pool in pools:
        got = [outcome for outcome in outcomes if isinstance(outcome, Promoted) and outcome.pool_id == pool.id]
        assert len(got) <= pool.free
        if len(got) < pool.free:
            assert not [place for place in left if pool.municipality in {None, place.municipality}]
        for outcome in got:
            before = [place for place in left if place.pool_id == outcome.place.pool_id == pool.id]
            assert all(place.line_no > outcome.place.line_no for place in before)


# --- steps ----------------------------------------------------------------------------------------------------------


def a_request(state: State, *, expires_at: datetime | None = DEADLINE) -> SeatRequest:
    return SeatRequest(UUID(int=5), COURSE.id, UUID(int=10), UUID(int=6), KAGOSHIMA, None, state, expires_at, version=1)


@pytest.mark.parametrize(
    ("state", "authority", "legal"),
    [
        (State.WAITING, Authority.CURRENT_LAW, {"release"}),
        (State.HELD, Authority.CURRENT_LAW, {"nominate", "release"}),
        (State.HELD, Authority.DELEGATED, {"nominate", "release"}),
        (State.NOMINATED, Authority.CURRENT_LAW, {"countersign", "release"}),
        (State.NOMINATED, Authority.DELEGATED, {"instruct", "release"}),
        (State.COUNTERSIGNED, Authority.CURRENT_LAW, {"instruct", "release"}),
        (State.COUNTERSIGNED, Authority.DELEGATED, {"instruct", "release"}),
        (State.INSTRUCTED, Authority.CURRENT_LAW, {"enrol", "release"}),
        (State.ENROLLED, Authority.CURRENT_LAW, set()),
        (State.RELEASED, Authority.DELEGATED, set()),
    ],
)
def test_what_can_be_done_next(state: State, authority: Authority, legal: set[str]) -> None:
    assert set(steps.legal_moves(state, authority)) == legal


@given(st.sampled_from(State), st.sampled_from(Move), st.sampled_from(Authority))
def test_an_illegal_move_is_answered_with_the_legal_ones(state: State, move: Move, authority: Authority) -> None:
    outcome = steps.take_step(a_request(state), move, authority=authority, now=NOON)
    legal = steps.legal_moves(state, authority)
    assert outcome == Illegal(legal) if move not in legal else isinstance(outcome, Moved)


def test_an_expired_hold_never_becomes_a_place_even_if_the_sweep_is_late() -> None:
    late = DEADLINE + timedelta(microseconds=1)
    held = a_request(State.HELD)
    assert steps.take_step(held, Move.NOMINATE, authority=Authority.CURRENT_LAW, now=late) == TooLate()
    assert steps.take_step(held, Move.NOMINATE, authority=Authority.CURRENT_LAW, now=DEADLINE) == Moved(State.NOMINATED)


def test_what_ran_out_may_still_be_given_back() -> None:
    late = DEADLINE + SOON
    outcome = steps.take_step(a_request(State.HELD), Move.RELEASE, authority=Authority.CURRENT_LAW, now=late)
    assert outcome == Moved(State.RELEASED)


def test_an_instructed_seat_no_longer_runs_out() -> None:
    instructed = a_request(State.INSTRUCTED, expires_at=None)
    late = DEADLINE + timedelta(days=365)
    assert steps.take_step(instructed, Move.ENROL, authority=Authority.CURRENT_LAW, now=late) == Moved(State.ENROLLED)


# --- what a course offers -------------------------------------------------------------------------------------------


def an_offer(capacity: int, to: dict[str, int] | None = None) -> CourseOffer:
    return CourseOffer(
        course_number="46-1",
        title="介護職員初任者研修科",
        provider_agency="school",
        site_municipality=KAGOSHIMA,
        system="job_seeker_practical",
        field="care",
        starts_on=date(2026, 10, 1),
        ends_on=date(2026, 12, 25),
        applications_close_at=DEADLINE,
        capacity=capacity,
        hold_hours=72,
        source="test",
        checked_on=date(2026, 8, 1),
        delegated=to or {},
    )


@given(st.integers(0, 40), st.dictionaries(st.sampled_from([KAGOSHIMA, KIRISHIMA]), st.integers(1, 20)))
def test_the_shares_of_a_course_add_up_to_its_capacity(capacity: int, to: dict[str, int]) -> None:
    outcome = offers.offer_course_run(an_offer(capacity, to), [])
    if sum(to.values()) > capacity:
        assert outcome == Denied("delegated_above_capacity", "delegated")
    else:
        assert isinstance(outcome, Granted)
        assert sum(outcome.deltas.values()) == capacity


def test_more_capacity_is_granted_to_the_general_pool() -> None:
    standing = [general(6, held=6), delegated(4)]
    assert offers.offer_course_run(an_offer(13, {KAGOSHIMA: 4}), standing) == Granted({None: 3, KAGOSHIMA: 0})


def test_nobody_loses_a_seat_to_a_smaller_capacity() -> None:
    assert offers.offer_course_run(an_offer(5), [general(6, held=4, filled=2)]) == Denied(
        "below_what_is_taken", "capacity"
    )


def test_delegated_seats_that_are_taken_stay_delegated() -> None:
    standing = [general(6), delegated(4, held=3)]
    assert offers.offer_course_run(an_offer(10, {KAGOSHIMA: 2}), standing) == Denied("below_what_is_taken", "delegated")


def test_a_line_is_not_left_waiting_for_seats_that_went_away() -> None:
    standing = [general(6), replace(delegated(0, waiting=2))]
    assert offers.offer_course_run(an_offer(6), standing) == Denied("people_wait_for_these_seats", "delegated")


def test_a_course_does_not_end_before_it_starts() -> None:
    backwards = replace(an_offer(6), ends_on=date(2026, 9, 30))
    assert offers.offer_course_run(backwards, []) == Denied("ends_before_it_starts", "ends_on")
