"""What the school said about who applied (選考): under selection, accepted, reserve with a rank, rejected.

A held seat is no acceptance: a school may reject below capacity, and then the seat goes to the next in line. A reserve
(補欠) keeps the seat that is held for the person; what moves up when an accepted person withdraws is the acceptance.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from services.training.domain.steps import SeatRequest, State, TooLate


class Result(StrEnum):
    """What the school said last."""

    IN_SELECTION = "in_selection"
    """選考中: the application is with the school, and the result comes on the day that it named."""
    ACCEPTED = "accepted"
    RESERVE = "reserve"
    REJECTED = "rejected"


class Because(StrEnum):
    """Why the school rejects. None of them is about the person's other circumstances."""

    SELECTION_POINTS = "selection_points"
    PREREQUISITES = "prerequisites"
    DID_NOT_ATTEND = "did_not_attend"
    COURSE_UNSUITABLE = "course_unsuitable"
    FACILITIES = "facilities"
    OTHER = "other"


SELECTABLE = frozenset({State.NOMINATED, State.COUNTERSIGNED})
"""From the nomination, which is the application, to the instruction, which ends it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A result as the school tells it. `result_on`: the day of the result; under selection, the day it is due."""

    result: Result
    result_on: date
    rank: int | None = None
    because: Because | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """The result stands. Until the last moment of `keeps_until` the seat is kept for it."""

    keeps_until: date


@dataclass(frozen=True, slots=True)
class Rejected:
    """The result stands, and frees the seat."""


@dataclass(frozen=True, slots=True)
class Unselectable:
    """No result can be given: not applied, or instructed already."""

    reason: str
    about: str


@dataclass(frozen=True, slots=True)
class Applicant:
    """Somebody in the same course run, with the last result."""

    seat_request_id: UUID
    result: Result
    rank: int | None
    expires_at: datetime | None = None

    def has_run_out(self, now: datetime) -> bool:
        """Whether the seat is only still to be swept."""
        return self.expires_at is not None and now > self.expires_at


def select(
    request: SeatRequest,
    said: Selection,
    *,
    before: Result | None,
    others: Collection[Applicant],
    starts_on: date,
    today: date,
    now: datetime,
) -> Selected | Rejected | Unselectable | TooLate:
    """Whether the school's word can stand, and until when it keeps the seat."""
    if request.state not in SELECTABLE:
        return Unselectable("not_under_selection", "")
    if request.has_run_out(now):
        return TooLate()
    unfit = _unfit(said, before, others, starts_on, today)
    if unfit is not None:
        return unfit
    if said.result is Result.REJECTED:
        return Rejected()
    return Selected(said.result_on if said.result is Result.IN_SELECTION else starts_on)


def _unfit(
    said: Selection, before: Result | None, others: Collection[Applicant], starts_on: date, today: date
) -> Unselectable | None:
    if (said.result is Result.RESERVE) != (said.rank is not None):
        return Unselectable("rank_of_a_reserve", "rank")
    if (said.result is Result.REJECTED) != (said.because is not None):
        return Unselectable("reason_of_a_rejection", "reason")
    if said.result is Result.IN_SELECTION:
        if before is not None and before is not Result.IN_SELECTION:
            return Unselectable("result_is_known", "result")
        if not today <= said.result_on <= starts_on:
            return Unselectable("result_day_out_of_reach", "result_on")
    elif said.result_on > today:
        return Unselectable("result_day_out_of_reach", "result_on")
    if any(other.result is Result.RESERVE and other.rank == said.rank for other in others if said.rank is not None):
        return Unselectable("rank_is_taken", "rank")
    return None


def may_be_instructed(result: Result | None, *, school_selects: bool) -> bool:
    """A school that gave anybody in the course a result selects among all of them; of another nothing is awaited."""
    return result is Result.ACCEPTED or (result is None and not school_selects)


def moves_up(reserves: Collection[Applicant], *, starts_on: date, today: date, now: datetime) -> Applicant | None:
    """The reserve with the first rank whose seat is held still. Once the first day is over there is nothing to join."""
    if today > starts_on:
        return None
    standing = [
        each
        for each in reserves
        if each.result is Result.RESERVE and each.rank is not None and not each.has_run_out(now)
    ]
    return min(standing, key=lambda each: (each.rank or 0, each.seat_request_id), default=None)
