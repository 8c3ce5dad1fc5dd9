"""Writing entries of the directory: what is new or different, raised in version, with a full copy of every version.

All of it is one statement, so that an entry and its copy can't part. A later word of confirmation, or of room, is never
pushed aside by an older file, and an agency's own word about its room by nobody else's for thirty days; a day that
hasn't come yet is no word at all.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg
from pydantic_core import to_json
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.options import ROOM_IS_NEWS_FOR
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


@dataclass(frozen=True, slots=True)
class Word:
    """What an agency tells of itself within an entry: which columns are that word, whose it is, and of which day."""

    said: tuple[str, ...]
    by: str
    day: str

    @property
    def columns(self) -> frozenset[str]:
        """All of it: it is told as a whole, or not at all."""
        return frozenset({*self.said, self.by, self.day})


WORDS: Mapping[str, Word] = {
    "programme": Word(
        ("capacity_state", "capacity_total", "capacity_free"), "capacity_said_by", "capacity_confirmed_on"
    ),
    "host_workplace": Word(("steps",), "steps_said_by", "steps_said_on"),
}
"""空き of a programme, trial places of a host workplace. The agency's own word stands for thirty days."""
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


async def own_words(
    session: AsyncSession, kind: str, entries: Sequence[Mapping[str, Any]], *, today: date
) -> set[tuple[Any, ...]]:
    """Where an agency's own word stands and is another than these entries': their keys.

    Asked after they were written, since that has locked every one of them, changed or not.
    """
    rows = await _own_words(kind).rows(session, {"entries": to_json(entries).decode(), "today": today})
    return {tuple(row) for row in rows}


@functools.cache
def _keeping(kind: str, told: frozenset[str]) -> Hot:
    columns, key = _columns(kind), KEYS[kind]
    fresh = {column: _later(kind, column) for column in columns if column in told - {"id", *key}}
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


@functools.cache
def _own_words(kind: str) -> Hot:
    word, key = WORDS[kind], KEYS[kind]
    return Hot(
        f"SELECT {', '.join(f'known.{column}' for column in key)} FROM {kind} AS known"  # noqa: S608 - our own names
        f" JOIN json_populate_recordset(NULL::{kind}, CAST(:entries AS json)) AS excluded USING ({', '.join(key)})"
        f" WHERE {_own_word(word)} AND"
        f" ({', '.join(f'known.{column}' for column in word.said)}) IS DISTINCT FROM"
        f" ({', '.join(f'excluded.{column}' for column in word.said)})"
    )


def _later(kind: str, column: str) -> str:
    """A column's new value; of two words about one thing, the one from the later day, or the agency's own."""
    word = WORDS.get(kind)
    if word is not None and column in word.columns:
        stays = f"{_is_later(word.day)} OR {_own_word(word)}"
    elif column in _CONFIRMED and kind != "coordinator":
        stays = _is_later("confirmed_on")
    else:
        return f"excluded.{column}"
    return f"CASE WHEN {stays} THEN known.{column} ELSE excluded.{column} END"


def _is_later(day: str) -> str:
    """What is known is of a day that has come, and the other word of an earlier one, of none, or of one still to come.

    Else a slip of the pen would take away what somebody has said.
    """
    return (
        f"(known.{day} <= CAST(:today AS date) AND (known.{day} > coalesce(excluded.{day}, '-infinity')"
        f" OR excluded.{day} > CAST(:today AS date)))"
    )


def _own_word(word: Word) -> str:
    """Told by the agency itself and not too old: no file of anybody else puts it aside, whatever its day."""
    days = ROOM_IS_NEWS_FOR.days
    return (
        f"(known.{word.by} = known.agency_id AND excluded.{word.by} IS DISTINCT FROM known.agency_id"
        f" AND known.{word.day} > CAST(:today AS date) - {days} AND known.{word.day} <= CAST(:today AS date))"
    )


def _columns(kind: str) -> list[str]:
    table: Table = schema.metadata.tables[kind]
    return [column.name for column in table.columns if column.name != "version"]


def _copied(kind: str) -> str:
    key = "id::text" if "id" in _columns(kind) else KEYS[kind][0]
    return _COPIED.format(kind=kind, entry_id=key)
