"""Decisions of the 分科会: which is in force when, what contradicts what, and what the clock does to them."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.training.domain.plan import fiscal_quarter
from services.training.handlers.motions import Concluded, conclude_motion, lapse_next
from services.training.tables import deliberation as record
from shared.auth import Actor
from shared.events import QuotaDecided, QuotaLapsed, QuotaRatified
from shared.service.clock import JST
from tests.service.deliberation_room import (
    CITY,
    KAGOSHIMA,
    KIRISHIMA,
    VOTERS,
    Room,
    code,
    done,
    line,
)
from tests.service.training_courses import moment
from tests.world import World


@pytest.fixture
async def room(world: World) -> Room:
    return await Room(world.service("training")).set_up()


# --- contradictions -------------------------------------------------------------------------------------------------


async def test_a_decision_that_contradicts_one_in_force_is_refused_and_leaves_nothing(room: Room) -> None:
    first = await room.decide()
    motion = await room.table(allotments=[line(9, [KIRISHIMA, KAGOSHIMA], quarter=4)])
    answer = await room.put(motion, await room.meet(motion))
    assert await code(answer) == "contradicts_decision_in_force"
    assert answer.json()["errors"] == [
        {
            "pointer": "/supersedes",
            "code": "contradicts_decision_in_force",
            "decision_id": first,
            "number": "46-2026-001",
            "municipality": KAGOSHIMA,
        }
    ]
    assert await code(await room.decide_urgently(motion)) == "contradicts_decision_in_force"
    assert len(await room.training.rows("SELECT FROM decision")) == 1
    assert len(await room.training.rows("SELECT FROM ballot")) == 1


async def test_named_as_superseded_it_takes_the_others_place(room: Room) -> None:
    first = await room.decide()
    second = await room.decide(allotments=[line(9)], supersedes=[first])
    assert (await room.state(first), await room.state(second)) == ("superseded", "in_force")
    found = await room.decision(second)
    assert (found["version"], found["supersedes"]) == (2, [first])
    assert (await room.decision(first))["superseded_by"] == [second]
    assert [type(event).__name__ for event in await room.training.told()] == [
        "QuotaDecided",
        "QuotaDecided",
        "QuotaSuperseded",
    ]
    third = await room.table(allotments=[line(1)], supersedes=[first, second])
    assert await code(await room.put(third, await room.meet(third))) == "nothing_to_supersede"


async def test_other_seats_and_other_municipalities_do_not_contradict(room: Room) -> None:
    decided = [
        await room.decide(),
        await room.decide(allotments=[line(1, [KIRISHIMA])]),
        await room.decide(allotments=[line(2, field="care")]),
        await room.decide(allotments=[line(2, fiscal_year=2027, cut_off_on="2028-01-31")]),
        await room.decide(allotments=[line(3, course_number="46-08-123")]),
    ]
    assert [await room.state(each) for each in decided] == ["in_force"] * 5


async def test_a_vote_that_passed_while_another_decision_came_is_not_recorded_beside_it(room: Room) -> None:
    """The motion was put when nothing stood against it; the chair's urgent decision came in between."""
    slow, fast = await room.table(), await room.table(allotments=[line(2)])
    await done(room.put(slow, await room.meet(slow)))
    await done(room.decide_urgently(fast))
    for agency in VOTERS:
        await done(room.vote(slow, agency), 201)
    assert await code(await room.conclude(slow)) == "contradicts_decision_in_force"
    assert await room.training.rows("SELECT FROM ballot_end") == []
    await done(room.keeper.post(f"/v1/motions/{slow}/withdraw", {}))


async def test_two_that_contradict_one_another_at_once_become_one_decision(room: Room) -> None:
    motions = [await room.table(allotments=[line(seats)]) for seats in (1, 2, 3)]
    answers = await asyncio.gather(*map(room.decide_urgently, motions))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert len(await room.training.rows("SELECT FROM decision")) == 1


# --- the clock ------------------------------------------------------------------------------------------------------


async def test_a_decision_begins_and_ends_with_its_days(room: Room) -> None:
    begins, ends = await room.today(3), await room.today(5)
    decision = await room.decide(
        effective_from=begins.isoformat(), ends_on=ends.isoformat(), allotments=[line(cut_off_on=ends.isoformat())]
    )
    found = await room.decision(decision)
    assert found["state"] == "not_yet_in_force"
    room.training.pass_time(moment(found["effective_at"]) - await room.now() - timedelta(seconds=1))
    assert await room.state(decision) == "not_yet_in_force"
    room.training.pass_time(timedelta(seconds=1))
    assert await room.state(decision) == "in_force"
    room.training.pass_time(moment(found["ends_at"]) - await room.now() - timedelta(seconds=1))
    assert await room.state(decision) == "in_force"
    room.training.pass_time(timedelta(seconds=1))
    assert await room.state(decision) == "ended"

    async def in_force_on(day: object) -> list[str]:
        return [each["decision_id"] for each in await room.keeper.whole("/v1/decisions", in_force_on=str(day))]

    assert [await in_force_on(begins + timedelta(days=n)) for n in (-1, 0, 2, 3)] == [[], [decision], [decision], []]


async def test_numbers_begin_anew_with_the_fiscal_year_as_it_begins_in_japan(room: Room) -> None:
    year, _ = fiscal_quarter(await room.today())
    new_year = datetime(year + 1, 4, 1, tzinfo=JST)
    room.training.pass_time(new_year - await room.now() - timedelta(minutes=10))
    of_next_year = line(fiscal_year=year + 1, cut_off_on=f"{year + 1}-09-01")
    last = await room.decide(allotments=[of_next_year])
    room.training.pass_time(new_year - await room.now())
    first = await room.decide(allotments=[of_next_year], supersedes=[last])
    numbers = [(await room.decision(each))["number"] for each in (last, first)]
    assert numbers == [f"46-{year}-001", f"46-{year + 1}-001"]


async def test_a_decision_that_comes_after_its_own_cut_off_ends_no_other(room: Room) -> None:
    before, soon = await room.decide(), (await room.today(2)).isoformat()
    slow = await room.table(allotments=[line(9, cut_off_on=soon)], supersedes=[before])
    late = await room.table(allotments=[line(cut_off_on="2027-03-01", field="it"), line(9, cut_off_on=soon)])
    await done(room.put(slow, await room.meet(slow)))
    room.training.pass_time(timedelta(days=2))
    for agency in VOTERS:
        await done(room.vote(slow, agency), 201)
    meeting = await room.meet(late)
    room.training.pass_time(timedelta(days=1))
    for answer, place in (
        (await room.conclude(slow), 0),
        (await room.put(late, meeting), 1),
        (await room.decide_urgently(late), 1),
    ):
        assert await code(answer) == "cut_off_before_effect"
        assert answer.json()["errors"][0]["pointer"] == f"/allotments/{place}/cut_off_on"
    assert await room.state(before) == "in_force"
    assert len(await room.training.rows("SELECT FROM decision")) == 1


async def test_an_urgent_decision_is_in_force_at_once_and_lapses_if_nobody_ratifies_it(room: Room) -> None:
    before = await room.decide()
    motion = await room.table(allotments=[line(9)], supersedes=[before])
    assert await code(await room.decide_urgently(motion, CITY)) == "only_the_chair"
    urgent = (await done(room.decide_urgently(motion)))["decision_id"]
    assert (await room.state(before), await room.state(urgent)) == ("superseded", "in_force")
    limit = moment((await room.decision(urgent))["ratify_before"])
    assert await room.training.sweep() == 0
    room.training.pass_time(limit - await room.now() - timedelta(seconds=1))
    assert (await room.state(before), await room.state(urgent)) == ("superseded", "in_force")
    room.training.pass_time(timedelta(seconds=1))
    assert (await room.state(before), await room.state(urgent)) == ("in_force", "lapsed"), "before any sweep"
    assert await room.training.sweep() == 1
    assert await room.training.sweep() == 0
    (told,) = [event for event in await room.training.told() if isinstance(event, QuotaLapsed)]
    assert (str(told.decision_id), told.lapsed_at, told.reason) == (urgent, limit, "not_ratified")
    late = await room.put(motion, await room.meet(motion))
    assert await code(late) == "illegal_move"


@pytest.mark.parametrize(("seconds", "state"), [(-1, "in_force"), (1, "lapsed")])
async def test_ratified_a_second_before_the_limit_it_stays_and_a_second_after_it_has_lapsed(
    room: Room, seconds: int, state: str
) -> None:
    motion = await room.table()
    urgent = (await done(room.decide_urgently(motion)))["decision_id"]
    limit = moment((await room.decision(urgent))["ratify_before"])
    # On the last day already, so that the meeting is of that day.
    room.training.pass_time(limit - await room.now() - timedelta(hours=2))
    await done(room.put(motion, await room.meet(motion)))
    for agency in VOTERS:
        await done(room.vote(motion, agency), 201)
    room.training.pass_time(limit - await room.now() + timedelta(seconds=seconds))
    concluded = await done(room.conclude(motion))
    assert concluded["outcome"] == "passed"
    assert await room.state(urgent) == state
    await room.training.sweep()
    told = [type(event) for event in await room.training.told()]
    assert told == [QuotaDecided, QuotaRatified if seconds < 0 else QuotaLapsed]
    room.training.pass_time(timedelta(days=30))
    assert await room.state(urgent) == state


async def test_a_ratification_that_waited_for_its_turn_is_too_late_if_the_limit_was_acted_upon(room: Room) -> None:
    """It was asked for in time, and stood in line behind somebody who built on the decision's having lapsed."""
    motion = await room.table()
    urgent = (await done(room.decide_urgently(motion)))["decision_id"]
    limit = moment((await room.decision(urgent))["ratify_before"])
    await done(room.put(motion, await room.meet(motion)))
    for agency in VOTERS:
        await done(room.vote(motion, agency), 201)
    room.training.pass_time(limit - await room.now() + timedelta(seconds=1))
    other = await room.table(allotments=[line(9)])
    await done(room.decide_urgently(other))
    keeper = Actor("client", "kencho-planner", "prefecture", frozenset({"prefecture:46"}), frozenset({"planner"}), ())
    async with room.training.database.transaction() as session:
        before = limit - timedelta(seconds=1)
        concluded = await conclude_motion(session, UUID(motion), actor=keeper, now=before)
    assert isinstance(concluded, Concluded)
    assert await room.state(urgent) == "lapsed"
    assert await room.training.rows("SELECT FROM ratification") == []


async def test_a_decision_that_was_ratified_while_the_sweep_looked_for_it_has_not_lapsed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    motion = await room.table()
    urgent = (await done(room.decide_urgently(motion)))["decision_id"]
    await room.voted(motion, dict.fromkeys(VOTERS, "for"))

    async def stale(_session: object, _now: object) -> tuple[UUID, UUID]:
        return UUID(room.id), UUID(urgent)

    monkeypatch.setattr(record, "lock_next_lapsed", stale)
    async with room.training.database.transaction() as session:
        await lapse_next(session, await room.now() + timedelta(days=60))
    assert [type(event) for event in await room.training.told()] == [QuotaDecided, QuotaRatified]


async def test_an_urgent_decision_that_is_voted_down_lapses_with_the_vote(room: Room) -> None:
    before = await room.decide()
    motion = await room.table(allotments=[line(9)], supersedes=[before])
    urgent = (await done(room.decide_urgently(motion)))["decision_id"]
    concluded = await room.voted(motion, dict.fromkeys(VOTERS, "against"))
    assert concluded["outcome"] == "rejected"
    assert (await room.state(before), await room.state(urgent)) == ("in_force", "lapsed")
    (told,) = [event for event in await room.training.told() if isinstance(event, QuotaLapsed)]
    assert told.reason == "refused"
    room.training.pass_time(timedelta(days=30))
    assert await room.training.sweep() == 0, "told once"


async def test_what_an_unratified_decision_superseded_may_be_back_and_counts_as_in_force(room: Room) -> None:
    before = await room.decide(allotments=[line(4, [KAGOSHIMA, KIRISHIMA])])
    motion = await room.table(allotments=[line(9)], supersedes=[before])
    urgent = (await done(room.decide_urgently(motion)))["decision_id"]
    beside = await room.table(allotments=[line(2, [KIRISHIMA])])
    answer = await room.put(beside, await room.meet(beside))
    assert await code(answer) == "contradicts_decision_in_force"
    assert [error["decision_id"] for error in answer.json()["errors"]] == [before]
    await room.voted(motion, dict.fromkeys(VOTERS, "for"))
    assert await room.state(urgent) == "in_force"
    await done(room.put(beside, await room.meet(beside)))


async def test_seats_without_a_decision_are_never_in_force(room: Room) -> None:
    (row,) = await room.training.rows("SELECT decision_in_force($1, now()) AS granted", uuid4())
    assert row["granted"] is False
