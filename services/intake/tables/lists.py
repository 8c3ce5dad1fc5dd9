"""Which lines of other agencies' lists are cases already, by keyed fingerprints."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_FIND = text("SELECT number, line FROM listed_case WHERE agency = :agency AND number = ANY(:numbers)")
_FORGET = text(
    "WITH lines AS (DELETE FROM listed_case WHERE case_id = :case_id RETURNING agency) DELETE FROM import_file"
    " WHERE agency IN (SELECT agency FROM lines) AND committed_at IS NOT NULL RETURNING id"
)
_ADD = text("INSERT INTO listed_case (agency, number, line, case_id) VALUES (:agency, :number, :line, :case_id)")


async def find_listed(session: AsyncSession, agency: str, numbers: Sequence[bytes]) -> dict[bytes, bytes]:
    """Of these numbers those that are known, each with its line as it was when it became a case."""
    rows = await session.execute(_FIND, {"agency": agency, "numbers": list(numbers)})
    return {row.number: row.line for row in rows}


async def add_listed(session: AsyncSession, agency: str, number: bytes, line: bytes, case_id: UUID) -> None:
    """This line became this case."""
    await session.execute(_ADD, {"agency": agency, "number": number, "line": line, "case_id": case_id})


async def forget_lines(session: AsyncSession, case_id: UUID) -> Sequence[UUID]:
    """Drop what leads from a list to an erased case, and the lists of that agency that were taken in: they name people.

    The ids of the dropped files, whose keys are to go, too.
    """
    return (await session.execute(_FORGET, {"case_id": case_id})).scalars().all()
