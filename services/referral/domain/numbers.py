"""How long referrals take. Whoever still waits is counted beside the figures, so that silence hides behind none."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from services.referral.domain.moves import OPEN
from services.referral.domain.states import BY_PERSON, State, WithdrawReason

Value = TypeVar("Value")


class Milestone(StrEnum):
    """What is waited for, counted from the sending."""

    RECEIVE = "receive"
    ACCEPT = "accept"
    START = "start"
    CLOSE = "close"


SIGNS: Mapping[Milestone, frozenset[str]] = {
    # Whoever answers has seen it, whether or not they said so first.
    Milestone.RECEIVE: frozenset(
        {"receive", "accept", "decline", "return", "reroute", "wait", "contact", "start"}
        | {"wait_for_seat", "hold_seat", "nominate", "countersign", "instruct", "enrol", "refuse_seat", "release_seat"}
        | {"back_to_line"}
    ),
    Milestone.ACCEPT: frozenset({"accept", "overrule_forward", "enrol"}),
    Milestone.START: frozenset({"start", "enrol"}),
    Milestone.CLOSE: frozenset({"close"}),
}
"""By which steps a milestone is reached; the first of them counts."""
GOES_ON = OPEN
"""States in which the next milestone is still waited for. In every other one the referral has ended."""
ANSWERS = frozenset({Milestone.RECEIVE, Milestone.ACCEPT})
"""All that a request waits for: what begins after the yes is the work of who asked for the case."""
HOPS = (3, 5, 8)
"""So many referrals of one case, one after another, raise an alarm, each once (たらい回し)."""
CAME_BACK = frozenset({State.DECLINED, State.REROUTED, State.WITHDRAWN, State.EXPIRED})
"""What is sent after one of these has come back is the next hop. A rung of the ladder after a good end is none."""
NO_HOP = frozenset({"another_accepted", WithdrawReason.SENT_BY_MISTAKE})
"""Withdrawn for these, nothing came back: one of several desks had it, or none should have got it."""


@dataclass(frozen=True, slots=True)
class Way:
    """A referral's way: who asked whom and when, and which milestone was reached when."""

    sender: str
    """Who asked: of a request (申し出) who wants the case."""
    receiver: str
    """Who was asked, and has to answer: of a request the holder of the case."""
    sent_at: datetime
    reached: Mapping[Milestone, datetime]
    goes_on: bool
    silent_until: datetime | None = None
    """Until when nobody answered, where it has ended by that."""
    is_request: bool = False


def silent_until(state: str, reason: str | None, last_at: datetime, *, others_turn: bool) -> datetime | None:
    """When a referral ended because nobody answered; None: it goes on, or ended otherwise.

    `others_turn`: it lay with its sender (returned) or the coordinator (declined) last, and the silence was theirs.
    """
    silence = state == State.EXPIRED or (state == State.WITHDRAWN and reason == WithdrawReason.NO_ANSWER)
    return last_at if silence and not others_turn else None


@dataclass(frozen=True, slots=True)
class Span:
    """A time that was waited: on the clock, and in days on which offices are open."""

    time: timedelta
    working_days: int

    @property
    def hours(self) -> float:
        """To a tenth."""
        return round(self.time / timedelta(hours=1), 1)


@dataclass(frozen=True, slots=True)
class Measure:
    """How long one milestone takes. The silent ones stand beside it, and in the two figures that begin with `least`."""

    reached: int
    median: Span | None
    ninetieth: Span | None
    waiting: int
    """Not reached, and still waited for."""
    longest_waiting: Span | None
    unanswered: int
    """Not reached, and ended by that: its time ran out, or its sender gave up waiting."""
    ended: int
    """Not reached, and not waited for any more: it came back, or was taken back."""
    least_median: Span | None
    """The median with the silent ones counted at their time so far, or until they ended: it will not be less."""
    least_ninetieth: Span | None


Days = Callable[[datetime, datetime], int]
"""Working days from one moment to another: the day of the first doesn't count, that of the second does."""


def nearest_rank(ordered: Sequence[Value], percent: int) -> Value | None:
    """The smallest value that at least so many per cent of all values don't exceed; None of none.

    Nearest rank: it is always a time that somebody really waited. Half of an even number is the lower of the two.
    """
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


def measure(ways: Iterable[Way], milestone: Milestone, *, now: datetime, days: Days) -> Measure:
    """One milestone over these referrals."""
    reached: list[_Waited] = []
    waiting: list[_Waited] = []
    unanswered: list[_Waited] = []
    ended = 0
    for way in ways:
        if way.is_request and milestone not in ANSWERS:
            continue
        if (at := way.reached.get(milestone)) is not None:
            reached.append(_waited(way, at, days))
        elif way.goes_on:
            waiting.append(_waited(way, now, days))
        elif way.silent_until is not None:
            unanswered.append(_waited(way, way.silent_until, days))
        else:
            ended += 1
    at_least = reached + waiting + unanswered
    return Measure(
        reached=len(reached),
        median=_at(reached, 50),
        ninetieth=_at(reached, 90),
        waiting=len(waiting),
        longest_waiting=_at(waiting, 100),
        unanswered=len(unanswered),
        ended=ended,
        least_median=_at(at_least, 50),
        least_ninetieth=_at(at_least, 90),
    )


_Waited = tuple[timedelta, int]


def _waited(way: Way, until: datetime, days: Days) -> _Waited:
    return until - way.sent_at, days(way.sent_at, until)


def _at(waited: Sequence[_Waited], percent: int) -> Span | None:
    time = nearest_rank(sorted(time for time, _ in waited), percent)
    working_days = nearest_rank(sorted(days for _, days in waited), percent)
    return None if time is None or working_days is None else Span(time, working_days)


def by_pair(ways: Iterable[Way], *, now: datetime, days: Days) -> dict[tuple[str, str], dict[Milestone, Measure]]:
    """Every milestone for every sender and receiver."""
    pairs: dict[tuple[str, str], list[Way]] = defaultdict(list)
    for way in ways:
        pairs[way.sender, way.receiver].append(way)
    return {pair: every_milestone(pairs[pair], now=now, days=days) for pair in sorted(pairs)}


def every_milestone(ways: Collection[Way], *, now: datetime, days: Days) -> dict[Milestone, Measure]:
    """All four over the same referrals."""
    return {milestone: measure(ways, milestone, now=now, days=days) for milestone in Milestone}


def is_by_person(reason: str) -> bool:
    """Whether a decline's reason lies with the person rather than with the agency."""
    return reason in BY_PERSON


def thresholds_reached(hops: int, raised: Collection[int]) -> tuple[int, ...]:
    """For which numbers of hops an alarm has to be raised now: each once."""
    return tuple(threshold for threshold in HOPS if hops >= threshold and threshold not in raised)
