"""What may be done with an offered seat and with a place in the line, and until when it then stands."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.training.domain.quota import Course, wait_ends
from services.training.domain.steps import Illegal, LineMove, Move, SeatRequest, State, TooLate


class DeclinedBecause(StrEnum):
    """Why an offered seat is declined. None of them is about anybody's health."""

    DATES = "dates_do_not_fit"
    PLACE = "place_does_not_fit"
    NOT_YET = "not_yet"
    OTHER_COURSE = "other_course"
    FOUND_WORK = "found_work"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The seat is held like any other, until then; never shorter than it was offered."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Declined:
    """The seat goes to the next."""


@dataclass(frozen=True, slots=True)
class KeptWaiting:
    """The seat goes to the next, and the person to the end of the line, where none is offered before that moment."""

    paused_until: datetime
    waits_until: datetime


@dataclass(frozen=True, slots=True)
class Paused:
    """The place stays, and no seat is offered before that moment."""

    until: datetime


@dataclass(frozen=True, slots=True)
class OutOfReach:
    """The day is over, or the wait ends no later."""


def line_moves(state: State, *, offered: bool, paused: bool, together: bool) -> tuple[LineMove, ...]:
    """What can be done beside the steps towards an enrolment."""
    if state is State.HELD and offered:
        return LineMove.ACCEPT, LineMove.DECLINE
    if state is State.WAITING:
        first = LineMove.RESUME if paused else LineMove.PAUSE
        return (first, LineMove.SEPARATE) if together else (first,)
    return ()


def accept(
    request: SeatRequest, course: Course, hold_until: datetime | None, now: datetime
) -> Accepted | Illegal | TooLate:
    """An offered seat is to be held."""
    stopped = may(request, LineMove.ACCEPT, now)
    if stopped is not None:
        return stopped
    assert request.expires_at is not None
    return Accepted(max(request.expires_at, min(now + course.hold_for, wait_ends(course, hold_until))))


def decline(
    request: SeatRequest, course: Course, hold_until: datetime | None, not_before: datetime | None, now: datetime
) -> Declined | KeptWaiting | OutOfReach | Illegal | TooLate:
    """An offered seat is not wanted; with `not_before`, another is, from that moment on."""
    stopped = may(request, LineMove.DECLINE, now)
    if stopped is not None:
        return stopped
    if not_before is None:
        return Declined()
    until = wait_ends(course, hold_until)
    return KeptWaiting(not_before, until) if now < not_before <= until else OutOfReach()


def pause(
    request: SeatRequest, until: datetime, now: datetime, *, paused: bool
) -> Paused | OutOfReach | Illegal | TooLate:
    """A place in the line is to be passed over for some time."""
    stopped = may(request, LineMove.PAUSE, now, paused=paused)
    if stopped is not None:
        return stopped
    assert request.expires_at is not None
    return Paused(until) if now < until <= request.expires_at else OutOfReach()


def may(
    request: SeatRequest, move: LineMove, now: datetime, *, paused: bool = False, together: bool = False
) -> Illegal | TooLate | None:
    """What stands against it, if anything."""
    legal = line_moves(request.state, offered=request.offered, paused=paused, together=together)
    if move not in legal:
        release = (Move.RELEASE,) if request.state not in {State.ENROLLED, State.RELEASED} else ()
        return Illegal((*legal, *release))
    return TooLate() if request.has_run_out(now) else None
