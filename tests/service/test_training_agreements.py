"""Municipalities lend, recall and swap seats by agreement of both; nobody who has a seat loses it."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.training.handlers.courses import Offered
from shared.auth import Role
from shared.events import SeatAgreementChanged, SeatsMoved
from tests.service.agreement_towns import lent, pool_of, proposal, propose, stand_after, standing, take, two_towns
from tests.service.deliberation_room import KAGOSHIMA, KIRISHIMA, Room, code, the_room
from tests.service.training_courses import (
    an_offer,
    broken_promises,
    desk,
    offer_again,
    placement,
    planner,
    seat,
    state_of,
    step,
)
from tests.world import ZAMA, Running, World

OURS, THEIRS, LENT = (KAGOSHIMA, False), (KIRISHIMA, False), (KIRISHIMA, True)


@pytest.fixture
async def training(world: World) -> Running:
    return world.service("training")


@pytest.fixture
async def room(training: Running) -> Room:
    return await the_room(training)


async def test_with_the_others_yes_seats_move_and_who_waits_there_is_offered_one(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    theirs = [await seat(training, course, municipality=KIRISHIMA) for _ in range(3)]
    assert theirs[2]["outcome"] == "waiting"
    proposed = (await propose(training, await proposal(training, room, course))).json()
    assert (proposed["kind"], proposed["state"], proposed["legal_moves"]) == ("lend", "proposed", ["withdraw"])
    assert await standing(training, course) == {OURS: (3, 0), THEIRS: (2, 2)}, "a proposal moves nothing"
    agreed = (await take(training, proposed, "agree")).json()
    assert (agreed["state"], agreed["legal_moves"]) == ("agreed", ["give-back"])
    assert await standing(training, course) == {OURS: (1, 0), THEIRS: (2, 2), LENT: (2, 1)}
    assert await state_of(training, theirs[2]) == "held"
    # The seat says which decision granted it, and who lends it.
    (leg,) = agreed["legs"]
    grant = (await desk(training, KIRISHIMA).get(f"/v1/seat-requests/{theirs[2]['seat_request_id']}/grant")).json()
    assert (grant["lent_by"], grant["agreement_id"]) == (KAGOSHIMA, agreed["agreement_id"])
    assert (grant["decision"]["decision_id"], leg["outstanding"], leg["taken"]) == (leg["decision_id"], 2, 1)
    told = [each for each in await training.told() if isinstance(each, SeatAgreementChanged | SeatsMoved)]
    assert [getattr(each, "state", each.kind) for each in told] == ["proposed", "lend", "agreed"]
    assert (await take(training, proposed, "agree")).status_code == 409, "once"
    assert await broken_promises(training) == []


async def test_a_recall_takes_what_nobody_holds_and_the_rest_when_it_comes_free(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    agreed = await lent(training, room, course)
    theirs = [await seat(training, course, municipality=KIRISHIMA) for _ in range(3)]
    assert await standing(training, course) == {OURS: (1, 0), THEIRS: (2, 2), LENT: (2, 1)}
    ours = [await seat(training, course) for _ in range(2)]
    assert [each["outcome"] for each in ours] == ["held", "waiting"]
    assert (await take(training, agreed, "recall")).status_code == 403, "the lender's to say"
    recalled = (await take(training, agreed, "recall", KAGOSHIMA)).json()
    assert (recalled["state"], recalled["legs"][0]["outstanding"], recalled["legs"][0]["taken"]) == ("recalled", 1, 1)
    assert await standing(training, course) == {OURS: (2, 2), THEIRS: (2, 2), LENT: (1, 1)}
    assert [await state_of(training, each) for each in (*theirs, ours[1])] == ["held"] * 4
    waits = await seat(training, course, municipality=KIRISHIMA)
    assert waits["outcome"] == "waiting"
    lent_one = next(each for each in theirs if each["pool_id"] == agreed["legs"][0]["lent_pool_id"])
    await step(desk(training, KIRISHIMA), lent_one, "release", {"reason": "withdrawn"})
    assert await standing(training, course) == {OURS: (3, 2), THEIRS: (2, 2)}, "it was lent no longer"
    assert await state_of(training, waits) == "waiting"
    assert await broken_promises(training) == []


async def test_what_is_due_goes_back_by_itself_and_on_with_the_lenders_cut_off(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    first = await lent(training, room, course, seats=1, days=10)
    await lent(training, room, course, seats=2, days=30)
    stand_after(training, await room.today(10))
    await training.sweep()
    assert await standing(training, course) == {OURS: (1, 0), THEIRS: (2, 0), LENT: (2, 0)}
    found = (await desk(training).get(f"/v1/seat-agreements/{first['agreement_id']}")).json()
    assert (found["state"], found["legal_moves"], found["legs"][0]["outstanding"]) == ("ended", [], 0)
    cut_offs = (await desk(training, KIRISHIMA).get(f"/v1/cut-offs?municipality={KIRISHIMA}")).json()["items"]
    assert {(*each["next_municipalities"], each["agreement_id"] is not None) for each in cut_offs} == {
        (KAGOSHIMA, True), (False,),
    }  # fmt: skip
    stand_after(training, await room.today(20))
    await training.sweep()
    assert await standing(training, course) == {("all", False): (5, 0)}, "back to the lender, and on for all"
    assert await training.sweep() == 0
    assert await broken_promises(training) == []


async def test_a_swap_moves_both_or_none(training: Running, room: Room) -> None:
    here, there = await two_towns(training, room), await two_towns(training, room)
    back = {
        "pool_id": await pool_of(training, there, KIRISHIMA), "seats": 1, "until_on": (await room.today(20)).isoformat()
    }  # fmt: skip
    bodies = [await proposal(training, room, here, in_return=back) for _ in range(2)]
    first, second = [(await propose(training, body)).json() for body in bodies]
    assert (first["kind"], len(first["legs"])) == ("swap", 2)
    taken = [await seat(training, there, municipality=KIRISHIMA) for _ in range(2)]
    denied = await take(training, first, "agree")
    assert (denied.status_code, await code(denied)) == (409, "more_than_free")
    assert await standing(training, here) == {OURS: (3, 0), THEIRS: (2, 0)}, "none"
    await step(desk(training, KIRISHIMA), taken[0], "release", {"reason": "withdrawn"})
    assert (await take(training, second, "agree")).status_code == 200
    assert await standing(training, here) == {OURS: (1, 0), THEIRS: (2, 0), LENT: (2, 0)}
    assert await standing(training, there) == {OURS: (3, 0), THEIRS: (1, 1), (KAGOSHIMA, True): (1, 0)}
    assert (await take(training, second, "recall", KAGOSHIMA)).status_code == 409, "what was swapped is not recalled"
    stand_after(training, await room.today(20))
    await training.sweep()
    assert await standing(training, there) == {OURS: (3, 0), THEIRS: (2, 1)}
    assert await broken_promises(training) == []


async def test_who_asks_for_seats_may_propose_too_and_only_the_other_answers(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    body = await proposal(training, room, course, proposed_for=KIRISHIMA)
    asked = (await propose(training, body, KIRISHIMA)).json()
    assert (asked["asked"], asked["legal_moves"]) == (KAGOSHIMA, ["withdraw"])
    assert (await propose(training, body, KAGOSHIMA)).status_code == 404, "in another's name"
    assert (await take(training, asked, "agree", KIRISHIMA)).status_code == 403
    both = training.as_(f"desk-{KIRISHIMA}", Role.COUNSELLOR, municipalities=["prefecture:46"])
    own = await both.post(f"/v1/seat-agreements/{asked['agreement_id']}/agree", {})
    assert own.status_code == 403, "two agencies, also where one stands for both"
    path = f"/v1/seat-agreements/{asked['agreement_id']}"
    assert (await desk(training, ZAMA).get(path)).status_code == 404
    assert (await take(training, asked, "agree", ZAMA)).status_code == 404
    assert (await desk(training, ZAMA).get("/v1/seat-agreements")).json() == {"items": [], "next_cursor": None}
    assert (await planner(training).post(f"{path}/agree", {})).status_code == 403
    assert (await placement(training, KAGOSHIMA).post(f"{path}/agree", {})).status_code == 200


async def test_a_proposal_ends_by_a_no_by_withdrawing_or_by_itself(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    body = await proposal(training, room, course, answer_within=1)
    no, back, late = [(await propose(training, body)).json() for _ in range(3)]
    assert (await take(training, no, "decline")).json()["state"] == "declined"
    assert (await take(training, back, "withdraw", KAGOSHIMA)).json()["state"] == "withdrawn"
    training.pass_time(timedelta(days=7))
    answer = await take(training, late, "agree")
    assert (answer.status_code, await code(answer)) == (409, "illegal_move")
    assert (await desk(training).get("/v1/seat-agreements?state=lapsed")).json()["items"][0]["state"] == "lapsed"
    await training.sweep()
    states = [each.state for each in await training.told() if isinstance(each, SeatAgreementChanged)]
    assert sorted(states[3:]) == ["declined", "lapsed", "withdrawn"]
    assert await training.sweep() == 0
    assert await standing(training, course) == {OURS: (3, 0), THEIRS: (2, 0)}
    found = await desk(training).whole("/v1/seat-agreements?limit=2")
    assert [each["state"] for each in found] == ["declined", "withdrawn", "lapsed"]
    answer = await desk(training).get("/v1/seat-agreements.csv?encoding=utf-8")
    rows = answer.content.decode("utf-8-sig").splitlines()
    assert rows[0].startswith("番号,種類,状態,講座番号")
    assert [row.split(",")[2] for row in rows[1:]] == ["不同意", "取下げ", "期限切れ"]


async def test_what_can_not_be_lent_is_said_with_the_rule(training: Running, room: Room) -> None:
    course, fixed = await two_towns(training, room), await two_towns(training, room, lendable=False)
    agreed = await lent(training, room, course, seats=1)
    for body, because in (
        (await proposal(training, room, course, seats=3), "more_than_free"),
        (await proposal(training, room, course, days=31), "lent_beyond_cut_off"),
        (await proposal(training, room, course, taker=ZAMA), "taker_elsewhere"),
        (await proposal(training, room, course, taker=KAGOSHIMA), "not_between_two"),
        (await proposal(training, room, fixed), "not_lendable"),
        (await proposal(training, room, course, pool_id=agreed["legs"][0]["lent_pool_id"], taker="462250",
                        proposed_for=KIRISHIMA, seats=1), "not_theirs_to_lend"),
    ):  # fmt: skip
        answer = await propose(training, body, body["proposed_for"])
        assert (answer.status_code, await code(answer)) == (409, because), answer.text
    assert (await propose(training, await proposal(training, room, course, pool_id=str(uuid4())))).status_code == 404


async def test_lent_seats_come_home_when_their_decision_is_over(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    await lent(training, room, course)
    theirs = [await seat(training, course, municipality=KIRISHIMA) for _ in range(3)]
    number = (await training.rows("SELECT course_number FROM course_run"))[0][0]
    await room.decide(allotments=[], supersedes=await room.decided(number))
    await training.sweep()
    assert (await standing(training, course))[LENT] == (1, 1)
    assert [await state_of(training, each) for each in theirs] == ["held"] * 3
    assert await broken_promises(training) == []


async def test_a_file_counts_lent_seats_where_they_were_granted(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    await lent(training, room, course)
    run = (await planner(training).get(f"/v1/course-runs/{course}")).json()
    same = {"course_number": run["course_number"], "delegated": {KAGOSHIMA: 3, KIRISHIMA: 2}}
    assert isinstance(await offer_again(training, an_offer(capacity=6, **same)), Offered)
    assert await standing(training, course) == {OURS: (1, 0), THEIRS: (2, 0), LENT: (2, 0), ("all", False): (1, 0)}
    fewer = same | {"delegated": {KAGOSHIMA: 1, KIRISHIMA: 2}}
    assert not isinstance(await offer_again(training, an_offer(capacity=6, **fewer)), Offered)


async def test_of_two_proposals_on_the_same_seats_one_moves_them(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    body = await proposal(training, room, course, seats=2)
    proposed = [(await propose(training, body)).json() for _ in range(3)]
    answers = await asyncio.gather(*(take(training, each, "agree") for each in [*proposed, proposed[0]]))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert await standing(training, course) == {OURS: (1, 0), THEIRS: (2, 0), LENT: (2, 0)}
    assert await broken_promises(training) == []


# --- the database by itself -----------------------------------------------------------------------------------------

_LEND = (
    "INSERT INTO pool (id, course_run_id, kind, municipality, municipalities, decision_allotment_id, source_pool_id,"
    " agreement_id, agreement_leg) SELECT $1, course_run_id, kind, $4, ARRAY[$4], decision_allotment_id, id, $3, $5"
    " FROM pool WHERE id = $2"
)
_ENTER = (
    "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, to_pool_id, seats, at)"
    " SELECT $1, $2, course_run_id, $3, id, $5, $6, clock_timestamp() + interval '1 minute' FROM pool WHERE id = $4"
)


async def test_the_database_lends_nothing_without_an_agreement(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    ours, body = UUID(await pool_of(training, course, KAGOSHIMA)), await proposal(training, room, course)
    agreement = UUID((await propose(training, body)).json()["agreement_id"])
    with pytest.raises(asyncpg.CheckViolationError, match="lent as both agreed"):
        await training.rows(_LEND, uuid4(), ours, agreement, "462250", 1)
    theirs = uuid4()
    await training.rows(_LEND, theirs, ours, agreement, KIRISHIMA, 1)
    with pytest.raises(asyncpg.CheckViolationError, match="without an agreement of both"):
        await training.rows(_ENTER, agreement, 1, "lend", ours, theirs, 2)
    said = "INSERT INTO agreement_step (agreement_id, number, step, by, at) VALUES ($1, $2, $3, 'x', now())"
    for number, what, because in (
        (3, "agreed", "follow one another"), (2, "recalled", "not take that step"), (2, "lapsed", "not take that step"),
    ):  # fmt: skip
        with pytest.raises(asyncpg.CheckViolationError, match=because):
            await training.rows(said, agreement, number, what)
    await training.rows(said, agreement, 2, "agreed")
    for command, number, kind, many, because in (
        (agreement, 1, "lend", 1, "without an agreement of both"),
        (uuid4(), 1, "lend", 2, "without an agreement of both"),
        (agreement, 1, "swap", 2, "without an agreement of both"),
        (agreement, 1, "recall", 2, "goes back to who lent it"),
    ):
        with pytest.raises(asyncpg.CheckViolationError, match=because):
            await training.rows(_ENTER, command, number, kind, ours, theirs, many)
    await training.rows(_ENTER, agreement, 1, "lend", ours, theirs, 2)
    with pytest.raises(asyncpg.UniqueViolationError):
        await training.rows(_ENTER, agreement, 1, "lend", ours, theirs, 2)
    with pytest.raises(asyncpg.CheckViolationError, match="until they are due or recalled"):
        await training.rows(_ENTER, uuid4(), 1, "recall", theirs, ours, 1)
    back = (
        "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, at)"
        " VALUES (gen_random_uuid(), 1, $1, 'return', $2, 1, now())"
    )
    with pytest.raises(asyncpg.CheckViolationError, match="go back there"):
        await training.rows(back, course, theirs)
    await seat_in(training, course, theirs)
    await training.rows(said, agreement, 3, "recalled")
    with pytest.raises(asyncpg.CheckViolationError):
        await training.rows(_ENTER, uuid4(), 1, "recall", theirs, ours, 2)


async def seat_in(training: Running, course: UUID, pool: UUID) -> None:
    """A seat of a pool is held."""
    await training.rows(
        "WITH r AS (INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, requested_by, state,"
        " expires_at, requested_at) VALUES (gen_random_uuid(), $1, $2, gen_random_uuid(), $3, 'x', 'held',"
        " now() + interval '1 day', now()) RETURNING id) INSERT INTO seat_entry (command, number, course_run_id, kind,"
        " pool_id, seats, seat_request_id, at) SELECT id, 1, $1, 'hold', $2, 1, id, now() FROM r",
        course,
        pool,
        KIRISHIMA,
    )


async def test_the_database_swaps_both_or_none(training: Running, room: Room) -> None:
    course = await two_towns(training, room)
    ours, theirs = [UUID(await pool_of(training, course, town)) for town in (KAGOSHIMA, KIRISHIMA)]
    back = {"pool_id": str(theirs), "seats": 1, "until_on": (await room.today(5)).isoformat()}
    body = await proposal(training, room, course, seats=1, in_return=back)
    agreement = UUID((await propose(training, body)).json()["agreement_id"])
    await training.rows(
        "INSERT INTO agreement_step (agreement_id, number, step, by, at) VALUES ($1, 2, 'agreed', 'x', now())",
        agreement,
    )
    pools = [uuid4(), uuid4()]
    await training.rows(_LEND, pools[0], ours, agreement, KIRISHIMA, 1)
    await training.rows(_LEND, pools[1], theirs, agreement, KAGOSHIMA, 2)
    with pytest.raises(asyncpg.CheckViolationError, match="both or none"):
        await training.rows(_ENTER, agreement, 1, "swap", ours, pools[0], 1)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE seat_agreement SET kind = 'swap'",
        "UPDATE agreement_leg SET seats = 9",
        "DELETE FROM agreement_step",
        "UPDATE pool SET agreement_id = NULL",
        "UPDATE pool SET source_pool_id = NULL",
        "INSERT INTO allotment_onward VALUES (gen_random_uuid(), 1, '{462012}', '2027-01-01')",
    ],
)
async def test_the_service_may_not_rewrite_what_was_agreed(training: Running, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await training.rows(sql)
