"""The words of a referral: where it stands, who moves it, what is waited for, and the codes of reasons and outcomes."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class State(StrEnum):
    """Where a referral stands."""

    DRAFT = "draft"
    SENT = "sent"
    RECEIVED = "received"
    RETURNED = "returned"
    """Not enough was told: the sender has to answer (退回)."""
    WAITING = "waiting"
    """No room yet: the receiver keeps it in its line until a day of review. It is not refused."""
    DECLINE_PENDING = "decline_pending"
    """The receiver can't take it on; the coordinator has to look at that."""
    ACCEPTED = "accepted"
    CONTACT_MADE = "contact_made"
    IN_SERVICE = "in_service"
    NO_SHOW = "no_show"
    ON_HOLD = "on_hold"
    OUTCOME_SET = "outcome_set"
    CLOSED = "closed"
    DECLINED = "declined"
    """The coordinator confirmed the decline, or training's seats did: this way is closed, the need is held on."""
    REROUTED = "rerouted"
    """The receiver passed it to a better place (再轉); the referral that follows names this one."""
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    """Nobody answered: the coordinator took it over."""


class Party(StrEnum):
    """Who moves a referral: three agencies, the seats' own service, the person by consent, the clock, this service."""

    SENDER = "sender"
    """From whom the case comes."""
    RECEIVER = "receiver"
    """To whom it goes, or who asks for it."""
    COORDINATOR = "coordinator"
    """The agency of the municipality that looks at declines and takes over what nobody answers (調整役)."""
    TRAINING = "training"
    PERSON = "person"
    CLOCK = "clock"
    SERVICE = "service"
    """What follows from elsewhere: one of several receivers was faster, the case has another holder, or was closed."""


class Verb(StrEnum):
    """What acceptance does to the case."""

    REFER = "refer"
    """The holder stays; the receiver does its part."""
    TRANSFER = "transfer"
    """The receiver holds the case from its acceptance on."""
    REQUEST = "request"
    """The receiver asks for the case, and holds it once its holder agrees."""


class Kind(StrEnum):
    """To what a case is referred."""

    PROGRAMME = "programme"
    COURSE_RUN = "course_run"


class Progress(StrEnum):
    """How far a referral to a course has come on the training side."""

    SEAT_WAITING = "seat_waiting"
    SEAT_HELD = "seat_held"
    NOMINATED = "nominated"
    COUNTERSIGNED = "countersigned"
    INSTRUCTED = "instructed"
    ENROLLED = "enrolled"
    SEAT_REFUSED = "seat_refused"
    SEAT_RELEASED = "seat_released"


class Clock(StrEnum):
    """What is waited for."""

    ACKNOWLEDGE = "acknowledge"
    """受領: that somebody has seen it."""
    CONTACT = "contact"
    """初回連絡: an answer, and the first contact with the person."""
    START = "start"
    """開始・結果: that the service begins, or what came of it."""
    ANSWER = "answer"
    """追記: what the receiver was not told."""
    DECIDE = "decide"
    """調整: the coordinator's look at a decline. Its silence confirms it."""
    REVIEW = "review"
    """見直し: a day that somebody has named."""
    DELIVER = "deliver"
    """送付: that the letter is printed, or another way found where the mail failed. Until then the receiver knows of
    nothing, and it is its sender who is waited for."""
    SEAT = "seat"
    """席: how long training keeps the seat, or the place in line; then the first day of the course."""
    PLACE = "place"
    """次の行き先: that whoever holds what was declined, not answered, or came to nothing finds where it goes next."""


class Tier(StrEnum):
    """What happens as a clock runs."""

    REMIND = "remind"
    """At half: who has to act."""
    SECOND = "second"
    """At the end: the whole municipality, and the other agency."""
    TAKE_OVER = "take_over"
    """Half a period later: the coordinator."""


@dataclass(frozen=True, slots=True)
class Waits:
    """What a referral waits for: whose move it is, since when, until when, and what comes next, on which day."""

    clock: Clock
    agency: str
    since: date
    due_on: date
    tier: Tier | None
    """None: nothing more comes by itself."""
    tier_on: date | None


# --- Codes -----------------------------------------------------------------------------------------------------------


class DeclineReason(StrEnum):
    """Why a receiver can't take it on. A decline without a reason helps nobody."""

    NO_CAPACITY = "no_capacity"
    NOT_ELIGIBLE = "not_eligible"
    NOT_OUR_SERVICE = "not_our_service"
    ALREADY_SERVED = "already_served"
    PERSON_DECLINED = "person_declined"
    NO_CONTACT = "no_contact"
    OTHER = "other"


BY_PERSON = frozenset({DeclineReason.PERSON_DECLINED, DeclineReason.NO_CONTACT})
"""Declines that are the person's own; all others are the agency's."""


class WithdrawReason(StrEnum):
    """Why a sender takes it back."""

    PERSON_WISHES = "person_wishes"
    OTHER_SUPPORT_FOUND = "other_support_found"
    NO_ANSWER = "no_answer"
    SENT_BY_MISTAKE = "sent_by_mistake"
    OTHER = "other"


class NoPlace(StrEnum):
    """Why it is not sent on, although this way is closed."""

    NOTHING_FITS = "nothing_fits"
    """Nobody in the region answers it: it goes on record as an unmet need."""
    PERSON_WISHES = "person_wishes"
    FOUND_ELSEWHERE = "found_elsewhere"
    """It is answered, though not by a referral: by the family, by who holds the case, by an agency that is not here."""


class Missing(StrEnum):
    """What a receiver was not told and needs, to say yes or no."""

    NEEDS = "needs"
    ASSESSMENT = "assessment"
    WISHES = "wishes"
    HISTORY = "history"
    DOCUMENTS = "documents"
    CONTACT = "contact"
    CONSENT = "consent"


class Outcome(StrEnum):
    """What came of it. Having begun, having a job and still having it after three months are different things."""

    STARTED = "started"
    COMPLETED = "completed"
    EMPLOYED = "employed"
    EMPLOYED_3_MONTHS = "employed_3_months"
    NEXT_STAGE = "next_stage"
    """A higher or a lower rung of the ladder fits now."""
    NOT_STARTED = "not_started"
    BROKEN_OFF = "broken_off"
    ENDED_BY_PERSON = "ended_by_person"


CAME_TO_NOTHING = frozenset({Outcome.NOT_STARTED, Outcome.BROKEN_OFF})
"""Outcomes after which the person is no further: somebody has to look for another place."""
_FAR = (
    Outcome.NOT_STARTED,
    Outcome.STARTED,
    Outcome.ENDED_BY_PERSON,
    Outcome.BROKEN_OFF,
    Outcome.COMPLETED,
    Outcome.NEXT_STAGE,
    Outcome.EMPLOYED,
    Outcome.EMPLOYED_3_MONTHS,
)
"""How far it brought the person, the furthest last. What ended early began, and so is further than its beginning."""


def how_far(outcome: str) -> int:
    """Where an outcome stands among them; one that is not known here stands before all."""
    return next((place for place, each in enumerate(_FAR, start=1) if each == outcome), 0)
