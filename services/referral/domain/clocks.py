"""Clocks (期限): what waits, for whom, until when, and what silence leads to. It never ends anything.

Days are working days of the agency that has to act: public holidays, and its own closed days. 2, 5 and 15 days are the
ladder of the British work programmes (DWP: acknowledge 2, start or outcome 15); a programme may set its own.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from services.referral.domain.moves import IN_FLIGHT, Referral
from services.referral.domain.states import (
    CAME_TO_NOTHING,
    Clock,
    Kind,
    Party,
    Progress,
    State,
    Tier,
    Verb,
    Waits,
)

IsOpen = Callable[[date], bool]
"""Whether the agency that has to act is open on a day."""


DAYS: Mapping[Clock, int] = {
    Clock.ACKNOWLEDGE: 2,
    Clock.CONTACT: 5,
    Clock.START: 15,
    Clock.ANSWER: 5,
    Clock.DECIDE: 2,
    Clock.REVIEW: 2,
    Clock.DELIVER: 2,
    Clock.SEAT: 2,
    Clock.PLACE: 10,
}
"""Working days; of a review and of a seat, those between the named day and the second tier."""
NEED_REVIEW = 20
"""Working days until somebody looks again at a need that nobody answers; a month of office days."""
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
"""Which clock runs in which state, and who has to act; None: whoever is asked. `waits_for` knows three more rules."""
TAKEN_OVER = Clock.START, Party.COORDINATOR
"""What runs wherever at work the coordinator has taken it over: what came of it is for the coordinator to find out."""
_NAMED = frozenset({Clock.REVIEW, Clock.SEAT})
"""Clocks that run to a day which somebody has named."""


def waits_for(referral: Referral) -> tuple[Clock, Party] | None:
    """Which clock runs, and whose move it is."""
    if referral.taken_over:
        return TAKEN_OVER
    if leaves_a_need(referral):
        return Clock.PLACE, _answers_for(referral)
    if referral.kind is Kind.COURSE_RUN and referral.state in _COURSES:
        return _in_course(referral)
    found = _RUNS.get(referral.state)
    return None if found is None else (found[0], found[1] or referral.asked)


def _answers_for(referral: Referral) -> Party:
    """The coordinator after a no or silence; of a seat that was not given, its sender; of what was closed, its holder.

    What the release before declined is still with who had sent it.
    """
    parties = referral.parties(referral.responsible_agency)
    return next(party for party in (Party.COORDINATOR, Party.SENDER, Party.RECEIVER) if party in parties)


_COURSES = frozenset({State.SENT, State.RECEIVED, State.ACCEPTED})


def _in_course(referral: Referral) -> tuple[Clock, Party]:
    """Seats answer by themselves; whoever answers for the person sees that the seat isn't lost meanwhile."""
    match referral.state:
        case State.ACCEPTED:
            return Clock.START, Party.RECEIVER
        case State.SENT:
            return Clock.ACKNOWLEDGE, Party.SENDER  # the provider has no move here, its sender may take it back
        case _:
            # An instruction is issued: from now on the provider enrols, on the first day.
            instructed = referral.progress is Progress.INSTRUCTED
            return Clock.SEAT, Party.RECEIVER if instructed else Party.SENDER


def leaves_a_need(referral: Referral) -> bool:
    """Whether this way is closed, and what it was about is still somebody's.

    A request that comes to nothing leaves the case where it was: with its holder, who asked for nothing.
    """
    match referral.state:
        case State.CLOSED:
            return referral.outcome in CAME_TO_NOTHING
        case State.DECLINED:
            return referral.verb is not Verb.REQUEST
        case State.EXPIRED:
            # Who coordinates may be who was asked: that it went over to the coordinator shows in the reason.
            return referral.verb is not Verb.REQUEST or referral.reason is not None
        case _:
            return False


def start(
    referral: Referral,
    *,
    today: date,
    is_open: IsOpen,
    days: Mapping[Clock, int],
    on_the_way: int = 0,
    asked: bool = False,
) -> Waits | None:
    """Begin the clock of the state that a referral has reached; None where nobody is waited for.

    `on_the_way`: working days that the post takes; `asked`: the named day has come, and they are asked just now.
    """
    running = waits_for(referral)
    if running is None:
        return None
    clock, agency = running[0], referral.agency(running[1])
    if clock in _NAMED:
        due_on = referral.review_on or today + timedelta(days=IN_SERVICE_REVIEW)
        if asked:
            due_on = after(today, on_the_way + days[clock], is_open)
        # Somebody named the day: they are told when it comes, not before.
        return Waits(clock, agency, today, due_on, Tier.REMIND, due_on)
    if _ends_later(referral) and not asked:
        # What came of a course is asked when it has ended.
        ends = max(today, referral.review_on or today)
        return Waits(clock, agency, ends, after(ends, days[clock], is_open), Tier.REMIND, ends + timedelta(days=1))
    due_on = after(today, on_the_way + days[clock], is_open)
    return Waits(clock, agency, today, due_on, Tier.REMIND, _passed(today, on_the_way + days[clock] // 2, is_open))


def deliver(referral: Referral, *, today: date, is_open: IsOpen, days: Mapping[Clock, int]) -> Waits:
    """The receiver has not been asked yet: its letter lies here, or its mail failed. Whoever sent it has to act."""
    count = days_of(referral, days)[Clock.DELIVER]
    due_on = after(today, count, is_open)
    return Waits(Clock.DELIVER, referral.sender, today, due_on, Tier.REMIND, _passed(today, count // 2, is_open))


def days_of(referral: Referral, days: Mapping[Clock, int]) -> Mapping[Clock, int]:
    """The days of a referral's clocks. Support that has begun isn't taken over sooner for want of a letter."""
    running = waits_for(referral)
    if running is None or referral.state in IN_FLIGHT:
        return days
    return {**days, Clock.DELIVER: days[running[0]]}


def is_of(waits: Waits, referral: Referral) -> bool:
    """Whether this is the clock of the state in which the referral stands, or of the letter that asks about it."""
    running = waits_for(referral)
    if running is None:
        return False
    if waits.clock is Clock.DELIVER:
        return running[1] is Party.RECEIVER and waits.agency == referral.sender
    return (waits.clock, waits.agency) == (running[0], referral.agency(running[1]))


def asks_later(referral: Referral) -> bool:
    """Whether they are asked only when the day comes."""
    running = waits_for(referral)
    return _ends_later(referral) or (running is not None and running[0] in _NAMED)


def _ends_later(referral: Referral) -> bool:
    return referral.kind is Kind.COURSE_RUN and referral.state is State.ACCEPTED and not referral.taken_over


def reached(waits: Waits) -> Tier | None:
    """The tier that silence has come to: reminded, or known to the whole municipality. None: it is in time."""
    match waits.tier:
        case Tier.REMIND:
            return None
        case Tier.SECOND:
            return Tier.REMIND
        case _:
            return Tier.SECOND


def continues(before: Referral, moved: Referral) -> bool:
    """Whether the clock runs on. Accepting: that of first contact began when the same agency received it.

    What is added after the end: somebody may have said already where it goes.
    """
    if waits_for(before) != waits_for(moved):
        return False
    if before.state is State.CLOSED:
        return True
    return before.waits is not None and (before.state, moved.state) == (State.RECEIVED, State.ACCEPTED)


def next_tier(waits: Waits, *, of: Referral, is_open: IsOpen, days: Mapping[Clock, int]) -> Waits:
    """What comes after the tier that has just been reached, and when."""
    match waits.tier:
        case Tier.REMIND:
            late = days[waits.clock] if waits.clock in _NAMED else 0
            return _at(waits, Tier.SECOND, _passed(waits.due_on, late, is_open))
        # Nobody stands behind the coordinator: it keeps what it holds, and all the municipality sees that it is late.
        case Tier.SECOND if _leads_on(waits.clock, of):
            grace = max(1, (days[waits.clock] + 1) // 2)
            assert waits.tier_on is not None
            # So many whole days more, of which that morning's may be the first.
            return _at(waits, Tier.TAKE_OVER, _passed(waits.tier_on - timedelta(days=1), grace, is_open))
        case _:
            return Waits(waits.clock, waits.agency, waits.since, waits.due_on, None, None)


def _leads_on(clock: Clock, referral: Referral) -> bool:
    """Whether more than a look follows in the end: that the coordinator takes over, or its silence confirms a no."""
    if clock is Clock.PLACE or referral.taken_over:
        return False
    return referral.kind is Kind.PROGRAMME or clock is Clock.START


def takes_over_on(waits: Waits, *, of: Referral, is_open: IsOpen, days: Mapping[Clock, int]) -> date | None:
    """The day on which the coordinator takes over, if nobody acts before; None where no clock leads there."""
    while waits.tier in {Tier.REMIND, Tier.SECOND}:
        waits = next_tier(waits, of=of, is_open=is_open, days=days)
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
