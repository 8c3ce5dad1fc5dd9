"""Disclosures (提供): the holder lets another agency read named sets, for a purpose, until a day, on a legal basis."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from services.intake.domain.meetings import Basis
from services.intake.domain.policy import HIDES_FROM_OTHERS, Disclosure
from services.intake.domain.sheet import FieldSet


class DisclosureReason(StrEnum):
    """Why the holder discloses."""

    SUPPORT_TOGETHER = "support_together"
    """The recipient takes part in the support."""
    LEGAL_REQUEST = "legal_request"
    """A public body asked for it by law."""
    ABUSE_NOTICE = "abuse_notice"
    """虐待の通告・通報."""
    PROTECTS_PERSON = "protects_person"
    DANGER_TO_LIFE = "danger_to_life"


_YEAR, _REVIEW = timedelta(days=366), timedelta(days=3)
LONGEST: Mapping[Basis, timedelta] = {
    Basis.CONSENT: _YEAR,
    Basis.OWN_DUTY: _YEAR,
    Basis.OTHER_DUTY: _YEAR,
    Basis.INTEREST: _YEAR,
    Basis.EMERGENCY: _REVIEW,
}
"""Every basis on which a holder may disclose, and for how long at once. A statutory meeting is not among them: what is
said in it stays in it (`meetings`)."""


@dataclass(frozen=True, slots=True)
class NotDisclosed:
    """It can't: meeting_basis, own_agency, in_the_past, too_long, beyond_consent, hidden_by_violence."""

    reason: str


def disclose(
    said: Disclosure, *, holder: str, violence: bool, agreed: frozenset[FieldSet], today: date
) -> Disclosure | NotDisclosed:
    """What the holder said, if it may be disclosed so; `agreed` is what consent opens to the recipient today."""
    if said.basis not in LONGEST:
        return NotDisclosed("meeting_basis")
    if said.recipient == holder:
        return NotDisclosed("own_agency")
    if said.until < today:
        return NotDisclosed("in_the_past")
    if said.until > today + LONGEST[said.basis]:
        return NotDisclosed("too_long")
    if said.basis is Basis.CONSENT and not said.sets <= agreed:
        return NotDisclosed("beyond_consent")
    if violence and said.sets & HIDES_FROM_OTHERS:
        return NotDisclosed("hidden_by_violence")
    return said
