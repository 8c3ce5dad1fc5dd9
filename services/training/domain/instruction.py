"""Three papers that send a person into training, each with its own issuer, law and effect; and in whose name one acts.

受講指示 (instruction), 支援指示 (support instruction), 受講推薦 (recommendation): only the first may be delegated in a
region, the other two stay with Hello Work in both modes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.training.domain.steps import Authority
from services.training.domain.trial import Step, is_employment


class Kind(StrEnum):
    """Which paper."""

    INSTRUCTION = "instruction"
    """受講指示: for people entitled to employment insurance (雇用保険法)."""
    SUPPORT_INSTRUCTION = "support_instruction"
    """支援指示: for specified job seekers (求職者支援法 Art. 12). Cancelled when no longer needed."""
    RECOMMENDATION = "recommendation"
    """受講推薦: for anybody else; no allowance."""


class Issuer(StrEnum):
    """Which body issues it."""

    HELLO_WORK = "hello_work"
    PLACEMENT = "placement"


class Benefit(StrEnum):
    """Which benefit rests on it."""

    EMPLOYMENT_INSURANCE = "employment_insurance"
    """雇用保険の給付."""
    TRAINING_ALLOWANCE = "training_allowance"
    """職業訓練受講給付金: month by month, on 80 % attendance."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Law:
    """What a kind of paper rests on, and what it does."""

    basis: str
    benefit: Benefit
    may_be_cancelled: bool


LAWS = {
    Kind.INSTRUCTION: Law("employment_insurance_act", Benefit.EMPLOYMENT_INSURANCE, may_be_cancelled=False),
    Kind.SUPPORT_INSTRUCTION: Law("job_seeker_support_act_12", Benefit.TRAINING_ALLOWANCE, may_be_cancelled=True),
    Kind.RECOMMENDATION: Law("none", Benefit.NONE, may_be_cancelled=False),
}


def issuer_of(kind: Kind, authority: Authority) -> Issuer:
    """The one body that may issue it where this mode is in force."""
    delegated = kind is Kind.INSTRUCTION and authority is Authority.DELEGATED
    return Issuer.PLACEMENT if delegated else Issuer.HELLO_WORK


@dataclass(frozen=True, slots=True)
class NotYours:
    """Another body has the power to issue this here."""

    authority: Authority
    issuer: Issuer


# --- in whose name --------------------------------------------------------------------------------------------------


class Basis(StrEnum):
    """What an agency acts on."""

    FREE_PLACEMENT = "free_placement_notification"
    """無料職業紹介の届出 of a local government (職業安定法 Art. 29)."""
    PERMITTED_PLACEMENT = "placement_permission"
    """職業紹介の許可 of another body, which nominates for a municipality; it never instructs."""
    EMPLOYMENT_OFFICE = "public_employment_office"
    """公共職業安定所: acts by law; a number of its own may be registered."""
    TRAINING_SCHOOL = "training_school"
    """訓練実施機関; with the number of a course's certification (認定番号) or of its commission, if there is one."""
    SUPPORT_DESK = "support_desk"
    """自立相談支援機関: the municipality, or whom it entrusts; with the contract's number, if there is one."""
    HOST_WORKPLACE = "host_workplace"
    """職親, or who keeps its places; with the number of its certification (認定就労訓練), if it has one."""


NUMBERED = frozenset({Basis.FREE_PLACEMENT, Basis.PERMITTED_PLACEMENT})
"""Those whose number is the permission itself: never left out."""


@dataclass(frozen=True, slots=True)
class Registration:
    """In which legal entity's name an agency may act, under which number, from when until when (both days included)."""

    id: UUID
    agency: str
    basis: Basis
    legal_entity: str
    number: str | None
    valid_from: date
    valid_until: date | None

    def covers(self, day: date) -> bool:
        """Whether it is in force on a day."""
        return self.valid_from <= day and (self.valid_until is None or day <= self.valid_until)


@dataclass(frozen=True, slots=True)
class Signature:
    """In whose name: corporate number (法人番号) and the number of the notification or permission (届出・許可番号)."""

    legal_entity: str | None = None
    notification_number: str | None = None


@dataclass(frozen=True, slots=True)
class NotRegistered:
    """No registration of this agency is in force today for such an act."""


@dataclass(frozen=True, slots=True)
class AnothersName:
    """The agency is registered, but not in this entity's name, or not under this number: names are not lent."""


class Act(StrEnum):
    """What is done in a legal entity's name."""

    NOMINATE = "nominate"
    NOMINATE_UNPAID = "nominate_unpaid"
    """For a trial place where no work is paid: no job is placed."""
    COUNTERSIGN = "countersign"
    INSTRUCT = "instruct"
    INSTRUCT_DELEGATED = "instruct_delegated"
    """A training instruction where the power to give it was delegated."""
    CANCEL = "cancel"
    SELECT = "select"
    ENROL = "enrol"
    CERTIFY = "certify"
    END = "end"
    HOST = "host"
    """What the host workplace says of its trial places: who is chosen, came, was there, ended."""
    RECORD_OUTCOME = "record_outcome"


_SCHOOL = frozenset({Basis.TRAINING_SCHOOL})
_OFFICE = frozenset({Basis.EMPLOYMENT_OFFICE})
RESTS_ON: Mapping[Act, frozenset[Basis]] = {
    Act.NOMINATE: NUMBERED,
    Act.NOMINATE_UNPAID: NUMBERED | {Basis.SUPPORT_DESK},
    Act.COUNTERSIGN: _OFFICE,
    Act.INSTRUCT: _OFFICE,
    Act.INSTRUCT_DELEGATED: frozenset({Basis.FREE_PLACEMENT}),
    Act.CANCEL: _OFFICE,
    Act.SELECT: _SCHOOL,
    Act.ENROL: _SCHOOL,
    Act.CERTIFY: _SCHOOL,
    Act.END: _SCHOOL,
    Act.HOST: frozenset({Basis.HOST_WORKPLACE}),
    Act.RECORD_OUTCOME: frozenset(Basis),
}
"""Which registrations cover which act; the database's `act_rests_on` says the same, and refuses by itself."""


def act_at(act: Act, step: Step | None) -> Act:
    """What the same act is at a trial place: a host workplace is no school; where nothing is paid no job is placed."""
    if step is None:
        return act
    if RESTS_ON[act] == _SCHOOL:
        return Act.HOST
    return Act.NOMINATE_UNPAID if act is Act.NOMINATE and not is_employment(step) else act


def act_of_issuing(kind: Kind, authority: Authority) -> Act:
    """Which act it is to issue such a paper where this mode is in force."""
    return Act.INSTRUCT_DELEGATED if issuer_of(kind, authority) is Issuer.PLACEMENT else Act.INSTRUCT


def sign(
    registrations: Collection[Registration], signature: Signature, act: Act, *, day: date
) -> Registration | NotRegistered | AnothersName:
    """The registration that an act of this agency rests on; what the caller left out is as registered."""
    in_force = [each for each in registrations if each.basis in RESTS_ON[act] and each.covers(day)]
    if not in_force:
        return NotRegistered()
    own = [
        each
        for each in in_force
        if signature.legal_entity in {None, each.legal_entity} and signature.notification_number in {None, each.number}
    ]
    return max(own, key=lambda each: (each.valid_from, each.id)) if own else AnothersName()
