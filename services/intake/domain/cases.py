"""What the counter knows and decides: codes, consent, urgency, and whose business a case is."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TypeGuard
from uuid import UUID

from services.intake.domain.custody import Custody
from services.intake.domain.sheet import FieldSet


class Entrance(StrEnum):
    """Through which door the person came."""

    WALK_IN = "walk_in"
    PHONE = "phone"
    LETTER = "letter"
    ON_BEHALF = "on_behalf"
    AGENCY_SHEET = "agency_sheet"
    OUTREACH = "outreach"
    DROP_IN = "drop_in"
    OWN_FORM = "own_form"


class Topic(StrEnum):
    """相談内容: the 16 topics of the reception sheet, in its order."""

    HEALTH = "health"
    HOUSING = "housing"
    INCOME = "income"
    RENT_OR_LOAN = "rent_or_loan"
    TAXES_AND_UTILITIES = "taxes_and_utilities"
    DEBT = "debt"
    JOB_SEARCH = "job_search"
    TROUBLE_AT_WORK = "trouble_at_work"
    COMMUNITY = "community"
    FAMILY = "family"
    CHILD_RAISING = "child_raising"
    CARE = "care"
    WITHDRAWAL = "withdrawal"
    """ひきこもり・不登校."""
    VIOLENCE = "violence"
    """DV・虐待."""
    NOTHING_TO_EAT = "nothing_to_eat"
    OTHER = "other"


class Need(StrEnum):
    """Two kinds of problem at once: six of the counter's own business, six of career formation."""

    HEALTH = "health"
    DAILY_LIVING = "daily_living"
    ISOLATION = "isolation"
    FAMILY = "family"
    HOUSING = "housing"
    INCOME = "income"
    MIND = "mind"
    """Habits and abilities of mind; the two below: with people, and with tasks."""
    PEOPLE = "people"
    TASKS = "tasks"
    EXPERIENCE = "experience"
    """Success experience (成功体験) and self-esteem."""
    GOALS = "goals"
    """Goals and outlook."""
    EDUCATION = "education"
    """Education and skills."""


CAREER_NEEDS = frozenset({Need.MIND, Need.PEOPLE, Need.TASKS, Need.EXPERIENCE, Need.GOALS, Need.EDUCATION})
"""Career formation (キャリア形成); the other six are the counter's own business."""
TOUCHES_CAREER = frozenset({"assessment_recorded", "referral_accepted", "seat_held", "enrolled"})
"""News that say that somebody worked on it, as the timeline names them."""


class Urgency(StrEnum):
    """What comes before anything else (緊急度)."""

    NOTHING_TO_EAT = "nothing_to_eat"
    VIOLENCE = "violence"
    """DV・虐待. Somebody may be looking for the person."""
    DANGER_TO_LIFE = "danger_to_life"


class SharedFor(StrEnum):
    """For which purposes a person can agree to sharing: those of `policy.Purpose` that need consent."""

    ASSESSMENT = "assessment"
    CASE_CONFERENCE = "case_conference"
    REFERRAL = "referral"
    TRAINING = "training"


class ConsentState(StrEnum):
    """同意: not yet is a normal working state."""

    GIVEN = "given"
    NOT_YET = "not_yet"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class ConsentForm(StrEnum):
    """同意の方法: how the person said it."""

    WRITTEN = "written"
    """書面."""
    ORAL = "oral"
    """口頭."""


class ScreeningOutcome(StrEnum):
    """スクリーニング: none of them closes the case, so that nobody falls through."""

    INFORMATION = "information"
    HAND_OFF = "hand_off"
    NO_CONSENT_YET = "no_consent_yet"
    SUPPORT = "support"
    INTERRUPTED = "interrupted"


_URGENT_TOPICS = {Topic.VIOLENCE: Urgency.VIOLENCE, Topic.NOTHING_TO_EAT: Urgency.NOTHING_TO_EAT}
FIRST_STEP = "次の対応を決める"
"""A case always has a next step: this one, due on the day of opening, where the counsellor wrote none."""


@dataclass(frozen=True, slots=True)
class Case:
    """支援ケース: the thread through everything."""

    id: UUID
    number: str
    municipality: str
    opened_by: str
    holder_agency: str
    entrance: str
    topics: tuple[str, ...]
    needs: tuple[str, ...]
    urgent: bool
    urgency: tuple[str, ...]
    """Why; a reason once seen stays until somebody takes it away, also when it presses no longer."""
    status: str
    next_step_on: date
    consent_state: str
    consent_version: int
    screening_outcome: str | None
    opened_at: datetime
    career_touched_at: datetime
    """When somebody last worked on career formation; at first, when the case was opened."""
    version: int
    sheet_version: int
    """Of the reception sheet: raised whenever something about the person is written."""
    anchor: str | None = None
    """担当の支援員: whom everybody can turn to in the holding agency, or that agency until it names a person."""
    hand_off_open: bool = False
    ended: str | None = None
    custody_number: int = 0
    most_serious: str | None = None
    """Of the topics, the one that weighs most."""
    use_stopped: bool = False
    """利用停止: what is known about the person is kept, and not used."""
    consent_by: str | None = None
    """Which agency wrote down the consent that stands."""

    def concerns(self, agency: str, serves: Callable[[str], bool]) -> bool:
        """Whose business it is: who opened it, who is responsible for it, and its municipality's agencies."""
        return agency in {self.opened_by, self.holder_agency} or serves(self.municipality)

    @property
    def custody(self) -> Custody:
        """Who holds it."""
        return Custody(self.holder_agency, self.status == "open", self.hand_off_open)

    @property
    def presses(self) -> bool:
        """Whether it comes before all that is not urgent."""
        return self.urgent and self.status == "open"

    @property
    def tells_of_violence(self) -> bool:
        """Somebody may be looking for the person (DV・虐待)."""
        return Topic.VIOLENCE in self.topics or Urgency.VIOLENCE in self.urgency


SENSITIVE: Mapping[str, FieldSet] = {Topic.HEALTH.value: FieldSet.HEALTH, Topic.VIOLENCE.value: FieldSet.STORY}
"""Codes of topics, needs and urgency that tell of illness or harm (要配慮個人情報), with the set that opens them."""


def left_out(codes: Iterable[str], sets: Collection[FieldSet]) -> tuple[str, ...]:
    """Of some codes those that are not for who may read these sets of the sheet alone."""
    return tuple(code for code in codes if code in SENSITIVE and SENSITIVE[code] not in sets)


def left_in(codes: Iterable[str], sets: Collection[FieldSet]) -> tuple[str, ...]:
    """The others."""
    return tuple(code for code in codes if code not in SENSITIVE or SENSITIVE[code] in sets)


def case_number(opened_on: date, running: int) -> str:
    """The number for people, as written on the paper sheet; the running part goes on over the years."""
    return f"{opened_on.year}-{running:06d}"


def urgency_of(*, present: Collection[str], said: Collection[str] | None, topics: Collection[str]) -> tuple[str, ...]:
    """The reasons for urgency: those that are there or, if something is said, those, and what new `topics` tell of."""
    told = {flag for topic, flag in _URGENT_TOPICS.items() if topic in topics}
    reasons = set(present if said is None else said) | told
    return tuple(flag.value for flag in Urgency if flag in reasons)


def is_urgent(*, present: bool, said: bool | None, added: Collection[str]) -> bool:
    """A reason that is newly `added` makes a case urgent; only afterwards may a counsellor say it no longer is."""
    if added:
        return True
    return present if said is None else said


def is_the_holders(case: Case, changed: Case) -> bool:
    """Whether a change is the holder's to make: naming the anchor, and taking away an alarm.

    Anybody whose business it is may raise one. Who was shown less because of it could otherwise take it away, and look.
    """
    return (
        changed.anchor != case.anchor
        or (case.urgent and not changed.urgent)
        or bool(set(case.urgency) - set(changed.urgency))
        or (case.tells_of_violence and not changed.tells_of_violence)
    )


def most_serious_of(marked: str | None, topics: Collection[str]) -> str | None:
    """The mark stays only as long as its topic does."""
    return marked if marked in topics else None


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person said about sharing, and for what; short of consent, the purposes are those that were asked for."""

    state: ConsentState
    purposes: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()
    valid_until: date | None = None
    text_version: str | None = None
    valid_from: date | None = None
    categories: frozenset[str] = frozenset()
    """Sets of the reception sheet (`sheet.FieldSet`); empty: those that the purposes need, without illness."""
    form: ConsentForm | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """The next version of the consent."""

    version: int


@dataclass(frozen=True, slots=True)
class Contradicted:
    """It can't follow on what is recorded: nothing_to_withdraw, consent_stands or consent_unchanged."""

    reason: str


@dataclass(frozen=True, slots=True)
class WitnessNeeded:
    """Who was there, how it was said, or both are missing, and here they have to be known."""

    missing: tuple[str, ...]


def record_consent(present: Consent | None, said: Consent, *, version: int) -> Recorded | Contradicted:
    """Whether `said` may follow on `present`, which was recorded as `version`.

    A consent that stands ends only by being withdrawn: "not yet" or "refused" would hide that it once carried a
    disclosure. The same again is a fact only when what was agreed to has changed.
    """
    stands = present is not None and present.state is ConsentState.GIVEN
    if said.state is ConsentState.WITHDRAWN and not stands:
        return Contradicted("nothing_to_withdraw")
    if said == present:
        return Contradicted("consent_unchanged")
    if stands and said.state in {ConsentState.NOT_YET, ConsentState.REFUSED}:
        return Contradicted("consent_stands")
    return Recorded(version + 1)


def needs_witness(present: Consent | None, said: Consent, *, by: str, holder: str) -> bool:
    """Whether an agency writes down a consent that opens the case to itself, further than the one that stands does.

    The holder sees the case anyway. A part that is taken back opens nothing, and is heard at any counter as it is.
    """
    return by != holder and _reaches(said, by) and not (_reaches(present, by) and _is_part_of(said, present))


def _reaches(said: Consent | None, agency: str) -> TypeGuard[Consent]:
    """An empty list names everybody."""
    return said is not None and said.state is ConsentState.GIVEN and agency in (said.recipients or {agency})


def _is_part_of(said: Consent, present: Consent) -> bool:
    return (
        said.purposes <= present.purposes
        and _categories(said) <= _categories(present)
        and (present.valid_from is None or (said.valid_from is not None and said.valid_from >= present.valid_from))
        and (present.valid_until is None or (said.valid_until is not None and said.valid_until <= present.valid_until))
    )


def _categories(said: Consent) -> frozenset[str]:
    """What it opens at most, whatever the purposes need of that: illness only by name."""
    return said.categories or frozenset(FieldSet) - {FieldSet.HEALTH}
