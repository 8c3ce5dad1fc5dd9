"""Where a case may go: every option in its place, with reasons. Nobody is left out for being difficult."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID


class Stage(StrEnum):
    """The ladder of staged support, lowest rung first."""

    OUTREACH = "outreach"
    DROP_IN = "drop_in"
    WORK_READINESS = "work_readiness"
    WORK_TRAINING = "work_training"
    VOCATIONAL_TRAINING = "vocational_training"
    JOB = "job"
    RETENTION = "retention"


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
    """枠: how many seats of a course run there are for a municipality, or for all."""

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
    system: str
    municipality: str
    starts_on: date
    ends_on: date
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
COUNTER_TOPICS = frozenset(
    {
        "rent_or_loan",
        "taxes_and_utilities",
        "debt",
        "community",
        "child_raising",
        "care",
        "withdrawal",
        "violence",
        "nothing_to_eat",
    }
)
"""What a person comes with, beside the needs of the same name, and what no course answers, however good it is."""
_SAYS_NOTHING = frozenset({"other"})
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

    Low levels move earlier rungs of the ladder forward and leave everything else as it was. The prolongation flag adds
    a remark about the pace and nothing more: it never excludes and never lowers a place (DOMAIN.md 4).
    """
    wanted = case.needs or case.topics - _SAYS_NOTHING
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
        return frozenset(wanted) - COUNTER_NEEDS - COUNTER_TOPICS
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


def _reasons(case: Case, option: Programme | CourseRun, stage: Stage, answered: Collection[str]) -> tuple[Reason, ...]:
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
