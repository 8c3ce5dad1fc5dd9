"""Whatever is done with a plan, by people, the clock and the catalogue: sums stay, and replay is the standing."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.service.clock import day_in_japan, wall_time
from tests.service.training_courses import offered, planner
from tests.service.training_years import PLANS, a_plan, broken_promises, part, recorded
from tests.world import Running, World


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


keys = st.sampled_from(["year", *(f"q{n}{field}" for n in (1, 2, 3) for field in ("", "-it", "-care"))])
acts = st.one_of(
    st.tuples(st.just("carry-overs"), st.integers(1, 4)),
    st.tuples(st.just("carry"), keys, st.integers(1, 3), st.integers(1, 20)),
    st.tuples(st.just("transfers"), keys, keys, st.integers(1, 20)),
    st.tuples(st.just("open-to-all"), keys, st.integers(1, 20)),
    st.tuples(st.just("again"), st.integers(0, 20)),
    st.tuples(st.just("version"), st.integers(-15, 15), st.integers(0, 2)),
    st.tuples(st.just("course"), st.sampled_from(["it", "care", "other"]), st.integers(1, 12), st.integers(1, 3)),
    st.tuples(st.just("days"), st.integers(1, 3)),
    st.tuples(st.just("crash"), keys, keys, st.integers(1, 20)),
)


class Year:
    """One plan, and everything that is done with it."""

    def __init__(self, training: Running, year: int, seats: Sequence[int]) -> None:
        self.training, self.year, self.council = training, year, planner(training)
        self.seats, self.extra = list(seats), 0
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.plan_id = ""

    def plan(self, more: int, effective_on: date) -> dict[str, Any]:
        parts = {(n, field): self.seats[2 * n + i] for n in range(3) for i, field in enumerate(("it", "care"))}
        parts[2, "it"] += more
        lines = [part("year", sum(parts.values()))]
        for n in range(3):
            lines.append(part(f"q{n + 1}", parts[n, "it"] + parts[n, "care"], "year", quarter=n + 1))
            lines += [part(f"q{n + 1}-{field}", parts[n, field], f"q{n + 1}", field=field) for field in ("it", "care")]
        lines.append({"key": "most", "kind": "limit", "parent": "q2", "field": "it", "seats": lines[4]["seats"]})
        return a_plan(*lines, fiscal_year=self.year, effective_on=effective_on.isoformat())

    def today(self) -> date:
        return day_in_japan(wall_time() + self.training.desk.clock.offset)

    async def begin(self) -> None:
        self.plan_id = await recorded(self.council, self.plan(0, date(self.year, 4, 1)))

    async def happen(self, what: tuple[Any, ...]) -> None:
        match what:
            case "carry-overs", quarter:
                await self.act("carry-overs", {"quarter": quarter})
            case "carry", line, quarter, seats:
                await self.act("carry-overs", {"quarter": quarter, "lines": [{"line": line, "seats": seats}]})
            case "transfers", source, target, seats:
                await self.act("transfers", {"from_line": source, "to_line": target, "seats": seats})
            case "open-to-all", line, seats:
                await self.act("open-to-all", {"line": line, "seats": seats})
            case "again", which:
                await self.again(which)
            case "version", more, days:
                answer = await self.council.post(
                    PLANS, self.plan(max(more, -self.seats[4]), self.today() + timedelta(days))
                )
                assert answer.status_code in {201, 422}, answer.text
            case "course", field, capacity, quarter:
                begins = date(self.year, 3 * quarter + 1, 10)
                await offered(
                    self.training, field=field, capacity=capacity, starts_on=begins, ends_on=begins + timedelta(days=90)
                )
            case "days", days:
                self.training.pass_time(timedelta(days=days))
                await self.training.sweep()
            case "crash", source, target, seats:
                await self.crash({"from_line": source, "to_line": target, "seats": seats})
            case _:
                raise AssertionError(what)

    async def act(self, path: str, order: dict[str, Any]) -> None:
        body = {"command_id": str(uuid4()), "reason": "試験"} | order
        answer = await self.council.post(f"{PLANS}/{self.plan_id}/{path}", body)
        assert answer.status_code in {201, 409}, answer.text
        if answer.status_code == 201:
            self.sent.append((path, body))

    async def again(self, which: int) -> None:
        if not self.sent:
            return
        path, body = self.sent[which % len(self.sent)]
        before = await self.entries()
        answer = await self.council.post(f"{PLANS}/{self.plan_id}/{path}", body)
        assert (answer.status_code, answer.json()["repeated"]) == (201, True)
        assert await self.entries() == before

    async def crash(self, order: dict[str, Any]) -> None:
        """Cut off before the commit, nothing has happened."""
        before = await self.entries()
        commit, self.training.database.commit = self.training.database.commit, _killed  # type: ignore[method-assign]
        try:
            body = {"command_id": str(uuid4()), "reason": "試験"} | order
            answer = await self.council.post(f"{PLANS}/{self.plan_id}/transfers", body)
            assert answer.status_code in {409, 500, 503}, answer.text
        finally:
            self.training.database.commit = commit  # type: ignore[method-assign]
        assert await self.entries() == before

    async def entries(self) -> list[Any]:
        return await self.training.rows("SELECT * FROM plan_entry WHERE plan_id = $1 ORDER BY id", UUID(self.plan_id))


async def _killed(session: Any) -> None:
    del session
    raise ConnectionError("killed before the commit")


@pytest.mark.slow
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a story of requests is not told anew for shrinking
)
@given(seats=st.lists(st.integers(0, 25), min_size=6, max_size=6), story=st.lists(acts, min_size=4, max_size=16))
async def test_whatever_is_done_sums_stay_and_replay_is_the_standing(
    training: Running, seats: list[int], story: list[tuple[Any, ...]]
) -> None:
    years = await training.rows("SELECT max(fiscal_year) AS year FROM plan")
    told = Year(training, (years[0]["year"] or 1999) + 1, seats)
    await told.begin()
    for what in story:
        await told.happen(what)
        assert await broken_promises(training) == []
