"""From a request to what came of it, in any order, with late facts and modes that change: only what may stand, stands.

A small model says for each attempt whether it can take effect. After every attempt the rows are read back: each status
is what a reader of the facts alone would call it, no seat is lost or idle, and nothing that was corrected is gone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.service.clock import day_in_japan, wall_time
from tests.service.training_courses import (
    ENTITY,
    HELLO_WORK_ENTITY,
    broken_promises,
    desk,
    hello_work,
    offered,
    placement,
    planner,
    school,
    seat,
    step,
)
from tests.world import Caller, Running, World

PEOPLE, SEATS, LENGTH = 4, 3, 45
LIVE = {"nominated", "countersigned"}
HOLDING = {"held", *LIVE, "instructed"}
attempts = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(
                ["nominate", "countersign", "instruct", "instruct_delegated", "support", "cancel", "enrol", "release"]
            ),
            st.integers(0, PEOPLE - 1),
        ),
        st.tuples(
            st.sampled_from(["in_selection", "accepted", "reserve", "rejected", "certify", "complete", "leave", "job"]),
            st.integers(0, PEOPLE - 1),
        ),
        st.tuples(st.sampled_from(["nominate", "countersign", "accepted"]), st.integers(0, PEOPLE - 1)),
        st.tuples(st.sampled_from(["support", "cancel"]), st.integers(0, PEOPLE - 1)),
        st.tuples(st.sampled_from(["delegated", "current_law", "days"]), st.just(0)),
    ),
    min_size=4,
    max_size=22,
)


@dataclass
class Person:
    """What the model believes of one."""

    asked: dict[str, Any]
    state: str
    result: str | None = None
    rank: int | None = None
    signed: bool = False
    papers: list[str] = field(default_factory=list)
    stands: bool = False
    certified: int = 0
    ended: list[str] = field(default_factory=list)
    jobs: int = 0

    @property
    def status(self) -> str:
        if self.state == "released":
            return "rejected" if self.result == "rejected" else "released"
        if self.state == "enrolled":
            return self.ended[-1] if self.ended else "enrolled"
        return self.result if self.state in LIVE and self.result else self.state


class Chain:
    """One course run, a few people, and everybody who says something about them."""

    def __init__(self, training: Running) -> None:
        self.training = training
        self.mode = "current_law"
        self.today = self.starts = self.ends = date.min
        self.people: list[Person] = []
        self.course = UUID(int=0)

    async def begin(self) -> None:
        self.today = day_in_japan(wall_time() + self.training.desk.clock.offset)
        self.starts, self.ends = self.today + timedelta(days=1), self.today + timedelta(days=LENGTH)
        self.course = await offered(
            self.training,
            capacity=SEATS,
            starts_on=self.starts,
            ends_on=self.ends,
            hold_hours=2400,
            offer_days=20,
            applications_close_at=wall_time() + self.training.desk.clock.offset + timedelta(days=99),
        )
        await self.decide("current_law")
        for number in range(PEOPLE):
            asked = await seat(self.training, self.course)
            self.people.append(Person(asked, "held" if number < SEATS else "waiting"))

    async def decide(self, mode: str) -> None:
        body = {"prefecture": "46", "mode": mode, "in_force_from": self.today.isoformat(), "decided_by": "x"}
        assert (await planner(self.training).post("/v1/authorities", body)).status_code == 201
        self.mode = mode

    async def attempt(self, name: str, number: int) -> None:
        if name in {"delegated", "current_law"}:
            await self.decide(name)
        elif name == "days":
            if self.today <= self.ends:
                self.training.pass_time(timedelta(days=25))
                self.today += timedelta(days=25)
                await self.training.sweep()
                # Who lost a paper had until the first day, or that day, for another.
                for person in self.people:
                    if person.papers and not person.stands and person.state in LIVE:
                        self.leave_line(person, rejected=False)
        else:
            person = self.people[number]
            may = self.may(name, person)
            answer = await self.send(name, person)
            assert (answer.status_code < 300) == may, (name, person, self.mode, self.today, answer.text)
            if may:
                self.follow(name, person)
        await self.accept_offers()

    async def accept_offers(self) -> None:
        """Whoever is offered a seat out of the line takes it at once: how offers end is the line's own machine's."""
        for row in await self.training.rows("SELECT id FROM seat_request WHERE offered"):
            answer = await desk(self.training).post(f"/v1/seat-requests/{row['id']}/accept")
            assert answer.status_code == 200, answer.text

    # --- the model ---

    def may(self, name: str, person: Person) -> bool:
        selects = any(each.result for each in self.people)
        allowed = person.result == "accepted" or (person.result is None and not selects)
        signed = person.state == "countersigned" or (person.state == "nominated" and self.mode == "delegated")
        follows = person.state == "enrolled" and person.papers and not person.stands and not person.ended
        issued = (signed and allowed) or bool(follows)
        month_over = self.today >= min(_last_day(self.starts), self.ends)
        return {
            "nominate": lambda: person.state == "held",
            "countersign": lambda: person.state == "nominated" and self.mode == "current_law",
            "instruct": lambda: issued and self.mode == "current_law",
            "instruct_delegated": lambda: issued and self.mode == "delegated",
            "support": lambda: issued,
            "cancel": lambda: person.stands and person.papers[-1] == "support",
            "enrol": lambda: person.state == "instructed",
            "release": lambda: person.state not in {"enrolled", "released"},
            "in_selection": lambda: (
                person.state in LIVE and person.result in {None, "in_selection"} and self.today <= self.starts
            ),
            "accepted": lambda: person.state in LIVE,
            "reserve": lambda: person.state in LIVE,
            "rejected": lambda: person.state in LIVE,
            "certify": lambda: person.state == "enrolled" and month_over,
            "complete": lambda: person.state == "enrolled" and self.today >= self.ends,
            "leave": lambda: person.state == "enrolled" and self.today >= self.starts + timedelta(days=31),
            "job": lambda: bool(person.ended),
        }[name]()

    def follow(self, name: str, person: Person) -> None:
        steps = {"nominate": "nominated", "countersign": "countersigned", "enrol": "enrolled"}
        if name in steps:
            person.state = steps[name]
            person.signed = person.signed or name == "countersign"
        elif name in {"instruct", "instruct_delegated", "support"}:
            person.papers.append(name)
            person.stands = True
            person.state = "enrolled" if person.state == "enrolled" else "instructed"
        elif name == "cancel":
            person.stands = False
            if person.state == "instructed":
                person.state = "countersigned" if person.signed else "nominated"
        elif name in {"in_selection", "accepted", "reserve"}:
            person.result, person.rank = name, self.rank_of(person) if name == "reserve" else None
        elif name in {"rejected", "release"}:
            self.leave_line(person, rejected=name == "rejected")
        elif name == "certify":
            person.certified += 1
        elif name in {"complete", "leave"}:
            person.ended.append({"complete": "completed", "leave": "left"}[name])
        else:
            person.jobs += 1

    def leave_line(self, person: Person, *, rejected: bool) -> None:
        had_seat, accepted = person.state in HOLDING, person.result == "accepted" and person.state != "held"
        person.state = "released"
        if rejected:
            person.result = "rejected"
        waiting = [each for each in self.people if each.state == "waiting"]
        if had_seat and waiting:
            waiting[0].state = "held"
        reserves = [each for each in self.people if each.state in LIVE and each.result == "reserve"]
        if accepted and reserves and self.today <= self.starts:
            first = min(reserves, key=lambda each: each.rank or 0)
            first.result, first.rank = "accepted", None

    def rank_of(self, person: Person) -> int:
        """The later in the list, the earlier the rank: so that order of asking can't be taken for it."""
        return PEOPLE - self.people.index(person)

    # --- what is sent ---

    async def send(self, name: str, person: Person) -> Any:
        office = {"legal_entity": HELLO_WORK_ENTITY}
        result = {"result": name, "result_on": self.today.isoformat()}
        stands = await self.stands(name, person)
        ways: dict[str, tuple[Callable[[Running], Caller], str, Any]] = {
            "nominate": (placement, "nominate", ENTITY),
            "countersign": (hello_work, "countersign", office),
            "instruct": (hello_work, "instruct", office),
            "instruct_delegated": (placement, "instruct", ENTITY),
            "support": (hello_work, "instruct", office | {"kind": "support_instruction"}),
            "cancel": (hello_work, "cancel-instruction", {"reason": "other"}),
            "enrol": (school, "enrol", None),
            "release": (desk, "release", {"reason": "person_declined"}),
            "in_selection": (school, "select", result),
            "accepted": (school, "select", result),
            "reserve": (school, "select", result | {"rank": self.rank_of(person)}),
            "rejected": (school, "select", result | {"reason": "other"}),
            "certify": (
                school,
                "attendance-certificates",
                {"month": f"{self.starts:%Y-%m}", "days_held": 0, "days_present": 0, "corrects": stands},
            ),
            "complete": (
                school,
                "end-training",
                {"ending": "completed", "ended_on": self.ends.isoformat(), "corrects": stands},
            ),
            "leave": (
                school,
                "end-training",
                {
                    "ending": "left",
                    "ended_on": (self.starts + timedelta(days=31)).isoformat(),
                    "reason": "found_work",
                    "corrects": stands,
                },
            ),
            "job": (desk, "employment-outcomes", {"checkpoint": "at_end", "outcome": "employed", "corrects": stands}),
        }
        caller, move, body = ways[name]
        return await step(caller(self.training), person.asked, move, body)

    async def stands(self, name: str, person: Person) -> str | None:
        table = {"certify": "attendance_certificate", "complete": "training_end", "leave": "training_end"}
        found = await self.training.rows(
            f"SELECT id FROM {table.get(name, 'employment_outcome')} WHERE seat_request_id = $1"
            " ORDER BY number DESC LIMIT 1",
            UUID(person.asked["seat_request_id"]),
        )
        return str(found[0]["id"]) if found else None

    # --- what must hold ---

    async def check(self) -> None:
        rows = self.training.rows
        assert await broken_promises(self.training, [self.course]) == []
        for person in self.people:
            its_id = UUID(person.asked["seat_request_id"])
            (row,) = await rows("SELECT * FROM seat_request WHERE id = $1", its_id)
            assert row["state"] == person.state, person
            shown = (await desk(self.training).get(f"/v1/seat-requests/{its_id}/record")).json()
            assert shown["status"] == person.status == await self.read_from_facts(its_id), person
            assert len(shown["attendance"]["months"]) == person.certified
            assert [each["ending"] for each in shown["ends"]] == person.ended
            assert len(shown["outcomes"]) == person.jobs
            papers = [(each["number"], each["stands"]) for each in shown["papers"]]
            last = len(person.papers)
            assert papers == [(number, number == last and person.stands) for number in range(1, last + 1)]
            for facts in (shown["attendance"]["months"], shown["ends"], shown["outcomes"], shown["results"]):
                assert [each["stands"] for each in facts] == [False] * (len(facts) - 1) + [True] * bool(facts)
        unnamed = await rows("SELECT FROM instruction WHERE registration_id IS NULL OR legal_entity IS NULL")
        assert unnamed == []

    async def read_from_facts(self, its_id: UUID) -> str:
        """Who reads the tables of facts, and neither the request's state nor our function, says the same."""
        (found,) = await self.training.rows(
            """
            SELECT coalesce(
                (SELECT 'rejected' FROM selection s WHERE s.seat_request_id = $1 AND s.result = 'rejected'),
                (SELECT 'released' FROM seat_request WHERE id = $1 AND released_reason IS NOT NULL),
                (SELECT ending FROM training_end e WHERE e.seat_request_id = $1 ORDER BY number DESC LIMIT 1),
                (SELECT 'enrolled' FROM enrolment WHERE seat_request_id = $1),
                (SELECT 'instructed' FROM instruction i WHERE seat_request_id = $1 AND NOT EXISTS (
                    SELECT FROM instruction_cancellation WHERE instruction_id = i.id)),
                (SELECT result FROM selection s WHERE s.seat_request_id = $1 ORDER BY number DESC LIMIT 1),
                (SELECT 'countersigned' FROM countersignature WHERE seat_request_id = $1),
                (SELECT 'nominated' FROM nomination WHERE seat_request_id = $1),
                (SELECT 'held' FROM seat_entry WHERE seat_request_id = $1 AND kind = 'hold'), 'waiting'
            ) AS status
            """,
            its_id,
        )
        status: str = found["status"]
        return status


def _last_day(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=attempts)
async def test_only_what_may_stand_stands_in_any_order(training: Running, said: list[tuple[str, int]]) -> None:
    chain = Chain(training)
    await chain.begin()
    for name, number in said:
        await chain.attempt(name, number)
        await chain.check()


async def test_the_whole_way_with_a_mode_that_changes_twice_and_every_fact_corrected(training: Running) -> None:
    chain = Chain(training)
    await chain.begin()
    way = [
        ("nominate", 0), ("nominate", 1), ("nominate", 2), ("countersign", 0), ("in_selection", 0), ("accepted", 0),
        ("reserve", 1), ("reserve", 2), ("delegated", 0), ("release", 0), ("nominate", 3), ("instruct_delegated", 2),
        ("current_law", 0), ("countersign", 1), ("accepted", 1), ("support", 1), ("enrol", 1), ("enrol", 2),
        ("rejected", 3), ("days", 0), ("days", 0), ("certify", 1), ("certify", 1), ("leave", 1), ("complete", 1),
        ("complete", 2), ("job", 1), ("job", 1),
    ]  # fmt: skip
    for name, number in way:
        assert name in {"delegated", "current_law", "days"} or chain.may(name, chain.people[number]), (name, number)
        await chain.attempt(name, number)
        await chain.check()
    assert [person.status for person in chain.people] == ["released", "completed", "completed", "rejected"]
