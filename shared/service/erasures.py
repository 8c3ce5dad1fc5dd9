"""The list of erasures outside the database: looked at by the start, and replayed after a backup was restored."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.database import BY_COMMAND, Database
from shared.service.wall import StartRefused
from shared.vault import Forget
from shared.vault.erasing import (
    erase_next,
    open_orders,
    order_again,
    read_list,
    unknown_erasures,
    unlisted_erasures,
    write_down,
)


async def refuse_before_replay(database: Database, path: Path) -> None:
    """Raise `StartRefused` if the list knows of erasures that this database doesn't. What it lacks, it is given."""
    listed = await asyncio.to_thread(read_list, path)
    async with database.transaction(BY_COMMAND) as session:
        unknown = await unknown_erasures(session, listed)
        unlisted = await unlisted_erasures(session, listed)
    if unknown:
        raise StartRefused(
            f"消去した {len(unknown):,} 件が、このデータベースでは消えていません(控えから戻したもの)。起動しません。\n"
            f"  先に: python -m shared.service erasures replay {path}\n"
            f"Refusing to start: {len(unknown):,} erasures are not known here; this database comes from a backup.\n"
            f"  First: python -m shared.service erasures replay {path}"
        )
    if unlisted:
        await asyncio.to_thread(write_down, path, unlisted)


async def replay(
    database: Database,
    file: Path,
    *,
    path: Path | None,
    forgetters: Sequence[Forget],
    began: Callable[[int], None],
    done: Callable[[], None],
) -> int:
    """Erase here whoever stands on the list and is not erased; how many. May be stopped at any moment and run again."""
    wanted = await asyncio.to_thread(read_list, file)
    listed = frozenset() if path is None else frozenset(await asyncio.to_thread(read_list, path))
    async with database.transaction(BY_COMMAND) as session:
        unknown = await unknown_erasures(session, wanted)
        await order_again(session, unknown, agency="operator", actor="erasures replay")
    async with database.transaction(BY_COMMAND) as session:
        began(await open_orders(session))
    erased = 0
    while True:
        async with database.transaction(BY_COMMAND) as session:
            if await erase_next(session, path, forgetters, listed=listed) is None:
                return erased
        erased += 1
        done()
