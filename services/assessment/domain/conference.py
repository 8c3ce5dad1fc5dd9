"""合同ケース会議, the joint case conference: its lane, its states, and which decisions each lane can bear.

In the lane of consent the person agreed that the members speak of them. In the lane of Art. 9 (支援会議,
生活困窮者自立支援法) they did not, or could not yet: it is bound to its members and its day, nothing of it is told
anywhere else, and what would show the person to somebody new has to wait for consent.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.assessment.domain.moves import Table, line
from services.assessment.domain.tasks import Kind


class Lane(StrEnum):
    """On which ground the members may speak of the person at all."""

    CONSENT = "consent"
    ART_9 = "shien_kaigi_art9"


CALLS_ART_9 = frozenset({"self_reliance_desk", "welfare_office", "municipality"})
"""Whose kind of agency may call it: the municipality or its desk (Art. 9(1))."""

DECISIONS: Mapping[Lane, frozenset[Kind]] = {
    Lane.CONSENT: frozenset({Kind.REFERRAL, Kind.SEAT, Kind.REASSESSMENT, Kind.CONSENT_TO_SEEK, Kind.ACTION}),
    Lane.ART_9: frozenset({Kind.CONSENT_TO_SEEK, Kind.ACTION}),
}
"""What can be decided. A referral or a seat shows the person to somebody who was not in the meeting."""


class State(StrEnum):
    """How far a conference has come."""

    CALLED = "called"
    IN_SESSION = "in_session"
    CONCLUDED = "concluded"
    CANCELLED = "cancelled"


class Party(StrEnum):
    """Who acts in it."""

    CHAIR = "chair"
    MEMBER = "member"


_BEFORE, _DURING = State.CALLED, State.IN_SESSION
_ALL = (Party.CHAIR, Party.MEMBER)
MOVES: Table = (
    line("invite", [Party.CHAIR], [_BEFORE]),
    line("postpone", [Party.CHAIR], [_BEFORE]),
    line("cancel", [Party.CHAIR], [_BEFORE], State.CANCELLED),
    line("answer", _ALL, [_BEFORE]),
    line("put_on_agenda", _ALL, [_BEFORE, _DURING]),
    line("map_problem", _ALL, [_BEFORE, _DURING]),
    line("rate_jointly", [Party.CHAIR], [_BEFORE, _DURING]),
    line("open", [Party.CHAIR], [_BEFORE], _DURING),
    line("decide", [Party.CHAIR], [_DURING]),
    line("write_minutes", [Party.CHAIR], [_DURING]),
    line("conclude", [Party.CHAIR], [_DURING], State.CONCLUDED),
)
"""The state machine of a conference."""


@dataclass(frozen=True, slots=True)
class NotCalled:
    """It can't be: in_the_past, not_the_desk, not_covered (members), nobody_else."""

    reason: str
    members: tuple[str, ...] = ()


def call(
    lane: Lane,
    held_on: date,
    *,
    by: str,
    by_kind: str,
    members: Collection[str],
    covered: Collection[str],
    today: date,
) -> NotCalled | None:
    """Whether it may be called. `covered`: the agencies to which consent reaches, for the purpose case_conference."""
    if held_on < today:
        return NotCalled("in_the_past")
    if not set(members) - {by}:
        return NotCalled("nobody_else")
    if lane is Lane.ART_9:
        return None if by_kind in CALLS_ART_9 else NotCalled("not_the_desk")
    strangers = tuple(sorted(set(members) - set(covered) - {by}))
    return NotCalled("not_covered", strangers) if strangers else None


def may_see(lane: Lane, held_on: date, *, agency: str, chair: str, members: Collection[str], today: date) -> bool:
    """Whether an agency sees what is said in it, as far as the lane goes.

    In the lane of Art. 9 that is its members on its day, before and after it the chair alone. In the lane of consent it
    is its members as long as consent stands, which is asked each time, elsewhere.
    """
    if agency == chair:
        return True
    return agency in members and (lane is Lane.CONSENT or today == held_on)


# --- the problem map ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mapped:
    """A need, who covers it today, and who could."""

    need: str
    covered_by: frozenset[str]
    could: frozenset[str]

    @property
    def standing(self) -> str:
        """covered; open: somebody could; missing: nobody could, in this region."""
        return "covered" if self.covered_by else "open" if self.could else "missing"
