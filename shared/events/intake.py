"""相談受付 intake: a person comes to any door."""

from shared.events.base import Agency, Coded, Count, Day, Event, Flag, Id, Moment, Municipality


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
    """The person came back, or a receiver took on (`referral_id`) what its sender had closed: it is held again."""

    case_id: Id
    agency_id: Agency
    referral_id: Id | None = None


class CaseHandedOver(Event, publisher="intake"):
    """Another agency holds the case from now on (担当の引き継ぎ): by which referral of the one that held it.

    It has accepted that referral, or, as the coordinator, taken it over from a receiver that held the case.
    """

    case_id: Id
    agency_id: Agency
    before: Agency
    referral_id: Id | None = None


class CaseNotHandedOver(Event, publisher="intake"):
    """A referral that was to move the case was accepted, and moved nothing: `agency_id` holds it as before.

    Its sender did not hold it; or, where `agency_id` is its receiver, there was nothing to hand over.
    """

    case_id: Id
    agency_id: Agency
    referral_id: Id
    sender: Agency
    receiver: Agency


class CaseErased(Event, publisher="intake"):
    """What was known about the person is erased for good (消去); ids and codes stay. Nothing may be begun for it."""

    case_id: Id
    agency_id: Agency
    reason: Coded
    erased_at: Moment
