"""From a held seat to an enrolment: which step may be taken, and by which body."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID


class State(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"
    HELD = "held"
    NOMINATED = "nominated"
    COUNTERSIGNED = "countersigned"
    INSTRUCTED = "instructed"
    ENROLLED = "enrolled"
    RELEASED = "released"


class Move(StrEnum):
    """What can be done with a request."""

    NOMINATE = "nominate"
    COUNTERSIGN = "countersign"
    INSTRUCT = "instruct"
    ENROL = "enrol"
    RELEASE = "release"


class LineMove(StrEnum):
    """What can be done with a place in the line, and with a seat that is offered out of it."""

    ACCEPT = "accept"
    DECLINE = "decline"
    PAUSE = "pause"
    RESUME = "resume"
    SEPARATE = "separate"


class Authority(StrEnum):
    """Who may issue the training instruction (受講指示) in a prefecture."""

    CURRENT_LAW = "current_law"
    """Hello Work alone, as today's law has it: the municipality nominates, Hello Work countersigns and instructs."""
    DELEGATED = "delegated"
    """The municipality's free job placement (無料職業紹介), as the programme proposes."""


@dataclass(frozen=True, slots=True)
class SeatRequest:
    """A request for a seat in a course run, for a case."""

    id: UUID
    course_run_id: UUID
    pool_id: UUID
    case_id: UUID
    municipality: str
    referral_id: UUID | None
    state: State
    expires_at: datetime | None
    version: int
    offered: bool = False
    """Whether the seat is one out of the line that nobody has accepted yet; only while it is held."""
    offers: int = 0
    """How many it was offered so far."""

    @property
    def is_offered(self) -> bool:
        """Whether it may be accepted or declined."""
        return self.offered and self.state is State.HELD

    @property
    def holds_a_seat(self) -> bool:
        """Whether a seat of the pool is held for it: neither waiting, nor filled, nor given back."""
        return self.state in {State.HELD, State.NOMINATED, State.COUNTERSIGNED, State.INSTRUCTED}

    def has_run_out(self, now: datetime) -> bool:
        """Whether its time is over. Said by comparing times, so a late sweep gives nobody more of it."""
        return self.expires_at is not None and now > self.expires_at


@dataclass(frozen=True, slots=True)
class Moved:
    """The step may be taken, and leads here."""

    state: State


@dataclass(frozen=True, slots=True)
class Illegal:
    """The step can't be taken from here; these can."""

    legal: tuple[Move | LineMove, ...]


@dataclass(frozen=True, slots=True)
class TooLate:
    """The hold ran out: the seat belongs to the next in line."""


_LEADS_TO = {
    Move.NOMINATE: State.NOMINATED,
    Move.COUNTERSIGN: State.COUNTERSIGNED,
    Move.INSTRUCT: State.INSTRUCTED,
    Move.ENROL: State.ENROLLED,
    Move.RELEASE: State.RELEASED,
}


def legal_moves(state: State, authority: Authority, *, is_trial: bool = False) -> tuple[Move, ...]:
    """What can be done next. Where the power is delegated, nothing needs a countersignature; a trial place no paper."""
    match state:
        case State.WAITING:
            return (Move.RELEASE,)
        case State.HELD:
            return (Move.NOMINATE, Move.RELEASE)
        case State.NOMINATED if is_trial:
            return (Move.ENROL, Move.RELEASE)
        case State.NOMINATED if authority is Authority.CURRENT_LAW:
            return (Move.COUNTERSIGN, Move.RELEASE)
        case State.NOMINATED | State.COUNTERSIGNED:
            return (Move.INSTRUCT, Move.RELEASE)
        case State.INSTRUCTED:
            return (Move.ENROL, Move.RELEASE)
        case State.ENROLLED | State.RELEASED:
            return ()
        case _:
            assert_never(state)


def take_step(
    request: SeatRequest, move: Move, *, authority: Authority, now: datetime, is_trial: bool = False
) -> Moved | Illegal | TooLate:
    """Whether a request may move. What has run out may still be given back, and nothing else."""
    legal = legal_moves(request.state, authority, is_trial=is_trial)
    if move not in legal:
        return Illegal(legal)
    if move is not Move.RELEASE and request.has_run_out(now):
        return TooLate()
    return Moved(_LEADS_TO[move])


def outlasts_the_clock(state: State, *, is_trial: bool) -> bool:
    """Whether nothing runs out any more: from the paper on; a trial place has none, so from the nomination on."""
    return state in {State.INSTRUCTED, State.ENROLLED} or (is_trial and state is State.NOMINATED)
