"""What a person agreed to (同意), and whether it covers a step: judged here alone, for every service that acts on it.

Values in, a value out, as in a domain. It is shared because two services that judge one consent differently would be
wrong in at least one of them.
"""

from dataclasses import dataclass
from datetime import date
from typing import assert_never

from shared.events import ConsentGiven, ConsentPending, ConsentRefused, ConsentWithdrawn

Said = ConsentGiven | ConsentPending | ConsentRefused | ConsentWithdrawn
"""Everything intake tells about consent. Of two, the one with the greater `consent_version` counts."""

FOR_REFERRAL = frozenset({"referral"})
"""Purposes of which one is enough to pass a case on to a programme."""
FOR_TRAINING = frozenset({"referral", "training"})
"""Purposes of which one is enough to ask for a seat in a course."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What was last heard of a person's consent: given, not_yet, refused, withdrawn, or nothing."""

    state: str | None
    purposes: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class ConsentLacking:
    """Why nothing may be passed on: not_given, expired, other_purpose, not_named."""

    because: str


def consent_said(event: Said) -> Consent:
    """The consent as it stands once this was said. Short of a yes nothing may be shared, with nobody."""
    match event:
        case ConsentGiven():
            return Consent("given", frozenset(event.purposes), frozenset(event.recipients), event.valid_until)
        case ConsentPending():
            return Consent("not_yet")
        case ConsentRefused():
            return Consent("refused")
        case ConsentWithdrawn():
            return Consent("withdrawn")
        case _:
            assert_never(event)


def consent_gap(consent: Consent, *, purposes: frozenset[str], receiver: str, today: date) -> ConsentLacking | None:
    """What the consent lacks for one of these purposes and this receiver.

    An empty list names everybody or everything: of recipients, and of purposes.
    """
    if consent.state != "given":
        return ConsentLacking("not_given")
    if consent.valid_until is not None and today > consent.valid_until:
        return ConsentLacking("expired")
    if consent.purposes and not consent.purposes & purposes:
        return ConsentLacking("other_purpose")
    if consent.recipients and receiver not in consent.recipients:
        return ConsentLacking("not_named")
    return None
