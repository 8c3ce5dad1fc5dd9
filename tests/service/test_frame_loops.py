"""The loops behind a service: told means carried at once, and no single failure ends a loop."""

import asyncio
import functools
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from shared.bus.port import Message
from shared.bus.relay import Relay
from shared.service import app as frame
from shared.service.declare import Service, Sweep
from tests.service.frame_notebook import open_notebook
from tests.world import Caller, Deaf, Running, World


class Noting(Deaf):
    """A transport that lets a test wait until so many messages were handed over."""

    def __init__(self) -> None:
        self.taken = asyncio.Semaphore(0)

    async def publish(self, batch: Sequence[Message]) -> None:
        for _ in batch:
            self.taken.release()


async def test_what_was_told_is_carried_at_once_and_not_at_the_next_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "Relay", functools.partial(Relay, pause=60.0))  # longer than anybody waits here
    notebook = await open_notebook(world)
    transport = Noting()
    app = frame.create_app(notebook.declared(), world.settings("intake"), transport=transport)
    ours = notebook.running.as_()
    async with app.router.lifespan_context(app), asyncio.timeout(20):
        app.state.verifier = notebook.running.app.state.verifier
        notebook.running.client._transport.app = app  # type: ignore[attr-defined]
        for _ in range(5):
            await told(ours)
            await transport.taken.acquire()


async def told(caller: Caller) -> None:
    """A note, and with it an event."""
    assert (await caller.post("/v1/notes", {"body": "x"})).status_code == 201


async def test_a_sweep_that_fails_is_tried_again_and_holds_up_no_other(world: World) -> None:
    """The first time with a fault, the second with a lost connection; meanwhile the other one does its work."""
    tries: list[str] = []
    both = asyncio.Event()

    async def stumble(session: AsyncSession, _now: object) -> bool:
        tries.append("stumble")
        if tries.count("stumble") == 1:
            raise RuntimeError
        if tries.count("stumble") == 2:
            raise ConnectionError
        if "walk" in tries:
            both.set()
        return False

    async def walk(session: AsyncSession, _now: object) -> bool:
        tries.append("walk")
        return False

    sweeps = [Sweep("stumble", timedelta(milliseconds=50), stumble), Sweep("walk", timedelta(milliseconds=50), walk)]
    service = Service(name="intake", title="x", title_ja="x", routers=(), sweeps=sweeps)
    running = Running(service, world.settings("intake"))
    async with running.app.router.lifespan_context(running.app), asyncio.timeout(20):
        await both.wait()
    await running.client.aclose()


async def test_where_much_comes_due_so_many_subjects_are_handled_at_once(world: World) -> None:
    """Each waits for the other two: one after the other, none of them would ever end."""
    under_way = asyncio.Barrier(3)
    met = asyncio.Event()

    async def meet(_session: AsyncSession, _now: object) -> bool:
        await under_way.wait()
        met.set()
        return False

    sweeps = [Sweep("meet", timedelta(milliseconds=50), meet, at_once=3)]
    service = Service(name="intake", title="x", title_ja="x", routers=(), sweeps=sweeps)
    running = Running(service, world.settings("intake"))
    async with running.app.router.lifespan_context(running.app), asyncio.timeout(20):
        await met.wait()
    await running.client.aclose()
