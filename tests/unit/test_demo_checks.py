"""The checks at the end of `make demo`: each of them sees the lie it is there for."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from demo import checks
from demo.checks import Check
from demo.persons import Person, invent
from demo.play import OBSERVER, Played, Stage

RUN, POOL = "run", "pool"


@dataclass
class Told:
    """What the services say; every test bends one thing."""

    pools: list[dict[str, Any]] = field(default_factory=lambda: [_pool()])
    shown: list[dict[str, Any]] = field(default_factory=lambda: [_pool()])

    async def get(self, path: str, **_: Any) -> Any:
        if path == "/dashboard/v1/figures":
            return {"seats": [{"course_run_id": RUN, "pools": self.shown}]}
        return {"pools": self.pools}


def _pool(**changes: int) -> dict[str, Any]:
    return {"pool_id": POOL, "granted": 2, "held": 1, "filled": 1, "waiting": 1} | changes


def persons() -> list[Person]:
    """Three: one enrolled, one with a held seat, one in line."""
    three = invent(20, 1)[:3]
    for number, person in enumerate(three):
        person.case_id, person.seat_request_id = f"case-{number}", f"seat-{number}"
    return three


def played(told: Told | None = None) -> Played:
    caller: Any = told or Told()
    stage = Stage("http://x", {OBSERVER: caller, "kagoshima-desk": caller}, popular=RUN)
    return Played(stage, persons(), 1.0)


def requests(*states: str) -> dict[str, list[Any]]:
    return {f"case-{n}": [{"state": state, "course_run_id": RUN}] for n, state in enumerate(states)}


def timelines(*kinds: set[str]) -> dict[str, list[Any]]:
    return {f"case-{n}": [{"kind": kind} for kind in each] for n, each in enumerate(kinds)}


def events(*tell: tuple[str, int]) -> list[dict[str, Any]]:
    return [
        {"id": f"id-{n}", "seq": n, "type": f"jp.tsunagu.x.{type_}.v1", "subject": f"case-{case}"}
        for n, (type_, case) in enumerate(tell, 1)
    ]


OPENED = [("case-opened", 0), ("case-opened", 1), ("case-opened", 2)]
STATES = ("enrolled", "held", "waiting")
KINDS = ({"seat_held", "instruction_issued", "enrolled"}, {"seat_held"}, {"seat_waitlisted"})


@pytest.mark.parametrize(("tell", "ok"), [(OPENED, True), (OPENED[1:], False), ([*OPENED, OPENED[0]], False)])
def test_a_case_that_is_lost_or_told_twice_is_seen(tell: list[tuple[str, int]], ok: bool) -> None:
    assert checks._opened_once(played(), events(*tell)).ok is ok


def test_an_event_twice_and_a_gap_in_the_feed_are_seen() -> None:
    told = events(*OPENED)
    assert checks._no_event_twice(told).ok
    assert not checks._no_event_twice([*told[:2], told[2] | {"id": "id-1"}]).ok
    assert not checks._no_event_twice([told[0], told[2]]).ok


def test_a_lost_and_a_second_request_are_seen() -> None:
    found = requests(*STATES)
    assert checks._one_request_each(played(), found).ok
    assert not checks._one_request_each(played(), found | {"case-1": []}).ok
    assert not checks._one_request_each(played(), found | {"case-1": found["case-1"] * 2}).ok


@pytest.mark.parametrize(
    ("told", "states", "broken"),
    [
        (Told(), STATES, set()),
        (Told([_pool(held=2)], [_pool(held=2)]), STATES, {"nothing oversold", "seats = persons with one"}),
        (Told(), ("enrolled", "released", "waiting"), {"seats = persons with one"}),
        (Told(), ("enrolled", "held", "held"), {"seats = persons with one", "the line = persons waiting"}),
        (
            Told([_pool(granted=3)], [_pool(granted=3)]),
            STATES,
            {"no idle seat beside a waiting person"},
        ),
        (Told(shown=[_pool(held=0)]), STATES, {"the dashboard shows what training knows"}),
    ],
)
async def test_oversold_idle_and_wrongly_shown_seats_are_seen(
    told: Told, states: tuple[str, ...], broken: set[str]
) -> None:
    found: list[Check] = await checks._popular_course(played(told), requests(*states))
    assert {each.name for each in found if not each.ok} == broken


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_an_outcome_that_did_not_come_back_is_seen(missing: int) -> None:
    assert checks._upstream(played(), requests(*STATES), timelines(*KINDS)).ok
    silent = [set() if n == missing else kinds for n, kinds in enumerate(KINDS)]
    assert not checks._upstream(played(), requests(*STATES), timelines(*silent)).ok


@pytest.mark.parametrize(
    ("tell", "ok"), [([("enrolled", 0)], True), ([], False), ([("enrolled", 0), ("enrolled", 1)], False)]
)
def test_an_enrolment_that_nobody_told_or_nobody_made_is_seen(tell: list[tuple[str, int]], ok: bool) -> None:
    assert checks._events_match(requests(*STATES), events(*tell)).ok is ok
