"""A plan under any moves, by anybody, in any order and at once, on the real database.

The oracle below is written by hand and doesn't read the service's table, so that a wrong line there is seen here.
"""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.bus.envelope import open_envelope
from shared.events import CaseClosed
from tests.service.assessment_room import DESK, NPO, known_case
from tests.service.plan_room import CITY, body, drafted, said
from tests.world import KIRISHIMA, Caller, Running, World

WHO = ("desk", "city", "city_that_holds", "neighbour", "stranger")
BY_HOLDER = ("revise", "agree", "disagree", "hear", "monitor", "evaluate", "give_up")
BY_CITY = ("decide", "send_back")
ACTIONS = [(who, name) for who in WHO for name in (*BY_HOLDER, *BY_CITY)] + [("intake", "close")]
# Weights: the moves that matter would drown among those that nobody may make.
WAY = [("holder", "agree"), ("holder", "hear"), ("decider", "decide")]
batches = st.lists(
    st.lists(
        st.one_of(
            st.sampled_from(WAY),
            st.sampled_from([("holder", name) for name in BY_HOLDER if name != "evaluate"]),
            st.sampled_from(ACTIONS),
        ),
        min_size=1,
        max_size=2,
    ),
    min_size=2,
    max_size=9,
)
Standing = tuple[str, bool]
"""Where the newest version stands (draft, agreed, heard, decided), and whether any was decided; or how it ended."""
ENDS = {"evaluated", "given_up", "interrupted"}


def after(standing: Standing, name: str, *, holds: bool, decides: bool) -> Standing | None:
    """Where a move leads, or None if it must have no effect."""
    at, decided = standing
    if at in ENDS:
        return None
    if name == "close":
        return "interrupted", decided
    if name in BY_CITY:
        if not decides:
            return None
        if name == "decide":
            return ("decided", True) if at == "heard" else None
        return ("draft", decided) if at in {"agreed", "heard"} else None
    if not holds:
        return None
    ways: dict[str, Standing | None] = {
        "revise": ("draft", decided),
        "agree": ("agreed", decided) if at == "draft" else None,
        "disagree": standing if at == "draft" else None,
        "hear": ("heard", decided) if at == "agreed" else None,
        "monitor": standing if decided else None,
        "evaluate": ("evaluated", True) if decided else None,
        "give_up": None if at == "decided" else ("decided", True) if decided else ("given_up", False),
    }
    return ways[name]


def state_of(standing: Standing) -> str:
    at, decided = standing
    if at in ENDS or not decided:
        return at
    return {"decided": "in_force", "draft": "changing", "agreed": "change_agreed", "heard": "change_heard"}[at]


class Journey:
    """One plan and everybody who tries to move it. `by_city`: the municipality holds the case itself."""

    def __init__(self, running: Running, *, by_city: bool) -> None:
        self.running = running
        self.holder = CITY if by_city else DESK
        self.case_id = UUID(int=0)
        self.plan_id = ""
        municipal = {"kind": "municipality"}
        self.callers: dict[str, Caller] = {
            "desk": running.as_(DESK),
            "city": running.as_("kagoshima-welfare", kind="welfare_office"),
            "city_that_holds": running.as_(CITY, **municipal),
            "neighbour": running.as_(NPO),
            "stranger": running.as_("kirishima-city", municipalities=[KIRISHIMA], **municipal),
        }
        self.names = {"holder": "city_that_holds" if by_city else "desk", "decider": "city"}

    async def begin(self) -> None:
        self.case_id = await known_case(self.running, agency=self.holder)
        if self.holder == DESK:
            self.plan_id = (await drafted(self.running, self.case_id))["plan_id"]
        else:
            answer = await self.callers["city_that_holds"].post(f"/v1/cases/{self.case_id}/plans", body())
            self.plan_id = answer.json()["plan_id"]

    def parts(self, who: str) -> dict[str, bool]:
        """Whether somebody holds the case, and whether it decides about plans."""
        return {
            "holds": who == self.names["holder"],
            "decides": who in {"city", "city_that_holds"},
        }

    async def act(self, who: str, name: str) -> Any:
        who = self.names.get(who, who)
        if who == "intake":
            return await self.running.hear(
                CaseClosed(case_id=self.case_id, agency_id=self.holder, ended="goal_reached")
            )
        (row,) = await self.running.rows("SELECT version, steps FROM plan WHERE id = $1", UUID(self.plan_id))
        sent = body() if name == "revise" else said(name, row["version"])
        headers = {"If-Match": f'"{row["steps"]}"'} if name == "revise" else {}
        answer = await self.callers[who].post(f"/v1/plans/{self.plan_id}/{name}", sent, headers=headers)
        refused = {"stranger": 404, "neighbour": 403}
        if self.holder == CITY:
            refused["desk"] = 403
        if who in refused:
            assert answer.status_code == refused[who], answer.text
        else:
            assert answer.status_code in {200, 409, 412}, answer.text
        return answer

    def legal(self, standing: Standing, who: str) -> list[str]:
        names = (*BY_HOLDER[:4], *BY_CITY, *BY_HOLDER[4:])
        return [name for name in names if after(standing, name, **self.parts(who)) is not None]

    async def check(self) -> tuple[Standing, list[str]]:
        """The steps tell a legal story without gaps, and the row stands where it ends."""
        rows = self.running.rows
        (row,) = await rows("SELECT * FROM plan WHERE id = $1", UUID(self.plan_id))
        steps = await rows("SELECT * FROM plan_step WHERE plan_id = $1 ORDER BY number", UUID(self.plan_id))
        assert [step["number"] for step in steps] == list(range(1, row["steps"] + 1))
        standing: Standing = ("draft", False)
        by = {"kagoshima-welfare": "city", CITY: "city_that_holds", DESK: "desk"}
        for step in steps[1:]:
            name = "close" if step["move"] == "interrupt" else step["move"]
            reached = after(standing, name, **self.parts(by[step["by"]]))
            assert reached is not None, (standing, step["by"], name)
            standing = reached
            assert step["state"] == state_of(standing)
        assert row["state"] == state_of(standing)
        assert row["version"] == 1 + sum(step["move"] == "revise" for step in steps)
        await self.check_tasks(standing)
        await self.check_news([step["move"] for step in steps])
        return standing, [step["move"] for step in steps]

    async def check_tasks(self, standing: Standing) -> None:
        """While a version is in force, monitoring is due exactly once; before and after it never is."""
        waiting = await self.running.rows(
            "SELECT kind FROM task WHERE origin_id = $1 AND state = 'open' AND kind = 'monitoring'", UUID(self.plan_id)
        )
        assert len(waiting) == (1 if standing[1] and standing[0] not in ENDS else 0)

    async def check_news(self, moves: list[str]) -> None:
        """What concerns others is told, each time it happens and nothing else; in order without gaps."""
        raw = await self.running.rows("SELECT value FROM outbox WHERE key = $1 ORDER BY seq", str(self.case_id))
        envelopes = [open_envelope(row["value"], {}) for row in raw]
        assert [envelope.sequence for envelope in envelopes] == list(range(1, len(envelopes) + 1))
        told = [envelope.type.split(".")[3] for envelope in envelopes]
        names = {"agree": "plan-agreed", "decide": "plan-decided", "evaluate": "plan-evaluated"}
        assert [name for name in told if name.startswith("plan-")] == [names[m] for m in moves if m in names]


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(by_city=st.booleans(), moves=batches)
async def test_only_legal_moves_take_effect_whoever_tries_whatever_in_any_order(
    running: Running, by_city: bool, moves: list[list[tuple[str, str]]]
) -> None:
    journey = Journey(running, by_city=by_city)
    await journey.begin()
    standing: Standing = ("draft", False)
    before = ["draft"]
    for batch in moves:
        answers = await asyncio.gather(*(journey.act(who, name) for who, name in batch))
        reached, steps = await journey.check()
        if len(batch) == 1:
            ((who, name),) = batch
            who = journey.names.get(who, who)
            expected = after(standing, name, **journey.parts(who))
            assert reached == (expected or standing), (standing, who, name)
            assert steps == before + ([{"close": "interrupt"}.get(name, name)] if expected else [])
            if answers[0] is not None and answers[0].status_code == 409:
                assert [error["legal"] for error in answers[0].json().get("errors", [])] == journey.legal(standing, who)
        standing, before = reached, steps


async def test_every_state_says_what_its_holder_and_its_municipality_may_do(running: Running) -> None:
    """All states one after the other, for both, and what is shown beside the plan is what is named in a refusal."""
    journey = Journey(running, by_city=False)
    await journey.begin()
    way = ["agree", "hear", "decide", "revise", "agree", "hear", "send_back", "agree", "give_up", "evaluate"]
    standing: Standing = ("draft", False)
    for name in way:
        for who in ("desk", "city"):
            shown = await journey.callers[who].get(f"/v1/plans/{journey.plan_id}")
            if shown.status_code == 404:  # nobody agreed yet: there is nothing to decide
                continue
            assert shown.json()["legal"] == journey.legal(standing, who), (standing, who)
        who = "city" if name in BY_CITY else "desk"
        assert (await journey.act(who, name)).status_code == 200, (standing, name)
        following = after(standing, name, **journey.parts(who))
        assert following is not None
        standing = following
    assert standing[0] == "evaluated"
