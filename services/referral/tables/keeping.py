"""Writing entries of the directory: what is new or different, raised in version, with a full copy of every version.

All of it is one statement, so that an entry and its copy can't part. A later word of confirmation, or of room, is never
pushed aside by an older file; a day that hasn't come yet is no word at all.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import asyncpg
from pydantic_core import to_json
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.tables import schema
from shared.database import Hot

KEYS: Mapping[str, tuple[str, ...]] = {
    "agency": ("agency_id",),
    "programme": ("agency_id", "programme_code"),
    "professional": ("agency_id", "profession"),
    "host_workplace": ("agency_id", "workplace_code"),
    "training_firm": ("agency_id", "firm_code"),
    "coordinator": ("municipality",),
}
"""Every kind of entry, its table's name, and what says which entry it is."""
_ROOM = ("capacity_state", "capacity_total", "capacity_free", "capacity_confirmed_on")
_CONFIRMED = ("confirmed_by", "confirmed_on")
_COPIED = (
    " copied AS (INSERT INTO directory_version (kind, entry_id, version, entry, by, at)"
    " SELECT '{kind}', {entry_id}, version, to_jsonb(written), CAST(:by AS text), CAST(:now AS timestamptz)"
    " FROM written) SELECT * FROM written"
)


async def keep(
    session: AsyncSession,
    kind: str,
    entries: Sequence[Mapping[str, Any]],
    *,
    told: Collection[str],
    by: str,
    now: datetime,
    today: date,
) -> list[asyncpg.Record]:
    """Write what is new or different, each entry once; of what is known, only the columns `told` change.

    The rows that were written, as they are now. The key's own constraint decides what is new and what is known, so that
    nothing read beforehand can mislead.
    """
    values = {"entries": to_json(entries).decode(), "by": by, "now": now, "today": today}
    return await _keeping(kind, frozenset(told)).rows(session, values)


async def change(
    session: AsyncSession, kind: str, entry: Mapping[str, Any], *, by: str, now: datetime
) -> asyncpg.Record:
    """Change the named columns of one entry, which is there and locked; the row as it is now."""
    values = {"entry": to_json(entry).decode(), "by": by, "now": now}
    (row,) = await _changing(kind, frozenset(entry)).rows(session, values)
    return row


@functools.cache
def _keeping(kind: str, told: frozenset[str]) -> Hot:
    columns, key = _columns(kind), KEYS[kind]
    fresh = {column: _later(column, columns) for column in columns if column in told - {"id", *key}}
    return Hot(
        f"WITH written AS (INSERT INTO {kind} AS known ({', '.join(columns)}, version)"  # noqa: S608 - our own names
        f" SELECT {', '.join(columns)}, 1 FROM json_populate_recordset(NULL::{kind}, CAST(:entries AS json))"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE"
        f" SET version = known.version + 1, {', '.join(f'{column} = {value}' for column, value in fresh.items())}"
        f" WHERE ({', '.join(f'known.{column}' for column in fresh)}) IS DISTINCT FROM ({', '.join(fresh.values())})"
        f" RETURNING known.*),{_copied(kind)}"
    )


@functools.cache
def _changing(kind: str, named: frozenset[str]) -> Hot:
    key = ("id",) if "id" in named else KEYS[kind]
    columns = sorted(named - set(key))
    return Hot(
        f"WITH written AS (UPDATE {kind} AS known"  # noqa: S608 - our own names
        f" SET version = known.version + 1, {', '.join(f'{column} = told.{column}' for column in columns)}"
        f" FROM json_populate_record(NULL::{kind}, CAST(:entry AS json)) AS told"
        f" WHERE {' AND '.join(f'known.{column} = told.{column}' for column in key)} RETURNING known.*),{_copied(kind)}"
    )


def _later(column: str, columns: Collection[str]) -> str:
    """A column's new value; of two words about one thing, the one from the later day."""
    day = None
    if column in _ROOM and "capacity_confirmed_on" in columns:
        day = "capacity_confirmed_on"
    elif column in _CONFIRMED:
        day = "confirmed_on"
    if day is None:
        return f"excluded.{column}"
    stays = f"known.{day} > coalesce(excluded.{day}, '-infinity') AND known.{day} <= CAST(:today AS date)"
    return f"CASE WHEN {stays} THEN known.{column} ELSE excluded.{column} END"


def _columns(kind: str) -> list[str]:
    table: Table = schema.metadata.tables[kind]
    return [column.name for column in table.columns if column.name != "version"]


def _copied(kind: str) -> str:
    key = "id::text" if "id" in _columns(kind) else KEYS[kind][0]
    return _COPIED.format(kind=kind, entry_id=key)
