"""Decisions of the sub-committee: which is in force at a moment, and which contradict one another.

Nothing but facts is kept: when a decision takes effect and ends, what it supersedes, by when an urgent one has to be
ratified and whether it was. Where it stands is reckoned for a moment. `training_0005` reckons the same in SQL, for
those who grant seats on a decision.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from services.training.domain.refusals import Denied


class DecisionState(StrEnum):
    """Where a decision stands at a moment."""

    NOT_YET_IN_FORCE = "not_yet_in_force"
    IN_FORCE = "in_force"
    SUPERSEDED = "superseded"
    LAPSED = "lapsed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Selector:
    """Of which course runs: one by its number, or all of a fiscal year by system, field and quarter; None is any."""

    course_number: str | None = None
    system: str | None = None
    field: str | None = None
    quarter: int | None = None
    fiscal_year: int | None = None

    def overlaps(self, other: "Selector") -> bool:
        """Whether both speak of the same seats. One run beside a class of runs is something of its own."""
        if self.course_number is not None or other.course_number is not None:
            return self.course_number == other.course_number
        return self.fiscal_year == other.fiscal_year and all(
            mine is None or theirs is None or mine == theirs
            for mine, theirs in (
                (self.system, other.system),
                (self.field, other.field),
                (self.quarter, other.quarter),
            )
        )


@dataclass(frozen=True, slots=True)
class Allotment:
    """Seats entrusted to municipalities (委ねる枠), to each by itself or to several together."""

    municipalities: frozenset[str]
    selector: Selector

    def overlaps(self, other: "Allotment") -> bool:
        """Whether both give the same seats to the same municipality."""
        return bool(self.municipalities & other.municipalities) and self.selector.overlaps(other.selector)


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision, as far as it matters to when it is in force. What ends it, ends it at that moment."""

    id: UUID
    kind: str
    number: str
    effective_at: datetime
    ends_at: datetime | None = None
    ratify_before: datetime | None = None
    """Of an urgent one."""
    ratified_at: datetime | None = None
    refused_at: datetime | None = None
    supersedes: frozenset[UUID] = frozenset()
    allotments: tuple[Allotment, ...] = ()
    version: int = 1

    @property
    def lapses_at(self) -> datetime | None:
        """When it lapses as things stand: unratified by its limit, or refused before. A later ratification is none."""
        if self.refused_at is not None:
            return self.refused_at
        if self.ratify_before is None or (self.ratified_at is not None and self.ratified_at < self.ratify_before):
            return None
        return self.ratify_before

    def has_lapsed(self, at: datetime) -> bool:
        """Whether it has lapsed at that moment."""
        return self.lapses_at is not None and at >= self.lapses_at

    def is_final(self) -> bool:
        """Whether it can't lapse any more."""
        return self.lapses_at is None


Book = Mapping[UUID, Decision]
"""Every decision of a sub-committee."""
_RANK = {DecisionState.LAPSED: 1, DecisionState.SUPERSEDED: 2, DecisionState.ENDED: 3}


def state_at(book: Book, decision_id: UUID, at: datetime) -> DecisionState:
    """Where a decision stands. What ended it first has ended it; what a lapsed decision had superseded is back."""
    decision = book[decision_id]
    ended = sorted((when, _RANK[state], state) for state, when in _ends(book, decision, at) if when <= at)
    if ended:
        return ended[0][2]
    return DecisionState.IN_FORCE if decision.effective_at <= at else DecisionState.NOT_YET_IN_FORCE


def _ends(book: Book, decision: Decision, at: datetime) -> Iterator[tuple[DecisionState, datetime]]:
    if decision.lapses_at is not None:
        yield DecisionState.LAPSED, decision.lapses_at
    if decision.ends_at is not None:
        yield DecisionState.ENDED, decision.ends_at
    for newer in _superseding(book, decision):
        if not newer.has_lapsed(at):
            yield DecisionState.SUPERSEDED, newer.effective_at


def _superseding(book: Book, decision: Decision) -> Iterable[Decision]:
    return (newer for newer in book.values() if decision.id in newer.supersedes)


def in_force(book: Book, at: datetime) -> set[UUID]:
    """Which decisions are in force."""
    return {each for each in book if state_at(book, each, at) is DecisionState.IN_FORCE}


# --- what contradicts what ------------------------------------------------------------------------------------------

_FOR_EVER = datetime.max.replace(tzinfo=UTC)


def decide(new: Decision, book: Book, *, now: datetime) -> Denied | None:
    """Whether a decision may be added: it names what it supersedes, and contradicts nothing else that may be in force.

    An urgent decision that is not ratified yet may still lapse, and then what it superseded is back: so that counts.
    """
    if new.ends_at is not None and new.ends_at <= new.effective_at:
        return Denied("over_before_it_begins", "ends_on")
    gone = [old for old in new.supersedes if old not in book or not _can_be_superseded(book, book[old], new, now)]
    if gone:
        return Denied("nothing_to_supersede", "supersedes", tuple({"decision_id": str(each)} for each in sorted(gone)))
    named = [
        {"decision_id": str(old.id), "number": old.number, "municipality": municipality}
        for old in book.values()
        if old.id not in new.supersedes and _meet(book, new, old, now)
        for municipality in _shared(new, old)
    ]
    return Denied("contradicts_decision_in_force", "supersedes", tuple(named)) if named else None


def _can_be_superseded(book: Book, old: Decision, new: Decision, now: datetime) -> bool:
    return old.kind == new.kind and new.effective_at < _may_last_until(book, old, now)


def _meet(book: Book, new: Decision, old: Decision, now: datetime) -> bool:
    """Whether there can be a moment at which both are in force."""
    ends = min(new.ends_at or _FOR_EVER, _may_last_until(book, old, now))
    return max(new.effective_at, old.effective_at) < ends


def _may_last_until(book: Book, decision: Decision, now: datetime) -> datetime:
    """The latest moment until which it can be in force, whatever is ratified or not."""
    ends = [decision.ends_at or _FOR_EVER]
    if decision.lapses_at is not None and decision.has_lapsed(now):
        ends.append(decision.lapses_at)
    ends += [newer.effective_at for newer in _superseding(book, decision) if newer.is_final()]
    return min(ends)


def _shared(new: Decision, old: Decision) -> list[str]:
    return sorted(
        {
            municipality
            for mine in new.allotments
            for theirs in old.allotments
            if mine.overlaps(theirs)
            for municipality in mine.municipalities & theirs.municipalities
        }
    )


def next_version(new: Decision, book: Book) -> int:
    """A decision is one version on from what it supersedes."""
    return 1 + max((book[old].version for old in new.supersedes), default=0)


def ratify(decision: Decision, now: datetime) -> Denied | None:
    """Whether an urgent decision can be ratified, or refused, at this moment."""
    if decision.ratify_before is None or decision.ratified_at is not None or decision.refused_at is not None:
        return Denied("nothing_to_ratify", "motion_id")
    if decision.has_lapsed(now):
        return Denied("decision_lapsed", "motion_id", ({"decision_id": str(decision.id), "number": decision.number},))
    return None
