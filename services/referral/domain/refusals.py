"""What became of a case's referrals, and what a no is worth today: who gave it back is not proposed of itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.referral.domain.moves import AT_WORK
from services.referral.domain.options import Capacity, Option, Programme, Stage
from services.referral.domain.states import CAME_TO_NOTHING, DeclineReason, State, Verb


@dataclass(frozen=True, slots=True)
class Been:
    """A referral of the case, as far as routing asks: where to, how it stands, and since which day."""

    target: UUID
    verb: str
    state: str
    reason: str | None = None
    outcome: str | None = None
    since: date | None = None
    stage: str | None = None
    """Of its programme; a course has none of its own."""
    needs: Sequence[str] | None = None

    @property
    def accepted(self) -> bool:
        """Somebody took the person on, and it came to something; what was not begun or broken off did not."""
        return (self.state in AT_WORK or self.state == State.CLOSED) and self.outcome not in CAME_TO_NOTHING

    @property
    def rung(self) -> Stage:
        """Where the person stands or stood there."""
        return Stage.VOCATIONAL_TRAINING if self.stage is None else Stage(self.stage)


_NO = frozenset({State.DECLINED, State.REROUTED, State.EXPIRED})
"""It was given back, passed on as nothing for this place, or left without an answer."""
_ANSWERED = _NO | AT_WORK | {State.CLOSED}


def last_words(referrals: Iterable[Been]) -> dict[UUID, Been]:
    """The newest answer of each target, the oldest referral first. What its sender took back was no answer.

    Of a request the holder answers: its no is none of the programme's.
    """
    return {
        each.target: each
        for each in referrals
        if each.state in _ANSWERED and not (each.verb == Verb.REQUEST and each.state in _NO)
    }


def refused(last: Mapping[UUID, Been], options: Mapping[int, Option], today: date) -> frozenset[UUID]:
    """Whose no holds today. They answer no need of this case, and are not proposed of themselves."""
    return frozenset(
        target
        for target, been in last.items()
        if been.state in _NO and not _has_passed(been, options.get(target.int), today)
    )


def _has_passed(been: Been, option: Option | None, today: date) -> bool:
    """No room, and silence, pass once the programme's own agency says on a later day that there is room."""
    may_pass = been.state == State.EXPIRED or (
        been.state == State.DECLINED and been.reason == DeclineReason.NO_CAPACITY
    )
    if not may_pass or been.since is None or not isinstance(option, Programme):
        return False
    told_on = option.capacity_confirmed_on
    return told_on is not None and told_on > been.since and option.room_on(today) is Capacity.HAS_ROOM
