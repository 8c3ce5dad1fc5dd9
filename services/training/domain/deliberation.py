"""分科会, the sub-committee: who sits in it, when it may vote, and what a vote came to.

A quorum and a majority are counted from the roll of one meeting, which is written once: who joins or leaves later
changes no vote. What a vote came to is reckoned here and nowhere typed in.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from services.training.domain.refusals import Denied, NotNow


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole that has to be reached: at least so much, or more than so much (過半数: more than 1 of 2)."""

    parts: int
    of: int
    more_than: bool

    def is_reached(self, count: int, total: int) -> bool:
        """Reckoned in whole numbers. Nothing is a share of nobody."""
        if total <= 0:
            return False
        have, need = count * self.of, total * self.parts
        return have > need if self.more_than else have >= need


@dataclass(frozen=True, slots=True)
class Rules:
    """How a sub-committee decides, as it has decided itself."""

    quorum: Share
    majority: Share
    chair_breaks_ties: bool
    ratify_within: int
    """Working days in which an urgent decision has to be ratified."""


def check_rules(rules: Rules) -> Denied | None:
    """Whether anything could ever be decided by them, and a casting vote decides no more than a tie."""
    for name, share in (("quorum", rules.quorum), ("majority", rules.majority)):
        if share.parts > share.of or (share.parts == share.of and share.more_than):
            return Denied("share_out_of_reach", name)
    if rules.chair_breaks_ties and rules.majority.parts * 2 != rules.majority.of:
        return Denied("no_tie_to_break", "chair_breaks_ties")
    return None


# --- who sits -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seat:
    """A body's seat: its agency and the office (役職) that it sends, never a person."""

    id: UUID
    agency: str
    office: str
    voting: bool
    presides: bool
    from_on: date
    until_on: date | None = None
    was_there_on: date | None = None
    """The last day on which it was present, or voted."""

    def sits_on(self, day: date) -> bool:
        """Whether it is a member on that day; the last day still counts."""
        return self.from_on <= day and (self.until_on is None or day <= self.until_on)

    def meets(self, other: "Seat") -> bool:
        """Whether there is a day on which both sit."""
        return (self.until_on is None or other.from_on <= self.until_on) and (
            other.until_on is None or self.from_on <= other.until_on
        )


def seat_member(new: Seat, seats: Sequence[Seat]) -> Denied | None:
    """Whether the seat may be added: one per body and office at a time, and one chair (部会長)."""
    if new.presides and not new.voting:
        return Denied("chair_votes", "presides")
    for seat in seats:
        if seat.meets(new) and (seat.agency, seat.office) == (new.agency, new.office):
            return Denied("already_a_member", "agency")
        if seat.meets(new) and seat.presides and new.presides:
            return Denied("chair_already_there", "presides")
    return None


def end_membership(seat: Seat, until_on: date) -> Denied | None:
    """Whether a membership may end so: once, and not before it was last used."""
    if seat.until_on is not None:
        return Denied("membership_ended", "member_id")
    if until_on < seat.from_on:
        return Denied("ends_before_it_begins", "until_on")
    if seat.was_there_on is not None and until_on < seat.was_there_on:
        return Denied("was_there_later", "until_on")
    return None


# --- meetings -------------------------------------------------------------------------------------------------------


class MeetingKind(StrEnum):
    """How the members come together."""

    MEETING = "meeting"
    WRITTEN = "written"
    """持ち回り: everybody with a vote answers in writing, by a moment that is set."""


class Step(StrEnum):
    """What happened to a meeting."""

    CONVENED = "convened"
    HELD = "held"
    CLOSED = "closed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting, or a written resolution, with what has happened to it."""

    id: UUID
    kind: MeetingKind
    held_on: date | None
    answers_by: datetime | None
    steps: frozenset[Step] = frozenset()
    agenda: int = 0
    """How many items."""
    ballots: int = 0
    open_ballots: int = 0

    @property
    def votes(self) -> bool:
        """Whether votes can be taken in it."""
        begins = Step.HELD if self.kind is MeetingKind.MEETING else Step.CONVENED
        return begins in self.steps and not self.steps & {Step.CLOSED, Step.CANCELLED}

    def answers_are_late(self, now: datetime) -> bool:
        """Whether written answers come too late; the moment itself is in time."""
        return self.answers_by is not None and now > self.answers_by


def legal_steps(meeting: Meeting) -> tuple[Step, ...]:
    """What can be done next with a meeting."""
    steps = meeting.steps
    if steps & {Step.CLOSED, Step.CANCELLED}:
        return ()
    if Step.CONVENED not in steps:
        return (Step.CONVENED, Step.CANCELLED)
    if meeting.votes:
        return (
            (Step.CLOSED,) if meeting.kind is MeetingKind.MEETING or meeting.ballots else (Step.CLOSED, Step.CANCELLED)
        )
    return (Step.HELD, Step.CANCELLED)


def take_step(meeting: Meeting, step: Step, *, now: datetime, today: date) -> Denied | NotNow | None:
    """None: it may."""
    legal = legal_steps(meeting)
    if step not in legal:
        return NotNow(legal)
    match step:
        case Step.CONVENED:
            if not meeting.agenda:
                return Denied("nothing_on_the_agenda", "agenda")
            return Denied("answers_by_passed", "answers_by") if meeting.answers_are_late(now) else None
        case Step.HELD:
            early = meeting.held_on is not None and today < meeting.held_on
            return Denied("not_yet_the_day", "held_on") if early else None
        case Step.CLOSED:
            return Denied("votes_open", "meeting_id") if meeting.open_ballots else None
        case Step.CANCELLED:
            return None
        case _:
            assert_never(step)


@dataclass(frozen=True, slots=True)
class Place:
    """One line of a meeting's roll (出欠)."""

    member_id: UUID
    agency: str
    voting: bool
    presides: bool
    present: bool


def call_roll(seats: Sequence[Seat], day: date, present: Collection[UUID]) -> list[Place] | Denied:
    """Everybody who is a member on the day, and who of them was there."""
    sitting = [seat for seat in seats if seat.sits_on(day)]
    if set(present) - {seat.id for seat in sitting}:
        return Denied("no_member_that_day", "present")
    return [Place(seat.id, seat.agency, seat.voting, seat.presides, seat.id in present) for seat in sitting]


# --- votes ----------------------------------------------------------------------------------------------------------


class Choice(StrEnum):
    """What a member says to a motion."""

    FOR = "for"
    AGAINST = "against"
    ABSTAIN = "abstain"


class Outcome(StrEnum):
    """What a vote came to."""

    PASSED = "passed"
    REJECTED = "rejected"
    NO_QUORUM = "no_quorum"
    """Too few were there: nothing was decided, and the motion may be put again."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes, counted. `base`: of how many a majority is needed."""

    entitled: int
    present: int
    base: int
    fors: int
    againsts: int
    abstentions: int
    chair_is_for: bool


def vote(meeting: Meeting, place: Place | None, *, has_voted: bool, now: datetime) -> Denied | None:
    """Whether this seat may vote now."""
    if place is None:
        return Denied("not_on_the_roll", "member_id")
    if not place.voting:
        return Denied("only_advises", "member_id")
    if meeting.kind is MeetingKind.MEETING and not place.present:
        return Denied("was_not_there", "member_id")
    if has_voted:
        return Denied("already_voted", "member_id")
    if meeting.answers_are_late(now):
        return Denied("answers_by_passed", "answers_by")
    return None


def count(kind: MeetingKind, roll: Sequence[Place], votes: Mapping[UUID, Choice]) -> Tally:
    """Count a vote.

    In a meeting a majority is needed of those present, so that to abstain is no consent; in writing, of all who have
    a vote, since nobody heard the others. Advisers are part of neither.
    """
    voting = [place for place in roll if place.voting]
    there = [place for place in voting if (place.present if kind is MeetingKind.MEETING else place.member_id in votes)]
    choices = [votes[place.member_id] for place in there if place.member_id in votes]
    return Tally(
        entitled=len(voting),
        present=len(there),
        base=len(there) if kind is MeetingKind.MEETING else len(voting),
        fors=choices.count(Choice.FOR),
        againsts=choices.count(Choice.AGAINST),
        abstentions=choices.count(Choice.ABSTAIN),
        chair_is_for=any(place.presides and votes.get(place.member_id) is Choice.FOR for place in there),
    )


def outcome(tally: Tally, rules: Rules) -> Outcome:
    """What the vote came to. A tie is no majority, unless the rules let the chair break it (可否同数)."""
    if not rules.quorum.is_reached(tally.present, tally.entitled):
        return Outcome.NO_QUORUM
    tie_broken = (
        rules.chair_breaks_ties
        and tally.chair_is_for
        and tally.fors == tally.againsts
        and rules.majority.is_reached(tally.fors + 1, tally.base)
    )
    return Outcome.PASSED if tie_broken or rules.majority.is_reached(tally.fors, tally.base) else Outcome.REJECTED


def conclude_vote(
    meeting: Meeting, roll: Sequence[Place], votes: Mapping[UUID, Choice], rules: Rules, *, now: datetime
) -> tuple[Outcome, Tally] | Denied:
    """Close a vote, once all have voted who are there; in writing, once all have answered or the time is over."""
    tally = count(meeting.kind, roll, votes)
    awaited = tally.present if meeting.kind is MeetingKind.MEETING else tally.entitled
    if len(votes) < awaited and not meeting.answers_are_late(now):
        return Denied("votes_are_missing", "motion_id")
    return outcome(tally, rules), tally
