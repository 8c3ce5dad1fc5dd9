"""A conference under anything that anybody may try, in any order and at once, over HTTP, on any day.

The oracle below is written by hand and doesn't read the service's table, so that a wrong line there is seen here.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.bus.envelope import open_envelope
from shared.events import ConsentWithdrawn
from tests.service.assessment_room import DESK, NPO, consented, known_case
from tests.service.conference_table import CLINIC, COUNSELLOR, call, clinic, member, today
from tests.world import Running, World

WHO = ("chair", "member", "holder", "town", "far")
PATHS = {
    "invite": "invite",
    "postpone": "postpone",
    "cancel": "cancel",
    "answer": "answer",
    "put_on_agenda": "agenda",
    "map_problem": "problems",
    "open": "open",
    "decide": "decisions",
    "undo_decision": "",
    "write_minutes": "minutes",
    "conclude": "conclude",
}
ACTIONS = [(who, name) for who in WHO for name in PATHS]
OUTSIDE = [("clock", "next_day"), ("person", "withdraw")]
# Weights: what matters would drown among what nobody may do.
CHAIRS = [
    ("chair", name) for name in ("open", "decide", "write_minutes", "conclude", "decide", "open", "undo_decision")
]
batches = st.lists(
    st.one_of(
        st.lists(st.one_of(st.sampled_from(ACTIONS), st.sampled_from(CHAIRS)), min_size=1, max_size=3),
        st.sampled_from([[OUTSIDE[0]], [OUTSIDE[0]], [OUTSIDE[1]]]),
        st.sampled_from(CHAIRS).map(lambda action: [action]),
    ),
    min_size=2,
    max_size=12,
)
AT_LAST = [("chair", "open"), ("member", "put_on_agenda"), ("chair", "write_minutes"), ("chair", "conclude")]
"""Tried one by one at the end of every example; then everybody tries everything once more."""


@dataclass(frozen=True)
class Told:
    """What the oracle knows of a conference. `day`: how many days after the one on which it is to be held."""

    art9: bool
    chair_holds: bool
    state: str = "called"
    day: int = -1
    consent: bool = True
    planned: int = 0
    minutes: bool = False


def sees(at: Told, who: str) -> bool:
    """Who knows of it at all."""
    if at.art9:
        return who == "chair" or (who == "member" and at.day == 0)
    if who == "holder" or (who == "chair" and at.chair_holds):
        return True
    return who in {"chair", "member"} and at.consent


def possible(at: Told, who: str) -> set[str]:
    """What somebody who knows of it may do."""
    if who == "holder":
        return {"cancel"} if at.state in {"called", "in_session"} else set()
    if at.state == "called":
        all_may = {"answer", "put_on_agenda", "map_problem"}
        chair = all_may | {"invite", "postpone", "cancel", "rate_jointly", "open"}
        if at.day < 0 or (at.art9 and at.day > 0):
            chair.discard("open")
        if at.art9 and at.day < 0:
            chair -= {"answer", "rate_jointly"}
        if at.art9 and at.day > 0:
            chair = {"postpone", "cancel"}
        return chair if who == "chair" else all_may
    if at.state == "in_session":
        all_may = {"put_on_agenda", "map_problem"}
        chair = all_may | {"cancel", "rate_jointly", "decide", "undo_decision", "write_minutes", "conclude"}
        if at.art9 and at.day > 0:
            chair = {"cancel", "write_minutes", "conclude"}
        return chair if who == "chair" else all_may
    return set()


def after(at: Told, who: str, name: str) -> tuple[Told, int]:
    """What becomes of it, and the status of the answer."""
    if not sees(at, who):
        return at, 404
    if name not in possible(at, who):
        return at, 409
    if name == "undo_decision":
        return (replace(at, planned=at.planned - 1), 200) if at.planned else (at, 404)
    if name == "conclude" and not at.minutes:
        return at, 409
    changes: dict[str, dict[str, Any]] = {
        "open": {"state": "in_session"},
        "cancel": {"state": "cancelled", "planned": 0},
        "conclude": {"state": "concluded"},
        "postpone": {"day": -1},
        "decide": {"planned": at.planned + 1},
        "write_minutes": {"minutes": True},
    }
    created = name in {"put_on_agenda", "map_problem", "decide", "write_minutes"}
    return replace(at, **changes.get(name, {})), 201 if created else 200


class Meeting:
    """One conference and everybody who tries to do something in it."""

    def __init__(self, running: Running, at: Told) -> None:
        self.running, self.at = running, at
        self.case_id, self.path = uuid4(), ""
        self.names = {DESK: "chair", NPO: "member", "kagoshima-holder": "holder"}
        self.callers = {
            "chair": running.as_(),
            "member": running.as_(NPO, kind="npo"),
            "holder": running.as_("kagoshima-holder", kind="npo"),
            "town": running.as_("kagoshima-other", kind="municipality"),
            "far": clinic(running),
        }
        self.tasks: list[str] = []
        self.told: list[tuple[str, int]] = []

    async def begin(self) -> None:
        running, lane = self.running, "shien_kaigi_art9" if self.at.art9 else "consent"
        self.case_id = await known_case(running, agency=DESK if self.at.chair_holds else "kagoshima-holder")
        await consented(running, self.case_id)
        members = [member(DESK, COUNSELLOR), member(NPO)]
        held_on = today(running, 1).isoformat()
        answer = await call(running.as_(), running, self.case_id, lane=lane, held_on=held_on, members=members)
        assert answer.status_code == 201, answer.text
        self.path = f"/v1/conferences/{answer.json()['conference_id']}"

    def body(self, name: str) -> dict[str, Any]:
        day = today(self.running, 1).isoformat()
        bodies: dict[str, dict[str, Any]] = {
            "invite": {"members": [member("kagoshima-city")]},
            "postpone": {"held_on": day},
            "cancel": {"reason": "no_day_found"},
            "answer": {"coming": True},
            "put_on_agenda": {"words": "住まいについて"},
            "map_problem": {"need": "housing", "covered_by": [], "could": [CLINIC]},
            "decide": {"decision": "action", "owner": NPO, "due_on": day, "words": "見学に同行する"},
            "write_minutes": {"words": "一致した。"},
            "conclude": {"present": [member(NPO)]},
        }
        return bodies.get(name, {})

    async def act(self, who: str, name: str) -> Any:
        if who == "clock":
            self.running.pass_time(timedelta(days=1))
            return None
        if who == "person":
            await self.running.hear(ConsentWithdrawn(case_id=self.case_id, consent_version=2))
            return None
        path = f"{self.path}/{PATHS[name]}"
        if name == "undo_decision":
            path = f"{self.path}/decisions/{self.tasks[-1] if self.tasks else uuid4()}/undo"
        answer = await self.callers[who].post(path, self.body(name))
        assert answer.status_code in {200, 201, 404, 409}, answer.text
        return answer

    def outside(self, name: str) -> None:
        """What nobody in the meeting does."""
        if name == "next_day":
            self.at = replace(self.at, day=self.at.day + 1)
            return
        ends = not self.at.art9 and self.at.state in {"called", "in_session"}
        self.at = replace(self.at, consent=False)
        if ends:
            self.at = replace(self.at, state="cancelled", planned=0)

    async def check(self, steps_before: int) -> list[str]:
        """The new steps tell a legal story, the rows stand where it ends, and nobody heard anything else."""
        rows = self.running.rows
        held = UUID(self.path[-36:])
        steps = await rows("SELECT * FROM conference_step WHERE conference_id = $1 ORDER BY number", held)
        assert [step["number"] for step in steps] == list(range(1, len(steps) + 1))
        for step in steps[steps_before:]:
            who = self.names.get(step["by"])
            if who is None:  # the person's word, which `outside` knows
                assert (step["name"], step["reason"]) == ("cancel", "consent_ended")
                continue
            self.at, status = after(self.at, who, step["name"])
            assert status in {200, 201}, (self.at, who, step["name"])
        (row,) = await rows("SELECT * FROM conference WHERE id = $1", held)
        assert (row["state"], row["version"]) == (self.at.state, len(steps))
        tasks = await rows("SELECT id, state FROM task WHERE origin_id = $1 ORDER BY id", held)
        states = [task["state"] for task in tasks if task["state"] != "dropped"]
        gone = self.at.state == "concluded" and not self.at.consent and not self.at.art9
        begun = "open" if self.at.state == "concluded" else "planned"
        assert states == ([] if gone else [begun] * self.at.planned)
        self.tasks = [str(task["id"]) for task in tasks if task["state"] == "planned"]
        return [step["name"] for step in steps]

    async def check_news(self) -> None:
        """Nothing of Art. 9; of the rest each decision, once, and not before the end."""
        raw = await self.running.rows("SELECT value FROM outbox WHERE key = $1 ORDER BY seq", str(self.case_id))
        told = [open_envelope(row["value"], {}).type.split(".")[3] for row in raw]
        if self.at.art9:
            assert told == []
            return
        concluded = self.at.state == "concluded"
        assert told.count("conference-called") == 1
        assert told.count("conference-concluded") == concluded
        assert told.count("task-assigned") == (self.at.planned if concluded else 0)
        assert told.count("conference-cancelled") == (self.at.state == "cancelled")


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(art9=st.booleans(), chair_holds=st.booleans(), tries=batches)
async def test_only_who_may_does_anything_and_whoever_is_refused_hears_what_they_may(
    running: Running, art9: bool, chair_holds: bool, tries: list[list[tuple[str, str]]]
) -> None:
    meeting = Meeting(running, Told(art9, chair_holds))
    await meeting.begin()
    steps = 1
    everything = [[action] for action in ACTIONS if action[1] in {"cancel", "open", "invite", "conclude", "decide"}]
    for tried in (*tries, *([action] for action in AT_LAST), *everything):
        batch = [action for action in tried if action[0] != "holder" or not chair_holds]
        before = meeting.at
        answers = await asyncio.gather(*(meeting.act(who, name) for who, name in batch))
        for who, name in batch:
            if who in {"clock", "person"}:
                meeting.outside(name)
        names = await meeting.check(steps)
        steps = len(names)
        if len(batch) == 1 and answers[0] is not None:
            ((who, name),) = batch
            expected, status = after(before, who, name)
            assert (meeting.at, answers[0].status_code) == (expected, status), (before, who, name)
            answer = answers[0].json()
            if status == 409 and answer["code"] == "illegal_move":
                assert {error["legal"] for error in answer.get("errors", [])} == possible(before, who)
            if status in {200, 201}:
                assert set(answer["legal"]) == possible(expected, who)
    await meeting.check_news()
