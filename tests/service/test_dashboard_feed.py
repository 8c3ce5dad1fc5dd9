"""The feed: each event one line, numbers without gaps, in order per key, and only for those who may read it."""

import asyncio
import json
from datetime import timedelta
from uuid import uuid4

import pytest

from services.dashboard.handlers import bell
from services.dashboard.reactions import copy_to_feed
from shared.auth import Role
from shared.bus.envelope import open_envelope
from shared.bus.inbox import _news
from shared.bus.port import Record
from shared.events import ConsentPending
from tests.service.dashboard_region import AT, ids_of, journeys, opened, partitions_of, record
from tests.world import Caller, Running, World


@pytest.fixture
def dashboard(world: World) -> Running:
    return world.service("dashboard")


@pytest.fixture
def observer(dashboard: Running) -> Caller:
    return dashboard.as_("aira-board", Role.OBSERVER)


async def test_numbers_have_no_gap_and_keep_the_order_of_each_key_when_partitions_come_at_once(
    dashboard: Running,
) -> None:
    partitions = partitions_of(journeys(60, seed=1))
    await asyncio.gather(*(deliver_in_bits(dashboard, each) for each in partitions))
    lines = await dashboard.rows("SELECT seq, event_id, subject FROM feed ORDER BY seq")
    assert [line["seq"] for line in lines] == list(range(1, sum(map(len, partitions)) + 1))
    place = {line["event_id"]: line["seq"] for line in lines}
    for partition in partitions:
        numbers = [place[event_id] for event_id in ids_of(partition)]
        assert numbers == sorted(numbers)
    assert await dashboard.rows("SELECT FROM parked") == []


async def test_no_line_shows_before_the_one_with_the_number_before_it(dashboard: Running) -> None:
    """Who has read number 2 never asks for 1 again, so 2 must wait for 1 to be committed, however long that takes."""
    first = record(opened(), offset=0)
    async with dashboard.database.transaction() as session:
        await copy_to_feed(session, [_news(first, open_envelope(first.value, first.headers), AT)])
        later = asyncio.create_task(dashboard.inbox.deliver([record(opened(), offset=1)]))
        async with asyncio.timeout(30):
            while not later.done() and not await dashboard.rows(  # noqa: ASYNC110 - it changes elsewhere
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
        assert await numbers(dashboard) == []
    await later
    assert await numbers(dashboard) == [1, 2]


async def test_what_comes_again_is_not_written_again(dashboard: Running) -> None:
    partitions = partitions_of(journeys(20, seed=2))
    twice = [*partitions, *partitions]
    await asyncio.gather(*(dashboard.inbox.deliver(each) for each in twice))
    assert await numbers(dashboard) == list(range(1, sum(map(len, partitions)) + 1))


async def test_a_replay_after_the_inbox_forgot_leaves_no_second_line_and_no_gap(dashboard: Running) -> None:
    known = [record(opened(), offset=number) for number in range(5)]
    await dashboard.inbox.deliver(known)
    await dashboard.rows("DELETE FROM inbox")
    fresh = record(opened(), offset=9)
    await dashboard.inbox.deliver([*known[:3], fresh, *known[3:]])
    assert await numbers(dashboard) == [1, 2, 3, 4, 5, 6]
    assert await dashboard.rows("SELECT FROM parked") == []
    assert (await dashboard.rows("SELECT last FROM feed_counter"))[0]["last"] == 6


async def test_a_batch_that_fails_leaves_no_gap(dashboard: Running) -> None:
    poison = record(opened(), offset=1)
    broken = Record(poison.topic, 0, 1, poison.key, poison.value.replace(b'"desk"', b'"DESK!"'), poison.headers)
    await dashboard.inbox.deliver([record(opened(), offset=0), broken, record(opened(), offset=2)])
    assert await numbers(dashboard) == [1, 2]
    assert [row["reason"] for row in await dashboard.rows("SELECT reason FROM parked")] == ["invalid_data"]


async def test_the_bell_rings_after_the_commit_and_not_at_all_without_one(dashboard: Running) -> None:
    """Earlier, those who wait would look too soon and then wait again."""
    sent = record(opened(), offset=0)
    news = _news(sent, open_envelope(sent.value, sent.headers), AT)
    rung = bell.rung
    async with dashboard.database.session() as session:
        await copy_to_feed(session, [news])
        await session.rollback()
    async with dashboard.database.transaction() as session:
        await copy_to_feed(session, [news])
        assert bell.rung == rung
    assert bell.rung == rung + 1


async def test_lines_are_the_events_as_they_travelled(dashboard: Running, observer: Caller) -> None:
    sent = record(opened(), offset=0)
    await dashboard.inbox.deliver([sent])
    kept = (await dashboard.rows("SELECT value, told_at FROM feed"))[0]
    assert kept["value"] == sent.value
    assert kept["told_at"] == AT
    answer = await observer.get("/v1/feed")
    assert answer.json() == {"items": [{"seq": 1, "event": json.loads(sent.value)}], "after": 1, "last": 1}


async def test_an_event_in_binary_mode_becomes_a_line_like_the_others(dashboard: Running, observer: Caller) -> None:
    whole = record(opened(), offset=0)
    body = json.loads(whole.value)
    attributes = {f"ce_{name}": text for name, text in body.items() if name != "data"}
    bare = Record(
        whole.topic,
        0,
        0,
        whole.key,
        json.dumps(body["data"]).encode(),
        {**attributes, "content-type": "application/json"},
    )
    await dashboard.inbox.deliver([bare])
    [item] = (await observer.get("/v1/feed")).json()["items"]
    assert item["event"] == body


async def test_pages_go_on_where_the_last_one_ended(dashboard: Running, observer: Caller) -> None:
    await dashboard.hear(*(opened() for _ in range(7)))
    seen: list[int] = []
    after = 0
    while True:
        page = (await observer.get("/v1/feed", params={"after": after, "limit": 3})).json()
        seen += [item["seq"] for item in page["items"]]
        after = page["after"]
        if after == page["last"]:
            break
    assert seen == [1, 2, 3, 4, 5, 6, 7]


async def test_a_filter_lets_only_its_types_through_and_still_moves_on(dashboard: Running, observer: Caller) -> None:
    pending = ConsentPending(case_id=uuid4(), consent_version=1)
    await dashboard.hear(opened(), pending, opened(), pending, opened())
    page = (await observer.get("/v1/feed", params={"types": pending.type})).json()
    assert [item["seq"] for item in page["items"]] == [2, 4]
    assert page["after"] == 5
    both = (await observer.get("/v1/feed", params={"types": f"{pending.type},{opened().type}"})).json()
    assert [item["seq"] for item in both["items"]] == [1, 2, 3, 4, 5]


async def test_a_type_that_nobody_tells_is_refused(observer: Caller) -> None:
    answer = await observer.get("/v1/feed", params={"types": "jp.tsunagu.intake.case-opend.v1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize("path", ["/v1/feed", "/v1/events"])
async def test_events_are_for_observers_only(dashboard: Running, path: str) -> None:
    async with asyncio.timeout(10):  # a stream that lets somebody in doesn't end
        assert (await dashboard.anonymous.get(path)).status_code == 401
        assert (await dashboard.as_("kagoshima-desk", Role.COUNSELLOR).get(path)).status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/reference", "/v1/figures", "/static/app.js", "/openapi.json", "/asyncapi.json"]
)
async def test_figures_and_pages_are_for_everybody(dashboard: Running, path: str) -> None:
    assert (await dashboard.anonymous.get(path)).status_code == 200


async def test_the_feed_forgets_after_thirty_days_and_says_so(dashboard: Running, observer: Caller) -> None:
    await dashboard.hear(*(opened() for _ in range(3)))
    dashboard.pass_time(timedelta(days=29))
    assert await dashboard.sweep() == 0
    dashboard.pass_time(timedelta(days=2))
    assert await dashboard.sweep() == 1
    await dashboard.hear(opened())
    assert await numbers(dashboard) == [4]
    for path in ("/v1/feed", "/v1/events"):
        lost = await observer.get(path, params={"after": 2})
        assert (lost.status_code, lost.json()["code"]) == (410, "feed_place_lost")
        assert "numbers 4 to 4" in lost.json()["detail"]
    for start in ({"after": 3}, {}):
        assert [item["seq"] for item in (await observer.get("/v1/feed", params=start)).json()["items"]] == [4]


async def test_a_place_that_was_never_given_belongs_to_another_feed(dashboard: Running, observer: Caller) -> None:
    """After a restore from a backup, numbers begin again; whoever waited for number 50 would wait in vain."""
    await dashboard.hear(opened())
    assert (await observer.get("/v1/feed", params={"after": 2})).status_code == 410
    assert (await observer.get("/v1/events", headers={"Last-Event-ID": "2"})).status_code == 410


async def deliver_in_bits(dashboard: Running, records: list[Record]) -> None:
    for start in range(0, len(records), 4):
        await dashboard.inbox.deliver(records[start : start + 4])


async def numbers(dashboard: Running) -> list[int]:
    return [row["seq"] for row in await dashboard.rows("SELECT seq FROM feed ORDER BY seq")]
