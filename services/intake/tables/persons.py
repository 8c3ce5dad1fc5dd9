"""Values about persons: sealed on their way in, opened on their way out, and only with a key that was handed out.

Values are added, never changed: a field's newest version stands, and an emptied field is a version without a value.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import Hot
from shared.vault import DataKey, Place, Unlocked

_ADD = Hot(
    "INSERT INTO personal_value (case_id, field, version, sealed, written_by, at)"
    " SELECT CAST(:case_id AS uuid), field, CAST(:version AS integer), sealed, CAST(:by AS text),"
    " CAST(:at AS timestamptz) FROM unnest(CAST(:fields AS text[]), CAST(:sealed AS bytea[])) AS v(field, sealed)"
)
_STANDING = Hot(
    "SELECT DISTINCT ON (case_id, field) case_id, field, version, sealed FROM personal_value"
    " WHERE case_id = ANY(CAST(:case_ids AS uuid[])) AND field = ANY(CAST(:fields AS text[]))"
    " ORDER BY case_id, field, version DESC"
)
_SINCE = text(
    "SELECT DISTINCT ON (field) field, written_by, at FROM personal_value"
    " WHERE case_id = :case_id AND version > :version ORDER BY field, version DESC"
)


@dataclass(frozen=True, slots=True)
class Written:
    """A field that somebody wrote: which, who, when, and not what."""

    field: str
    by: str
    at: datetime


async def add_values(
    session: AsyncSession,
    key: DataKey,
    case_id: UUID,
    values: Mapping[str, str | None],
    *,
    version: int,
    by: str,
    at: datetime,
) -> None:
    """Write fields as the sheet's next version; None empties one."""
    fields = sorted(values)
    sealed = [_sealed(key, case_id, field, version, values[field]) for field in fields]
    await _ADD.rows(
        session, {"case_id": case_id, "version": version, "by": by, "at": at, "fields": fields, "sealed": sealed}
    )


async def find_values(
    session: AsyncSession, unlocked: Unlocked, case_ids: Collection[UUID], fields: Collection[str]
) -> dict[UUID, dict[str, str]]:
    """The fields that stand, by case; a case that was erased has none."""
    found: dict[UUID, dict[str, str]] = {case_id: {} for case_id in case_ids}
    for row in await _STANDING.rows(session, {"case_ids": list(case_ids), "fields": list(fields)}):
        case_id, field, version, sealed = row
        if sealed is not None and case_id in unlocked.keys:
            found[case_id][field] = unlocked.of(case_id).open(sealed, _place(case_id, field, version))
    return found


async def written_since(session: AsyncSession, case_id: UUID, version: int) -> list[Written]:
    """Who wrote which fields after a version of the sheet."""
    rows = await session.execute(_SINCE, {"case_id": case_id, "version": version})
    return [Written(row.field, row.written_by, row.at) for row in rows]


def _sealed(key: DataKey, case_id: UUID, field: str, version: int, value: str | None) -> bytes | None:
    return None if value is None else key.seal(value, _place(case_id, field, version))


def _place(case_id: UUID, field: str, version: int) -> Place:
    return Place("personal_value", field, f"{case_id}/{version}")
