"""What a referral may do, and where a case may go: one table of moves, one pure routing. Nobody is ever left out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

# --- A referral's way ------------------------------------------------------------------------------------------------


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


def advance(referral: Referral, name: str, parties: Collection[Party], *, reason: str | None = None) -> Moved | NotMoved:
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


# --- Consent ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Consent:
    """What was last heard of a person's consent."""

    state: str | None
    purposes: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class ConsentLacking:
    """Why nothing may be passed on: not_given, expired, other_purpose, not_named."""

    because: str


def consent_gap(consent: Consent, *, kind: Kind, receiver: str, today: date) -> ConsentLacking | None:
    """What the consent lacks for a referral to this receiver; an empty list of recipients names everybody."""
    if consent.state != "given":
        return ConsentLacking("not_given")
    if consent.valid_until is not None and today > consent.valid_until:
        return ConsentLacking("expired")
    wide_enough = {"referral"} if kind is Kind.PROGRAMME else {"referral", "training"}
    if consent.purposes and not consent.purposes & wide_enough:
        return ConsentLacking("other_purpose")
    if consent.recipients and receiver not in consent.recipients:
        return ConsentLacking("not_named")
    return None


# --- Where a case may go ---------------------------------------------------------------------------------------------


class Stage(StrEnum):
    """The ladder of staged support, lowest rung first."""

    DROP_IN = "drop_in"
    WORK_READINESS = "work_readiness"
    WORK_TRAINING = "work_training"
    VOCATIONAL_TRAINING = "vocational_training"
    JOB = "job"


class Capacity(StrEnum):
    """空き状況 of a programme. Not known is not room."""

    HAS_ROOM = "has_room"
    FULL = "full"
    WAITING_LIST = "waiting_list"
    ASK_FIRST = "ask_first"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Case:
    """The facts about a case that routing looks at."""

    case_id: UUID
    municipality: str
    opened_by: str
    topics: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    urgent: bool = False
    levels: Mapping[str, int] | None = None
    prolongation_risk: str | None = None
    open_targets: frozenset[UUID] = frozenset()
    """Programmes and course runs that an open referral of this case waits at."""
    declined_targets: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Programme:
    """事業: what an agency offers, where, and for which needs."""

    id: UUID
    agency_id: str
    name: str
    function: str
    stage: Stage
    municipalities: frozenset[str]
    needs: frozenset[str]
    capacity: Capacity


@dataclass(frozen=True, slots=True)
class Pool:
    """枠: who may fill how many seats of a course run."""

    kind: str
    municipality: str | None
    granted: int
    held: int
    filled: int
    waiting: int

    @property
    def free(self) -> int:
        """Never below nothing: a pool cut after seats were given has none free, not minus two."""
        return max(0, self.granted - self.held - self.filled)


@dataclass(frozen=True, slots=True)
class CourseRun:
    """訓練コースの開講."""

    id: UUID
    number: str
    provider: str
    field: str
    municipality: str
    applications_close_at: datetime
    pools: tuple[Pool, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an option stands where it stands; `weight` is what it adds to the score."""

    code: str
    weight: int = 0
    about: tuple[str, ...] = ()
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """An option with its score and the reasons that make it up."""

    option: Programme | CourseRun
    stage: Stage
    score: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Excluded:
    """An option that can't take this case now. None of the reasons is about the person's difficulty."""

    option: Programme | CourseRun
    stage: Stage
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """The answer: candidates best first, what is left out and why, and the needs that nobody answers."""

    items: tuple[Ranked, ...]
    excluded: tuple[Excluded, ...]
    unmet_needs: tuple[str, ...]
    coordinator: str

    @property
    def need_unmet(self) -> bool:
        """Nobody can take it on: a gap in the region, and the opener's to hold."""
        return not self.items


COUNTER_NEEDS = frozenset({"health", "daily_living", "isolation", "family", "housing", "income"})
"""The counter's own business. Any other need may be one that a course helps with, codes not known yet included."""
_EARLY = {Stage.DROP_IN: 15, Stage.WORK_READINESS: 15, Stage.WORK_TRAINING: 8}
_ROOM = {
    Capacity.HAS_ROOM: Reason("has_room", 6),
    Capacity.ASK_FIRST: Reason("ask_first", 3),
    Capacity.WAITING_LIST: Reason("waiting_list", 2),
    Capacity.UNKNOWN: Reason("capacity_unknown", 1),
    Capacity.FULL: Reason("full", 0),
}
_AT_ONCE = frozenset({"has_room", "own_pool_free", "general_pool_free"})


def route(case: Case, options: Iterable[Programme | CourseRun], now: datetime) -> Routing:
    """Put every option into its place, with reasons.

    Low levels move earlier rungs of the ladder forward and leave everything else as it was. The prolongation flag adds a
    remark about the pace and nothing more: it never excludes and never lowers a place (DOMAIN.md 4).
    """
    wanted = case.needs or case.topics
    items: list[Ranked] = []
    excluded: list[Excluded] = []
    met: set[str] = set()
    for option in options:
        stage = option.stage if isinstance(option, Programme) else Stage.VOCATIONAL_TRAINING
        answered = _answered(option, wanted)
        against = _against(case, option, wanted, answered, now)
        if against:
            excluded.append(Excluded(option, stage, against))
            continue
        met |= answered
        reasons = _reasons(case, option, stage, answered)
        items.append(Ranked(option, stage, sum(reason.weight for reason in reasons), reasons))
    items.sort(key=lambda ranked: (-ranked.score, str(ranked.option.id)))
    excluded.sort(key=lambda left_out: str(left_out.option.id))
    return Routing(tuple(items), tuple(excluded), tuple(sorted(wanted - met)), case.opened_by)


def covers(codes: Collection[str], municipality: str) -> bool:
    """Whether an area holds a municipality; a prefecture's own code (…000…) covers all its towns."""
    return municipality in codes or any(code[2:5] == "000" and code[:2] == municipality[:2] for code in codes)


def _answered(option: Programme | CourseRun, wanted: Collection[str]) -> frozenset[str]:
    if isinstance(option, CourseRun):
        return frozenset(wanted) - COUNTER_NEEDS
    return frozenset(wanted) & option.needs


def _against(
    case: Case, option: Programme | CourseRun, wanted: Collection[str], answered: Collection[str], now: datetime
) -> tuple[Reason, ...]:
    found = []
    if isinstance(option, Programme) and not covers(option.municipalities, case.municipality):
        found.append(Reason("other_municipality"))
    if isinstance(option, CourseRun) and now > option.applications_close_at:
        found.append(Reason("deadline_passed"))
    if option.id in case.open_targets:
        found.append(Reason("already_referred"))
    if wanted and not answered:
        found.append(Reason("answers_no_need", about=tuple(sorted(wanted))))
    return tuple(found)


def _reasons(
    case: Case, option: Programme | CourseRun, stage: Stage, answered: Collection[str]
) -> tuple[Reason, ...]:
    found = [Reason("answers_needs", 10 * len(answered), about=tuple(sorted(answered)))]
    if not answered:
        found = [Reason("needs_not_recorded")]
    if isinstance(option, Programme):
        found += [Reason("serves_municipality", 3), _ROOM[option.capacity]]
    else:
        near = option.municipality == case.municipality
        found += [Reason("same_municipality", 3) if near else Reason("within_reach", 1), _seats(case, option.pools)]
    if case.urgent and found[-1].code in _AT_ONCE:
        found.append(Reason("urgent_and_room", 4))
    low = tuple(sorted(axis for axis, level in (case.levels or {}).items() if level <= 2))
    if low and stage in _EARLY:
        found.append(Reason("earlier_stage_first", _EARLY[stage], about=low))
    if case.prolongation_risk == "true":
        found.append(Reason("plan_for_long_support"))
    if option.id in case.declined_targets:
        found.append(Reason("declined_before", -8))
    return tuple(found)


def _seats(case: Case, pools: Sequence[Pool]) -> Reason:
    """A free seat of the municipality's own pool before one of the general pool, before a place in line."""
    own = sum(pool.free for pool in pools if pool.municipality == case.municipality)
    general = sum(pool.free for pool in pools if pool.municipality is None)
    waiting = sum(pool.waiting for pool in pools if pool.municipality in {None, case.municipality})
    if own:
        return Reason("own_pool_free", 8, count=own)
    if general:
        return Reason("general_pool_free", 6, count=general)
    if pools:
        return Reason("seat_waiting_line", 2, count=waiting)
    return Reason("seats_unknown", 1)
