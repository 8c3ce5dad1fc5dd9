"""What intake told of a case, and how far we have counted in it; its row is the lock for all that is done about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.consent import Consent

_COLUMNS = (
    "case_id, municipality, opened_by, holder, closed_at, erased_at, assessments, version, consent_state,"
    " consent_purposes, consent_recipients, consent_categories, consent_valid_from, consent_valid_until"
)
_KEEP = text(
    "INSERT INTO case_fact (case_id, municipality, opened_by, opened_at, assessments)"
    " VALUES (:case_id, :municipality, :opened_by, :opened_at, 0) ON CONFLICT DO NOTHING"
)
_FIND = text(f"SELECT {_COLUMNS} FROM case_fact WHERE case_id = :case_id")  # noqa: S608 - our own column names
# The counts stand in the locked row itself: max(number) would be read from a snapshot taken before the wait.
_LOCK = text(f"SELECT {_COLUMNS} FROM case_fact WHERE case_id = :case_id FOR UPDATE")  # noqa: S608 - as above
_MOVE = text(
    "UPDATE case_fact SET holder = :holder, closed_at = :closed_at, custody_version = :version"
    " WHERE case_id = :case_id AND (custody_version IS NULL OR custody_version < :version) RETURNING case_id"
)
_ERASE = text("UPDATE case_fact SET erased_at = :at WHERE case_id = :case_id AND erased_at IS NULL RETURNING case_id")
_CONSENT = text(
    "UPDATE case_fact SET consent_version = :version, consent_state = :state, consent_purposes = :purposes,"
    " consent_recipients = :recipients, consent_categories = :categories, consent_valid_from = :valid_from,"
    " consent_valid_until = :valid_until"
    " WHERE case_id = :case_id AND (consent_version IS NULL OR consent_version < :version) RETURNING case_id"
)
_CONSENT_VERSION = text("SELECT coalesce(consent_version, 0) FROM case_fact WHERE case_id = :case_id")
_COUNT = text(
    "UPDATE case_fact SET version = version + :told, assessments = assessments + :rated WHERE case_id = :case_id"
    " RETURNING version"
)


@dataclass(frozen=True, slots=True)
class Case:
    """A case, as far as assessment knows of it. `version`: how much was told about it."""

    id: UUID
    municipality: str
    opened_by: str
    holder: str
    closed_at: datetime | None
    erased_at: datetime | None
    assessments: int
    version: int
    consent: Consent


async def keep_case(
    session: AsyncSession, case_id: UUID, *, municipality: str, opened_by: str, opened_at: datetime
) -> None:
    """Remember a case; what is remembered already stays."""
    values = {"case_id": case_id, "municipality": municipality, "opened_by": opened_by, "opened_at": opened_at}
    await session.execute(_KEEP, values)


async def find_case(session: AsyncSession, case_id: UUID) -> Case | None:
    """What is known about a case."""
    return _case((await session.execute(_FIND, {"case_id": case_id})).one_or_none())


async def lock_case(session: AsyncSession, case_id: UUID) -> Case | None:
    """The same, held until the transaction ends: whoever does something about this case next waits."""
    return _case((await session.execute(_LOCK, {"case_id": case_id})).one_or_none())


async def keep_custody(
    session: AsyncSession, case_id: UUID, *, holder: str, closed_at: datetime | None, version: int
) -> bool:
    """Who holds a case from now on, or held it last, unless something newer is known: whether so."""
    values = {"case_id": case_id, "holder": holder, "closed_at": closed_at, "version": version}
    return (await session.execute(_MOVE, values)).one_or_none() is not None


async def mark_erased(session: AsyncSession, case_id: UUID, at: datetime) -> bool:
    """Nothing more is written about it, for good: whether that is new."""
    return (await session.execute(_ERASE, {"case_id": case_id, "at": at})).one_or_none() is not None


async def keep_consent(session: AsyncSession, case_id: UUID, consent: Consent, version: int) -> bool:
    """What was said about consent, if nothing newer is known: whether so."""
    values = {
        "case_id": case_id,
        "version": version,
        "state": consent.state,
        "purposes": sorted(consent.purposes),
        "recipients": sorted(consent.recipients),
        "categories": sorted(consent.categories),
        "valid_from": consent.valid_from,
        "valid_until": consent.valid_until,
    }
    return (await session.execute(_CONSENT, values)).one_or_none() is not None


async def consent_version(session: AsyncSession, case_id: UUID) -> int:
    """Which word about consent was the last that was heard; 0: none."""
    return int((await session.execute(_CONSENT_VERSION, {"case_id": case_id})).scalar_one())


async def count(session: AsyncSession, case_id: UUID, *, told: int, rated: int = 0) -> int:
    """So much more was told about a locked case, and rated. The version of the last that was told."""
    values = {"case_id": case_id, "told": told, "rated": rated}
    return int((await session.execute(_COUNT, values)).scalar_one())


def _case(row: Any) -> Case | None:
    if row is None:
        return None
    consent = Consent(
        row.consent_state,
        frozenset(row.consent_purposes),
        frozenset(row.consent_recipients),
        row.consent_valid_until,
        row.consent_valid_from,
        frozenset(row.consent_categories),
    )
    return Case(
        row.case_id,
        row.municipality,
        row.opened_by,
        row.holder or row.opened_by,
        row.closed_at,
        row.erased_at,
        row.assessments,
        row.version,
        consent,
    )
