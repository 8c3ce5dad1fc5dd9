"""The line: whom the rule puts first, who is passed over and why, and the same answer again later."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.domain import line as line_module
from services.training.domain.line import (
    BY_ASKING,
    Bar,
    Criterion,
    InLine,
    Lapsed,
    LineRule,
    PassedOver,
    Promoted,
    offer_free_seats,
)
from services.training.domain.line_place import WhyNot, positions, stand
from services.training.domain.line_record import account_for, keep
from services.training.domain.quota import DELEGATED, GENERAL, PRIORITY, Course, Held, Pool, Waitlisted, request_seat

NOON = datetime(2026, 9, 1, 3, tzinfo=UTC)
CLOSES = NOON + timedelta(days=30)
A, B = "462012", "462187"
ICE_AGE = "employment_ice_age"
COURSE = Course(
    UUID(int=1), "school", CLOSES, timedelta(hours=72), date(2026, 11, 1), offer_for=timedelta(days=3, hours=11)
)


def general(granted: int, *, held: int = 0, waiting: int = 0, **more: Any) -> Pool:
    return Pool(UUID(int=10), GENERAL, (), granted, held, 0, waiting, **more)


def delegated(granted: int, town: str = A, *, held: int = 0, **more: Any) -> Pool:
    return Pool(UUID(int=20 + (town == B)), DELEGATED, (town,), granted, held, 0, 0, **more)


def priority(granted: int, *, held: int = 0, **more: Any) -> Pool:
    return Pool(UUID(int=30), PRIORITY, (), granted, held, 0, 0, target_groups=(ICE_AGE,), **more)


def waits(number: int, pool: Pool, *, town: str = A, **more: Any) -> InLine:
    values = {"waits_until": CLOSES, "requested_at": NOON - timedelta(days=1) + timedelta(minutes=number)} | more
    return InLine(UUID(int=1000 + number), pool.id, town, number, **values)


def served(outcomes: Sequence[Any]) -> list[int]:
    return [each.place.seat_request_id.int - 1000 for each in outcomes if isinstance(each, Promoted)]


# --- the rule -------------------------------------------------------------------------------------------------------


def test_an_offer_lasts_until_its_own_deadline_and_never_beyond_the_wait() -> None:
    pool = general(2)
    short = waits(2, pool, waits_until=NOON + timedelta(hours=1))
    first, second = offer_free_seats(COURSE, [pool], [waits(1, pool), short], NOON)
    assert isinstance(first, Promoted)
    assert isinstance(second, Promoted)
    assert (first.expires_at, second.expires_at) == (NOON + timedelta(days=3, hours=11), short.waits_until)


@pytest.mark.parametrize(
    ("criterion", "earlier_by_it"),
    [
        (Criterion.FEWEST_OFFERS, {"offers": 0}),
        (Criterion.REFERRED, {"referred": True}),
        (Criterion.TARGET_GROUP, {"target_groups": (ICE_AGE,)}),
    ],
)
def test_a_criterion_comes_before_the_order_of_asking(criterion: Criterion, earlier_by_it: dict[str, Any]) -> None:
    pool = priority(1, opened=True)
    line = [
        waits(1, pool, offers=1),
        waits(2, pool, offers=1, **{k: v for k, v in earlier_by_it.items() if k != "offers"}),
    ]
    if "offers" in earlier_by_it:
        line[1] = replace(line[1], offers=0)
    assert served(offer_free_seats(COURSE, [pool], line, NOON)) == [1]
    assert served(offer_free_seats(COURSE, [pool], line, NOON, LineRule((Criterion.OWN_LINE, criterion)))) == [2]


def test_without_own_lines_whoever_asked_first_comes_first_wherever_they_wait() -> None:
    everybody, own = general(1), delegated(1, held=1)
    line = [waits(1, own), waits(2, everybody)]
    assert served(offer_free_seats(COURSE, [everybody, own], line, NOON)) == [2]
    assert served(offer_free_seats(COURSE, [everybody, own], line, NOON, LineRule(()))) == [1]


def test_nobody_counts_as_earlier_than_who_stands_in_front_in_the_same_line() -> None:
    """Two ask at once: who gets the lock first may have read the clock later."""
    own, other = delegated(1, held=1), general(1)
    first = waits(1, own, requested_at=NOON - timedelta(seconds=1))
    second = waits(2, own, requested_at=NOON - timedelta(seconds=3))
    between = InLine(UUID(int=999), other.id, B, 1, NOON - timedelta(seconds=2), CLOSES)
    rule = LineRule(())
    outcomes = offer_free_seats(COURSE, [replace(other, granted=2), own], [second, first, between], NOON, rule)
    assert served(outcomes) == [-1, 1]


def test_no_rule_can_look_at_a_level_or_at_the_prolongation_flag() -> None:
    """What is not known can lower nobody (DOMAIN.md 4). A new fact here is a decision to be read."""
    assert {each.value for each in Criterion} == {"own_line", "target_group", "fewest_offers", "referred"}
    assert {each.name for each in fields(InLine)} == {
        *("seat_request_id", "pool_id", "municipality", "line_no", "requested_at", "waits_until"),
        *("paused_until", "together_id", "referred", "offers", "target_groups", "is_busy"),
    }
    assert not {"level", "prolonged", "fdp"} & set(dir(line_module))


# --- paused, together -----------------------------------------------------------------------------------------------


def test_who_pauses_is_passed_over_and_keeps_the_place() -> None:
    pool = general(1)
    paused = waits(1, pool, paused_until=NOON + timedelta(days=2))
    outcomes = offer_free_seats(COURSE, [pool], [paused, waits(2, pool)], NOON)
    assert outcomes[0] == PassedOver(paused, pool.id, Bar.PAUSED)
    assert served(outcomes) == [2]
    assert served(offer_free_seats(COURSE, [pool], [paused, waits(3, pool)], NOON + timedelta(days=2))) == [1]


PAIR = UUID(int=77)


def test_those_who_want_seats_together_get_all_or_none_and_hold_nobody_up() -> None:
    pool = general(1)
    pair = [waits(1, pool, together_id=PAIR), waits(2, pool, together_id=PAIR)]
    outcomes = offer_free_seats(COURSE, [pool], [*pair, waits(3, pool)], NOON)
    assert outcomes[:2] == [PassedOver(each, pool.id, Bar.TOGETHER) for each in pair]
    assert served(outcomes) == [3]
    assert served(offer_free_seats(COURSE, [replace(pool, granted=2)], [*pair, waits(3, pool)], NOON)) == [1, 2]


def test_who_joins_others_does_not_come_forward_with_them() -> None:
    pool = general(2)
    line = [waits(1, pool, together_id=PAIR), waits(2, pool), waits(3, pool, together_id=PAIR)]
    assert served(offer_free_seats(COURSE, [pool], line, NOON)) == [2]


def test_seats_together_may_come_from_several_pools_when_nobody_else_can_use_them() -> None:
    everybody, own = general(1), delegated(1)
    pair = [waits(1, own, together_id=PAIR), waits(2, own, together_id=PAIR)]
    assert served(offer_free_seats(COURSE, [everybody, own], pair, NOON)) == [1, 2]
    assert served(offer_free_seats(COURSE, [everybody, own], [*pair, waits(9, everybody, town=B)], NOON)) == [9]


def test_one_who_pauses_pauses_those_who_wait_together() -> None:
    pool = general(2)
    pair = [waits(1, pool, together_id=PAIR), waits(2, pool, together_id=PAIR, paused_until=CLOSES)]
    assert served(offer_free_seats(COURSE, [pool], pair, NOON)) == []


# --- newcomers ------------------------------------------------------------------------------------------------------


def test_a_newcomer_has_a_seat_that_nobody_in_the_line_can_have() -> None:
    beside = general(1, waiting=1)
    assert isinstance(request_seat(COURSE, [beside], municipality=A, now=NOON), Waitlisted)
    assert isinstance(request_seat(COURSE, [replace(beside, passed_over=1)], municipality=A, now=NOON), Held)


def test_a_priority_pool_is_for_its_target_group_until_it_opens() -> None:
    pools = [priority(1), general(1, held=1)]
    ours = request_seat(COURSE, pools, municipality=A, now=NOON, target_groups=(ICE_AGE,))
    assert isinstance(ours, Held)
    assert ours.pool.kind == PRIORITY
    assert isinstance(request_seat(COURSE, pools, municipality=A, now=NOON), Waitlisted)
    opened = request_seat(COURSE, [priority(1, opened=True), pools[1]], municipality=A, now=NOON)
    assert isinstance(opened, Held)
    both_full = [priority(1, held=1, opened=True), pools[1]]
    waits_for = request_seat(COURSE, both_full, municipality=A, now=NOON)
    assert isinstance(waits_for, Waitlisted)
    assert waits_for.pool.kind == GENERAL, "who is not of the target group stands in the line of all"


# --- any line -------------------------------------------------------------------------------------------------------

RULES = st.permutations(list(Criterion)).flatmap(
    lambda order: st.integers(0, len(order)).map(lambda n: LineRule(tuple(order[:n])))
)


@st.composite
def lines(draw: st.DrawFn) -> tuple[list[Pool], list[InLine]]:
    pools = [
        general(draw(st.integers(0, 3))),
        delegated(draw(st.integers(0, 2)), A, in_force=draw(st.booleans())),
        delegated(draw(st.integers(0, 2)), B),
        priority(draw(st.integers(0, 2)), opened=draw(st.booleans())),
        # Lent before there were own seats: whose id comes first, gives later.
        replace(delegated(draw(st.integers(0, 1)), A, agreement_id=UUID(int=1)), id=UUID(int=15)),
    ]
    line = []
    lost = draw(st.integers(0, 2))
    for number in range(1 - lost, 1 - lost + draw(st.integers(0, 8))):
        town, groups = draw(st.sampled_from([A, B])), draw(st.sampled_from([(), (ICE_AGE,)]))
        pool = draw(st.sampled_from([pool for pool in pools if pool.is_for(town, groups)]))
        line.append(
            waits(
                number,
                pool,
                town=town,
                target_groups=groups,
                waits_until=draw(st.sampled_from([CLOSES, CLOSES, CLOSES, NOON - timedelta(minutes=1)])),
                paused_until=draw(st.sampled_from([None, None, NOON, NOON + timedelta(hours=1)])),
                together_id=draw(st.sampled_from([None, None, PAIR, UUID(int=78)])),
                referred=draw(st.booleans()),
                offers=draw(st.integers(0, 2)),
                is_busy=draw(st.sampled_from([False, False, False, True])),
            )
        )
    return pools, draw(st.permutations(line))


def comes_before(one: InLine, other: InLine, pool: Pool, pools: Sequence[Pool], rule: LineRule) -> bool:
    """Naively, as one would read it out: who lost a seat, then criterion by criterion, then who asked first."""
    if one.lost_a_seat or other.lost_a_seat:
        return one.line_no < other.line_no
    closed = {each.id for each in pools if not each.is_open}
    for criterion in rule.criteria:
        says: Callable[[InLine], Any] = {
            Criterion.OWN_LINE: lambda p: p.pool_id in {pool.id, *closed},
            Criterion.TARGET_GROUP: lambda p: bool(set(p.target_groups) & set(pool.target_groups)),
            Criterion.FEWEST_OFFERS: lambda p: -p.offers,
            Criterion.REFERRED: lambda p: p.referred,
        }[criterion]
        if says(one) != says(other):
            return bool(says(one) > says(other))
    return one.line_no < other.line_no


def parties(line: Sequence[InLine]) -> list[list[InLine]]:
    together: dict[UUID, list[InLine]] = {}
    for place in line:
        together.setdefault(place.together_id or place.seat_request_id, []).append(place)
    return list(together.values())


@given(lines(), RULES)
def test_no_seat_is_idle_nobody_is_overtaken_and_nobody_is_half_served(
    drawn: tuple[list[Pool], list[InLine]], rule: LineRule
) -> None:
    pools, line = drawn
    outcomes = offer_free_seats(COURSE, pools, line, NOON, rule)
    given_in = {each.place: each.pool_id for each in outcomes if isinstance(each, Promoted)}
    lapsed = {each.place for each in outcomes if isinstance(each, Lapsed)}
    assert len(given_in) == len([each for each in outcomes if isinstance(each, Promoted)])
    assert all(place.waits_until < NOON for place in lapsed)
    left = Counter({pool.id: pool.free if pool.is_open else 0 for pool in pools}) - Counter()
    for place, pool_id in given_in.items():
        pool = next(pool for pool in pools if pool.id == pool_id)
        assert pool.is_open
        assert pool.is_for(place.municipality, place.target_groups)
        assert not place.is_paused(NOON)
        assert not place.is_busy
        assert place.waits_until >= NOON
        left[pool_id] -= 1
        assert left[pool_id] >= 0, "oversold"
    for party in parties([place for place in line if place not in lapsed and place.waits_until >= NOON]):
        has = [place in given_in for place in party]
        assert all(has) or not any(has), "half served"
        if any(has) or any(place.is_paused(NOON) or place.is_busy for place in party):
            continue
        open_to = [[p.id for p in pools if p.is_open and p.is_for(w.municipality, w.target_groups)] for w in party]
        for chosen in product(*open_to):
            assert Counter(chosen) - left, "a seat is idle beside who could have it"
        if len(party) == 1:
            for pool in pools:
                if pool.id in open_to[0]:
                    overtook = [other for other, in_ in given_in.items() if in_ == pool.id and not other.together_id]
                    assert not [o for o in overtook if comes_before(party[0], o, pool, pools, rule)], "overtaken"


@given(lines(), RULES)
def test_whoever_asks_later_gets_the_same_answer(drawn: tuple[list[Pool], list[InLine]], rule: LineRule) -> None:
    pools, line = drawn
    outcomes = offer_free_seats(COURSE, pools, line, NOON, rule)
    kept = json.loads(json.dumps(keep(COURSE, pools, line, outcomes, rule)))
    assert len(kept["line"]) + kept["behind"] == len(line)
    for outcome in outcomes:
        if isinstance(outcome, Promoted):
            account = account_for(kept, outcome.place.seat_request_id, NOON)
            assert account.same_again
            assert account.criteria == rule.criteria
            forged = kept | {"line": [[*each[:4], "2020-01-01T00:00:00+00:00", *each[5:]] for each in kept["line"]]}
            forged["outcomes"] = kept["outcomes"][:1] + kept["outcomes"]
            assert not account_for(forged, outcome.place.seat_request_id, NOON).same_again


@given(lines(), RULES)
def test_the_answer_does_not_depend_on_the_order_in_which_the_line_was_read(
    drawn: tuple[list[Pool], list[InLine]], rule: LineRule
) -> None:
    pools, line = drawn
    again = offer_free_seats(COURSE, pools[::-1], sorted(line, key=lambda place: place.seat_request_id), NOON, rule)
    assert again == offer_free_seats(COURSE, pools, line, NOON, rule)


# --- why not --------------------------------------------------------------------------------------------------------


def reasons(pools: list[Pool], line: list[InLine], place: InLine, *, now: datetime = NOON) -> set[str]:
    return set(stand(COURSE, pools, line, place, now, BY_ASKING).reasons)


def test_why_no_seat_is_offered() -> None:
    full, first = general(1, held=1), waits(1, general(1))
    later = waits(2, full)
    assert reasons([full], [first, later], first) == {WhyNot.NO_FREE_SEAT}
    assert reasons([full], [first, later], later) == {WhyNot.NO_FREE_SEAT, WhyNot.OTHERS_BEFORE}
    assert reasons([full], [first], first, now=CLOSES) == {WhyNot.NO_FREE_SEAT}
    assert reasons([full], [first], first, now=CLOSES + timedelta(seconds=1)) == {WhyNot.APPLICATIONS_CLOSED}
    paused = replace(first, paused_until=CLOSES)
    assert reasons([general(1)], [paused], paused) == {WhyNot.PAUSED}
    pair = [waits(1, full, together_id=PAIR), waits(2, full, together_id=PAIR)]
    assert reasons([general(1)], pair, pair[0]) == {WhyNot.TOO_FEW_TOGETHER}
    over = delegated(1, in_force=False)
    assert reasons([over], [waits(1, over)], waits(1, over)) == {WhyNot.NO_POOL_IN_FORCE}
    assert reasons([over, full], [waits(1, over)], waits(1, over)) == {WhyNot.OWN_POOL_CLOSED, WhyNot.NO_FREE_SEAT}
    assert reasons([general(1)], [first], first) == {WhyNot.OFFER_DUE}
    kept = {WhyNot.NO_FREE_SEAT, WhyNot.KEPT_FOR_OTHERS}
    assert reasons([full, priority(1)], [first], first) == kept
    assert reasons([full, delegated(1, B)], [first], first) == kept
    assert reasons([full, delegated(1, B, in_force=False)], [first], first) == {WhyNot.NO_FREE_SEAT}
    assert reasons([full, delegated(1, B, held=1)], [first], first) == {WhyNot.NO_FREE_SEAT}
    assert reasons([over, priority(1)], [waits(1, over)], waits(1, over)) == {
        WhyNot.NO_POOL_IN_FORCE,
        WhyNot.KEPT_FOR_OTHERS,
    }
    short = replace(first, waits_until=NOON)
    assert reasons([full], [short], short, now=NOON + timedelta(seconds=1)) == {WhyNot.WAIT_ENDED}


def test_who_waited_for_seats_that_went_back_has_a_true_place_in_the_line_of_all() -> None:
    over, everybody = delegated(1, in_force=False), general(1, held=1)
    line = [waits(1, everybody, town=B), waits(2, over), waits(3, everybody)]
    assert positions([over, everybody], line, BY_ASKING) == {
        place.seat_request_id: (everybody.id, number) for number, place in enumerate(line, 1)
    }
    standing = stand(COURSE, [over, everybody], line, line[2], NOON, BY_ASKING)
    assert (standing.position, standing.before) == (3, {"waited_longer": 2})


@given(lines(), RULES)
def test_a_place_shown_alone_is_the_place_in_the_list(drawn: tuple[list[Pool], list[InLine]], rule: LineRule) -> None:
    pools, line = drawn
    listed = positions(pools, line, rule)
    assert set(listed) == {place.seat_request_id for place in line}
    for place in line:
        standing = stand(COURSE, pools, line, place, NOON, rule)
        assert (standing.pool_id, standing.position) == listed[place.seat_request_id]
        assert sum(standing.before.values()) <= standing.position - 1
