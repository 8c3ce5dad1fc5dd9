"""A referral's way from hand to hand: one table of moves, which code, interface texts, documents and tests read."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import product
from typing import Any
from uuid import UUID

from services.referral.domain.states import BY_PERSON, Kind, Party, Progress, State, Verb, Waits, how_far


@dataclass(frozen=True, slots=True)
class Move:
    """One line of the table below: who may lead which referrals from where to where."""

    name: str
    by: frozenset[Party]
    verbs: frozenset[Verb]
    kinds: frozenset[Kind]
    sources: frozenset[State]
    target: State | None
    """None: where it stood before it was put on hold."""
    progress: Progress | None = None
    to: Party | None = None
    """Who is responsible from then on; None: who was."""
    asks: str | None = None
    """What the mover has to say with it: reason, day, outcome, missing, target."""
    becomes: Verb | None = None
    """What acceptance does from then on; it stays in its state, and its clock runs on."""
    once_taken_over: bool = False
    """Only after silence at work: until then it is for who does it to say what came of it."""

    def takes(self, referral: "Referral") -> State:
        """The state it leads this referral to."""
        if self.becomes is not None:
            return referral.state
        if self.target is not None:
            return self.target
        return referral.state if referral.before_hold is None else referral.before_hold


IN_FLIGHT = frozenset({State.SENT, State.RECEIVED, State.RETURNED, State.WAITING, State.DECLINE_PENDING})
"""Nobody has answered for good: who sent it is responsible, and may take it back."""
AT_WORK = frozenset(
    {State.ACCEPTED, State.CONTACT_MADE, State.IN_SERVICE, State.NO_SHOW, State.ON_HOLD, State.OUTCOME_SET}
)
"""Somebody took it on, and has not closed it."""
OPEN = IN_FLIGHT | AT_WORK
ENDED = frozenset(State) - OPEN - {State.DRAFT}

_WAY_IN = frozenset({State.SENT, State.RECEIVED, State.WAITING})
_BEGUN = frozenset({State.ACCEPTED, State.CONTACT_MADE, State.IN_SERVICE, State.NO_SHOW})
_GIVEN = frozenset({Verb.REFER, Verb.TRANSFER})
_ALL = frozenset(Verb)


def _line(
    name: str,
    by: Party | Collection[Party],
    sources: State | Collection[State],
    target: State | None,
    *,
    verbs: Collection[Verb] = _ALL,
    kind: Kind = Kind.PROGRAMME,
    to: Party | None = None,
    asks: str | None = None,
    becomes: Verb | None = None,
    once_taken_over: bool = False,
) -> Move:
    parties = frozenset({by} if isinstance(by, Party) else by)
    states = frozenset({sources} if isinstance(sources, State) else sources)
    return Move(
        name,
        parties,
        frozenset(verbs),
        frozenset({kind}),
        states,
        target,
        to=to,
        asks=asks,
        becomes=becomes,
        once_taken_over=once_taken_over,
    )


def _seat(
    name: str, target: State, progress: Progress, *, verbs: Collection[Verb] = _GIVEN, to: Party | None = None
) -> Move:
    sources, kinds = frozenset({State.SENT, State.RECEIVED}), frozenset({Kind.COURSE_RUN})
    return Move(name, frozenset({Party.TRAINING}), frozenset(verbs), kinds, sources, target, progress, to)


def _answers(party: Party, verbs: Collection[Verb]) -> tuple[Move, ...]:
    """Who is asked answers: the receiver of what is given, the holder of what is asked for."""
    return (
        _line("receive", party, State.SENT, State.RECEIVED, verbs=verbs),
        *(
            _line("accept", party, _WAY_IN, State.ACCEPTED, verbs={verb}, to=_HOLDS_THEN[verb])
            for verb in sorted(verbs)
        ),
        _line("decline", party, _WAY_IN, State.DECLINE_PENDING, verbs=verbs, asks="reason"),
    )


def _taken_over(kind: Kind, states: Collection[State]) -> tuple[Move, ...]:
    """Silence at work: the coordinator answers for it, and brings it to an end, or to the search for another place."""

    def line(name: str, sources: Collection[State], target: State, **more: Any) -> Move:
        return _line(name, Party.COORDINATOR, sources, target, kind=kind, once_taken_over=True, **more)

    return (
        *(_line("take_over", Party.CLOCK, state, state, kind=kind, to=Party.COORDINATOR) for state in sorted(states)),
        line("set_outcome", AT_WORK, State.OUTCOME_SET, asks="outcome"),
        line("close", {State.OUTCOME_SET}, State.CLOSED),
        line("expire", AT_WORK, State.EXPIRED, to=Party.COORDINATOR),
    )


KEEP_HOLDER = "keep_holder"
CHANGE_COURSE = "change_course"
BACK_TO = {Progress.NOMINATED: "back_to_nominated", Progress.COUNTERSIGNED: "back_to_countersigned"}
"""Where a referral goes back to when the paper that stood was cancelled."""
BACK_TO_LINE = "back_to_line"
"""The seat is gone, by the person's word or by a late change, and the person waits for another in the same course."""
_HOLDS_THEN = {Verb.REFER: None, Verb.TRANSFER: Party.RECEIVER, Verb.REQUEST: Party.RECEIVER}
_TAKES_BACK = IN_FLIGHT | {State.DRAFT}

MOVES: tuple[Move, ...] = (
    _line("send", Party.SENDER, State.DRAFT, State.SENT, verbs=_GIVEN),
    *_answers(Party.RECEIVER, _GIVEN),
    *_answers(Party.SENDER, {Verb.REQUEST}),
    _line("return", Party.RECEIVER, {State.SENT, State.RECEIVED}, State.RETURNED, verbs=_GIVEN, asks="missing"),
    _line("answer", Party.SENDER, State.RETURNED, State.SENT, verbs=_GIVEN),
    _line("wait", Party.RECEIVER, _WAY_IN, State.WAITING, verbs=_GIVEN, asks="day"),
    _line("reroute", Party.RECEIVER, _WAY_IN, State.REROUTED, verbs=_GIVEN, asks="target"),
    # A decline ends nothing by itself. Confirmed, the coordinator holds what it was about; a request's holder stays.
    _line(
        "confirm_decline",
        {Party.COORDINATOR, Party.CLOCK},
        State.DECLINE_PENDING,
        State.DECLINED,
        verbs=_GIVEN,
        to=Party.COORDINATOR,
    ),
    _line(
        "confirm_decline",
        {Party.COORDINATOR, Party.CLOCK},
        State.DECLINE_PENDING,
        State.DECLINED,
        verbs={Verb.REQUEST},
    ),
    *(
        _line(
            "overrule_forward",
            Party.COORDINATOR,
            State.DECLINE_PENDING,
            State.ACCEPTED,
            verbs={verb},
            to=_HOLDS_THEN[verb],
        )
        for verb in Verb
    ),
    _line("overrule_back", Party.COORDINATOR, State.DECLINE_PENDING, State.RECEIVED),
    _line("withdraw", Party.SENDER, _TAKES_BACK, State.WITHDRAWN, verbs=_GIVEN, asks="reason"),
    _line("withdraw", Party.RECEIVER, _TAKES_BACK, State.WITHDRAWN, verbs={Verb.REQUEST}, asks="reason"),
    _line("contact", Party.RECEIVER, {State.ACCEPTED, State.NO_SHOW}, State.CONTACT_MADE),
    _line("start", Party.RECEIVER, {State.ACCEPTED, State.CONTACT_MADE, State.NO_SHOW}, State.IN_SERVICE),
    _line("miss", Party.RECEIVER, {State.ACCEPTED, State.CONTACT_MADE, State.IN_SERVICE}, State.NO_SHOW),
    _line("hold", Party.RECEIVER, _BEGUN, State.ON_HOLD, asks="day"),
    _line("resume", Party.RECEIVER, State.ON_HOLD, None),
    _line("set_outcome", Party.RECEIVER, AT_WORK, State.OUTCOME_SET, asks="outcome"),
    _line("close", Party.RECEIVER, State.OUTCOME_SET, State.CLOSED),
    _line("add_outcome", {Party.RECEIVER, Party.SENDER}, State.CLOSED, State.CLOSED, asks="outcome"),
    # Silence: the coordinator takes over. What has begun goes on with who does it; only who answers for it changes.
    _line(
        "expire",
        Party.CLOCK,
        {*IN_FLIGHT, State.ACCEPTED, State.CONTACT_MADE, State.NO_SHOW} - {State.DECLINE_PENDING},
        State.EXPIRED,
        verbs=_GIVEN,
        to=Party.COORDINATOR,
    ),
    _line("expire", Party.CLOCK, {State.SENT, State.RECEIVED, State.WAITING}, State.EXPIRED, verbs={Verb.REQUEST}),
    _line(
        "expire",
        Party.CLOCK,
        {State.ACCEPTED, State.CONTACT_MADE, State.NO_SHOW},
        State.EXPIRED,
        verbs={Verb.REQUEST},
        to=Party.COORDINATOR,
    ),
    *_taken_over(Kind.PROGRAMME, {State.IN_SERVICE, State.ON_HOLD, State.OUTCOME_SET}),
    *(
        _line(name, party, IN_FLIGHT, State.WITHDRAWN, kind=kind, asks="reason")
        for name, party in (
            ("lose", Party.SERVICE),
            ("end_with_case", Party.SERVICE),
            ("end_consent", Party.PERSON),
        )
        for kind in (Kind.PROGRAMME, Kind.COURSE_RUN)
    ),
    # Only its holder hands a case over. Where another holds it by now, the receiver does its part and no more.
    *(
        _line(KEEP_HOLDER, Party.SERVICE, states, None, verbs=verbs, kind=kind, to=to, becomes=Verb.REFER)
        for kind in (Kind.PROGRAMME, Kind.COURSE_RUN)
        for states, verbs, to in (
            (IN_FLIGHT, {Verb.TRANSFER}, None),
            (AT_WORK | {State.CLOSED}, {Verb.TRANSFER, Verb.REQUEST}, Party.SENDER),
            # Silence was faster than that word: whoever has to find the next place by now still has to.
            (State.EXPIRED, {Verb.TRANSFER, Verb.REQUEST}, None),
        )
    ),
    # A seat held, a nomination, an instruction and an enrolment are four separate facts (DOMAIN.md 5): only the last
    # one takes responsibility off the sender, and a provider can't accept by hand what its own seats haven't shown.
    _line("withdraw", Party.SENDER, _TAKES_BACK, State.WITHDRAWN, kind=Kind.COURSE_RUN, verbs=_GIVEN, asks="reason"),
    _line("send", Party.SENDER, State.DRAFT, State.SENT, kind=Kind.COURSE_RUN, verbs=_GIVEN),
    _seat("wait_for_seat", State.RECEIVED, Progress.SEAT_WAITING),
    _seat("hold_seat", State.RECEIVED, Progress.SEAT_HELD),
    _seat("nominate", State.RECEIVED, Progress.NOMINATED),
    _seat("countersign", State.RECEIVED, Progress.COUNTERSIGNED),
    _seat("instruct", State.RECEIVED, Progress.INSTRUCTED),
    *(_seat("enrol", State.ACCEPTED, Progress.ENROLLED, verbs={verb}, to=_HOLDS_THEN[verb]) for verb in sorted(_GIVEN)),
    _seat("refuse_seat", State.DECLINED, Progress.SEAT_REFUSED),
    _seat("release_seat", State.DECLINED, Progress.SEAT_RELEASED),
    # After a late change the person agreed to another course run, of another school perhaps (受講先の変更). It stands
    # where it stood; which school that is may be heard after what became of the person there.
    _line(
        CHANGE_COURSE,
        Party.TRAINING,
        {State.SENT, State.RECEIVED, State.ACCEPTED, State.OUTCOME_SET, State.CLOSED},
        None,
        kind=Kind.COURSE_RUN,
        verbs=_GIVEN,
    ),
    # A support instruction was cancelled: another paper is awaited where this one was.
    *(_seat(name, State.RECEIVED, progress) for progress, name in BACK_TO.items()),
    _seat(BACK_TO_LINE, State.RECEIVED, Progress.SEAT_WAITING),
    # What became of the person, the school and those who support them record in training; by hand it is said here too.
    _line(
        "set_outcome",
        {Party.RECEIVER, Party.TRAINING},
        AT_WORK,
        State.OUTCOME_SET,
        kind=Kind.COURSE_RUN,
        asks="outcome",
    ),
    _line("close", {Party.RECEIVER, Party.TRAINING}, State.OUTCOME_SET, State.CLOSED, kind=Kind.COURSE_RUN),
    _line("correct_outcome", Party.TRAINING, State.CLOSED, State.CLOSED, kind=Kind.COURSE_RUN, asks="outcome"),
    _line(
        "add_outcome",
        {Party.RECEIVER, Party.SENDER, Party.TRAINING},
        State.CLOSED,
        State.CLOSED,
        kind=Kind.COURSE_RUN,
        asks="outcome",
    ),
    *_taken_over(Kind.COURSE_RUN, {State.ACCEPTED, State.OUTCOME_SET}),
)
"""The state machine. Code, interface texts, documents and tests read this table; nothing else knows what is legal."""

_FORWARD = tuple(Progress)
_FROM: dict[tuple[Kind, Verb, State], tuple[Move, ...]] = {
    (kind, verb, state): tuple(
        move for move in MOVES if kind in move.kinds and verb in move.verbs and state in move.sources
    )
    for kind, verb, state in product(Kind, Verb, State)
}
"""The same table by where a referral stands: a list shows what may be done with each of its rows."""


NEVER_SENT = "never_sent"
"""The reason of a withdrawn draft, whatever was said: by it its sender's own words stay its own."""

SILENCE = "silence"
CAME_TO_NOTHING = "came_to_nothing"
"""Why it expired into the coordinator's search: nobody acted, or it ended what it had taken over."""


@dataclass(frozen=True, slots=True)
class Referral:
    """つなぎ: a request from one agency to another about a case."""

    id: UUID
    case_id: UUID
    municipality: str
    sender: str
    receiver: str
    coordinator: str
    verb: Verb
    programme_id: UUID | None
    course_run_id: UUID | None
    seat_request_id: UUID | None
    """The newest seat, or place in line, that goes on for it."""
    state: State
    responsible_agency: str
    progress: Progress | None
    reason: str | None
    sent_at: datetime
    version: int
    group_id: UUID | None = None
    """Its parts, or its rivals: what was sent together."""
    rerouted_from: UUID | None = None
    before_hold: State | None = None
    outcome: str | None = None
    """What is shown of it: of what was added after the end, the furthest. All of them stand in a list of their own."""
    missing: tuple[str, ...] = ()
    """What the receiver asked for, when it was not told enough."""
    review_on: date | None = None
    waits: Waits | None = None
    proposed_programme_id: UUID | None = None
    """Where it may go next, as the coordinator was told; or the course run below."""
    proposed_course_run_id: UUID | None = None
    taken_over: bool = False
    """Who works on it was silent: the coordinator answers for it in their place, and is waited for."""
    seat_since: datetime | None = None
    """When training first told of that seat."""
    seat_course_run_id: UUID | None = None
    """In which course run it is: another one than the referral's, as long as nobody has told which school's that is."""
    consent_version: int = 0
    """The word about consent on which the person agreed to another course run; an earlier one takes nothing back."""

    @property
    def kind(self) -> Kind:
        """To a programme or to a course run."""
        return Kind.PROGRAMME if self.course_run_id is None else Kind.COURSE_RUN

    @property
    def agency_waited_for(self) -> str | None:
        """Whose move it is."""
        return None if self.waits is None else self.waits.agency

    @property
    def asker(self) -> Party:
        """Who began it."""
        return Party.RECEIVER if self.verb is Verb.REQUEST else Party.SENDER

    @property
    def asked(self) -> Party:
        """Who has to answer it."""
        return Party.SENDER if self.verb is Verb.REQUEST else Party.RECEIVER

    def agency(self, party: Party) -> str:
        """Which agency has this part."""
        return {Party.SENDER: self.sender, Party.RECEIVER: self.receiver, Party.COORDINATOR: self.coordinator}[party]

    @property
    def has_left(self) -> bool:
        """Whether anybody but its sender may know of it: a draft, and one that was thrown away, has left no desk."""
        return self.state is not State.DRAFT and self.reason != NEVER_SENT

    def parties(self, agency: str) -> frozenset[Party]:
        """In which parts an agency takes part; several, when it refers within its own house or coordinates."""
        return frozenset(
            party for party in (Party.SENDER, Party.RECEIVER, Party.COORDINATOR) if self.agency(party) == agency
        )


@dataclass(frozen=True, slots=True)
class NewCourse:
    """Where a referral goes on: the course run, its school, and who coordinates from then on."""

    course_run_id: UUID
    receiver: str
    coordinator: str


@dataclass(frozen=True, slots=True)
class Said:
    """What comes with a move; which of it a move needs stands in the table."""

    reason: str | None = None
    day: date | None = None
    outcome: str | None = None
    missing: tuple[str, ...] = ()
    course: NewCourse | None = None


NOTHING_SAID = Said()


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
    there = _FROM[referral.kind, referral.verb, referral.state]
    return tuple(move for move in there if not move.by.isdisjoint(parties) and _is_open_to(move, referral))


def advance(referral: Referral, name: str, parties: Collection[Party], said: Said = NOTHING_SAID) -> Moved | NotMoved:
    """Make one move of the table, or say what could be done instead."""
    for move in legal_moves(referral, parties):
        if move.name == name:
            return Moved(_after(referral, move, said), move)
    return NotMoved(legal_moves(referral, parties))


def _after(referral: Referral, move: Move, said: Said) -> Referral:
    if move.becomes is not None:
        return _become(referral, move, move.becomes)
    if said.course is not None:
        return _go_on_in(referral, said.course)
    target = move.takes(referral)
    return replace(
        referral,
        state=target,
        responsible_agency=referral.responsible_agency if move.to is None else referral.agency(move.to),
        progress=move.progress or referral.progress,
        reason=_reason_after(referral, move, said),
        before_hold=_before_hold(referral, target),
        outcome=_outcome_after(referral, move, said),
        missing=said.missing,
        review_on=said.day,
        taken_over=target in AT_WORK and (referral.taken_over or move.name == "take_over"),
        version=referral.version + 1,
    )


def _become(referral: Referral, move: Move, verb: Verb) -> Referral:
    """Another verb, and nothing else; what the coordinator has taken over by now stays with it."""
    moves_back = move.to is not None and referral.responsible_agency == referral.receiver
    holder = referral.agency(move.to) if moves_back and move.to is not None else referral.responsible_agency
    return replace(referral, verb=verb, responsible_agency=holder, version=referral.version + 1)


def _go_on_in(referral: Referral, to: NewCourse) -> Referral:
    """Another course run, and nothing else: what the person had come to stays, and who answers for it."""
    return replace(
        referral,
        course_run_id=to.course_run_id,
        receiver=to.receiver,
        coordinator=to.coordinator,
        version=referral.version + 1,
    )


def _reason_after(referral: Referral, move: Move, said: Said) -> str | None:
    if move.name == "withdraw" and referral.state is State.DRAFT:
        return NEVER_SENT
    if move.name == "expire" and move.to is Party.COORDINATOR:
        return SILENCE if Party.CLOCK in move.by else CAME_TO_NOTHING
    # Why it is declined stays to be read while the coordinator looks at it, and after.
    return said.reason or (referral.reason if move.name == "confirm_decline" else None)


def _outcome_after(referral: Referral, move: Move, said: Said) -> str | None:
    # The receiver may correct itself until it closes; what is added later never hides how far the person came.
    if said.outcome is None:
        return referral.outcome
    further = move.name != "add_outcome" or how_far(said.outcome) >= how_far(referral.outcome or "")
    return said.outcome if further else referral.outcome


def _before_hold(referral: Referral, target: State) -> State | None:
    if target is not State.ON_HOLD:
        return None
    # Taken over while it is on hold, it still goes on from where it stood.
    return referral.before_hold if referral.state is State.ON_HOLD else referral.state


def _is_open_to(move: Move, referral: Referral) -> bool:
    # Nobody is made to go where they said they don't want to: their own no is confirmed, or asked about again.
    if move.name == "overrule_forward" and referral.reason in BY_PERSON:
        return False
    # Nor does who asks for something make the other side do it: where the asker coordinates, it can only ask again.
    if move.name == "overrule_forward" and referral.coordinator == referral.agency(referral.asker):
        return False
    if move.name == "take_over" and referral.coordinator == referral.receiver:
        return False
    # The coordinator answers for it already: what its receiver does meanwhile, no silence ends.
    if Party.CLOCK in move.by and referral.taken_over:
        return False
    if move.once_taken_over and not referral.taken_over:
        return False
    if move.name in BACK_TO.values():
        return referral.progress is Progress.INSTRUCTED
    if move.name == BACK_TO_LINE:
        return referral.progress not in {Progress.SEAT_WAITING, Progress.ENROLLED}
    # Seats only go forward: news from a replay must not turn an instruction back into a held seat.
    if move.progress is None or referral.progress is None:
        return True
    return _FORWARD.index(move.progress) > _FORWARD.index(referral.progress)
