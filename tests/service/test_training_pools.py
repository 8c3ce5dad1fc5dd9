"""Delegated seats rest on a decision in force: without one there are none, and each seat says which one granted it."""

import asyncio
import itertools
import json
from dataclasses import asdict, replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.training.domain.decisions import Selector
from services.training.domain.offers import CourseOffer, Denied
from services.training.domain.pools import Allotted, Run
from services.training.handlers.courses import Offered
from tests.service.deliberation_room import Room, line, the_room
from tests.service.training_courses import (
    KAGOSHIMA,
    KIRISHIMA,
    an_offer,
    broken_promises,
    desk,
    offer_again,
    planner,
    seat,
    state_of,
    step,
)
from tests.world import ZAMA, Running, World

BOTH = f"{KAGOSHIMA}+{KIRISHIMA}"


@pytest.fixture
async def training(world: World) -> Running:
    return world.service("training")


@pytest.fixture
async def room(training: Running) -> Room:
    return await the_room(training)


def of_2027(seats: int = 4, *municipalities: str, **more: Any) -> dict[str, Any]:
    """An allotment of web design in 2027, the year in which the tests' course runs begin."""
    return line(seats, municipalities or (KAGOSHIMA,), **({"fiscal_year": 2027} | more))


async def stands(training: Running, offer: CourseOffer) -> UUID:
    outcome = await offer_again(training, offer)
    assert isinstance(outcome, Offered), outcome
    return outcome.course_run_id


async def seats_of(training: Running, course: UUID) -> dict[tuple[str, bool], tuple[int, int]]:
    """Granted and taken, by whose, and whether the decision is in force."""
    run = (await planner(training).get(f"/v1/course-runs/{course}")).json()
    return {
        ("+".join(pool["municipalities"]) or "all", pool["in_force"]): (pool["granted"], pool["held"] + pool["filled"])
        for pool in run["pools"]
        if pool["granted"]
    }


async def test_nothing_is_delegated_without_a_decision(training: Running, room: Room) -> None:
    offer = an_offer(delegated={KAGOSHIMA: 2})
    assert await offer_again(training, offer) == Denied("no_decision_in_force", "delegated")
    await room.decide(allotments=[of_2027(field="care")])
    await room.decide(allotments=[of_2027(4, KIRISHIMA)])
    await room.decide(allotments=[of_2027(fiscal_year=2028)])
    assert await offer_again(training, offer) == Denied("no_decision_in_force", "delegated")
    assert await training.rows("SELECT FROM course_run") == []


async def test_a_line_of_a_file_without_a_decision_is_refused_with_what_to_do(training: Running, room: Room) -> None:
    await room.decide(allotments=[of_2027(3)])
    header = "講座番号,講座名,訓練種別,分野,実施機関ID,所在地コード,開始日,終了日,定員,応募締切,委ねる枠,出典,確認日"
    run = f"科,job_seeker_practical,web_design,kagoshima-school,{KAGOSHIMA},2027-04-01,2027-09-30,10,2027-03-01 16:00"
    lines = [
        f"46-{n},{run},{whose},出典,2026-11-01"
        for n, whose in enumerate([f"{KAGOSHIMA}:3", f"{KAGOSHIMA}:1", f"{KIRISHIMA}:1", ""])
    ]
    content = "\n".join([header, *lines]).encode()
    answer = await planner(training).post(
        "/v1/course-run-imports", content=content, headers={"Content-Type": "text/csv"}
    )
    report = answer.json()
    assert (report["created"], report["rejected"]) == (2, 2)
    assert [(each["row"], each["code"]) for each in report["errors"]] == [
        (3, "more_than_allotted"),
        (4, "no_decision_in_force"),
    ]
    assert all("決定" in each["message_ja"] for each in report["errors"])


async def test_an_allotment_is_one_number_for_all_its_pools(training: Running, room: Room) -> None:
    await room.decide(allotments=[of_2027(4)])
    first, second = an_offer(delegated={KAGOSHIMA: 3}), an_offer(delegated={KAGOSHIMA: 2})
    await stands(training, first)
    assert await offer_again(training, second) == Denied("more_than_allotted", "delegated")
    await stands(training, replace(second, delegated={KAGOSHIMA: 1}))
    # What is given up for one course run is there for another; in a file, for the lines after it.
    await stands(training, replace(first, delegated={KAGOSHIMA: 2}))
    await stands(training, second)


async def test_two_at_once_do_not_share_out_the_same_seats(training: Running, room: Room) -> None:
    await room.decide(allotments=[of_2027(4)])
    offers = [an_offer(delegated={KAGOSHIMA: 3}) for _ in range(4)]
    outcomes = await asyncio.gather(*(offer_again(training, offer) for offer in offers))
    assert sorted(isinstance(outcome, Offered) for outcome in outcomes) == [False, False, False, True]


async def test_the_same_course_run_twice_at_once_is_granted_its_seats_once(training: Running, room: Room) -> None:
    await room.decide(allotments=[of_2027(4)])
    offer = an_offer(delegated={KAGOSHIMA: 3})
    outcomes = await asyncio.gather(*(offer_again(training, offer) for _ in range(4)))
    became = sorted(getattr(outcome, "became", str(outcome)) for outcome in outcomes)
    assert became == ["created", "unchanged", "unchanged", "unchanged"]


async def test_own_seats_come_before_shared_ones_and_these_before_general_ones(training: Running, room: Room) -> None:
    await room.decide(
        allotments=[of_2027(1, KIRISHIMA), of_2027(1, KAGOSHIMA, KIRISHIMA, system="job_seeker_practical")]
    )
    course = await stands(training, an_offer(capacity=4, delegated={KIRISHIMA: 1, BOTH: 1}))
    got = [await seat(training, course, municipality=KIRISHIMA) for _ in range(3)]
    pools = {str(row["id"]): "+".join(row["municipalities"]) for row in await training.rows("SELECT * FROM pool")}
    assert [pools[each["pool_id"]] for each in got] == [KIRISHIMA, BOTH, ""]
    assert (await seat(training, course))["pool_kind"] == "general"
    waits = await seat(training, course)
    assert (waits["outcome"], pools[waits["pool_id"]]) == ("waiting", BOTH)


async def test_a_new_decision_leaves_taken_seats_and_takes_over_the_others(training: Running, room: Room) -> None:
    old = await room.decide(allotments=[of_2027(4)])
    course = await stands(training, an_offer(capacity=4, delegated={KAGOSHIMA: 4}))
    held = [await seat(training, course) for _ in range(2)]
    new = await room.decide(allotments=[of_2027(3)], supersedes=[old])
    await training.sweep()
    assert await seats_of(training, course) == {
        (KAGOSHIMA, False): (2, 2), (KAGOSHIMA, True): (1, 0), ("all", True): (1, 0),
    }  # fmt: skip
    another = await seat(training, course)
    granted = [(await grant_of(training, each))["decision"]["decision_id"] for each in (*held, another)]
    assert granted == [old, old, new]
    assert await broken_promises(training) == []


async def test_a_repeal_gives_what_is_free_to_those_who_wait(training: Running, room: Room) -> None:
    old = await room.decide(allotments=[of_2027(4, KIRISHIMA)])
    course = await stands(training, an_offer(capacity=2, delegated={KIRISHIMA: 2}))
    theirs = await seat(training, course, municipality=KIRISHIMA)
    await stands(
        training, an_offer(course_number=await number_of(training, course), capacity=3, delegated={KIRISHIMA: 2})
    )
    ours, waits = await seat(training, course), await seat(training, course)
    assert (ours["outcome"], waits["outcome"]) == ("held", "waiting")
    await room.decide(allotments=[], supersedes=[old])
    # Who asks in the moment before the sweep overtakes nobody.
    late = await seat(training, course, municipality=KIRISHIMA)
    assert (late["outcome"], await state_of(training, waits)) == ("waiting", "held")
    assert await training.sweep() == 0
    # A seat that comes back is for all: nobody gets it under a decision that is over.
    assert (await step(desk(training, KIRISHIMA), theirs, "release", {"reason": "withdrawn"})).status_code == 200
    assert await state_of(training, late) == "held"
    assert await seats_of(training, course) == {("all", True): (3, 3)}


async def test_what_an_urgent_decision_took_comes_back_when_it_lapses(training: Running, room: Room) -> None:
    old = await room.decide(allotments=[of_2027(4)])
    course = await stands(training, an_offer(capacity=4, delegated={KAGOSHIMA: 4}, hold_hours=2400))
    await seat(training, course)
    urgent = await room.table(allotments=[of_2027(2)], supersedes=[old])
    assert (await room.decide_urgently(urgent)).status_code == 200
    await training.sweep()
    assert await seats_of(training, course) == {
        (KAGOSHIMA, False): (1, 1), (KAGOSHIMA, True): (1, 0), ("all", True): (2, 0),
    }  # fmt: skip
    await seat(training, course)
    training.pass_time(timedelta(days=15))
    await training.sweep()
    # The first is in force again; what the chair's was taken for stays taken, and counts in the first one's number.
    assert await seats_of(training, course) == {
        (KAGOSHIMA, True): (1, 1), (KAGOSHIMA, False): (1, 1), ("all", True): (2, 0),
    }  # fmt: skip
    number = await number_of(training, course)
    await stands(training, an_offer(course_number=number, capacity=4, delegated={KAGOSHIMA: 4}))
    assert (await seats_of(training, course))[KAGOSHIMA, True] == (3, 1)
    assert await broken_promises(training) == []


async def test_a_decision_grants_between_its_moments_by_the_databases_clock(training: Running, room: Room) -> None:
    begins, ends = [(await room.today(days)).isoformat() for days in (3, 10)]
    await room.decide(effective_from=begins, ends_on=ends, allotments=[of_2027(4, cut_off_on=ends)])
    offer = an_offer(delegated={KAGOSHIMA: 1})
    assert await offer_again(training, offer) == Denied("no_decision_in_force", "delegated")
    training.pass_time(timedelta(days=4))
    course = await stands(training, offer)
    assert (await seats_of(training, course))[KAGOSHIMA, True] == (1, 0)
    training.pass_time(timedelta(days=8))
    assert await offer_again(training, an_offer(delegated={KAGOSHIMA: 1})) == Denied(
        "no_decision_in_force", "delegated"
    )
    await training.sweep()
    assert await seats_of(training, course) == {("all", True): (10, 0)}


async def test_who_waited_longest_is_first_under_the_new_decision(training: Running, room: Room) -> None:
    old = await room.decide(allotments=[of_2027(1)])
    course = await stands(training, an_offer(capacity=1, delegated={KAGOSHIMA: 1}, hold_hours=2400))
    number = await number_of(training, course)
    first, waits = await seat(training, course), await seat(training, course)
    await room.decide(allotments=[of_2027(3)], supersedes=[old])
    await stands(training, an_offer(course_number=number, capacity=2, delegated={KAGOSHIMA: 2}))
    assert [await state_of(training, each) for each in (first, waits)] == ["held", "held"]
    newcomer = await seat(training, course)
    assert newcomer["outcome"] == "waiting"


async def test_every_pool_and_every_seat_says_what_granted_it(training: Running, room: Room) -> None:
    made = await room.decide(allotments=[of_2027(2)])
    course = await stands(training, an_offer(capacity=3, delegated={KAGOSHIMA: 1}))
    own, general = await seat(training, course), await seat(training, course)
    grant = await grant_of(training, own)
    assert (grant["pool_kind"], grant["municipalities"]) == ("delegated", [KAGOSHIMA])
    decision = grant["decision"]
    assert (decision["decision_id"], decision["allotted"], decision["state"]) == (made, 2, "in_force")
    assert (await planner(training).get(decision["href"].removeprefix("/training"))).json()["decision_id"] == made
    assert (await grant_of(training, general))["decision"] is None
    path = f"/v1/course-runs/{course}/pools/{own['pool_id']}/grant"
    assert (await planner(training).get(path)).json() == grant
    assert (await planner(training).get(path.replace(own["pool_id"], str(uuid4())))).status_code == 404
    # Another municipality's request is not there for it.
    answer = await desk(training, KIRISHIMA).get(f"/v1/seat-requests/{own['seat_request_id']}/grant")
    assert (answer.status_code, await code_of(answer)) == (404, "not_found")


async def grant_of(training: Running, asked: dict[str, Any]) -> dict[str, Any]:
    answer = await desk(training).get(f"/v1/seat-requests/{asked['seat_request_id']}/grant")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def code_of(answer: Any) -> str:
    return str(answer.json()["code"])


async def number_of(training: Running, course: UUID) -> str:
    return str((await training.rows("SELECT course_number FROM course_run WHERE id = $1", course))[0][0])


# --- the database by itself -----------------------------------------------------------------------------------------

_POOL = (
    "INSERT INTO pool (id, course_run_id, kind, municipality, municipalities, decision_allotment_id)"
    " VALUES ($1, $2, 'delegated', $3, $4, $5)"
)
_GRANT = (
    "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, at)"
    " VALUES (gen_random_uuid(), 1, $1, 'grant', $2, $3, coalesce($4, now()))"
)


async def a_pool(training: Running, course: UUID, allotment: UUID | None, *towns: str) -> UUID:
    pool = uuid4()
    alone = towns[0] if len(towns) == 1 else None
    await training.rows(_POOL, pool, course, alone, list(towns), allotment)
    return pool


async def allotment_of(training: Running, decision: str) -> UUID:
    found: UUID = (await training.rows("SELECT id FROM decision_allotment WHERE decision_id = $1", UUID(decision)))[0][
        0
    ]
    return found


@pytest.fixture
async def course(training: Running) -> UUID:
    made = await stands(training, an_offer(capacity=9))
    entry = _GRANT.replace("'grant'", "'open'").replace("$2, $3", "NULL, $2").replace("$4", "$3")
    await training.rows(entry, made, 9, None)
    return made


async def test_the_database_grants_nothing_without_a_decision(training: Running, course: UUID) -> None:
    pool = await a_pool(training, course, None, KAGOSHIMA)
    with pytest.raises(asyncpg.CheckViolationError, match="no seat is delegated without a decision"):
        await training.rows(_GRANT, course, pool, 1, None)


async def test_the_database_grants_what_the_allotment_names(training: Running, room: Room, course: UUID) -> None:
    allotment = await allotment_of(training, await room.decide(allotments=[of_2027(2)]))
    other = await allotment_of(training, await room.decide(allotments=[of_2027(2, field="care")]))
    for rests_on, towns in ((allotment, [KIRISHIMA]), (allotment, [KAGOSHIMA, KIRISHIMA]), (other, [KAGOSHIMA])):
        with pytest.raises(asyncpg.CheckViolationError, match="other municipalities or courses"):
            await training.rows(_GRANT, course, await a_pool(training, course, rests_on, *towns), 1, None)
    pool = await a_pool(training, course, allotment, KAGOSHIMA)
    await training.rows(_GRANT, course, pool, 2, None)
    with pytest.raises(asyncpg.CheckViolationError, match="more seats than were allotted"):
        await training.rows(_GRANT, course, pool, 1, None)


_COVERED = """
SELECT a.number, c.number
FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS a (value, number)
CROSS JOIN jsonb_array_elements($2::text::jsonb) WITH ORDINALITY AS c (value, number)
WHERE allotment_covers(jsonb_populate_record(NULL::decision_allotment, a.value),
    jsonb_populate_record(NULL::course_run, c.value))
"""


async def test_code_and_database_agree_which_course_runs_are_meant(training: Running, room: Room) -> None:
    decided = await room.decide(allotments=[of_2027()])
    classes = itertools.product((None, "s", "t"), (None, "f", "g"), (None, 1, 2, 3, 4), (2026, 2027))
    selectors = [Selector(course_number="n"), *(Selector(None, *each) for each in classes)]
    days = [date(2026, 3, 31), date(2026, 4, 1), date(2026, 6, 30), date(2026, 7, 1), date(2026, 12, 31)]
    days += [date(2027, 1, 1), date(2027, 3, 31), date(2027, 4, 1), date(2027, 5, 31), date(2028, 2, 29)]
    runs = [Run(*each) for each in itertools.product(("46", "47"), ("n", "m"), ("s", "t"), ("f", "g"), days)]
    by_code = {
        (i, j)
        for i, selector in enumerate(selectors, 1)
        for j, run in enumerate(runs, 1)
        if Allotted(UUID(int=1), "46", frozenset([KAGOSHIMA]), selector, 1).grants(run, [KAGOSHIMA])
    }
    asked = [asdict(selector) | {"decision_id": decided} for selector in selectors]
    starts = [asdict(run) | {"starts_on": run.starts_on.isoformat()} for run in runs]
    rows = await training.rows(_COVERED, json.dumps(asked), json.dumps(starts))
    assert {tuple(row) for row in rows} == by_code
    assert by_code


async def test_the_database_grants_nothing_out_of_force_and_by_no_other_clock(
    training: Running, room: Room, course: UUID
) -> None:
    old = await room.decide(allotments=[of_2027(2)])
    allotment = await allotment_of(training, old)
    pool = await a_pool(training, course, allotment, KAGOSHIMA)
    await training.rows(_GRANT, course, pool, 1, None)
    before = (await training.rows("SELECT now()"))[0][0]
    await room.decide(allotments=[], supersedes=[old])
    with pytest.raises(asyncpg.CheckViolationError, match="without a decision in force"):
        await training.rows(_GRANT, course, pool, 1, None)
    with pytest.raises(asyncpg.CheckViolationError, match="at the time of the database"):
        await training.rows(_GRANT, course, pool, 1, before)
    with pytest.raises(asyncpg.SerializationError, match="granted this seat is not in force"):
        await training.rows(_HOLD, course, pool, KAGOSHIMA)


_HOLD = (
    "WITH r AS (INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, requested_by, state,"
    " expires_at, requested_at) VALUES (gen_random_uuid(), $1, $2, gen_random_uuid(), $3, 'x', 'held',"
    " now() + interval '1 day', now()) RETURNING id) INSERT INTO seat_entry (command, number, course_run_id, kind,"
    " pool_id, seats, seat_request_id, at) SELECT id, 1, $1, 'hold', $2, 1, id, now() FROM r"
)


async def test_the_database_lets_nobody_into_anothers_pool(training: Running, room: Room, course: UUID) -> None:
    """Code of release 0.1.0 takes a shared pool, which has no one municipality, for one that is open to all."""
    allotment = await allotment_of(training, await room.decide(allotments=[of_2027(2, KAGOSHIMA, KIRISHIMA)]))
    pool = await a_pool(training, course, allotment, KAGOSHIMA, KIRISHIMA)
    await training.rows(_GRANT, course, pool, 2, None)
    with pytest.raises(asyncpg.SerializationError, match="belongs to other municipalities"):
        await training.rows(_HOLD, course, pool, ZAMA)
    assert await training.rows("SELECT FROM seat_request") == []
    await training.rows(_HOLD, course, pool, KIRISHIMA)
    (general,) = await training.rows("SELECT id FROM pool WHERE course_run_id = $1 AND kind = 'general'", course)
    await training.rows(_GRANT, course, general["id"], 1, None)
    await training.rows(_HOLD, course, general["id"], ZAMA)


async def test_two_at_once_get_no_more_than_was_allotted_from_the_database(
    training: Running, room: Room, course: UUID
) -> None:
    allotment = await allotment_of(training, await room.decide(allotments=[of_2027(2)]))
    pools = [await a_pool(training, course, allotment, KAGOSHIMA)]
    for _ in range(5):
        other = await stands(training, an_offer(capacity=0))
        entry = _GRANT.replace("'grant'", "'open'").replace("$2, $3", "NULL, $2").replace("$4", "$3")
        await training.rows(entry, other, 3, None)
        pools.append(await a_pool(training, other, allotment, KAGOSHIMA))
    courses = {row["id"]: row["course_run_id"] for row in await training.rows("SELECT id, course_run_id FROM pool")}
    outcomes = await asyncio.gather(
        *(training.rows(_GRANT, courses[pool], pool, 2, None) for pool in pools), return_exceptions=True
    )
    assert sum(isinstance(outcome, list) for outcome in outcomes) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE pool SET decision_allotment_id = NULL",
        "UPDATE pool SET municipalities = '{462187}'",
        "UPDATE decision_allotment SET seats = 99",
        "INSERT INTO decision_allotment (decision_id) VALUES (gen_random_uuid())",
        "ALTER TABLE seat_entry DISABLE TRIGGER guard_delegated_grants",
        "DROP TRIGGER guard_delegated_grants ON seat_entry",
    ],
)
async def test_the_service_may_not_bind_seats_otherwise(training: Running, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await training.rows(sql)


async def test_a_pool_of_before_keeps_its_seats_and_gets_no_new_ones(training: Running) -> None:
    offer = an_offer(capacity=4)
    course = await stands(training, offer)
    assert await offer_again(training, replace(offer, delegated={KAGOSHIMA: 1})) == Denied(
        "no_decision_in_force", "delegated"
    )
    pool = uuid4()
    await training.rows(
        "INSERT INTO pool (id, course_run_id, kind, municipality) VALUES ($1, $2, 'delegated', $3)",
        pool, course, KAGOSHIMA,
    )  # fmt: skip
    rows = await training.rows("SELECT municipalities, decision_allotment_id FROM pool WHERE id = $1", pool)
    assert [tuple(row) for row in rows] == [([KAGOSHIMA], None)]
