"""Half-typed sheets and records: sealed whole, each with a key of its own, in the place (draft, sealed, id/version)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from shared.vault import DataKey, Place

_COLUMNS = "id, agency, begun_by, saved_by, sealed, fields, version, begun_at, saved_at, discarded_at, case_id, about"
_ADD = text(
    "INSERT INTO draft (id, agency, begun_by, saved_by, sealed, fields, begun_at, saved_at, about)"
    " VALUES (:id, :agency, :by, :by, :sealed, :fields, :now, :now, :about)"
).bindparams(bindparam("fields", type_=ARRAY(Text)))
_SAVE = text(
    "UPDATE draft SET sealed = :sealed, fields = :fields, version = :version, saved_by = :by, saved_at = :now"
    " WHERE id = :id"
).bindparams(bindparam("fields", type_=ARRAY(Text)))
_FIND = f"SELECT {_COLUMNS} FROM draft WHERE id = :id AND agency = :agency"  # noqa: S608 - our own column names
_LIST = text(
    f"SELECT {_COLUMNS} FROM draft WHERE agency = :agency AND case_id IS NULL"  # noqa: S608 - as above
    " AND (discarded_at IS NOT NULL) = :discarded"
    " AND (CAST(:records AS boolean) IS NULL OR (about IS NOT NULL) = :records)"
    " AND (CAST(:about AS uuid) IS NULL OR about = :about) AND (CAST(:before AS uuid) IS NULL OR id < :before)"
    " ORDER BY id DESC LIMIT :limit"
)
_MARK = text("UPDATE draft SET discarded_at = :at, saved_at = :now WHERE id = :id")
_BECAME = text(
    "UPDATE draft SET case_id = :case_id, saved_at = :now"
    " WHERE id = :id AND agency = :agency AND case_id IS NULL AND discarded_at IS NULL"
    " AND about IS NOT DISTINCT FROM CAST(:about AS uuid) RETURNING id"
)
_OF_CASE = text("SELECT id FROM draft WHERE case_id = :case_id OR about = :case_id")


@dataclass(frozen=True, slots=True)
class Draft:
    """A half-typed sheet or record, its content still sealed."""

    id: UUID
    agency: str
    begun_by: str
    saved_by: str
    sealed: bytes
    fields: list[str]
    version: int
    begun_at: datetime
    saved_at: datetime
    discarded_at: datetime | None
    case_id: UUID | None
    """What it became: a case, or a record of one."""
    about: UUID | None
    """The case whose record it is to become; none of a sheet."""

    @property
    def kind(self) -> str:
        """What it is to become."""
        return "sheet" if self.about is None else "record"

    def opened(self, key: DataKey) -> str:
        """What was typed so far."""
        return key.open(self.sealed, place_of(self.id, self.version))


def place_of(draft_id: UUID, version: int) -> Place:
    """Where a draft's content stands."""
    return Place("draft", "sealed", f"{draft_id}/{version}")


async def add_draft(
    session: AsyncSession,
    draft_id: UUID,
    *,
    about: UUID | None,
    agency: str,
    by: str,
    sealed: bytes,
    fields: Sequence[str],
    now: datetime,
) -> None:
    """A new one."""
    values = {"id": draft_id, "agency": agency, "by": by, "sealed": sealed, "fields": list(fields), "now": now}
    await session.execute(_ADD, values | {"about": about})


async def save_draft(
    session: AsyncSession,
    draft_id: UUID,
    *,
    version: int,
    by: str,
    sealed: bytes,
    fields: Sequence[str],
    now: datetime,
) -> None:
    """The next version in place of the last; a draft is not a record."""
    values = {"id": draft_id, "version": version, "by": by, "sealed": sealed, "fields": list(fields), "now": now}
    await session.execute(_SAVE, values)


async def find_draft(session: AsyncSession, draft_id: UUID, agency: str, *, lock: bool = False) -> Draft | None:
    """An agency's draft."""
    query = text(_FIND + (" FOR UPDATE" if lock else ""))
    row = (await session.execute(query, {"id": draft_id, "agency": agency})).one_or_none()
    return None if row is None else _draft(row)


async def find_drafts(
    session: AsyncSession,
    agency: str,
    *,
    discarded: bool,
    kind: str | None,
    about: UUID | None,
    before: UUID | None,
    limit: int,
) -> list[Draft]:
    """An agency's drafts that became nothing yet, newest first; those of a kind, or about a case."""
    values = {"agency": agency, "discarded": discarded, "about": about, "before": before, "limit": limit}
    values["records"] = None if kind is None else kind == "record"
    return [_draft(row) for row in await session.execute(_LIST, values)]


async def mark_discarded(session: AsyncSession, draft_id: UUID, at: datetime | None, *, now: datetime) -> None:
    """Put it away, or (with None) take it out again."""
    await session.execute(_MARK, {"id": draft_id, "at": at, "now": now})


async def became_case(session: AsyncSession, draft_id: UUID, case_id: UUID, *, agency: str, now: datetime) -> bool:
    """The draft is a case from now on. False if there is no such draft that still could."""
    values = {"id": draft_id, "case_id": case_id, "about": None, "agency": agency, "now": now}
    return (await session.execute(_BECAME, values)).one_or_none() is not None


async def became_record(session: AsyncSession, draft_id: UUID, case_id: UUID, *, agency: str, now: datetime) -> bool:
    """The draft is a record of the case that it is about. False if there is no such draft that still could."""
    values = {"id": draft_id, "case_id": case_id, "about": case_id, "agency": agency, "now": now}
    return (await session.execute(_BECAME, values)).one_or_none() is not None


async def find_drafts_of(session: AsyncSession, case_id: UUID) -> Sequence[UUID]:
    """The drafts that became a case or a record of it, and those of records that are still being typed."""
    return (await session.execute(_OF_CASE, {"case_id": case_id})).scalars().all()


def _draft(row: Row[Any]) -> Draft:
    return Draft(**row._asdict())
