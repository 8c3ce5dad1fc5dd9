"""The access log in the database: sealed in batches beside the requests, checkpointed into a file, exported, reported.

No request waits for the chain: entries are written unsealed (a chain in the request would be one row lock for all),
and the sweep seals what has been committed since.
"""

# ruff: noqa: S608  (put together from this package's own column names; every value is bound)

from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import BigInteger

from shared.vault.chain import COLUMNS, Checkpoint, Seal, checkpoint_line, next_seal, read_checkpoints
from shared.vault.outside import append_lines, last_lines

BATCH = 5_000
_ONE_SEALER = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 7470006))")
_TAKE = text(
    "WITH taken AS (DELETE FROM access_unsealed WHERE log_id IN"
    " (SELECT log_id FROM access_unsealed ORDER BY log_id LIMIT :batch) RETURNING log_id)"
    f" SELECT {', '.join('l.' + column for column in COLUMNS)} FROM access_log l JOIN taken ON taken.log_id = l.id"
    " ORDER BY l.id"
)
_LAST = text("SELECT number, entries, digest FROM access_seal ORDER BY number DESC LIMIT 1")
_ADD = text("INSERT INTO access_seal (number, entries, digest) VALUES (:number, :entries, :digest)").bindparams(
    bindparam("entries", type_=ARRAY(BigInteger))
)
_SEALS_AFTER = text(
    "SELECT number, entries, digest FROM access_seal WHERE number > :after ORDER BY number LIMIT :limit"
)
_ENTRIES = text(f"SELECT {', '.join(COLUMNS)} FROM access_log WHERE id = ANY(:ids) ORDER BY id").bindparams(
    bindparam("ids", type_=ARRAY(BigInteger))
)
_IN_NO_SEAL = text(
    f"SELECT {', '.join('l.' + column for column in COLUMNS)} FROM access_log l"
    " LEFT JOIN (SELECT unnest(entries) AS id FROM access_seal) s ON s.id = l.id WHERE s.id IS NULL ORDER BY l.id"
)
_OF_SUBJECT = text(
    f"SELECT {', '.join(COLUMNS)} FROM access_log WHERE subject_id = :subject AND id > :after ORDER BY id LIMIT :limit"
)


async def seal_next(session: AsyncSession, *, log: str) -> Seal | None:
    """Seal what was committed since; None when there is nothing. One sealer at a time, also over several processes."""
    await session.execute(_ONE_SEALER)
    rows = (await session.execute(_TAKE, {"batch": BATCH})).all()
    if not rows:
        return None
    last = (await session.execute(_LAST)).one_or_none()
    seal = next_seal(None if last is None else _seal(last), [plain(row) for row in rows], log=log)
    await session.execute(
        _ADD, {"number": seal.number, "entries": list(seal.entries), "digest": bytes.fromhex(seal.digest)}
    )
    return seal


async def write_checkpoints(session: AsyncSession, path: Path) -> int:
    """Write down every seal that the file lacks, durably; how many. A new file begins at seal 1."""
    known = read_checkpoints(last_lines(path))
    seals = await seals_after(session, known[-1].number if known else 0)
    if seals:
        append_lines(path, [checkpoint_line(Checkpoint(seal.number, seal.digest)) for seal in seals])
    return len(seals)


async def seals_after(session: AsyncSession, after: int, *, limit: int = 1_000) -> list[Seal]:
    """The seals that follow on a number."""
    return [_seal(row) for row in await session.execute(_SEALS_AFTER, {"after": after, "limit": limit})]


async def sealed_entries(session: AsyncSession) -> AsyncIterator[tuple[Seal, list[dict[str, Any]]]]:
    """Every seal with its entries, for an export."""
    after = 0
    while seals := await seals_after(session, after, limit=50):
        for seal in seals:
            rows = await session.execute(_ENTRIES, {"ids": list(seal.entries)})
            yield seal, [plain(row) for row in rows]
        after = seals[-1].number


async def entries_in_no_seal(session: AsyncSession) -> list[dict[str, Any]]:
    """What was not sealed yet; right after sealing there is none, unless somebody meddled with the queue."""
    return [plain(row) for row in await session.execute(_IN_NO_SEAL)]


async def accesses_of(session: AsyncSession, subject: UUID, *, after: int, limit: int) -> Sequence[Row[Any]]:
    """Who looked at a person's data, oldest first."""
    return (await session.execute(_OF_SUBJECT, {"subject": subject, "after": after, "limit": limit})).all()


def plain(row: Row[Any]) -> dict[str, Any]:
    """An entry in the form that is digested and exported."""
    entry = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a mapping
    return entry | {
        "at": entry["at"].astimezone(UTC).isoformat(timespec="microseconds"),
        "subject_id": str(entry["subject_id"]),
    }


def _seal(row: Row[Any]) -> Seal:
    return Seal(row.number, tuple(row.entries), bytes(row.digest).hex())
