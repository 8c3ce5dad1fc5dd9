"""The line under whatever people and the clock do with it: a naive reader of the rows finds nobody wronged at any step.

Before each step the line is read, after it once more. Whoever got a seat in between is held against everybody who was
there before and still waits, by the rule as one would read it out.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from shared.service import day_in_japan
from tests.service.training_courses import (
    an_offer,
    ask,
    broken_promises,
    desk,
    entrust,
    known_case,
    offer_again,
    offered,
    planner,
    step,
)
from tests.world import KAGOSHIMA, KIRISHIMA, Running, World, execute_as_admin

GROUP = "single_parent"
TOWNS = st.sampled_from([KAGOSHIMA, KIRISHIMA])
PICK = st.integers(0, 7)
CRITERIA = ("own_line", "target_group", "fewest_offers", "referred")
Rows = Mapping[UUID, Mapping[str, Any]]

_REQUESTS = """
SELECT r.*, coalesce(r.line_since, r.requested_at) AS since FROM seat_request r WHERE r.course_run_id = $1
"""
_POOLS = """
SELECT p.*, p.granted - p.held - p.filled AS free, p.opens_at <= $2 AS opened FROM pool p WHERE p.course_run_id = $1
"""
_NO_RULES = "UPDATE training.line_round SET line_rule_id = NULL; DELETE FROM training.line_rule"
"""Each story begins today, and rules stay for good otherwise."""
_RULE = """
SELECT criteria FROM line_rule WHERE effective_on <= $1 AND prefecture = '46' ORDER BY version DESC LIMIT 1
"""


class Line(RuleBasedStateMachine):
    """One course run with seats of three kinds, hardly enough of them, and a line."""

    training: Running
    world: World
    loop: asyncio.AbstractEventLoop

    @initialize(
        general=st.integers(1, 2), town=st.integers(0, 1), kept=st.integers(0, 1), towns=st.lists(TOWNS, max_size=5)
    )
    def begin(self, general: int, town: int, kept: int, towns: list[str]) -> None:
        self.training.desk.clock.offset = timedelta()
        self.run(execute_as_admin(self.world.postgres, _NO_RULES, self.world.database_name))
        self.run(entrust(self.training))
        closes = an_offer().applications_close_at + timedelta(days=30)
        self.standing = an_offer(
            capacity=general + town + kept,
            delegated={KAGOSHIMA: 1} if town else {},
            priority={GROUP: 1} if kept else {},
            priority_opens_at=closes - timedelta(days=50) if kept else None,
            applications_close_at=closes,
            hold_hours=None,
            hold_days=20,
            offer_days=2,
        )
        self.course: UUID = self.run(offered(self.training, self.standing))
        self.before: Rows = self.run(self.read())
        for one in towns:
            self.ask(one, of_group=False)

    @rule(town=TOWNS, of_group=st.booleans())
    def ask(self, town: str, of_group: bool) -> None:
        claims = [{"target_group": GROUP, "basis": "own_record"}] if of_group else []
        answer = self.run(ask(self.training, self.course, municipality=town, target_groups=claims))
        assert answer.status_code in {201, 409}, answer.text
        self.compare(offered_on=answer.status_code == 201)

    @rule(town=TOWNS, size=st.integers(2, 3))
    def ask_together(self, town: str, size: int) -> None:
        cases = [self.run(known_case(self.training, town)) for _ in range(size)]
        body = {"requests": [{"case_id": str(case_id)} for case_id in cases]}
        caller = desk(self.training, town)
        answer = self.run(caller.post(f"/v1/course-runs/{self.course}/seat-requests-together", body))
        assert answer.status_code in {201, 409}, answer.text
        self.compare(offered_on=answer.status_code == 201)

    @rule(which=PICK)
    def release(self, which: int) -> None:
        self.do("release", which, {"waiting", "held"}, {"reason": "withdrawn"})

    @rule(which=PICK, days=st.integers(1, 4))
    def pause(self, which: int, days: int) -> None:
        self.do("pause", which, {"waiting"}, {"not_before": self.day(days)})

    @rule(which=PICK, town=TOWNS)
    def be_first_in_the_morning(self, which: int, town: str) -> None:
        """Everybody pauses until tomorrow, a seat comes free, and then a newcomer asks before the sweep."""
        for place in range(len(self.before)):
            self.do("pause", place, {"waiting"}, {"not_before": self.day(1)})
        self.release(which)
        self.time_passes(24)
        self.ask(town, of_group=False)

    @rule(which=PICK, move=st.sampled_from(["resume", "separate"]))
    def come_back(self, which: int, move: str) -> None:
        self.do(move, which, {"waiting"}, None)

    @rule(which=PICK, days=st.integers(0, 3), accepts=st.booleans())
    def answer(self, which: int, days: int, accepts: bool) -> None:
        if accepts:
            self.do("accept", which, {"held"}, None, offered=True)
        else:
            again = {"not_before": self.day(days)} if days else {}
            self.do("decline", which, {"held"}, {"reason": "not_yet"} | again, offered=True)

    def do(self, move: str, which: int, states: set[str], body: Any, *, offered: bool | None = None) -> None:
        """With one who may do it, if there is anybody."""
        fit = [row for row in self.before.values() if row["state"] in states and offered in {None, row["offered"]}]
        if fit:
            row = sorted(fit, key=lambda row: row["id"])[which % len(fit)]
            caller = desk(self.training, row["municipality"])
            answer = self.run(step(caller, {"seat_request_id": str(row["id"])}, move, body))
            assert answer.status_code in {200, 409, 422}, answer.text
            offers_on = move not in {"accept", "pause"} and answer.status_code == 200
            self.compare(ended={row["id"]} if move in {"release", "decline"} else set(), offered_on=offers_on)

    @rule(more=st.integers(1, 2))
    def add_seats(self, more: int) -> None:
        wanted = replace(self.standing, capacity=self.standing.capacity + more)
        if hasattr(self.run(offer_again(self.training, wanted)), "became"):
            self.standing = wanted
        self.compare()

    @rule(criteria=st.permutations(CRITERIA), length=st.integers(0, 4))
    def decide_a_rule(self, criteria: list[str], length: int) -> None:
        """It holds from tomorrow on."""
        body = {"prefecture": "46", "criteria": criteria[:length], "effective_on": self.day(1), "decided_by": "協議会"}
        answer = self.run(planner(self.training).post("/v1/line-rules", body))
        assert answer.status_code in {201, 422}, answer.text

    @rule(hours=st.sampled_from([5, 24, 72]))
    def time_passes(self, hours: int) -> None:
        """Whoever asks first after it must find the line as if the clock had been asked before."""
        self.training.pass_time(timedelta(hours=hours))

    @precondition(lambda self: hasattr(self, "course"))
    @rule()
    def sweep(self) -> None:
        self.run(self.training.sweep())
        self.compare()
        assert self.run(self.training.sweep()) == 0
        assert self.run(broken_promises(self.training, [self.course])) == []

    # --- the naive reader -------------------------------------------------------------------------------------------

    def compare(self, *, ended: Collection[UUID] = (), offered_on: bool = True) -> None:
        """Who got a seat since the last look, and who was passed by."""
        now: Rows
        at: datetime
        criteria: list[str]
        now, at, criteria = self.run(self.look())
        before, self.before = self.before, now
        got = {
            key
            for key, row in now.items()
            if row["state"] == "held" and (key not in before or before[key]["state"] == "waiting")
        }
        pools = {pool["id"]: pool for pool in self.run(self.training.rows(_POOLS, self.course, at))}
        waits = {key: row for key, row in now.items() if row["state"] == "waiting" and at <= row["expires_at"]}
        for key in got & set(before):
            assert not _paused(before[key], at) or before[key]["paused_until"] != now[key]["paused_until"], "paused"
            assert self.same_again(now[key])
        self.half_served(before, now, got)
        for key in got:
            pool = pools[now[key]["pool_id"]]
            assert _is_for(pool, now[key])
            mine = before.get(key)
            if mine is not None and mine["together_id"]:
                continue
            for other, row in waits.items():
                there = before.get(other)
                if other in ended or there is None or there["state"] != "waiting" or row["together_id"]:
                    continue
                if _paused(row, at) or not _is_for(pool, row) or (there["together_id"] and not row["together_id"]):
                    continue
                assert mine is not None, "a newcomer overtook somebody who may have that seat"
                assert not _comes_before(there, mine, pool, criteria), "overtaken"
        if offered_on:
            self.idle(pools, waits, at)

    def half_served(self, before: Rows, now: Rows, got: set[UUID]) -> None:
        parties: dict[UUID, list[UUID]] = {}
        for key, row in before.items():
            still = now[key]["state"] in {"waiting", "held"} and now[key]["together_id"] == row["together_id"]
            if row["together_id"] and row["state"] == "waiting" and still:
                parties.setdefault(row["together_id"], []).append(key)
        for party in parties.values():
            assert len(got & set(party)) in {0, len(party)}, "half served"

    def idle(self, pools: Mapping[UUID, Any], waits: Rows, at: datetime) -> None:
        parties: dict[UUID, list[Mapping[str, Any]]] = {}
        for key, row in waits.items():
            parties.setdefault(row["together_id"] or key, []).append(row)
        free = Counter({key: pool["free"] for key, pool in pools.items() if pool["free"] > 0})
        for party in parties.values():
            if any(_paused(row, at) for row in party):
                continue
            open_to = [[key for key, pool in pools.items() if _is_for(pool, row)] for row in party]
            assert all(Counter(chosen) - free for chosen in product(*open_to)), (
                "a seat is idle beside who could have it"
            )

    def same_again(self, row: Mapping[str, Any]) -> bool:
        path = f"/v1/seat-requests/{row['id']}/offers"
        answer = self.run(desk(self.training, row["municipality"]).get(path))
        return all(offer["same_again"] for offer in answer.json())

    @invariant()
    def nothing_is_oversold(self) -> None:
        if hasattr(self, "course"):
            broken = self.run(broken_promises(self.training, [self.course]))
            # Until somebody asks or the sweep comes, what the clock alone freed is free.
            assert not [each for each in broken if not each.startswith("a free seat")]

    async def look(self) -> tuple[Rows, datetime, list[str]]:
        async with self.training.database.transaction() as session:
            at: datetime = await self.training.desk.clock.now(session)
        rule_rows = await self.training.rows(_RULE, day_in_japan(at))
        return await self.read(), at, rule_rows[0]["criteria"] if rule_rows else ["own_line"]

    async def read(self) -> Rows:
        return {row["id"]: row for row in await self.training.rows(_REQUESTS, self.course)}

    def day(self, after: int) -> str:
        async def now() -> datetime:
            async with self.training.database.transaction() as session:
                found: datetime = await self.training.desk.clock.now(session)
                return found

        return (day_in_japan(self.run(now())) + timedelta(days=after)).isoformat()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=120)


def _paused(row: Mapping[str, Any], at: datetime) -> bool:
    return row["paused_until"] is not None and at < row["paused_until"]


def _is_for(pool: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if pool["granted"] == 0 or (pool["kind"] == "delegated" and row["municipality"] not in pool["municipalities"]):
        return False
    return pool["kind"] != "priority" or pool["opened"] or bool(set(row["target_groups"]) & set(pool["target_groups"]))


def _comes_before(
    one: Mapping[str, Any], other: Mapping[str, Any], pool: Mapping[str, Any], criteria: list[str]
) -> bool:
    """By the rule as one would read it out; who is equal by all of it comes in the order of asking."""
    for criterion in criteria:
        says = [
            {
                "own_line": int(row["pool_id"] != pool["id"]),
                "target_group": int(not set(row["target_groups"]) & set(pool["target_groups"])),
                "fewest_offers": row["offers"],
                "referred": int(row["referral_id"] is None),
            }[criterion]
            for row in (one, other)
        ]
        if says[0] != says[1]:
            return bool(says[0] < says[1])
    return bool((one["since"], one["id"]) < (other["since"], other["id"]))


@pytest.mark.slow
async def test_nobody_in_a_line_is_ever_wronged(world: World) -> None:
    Line.training, Line.world, Line.loop = world.service("training"), world, asyncio.get_running_loop()
    await asyncio.to_thread(
        run_machine,
        Line,
        settings=settings(
            max_examples=12,
            stateful_step_count=18,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],  # a failing story is short enough; making it shorter takes minutes
        ),
    )
