"""A referral's way from hand to hand: one table of moves, which code, interface texts and tests read."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class State(StrEnum):
    """Where a referral stands."""

    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class Party(StrEnum):
    """Who moves a referral: two agencies, the seats' own service, or the person by what they said about consent."""

    SENDER = "sender"
    RECEIVER = "receiver"
    TRAINING = "training"
    PERSON = "person"


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


class DeclineReason(StrEnum):
    """Why a receiver can't take it on. A decline without a reason helps nobody."""

    NO_CAPACITY = "no_capacity"
    NOT_ELIGIBLE = "not_eligible"
    NOT_OUR_SERVICE = "not_our_service"
    ALREADY_SERVED = "already_served"
    PERSON_DECLINED = "person_declined"
    NO_CONTACT = "no_contact"
    OTHER = "other"


class WithdrawReason(StrEnum):
    """Why a sender takes it back."""

    PERSON_WISHES = "person_wishes"
    OTHER_SUPPORT_FOUND = "other_support_found"
    NO_ANSWER = "no_answer"
    SENT_BY_MISTAKE = "sent_by_mistake"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Move:
    """One line of the table below: who may lead which referrals from where to where."""

    name: str
    by: Party
    kinds: frozenset[Kind]
    sources: frozenset[State]
    target: State
    progress: Progress | None = None


OPEN = frozenset({State.SENT, State.RECEIVED})
"""Nobody has answered for good: the sender is responsible, and may take it back."""
_PROGRAMME, _COURSE, _BOTH = frozenset({Kind.PROGRAMME}), frozenset({Kind.COURSE_RUN}), frozenset(Kind)

MOVES: tuple[Move, ...] = (
    Move("receive", Party.RECEIVER, _PROGRAMME, frozenset({State.SENT}), State.RECEIVED),
    Move("accept", Party.RECEIVER, _PROGRAMME, OPEN, State.ACCEPTED),
    Move("decline", Party.RECEIVER, _PROGRAMME, OPEN, State.DECLINED),
    Move("withdraw", Party.SENDER, _BOTH, OPEN, State.WITHDRAWN),
    Move("end_consent", Party.PERSON, _BOTH, OPEN, State.WITHDRAWN),
    # A seat held, a nomination, an instruction and an enrolment are four separate facts (DOMAIN.md 5): only the last
    # one takes responsibility off the sender, and a provider can't accept by hand what its own seats haven't shown.
    Move("wait_for_seat", Party.TRAINING, _COURSE, OPEN, State.RECEIVED, Progress.SEAT_WAITING),
    Move("hold_seat", Party.TRAINING, _COURSE, OPEN, State.RECEIVED, Progress.SEAT_HELD),
    Move("nominate", Party.TRAINING, _COURSE, OPEN, State.RECEIVED, Progress.NOMINATED),
    Move("countersign", Party.TRAINING, _COURSE, OPEN, State.RECEIVED, Progress.COUNTERSIGNED),
    Move("instruct", Party.TRAINING, _COURSE, OPEN, State.RECEIVED, Progress.INSTRUCTED),
    Move("enrol", Party.TRAINING, _COURSE, OPEN, State.ACCEPTED, Progress.ENROLLED),
    Move("refuse_seat", Party.TRAINING, _COURSE, OPEN, State.DECLINED, Progress.SEAT_REFUSED),
    Move("release_seat", Party.TRAINING, _COURSE, OPEN, State.DECLINED, Progress.SEAT_RELEASED),
)
"""The state machine. Code, interface texts and tests read this table; nothing else knows what is legal."""

_FORWARD = tuple(Progress)


@dataclass(frozen=True, slots=True)
class Referral:
    """つなぎ: a request from one agency to another about a case."""

    id: UUID
    case_id: UUID
    municipality: str
    sender: str
    receiver: str
    programme_id: UUID | None
    course_run_id: UUID | None
    seat_request_id: UUID | None
    state: State
    progress: Progress | None
    reason: str | None
    sent_at: datetime
    version: int

    @property
    def kind(self) -> Kind:
        """To a programme or to a course run."""
        return Kind.PROGRAMME if self.course_run_id is None else Kind.COURSE_RUN

    @property
    def responsible_agency(self) -> str:
        """The sender, until somebody accepts. A decline or a withdrawal leaves it there."""
        return self.receiver if self.state is State.ACCEPTED else self.sender

    def parties(self, agency: str) -> frozenset[Party]:
        """In which parts an agency takes part; both, when it refers within its own house."""
        parts = {Party.SENDER: self.sender, Party.RECEIVER: self.receiver}
        return frozenset(party for party, name in parts.items() if name == agency)


@dataclass(frozen=True, slots=True)
class Moved:
    """The move was made."""

    referral: Referral
    move: Move


@dataclass(frozen=True, slots=True)
class NotMoved:
    """The move is not legal now, or not for this party; these would be."""

    legal: tuple[Move, ...]


def legal_moves(referral: Referral, parties: Collection[Party] = frozenset(Party)) -> tuple[Move, ...]:
    """What these parties may do now, in the table's order."""
    return tuple(move for move in MOVES if move.by in parties and _is_open_to(move, referral))


def advance(
    referral: Referral, name: str, parties: Collection[Party], *, reason: str | None = None
) -> Moved | NotMoved:
    """Make one move of the table, or say what could be done instead."""
    for move in legal_moves(referral, parties):
        if move.name == name:
            moved = replace(
                referral,
                state=move.target,
                progress=move.progress or referral.progress,
                reason=reason,
                version=referral.version + 1,
            )
            return Moved(moved, move)
    return NotMoved(legal_moves(referral, parties))


def _is_open_to(move: Move, referral: Referral) -> bool:
    if referral.kind not in move.kinds or referral.state not in move.sources:
        return False
    # Seats only go forward: news from a replay must not turn an instruction back into a held seat.
    if move.progress is None or referral.progress is None:
        return True
    return _FORWARD.index(move.progress) > _FORWARD.index(referral.progress)
