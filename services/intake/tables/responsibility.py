"""The ledger of who answers for each referral: only added to, from what the referral service tells."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.responsibility import Entry

_ADD = text(
    "INSERT INTO referral_custody (referral_id, case_id, number, state, holder, sender, receiver, coordinator, verb,"
    " ended, at, taken_over) VALUES (:referral_id, :case_id, :number, :state, :holder, :sender, :receiver,"
    " :coordinator, :verb, :ended, :at, :taken_over)"
)
_COLUMNS = (
    "r.referral_id, r.case_id, r.number, r.state, r.holder, r.sender, r.receiver, r.coordinator, r.verb, r.ended, r.at,"
    " r.taken_over"
)
_LAST = text(
    f"SELECT {_COLUMNS} FROM referral_custody r WHERE r.referral_id = :referral_id ORDER BY r.number DESC LIMIT 1"  # noqa: S608 - our own words
)
_OF_AGENCY = text(
    f"SELECT {_COLUMNS} FROM referral_custody r WHERE r.at < :until AND r.referral_id IN"  # noqa: S608 - our own words
    " (SELECT h.referral_id FROM referral_custody h WHERE h.holder = :agency) ORDER BY r.referral_id, r.number"
)


async def add_entry(session: AsyncSession, entry: Entry) -> None:
    """The next entry of a referral, for good; two of one number can't be."""
    await session.execute(_ADD, asdict(entry))


async def find_last(session: AsyncSession, referral_id: UUID) -> Entry | None:
    """How a referral stands."""
    row = (await session.execute(_LAST, {"referral_id": referral_id})).one_or_none()
    return None if row is None else Entry(*row)


async def entries_of_agency(session: AsyncSession, agency: str, *, until: datetime) -> Sequence[Entry]:
    """Every step of every referral that the agency ever answered for, up to a moment."""
    return [Entry(*row) for row in await session.execute(_OF_AGENCY, {"agency": agency, "until": until})]
