"""Seats are lent, recalled, swapped, sent on at cut-offs and asked for, in any order: an oracle counts along.

The oracle knows no pools' code: of each town and each lender it keeps how many seats there are, and looks whether the
database says the same; that all seats of a decision are somewhere, and none twice; that nobody lost a seat.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from tests.service.agreement_towns import propose, take
from tests.service.deliberation_room import KAGOSHIMA, KIRISHIMA, Room, line, the_room
from tests.service.training_courses import an_offer, ask, broken_promises, desk, offered, step
from tests.world import Running, World

TOWNS = st.sampled_from([KAGOSHIMA, KIRISHIMA])
OTHER = {KAGOSHIMA: KIRISHIMA, KIRISHIMA: KAGOSHIMA}

_PROVENANCE = """
SELECT a.id, allotment_seats(a.id) AS allotted, coalesce(sum(p.granted), 0) AS granted,
       coalesce((SELECT sum(CASE e.kind WHEN 'grant' THEN e.seats ELSE -e.seats END) FROM seat_entry e
           JOIN pool q ON q.id = e.pool_id WHERE q.decision_allotment_id = a.id AND e.kind IN ('grant', 'return')), 0)
           AS entered
FROM decision_allotment a JOIN pool p ON p.decision_allotment_id = a.id GROUP BY a.id
"""
_LENT = """
SELECT l.giver, l.taker, l.seats, p.granted, p.held + p.filled AS taken, p.municipalities, s.municipalities AS lenders,
       (SELECT step FROM agreement_step t WHERE t.agreement_id = p.agreement_id AND number = 2) AS answer,
       p.cut_off_at <= clock_timestamp() + $1 AS due
FROM pool p JOIN pool s ON s.id = p.source_pool_id
JOIN agreement_leg l ON l.agreement_id = p.agreement_id AND l.number = p.agreement_leg
"""
_REPLAYED = """
SELECT p.id FROM pool p WHERE (p.granted, p.held, p.filled) <> (
    SELECT coalesce(sum(seats), 0), coalesce(sum(seats) FILTER (WHERE account = 'held'), 0),
           coalesce(sum(seats) FILTER (WHERE account = 'filled'), 0) FROM seat_leg WHERE pool_id = p.id)
"""


class Lending(RuleBasedStateMachine):
    """Two towns with seats of two course runs, which they lend and swap while people ask for them."""

    training: Running
    room: Room
    loop: asyncio.AbstractEventLoop

    requests: Bundle[dict[str, Any]] = Bundle("requests")
    proposals: Bundle[dict[str, Any]] = Bundle("proposals")
    loans: Bundle[dict[str, Any]] = Bundle("loans")

    @initialize(target=loans, seats=st.tuples(st.integers(2, 4), st.integers(1, 3)), onward=st.booleans())
    def begin(self, seats: tuple[int, int], onward: bool) -> dict[str, Any]:
        """Each town has seats in both runs; what goes back is the other town's next, or everybody's.

        A story begins where it gets interesting: two seats are lent, and one of them is held.
        """
        self.taken: dict[str, str] = {}
        self.runs = [self.run(self.course(seats, onward)) for _ in range(2)]
        self.total = {run: sum(seats) + 1 for run in self.runs}
        proposed = self.propose_lending(KAGOSHIMA, self.runs[0], seats=2, days=12, by_giver=True)
        loan: dict[str, Any] = self.run(take(self.training, proposed.json(), "agree", KIRISHIMA)).json()
        for _ in range(seats[1] + 1):
            self.request(KIRISHIMA, self.runs[0])
        return loan

    async def course(self, seats: tuple[int, int], onward: bool) -> UUID:
        number = an_offer().course_number
        cut, later = [(await self.room.today(days)).isoformat() for days in (12, 24)]
        await self.room.decide(
            allotments=[
                line(
                    many, [town], course_number=number, cut_off_on=cut, lendable=True,
                    onward=[{"municipalities": [OTHER[town]], "cut_off_on": later}] if onward else [],
                )
                for town, many in zip(OTHER, seats, strict=True)
            ]
        )  # fmt: skip
        delegated = dict(zip(OTHER, seats, strict=True))
        offer = an_offer(course_number=number, capacity=sum(seats) + 1, delegated=delegated, hold_hours=2400)
        closes = offer.applications_close_at + self.training.desk.clock.offset + timedelta(days=60)
        return await offered(self.training, replace(offer, applications_close_at=closes))

    @rule(target=requests, town=TOWNS, run=st.integers(0, 1), times=st.integers(1, 3))
    def ask(self, town: str, run: int, times: int) -> Any:
        found = [self.request(town, self.runs[run]) for _ in range(times)]
        return multiple(*found)

    def request(self, town: str, course: UUID) -> dict[str, Any]:
        answer = self.run(ask(self.training, course, municipality=town))
        assert answer.status_code in {201, 409}, answer.text
        body: dict[str, Any] = answer.json()
        if body.get("outcome") == "held":
            self.taken[body["seat_request_id"]] = body["pool_id"]
        return body | {"municipality": town}

    @rule(asked=consumes(requests))
    def release(self, asked: dict[str, Any]) -> None:
        if "seat_request_id" in asked:
            self.taken.pop(asked["seat_request_id"], None)
            self.run(step(desk(self.training, asked["municipality"]), asked, "release", {"reason": "withdrawn"}))

    @rule(
        target=proposals, giver=TOWNS, run=st.integers(0, 1), seats=st.integers(1, 3), days=st.integers(1, 12),
        swap=st.booleans(), by_giver=st.booleans(),
    )  # fmt: skip
    def propose(self, giver: str, run: int, seats: int, days: int, swap: bool, by_giver: bool) -> Any:
        back = self.runs[1 - run] if swap else None
        answer = self.propose_lending(giver, self.runs[run], seats=seats, days=days, by_giver=by_giver, back=back)
        assert answer.status_code in {201, 409}, answer.text
        return answer.json() if answer.status_code == 201 else multiple()

    def propose_lending(
        self, giver: str, course: UUID, *, seats: int, days: int, by_giver: bool, back: UUID | None = None
    ) -> httpx2.Response:
        """With `back`, in return for a seat of that course run."""
        taker, until = OTHER[giver], self.run(self.room.today(days)).isoformat()
        body: dict[str, Any] = {
            "pool_id": self.run(pool_of_first(self.training, course, giver)), "seats": seats, "until_on": until,
            "proposed_for": giver if by_giver else taker, "taker": taker, "answer_within": 20,
        }  # fmt: skip
        if back is not None:
            body["in_return"] = {
                "pool_id": self.run(pool_of_first(self.training, back, taker)), "seats": 1, "until_on": until
            }  # fmt: skip
        answer: httpx2.Response = self.run(propose(self.training, body, body["proposed_for"]))
        return answer

    @rule(target=loans, proposed=consumes(proposals), move=st.sampled_from(["agree", "agree", "agree", "decline"]))
    def answer(self, proposed: dict[str, Any], move: str) -> Any:
        before = self.run(self.free())
        answer = self.run(take(self.training, proposed, move, proposed["asked"]))
        assert answer.status_code in {200, 409}, answer.text
        if answer.status_code == 409 or move == "decline":
            return multiple()
        for leg in proposed["legs"]:
            assert before[leg["pool_id"]] >= leg["seats"], "more was lent than was free"
        return answer.json()

    @rule(loan=loans, move=st.sampled_from(["recall", "give-back"]))
    def end(self, loan: dict[str, Any], move: str) -> None:
        leg = loan["legs"][0]
        who = leg["giver"] if move == "recall" else leg["taker"]
        answer = self.run(take(self.training, loan, move, who))
        assert answer.status_code in {200, 409}, answer.text
        if answer.status_code == 200:
            (left,) = answer.json()["legs"]
            assert left["outstanding"] == left["taken"], "what nobody holds is back, and nothing else"

    @rule(days=st.sampled_from([1, 6]))
    def time_passes(self, days: int) -> None:
        self.training.pass_time(timedelta(days=days))
        self.run(self.training.sweep())
        assert self.run(self.training.sweep()) == 0

    @invariant()
    def promises(self) -> None:
        if not hasattr(self, "runs"):
            return
        assert self.run(broken_promises(self.training, self.runs)) == []
        assert self.run(self.training.rows(_REPLAYED)) == []
        for each in self.run(self.training.rows(_PROVENANCE)):
            assert each["granted"] == each["entered"] <= each["allotted"], "a decision's seats are somewhere, once"
        for each in self.run(self.training.rows(_LENT, self.training.desk.clock.offset)):
            assert each["answer"] == "agreed", "nothing is lent without a yes"
            assert ([each["taker"]], [each["giver"]]) == (each["municipalities"], each["lenders"])
            assert each["taken"] <= each["granted"] <= each["seats"]
            if each["due"]:
                assert each["granted"] == each["taken"], "what is due and free is back"

    @invariant()
    def both_legs_or_none(self) -> None:
        rows = self.run(
            self.training.rows("SELECT command, count(*) AS legs FROM seat_entry WHERE kind = 'swap' GROUP BY 1")
        )
        assert {row["legs"] for row in rows} <= {2}

    @invariant()
    def all_seats_are_there_and_nobody_lost_one(self) -> None:
        if not hasattr(self, "runs"):
            return
        granted: Counter[UUID] = Counter()
        for row in self.run(self.training.rows("SELECT course_run_id, granted FROM pool")):
            granted[row["course_run_id"]] += row["granted"]
        assert {run: granted[run] for run in self.runs} == self.total
        for seat_request_id, pool_id in self.taken.items():
            (row,) = self.run(self.training.rows("SELECT * FROM seat_request WHERE id = $1", UUID(seat_request_id)))
            assert (row["state"], str(row["pool_id"])) == ("held", pool_id)

    async def free(self) -> dict[str, int]:
        rows = await self.training.rows("SELECT id, granted - held - filled AS free FROM pool")
        return {str(row["id"]): row["free"] for row in rows}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=120)


async def pool_of_first(training: Running, course: UUID, town: str) -> str:
    """The pool that was granted to the town, not one that came to it."""
    (row,) = await training.rows(
        "SELECT id FROM pool WHERE course_run_id = $1 AND municipality = $2 AND agreement_id IS NULL"
        " AND onward_step IS NULL",
        course,
        town,
    )
    return str(row["id"])


@pytest.mark.slow
async def test_no_agreement_makes_or_loses_a_seat(world: World) -> None:
    Lending.training, Lending.loop = world.service("training"), asyncio.get_running_loop()
    Lending.room = await the_room(Lending.training)
    await asyncio.to_thread(
        run_machine,
        Lending,
        settings=settings(
            max_examples=10,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],  # a failing story is short enough; making it shorter takes minutes
        ),
    )
