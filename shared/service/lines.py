"""Lines: a repeated request waits inside the process, not in the database, for the first one's answer."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

PATIENCE = 5.0
"""Seconds that a request waits for its turn, at anything."""

Found = TypeVar("Found")


async def again_and_again(attempt: Callable[[], Awaitable[Found]], *, while_: type[Exception]) -> Found:
    """Try until it no longer raises `while_`, with pauses in which nothing is held; raise it after `PATIENCE`."""
    clock = asyncio.get_running_loop().time
    ends, pause = clock() + PATIENCE, 0.05
    while True:
        try:
            return await attempt()
        except while_:
            if clock() + pause > ends:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.8)


@dataclass(slots=True)
class _Place:
    room: asyncio.Semaphore
    people: int = 0


class Lines:
    """Keyed lines; a key costs nothing once nobody stands in its line."""

    def __init__(self) -> None:
        self._places: dict[Hashable, _Place] = {}

    async def enter(self, key: Hashable, *, width: int, patience: float = PATIENCE) -> Callable[[], None]:
        """Wait for a turn and return the function that ends it. Raises `TimeoutError` after `patience` seconds."""
        place = self._places.setdefault(key, _Place(asyncio.Semaphore(width)))
        place.people += 1
        try:
            if place.room.locked():
                async with asyncio.timeout(patience):
                    await place.room.acquire()
            else:
                await place.room.acquire()  # at once, so it needs no clock
        except BaseException:
            self._leave(key, place)
            raise

        def leave() -> None:
            place.room.release()
            self._leave(key, place)

        return leave

    def _leave(self, key: Hashable, place: _Place) -> None:
        place.people -= 1
        if place.people == 0:
            del self._places[key]
