"""訓練 training: seats."""

from shared.events.base import Agency, Coded, Count, Day, Event, Flag, Id, Moment, Municipality


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
    host_workplace_id: Id | None = None
    """Of a trial place (system `trial`, its step the field): the host workplace, as the directory knows it."""


class PoolChanged(Event, publisher="training", about="pool_id", says_all=True):
    """The seats of a pool (枠) after a change: granted, held, filled, and how many wait."""

    pool_id: Id
    course_run_id: Id
    kind: Coded
    municipality: Municipality | None = None
    """Whose alone the seats are; None: for all, or for several together."""
    municipalities: list[Municipality] = []
    granted: Count
    held: Count
    filled: Count
    waiting: Count


class CourseChanged(Event, publisher="training", about="course_run_id"):
    """A course run changed late (定員減・日程変更) or was cancelled (中止): so many people are affected."""

    course_run_id: Id
    change_id: Id
    kind: Coded
    """changed or cancelled"""
    affected: Count


class CancellationDue(Event, publisher="training", about="course_run_id"):
    """The day has come to decide on a course run for which too few applied (中止決定日): cancel it, or let it begin."""

    course_run_id: Id
    decide_on: Day
    applicants: Count
    min_enrolment: Count


class CourseConfirmed(Event, publisher="training", about="course_run_id"):
    """A course run begins with so many applicants, also where they are fewer than it needs (開講決定)."""

    course_run_id: Id
    applicants: Count
    min_enrolment: Count
    by_agency: Agency


class SeatAffected(Event, publisher="training"):
    """A change of the course run affects this person; what is offered instead, and until when they are asked."""

    case_id: Id
    seat_request_id: Id
    course_run_id: Id
    change_id: Id
    affected_id: Id
    effect: Coded
    afterwards: Coded
    """keeps, first_in_line or ended"""
    alternatives: list[Id] = []
    """Course runs with a free seat, best first."""
    owner: Agency
    answer_by: Moment


class CutOffNear(Event, publisher="training", about="pool_id"):
    """Delegated seats that nobody holds by the cut-off (枠の戻る日) go back: so many, as things stand."""

    pool_id: Id
    course_run_id: Id
    municipalities: list[Municipality]
    cut_off_at: Moment
    unheld: Count
    would_return: Count
    next_municipalities: list[Municipality] = []
    """Whom they are offered next; nobody named: all. Of lent seats: who lent them."""


class SeatsMoved(Event, publisher="training", about="move_id"):
    """Free seats of a course run went from one pool to another: lend (貸出し), recall, swap (交換), transfer (振替).

    `recall`: lent seats that nobody held are back. `transfer`: at a cut-off, to whom the decision names next.
    """

    move_id: Id
    kind: Coded
    course_run_id: Id
    from_pool_id: Id
    to_pool_id: Id
    from_municipalities: list[Municipality]
    to_municipalities: list[Municipality]
    seats: Count
    agreement_id: Id | None = None


class SeatAgreementChanged(Event, publisher="training", about="agreement_id"):
    """To lend or swap seats was proposed, or the proposal was agreed, declined, withdrawn, lapsed; or seats recalled.

    `asked` answers before `answer_before`. States: proposed, agreed, declined, withdrawn, lapsed, recalled, given_back.
    """

    agreement_id: Id
    kind: Coded
    state: Coded
    proposed_for: Municipality
    asked: Municipality
    answer_before: Moment
    seats: Count


class QuotaCarriedOver(Event, publisher="training", about="decision_allotment_id"):
    """What was left of an allotment at the end of its quarter is in the number of the next quarter's (繰越)."""

    decision_allotment_id: Id
    to_allotment_id: Id
    municipalities: list[Municipality]
    seats: Count


class SeatHeld(Event, publisher="training"):
    """A seat is held for a person until a moment (仮押さえ). It is not an acceptance, instruction or enrolment.

    `offered`: out of the line; until then it is accepted or declined, and else goes to the next.
    `consent_version`: the person gave up another seat, or place in line, for it, and this word about consent reached
    the school then.
    """

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    pool_id: Id
    pool_kind: Coded
    expires_at: Moment
    offered: Flag = False
    consent_version: Count = 0


class SeatWaitlisted(Event, publisher="training"):
    """No seat is free: the person stands in line (待ち).

    `again`: after an offer that was let pass, or a seat that a late change took. What was done for that seat is over.
    """

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    pool_id: Id
    position: Count
    again: Flag = False


class SeatPaused(Event, publisher="training"):
    """The person keeps the place in line, and is offered no seat before that moment."""

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    until: Moment


class SeatResumed(Event, publisher="training"):
    """The person may be offered a seat again, earlier than was said."""

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id


class SeatRefused(Event, publisher="training"):
    """A seat can't be asked for at all, with a coded reason."""

    case_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    reason: Coded


class SeatReleased(Event, publisher="training"):
    """A held or waiting place ended: expired, offer_lapsed (nobody answered the offer), withdrawn, rejected,
    consent_withdrawn, case_erased, course_cancelled; after a late change capacity_lowered, overlapping_seat, or moved
    to another course run."""

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
    """A paper that sends into training (受講指示・支援指示・受講推薦) was issued by the body that has the power to.

    A request's papers are numbered, and the last one stands; `changes`: the one before, whose place this one takes.
    """

    case_id: Id
    seat_request_id: Id
    instruction_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    by_agency: Agency
    authority: Coded
    kind: Coded = "instruction"
    number: Count = 1
    changes: Id | None = None


class InstructionCancelled(Event, publisher="training"):
    """A support instruction (支援指示) is no longer needed and was cancelled; who is enrolled may go on.

    `expires_at`: until then the seat is held for another paper; None for who is enrolled, or whose seat was given back.
    """

    case_id: Id
    seat_request_id: Id
    instruction_id: Id
    course_run_id: Id
    by_agency: Agency
    referral_id: Id | None = None
    state: Coded | None = None
    """Where the request is now."""
    expires_at: Moment | None = None


class TrainingSelected(Event, publisher="training"):
    """The school's result (選考): in_selection, accepted, reserve, rejected. Of one person the last counts.

    `moved_up`: a reserve, because somebody accepted has withdrawn. `expires_at`: until then the seat is held.
    """

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    result: Coded
    result_on: Day
    moved_up: Flag = False
    expires_at: Moment | None = None


class Enrolled(Event, publisher="training"):
    """The person is enrolled (受講開始): the held seat is filled."""

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    pool_id: Id
    starts_on: Day


class AttendanceWarned(Event, publisher="training"):
    """Attendance fell below 80 %: in the last month, in all so far, or for good (month_below, below, out_of_reach)."""

    case_id: Id
    seat_request_id: Id
    course_run_id: Id
    standing: Coded


class AttendanceWarningLifted(Event, publisher="training"):
    """80 % of the days are attended again, or a certificate was corrected."""

    case_id: Id
    seat_request_id: Id
    course_run_id: Id


class TrainingEnded(Event, publisher="training"):
    """Training ended for the person: completed (修了) or left (中途退校). A second one corrects the first.

    `for_work`: left because work was found; other reasons are not told.
    """

    case_id: Id
    seat_request_id: Id
    referral_id: Id | None = None
    course_run_id: Id
    ending: Coded
    ended_on: Day
    for_work: Flag = False


class NextStepProposed(Event, publisher="training"):
    """A step at a host workplace was completed: `owner`, who asked for it, looks with the person at the next one.

    Nothing is held. `places`: course runs of that step with a free place, best first; there may be none.
    """

    case_id: Id
    seat_request_id: Id
    course_run_id: Id
    completed: Coded
    step: Coded
    places: list[Id] = []
    owner: Agency
    due_on: Day


class EmploymentRecorded(Event, publisher="training"):
    """What became of the person on a set day after training: at_end, one_month, three_months. The last word counts."""

    case_id: Id
    seat_request_id: Id
    course_run_id: Id
    checkpoint: Coded
    outcome: Coded
    referral_id: Id | None = None


class QuotaDecided(Event, publisher="training", about="decision_id"):
    """The sub-committee (分科会) decided on seats or on what training teaches; if urgent, its chair alone, for now."""

    decision_id: Id
    prefecture: Coded
    kind: Coded
    effective_at: Moment
    ends_at: Moment | None = None
    cut_off_on: Day | None = None
    urgent: Flag
    ratify_before: Moment | None = None


class QuotaRatified(Event, publisher="training", about="decision_id"):
    """An urgent decision was ratified by a vote (追認), in time."""

    decision_id: Id
    prefecture: Coded


class QuotaLapsed(Event, publisher="training", about="decision_id"):
    """An urgent decision lapsed: nobody ratified it in time, or it was voted down. What it superseded is back."""

    decision_id: Id
    prefecture: Coded
    lapsed_at: Moment
    reason: Coded


class QuotaSuperseded(Event, publisher="training", about="decision_id"):
    """Another decision takes this one's place, from a moment on."""

    decision_id: Id
    prefecture: Coded
    by_decision: Id
    superseded_at: Moment


class QuotaPlanInForce(Event, publisher="training", about="plan_id"):
    """A version of a prefecture's plan of training seats (計画枠) holds from now on; `seats` in all."""

    plan_id: Id
    version_no: Count
    fiscal_year: Count
    prefecture: Coded
    effective_on: Day
    seats: Count
    decision_id: Id | None = None


class QuotaMoved(Event, publisher="training", about="plan_id"):
    """Seats of a plan moved between its lines: carry_over (繰越), transfer (振替), open_to_all."""

    plan_id: Id
    command_id: Id
    kind: Coded
    entries: Count
    seats: Count
    decision_id: Id | None = None
