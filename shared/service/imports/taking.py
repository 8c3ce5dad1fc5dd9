"""Taking rows in, some hundred at a time, each chunk in its savepoint; a dry run rolls every chunk back at its end.

No two rows that are taken are about the same record, so a chunk never needs what another one wrote. A dry run thereby
holds the locks of one chunk at a time, not of the whole file.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Actor
from shared.database import savepoint
from shared.service.imports.faults import Fault
from shared.service.imports.rows import R, Rows

_log = structlog.get_logger()
_CHUNK = 500
"""Statements of a few hundred rows stay far below every time limit, and let others have the process in between."""
_ABOUT_VALUES = ("22", "23")
"""Classes of states: a value that the database can't hold, or that a constraint refuses."""
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || :kind, 7470005))")

Became = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Remarked:
    """What became of a row that was taken, though not all of it as it stands there; its author is told."""

    became: Became
    remarks: tuple[Fault, ...]


Outcome = Became | Remarked | Fault
TakeRows = Callable[[AsyncSession, Sequence[R], Actor, datetime], Awaitable[Sequence[Outcome]]]
"""Takes an agency's rows in, each about a record of its own, and says what became of each, in their order."""


@dataclass(frozen=True, slots=True)
class Taken:
    """How many records a file made, changed and left as they were; what was refused stands in its `Rows.faults`."""

    created: int
    updated: int
    unchanged: int


async def take_file(
    session: AsyncSession, rows: Rows[R], take: TakeRows[R], actor: Actor, now: datetime, *, kind: str, keep: bool
) -> Taken:
    """Take every good row in; without `keep`, only to see what becomes of it. Adds what is refused to the faults."""
    # One file after another: two that bring the same new row would otherwise meet at its unique key.
    await session.execute(_ONE_AT_A_TIME, {"kind": kind})
    outcomes: dict[int, Outcome] = {}
    for start in range(0, len(rows.good), _CHUNK):
        chunk = rows.good[start : start + _CHUNK]
        outcomes |= await _take_chunk(session, chunk, take, actor, now, keep=keep)
    for number, first in rows.repeats.items():
        outcomes[number] = outcomes[first] if isinstance(outcomes[first], Fault) else "unchanged"
    became: Counter[Became] = Counter()
    for number, outcome in outcomes.items():
        match outcome:
            case Fault():
                rows.faults.add(number, [outcome])
            case Remarked():
                rows.remarks.add(number, outcome.remarks)
                became[outcome.became] += 1
            case _:
                became[outcome] += 1
    return Taken(became["created"], became["updated"], became["unchanged"])


async def _take_chunk(
    session: AsyncSession, chunk: Sequence[tuple[int, R]], take: TakeRows[R], actor: Actor, now: datetime, *, keep: bool
) -> dict[int, Outcome]:
    numbers = [number for number, _ in chunk]
    try:
        async with savepoint(session) as place:
            outcomes = await take(session, [row for _, row in chunk], actor, now)
            if not keep:
                await place.rollback()
        return dict(zip(numbers, outcomes, strict=True))
    except (DBAPIError, asyncpg.PostgresError) as error:
        state = str(getattr(getattr(error, "orig", error), "sqlstate", ""))
        if not state.startswith(_ABOUT_VALUES):
            raise
    if len(chunk) > 1:
        # One row that nobody foresaw must not cost the others their place: look for it, half by half.
        middle = len(chunk) // 2
        first = await _take_chunk(session, chunk[:middle], take, actor, now, keep=keep)
        return first | await _take_chunk(session, chunk[middle:], take, actor, now, keep=keep)
    _log.error("import_row_refused_by_database", sqlstate=state, rows=type(chunk[0][1]).__name__)
    return {numbers[0]: _REFUSED_BY_DATABASE}


_REFUSED_BY_DATABASE = Fault(
    None,
    "refused_by_database",
    "The database refused this row; tell whoever runs this platform",
    "データベースが受け付けませんでした。運用の担当に伝えてください",
)
