"""Trial places at host workplaces (職親): a course run of the system `trial`, whose field is a step of the ladder.

Everything that differs from a course stands here, as data; the engine of seats is the same (decision 0057).
"""

from collections.abc import Collection
from datetime import time
from enum import StrEnum
from uuid import UUID

TRIAL = "trial"
"""The system (訓練種別) of such a course run."""


class Step(StrEnum):
    """How a host workplace takes somebody in (受入れ段階), from the first to the last."""

    VISIT = "visit"
    HALF_DAY = "half_day"
    WEEK = "week"
    PAID_TRIAL = "paid_trial"
    JOB = "job"


_LADDER = tuple(Step)
_PAID = frozenset({Step.PAID_TRIAL, Step.JOB})


class Skip(StrEnum):
    """Why somebody need not go through the steps before, as the agency says that asks."""

    WORKED_BEFORE = "worked_before"
    """Has worked in such a place, or done these steps where nobody recorded them."""
    PLAN_DECIDED = "plan_decided"
    """A support plan or a conference decided so."""
    HOST_AGREES = "host_agrees"
    """The host workplace knows the person."""
    PERSON_WISHES = "person_wishes"


def step_of(system: str, field: str) -> Step | None:
    """Of a trial place its step; a course has none."""
    return Step(field) if system == TRIAL else None


def is_employment(step: Step) -> bool:
    """Whether work is paid there: to lead somebody to it is job placement (職業紹介: 職業安定法 Art. 29 ff.)."""
    return step in _PAID


def next_step(step: Step) -> Step | None:
    """The one above; above a job there is none."""
    return next(iter(_LADDER[_LADDER.index(step) + 1 :]), None)


def skips(step: Step, completed: Collection[Step]) -> bool:
    """Whether the step is more than one above the highest that was completed. Down, and once more, is no skipping."""
    highest = max((_LADDER.index(each) for each in completed), default=-1)
    return _LADDER.index(step) > highest + 1


def offered_instead(step: Step) -> tuple[Step, ...]:
    """Which steps do instead of one that was called off: the same, else the one below."""
    place = _LADDER.index(step)
    return _LADDER[place : place + 1] + _LADDER[max(0, place - 1) : place]


def misfit(
    system: str,
    field: str,
    *,
    host: tuple[UUID | None, str | None],
    hours: tuple[time | None, time | None],
    delegates: bool,
) -> tuple[str, str] | None:
    """What can't be said of a trial place, or only of one: the rule, and the field."""
    is_step = field in _LADDER
    if system != TRIAL:
        if is_step:
            return "step_of_a_trial", "field"
        return ("only_of_a_trial", "host_workplace_id") if {*host, *hours} != {None} else None
    if not is_step:
        return "step_of_a_trial", "field"
    if None in host:
        return "host_of_a_trial", "host_workplace_id"
    if delegates:
        return "no_plan_quota", "delegated"
    begins, ends = hours
    if (begins is None) != (ends is None) or (begins is not None and ends is not None and begins >= ends):
        return "hours_of_a_day", "until_time"
    return None
