"""Support records: added, never changed; their words sealed in the place (support_record, words, case/id)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from shared.vault import DataKey, Place

_COLUMNS = "id, case_id, on_day, way, with_whom, minutes, needs, sealed, corrects, agency, author, at"
_ADD = text(
    f"INSERT INTO support_record ({_COLUMNS})"  # noqa: S608 - our own column names
    " VALUES (:id, :case_id, :on_day, :way, :with_whom, :minutes, :needs, :sealed, :corrects, :agency, :author, :at)"
).bindparams(bindparam("with_whom", type_=ARRAY(Text)), bindparam("needs", type_=ARRAY(Text)))
_STANDING = (
    f"SELECT {', '.join(f'r.{name}' for name in _COLUMNS.split(', '))} FROM support_record r"  # noqa: S608 - as above
    " LEFT JOIN support_record later ON later.corrects = r.id WHERE r.case_id = :case_id AND later.id IS NULL"
)
_LIST = text(
    f"{_STANDING} AND (CAST(:day AS date) IS NULL OR (r.on_day, r.id) < (:day, :id))"
    " ORDER BY r.on_day DESC, r.id DESC LIMIT :limit"
)
_FIND = text(f"{_STANDING} AND r.id = :id")


@dataclass(frozen=True, slots=True)
class SupportRecord:
    """An entry, its words still sealed."""

    id: UUID
    case_id: UUID
    on_day: date
    way: str
    with_whom: list[str]
    minutes: int
    needs: list[str]
    sealed: bytes
    corrects: UUID | None
    agency: str
    author: str
    at: datetime

    def opened(self, key: DataKey) -> str:
        """What was written."""
        return key.open(self.sealed, place_of(self.case_id, self.id))


def place_of(case_id: UUID, record_id: UUID) -> Place:
    """Where an entry's words stand."""
    return Place("support_record", "words", f"{case_id}/{record_id}")


async def add_record(session: AsyncSession, record: SupportRecord) -> None:
    """Another entry. The database refuses a second correction of the same one."""
    values = {name: getattr(record, name) for name in SupportRecord.__slots__}
    await session.execute(_ADD, values)


async def find_record(session: AsyncSession, case_id: UUID, record_id: UUID) -> SupportRecord | None:
    """An entry that stands: none that was corrected."""
    return _record((await session.execute(_FIND, {"case_id": case_id, "id": record_id})).one_or_none())


async def find_records(
    session: AsyncSession, case_id: UUID, *, before: tuple[date, UUID] | None, limit: int
) -> Sequence[SupportRecord]:
    """The entries of a case that stand, the newest day first."""
    day, record_id = before or (None, None)
    rows = await session.execute(_LIST, {"case_id": case_id, "day": day, "id": record_id, "limit": limit})
    return [SupportRecord(**row._mapping) for row in rows]  # noqa: SLF001


def _record(row: Row[Any] | None) -> SupportRecord | None:
    return None if row is None else SupportRecord(**row._mapping)  # noqa: SLF001
