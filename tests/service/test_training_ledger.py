"""Whatever happens in whatever order, the promises hold after every commit: a state machine on the real database."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from shared.bus.envelope import new_id
from shared.events import ConsentWithdrawn, PoolChanged, ReferralWithdrawn, SeatHeld, TrainingReferred
from tests.service.training_courses import (
    an_offer,
    ask,
    broken_promises,
    desk,
    entrust,
    instructed,
    offer_again,
    offered,
    school,
    step,
)
from tests.world import KAGOSHIMA, KIRISHIMA, Running, World

TOWNS = st.sampled_from([KAGOSHIMA, KIRISHIMA])


class Seats(RuleBasedStateMachine):
    """A course run, and whatever can happen to its seats.

    Hypothesis is synchronous: the service runs in the test's loop.
    """

    training: Running
    loop: asyncio.AbstractEventLoop

    requests: Bundle[dict[str, Any]] = Bundle("requests")
    referrals: Bundle[tuple[TrainingReferred, UUID]] = Bundle("referrals")

    @initialize(
        target=requests,
        capacity=st.integers(1, 3),
        delegated=st.integers(0, 2),
        towns=st.lists(TOWNS, min_size=2, max_size=5),
    )
    def offer(self, capacity: int, delegated: int, towns: list[str]) -> MultipleResults[dict[str, Any]]:
        """A story begins where it gets interesting: with hardly a seat left, or a line already."""
        share = {KAGOSHIMA: min(delegated, capacity)} if delegated else {}
        self.standing = an_offer(capacity=capacity, delegated=share)
        # Each story has a course run of its own; its deadline is counted from the clock as it stands by now.
        closes = self.standing.applications_close_at + self.training.desk.clock.offset
        self.standing = replace(self.standing, applications_close_at=closes)
        self.run(entrust(self.training))  # Kirishima may be granted seats later.
        self.course: UUID = self.run(offered(self.training, self.standing))
        return multiple(*(self.ask(town) for town in towns))

    @rule(target=requests, town=TOWNS)
    def request(self, town: str) -> dict[str, Any]:
        return self.ask(town)

    @rule(target=referrals, town=TOWNS)
    def refer(self, town: str) -> tuple[TrainingReferred, UUID]:
        event = TrainingReferred(
            case_id=uuid4(),
            referral_id=uuid4(),
            course_run_id=self.course,
            municipality=town,
            sender="kagoshima-desk",
        )
        event_id = new_id()
        self.run(self.training.hear(event, event_id=event_id))
        return event, event_id

    @rule(referral=referrals, same_event=st.booleans())
    def deliver_again(self, referral: tuple[TrainingReferred, UUID], same_event: bool) -> None:
        found = "SELECT id, state, version FROM seat_request WHERE referral_id = $1"
        before = self.run(self.training.rows(found, referral[0].referral_id))
        self.run(self.training.hear(referral[0], event_id=referral[1] if same_event else new_id()))
        after = self.run(self.training.rows(found, referral[0].referral_id))
        # One that was refused may be met when it is told anew; one that was met stays as it is.
        assert after == before or (not before and not same_event and len(after) == 1)

    @rule(referral=consumes(referrals), consent=st.booleans())
    def take_back(self, referral: tuple[TrainingReferred, UUID], consent: bool) -> None:
        event = referral[0]
        withdrawn = ReferralWithdrawn(
            case_id=event.case_id,
            referral_id=event.referral_id,
            sender="kagoshima-desk",
            receiver="kagoshima-school",
            reason="withdrawn",
        )
        self.run(
            self.training.hear(ConsentWithdrawn(case_id=event.case_id, consent_version=1) if consent else withdrawn)
        )

    @rule(asked=consumes(requests))
    def release(self, asked: dict[str, Any]) -> None:
        if "seat_request_id" in asked:
            self.run(step(desk(self.training, asked["municipality"]), asked, "release", {"reason": "withdrawn"}))

    @rule(asked=requests, enrols=st.booleans())
    def instruct(self, asked: dict[str, Any], enrols: bool) -> None:
        if asked.get("outcome") == "held" and asked["municipality"] == KAGOSHIMA:
            state = self.run(
                self.training.rows(
                    "SELECT state, expires_at < clock_timestamp() + $2 AS late FROM seat_request WHERE id = $1",
                    UUID(asked["seat_request_id"]),
                    self.training.desk.clock.offset,
                )
            )
            if state[0]["state"] == "held" and not state[0]["late"]:
                self.run(instructed(self.training, asked))
                if enrols:
                    assert self.run(step(school(self.training), asked, "enrol")).status_code == 200

    @rule(more=st.integers(-2, 3), to_kirishima=st.integers(0, 2))
    def grant(self, more: int, to_kirishima: int) -> None:
        delegated = dict(self.standing.delegated) | ({KIRISHIMA: to_kirishima} if to_kirishima else {})
        capacity = max(0, self.standing.capacity + more)
        wanted = replace(self.standing, capacity=capacity, delegated=delegated)
        outcome = self.run(offer_again(self.training, wanted))
        if hasattr(outcome, "became"):
            self.standing = wanted

    @rule(hours=st.sampled_from([1, 71, 73]))
    def time_passes(self, hours: int) -> None:
        self.training.pass_time(timedelta(hours=hours))

    @rule()
    def sweep(self) -> None:
        self.run(self.training.sweep())
        overdue = self.run(
            self.training.rows(
                "SELECT FROM seat_request WHERE expires_at < clock_timestamp() + $1", self.training.desk.clock.offset
            )
        )
        assert not overdue, "the sweep left somebody whose time was over"

    @invariant()
    def promises(self) -> None:
        assert self.run(broken_promises(self.training, [self.course])) == []
        assert self.run(self.training.rows("SELECT reason, error FROM parked")) == []

    def ask(self, town: str) -> dict[str, Any]:
        line = self.run(self.line(town))
        answer = self.run(ask(self.training, self.course, municipality=town))
        body: dict[str, Any] = answer.json()
        if answer.status_code == 201 and body["outcome"] == "held":
            assert not line, "a newcomer overtook somebody who may have that seat"
        return body | {"municipality": town}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    def teardown(self) -> None:
        self.run(self.last_words())

    async def line(self, town: str) -> list[Any]:
        return await self.training.rows(
            "SELECT FROM seat_request r JOIN pool p ON p.id = r.pool_id"
            " WHERE r.course_run_id = $1 AND r.state = 'waiting' AND r.municipality = $2",
            self.course,
            town,
        )

    async def last_words(self) -> None:
        """What was told last about each pool and each seat is what the tables say."""
        course = getattr(self, "course", None)
        pools = await self.training.rows("SELECT * FROM pool WHERE course_run_id = $1", course)
        told = [event for event in await self.training.told() if getattr(event, "course_run_id", None) == course]
        last = {event.pool_id: event for event in told if isinstance(event, PoolChanged)}
        for pool in pools:
            if pool["version"]:
                event = last[pool["id"]]
                assert (event.granted, event.held, event.filled) == (pool["granted"], pool["held"], pool["filled"])
        holds = [event.seat_request_id for event in told if isinstance(event, SeatHeld)]
        assert len(holds) == len(set(holds)), "a seat was told twice"


@pytest.mark.slow
async def test_the_ledger_keeps_its_promises(world: World) -> None:
    Seats.training, Seats.loop = world.service("training"), asyncio.get_running_loop()
    await asyncio.to_thread(
        run_state_machine_as_test,
        Seats,
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],  # a failing story is short enough; making it shorter takes minutes
        ),
    )
