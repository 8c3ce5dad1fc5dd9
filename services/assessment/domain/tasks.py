"""Tasks: whatever has an owner and a day. The rule's duties, a conference's decisions, a plan's monitoring are such.

Nothing that is overdue is invisible: it stays on its owner's list, the holder is told when its day has passed, and the
whole municipality sees it once that has not helped either.
"""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.assessment.domain.moves import Table, line
from services.assessment.domain.rule import WorkingDayAfter


class Kind(StrEnum):
    """What is to be done."""

    JOINT_CONFERENCE = "joint_conference"
    """合同ケース会議を開く: the rule asks for it."""
    REASSESSMENT = "reassessment"
    REFERRAL = "referral"
    """Refer the case to a programme."""
    SEAT = "seat"
    """Ask for a seat in a course."""
    CONSENT_TO_SEEK = "consent_to_seek"
    ACTION = "action"
    """Whatever was written down in words."""
    MONITORING = "monitoring"
    """Look how the plan goes."""
    NEXT_STEP = "next_step"
    """職親の次の段階: a step was completed, look with the person at the next one."""


ELSEWHERE = frozenset({Kind.REFERRAL, Kind.SEAT})
"""Whose effect is another service's: they are done when that says so."""


class State(StrEnum):
    """Where a task stands."""

    PLANNED = "planned"
    """Decided in a conference that is not concluded: nobody was told yet."""
    OPEN = "open"
    ARRIVED = "arrived"
    """Its effect is there, in the service whose business it is, and not finished."""
    CAME_BACK = "came_back"
    """It could not be done there, with a reason: its owner has to act."""
    DONE = "done"
    DROPPED = "dropped"


class Party(StrEnum):
    """Who moves a task."""

    OWNER = "owner"
    HOLDER = "holder"
    NEWS = "news"
    """What another service told."""
    SERVICE = "service"
    """What happens here: a conference is concluded, a rating recorded, the case closed."""


_HANDS = (Party.OWNER, Party.HOLDER)
MOVES: Table = (
    line("begin", [Party.SERVICE], [State.PLANNED], State.OPEN),
    line("arrive", [Party.NEWS], [State.OPEN, State.CAME_BACK], State.ARRIVED),
    # A receiver passed it on to a better place: it goes on there.
    line("pass_on", [Party.NEWS], [State.ARRIVED]),
    line("come_back", [Party.NEWS], [State.OPEN, State.ARRIVED], State.CAME_BACK),
    line("finish", [*_HANDS, Party.NEWS, Party.SERVICE], [State.OPEN, State.ARRIVED, State.CAME_BACK], State.DONE),
    line("hand_on", _HANDS, [State.OPEN, State.CAME_BACK]),
    line("postpone", [Party.HOLDER], [State.OPEN, State.CAME_BACK]),
    line(
        "drop",
        [Party.HOLDER, Party.SERVICE],
        [State.PLANNED, State.OPEN, State.ARRIVED, State.CAME_BACK],
        State.DROPPED,
    ),
)
"""The state machine of a task."""
_RECORDED = tuple(
    replace(move, by=move.by - set(_HANDS)) if move.name in {"finish", "drop"} else move for move in MOVES
)
_WITHIN_THE_MEETING = tuple(move for move in MOVES if move.name != "hand_on")


def moves_of(kind: Kind, lane: str) -> Table:
    """What may be done with such a task.

    Monitoring is done by recording it: nobody ticks it off unseen. What Art. 9 brought stays with who sat there.
    """
    if lane != "consent":
        return _WITHIN_THE_MEETING
    return _RECORDED if kind is Kind.MONITORING else MOVES


WAITING = frozenset({State.OPEN, State.ARRIVED, State.CAME_BACK})
"""Somebody has something to do, or to wait for."""


class DropReason(StrEnum):
    """Why a task need not be done any more."""

    NOT_NEEDED = "not_needed"
    PERSON_WISHES = "person_wishes"
    OTHER_WAY_FOUND = "other_way_found"
    MISTAKE = "mistake"
    NO_LONGER_FLAGGED = "no_longer_flagged"
    """The newest rating has no low axis any more."""
    CASE_CLOSED = "case_closed"
    CONSENT_ENDED = "consent_ended"
    CONFERENCE_CANCELLED = "conference_cancelled"
    PLAN_CHANGED = "plan_changed"
    """Another version of the plan was decided, and asks for other things."""
    PLAN_ENDED = "plan_ended"


@dataclass(frozen=True, slots=True)
class Task:
    """One task, as far as deciding about it needs."""

    id: UUID
    case_id: UUID
    kind: Kind
    state: State
    owner: str
    due_on: date
    tier: int = 0
    """How far its being overdue was told: 1 to the holder, 2 to the municipality."""

    def parties(self, agency: str, holder: str) -> frozenset[Party]:
        """In which parts an agency takes part."""
        return frozenset(
            {party for party, name in ((Party.OWNER, self.owner), (Party.HOLDER, holder)) if name == agency}
        )

    def overdue(self, today: date) -> bool:
        """Its last day has passed, and it is not done."""
        return self.state in WAITING and self.due_on < today


SECOND_TIER = 5
"""Working days after which telling the holder has not helped."""


def tier_on(task: Task, today: date, working_day_after: WorkingDayAfter) -> int:
    """To whom an overdue task must have been told by this day; 0: to nobody."""
    if not task.overdue(today):
        return 0
    return 2 if today > working_day_after(task.due_on, SECOND_TIER) else 1
