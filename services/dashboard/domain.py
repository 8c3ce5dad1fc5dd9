"""What the dashboard shows: how far cases came, and how many seats are left. Counts only, never a person."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

STAGES = ("opened", "consented", "assessed", "referred", "accepted", "seat_held", "instructed", "enrolled")
FIELDS = ("basic", "care", "medical_office", "it", "web_design", "sales_office", "regional_needs", "other")


@dataclass(frozen=True)
class Stage:
    """How many cases ever reached this stage; a case counts once, however often it came by."""

    stage: str
    cases: int


@dataclass(frozen=True)
class Pool:
    """The seats of one course run that one party may give out (一般枠, or 委ねた枠 of a municipality)."""

    pool_id: UUID
    kind: str
    municipality: str | None
    granted: int
    held: int
    filled: int
    waiting: int

    @property
    def free(self) -> int:
        """Never below nothing: a quota cut after seats were given leaves none free, not minus two."""
        return max(0, self.granted - self.held - self.filled)


@dataclass(frozen=True)
class CourseRun:
    """One run of a training course (訓練コース) with its pools."""

    course_run_id: UUID
    course_number: str
    field: str
    starts_on: date
    applications_close_at: datetime
    provider: str
    pools: tuple[Pool, ...]

    @property
    def free(self) -> int:
        return sum(pool.free for pool in self.pools)


@dataclass(frozen=True)
class Figures:
    """Everything the start page counts, true at one position of the feed.

    `lag_seconds` is how long the newest event was on its way; none as long as nothing came.
    """

    as_of: datetime
    position: int
    funnel: tuple[Stage, ...]
    seats: tuple[CourseRun, ...]
    lag_seconds: float | None

    @property
    def opened(self) -> int:
        return self.cases("opened")

    def cases(self, stage: str) -> int:
        return next((each.cases for each in self.funnel if each.stage == stage), 0)

    @property
    def free(self) -> int:
        return sum(run.free for run in self.seats)

    @property
    def waiting(self) -> int:
        return sum(pool.waiting for run in self.seats for pool in run.pools)


@dataclass(frozen=True)
class Step:
    """Somebody told that a case reached a stage, or only where the case belongs."""

    case_id: UUID
    stage: str | None
    municipality: str | None
    at: datetime


@dataclass(frozen=True)
class Progress:
    """How far a case came: the first moment at each stage it reached, as far as these steps tell."""

    case_id: UUID
    municipality: str | None
    reached: Mapping[str, datetime]


def progress_of(steps: Iterable[Step]) -> list[Progress]:
    """One progress per case, whatever the order of the steps and however often one is told."""
    municipalities: dict[UUID, str | None] = {}
    reached: dict[UUID, dict[str, datetime]] = {}
    for step in steps:
        municipalities[step.case_id] = municipalities.get(step.case_id) or step.municipality
        first = reached.setdefault(step.case_id, {})
        if step.stage is not None:
            first[step.stage] = min(step.at, first.get(step.stage, step.at))
    return [Progress(case_id, municipalities[case_id], first) for case_id, first in reached.items()]


def share(part: int, whole: int) -> str | None:
    """A percentage with one decimal, halves up; of nothing there is no share."""
    if whole <= 0:
        return None
    tenths = (part * 2000 + whole) // (whole * 2)
    return f"{tenths // 10}.{tenths % 10}%"
