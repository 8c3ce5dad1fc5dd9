"""Who may see and do what with a person's data: one pure decision over one table, and what it doesn't grant is denied.

Three things are asked for every access: how the caller stands to the case, for which purpose, and on which legal basis.
No basis, no disclosure. Another municipality's record does not exist for a caller whose business it isn't. What is said
in a statutory meeting is a lane of its own: none of the other grounds opens it, and it opens nothing else.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import product

from services.intake.domain.meetings import Basis, Meeting
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
    MEETING = "meeting"
    """The topic of a statutory meeting, in that meeting."""


class Action(StrEnum):
    """What is to be done."""

    READ = "read"
    WRITE = "write"
    RECORD = "record"
    """Add to the support records."""
    EXPORT = "export"
    ACCESSES = "accesses"
    """Read who looked at the data."""
    DISCLOSE = "disclose"
    """Let another agency read."""
    DECLARE = "declare"
    """Declare an emergency, to read without consent for an hour."""
    REVIEW = "review"
    """Judge an emergency that another agency declared."""


class Standing(StrEnum):
    """How the caller stands to the case."""

    HOLDER = "holder"
    """担当機関: responsible for the case now."""
    RECIPIENT = "recipient"
    """Consent that stands covers this agency and purpose."""
    DISCLOSED = "disclosed"
    """The holder disclosed it to this agency, for this purpose, on a legal basis that still stands."""
    EMERGENCY = "emergency"
    """It declared an emergency, and its hour is not over."""
    REVIEWER = "reviewer"
    """It holds the case, or held it when another agency declared an emergency."""
    MEMBER = "member"
    """In a statutory meeting, on its day."""
    CONVENOR = "convenor"
    """It convened a statutory meeting that is over, and wrote the note."""
    ON_CALL = "on_call"
    """Concerned, and with the right to declare an emergency."""
    CONCERNED = "concerned"
    """It opened the case, or serves its municipality: knows that there is a case, and no more."""
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the person agreed to, as `shared.consent` judged it for this caller, purpose and day."""

    covers: bool
    named: bool
    """The consent names this very agency, wherever it is."""
    categories: frozenset[FieldSet] = frozenset()


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What the holder let an agency read (開示・提供), and on which basis; one that was ended is none."""

    recipient: str
    purpose: Purpose
    sets: frozenset[FieldSet]
    basis: Basis
    until: date


@dataclass(frozen=True, slots=True)
class Record:
    """What has to be known of a case to decide."""

    holder: str
    opened_by: str
    violence: bool
    consent: Agreement | None = None
    disclosures: tuple[Disclosure, ...] = ()
    emergency_ends_at: datetime | None = None
    """When the last emergency ends that this caller declared for this case."""
    reviewers: frozenset[str] = frozenset()
    """Who judges the emergency in question; never who declared it."""
    meeting: Meeting | None = None
    """Given where the record is what was said about the case in a statutory meeting."""
    use_stopped: bool = False
    """利用停止 (個人情報保護法 Art. 98-): the data is kept, and used for telling the person alone, or as a law bids."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What has to be known of a caller: `serves` says whether the case's municipality is its business."""

    agency: str
    serves: bool
    roles: frozenset[str]
    kind: str = ""
    """Which kind of agency it is, as its token says; one that nobody told is no public body."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """These sets, on this basis; the others are masked."""

    basis: Basis
    sets: frozenset[FieldSet]


@dataclass(frozen=True, slots=True)
class Denied:
    """The caller knows of it, and may not: no_basis, not_yours, other_purpose, use_stopped, not_a_public_body,
    meeting_to_come, meeting_over."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """For this caller there is no such case."""


COUNSELLOR, PLACEMENT, HELLO_WORK, PROVIDER, DECLARER = "counsellor", "placement", "hello_work", "provider", "emergency"
_IDENTITY, _CONTACT, _STORY = FieldSet.IDENTITY, FieldSet.CONTACT, FieldSet.STORY
_NOTHING: frozenset[FieldSet] = frozenset()
_EVERYTHING = frozenset(FieldSet)
_INNER = frozenset({_IDENTITY, FieldSet.HEALTH, FieldSet.FAMILY, _STORY})
NEEDS: Mapping[Purpose, frozenset[FieldSet]] = {
    Purpose.ASSESSMENT: _INNER,
    Purpose.CASE_CONFERENCE: _INNER,
    Purpose.REFERRAL: frozenset({_IDENTITY, _CONTACT, _STORY}),
    Purpose.TRAINING: frozenset({_IDENTITY, _CONTACT}),
}
"""What each purpose needs. A recipient sees no more, whatever else was written down or agreed to."""

ROLES: Mapping[str, Mapping[Purpose, frozenset[FieldSet]]] = {
    COUNSELLOR: dict.fromkeys((Purpose.SUPPORT, *NEEDS), _EVERYTHING),
    PLACEMENT: {Purpose.REFERRAL: NEEDS[Purpose.REFERRAL], Purpose.TRAINING: NEEDS[Purpose.TRAINING]},
    HELLO_WORK: {Purpose.REFERRAL: NEEDS[Purpose.REFERRAL], Purpose.TRAINING: NEEDS[Purpose.TRAINING]},
    PROVIDER: {Purpose.TRAINING: NEEDS[Purpose.TRAINING]},
}
"""What each role's work needs, of what consent opens; and for which purposes it may be disclosed to at all."""

GRANTS: Mapping[tuple[Standing, Action], Mapping[Purpose, frozenset[FieldSet]]] = {
    (Standing.HOLDER, Action.READ): dict.fromkeys((Purpose.SUPPORT, *NEEDS, Purpose.DISCLOSURE), _EVERYTHING),
    (Standing.HOLDER, Action.WRITE): {Purpose.SUPPORT: _EVERYTHING},
    (Standing.HOLDER, Action.RECORD): {Purpose.SUPPORT: frozenset({_STORY})},
    (Standing.HOLDER, Action.EXPORT): dict.fromkeys(
        (Purpose.SUPPORT, Purpose.REFERRAL, Purpose.DISCLOSURE), _EVERYTHING
    ),
    (Standing.HOLDER, Action.ACCESSES): {Purpose.DISCLOSURE: _NOTHING, Purpose.SUPPORT: _NOTHING},
    (Standing.HOLDER, Action.DISCLOSE): dict.fromkeys((Purpose.SUPPORT, *NEEDS), _NOTHING),
    (Standing.RECIPIENT, Action.READ): NEEDS,
    (Standing.RECIPIENT, Action.RECORD): {
        purpose: frozenset({_STORY}) for purpose, sets in NEEDS.items() if _STORY in sets
    },
    (Standing.DISCLOSED, Action.READ): dict.fromkeys((Purpose.SUPPORT, *NEEDS), _EVERYTHING),
    (Standing.EMERGENCY, Action.READ): {Purpose.SUPPORT: _EVERYTHING},
    (Standing.ON_CALL, Action.DECLARE): {Purpose.SUPPORT: _NOTHING},
    (Standing.REVIEWER, Action.REVIEW): {Purpose.SUPPORT: _NOTHING},
    (Standing.MEMBER, Action.READ): {Purpose.MEETING: _NOTHING},
    (Standing.MEMBER, Action.WRITE): {Purpose.MEETING: _NOTHING},
    (Standing.CONVENOR, Action.READ): {Purpose.MEETING: _NOTHING},
}
"""The whole table. What stands nowhere in it is denied. In a meeting there are notes, and no sets of the sheet."""

PUBLIC_BODIES = frozenset(
    {
        "municipality",
        "welfare_office",
        "municipal_placement",
        "prefecture",
        "health_centre",
        "child_guidance_centre",
        "hello_work",
        "public_training",
    }
)
"""Kinds of agency that are administrative organs, local governments or independent administrative agencies.

A self-reliance desk is none by its kind: it may be entrusted to a council or an NPO (生活困窮者自立支援法 Art. 5(2)).
One that the municipality runs itself is a `municipality`."""
ONLY_FOR: Mapping[Basis, frozenset[str]] = {Basis.OTHER_DUTY: PUBLIC_BODIES}
"""Bases that reach certain kinds of agency alone (個人情報保護法 Art. 69(2)(iii))."""

_KNOWS_ONLY = {Standing.ON_CALL, Standing.CONCERNED}
_HOLDERS_ALONE = {Action.WRITE, Action.EXPORT, Action.ACCESSES, Action.DISCLOSE}
"""No basis that could still be found lets another agency do these: who asks is told who can."""
HIDES_FROM_OTHERS = frozenset({FieldSet.CONTACT, FieldSet.PROXY})
"""For everybody but the holder, on whichever basis: any counter may be asked by the very person to hide from."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """One way in which a caller stands to a case, with what it could open at most."""

    standing: Standing
    basis: Basis
    sets: frozenset[FieldSet] = _EVERYTHING


def decide(
    caller: Caller,
    action: Action,
    record: Record,
    *,
    purpose: Purpose,
    today: date,
    now: datetime,
    basis: Basis | None = None,
) -> Allowed | Denied | Hidden:
    """What the caller may do with the case's personal data, on what basis, and how much of it.

    With a `basis` only that one counts. Without, the first in the order of `Standing` that reaches; an emergency is
    never assumed, it has to be named.
    """
    if record.meeting is not None:
        return _in_meeting(caller, action, record.meeting, purpose=purpose, today=today, basis=basis)
    grounds = _grounds(caller, record, purpose=purpose, today=today, now=now)
    if not grounds:
        return Hidden()
    asked = [ground for ground in grounds if _is_asked_for(ground, basis)]
    weighed = [_weigh(ground, action, record, purpose, kind=caller.kind) for ground in asked]
    for outcome in weighed:
        if isinstance(outcome, Allowed):
            return outcome
    return weighed[0] if weighed else Denied("no_basis")


def _is_asked_for(ground: _Ground, basis: Basis | None) -> bool:
    return ground.standing is not Standing.EMERGENCY if basis is None else ground.basis is basis


_BY_LAW = (Standing.EMERGENCY, Standing.REVIEWER, Standing.ON_CALL)
_GOES_ON = frozenset({(Standing.HOLDER, Purpose.DISCLOSURE), *product(_BY_LAW, Purpose)})
"""What 利用停止 doesn't end; what is said in a statutory meeting is asked for elsewhere."""


def _weigh(ground: _Ground, action: Action, record: Record, purpose: Purpose, *, kind: str) -> Allowed | Denied:
    purposes = GRANTS.get((ground.standing, action))
    if purposes is None:
        lacks_a_basis = ground.standing in _KNOWS_ONLY and action not in _HOLDERS_ALONE
        return Denied("no_basis" if lacks_a_basis else "not_yours")
    if purpose not in purposes:
        return Denied("other_purpose")
    if kind not in ONLY_FOR.get(ground.basis, {kind}):
        return Denied("not_a_public_body")
    sets = purposes[purpose] & ground.sets
    if record.violence and ground.standing is not Standing.HOLDER:
        sets -= HIDES_FROM_OTHERS
    if purposes[purpose] and not sets:
        return Denied("no_basis")
    if record.use_stopped and (ground.standing, purpose) not in _GOES_ON:
        return Denied("use_stopped")
    return Allowed(ground.basis, sets)


def _grounds(caller: Caller, record: Record, *, purpose: Purpose, today: date, now: datetime) -> list[_Ground]:
    """Every way in which the caller stands to the case; none for a stranger."""
    roles = caller.roles & {*ROLES, DECLARER}
    concerned = bool(roles) and (caller.serves or caller.agency in {record.opened_by, record.holder})
    found: list[_Ground] = []
    if caller.agency == record.holder and COUNSELLOR in roles:
        found.append(_Ground(Standing.HOLDER, Basis.OWN_DUTY))
    if caller.agency in record.reviewers and COUNSELLOR in roles:
        found.append(_Ground(Standing.REVIEWER, Basis.OWN_DUTY))
    agreed = agreed_sets(record.consent, roles, purpose)
    if agreed and (concerned or (record.consent is not None and record.consent.named)):
        found.append(_Ground(Standing.RECIPIENT, Basis.CONSENT, agreed))
    if any(purpose in ROLES.get(role, ()) for role in roles):
        found += _disclosed(caller, record, agreed, purpose=purpose, today=today)
    if concerned and DECLARER in roles and record.emergency_ends_at is not None and now < record.emergency_ends_at:
        found.append(_Ground(Standing.EMERGENCY, Basis.EMERGENCY))
    if concerned and DECLARER in roles and caller.agency != record.holder:
        found.append(_Ground(Standing.ON_CALL, Basis.EMERGENCY))
    if concerned:
        found.append(_Ground(Standing.CONCERNED, Basis.OWN_DUTY))
    return found


def agreed_sets(consent: Agreement | None, roles: Collection[str], purpose: Purpose) -> frozenset[FieldSet]:
    """What consent opens: no more than the purpose and the roles need, and illness only where it was named."""
    if consent is None or not consent.covers:
        return _NOTHING
    work = _NOTHING.union(*(ROLES[role].get(purpose, _NOTHING) for role in roles if role in ROLES))
    needed = NEEDS.get(purpose, _NOTHING) & work
    # 要配慮個人情報 is not what somebody has in mind who agrees to "what is needed" (個人情報保護法 Art. 2(3)).
    return needed & consent.categories if consent.categories else needed - {FieldSet.HEALTH}


def shown_for_none(categories: Collection[str], purposes: Collection[str]) -> tuple[FieldSet, ...]:
    """Sets that consent names and that none of its purposes needs, so that naming them shows nothing to anybody."""
    needed = _NOTHING.union(*(NEEDS.get(Purpose(purpose), _NOTHING) for purpose in purposes))
    return tuple(each for each in FieldSet if each in categories and each not in needed)


def _disclosed(
    caller: Caller, record: Record, agreed: frozenset[FieldSet], *, purpose: Purpose, today: date
) -> list[_Ground]:
    """What the holder let this agency read; what rests on consent reaches as far as consent does on this very day."""
    found: dict[Basis, frozenset[FieldSet]] = {}
    for each in record.disclosures:
        if (each.recipient, each.purpose) == (caller.agency, purpose) and today <= each.until:
            sets = each.sets & agreed if each.basis is Basis.CONSENT else each.sets
            found[each.basis] = found.get(each.basis, _NOTHING) | sets
    return [_Ground(Standing.DISCLOSED, basis, found[basis]) for basis in Basis if found.get(basis)]


def _in_meeting(
    caller: Caller, action: Action, meeting: Meeting, *, purpose: Purpose, today: date, basis: Basis | None
) -> Allowed | Denied | Hidden:
    """A lane of its own: its members on its day, on its own basis; afterwards what the convenor wrote, to itself."""
    if caller.agency not in meeting.members or not caller.roles & ROLES.keys():
        return Hidden()
    if basis not in {None, meeting.basis}:
        return Denied("no_basis")
    standing = Standing.MEMBER
    if today < meeting.held_on:
        return Denied("meeting_to_come")
    if today > meeting.held_on:
        if not caller.agency == meeting.convened_by == meeting.written_by:
            return Denied("meeting_over")
        standing = Standing.CONVENOR
    purposes = GRANTS.get((standing, action))
    if purposes is None:
        return Denied("meeting_over" if standing is Standing.CONVENOR else "not_yours")
    return Allowed(meeting.basis, purposes[purpose]) if purpose in purposes else Denied("other_purpose")
