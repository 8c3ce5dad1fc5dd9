"""Carries out one order to erase, and kills itself with SIGKILL at a given point of it.

`python -m tests.service.doomed_eraser DATABASE LIST CUT`
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.handlers.erasure import FORGETTERS
from shared.database import BY_SWEEP, connect
from shared.vault import erasing

CUTS = (
    "before the list",
    "in the middle of a line",
    "listed, before the key",
    "the key is gone, before the commit",
    "committed",
)


def die() -> None:
    """Without a goodbye to anybody."""
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, path: Path, cut: str) -> None:
    """One order, up to the cut."""
    write_down, erase = erasing.write_down, erasing.erase  # type: ignore[attr-defined]

    def write(path: Path, subjects: Iterable[UUID]) -> None:
        if cut == CUTS[0]:
            die()
        if cut == CUTS[1]:
            path.write_text('{"erased": "0193', encoding="ascii")
            die()
        write_down(path, subjects)

    async def destroy(session: AsyncSession, *args: Any, **more: Any) -> bool:
        if cut == CUTS[2]:
            die()
        done = await erase(session, *args, **more)
        if cut == CUTS[3]:
            die()
        return done

    erasing.write_down, erasing.erase = write, destroy  # type: ignore[attr-defined]
    database = connect(url, schema="intake", pool=2, walled=True)
    async with database.transaction(BY_SWEEP) as session:
        assert await erasing.erase_next(session, path, FORGETTERS) is not None
    die()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
