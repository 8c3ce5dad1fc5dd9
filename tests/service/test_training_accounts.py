"""Every number of seats is the sum of its entries, and opens to them."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from services.training.domain.offers import CourseOffer
from tests.service.training_courses import (
    KAGOSHIMA,
    KIRISHIMA,
    an_offer,
    ask,
    desk,
    instructed,
    offer_again,
    offered,
    planner,
    school,
    seat,
    step,
)
from tests.world import Running, World


async def story(training: Running) -> tuple[CourseOffer, UUID]:
    """Seats are offered, shared out, held, given back, filled, and taken out of the offer again."""
    offer = an_offer(capacity=6, delegated={KAGOSHIMA: 2})
    course = await offered(training, offer)
    first, second, third = [await seat(training, course) for _ in range(3)]
    assert (await step(desk(training), second, "release", {"reason": "withdrawn"})).status_code == 200
    await instructed(training, first)
    assert (await step(school(training), first, "enrol")).status_code == 200
    assert third["state"] == "held"
    await offer_again(training, replace(offer, capacity=5))
    return offer, course


async def accounts(training: Running, course: UUID, **params: Any) -> dict[tuple[str, str | None], int]:
    answer = await planner(training).get(f"/v1/course-runs/{course}/accounts", params=params)
    assert answer.status_code == 200, answer.text
    return {(each["account"], each["pool_id"]): each["seats"] for each in answer.json()}


async def test_a_replay_comes_to_what_the_counters_say(world: World) -> None:
    training = world.service("training")
    _, course = await story(training)
    found = await accounts(training, course)
    assert sum(found.values()) == 0
    assert found["outside", None] == -5
    run = (await planner(training).get(f"/v1/course-runs/{course}")).json()
    assert found.get(("run", None), 0) == run["capacity"] - sum(pool["granted"] for pool in run["pools"])
    for pool in run["pools"]:
        for account in ("free", "held", "filled"):
            assert found.get((account, pool["pool_id"]), 0) == pool[account]
    assert {pool["filled"] for pool in run["pools"]} == {0, 1}


async def test_a_number_opens_to_its_entries(world: World) -> None:
    training = world.service("training")
    _, course = await story(training)
    for (account, pool_id), seats in (await accounts(training, course)).items():
        of_it = {"account": account} | ({"pool_id": pool_id} if pool_id else {})
        entries = await planner(training).whole(f"/v1/course-runs/{course}/entries", limit=2, **of_it)
        assert sum(each["seats"] for each in entries) == seats
        assert entries == sorted(entries, key=lambda each: each["entry_id"])


async def test_the_past_is_replayed_as_it_stood(world: World) -> None:
    training = world.service("training")
    _, course = await story(training)
    entries = await planner(training).whole(f"/v1/course-runs/{course}/entries", account="outside")
    assert [(each["kind"], each["seats"]) for each in entries] == [("open", -6), ("close", 1)]
    first = await accounts(training, course, at=entries[0]["at"])
    assert first["outside", None] == -6
    assert sorted(first.values()) == [-6, 0, 2, 4]
    assert await accounts(training, course, at="2020-01-01T00:00:00Z") == {}


async def test_whose_seat_it_was_is_for_their_own_municipality(world: World) -> None:
    training = world.service("training")
    course = await offered(training, capacity=2)
    assert (await ask(training, course, municipality=KIRISHIMA)).status_code == 201
    pool = (await planner(training).get(f"/v1/course-runs/{course}")).json()["pools"][0]["pool_id"]
    path = f"/v1/course-runs/{course}/entries"
    (own,) = await desk(training, KIRISHIMA).whole(path, account="held", pool_id=pool)
    (other,) = await desk(training).whole(path, account="held", pool_id=pool)
    assert own["seat_request_id"]
    assert (other["seat_request_id"], other["by"], other["cause"]) == (None, None, None)


async def test_an_account_that_is_not_there_is_said_to_be_so(world: World) -> None:
    training = world.service("training")
    course = await offered(training, capacity=2)
    path = f"/v1/course-runs/{course}/entries"
    for wrong in ({"account": "held"}, {"account": "run", "pool_id": str(uuid4())}, {"account": "gone"}, {}):
        answer = await planner(training).get(path, params=wrong)
        assert answer.status_code == 422, wrong
        assert answer.json()["errors"][0]["message_ja"]
    assert (await planner(training).get(f"/v1/course-runs/{uuid4()}/accounts")).status_code == 404
    assert await planner(training).whole(path, account="free", pool_id=str(uuid4())) == []
