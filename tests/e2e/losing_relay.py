"""A service whose relay deletes what it has not published, now and then: a bug that the checks of a rush must show."""

import runpy
from collections.abc import Sequence

import asyncpg

from shared.bus import relay
from shared.bus.port import Message

EVERY = 25
_messages = relay._messages


def _some_of(rows: Sequence[asyncpg.Record]) -> list[Message]:
    return _messages([row for row in rows if row["seq"] % EVERY])


if __name__ == "__main__":
    relay._messages = _some_of
    runpy.run_module("shared.service", run_name="__main__", alter_sys=True)
