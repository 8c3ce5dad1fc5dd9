"""Who may see and do what with a person's data: one pure decision over one table, and what it doesn't grant is denied.

Three things are asked for every access: how the caller stands to the case, for which purpose, and on which legal basis.
No basis, no disclosure. Another municipality's record does not exist for a caller whose business it isn't.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.intake.domain.cases import Consent, ConsentState
from services.intake.domain.sheet import FieldSet


class Purpose(StrEnum):
    """What the data is wanted for (利用目的)."""

    SUPPORT = "support"
    ASSESSMENT = "assessment"
    CASE_CONFERENCE = "case_conference"
    REFERRAL = "referral"
    TRAINING = "training"
    DISCLOSURE = "disclosure"
    """The person asked to see their own data (開示請求, 個人情報保護法 Art. 76)."""


class Action(StrEnum):
    """What is to be done."""

    READ = "read"
    WRITE = "write"
    RECORD = "record"
    """Add to the support records."""
    EXPORT = "export"
    ACCESSES = "accesses"
    """Read who looked at the data."""


class Basis(StrEnum):
    """The legal ground of an access."""

    CONSENT = "consent"
    OWN_DUTY = "appi_69_2_2"
    """The agency's own statutory duty, as far as needed (個人情報保護法 Art. 69(2)(ii))."""


class Standing(StrEnum):
    """How the caller stands to the case."""

    HOLDER = "holder"
    """担当機関: responsible for the case now."""
    RECIPIENT = "recipient"
    """Consent that stands covers this agency and purpose."""
    CONCERNED = "concerned"
    """It opened the case, or serves its municipality: knows that there is a case, and no more."""
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Record:
    """What has to be known of a case to decide."""

    holder: str
    opened_by: str
    violence: bool
    consent: Consent | None


@dataclass(frozen=True, slots=True)
class Caller:
    """What has to be known of a caller: `serves` says whether the case's municipality is its business."""

    agency: str
    serves: bool
    counsels: bool


@dataclass(frozen=True, slots=True)
class Allowed:
    """These sets, on this basis; the others are masked."""

    basis: Basis
    sets: frozenset[FieldSet]


@dataclass(frozen=True, slots=True)
class Denied:
    """The caller knows of the case, and has no basis for this: no_basis, not_yours, other_purpose."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """For this caller there is no such case."""


_EVERYTHING = frozenset(FieldSet)
_OF_CONSENT = {
    Purpose.ASSESSMENT: frozenset({FieldSet.IDENTITY, FieldSet.HEALTH, FieldSet.FAMILY, FieldSet.STORY}),
    Purpose.CASE_CONFERENCE: frozenset({FieldSet.IDENTITY, FieldSet.HEALTH, FieldSet.FAMILY, FieldSet.STORY}),
    Purpose.REFERRAL: frozenset({FieldSet.IDENTITY, FieldSet.CONTACT, FieldSet.STORY}),
    Purpose.TRAINING: frozenset({FieldSet.IDENTITY, FieldSet.CONTACT}),
}
"""What each purpose needs. A recipient sees no more, whatever else was written down."""

GRANTS: Mapping[tuple[Standing, Action], Mapping[Purpose, frozenset[FieldSet]]] = {
    (Standing.HOLDER, Action.READ): dict.fromkeys(Purpose, _EVERYTHING),
    (Standing.HOLDER, Action.WRITE): {Purpose.SUPPORT: _EVERYTHING},
    (Standing.HOLDER, Action.RECORD): {Purpose.SUPPORT: frozenset({FieldSet.STORY})},
    (Standing.HOLDER, Action.EXPORT): dict.fromkeys(
        (Purpose.SUPPORT, Purpose.REFERRAL, Purpose.DISCLOSURE), _EVERYTHING
    ),
    (Standing.HOLDER, Action.ACCESSES): {Purpose.DISCLOSURE: frozenset(), Purpose.SUPPORT: frozenset()},
    (Standing.RECIPIENT, Action.READ): _OF_CONSENT,
    (Standing.RECIPIENT, Action.RECORD): {
        purpose: frozenset({FieldSet.STORY}) for purpose, sets in _OF_CONSENT.items() if FieldSet.STORY in sets
    },
}
"""The whole table. What stands nowhere in it is denied."""

HIDES_FROM_OTHERS = frozenset({FieldSet.CONTACT, FieldSet.PROXY})
"""Masked for all but the holder where there was violence."""


def decide(
    caller: Caller, action: Action, record: Record, *, purpose: Purpose, today: date
) -> Allowed | Denied | Hidden:
    """What the caller may do with the case's personal data, on what basis, and how much of it."""
    standing = standing_of(caller, record, purpose=purpose, today=today)
    if standing is Standing.STRANGER:
        return Hidden()
    if standing is Standing.CONCERNED:
        return Denied("no_basis")
    purposes = GRANTS.get((standing, action))
    if purposes is None:
        return Denied("not_yours")
    if purpose not in purposes:
        return Denied("other_purpose")
    sets = purposes[purpose]
    if standing is Standing.HOLDER:
        return Allowed(Basis.OWN_DUTY, sets)
    return Allowed(Basis.CONSENT, sets - HIDES_FROM_OTHERS if record.violence else sets)


def standing_of(caller: Caller, record: Record, *, purpose: Purpose, today: date) -> Standing:
    """How the caller stands to the case. Consent that names an agency makes it known even outside the municipality."""
    if not caller.counsels:
        return Standing.STRANGER
    if caller.agency == record.holder:
        return Standing.HOLDER
    named = record.consent is not None and caller.agency in record.consent.recipients
    concerned = caller.serves or caller.agency == record.opened_by
    if not concerned and not named:
        return Standing.STRANGER
    covers = record.consent is not None and consent_covers(record.consent, caller.agency, purpose=purpose, today=today)
    if covers:
        return Standing.RECIPIENT
    return Standing.CONCERNED if concerned else Standing.STRANGER


def consent_covers(consent: Consent, agency: str, *, purpose: Purpose, today: date) -> bool:
    """Given, still valid, for this purpose, and to this agency; an empty list of recipients names whoever needs it."""
    return (
        consent.state is ConsentState.GIVEN
        and (consent.valid_until is None or today <= consent.valid_until)
        and purpose.value in consent.purposes
        and (not consent.recipients or agency in consent.recipients)
    )
