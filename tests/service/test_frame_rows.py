"""Rows that two may change, and lists that are read page by page while others write."""

import asyncio
import base64
import json
import random
from uuid import uuid4

import pytest

from tests.service.frame_notebook import Notebook, open_notebook
from tests.world import World

NOTE = {"body": "住まいの相談"}


@pytest.fixture
async def notebook(world: World) -> Notebook:
    return await open_notebook(world)


async def test_a_change_without_if_match_is_a_428_and_a_stale_one_a_412(notebook: Notebook) -> None:
    caller = notebook.running.as_()
    made = await caller.post("/v1/notes", NOTE)
    path = made.headers["location"]
    missing = await caller.patch(path, {"body": "新"}, etag=None)
    assert (missing.status_code, missing.json()["code"]) == (428, "if_match_missing")
    for stale in ('"2"', '"0"', 'W/"1"', '"abc"', '"1", "2"', '""', '"１"'.encode().decode("latin-1"), '"99999999999"'):
        headers = {name.encode(): value.encode() for name, value in caller._headers.items()}
        headers[b"If-Match"] = stale.encode("latin-1")
        answer = await notebook.running.client.patch(path, json={"body": "新"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (412, "stale"), stale
    anything = await caller.patch(path, {"body": "新"}, etag="*")
    assert (anything.status_code, anything.json()["code"]) == (428, "if_match_missing")
    assert (await caller.get(path)).json() == {"body": "住まいの相談", "version": 1}
    assert (await caller.patch(path, {"body": "新"}, etag=made.headers["etag"])).json() == {"version": 2}
    again = await caller.get(path)
    assert (again.json()["body"], again.headers["etag"]) == ("新", '"2"')


async def test_a_hundred_changes_with_one_etag_have_one_winner(notebook: Notebook) -> None:
    caller = notebook.running.as_()
    path = (await caller.post("/v1/notes", NOTE)).headers["location"]
    answers = await asyncio.gather(*(caller.patch(path, {"body": f"{n}"}, etag='"1"') for n in range(100)))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 99
    (winner,) = [n for n, answer in enumerate(answers) if answer.status_code == 200]
    assert (await caller.get(path)).json() == {"body": f"{winner}", "version": 2}


async def test_pages_neither_skip_nor_repeat_while_rows_are_added(notebook: Notebook) -> None:
    caller = notebook.running.as_()
    for _ in range(23):
        await caller.post("/v1/notes", NOTE)
    before = await caller.whole("/v1/notes", limit=100)

    async def add() -> None:
        for _ in range(20):
            await caller.post("/v1/notes", NOTE)

    adding = asyncio.create_task(add())
    seen = await caller.whole("/v1/notes", limit=3)
    await adding
    assert seen == sorted(set(seen))
    assert seen[: len(before)] == before
    for limit in (1, 7, 43, 100):
        assert await caller.whole("/v1/notes", limit=limit) == await caller.whole("/v1/notes", limit=100)


async def test_a_cursor_of_another_list_or_a_damaged_one_is_a_422(notebook: Notebook) -> None:
    caller = notebook.running.as_()
    for _ in range(3):
        await caller.post("/v1/notes", NOTE)
    good = (await caller.get("/v1/notes?limit=1")).json()["next_cursor"]
    assert (await caller.get(f"/v1/notes?limit=1&cursor={good}")).status_code == 200
    assert (await caller.get(f"/v1/notes?limit=2&cursor={good}")).status_code == 200
    foreign = await caller.get(f"/v1/notes?limit=1&colour=red&cursor={good}")
    assert (foreign.status_code, foreign.json()["code"]) == (422, "invalid")
    opened = json.loads(base64.urlsafe_b64decode(good + "=="))
    forged = base64.urlsafe_b64encode(json.dumps([opened[0], "x'; --"]).encode()).decode().rstrip("=")
    draw = random.Random(1)
    damaged = [forged, "", "x", "====", "%00", "e30", "WzFd", "W10", "ImFiYyI", "bnVsbA", good[:-1], good + good]
    for _ in range(200):
        place = draw.randrange(len(good))
        other = draw.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        damaged.append(good[:place] + other + good[place + 1 :])
    for cursor in damaged:
        answer = await caller.get("/v1/notes", params={"limit": "1", "cursor": cursor})
        assert answer.status_code == (200 if _opened(cursor) == _opened(good) else 422), cursor


def _opened(cursor: str) -> bytes:
    """What a cursor holds: the last character has bits that mean nothing."""
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        return b""


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", ""])
async def test_a_limit_has_limits(notebook: Notebook, limit: str) -> None:
    assert (await notebook.running.as_().get(f"/v1/notes?limit={limit}")).status_code == 422


async def test_what_is_not_there_is_a_404(notebook: Notebook) -> None:
    assert (await notebook.running.as_().get(f"/v1/notes/{uuid4()}")).status_code == 404
