"""What a case may be referred to: programmes and course runs, each on a rung of the ladder of support."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
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


LADDER = tuple(Stage)
ENTRY = Stage.OUTREACH
"""Where a case stands that nobody has accepted yet: somebody has reached the person, nothing more."""


class Capacity(StrEnum):
    """空き状況 of a programme. Not known is not room."""

    HAS_ROOM = "has_room"
    FULL = "full"
    WAITING_LIST = "waiting_list"
    ASK_FIRST = "ask_first"
    UNKNOWN = "unknown"


ROOM_IS_NEWS_FOR = timedelta(days=30)
"""So long a word about room counts; then nobody knows."""


def room_today(said: Capacity, confirmed_on: date | None, today: date) -> Capacity:
    """What the last word about room is worth today: too old, or of no day, it is `unknown`, and unknown is no room."""
    return said if is_news(confirmed_on, today) else Capacity.UNKNOWN


def is_news(said_on: date | None, today: date) -> bool:
    """Whether a word about room, or about trial places, still holds."""
    return said_on is not None and timedelta() <= today - said_on < ROOM_IS_NEWS_FOR


@dataclass(frozen=True, slots=True)
class Programme:
    """事業: what an agency offers, where, for whom, for which needs, and from when to when."""

    id: UUID
    agency_id: str
    name: str
    function: str
    stage: Stage
    municipalities: frozenset[str]
    needs: frozenset[str]
    capacity: Capacity
    strand: int = 4
    for_whom: frozenset[str] = frozenset()
    """Target groups; none, or `any`: everybody."""
    conditions: frozenset[str] = frozenset()
    """Codes of what it asks of a person; only the agency and the person can say whether they hold."""
    legal_basis: str | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    capacity_total: int | None = None
    capacity_free: int | None = None
    capacity_confirmed_on: date | None = None
    confirmed_on: date | None = None

    def room_on(self, today: date) -> Capacity:
        """What is known of its room today."""
        return room_today(self.capacity, self.capacity_confirmed_on, today)


@dataclass(frozen=True, slots=True)
class Pool:
    """枠: how many seats of a course run there are for a municipality, or for all."""

    municipality: str | None
    granted: int
    held: int
    filled: int
    waiting: int
    municipalities: tuple[str, ...] = ()
    """Whose they are together, where several share them."""

    @property
    def whose(self) -> frozenset[str]:
        """The municipalities whose people may have them; empty: everybody's."""
        return frozenset(self.municipalities if self.municipality is None else [self.municipality])

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


Option = Programme | CourseRun


def stage_of(option: Option) -> Stage:
    """The rung it stands on."""
    return option.stage if isinstance(option, Programme) else Stage.VOCATIONAL_TRAINING


def receiver_of(option: Option) -> str:
    """Which agency would get the referral."""
    return option.agency_id if isinstance(option, Programme) else option.provider


def covers(codes: Collection[str], municipality: str) -> bool:
    """Whether an area holds a municipality; a prefecture's own code (…000…) covers all its towns."""
    return municipality in codes or any(code[2:5] == "000" and code[:2] == municipality[:2] for code in codes)
