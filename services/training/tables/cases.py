"""What intake told of cases; each fact keeps the newest word only."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.consent import Consent

_KEEP_CASE = text(
    "INSERT INTO case_fact (case_id, municipality) VALUES (:case_id, :municipality)"
    " ON CONFLICT (case_id) DO UPDATE SET municipality = excluded.municipality"
)
# A greater consent_version is newer, whichever came first; the same again changes nothing.
_KEEP_CONSENT = text(
    "INSERT INTO case_fact AS f (case_id, consent_version, consent_state, consent_purposes, consent_recipients,"
    " consent_valid_until, consent_valid_from)"
    " VALUES (:case_id, :version, :state, :purposes, :recipients, :valid_until, :valid_from)"
    " ON CONFLICT (case_id) DO UPDATE SET consent_version = excluded.consent_version,"
    " consent_state = excluded.consent_state, consent_purposes = excluded.consent_purposes,"
    " consent_recipients = excluded.consent_recipients, consent_valid_until = excluded.consent_valid_until,"
    " consent_valid_from = excluded.consent_valid_from"
    " WHERE f.consent_version IS NULL OR f.consent_version < excluded.consent_version RETURNING f.case_id"
)

_FIND_CASE = text(
    "SELECT municipality, consent_state, consent_purposes, consent_recipients, consent_valid_until,"
    " consent_valid_from, consent_version FROM case_fact WHERE case_id = :case_id"
)


@dataclass(frozen=True, slots=True)
class KnownCase:
    """What intake told of a case; nothing, while neither its opening nor its consent was heard."""

    municipality: str | None
    consent: Consent
    consent_version: int = 0
    """Of that word; none was heard: zero."""


UNHEARD_OF = KnownCase(None, Consent(None))


async def keep_case(session: AsyncSession, case_id: UUID, municipality: str) -> None:
    """Whose municipality's case it is."""
    await session.execute(_KEEP_CASE, {"case_id": case_id, "municipality": municipality})


async def keep_consent(session: AsyncSession, case_id: UUID, consent: Consent, version: int) -> bool:
    """What was said about consent, if nothing newer is known: whether so. The case stays locked."""
    values = {
        "case_id": case_id,
        "version": version,
        "state": consent.state,
        "purposes": sorted(consent.purposes),
        "recipients": sorted(consent.recipients),
        "valid_until": consent.valid_until,
        "valid_from": consent.valid_from,
    }
    return (await session.execute(_KEEP_CONSENT, values)).one_or_none() is not None


async def find_case(session: AsyncSession, case_id: UUID) -> KnownCase:
    """What is known of a case."""
    row = (await session.execute(_FIND_CASE, {"case_id": case_id})).one_or_none()
    return UNHEARD_OF if row is None else known_case(*row)


def known_case(
    municipality: str | None,
    state: str | None,
    purposes: list[str],
    recipients: list[str],
    valid_until: date | None,
    valid_from: date | None,
    consent_version: int | None,
) -> KnownCase:
    """The fact out of its columns."""
    consent = Consent(state, frozenset(purposes), frozenset(recipients), valid_until, valid_from)
    return KnownCase(municipality, consent, consent_version or 0)
