"""つなぎ referral: from hand to hand."""

from shared.events.base import Agency, Coded, Count, Day, Event, Flag, Id, Moment, Municipality


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


class TransferBecameRefer(Event, publisher="referral"):
    """The sender no longer holds the case: acceptance moves it no more, and the receiver does its part (`refer`).

    `responsible` answers for the referral from now on; `holder` has the case.
    """

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    responsible: Agency
    holder: Agency


class ReferralRerouted(Event, publisher="referral"):
    """The receiver passed it on to a better place (再転), where it is a new referral of the same sender."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    next_referral_id: Id
    next_receiver: Agency


class ReferralCourseChanged(Event, publisher="referral"):
    """The person agreed to another course run (受講先の変更): the referral goes on there.

    `receiver` is its school, `before` whom it named until then; `coordinator` from now on. Where it stands, and who
    answers for it, stays.
    """

    case_id: Id
    referral_id: Id
    sender: Agency
    before: Agency
    receiver: Agency
    coordinator: Agency
    course_run_before: Id
    course_run_id: Id


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

    It has the referral, and has to find the next place. `case_moves`: the case goes to it as well, for the receiver
    held it by its acceptance and was silent since. Else the case keeps its holder. `verb` as in ReferralSent.
    `because`: silence, declined, or came_to_nothing, where the coordinator itself ends what it had taken over.
    """

    case_id: Id
    referral_id: Id
    before: Agency
    coordinator: Agency
    because: Coded
    ended: Flag = True
    verb: Coded = "transfer"
    case_moves: Flag = False
    proposed_programme_id: Id | None = None
    proposed_course_run_id: Id | None = None


class ReferralSentOn(Event, publisher="referral"):
    """What was declined, or nobody answered, has its next place: what this agency sent, or asked for and got."""

    case_id: Id
    referral_id: Id
    agency: Agency
    next_referral_id: Id


class ReferralNotPlaced(Event, publisher="referral"):
    """Why it goes no further, as who held it said: nothing_fits (on record as an unmet need), person_wishes, …

    case_closed and case_erased: nobody looks for a place any more. `coordinator`: who looked for one until then.
    """

    case_id: Id
    referral_id: Id
    coordinator: Agency
    reason: Coded


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
    """Nobody in the region answers a need of the case (未充足), or, without one, the whole case; who coordinates it.

    Told again when another agency coordinates what is still open.
    """

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
    """A case was referred so many times, one after another (たらい回し): its holder and the coordinator should look."""

    case_id: Id
    hops: Count
    coordinator: Agency | None = None


class LinkUndelivered(Event, publisher="referral"):
    """A one-time link did not reach a receiver without an account, for a coded reason; its sender takes another way."""

    case_id: Id
    referral_id: Id
    sender: Agency
    receiver: Agency
    coordinator: Agency
    channel: Coded
    reason: Coded
