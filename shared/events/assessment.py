"""アセスメント assessment: the five axes."""

from shared.events.base import Agency, Coded, Count, Day, Event, Flag, Id, Level, Moment, Municipality


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
