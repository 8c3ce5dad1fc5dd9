"""Loops begin again whatever happens, and tell an operator once what keeps happening."""

import asyncio

import pytest
from structlog.testing import capture_logs

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
