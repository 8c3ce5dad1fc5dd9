"""Courses lose seats, move and are cancelled while people ask, wait and move on: what holds after every step.

The oracle is naive: it reads who has which seat before a change, and says by itself who has to lose one.
"""

import asyncio
from collections.abc import Coroutine
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from tests.service.late_changes_room import LOST, OVERLAPS, affected, answered, make, tried
from tests.service.training_courses import (
    ENTITY,
    KAGOSHIMA,
    an_offer,
    ask,
    broken_promises,
    desk,
    known_case,
    offered,
    placement,
    step,
)
from tests.world import Running, World

COURSES = st.integers(0, 2)
_STANDING = """
SELECT r.id, r.state, r.requested_at, r.case_id FROM seat_request r
WHERE r.course_run_id = $1 AND r.state NOT IN ('waiting', 'released', 'enrolled')
"""
_FREE = "SELECT sum(granted - held - filled) AS free, sum(granted) AS granted FROM pool WHERE course_run_id = $1"
_SUMS = "SELECT FROM seat_leg GROUP BY entry_id HAVING sum(seats) <> 0"
_BUSY = """
SELECT r.id FROM seat_request r JOIN seat_request o ON o.case_id = r.case_id AND o.course_run_id <> r.course_run_id
JOIN course_run c ON c.id = o.course_run_id
WHERE r.course_run_id = $1 AND r.state NOT IN ('waiting', 'released') AND o.state NOT IN ('waiting', 'released')
AND c.starts_on <= $3 AND c.ends_on >= $2
"""
_IDS = "SELECT id, course_run_id FROM seat_request WHERE case_id = $1 AND state <> 'released'"
_RANK = {"held": 1, "nominated": 2}


class LateChanges(RuleBasedStateMachine):
    """Three course runs of one field, two of which go on at the same time, and five people."""

    training: Running
    loop: asyncio.AbstractEventLoop

    @initialize(capacities=st.lists(st.integers(1, 3), min_size=3, max_size=3), asks=st.integers(4, 8))
    def begin(self, capacities: list[int], asks: int) -> None:
        """A story begins where it gets interesting: seats are held, and people wait."""
        offset = self.training.desk.clock.offset
        first, field = date(2029, 4, 1), f"field-{uuid4().hex[:8]}"
        closes = an_offer().applications_close_at + offset + timedelta(days=60)
        days = [(0, 60), (30, 90), (120, 180)]
        self.days = [(first + timedelta(days=a), first + timedelta(days=b)) for a, b in days]
        self.courses: list[UUID] = [
            self.run(
                offered(
                    self.training,
                    capacity=capacity,
                    starts_on=starts_on,
                    ends_on=ends_on,
                    applications_close_at=closes,
                    hold_hours=2400,
                    field=field,
                )
            )
            for capacity, (starts_on, ends_on) in zip(capacities, self.days, strict=True)
        ]
        self.cancelled: set[int] = set()
        self.cases: list[UUID] = [self.run(known_case(self.training)) for _ in range(5)]
        for number in range(asks):
            self.ask(number % 5, number % 3)

    @rule(case=st.integers(0, 4), course=COURSES)
    def ask(self, case: int, course: int) -> None:
        answer = self.run(ask(self.training, self.courses[course], case_id=self.cases[case]))
        assert answer.status_code in {201, 409}, answer.text
        if answer.status_code == 409:
            assert answer.json()["code"] in {"already_requested", "overlapping_seat", "course_cancelled"}

    @rule(case=st.integers(0, 4))
    def nominate(self, case: int) -> None:
        for row in self.rows(_IDS, self.cases[case]):
            self.run(step(placement(self.training), {"seat_request_id": row["id"]}, "nominate", ENTITY))

    @rule(case=st.integers(0, 4))
    def release(self, case: int) -> None:
        for row in self.rows(_IDS, self.cases[case])[:1]:
            body = {"reason": "withdrawn"}
            self.run(step(desk(self.training), {"seat_request_id": row["id"]}, "release", body))

    @rule(course=COURSES, seats=st.integers(1, 2))
    def lower(self, course: int, seats: int) -> None:
        """The weakest lose their seats, and as few as can be."""
        (numbers,) = self.rows(_FREE, self.courses[course])
        if course in self.cancelled or numbers["granted"] <= seats:
            return
        holders = sorted(
            self.rows(_STANDING, self.courses[course]),
            key=lambda row: (_RANK[row["state"]], -row["requested_at"].timestamp(), -row["id"].int),
        )
        expected = {row["id"] for row in holders[: max(0, seats - numbers["free"])]}
        self.change(course, expected, capacity=numbers["granted"] - seats)

    @rule(course=COURSES, weeks=st.integers(-8, 8).filter(bool))
    def move(self, course: int, weeks: int) -> None:
        """Who would have two seats at a time loses the one in the course that moved, and nobody else."""
        if course in self.cancelled:
            return
        starts_on, ends_on = (day + timedelta(weeks=weeks) for day in self.days[course])
        expected = {row["id"] for row in self.rows(_BUSY, self.courses[course], starts_on, ends_on)}
        self.change(course, expected, starts_on=starts_on.isoformat(), ends_on=ends_on.isoformat())
        self.days[course] = (starts_on, ends_on)

    @precondition(lambda self: not self.cancelled)
    @rule(course=COURSES)
    def cancel(self, course: int) -> None:
        expected = {row["id"] for row in self.rows(_STANDING, self.courses[course])}
        self.change(course, expected, cancel=True)
        self.cancelled.add(course)

    def change(self, course: int, expected: set[UUID], **change: Any) -> None:
        before = {row["id"] for row in self.rows(_STANDING, self.courses[course])}
        trial = self.run(tried(self.training, self.courses[course], **change))
        answer = self.run(make(self.training, self.courses[course], trial["sign"], **change))
        assert answer.status_code == 201, answer.text
        after = {row["id"] for row in self.rows(_STANDING, self.courses[course])}
        assert before - after == expected
        said = {UUID(each["seat_request_id"]) for each in trial["affected"] if each["afterwards"] != "keeps"}
        assert said >= expected

    @rule(say=st.sampled_from(["accept", "stay", "leave"]))
    def answer(self, say: str) -> None:
        open_ones = [each for each in self.mine() if each["open"]]
        for record in open_ones[:1]:
            course = record["alternatives"][0]["course_run_id"] if record["alternatives"] else None
            if say == "accept" and course is None:
                continue
            before = {row["id"] for row in self.rows(_IDS, UUID(record["case_id"]))}
            answer = self.run(answered(self.training, record, say, course=course if say == "accept" else None))
            assert answer.status_code in {200, 409}, answer.text
            now = {row["id"] for row in self.rows(_IDS, UUID(record["case_id"]))}
            if answer.status_code == 409:
                assert now == before, "nothing of it may stand"
            elif say == "accept":
                (row,) = self.rows("SELECT state FROM seat_request WHERE id = $1", UUID(answer.json()["moved_to"]))
                assert row["state"] == "held"
                old = UUID(record["next_request_id"] or record["seat_request_id"])
                assert old not in now

    @rule()
    def sweep(self) -> None:
        self.run(self.training.sweep())
        assert self.run(self.training.sweep()) == 0

    @invariant()
    def promises(self) -> None:
        if hasattr(self, "cancelled"):
            assert self.run(broken_promises(self.training, self.courses)) == []
            assert self.rows(OVERLAPS) == []
            assert self.rows(_SUMS) == []

    @invariant()
    def nobody_is_lost(self) -> None:
        """A seat, a place in a line, or a record that somebody is to answer or has answered."""
        if hasattr(self, "cancelled"):
            assert self.rows(LOST) == []
            for course in self.cancelled:
                (numbers,) = self.rows(_FREE, self.courses[course])
                assert (numbers["free"], numbers["granted"]) == (0, 0)

    def mine(self) -> list[dict[str, Any]]:
        cases = {str(case_id) for case_id in self.cases}
        found: list[dict[str, Any]] = self.run(affected(self.training, KAGOSHIMA, open=True))
        return [each for each in found if each["case_id"] in cases]

    def rows(self, sql: str, *values: Any) -> list[Any]:
        found: list[Any] = self.run(self.training.rows(sql, *values))
        return found

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=60)


@pytest.mark.slow
async def test_no_late_change_loses_anybody_or_oversells(world: World) -> None:
    LateChanges.training, LateChanges.loop = world.service("training"), asyncio.get_running_loop()
    await asyncio.to_thread(
        run_machine,
        LateChanges,
        settings=settings(
            max_examples=10,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],  # a failing story is short enough; making it shorter takes minutes
        ),
    )
