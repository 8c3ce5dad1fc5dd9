"""Clocks (期限): what waits, for whom, until when, and what silence leads to. It never ends anything.

Days are working days of the agency that has to act: public holidays, and its own closed days. 2, 5 and 15 days are the
ladder of the British work programmes (DWP: acknowledge 2, start or outcome 15); a programme may set its own.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from services.referral.domain.moves import Referral
from services.referral.domain.states import Clock, Kind, Party, State, Tier, Waits

IsOpen = Callable[[date], bool]
"""Whether the agency that has to act is open on a day."""


DAYS: Mapping[Clock, int] = {
    Clock.ACKNOWLEDGE: 2,
    Clock.CONTACT: 5,
    Clock.START: 15,
    Clock.ANSWER: 5,
    Clock.DECIDE: 2,
    Clock.REVIEW: 2,
}
"""Working days; of a review, those between the named day and the second tier."""
IN_SERVICE_REVIEW = 90
"""Days until somebody looks whether a service goes on, where nobody has named one."""

_RUNS: Mapping[State, tuple[Clock, Party | None]] = {
    State.SENT: (Clock.ACKNOWLEDGE, None),
    State.RECEIVED: (Clock.CONTACT, None),
    State.RETURNED: (Clock.ANSWER, Party.SENDER),
    State.WAITING: (Clock.REVIEW, Party.RECEIVER),
    State.DECLINE_PENDING: (Clock.DECIDE, Party.COORDINATOR),
    State.ACCEPTED: (Clock.CONTACT, Party.RECEIVER),
    State.NO_SHOW: (Clock.CONTACT, Party.RECEIVER),
    State.CONTACT_MADE: (Clock.START, Party.RECEIVER),
    State.IN_SERVICE: (Clock.REVIEW, Party.RECEIVER),
    State.ON_HOLD: (Clock.REVIEW, Party.RECEIVER),
    State.OUTCOME_SET: (Clock.START, Party.RECEIVER),
}
"""Which clock runs in which state, and who has to act; None: whoever is asked. Other states wait for nobody."""


def waits_for(referral: Referral) -> tuple[Clock, Party] | None:
    """Which clock runs, and whose move it is."""
    found = _RUNS.get(referral.state)
    if found is None:
        return None
    # A course's seats answer by themselves, and have clocks of their own in training.
    if referral.kind is Kind.COURSE_RUN and referral.state in {State.RECEIVED, State.ACCEPTED}:
        return None
    clock, party = found
    return clock, party or referral.asked


def start(referral: Referral, *, today: date, is_open: IsOpen, days: Mapping[Clock, int]) -> Waits | None:
    """Begin the clock of the state that a referral has reached; None where nobody is waited for."""
    running = waits_for(referral)
    if running is None:
        return None
    clock, agency = running[0], referral.agency(running[1])
    if clock is Clock.REVIEW:
        due_on = referral.review_on or today + timedelta(days=IN_SERVICE_REVIEW)
        # Somebody named the day: they are told when it comes, not before.
        return Waits(clock, agency, today, due_on, Tier.REMIND, due_on)
    due_on = after(today, days[clock], is_open)
    return Waits(clock, agency, today, due_on, Tier.REMIND, _passed(today, days[clock] // 2, is_open))


def is_of(waits: Waits, referral: Referral) -> bool:
    """Whether this is the clock of the state in which the referral stands."""
    running = waits_for(referral)
    return running is not None and (waits.clock, waits.agency) == (running[0], referral.agency(running[1]))


def continues(before: Referral, moved: Referral) -> bool:
    """Whether accepting lets the clock of first contact run on: it began when the same agency received it."""
    same = before.waits is not None and waits_for(before) == waits_for(moved)
    return same and (before.state, moved.state) == (State.RECEIVED, State.ACCEPTED)


def next_tier(waits: Waits, *, kind: Kind, is_open: IsOpen, days: Mapping[Clock, int]) -> Waits:
    """What comes after the tier that has just been reached, and when."""
    match waits.tier:
        case Tier.REMIND:
            late = days[Clock.REVIEW] if waits.clock is Clock.REVIEW else 0
            return _at(waits, Tier.SECOND, _passed(waits.due_on, late, is_open))
        case Tier.SECOND if kind is Kind.PROGRAMME:
            grace = max(1, (days[waits.clock] + 1) // 2)
            assert waits.tier_on is not None
            # So many whole days more, of which that morning's may be the first.
            return _at(waits, Tier.TAKE_OVER, _passed(waits.tier_on - timedelta(days=1), grace, is_open))
        case _:
            return Waits(waits.clock, waits.agency, waits.since, waits.due_on, None, None)


def takes_over_on(waits: Waits, *, kind: Kind, is_open: IsOpen, days: Mapping[Clock, int]) -> date | None:
    """The day on which the coordinator takes over, if nobody acts before; None where no clock leads there."""
    while waits.tier in {Tier.REMIND, Tier.SECOND}:
        waits = next_tier(waits, kind=kind, is_open=is_open, days=days)
    return waits.tier_on


def after(day: date, count: int, is_open: IsOpen) -> date:
    """The day that is so many working days after a day, which itself doesn't count (民法 Art. 140)."""
    for _ in range(_LONGEST):
        if count == 0:
            return day
        day += timedelta(days=1)
        count -= is_open(day)
    return day


_LONGEST = 1_000
"""An agency that is never open is reminded in the end all the same."""


def _passed(day: date, count: int, is_open: IsOpen) -> date:
    """The morning after so many working days: the last of them is whole."""
    return after(day, count, is_open) + timedelta(days=1)


def _at(waits: Waits, tier: Tier, on: date) -> Waits:
    return Waits(waits.clock, waits.agency, waits.since, waits.due_on, tier, on)
