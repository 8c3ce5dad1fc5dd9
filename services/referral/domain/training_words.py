"""What training tells of somebody who was referred to a course run, as an outcome of that referral.

Each fact is corrected by the next word about the same thing: the outcome is reckoned from the words that stand.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.referral.domain.moves import AT_WORK, Referral
from services.referral.domain.states import CAME_TO_NOTHING, Outcome, State, how_far

END = "end"
"""What a word is about: the end of training, or one of the set days after it."""
PAPER = "paper"
"""The papers that send into training, which are no outcome: of these words only how new the last one is counts."""
_AT_WORK = frozenset({"employed_insured", "employed", "self_employed"})


@dataclass(frozen=True, slots=True)
class Seat:
    """Of which seat, or place in line, training tells, and when it told."""

    id: UUID
    course_run_id: UUID
    told_at: datetime
    consent_version: int = 0
    """The word about consent on which the person agreed to it instead of another seat."""

    def is_newer(self, since: datetime | None) -> bool:
        """Than a seat of which was first told then. One ends before the next begins, so that their words never mix."""
        return since is None or self.told_at >= since


def with_seat(seat: Seat | None, referral: Referral) -> Referral:
    """The referral, with this seat as the one that goes on for it."""
    if seat is None or seat.id == referral.seat_request_id:
        return referral
    return replace(referral, seat_request_id=seat.id, seat_since=seat.told_at, seat_course_run_id=seat.course_run_id)


def of_end(ending: str, *, for_work: bool) -> Outcome:
    """Completed (修了), or left (中途退校): for work, or to nothing."""
    if ending == "completed":
        return Outcome.COMPLETED
    return Outcome.EMPLOYED if for_work else Outcome.BROKEN_OFF


def of_set_day(checkpoint: str, outcome: str) -> Outcome | None:
    """Work on a set day; on the day three months after, still in work. Who seeks it has come no further."""
    if outcome in _AT_WORK:
        return Outcome.EMPLOYED_3_MONTHS if checkpoint == "three_months" else Outcome.EMPLOYED
    return Outcome.NEXT_STAGE if outcome == "further_training" else None


def standing(words: Collection[Outcome | None]) -> Outcome | None:
    """The furthest of what stands."""
    return max((word for word in words if word is not None), key=how_far, default=None)


def moves(
    state: State, shown: str | None, before: Collection[Outcome | None], words: Collection[Outcome | None]
) -> tuple[str, ...]:
    """Which moves lead from the words that stood `before` to those that stand now; `shown`: the referral's outcome.

    Who came further has not been corrected. What somebody said by hand stays; training corrects only itself.
    """
    was, after = standing(before), standing(words)
    if after is None or after is was:
        return ()
    if state is State.OUTCOME_SET and after not in CAME_TO_NOTHING and how_far(shown or "") > how_far(after):
        return ("close", "add_outcome")
    if state in AT_WORK:
        return ("set_outcome", "close")
    if state is State.CLOSED:
        return ("correct_outcome",) if shown == was and was not in words else ("add_outcome",)
    return ()
