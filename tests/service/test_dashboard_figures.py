"""The figures: counted once per case, of one moment, and the same as a count made another way."""

import asyncio
from collections import defaultdict
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from services.dashboard import handlers
from services.dashboard.domain import Figures
from services.dashboard.handlers import bell
from services.dashboard.reactions import STAGE_OF
from services.dashboard.tables import read_figures
from shared.bus.port import Record
from tests.service.dashboard_region import POOL, RUN, course, journey, journeys, opened, partitions_of, pool, record
from tests.world import Running, World


@pytest.fixture
def dashboard(world: World) -> Running:
    return world.service("dashboard")


async def test_figures_agree_with_an_independent_count(dashboard: Running) -> None:
    told = journeys(80, seed=3)
    await asyncio.gather(*(dashboard.inbox.deliver(each) for each in partitions_of([*told, *told[::3]])))
    expected: dict[str, set[str]] = defaultdict(set)
    for event in told:
        if type(event) in STAGE_OF:
            expected[STAGE_OF[type(event)]].add(event.subject)
    figures = await read(dashboard)
    assert {each["stage"]: each["cases"] for each in figures["funnel"]} == {
        stage: len(cases) for stage, cases in expected.items()
    }
    assert figures["position"] == len([*told, *told[::3]])


async def test_a_case_counts_once_however_often_it_reaches_a_stage(dashboard: Running) -> None:
    case_id = uuid4()
    once, again = journey(case_id), journey(case_id)
    await dashboard.hear(*once, *again)
    assert {each["cases"] for each in (await read(dashboard))["funnel"]} == {1}


async def test_news_of_a_case_may_come_before_the_case_itself(dashboard: Running) -> None:
    case_id = uuid4()
    for event in reversed(journey(case_id)):
        await dashboard.hear(event)
    assert {each["cases"] for each in (await read(dashboard))["funnel"]} == {1}
    [row] = await dashboard.rows("SELECT municipality, opened_at IS NOT NULL AS opened FROM case_progress")
    assert (row["municipality"], row["opened"]) == ("462012", True)


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
async def test_an_older_state_of_a_pool_never_overwrites_a_newer_one(dashboard: Running, together: bool) -> None:
    news = [
        record(pool(held=5), offset=0, sequence=5),
        record(pool(held=3), offset=1, sequence=3),
        record(pool(held=4), offset=2, sequence=4),
        record(course(), offset=3),
    ]
    await deliver(dashboard, news, together=together)
    [run] = (await read(dashboard))["seats"]
    assert [each["held"] for each in run["pools"]] == [5]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
async def test_a_newer_state_of_a_course_run_replaces_the_older(dashboard: Running, together: bool) -> None:
    news = [
        record(course(number="5-08-46-01-0001"), offset=0, sequence=1),
        record(course(number="5-08-46-01-0003"), offset=1, sequence=3),
        record(course(number="5-08-46-01-0002"), offset=2, sequence=2),
    ]
    await deliver(dashboard, news, together=together)
    assert [run["course_number"] for run in (await read(dashboard))["seats"]] == ["5-08-46-01-0003"]


async def test_a_pool_shows_once_its_course_is_known(dashboard: Running) -> None:
    await dashboard.hear(pool(held=2, filled=3))
    assert (await read(dashboard))["seats"] == []
    await dashboard.hear(course())
    [run] = (await read(dashboard))["seats"]
    assert run["course_run_id"] == str(RUN)
    assert run["pools"] == [
        {
            "pool_id": str(POOL),
            "kind": "general",
            "municipality": None,
            "granted": 15,
            "held": 2,
            "filled": 3,
            "waiting": 0,
        }
    ]


async def test_a_course_that_is_over_is_shown_no_more(dashboard: Running) -> None:
    await dashboard.hear(course(ends_on=date(2020, 3, 31)), course(UUID(int=1)), pool(held=1))
    assert [run["course_run_id"] for run in (await read(dashboard))["seats"]] == [str(UUID(int=1))]


async def test_the_page_carries_the_numbers_without_any_script(dashboard: Running) -> None:
    await dashboard.hear(*(opened() for _ in range(1234)), course(), pool(held=2, filled=3))
    page = await dashboard.anonymous.get("/?lang=en")
    assert "1,234" in page.text
    assert str(POOL) in page.text
    assert "script" not in page.headers["content-security-policy"]
    assert "fictional" not in page.text


async def test_many_who_ask_at_once_share_one_reading(dashboard: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = 0

    async def counted(session: AsyncSession) -> Figures:
        nonlocal readings
        readings += 1
        return await read_figures(session)

    monkeypatch.setattr(handlers, "read_figures", counted)
    await asyncio.gather(*(dashboard.app.state.lookout.figures() for _ in range(50)))
    assert readings == 1
    bell.ring()
    await asyncio.gather(*(dashboard.app.state.lookout.figures() for _ in range(50)))
    assert readings == 2


async def test_who_asks_after_an_event_never_gets_figures_from_before_it(dashboard: Running) -> None:
    for count in range(1, 4):
        await dashboard.hear(opened())
        assert (await read(dashboard))["position"] == count


async def test_while_the_database_is_away_the_page_shows_the_last_figures(dashboard: Running) -> None:
    await dashboard.hear(opened())
    before = await dashboard.anonymous.get("/?lang=en")
    lookout = dashboard.app.state.lookout
    lookout._database = Away()
    bell.ring()
    during = await dashboard.anonymous.get("/?lang=en")
    assert (during.status_code, during.text) == (200, before.text)
    lookout._figures = None
    assert (await dashboard.anonymous.get("/")).status_code == 503


class Away:
    """A database that can't be reached."""

    def session(self) -> object:
        raise ConnectionRefusedError


async def deliver(dashboard: Running, news: list[Record], *, together: bool) -> None:
    for batch in [news] if together else [[each] for each in news]:
        await dashboard.inbox.deliver(batch)
    assert await dashboard.rows("SELECT FROM parked") == []


async def read(dashboard: Running) -> dict[str, Any]:
    answer = await dashboard.anonymous.get("/v1/figures")
    assert answer.status_code == 200
    figures: dict[str, Any] = answer.json()
    return figures


async def test_trial_places_at_host_workplaces_are_not_added_to_the_seats_of_training(dashboard: Running) -> None:
    trial = course(UUID(int=2)).model_copy(update={"system": "trial", "field": "visit"})
    await dashboard.hear(trial, pool(held=1, pool_id=UUID(int=3), run=UUID(int=2)), course(), pool(held=2))
    assert [run["course_run_id"] for run in (await read(dashboard))["seats"]] == [str(RUN)]
