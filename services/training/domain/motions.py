"""Motions (議題): what is proposed, in versions until it is put to the vote, and what can be done with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.training.domain.decisions import Allotment, Selector
from services.training.domain.deliberation import Outcome
from services.training.domain.refusals import Denied


class About(StrEnum):
    """What a motion is about."""

    DELEGATED_QUOTA = "delegated_quota"
    """委ねる枠: seats of courses, entrusted to municipalities."""
    TRAINING_CONTENT = "training_content"
    """The content of commissioned and job-seeker training (委託訓練・求職者支援訓練の内容)."""


class MotionState(StrEnum):
    """Where a motion stands."""

    OPEN = "open"
    UNDER_VOTE = "under_vote"
    DECIDED = "decided"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Move(StrEnum):
    """What can be done with a motion."""

    AMEND = "amend"
    PUT = "put"
    VOTE = "vote"
    CONCLUDE = "conclude"
    WITHDRAW = "withdraw"
    DECIDE_URGENTLY = "decide-urgently"


class Purpose(StrEnum):
    """What a vote is on: the motion itself, or an urgent decision on it (追認)."""

    DECIDE = "decide"
    RATIFY = "ratify"


@dataclass(frozen=True, slots=True)
class Onward:
    """To whom what goes back at the cut-off is offered next, and until which day."""

    municipalities: tuple[str, ...]
    cut_off_on: date


@dataclass(frozen=True, slots=True)
class Seats:
    """One line of a delegated quota: so many seats, for whom, of which courses, and when they come back."""

    municipalities: tuple[str, ...]
    selector: Selector
    seats: int
    cut_off_on: date
    returns_percent: int
    """How much of what is not held returns (返還) on the cut-off date."""
    lendable: bool
    onward: tuple[Onward, ...] = ()
    """One after the other, each until its own day; what the last leaves is for all."""
    carries_over: bool = False
    """Whether fewer than ten seats that are left at the end of its quarter go on to the next."""

    @property
    def allotment(self) -> Allotment:
        """As far as it matters to what contradicts what."""
        return Allotment(frozenset(self.municipalities), self.selector)


@dataclass(frozen=True, slots=True)
class Wish:
    """What training should teach, and for whom."""

    system: str
    field: str
    wish: str
    target_group: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """One version of a motion."""

    title: str
    effective_from: date
    ends_on: date | None
    supersedes: frozenset[UUID]
    allotments: tuple[Seats, ...] = ()
    wish: Wish | None = None


def propose(about: About, proposal: Proposal, *, prefecture: str) -> Denied | None:
    """Whether this can be put before the sub-committee at all."""
    if proposal.ends_on is not None and proposal.ends_on < proposal.effective_from:
        return Denied("ends_before_it_begins", "ends_on")
    if (about is About.TRAINING_CONTENT) != (proposal.wish is not None):
        return Denied("other_kind_of_motion", "wish")
    if about is About.TRAINING_CONTENT:
        return Denied("other_kind_of_motion", "allotments") if proposal.allotments else None
    if not proposal.allotments and not proposal.supersedes:
        return Denied("nothing_allotted", "allotments")
    return _check_allotments(proposal, prefecture)


def _check_allotments(proposal: Proposal, prefecture: str) -> Denied | None:
    for number, line in enumerate(proposal.allotments):
        place = f"allotments/{number}"
        if len(set(line.municipalities)) != len(line.municipalities):
            return Denied("named_twice", f"{place}/municipalities")
        if any(code[:2] != prefecture for code in line.municipalities):
            return Denied("other_prefecture", f"{place}/municipalities")
        if line.cut_off_on < proposal.effective_from:
            return Denied("cut_off_before_effect", f"{place}/cut_off_on")
        if proposal.ends_on is not None and line.cut_off_on > proposal.ends_on:
            return Denied("cut_off_after_end", f"{place}/cut_off_on")
        denied = _check_onward(line, place, proposal.ends_on, prefecture)
        if denied is not None:
            return denied
        if line.carries_over and line.selector.quarter is None:
            return Denied("no_quarter_to_carry_from", f"{place}/carries_over")
        for earlier in proposal.allotments[:number]:
            # A part beside its whole is meant; the same twice is a slip of the pen.
            same = earlier.selector == line.selector
            if same and earlier.allotment.municipalities & line.allotment.municipalities:
                return Denied("allotted_twice", place)
    return None


def in_vain(proposal: Proposal, effective_on: date) -> Denied | None:
    """Whether seats would return before they are granted: decided later than was proposed, it would only end others."""
    late = [number for number, line in enumerate(proposal.allotments) if line.cut_off_on < effective_on]
    return Denied("cut_off_before_effect", f"allotments/{late[0]}/cut_off_on") if late else None


def _check_onward(line: Seats, place: str, ends_on: date | None, prefecture: str) -> Denied | None:
    """Each has a later day than whoever comes before, and nobody is named who had the seats already."""
    had, last = set(line.municipalities), line.cut_off_on
    for step, onward in enumerate(line.onward):
        about = f"{place}/onward/{step}"
        if any(code[:2] != prefecture for code in onward.municipalities):
            return Denied("other_prefecture", f"{about}/municipalities")
        if len(set(onward.municipalities)) != len(onward.municipalities) or had & set(onward.municipalities):
            return Denied("named_twice", f"{about}/municipalities")
        if onward.cut_off_on <= last:
            return Denied("next_ends_too_early", f"{about}/cut_off_on")
        if ends_on is not None and onward.cut_off_on > ends_on:
            return Denied("cut_off_after_end", f"{about}/cut_off_on")
        had, last = had | set(onward.municipalities), onward.cut_off_on
    return None


@dataclass(frozen=True, slots=True)
class Motion:
    """A motion with what has happened to it."""

    id: UUID
    sub_committee_id: UUID
    about: About
    version: int
    ballots: Sequence[tuple[Purpose, Outcome | None]] = ()
    """In their order; None is open."""
    withdrawn: bool = False
    decision_id: UUID | None = None
    urgent: bool = False
    """Decided by the chair, and not ratified, refused or lapsed yet."""

    @property
    def state(self) -> MotionState:
        """Where it stands."""
        if self.decision_id is not None:
            return MotionState.DECIDED
        if self.withdrawn:
            return MotionState.WITHDRAWN
        if self._open:
            return MotionState.UNDER_VOTE
        return MotionState.REJECTED if (Purpose.DECIDE, Outcome.REJECTED) in self.ballots else MotionState.OPEN

    @property
    def _open(self) -> bool:
        return any(outcome is None for _, outcome in self.ballots)

    @property
    def purpose(self) -> Purpose:
        """What the next vote would be on."""
        return Purpose.DECIDE if self.decision_id is None else Purpose.RATIFY


_MOVES: Mapping[MotionState, tuple[Move, ...]] = {
    MotionState.OPEN: (Move.AMEND, Move.PUT, Move.WITHDRAW, Move.DECIDE_URGENTLY),
    MotionState.UNDER_VOTE: (Move.VOTE, Move.CONCLUDE, Move.WITHDRAW),
    MotionState.REJECTED: (),
    MotionState.WITHDRAWN: (),
}


def legal_moves(motion: Motion) -> tuple[Move, ...]:
    """What can be done next. Nothing is edited once it is under vote, and nothing at all once it is decided."""
    if motion.state is not MotionState.DECIDED:
        return _MOVES[motion.state]
    if motion._open:  # noqa: SLF001 - its own module
        return (Move.VOTE, Move.CONCLUDE)
    return (Move.PUT,) if motion.urgent else ()
