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

FOR_ASSESSMENT = frozenset({"assessment", "case_conference"})
"""Purposes of which one is enough to read how a person was rated."""
FOR_CONFERENCE = frozenset({"case_conference"})
"""The purpose for which agencies sit down together about somebody."""
FOR_REFERRAL = frozenset({"referral"})
"""Purposes of which one is enough to pass a case on to a programme."""
FOR_TRAINING = frozenset({"referral", "training"})
"""Purposes of which one is enough to ask for a seat in a course."""

FOR_PLAN = frozenset({"case_conference", "referral"})
"""Purposes of which one is enough to tell an agency what a support plan asks of it."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What was last heard of a person's consent: given, not_yet, refused, withdrawn, or nothing."""

    state: str | None
    purposes: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()
    valid_until: date | None = None
    valid_from: date | None = None
    categories: frozenset[str] = frozenset()
    """Which sets of the reception sheet; empty: those that the purpose needs."""


AFTER_ERASURE = Consent("withdrawn")
"""Of a case that was erased: nothing about it may be shared any more, whatever was agreed to."""
LAST_WORD = 2**31 - 1
"""The version of that: no word about consent comes after it."""


@dataclass(frozen=True, slots=True)
class ConsentLacking:
    """Why nothing may be passed on: not_given, not_yet_valid, expired, other_purpose, not_named."""

    because: str


def consent_said(event: Said) -> Consent:
    """The consent as it stands once this was said. Short of a yes nothing may be shared, with nobody."""
    match event:
        case ConsentGiven():
            return Consent(
                "given",
                purposes=frozenset(event.purposes),
                recipients=frozenset(event.recipients),
                valid_until=event.valid_until,
                valid_from=event.valid_from,
                categories=frozenset(event.categories),
            )
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
    if consent.valid_from is not None and today < consent.valid_from:
        return ConsentLacking("not_yet_valid")
    if consent.valid_until is not None and today > consent.valid_until:
        return ConsentLacking("expired")
    if consent.purposes and not consent.purposes & purposes:
        return ConsentLacking("other_purpose")
    if consent.recipients and receiver not in consent.recipients:
        return ConsentLacking("not_named")
    return None


def takes_back(consent: Consent, *, purposes: frozenset[str], receiver: str) -> bool:
    """Whether the newest word ends what was begun under an earlier one.

    A yes does where it is narrower than the one before: a part that is taken back is consent given again for the rest.
    Running out is no word of the person's, and lets what is under way go on.
    """
    if consent.state in {"withdrawn", "refused"}:
        return True
    return consent.state == "given" and (
        bool(consent.purposes and not consent.purposes & purposes)
        or bool(consent.recipients and receiver not in consent.recipients)
    )
