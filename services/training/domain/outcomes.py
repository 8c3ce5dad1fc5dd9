"""How training ended for a person, and what came of it: completion, leaving, and work on set days after it.

Separate facts: who completed has no job yet, and who left may have found one. A late fact is a fact all the same.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Ending(StrEnum):
    """How it ended."""

    COMPLETED = "completed"
    """修了."""
    LEFT = "left"
    """中途退校."""


class Left(StrEnum):
    """Why somebody left."""

    FOUND_WORK = "found_work"
    ILLNESS = "illness"
    FAMILY = "family"
    TRANSPORT = "transport"
    NOT_SUITED = "not_suited"
    CONDUCT = "conduct"
    MOVED = "moved"
    OTHER = "other"


class Checkpoint(StrEnum):
    """The set days on which somebody asks."""

    AT_END = "at_end"
    ONE_MONTH = "one_month"
    THREE_MONTHS = "three_months"


MONTHS_AFTER = {Checkpoint.AT_END: 0, Checkpoint.ONE_MONTH: 1, Checkpoint.THREE_MONTHS: 3}


class Outcome(StrEnum):
    """What a person does on that day."""

    EMPLOYED_INSURED = "employed_insured"
    """雇用保険の被保険者として就職."""
    EMPLOYED = "employed"
    SELF_EMPLOYED = "self_employed"
    FURTHER_TRAINING = "further_training"
    SEEKING = "seeking"
    NOT_SEEKING = "not_seeking"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True)
class End:
    """The end of somebody's training as the school tells it."""

    ending: Ending
    ended_on: date
    left: Left | None = None


@dataclass(frozen=True, slots=True)
class Unfit:
    """The rule that stands against it, and the field."""

    reason: str
    about: str


def end_training(said: End, *, starts_on: date, ends_on: date, today: date, attended_last: date | None) -> Unfit | None:
    """Whether training can have ended so; `attended_last`: the first day of the last month with a day attended."""
    if (said.ending is Ending.LEFT) != (said.left is not None):
        return Unfit("reason_of_leaving", "reason")
    if not starts_on <= said.ended_on <= ends_on:
        return Unfit("day_not_in_the_course", "ended_on")
    if said.ended_on > today:
        return Unfit("day_to_come", "ended_on")
    if said.ending is Ending.COMPLETED and said.ended_on != ends_on:
        return Unfit("completed_on_the_last_day", "ended_on")
    if attended_last is not None and attended_last > said.ended_on:
        return Unfit("attended_afterwards", "ended_on")
    return None


def due_on(ended_on: date, checkpoint: Checkpoint) -> date:
    """The set day: so many months later, or the last day of a shorter month."""
    month = ended_on.month - 1 + MONTHS_AFTER[checkpoint]
    year, month = ended_on.year + month // 12, month % 12 + 1
    return date(year, month, min(ended_on.day, monthrange(year, month)[1]))


def record_outcome(checkpoint: Checkpoint, *, ended_on: date | None, today: date) -> Unfit | None:
    """Whether anything can be said about that day: training has ended, and the day has come. Late is never too late."""
    if ended_on is None:
        return Unfit("training_has_not_ended", "checkpoint")
    return Unfit("day_to_come", "checkpoint") if today < due_on(ended_on, checkpoint) else None
