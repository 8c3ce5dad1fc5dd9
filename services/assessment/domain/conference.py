"""合同ケース会議, the joint case conference: its lane, its states, and which decisions each lane can bear.

In the lane of consent the person agreed that the members speak of them. In the lane of Art. 9 (支援会議,
生活困窮者自立支援法) they did not, or could not yet: it is bound to its members and its day, nothing of it is told
anywhere else, and what would show the person to somebody new has to wait for consent.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.assessment.domain.moves import Moved, NotMoved, Table, advance, legal, line
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
    HOLDER = "holder"
    """Who holds the case, with the person's consent alone: Art. 9 knows members only."""


class Answer(StrEnum):
    """What a member said to the invitation."""

    ASKED = "asked"
    COMING = "coming"
    NOT_COMING = "not_coming"


_BEFORE, _DURING = State.CALLED, State.IN_SESSION
_ALL = (Party.CHAIR, Party.MEMBER)
MOVES: Table = (
    line("invite", [Party.CHAIR], [_BEFORE]),
    line("postpone", [Party.CHAIR], [_BEFORE]),
    line("cancel", [Party.CHAIR, Party.HOLDER], [_BEFORE, _DURING], State.CANCELLED),
    line("answer", _ALL, [_BEFORE]),
    line("put_on_agenda", _ALL, [_BEFORE, _DURING]),
    line("map_problem", _ALL, [_BEFORE, _DURING]),
    line("rate_jointly", [Party.CHAIR], [_BEFORE, _DURING]),
    line("open", [Party.CHAIR], [_BEFORE], _DURING),
    line("decide", [Party.CHAIR], [_DURING]),
    line("undo_decision", [Party.CHAIR], [_DURING]),
    line("write_minutes", [Party.CHAIR], [_DURING]),
    line("conclude", [Party.CHAIR], [_DURING], State.CONCLUDED),
)
"""The state machine of a conference."""
OPEN = frozenset({State.CALLED, State.IN_SESSION})
"""It is still to be held, or being held."""
_AHEAD_OF_THE_DAY = frozenset({"invite", "postpone", "cancel", "put_on_agenda", "map_problem"})
_AFTER_THE_DAY = frozenset({"postpone", "cancel", "write_minutes", "conclude"})
"""What a chair may do in the lane of Art. 9 when the members are not bound by the day: call it, and keep its record."""


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A place in the meeting: an agency, and the profession with which it sits there."""

    agency: str
    profession: str
    answer: Answer = Answer.ASKED
    present: bool | None = None
    """None until it is concluded."""


@dataclass(frozen=True, slots=True)
class Conference:
    """One conference, as far as deciding about it needs."""

    id: UUID
    case_id: UUID
    lane: Lane
    chair: str
    state: State
    held_on: date
    members: tuple[Member, ...]

    @property
    def agencies(self) -> frozenset[str]:
        """Who is bound by it: the chair, and everybody who was asked."""
        return frozenset({self.chair, *(member.agency for member in self.members)})

    def parties(self, agency: str, holder: str) -> frozenset[Party]:
        """In which parts an agency takes part."""
        parts = {
            Party.CHAIR: agency == self.chair,
            Party.MEMBER: agency in self.agencies,
            Party.HOLDER: agency == holder and self.lane is Lane.CONSENT,
        }
        return frozenset(party for party, takes in parts.items() if takes)


def legal_on(conference: Conference, parties: Collection[str], today: date) -> tuple[str, ...]:
    """What these parties may do with it today, in the table's order."""
    names = legal(MOVES, conference.state, parties)
    return tuple(name for name in names if _in_its_time(conference, name, today))


def move(conference: Conference, name: str, parties: Collection[str], today: date) -> Moved | NotMoved:
    """Do one thing of the table on its day, or say what could be done instead."""
    moved = advance(MOVES, conference.state, name, parties)
    if isinstance(moved, Moved) and _in_its_time(conference, name, today):
        return moved
    return NotMoved(legal_on(conference, parties, today))


def _in_its_time(conference: Conference, name: str, today: date) -> bool:
    if name == "open":
        late = conference.lane is Lane.CONSENT and today > conference.held_on
        return today == conference.held_on or late
    if conference.lane is Lane.CONSENT or today == conference.held_on:
        return True
    return name in (_AHEAD_OF_THE_DAY if today < conference.held_on else _AFTER_THE_DAY)


@dataclass(frozen=True, slots=True)
class NotCalled:
    """It can't be: in_the_past, not_the_desk, not_covered (agencies), nobody_else, no_such_profession, case_closed."""

    reason: str
    agencies: tuple[str, ...] = ()


def call(
    lane: Lane,
    held_on: date,
    *,
    by: str,
    by_kind: str,
    serves: bool,
    members: Collection[str],
    covered: Collection[str],
    today: date,
) -> NotCalled | None:
    """Whether it may be called. `covered`: whom consent reaches for a case conference, and the holder of the case."""
    if held_on < today:
        return NotCalled("in_the_past")
    if not set(members) - {by}:
        return NotCalled("nobody_else")
    if lane is Lane.ART_9:
        return None if serves and by_kind in CALLS_ART_9 else NotCalled("not_the_desk")
    strangers = tuple(sorted({by, *members} - set(covered)))
    return NotCalled("not_covered", strangers) if strangers else None


def may_see(conference: Conference, agency: str, *, holder: str, consented: bool, today: date) -> bool:
    """Whether an agency knows of it at all, asked anew each time.

    In the lane of Art. 9 that is its members on its day, before and after it the chair alone. In the lane of consent
    it is whoever takes part, as long as the consent reaches to them; the holder has its own duty.
    """
    if conference.lane is Lane.ART_9:
        return agency == conference.chair or (agency in conference.agencies and today == conference.held_on)
    return agency == holder or (agency in conference.agencies and consented)


def own_record_only(conference: Conference, today: date) -> bool:
    """Whether the members' words have stayed in the meeting, and its chair reads no more than what it wrote itself."""
    return conference.lane is Lane.ART_9 and today != conference.held_on


@dataclass(frozen=True, slots=True)
class NotDecided:
    """It can't be: not_in_this_lane, owner_not_there, owner_not_covered, in_the_past, words_missing, target."""

    reason: str


def decide(
    conference: Conference,
    kind: Kind,
    *,
    owner: str,
    due_on: date,
    holder: str,
    covered: bool,
    today: date,
) -> NotDecided | None:
    """Whether this can be decided here, and be this agency's to do. `covered`: the consent reaches to the owner."""
    if kind not in DECISIONS[conference.lane]:
        return NotDecided("not_in_this_lane")
    if due_on < today:
        return NotDecided("in_the_past")
    if conference.lane is Lane.ART_9:
        return None if owner in conference.agencies else NotDecided("owner_not_there")
    if owner not in conference.agencies | {holder}:
        return NotDecided("owner_not_there")
    return None if covered or owner == holder else NotDecided("owner_not_covered")


def ended_by_consent(conference: Conference, *, holder: str, over: bool, chair_taken_back: bool) -> bool:
    """Whether what the person said last ends it: a plain no, or a narrower yes that leaves out who rests on it."""
    if conference.lane is not Lane.CONSENT or conference.state not in OPEN:
        return False
    return over or (conference.chair != holder and chair_taken_back)


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


PLAIN_NEEDS = frozenset(
    {
        *("daily_living", "isolation", "family", "housing", "income", "people", "tasks", "experience", "goals"),
        *("education", "rent_or_loan", "taxes_and_utilities", "debt", "job_search", "trouble_at_work", "community"),
        *("child_raising", "nothing_to_eat", "other"),
    }
)
"""Needs whose words don't by themselves tell of illness or disability. Of every other one, a new one included, they
are special-care data (要配慮個人情報), for whom the consent says so."""


def tells_of_illness(need: str) -> bool:
    """Whether what was written about a need is withheld from whom the consent to health data doesn't reach."""
    return need not in PLAIN_NEEDS
