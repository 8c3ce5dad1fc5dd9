"""The conversation: every public event, in the order in which it happens to a person.

Events are facts in the past tense, published by the service that owns them. They carry ids, codes and what a listener
needs to act, and never a name, address, birth date, phone number or free text: `tests/contract` walks every field and
admits only the classes named below. Within a version fields are only added, with defaults; another meaning is another
event. Readers ignore fields they don't know and must expect codes they don't know.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.codes import MunicipalityCode, ToldAgencyId, ToldCode

Id = Annotated[UUID, Field(json_schema_extra={"x-class": "id"})]
Agency = Annotated[ToldAgencyId, Field(json_schema_extra={"x-class": "agency"})]
Coded = Annotated[ToldCode, Field(json_schema_extra={"x-class": "code"})]
Municipality = Annotated[MunicipalityCode, Field(json_schema_extra={"x-class": "municipality"})]
Moment = Annotated[AwareDatetime, Field(json_schema_extra={"x-class": "moment"})]
Day = Annotated[date, Field(json_schema_extra={"x-class": "day"})]
Count = Annotated[int, Field(ge=0, le=1_000_000, json_schema_extra={"x-class": "count"})]
Level = Annotated[int, Field(ge=1, le=5, json_schema_extra={"x-class": "level"})]
Flag = Annotated[bool, Field(json_schema_extra={"x-class": "flag"})]

EVENTS: dict[str, type["Event"]] = {}
"""Every event by its CloudEvents `type`, filled as the classes below are read."""


class Event(BaseModel):
    """What every event is: immutable, published by one service, about one subject."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    publisher: ClassVar[str]
    about: ClassVar[str]
    type: ClassVar[str]

    def __init_subclass__(cls, *, publisher: str, about: str = "case_id", version: int = 1, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()
        cls.publisher, cls.about = publisher, about
        cls.type = f"jp.tsunagu.{publisher}.{name}.v{version}"
        if cls.type in EVENTS:
            raise TypeError(f"two events are called {cls.type}")
        EVENTS[cls.type] = cls

    @property
    def subject(self) -> str:
        """What it is about: the record key, and so the unit of order."""
        return str(getattr(self, self.about))


def topic_of(publisher: str) -> str:
    """One topic per publishing service, so that the events of a case stay in order across types."""
    return f"tsunagu.{publisher}"


# --- 相談受付 intake: a person comes to any door --------------------------------------------------------------------


class CaseOpened(Event, publisher="intake"):
    """A consultation was taken up (相談受付). Nobody is refused, so almost everything may be missing."""

    case_id: Id
    municipality: Municipality
    agency_id: Agency
    entrance: Coded
    topics: list[Coded] = []
    needs: list[Coded] = []
    urgent: Flag = False
    urgency: list[Coded] = []
    opened_at: Moment


class ConsentGiven(Event, publisher="intake"):
    """The person agreed that named agencies share what is needed (同意)."""

    case_id: Id
    consent_version: Count
    purposes: list[Coded]
    recipients: list[Agency] = []
    valid_until: Day | None = None
    valid_from: Day | None = None
    categories: list[Coded] = []
    recorded_by: Agency | None = None


class ConsentPending(Event, publisher="intake"):
    """Not yet: a normal working state, in which work towards consent goes on (同意未取得)."""

    case_id: Id
    consent_version: Count


class ConsentRefused(Event, publisher="intake"):
    """The person said no to sharing; the consultation itself goes on (不同意)."""

    case_id: Id
    consent_version: Count


class ConsentWithdrawn(Event, publisher="intake"):
    """The person took consent back; what rests on it alone stops (同意撤回)."""

    case_id: Id
    consent_version: Count


class CaseScreened(Event, publisher="intake"):
    """Screening outcome 1 to 5 (スクリーニング): information, hand-off, no_consent_yet, support, interrupted."""

    case_id: Id
    outcome: Coded


class CareerNeedsUntouched(Event, publisher="intake"):
    """Nobody has worked on the person's career formation for the set number of weeks; since when."""

    case_id: Id
    agency_id: Agency
    since: Day


class EmergencyAccessDeclared(Event, publisher="intake"):
    """An agency opened a case in an emergency (緊急閲覧), without consent and for an hour; its holder reviews that."""

    case_id: Id
    emergency_id: Id
    agency_id: Agency
    reason: Coded
    ends_at: Moment
    review_due_on: Day


class CaseClosed(Event, publisher="intake"):
    """The holder ended the support (終結・中断), with what was reached or why it ends without."""

    case_id: Id
    agency_id: Agency
    ended: Coded
    interrupted: Flag = False


class CaseReopened(Event, publisher="intake"):
    """The person came back, or a receiver took on a case that its sender had closed: it is held again."""

    case_id: Id
    agency_id: Agency


class CaseHandedOver(Event, publisher="intake"):
    """Another agency holds the case from now on (担当の引き継ぎ): it accepted a referral of the one that held it."""

    case_id: Id
    agency_id: Agency
    before: Agency


class CaseErased(Event, publisher="intake"):
    """What was known about the person is erased for good (消去); ids and codes stay. Nothing may be begun for it."""

    case_id: Id
    agency_id: Agency
    reason: Coded
    erased_at: Moment


# --- アセスメント assessment: the five axes ------------------------------------------------------------------------


class AssessmentRecorded(Event, publisher="assessment"):
    """An FDP rating was made: levels 1 to 5 on five axes; an axis not observed is absent, and never "safe"."""

    case_id: Id
    assessment_id: Id
    number: Count
    rubric: Coded
    setting: Coded
    interpersonal: Level | None = None
    mental: Level | None = None
    stress: Level | None = None
    thinking: Level | None = None
    environment: Level | None = None
    prolongation_risk: Coded
    rated_at: Moment
    rule_version: Count | None = None
    several_agencies: Flag = False
    conference_due_on: Day | None = None
    reassess_on: Day | None = None


class InstrumentAnswered(Event, publisher="assessment"):
    """Another instrument than FDP was answered, e.g. the career-formation check; what was answered stays there."""

    case_id: Id
    assessment_id: Id
    number: Count
    instrument: Coded
    rubric: Coded
    setting: Coded
    rated_at: Moment


class TaskAssigned(Event, publisher="assessment"):
    """An agency has something to do until a day: the rule asks for it, a conference decided it, or a plan brings it."""

    case_id: Id
    task_id: Id
    task: Coded
    owner: Agency
    due_on: Day
    origin: Coded
    origin_id: Id


class TaskOverdue(Event, publisher="assessment"):
    """Its day has passed: told to the holder (tier 1), and then to the whole municipality (tier 2)."""

    case_id: Id
    task_id: Id
    task: Coded
    owner: Agency
    holder: Agency
    due_on: Day
    tier: Count


class TaskEnded(Event, publisher="assessment"):
    """It is done, or need not be done any more, with a coded reason."""

    case_id: Id
    task_id: Id
    task: Coded
    owner: Agency
    state: Coded
    reason: Coded | None = None


class ConferenceCalled(Event, publisher="assessment"):
    """A joint case conference (合同ケース会議) is called, with consent; of a meeting by Art. 9 nothing is told."""

    case_id: Id
    conference_id: Id
    chair: Agency
    members: list[Agency]
    held_on: Day
    by_duty: Flag = False


class ConferencePostponed(Event, publisher="assessment"):
    """It is held on another day."""

    case_id: Id
    conference_id: Id
    chair: Agency
    held_on: Day


class ConferenceCancelled(Event, publisher="assessment"):
    """It is not held, or was broken off: nothing of it is decided."""

    case_id: Id
    conference_id: Id
    chair: Agency
    reason: Coded


class ConferenceConcluded(Event, publisher="assessment"):
    """It was held and has decided; each decision is a task of its own, told with it."""

    case_id: Id
    conference_id: Id
    chair: Agency
    present: list[Agency]
    held_on: Day
    decisions: Count


class ReferralDecided(Event, publisher="assessment"):
    """A conference decided that its owner refers the case, to a programme or a course run: referral carries it out.

    `consent_version` is the word about consent on which it rests: what was heard before that is too old to judge by.
    """

    case_id: Id
    task_id: Id
    owner: Agency
    municipality: Municipality
    programme_id: Id | None = None
    course_run_id: Id | None = None
    due_on: Day
    consent_version: Count = 0


class PlanAgreed(Event, publisher="assessment"):
    """The person agreed to this version of the support plan (支援プランへの同意)."""

    case_id: Id
    plan_id: Id
    number: Count
    version: Count


class PlanDecided(Event, publisher="assessment"):
    """The municipality decided (支援決定): this version is carried out by these agencies, and monitored on a day."""

    case_id: Id
    plan_id: Id
    number: Count
    version: Count
    decided: Coded
    schemes: list[Coded] = []
    agencies: list[Agency] = []
    monitor_on: Day


class PlanEvaluated(Event, publisher="assessment"):
    """The plan was evaluated (評価): goal reached yes, partly, no; then close, new_plan or interrupt. Closing is
    intake's."""

    case_id: Id
    plan_id: Id
    number: Count
    reached: Coded
    ending: Coded


# --- つなぎ referral: from hand to hand ----------------------------------------------------------------------------


class AgencyListed(Event, publisher="referral", about="agency_id"):
    """An agency's entry in the directory was made, changed or confirmed (支援機関の名簿)."""

    agency_id: Agency
    agency_kind: Coded
    municipality: Municipality
    municipalities_served: list[Municipality]
    confirmed_on: Day
    version: Count


class ProgrammeListed(Event, publisher="referral", about="programme_id"):
    """A programme's entry, or its room, changed (事業の名簿). Without municipalities it is offered in its agency's."""

    programme_id: Id
    agency_id: Agency
    function: Coded
    strand: Count
    stage: Coded
    municipalities: list[Municipality]
    needs: list[Coded]
    capacity_state: Coded
    capacity_vacant: Count | None = None
    confirmed_on: Day
    capacity_confirmed_on: Day | None = None
    starts_on: Day | None = None
    ends_on: Day | None = None
    version: Count


class ReferralSent(Event, publisher="referral"):
    """A referral left its sender, who stays responsible until somebody accepts.

    `verb`: what acceptance does to the case: refer (its holder stays), transfer (it moves), request (the receiver asked
    for it). `group_id`: sent together with others; `rerouted_from`: the referral that was passed on here.
    """

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    programme_id: Id | None = None
    course_run_id: Id | None = None
    task_id: Id | None = None
    verb: Coded = "transfer"
    coordinator: Agency | None = None
    group_id: Id | None = None
    rerouted_from: Id | None = None


class ReferralNotSent(Event, publisher="referral"):
    """What a conference decided can't be sent, with a coded reason: it comes back to its owner."""

    case_id: Id
    task_id: Id
    owner: Agency
    reason: Coded


class TrainingReferred(Event, publisher="referral"):
    """A referral to a training course: training is asked for a seat."""

    case_id: Id
    referral_id: Id
    course_run_id: Id
    municipality: Municipality
    sender: Agency
    hold_until: Moment | None = None


class ReferralReceived(Event, publisher="referral"):
    """The receiver has seen it."""

    case_id: Id
    referral_id: Id
    receiver: Agency


class ReferralReturned(Event, publisher="referral"):
    """The receiver was not told enough to answer (退回): this is missing. The sender stays responsible."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    missing: list[Coded] = []


class ReferralAccepted(Event, publisher="referral"):
    """The receiver took it on. With `verb` refer it does its part; else it is responsible for the case from now on."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    verb: Coded = "transfer"


class ReferralRerouted(Event, publisher="referral"):
    """The receiver passed it on to a better place (再転), where it is a new referral of the same sender."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    next_referral_id: Id
    next_receiver: Agency


class ReferralDeclineProposed(Event, publisher="referral"):
    """The receiver can't take it on, with a coded reason; the coordinator looks at that, and nothing has ended."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    coordinator: Agency
    reason: Coded


class ReferralDeclined(Event, publisher="referral"):
    """This way is closed, with a coded reason: a coordinator confirmed it, or there is no seat."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    reason: Coded


class ReferralProgressed(Event, publisher="referral"):
    """It went on, e.g. to waiting (no room yet), contact_made, in_service, no_show, on_hold; by which move."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    state: Coded
    move: Coded
    review_on: Day | None = None


class ReferralOverdue(Event, publisher="referral"):
    """Somebody is waited for: at half of the time (remind), and at its end (second: the whole municipality)."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    coordinator: Agency
    waits_for: Agency
    clock: Coded
    tier: Coded
    due_on: Day


class ReferralTakenOver(Event, publisher="referral"):
    """The coordinator is responsible from now on, for silence or after a decline; where it may go next, if anywhere.

    `verb` as in ReferralSent: of what is only referred the coordinator has the referral, and the case keeps its holder.
    """

    case_id: Id
    referral_id: Id
    before: Agency
    coordinator: Agency
    because: Coded
    ended: Flag = True
    verb: Coded = "transfer"
    proposed_programme_id: Id | None = None
    proposed_course_run_id: Id | None = None


class ReferralOutcomeSet(Event, publisher="referral"):
    """What came of it, e.g. started, employed, employed_3_months: each is another thing, and is told by itself."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    outcome: Coded
    number: Count


class ReferralClosed(Event, publisher="referral"):
    """The receiver's part has ended, with this outcome. The case has a holder as before."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    outcome: Coded


class ReferralWithdrawn(Event, publisher="referral"):
    """The sender, or the person's withdrawn consent, took it back; or another receiver was faster."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    reason: Coded


class NeedUnmet(Event, publisher="referral"):
    """Nobody in the region answers a need of the case (未充足), or, without one, the whole case; who coordinates it."""

    case_id: Id
    need: Coded | None = None
    municipality: Municipality
    coordinator: Agency
    stage: Coded | None = None


class NeedMet(Event, publisher="referral"):
    """That need is no longer on record as unmet, with the reason; `case_closed` and the like: it ended unmet."""

    case_id: Id
    need: Coded | None = None
    reason: Coded


class FrictionRecorded(Event, publisher="referral"):
    """A boundary between schemes blocked a person (制度の壁): which one, and where; not why this person stood there."""

    case_id: Id
    boundary: Coded
    municipality: Municipality
    agency: Agency


class HopsAlarm(Event, publisher="referral"):
    """A case was sent to so many different receivers (たらい回し): whoever holds it should look."""

    case_id: Id
    hops: Count


class LinkUndelivered(Event, publisher="referral"):
    """A one-time link did not reach a receiver without an account, for a coded reason; its sender takes another way."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    coordinator: Agency
    channel: Coded
    reason: Coded


# --- 訓練 training: seats ------------------------------------------------------------------------------------------


class CourseOffered(Event, publisher="training", about="course_run_id"):
    """A course run (開講) stands in the catalogue, or its entry was changed."""

    course_run_id: Id
    course_number: Coded
    provider: Agency
    prefecture: Coded
    site_municipality: Municipality
    system: Coded
    field: Coded
    starts_on: Day
    ends_on: Day
    applications_close_at: Moment
    capacity: Count


class PoolChanged(Event, publisher="training", about="pool_id"):
    """The seats of a pool (枠) after a change: granted, held, filled, and how many wait."""

    pool_id: Id
    course_run_id: Id
    kind: Coded
    municipality: Municipality | None = None
    granted: Count
    held: Count
    filled: Count
    waiting: Count


class SeatHeld(Event, publisher="training"):
    """A seat is held for a person until a moment (仮押さえ). It is not an acceptance, instruction or enrolment."""

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    pool_id: Id
    pool_kind: Coded
    expires_at: Moment


class SeatWaitlisted(Event, publisher="training"):
    """No seat is free: the person stands in line (待ち)."""

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    pool_id: Id
    position: Count


class SeatRefused(Event, publisher="training"):
    """A seat can't be asked for at all, with a coded reason."""

    case_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    reason: Coded


class SeatReleased(Event, publisher="training"):
    """A held or waiting place ended: expired, withdrawn, consent_withdrawn, case_erased, course_cancelled."""

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    pool_id: Id
    reason: Coded


class TrainingNominated(Event, publisher="training"):
    """The municipality's free job placement nominated the person for the seat (推薦)."""

    case_id: Id
    seat_request_id: Id
    course_run_id: Id
    by_agency: Agency
    authority: Coded


class NominationCountersigned(Event, publisher="training"):
    """Hello Work countersigned the nomination, as today's law asks."""

    case_id: Id
    seat_request_id: Id
    course_run_id: Id
    by_agency: Agency


class InstructionIssued(Event, publisher="training"):
    """The training instruction (受講指示) was issued by the body that has the power to."""

    case_id: Id
    seat_request_id: Id
    instruction_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    by_agency: Agency
    authority: Coded


class Enrolled(Event, publisher="training"):
    """The person is enrolled (受講開始): the held seat is filled."""

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    pool_id: Id
    starts_on: Day


def event_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, as every event writes its moments."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
