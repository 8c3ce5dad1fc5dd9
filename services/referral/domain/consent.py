"""What the person agreed to, and whether it covers a referral."""

from dataclasses import dataclass
from datetime import date

from services.referral.domain.moves import Kind


@dataclass(frozen=True, slots=True)
class Consent:
    """What was last heard of a person's consent."""

    state: str | None
    purposes: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class ConsentLacking:
    """Why nothing may be passed on: not_given, expired, other_purpose, not_named."""

    because: str


def consent_gap(consent: Consent, *, kind: Kind, receiver: str, today: date) -> ConsentLacking | None:
    """What the consent lacks for a referral to this receiver; an empty list of recipients names everybody."""
    if consent.state != "given":
        return ConsentLacking("not_given")
    if consent.valid_until is not None and today > consent.valid_until:
        return ConsentLacking("expired")
    wide_enough = {"referral"} if kind is Kind.PROGRAMME else {"referral", "training"}
    if consent.purposes and not consent.purposes & wide_enough:
        return ConsentLacking("other_purpose")
    if consent.recipients and receiver not in consent.recipients:
        return ConsentLacking("not_named")
    return None
