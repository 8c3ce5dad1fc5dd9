"""Loops begin again whatever happens, and tell an operator once what keeps happening."""

import asyncio
import time
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from shared.service import app as frame
from shared.service import loops


async def told_of(*failures: Exception | None) -> list[str]:
    """The names of the errors that are logged while a loop fails like this, one time after the other."""
    coming = iter(failures)

    async def run() -> None:
        try:
            failure = next(coming)
        except StopIteration:
            raise asyncio.CancelledError from None
        if failure is not None:
            raise failure

    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await loops.forever("intake", "relay", run, pause=0)
    return [line["error"] for line in logs]


async def test_the_same_failure_is_told_once() -> None:
    assert await told_of(OSError(), OSError(), ValueError(), OSError(), None, ValueError()) == ["OSError", "ValueError"]


async def test_a_failure_that_lasts_is_told_again_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "TELL_AGAIN", 0.0)
    assert await told_of(OSError(), OSError(), OSError()) == ["OSError"] * 3


async def test_what_reckons_long_leaves_the_rest_of_the_time_to_others() -> None:
    left = iter(range(5))
    loop = asyncio.get_running_loop()

    async def once() -> bool:
        if next(left, None) is None:
            raise asyncio.CancelledError
        time.sleep(0.02)  # noqa: ASYNC251 - it reckons, and nobody else comes on meanwhile
        return True

    began = loop.time()
    with pytest.raises(asyncio.CancelledError):
        await frame._again(once, timedelta(), share=0.2)()
    assert loop.time() - began >= 5 * 0.02 / 0.2 * 0.99
