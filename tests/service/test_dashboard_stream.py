"""The streams, from a real server: no gap, no repeat, however often the line is cut; and they end when asked to."""

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
import uvicorn

from services.dashboard import handlers
from services.dashboard.handlers import bell
from shared.auth import Role
from shared.events import ConsentPending
from tests.service.dashboard_region import ids_of, journeys, opened, partitions_of, record
from tests.world import Running, World, token


@dataclass
class Served:
    """The dashboard behind a real server, on a loopback port."""

    running: Running
    server: uvicorn.Server
    serving: asyncio.Task[None]
    client: httpx2.AsyncClient

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {token('aira-board', Role.OBSERVER)}"}


@dataclass
class Message:
    """One server-sent event."""

    id: int
    event: str
    data: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
async def served(world: World) -> AsyncIterator[Served]:
    running = world.service("dashboard")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        config = uvicorn.Config(running.app, lifespan="off", log_config=None, timeout_graceful_shutdown=8)
        server = uvicorn.Server(config)
        # Signals belong to pytest, so not `serve`, which would take them over.
        serving = asyncio.create_task(server._serve([bound]))
        origin = f"http://127.0.0.1:{bound.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=origin, timeout=10) as client:
            yield Served(running, server, serving, client)
        running.app.state.ending.set()
        server.should_exit = True
        await serving


async def test_a_listener_hears_what_was_there_and_what_comes(served: Served) -> None:
    await served.running.hear(opened(), opened())
    async with listening(served) as messages:
        assert [(await anext(messages)).id for _ in range(2)] == [1, 2]
        await served.running.hear(opened())
        third = await anext(messages)
    assert (third.id, third.event) == (3, "jp.tsunagu.intake.case-opened.v1")
    [kept] = await served.running.rows("SELECT event_id FROM feed WHERE seq = 3")
    assert third.data["id"] == str(kept["event_id"])
    assert third.data["specversion"] == "1.0"


async def test_a_listener_who_is_cut_off_again_and_again_misses_nothing_and_hears_nothing_twice(
    served: Served,
) -> None:
    chance = random.Random(7)
    partitions = partitions_of(journeys(100, seed=7))
    expected = {str(each) for partition in partitions for each in ids_of(partition)}

    async def write() -> None:
        async def one(partition: list[Any]) -> None:
            for start in range(0, len(partition), 5):
                await served.running.inbox.deliver(partition[start : start + 5])

        await asyncio.gather(*(one(partition) for partition in partitions))

    writing = asyncio.create_task(write())
    heard: list[Message] = []
    connections = 0
    while len(heard) < len(expected):
        connections += 1
        last = {"Last-Event-ID": str(heard[-1].id)} if heard else {}
        # `after` is what the page's address said at first; the header wins over it.
        async with listening(served, last, after=0) as messages:
            for _ in range(chance.randint(1, 12)):
                heard.append(await anext(messages))
                if len(heard) == len(expected):
                    break
    await writing
    assert [each.id for each in heard] == list(range(1, len(expected) + 1))
    assert {each.data["id"] for each in heard} == expected
    assert connections > 20


@pytest.mark.parametrize("path", ["/v1/events", "/v1/figures/stream"])
async def test_a_commit_wakes_those_who_wait(served: Served, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "LOOK_EVERY", 60.0)  # longer than anybody waits here
    await served.running.hear(opened())
    async with listening(served, path=path) as messages:
        assert (await anext(messages)).id == 1
        await served.running.hear(opened())
        assert (await anext(messages)).id == 2


@pytest.mark.parametrize("path", ["/v1/events", "/v1/figures/stream"])
async def test_what_another_process_committed_is_found_without_a_bell(served: Served, world: World, path: str) -> None:
    async with listening(served, path=path) as messages:
        if path.endswith("stream"):
            assert (await anext(messages)).id == 0
        sent = record(opened(), offset=0)
        connection = await asyncpg.connect(world.url("tsunagu_dashboard").replace("+asyncpg", ""))
        await connection.execute("SET search_path = dashboard")
        await connection.execute(
            "WITH counted AS (UPDATE feed_counter SET last = last + 1 RETURNING last) INSERT INTO feed"
            " SELECT last, gen_random_uuid(), 'jp.tsunagu.intake.case-opened.v1', $1, $2, now(), now() FROM counted",
            sent.key,
            sent.value,
        )
        await connection.close()
        assert (await anext(messages)).id == 1


async def test_many_listeners_hear_the_same_and_hold_no_connection_of_the_database(served: Served) -> None:
    others = set(bell._listeners)  # of tests before, not yet noticed to be gone
    async with contextlib.AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(listening(served)) for _ in range(25)]  # a pool has 10
        await served.running.hear(*(opened() for _ in range(3)))
        heard = await asyncio.gather(*(first(3, each) for each in listeners))
        assert {tuple(each.id for each in one) for one in heard} == {(1, 2, 3)}
        # A connection each would have been refused at the eleventh.
        ours = bell._listeners - others
        assert len(ours) == 25
    # Who went away is forgotten: the server notices when it next has something to say.
    await served.running.hear(opened())
    async with asyncio.timeout(5):
        await all_gone(ours)


async def test_a_long_feed_arrives_whole_page_by_page(served: Served) -> None:
    await served.running.hear(*(opened() for _ in range(450)))
    async with listening(served) as messages:
        assert [each.id for each in await first(450, messages)] == list(range(1, 451))


async def test_a_listener_to_a_rare_type_is_told_where_to_come_back_to(served: Served) -> None:
    rare = ConsentPending(case_id=uuid4(), consent_version=1)
    await served.running.hear(*(opened() for _ in range(2100)), rare)
    async with listening(served, types=rare.type) as messages:
        so_far, found = await first(2, messages)
    assert (so_far.event, so_far.id) == ("", 2000)
    assert (found.event, found.id) == (rare.type, 2101)


async def test_a_stream_ends_by_itself_with_the_place_to_come_back_to(served: Served) -> None:
    served.running.app.state.lookout.lasts = 0.0
    await served.running.hear(opened())
    async with listening(served, types=ConsentPending(case_id=uuid4(), consent_version=1).type) as messages:
        assert [each async for each in messages] == []
    served.running.app.state.lookout.lasts = 0.01
    async with listening(served, types=ConsentPending(case_id=uuid4(), consent_version=1).type) as messages:
        assert [(each.event, each.id) async for each in messages] == [("", 1)]


async def test_a_slow_listener_overtaken_by_forgetting_is_told_to_begin_anew(served: Served) -> None:
    running = served.running
    await running.hear(*(opened() for _ in range(3)))
    async with listening(served, after=1) as messages:
        assert [each.id for each in await first(2, messages)] == [2, 3]
        # Everything the listener has not heard yet goes before it looks again.
        async with running.database.transaction() as session:
            connection = await session.connection()
            await connection.exec_driver_sql("UPDATE feed_counter SET last = 10")
            await connection.exec_driver_sql("DELETE FROM feed")
        await running.hear(opened())
        reset, line = await first(2, messages)
    assert (reset.event, reset.id, reset.data) == ("reset", 10, {"first": 11, "last": 11})
    assert line.id == 11


async def test_figures_are_sent_when_they_change_and_at_most_twice_a_second(served: Served) -> None:
    async with listening(served, path="/v1/figures/stream", anonymous=True) as messages:
        assert (await anext(messages)).data["position"] == 0
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(40):
            await served.running.hear(opened())
        heard = [await anext(messages)]
        while heard[-1].data["position"] < 40:
            heard.append(await anext(messages))
        assert len(heard) <= (loop.time() - began) / 0.5 + 1
        assert heard[-1].data["funnel"][0] == {"stage": "opened", "cases": 40}
        assert {each.event for each in heard} == {"figures"}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/figures/stream"])
async def test_open_streams_end_when_the_server_is_asked_to_stop(served: Served, path: str) -> None:
    loop = asyncio.get_running_loop()
    async with listening(served, path=path) as messages:
        reading = asyncio.create_task(drain(messages))
        began = loop.time()
        served.running.app.state.ending.set()
        served.server.should_exit = True
        await reading
        await served.serving
    assert loop.time() - began < 4  # the server alone would wait for eight seconds


@contextlib.asynccontextmanager
async def listening(
    served: Served,
    headers: dict[str, str] | None = None,
    *,
    path: str = "/v1/events",
    anonymous: bool = False,
    **query: Any,
) -> AsyncIterator[AsyncIterator[Message]]:
    sent = {**({} if anonymous else served.headers), **(headers or {})}
    async with served.client.stream("GET", path, params=query, headers=sent) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parsed(answer)


async def parsed(answer: httpx2.Response) -> AsyncIterator[Message]:
    """As a browser reads it; but an id without data, which a browser only notes, is given out with no name."""
    message = Message(id=-1, event="")
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        match name:
            case "id":
                message.id = int(value)
            case "event":
                message.event = value
            case "data":
                message.data = json.loads(value)
            case "" if not line:
                if message.id >= 0:
                    yield message
                message = Message(id=-1, event="")
            case _:
                pass


async def first(count: int, messages: AsyncIterator[Message]) -> list[Message]:
    return [await anext(messages) for _ in range(count)]


async def all_gone(listeners: set[asyncio.Event]) -> None:
    """Until none of these listens any more."""
    while bell._listeners & listeners:  # noqa: ASYNC110  (there is nothing that would tell)
        await asyncio.sleep(0.01)


async def drain(messages: AsyncIterator[Message]) -> list[Message]:
    return [each async for each in messages]
