"""What is asked of routing, and what it answers: a case as it stands, and every option with its reasons."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from services.referral.domain.options import Option, Stage

SAYS_NOTHING = frozenset({"other"})
"""Topics that name no need."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule may know of a case: neither FDP levels nor the prolongation flag are here (DOMAIN.md 4)."""

    municipality: str
    topics: frozenset[str]
    needs: frozenset[str]
    neighbours: frozenset[str]
    open_targets: frozenset[UUID]

    @property
    def wanted(self) -> frozenset[str]:
        """The needs on record; until there are any, the topics speak."""
        return wanted_of(self.needs, self.topics)


def wanted_of(needs: Collection[str], topics: Collection[str]) -> frozenset[str]:
    """What a case wants by name: its needs, and as long as there are none, its topics that say something."""
    return frozenset(needs) or frozenset(topics) - SAYS_NOTHING


@dataclass(frozen=True, slots=True)
class Case:
    """The facts about a case that routing looks at."""

    case_id: UUID
    municipality: str
    holder: str
    topics: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    urgent: bool = False
    levels: Mapping[str, int] | None = None
    prolongation_risk: str | None = None
    open_targets: frozenset[UUID] = frozenset()
    """Programmes and course runs that an open referral of this case waits at."""
    declined_targets: frozenset[UUID] = frozenset()
    refused_targets: frozenset[UUID] = frozenset()
    """Those whose no holds today (`domain.refusals`)."""
    taken_targets: frozenset[UUID] = frozenset()
    """Those that accepted it, and serve the person now."""
    stage: Stage | None = None
    """The rung of the newest accepted referral that came to something, also when it is over. None: the entry."""
    served_needs: frozenset[str] = frozenset()
    """Needs that somebody who accepted the case answers, or has answered."""
    neighbours: frozenset[str] = frozenset()
    coordinator: str | None = None
    """Who coordinates in the municipality; nobody named: the case's holder."""

    @property
    def asked(self) -> Asked:
        """The part of it that rules may look at."""
        return Asked(self.municipality, self.topics, self.needs, self.neighbours, self.open_targets)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an option stands where it stands; `weight` is what it adds to the score, `rule` the rule that left it out."""

    code: str
    weight: int = 0
    about: tuple[str, ...] = ()
    count: int | None = None
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """An option with its score and the reasons that make it up."""

    option: Option
    stage: Stage
    score: int
    reasons: tuple[Reason, ...]

    @property
    def says_no(self) -> bool:
        """Its no holds: whoever chooses it by hand may ask again, but nobody is sent there of itself."""
        return self._has("says_no")

    @property
    def may_be_sent(self) -> bool:
        """Whether consent covers it now."""
        return not any(reason.code.startswith("consent_") for reason in self.reasons)

    @property
    def may_be_proposed(self) -> bool:
        """Whether it can be the next place: it has not said no, is not where the person is, and may be told."""
        return self.may_be_sent and not self.says_no and not self._has("there_already")

    def _has(self, code: str) -> bool:
        return any(reason.code == code for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class Excluded:
    """An option that can't take this case now. None of the reasons is about the person's difficulty."""

    option: Option
    stage: Stage
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """The answer: candidates best first, what is left out and why, and the needs that nobody answers."""

    items: tuple[Ranked, ...]
    excluded: tuple[Excluded, ...]
    unmet_needs: tuple[str, ...]
    coordinator: str
    beyond: int = 0
    """Options of the region that are further off, and were not looked at one by one."""
    at_entry: bool = True
    """Whether nobody has accepted the person yet."""
    waiting: bool = False
    """Whether somebody who could take it on is asked, and has not answered yet."""

    @property
    def need_unmet(self) -> bool:
        """Nobody can take it on, or all have said no: a gap in the region, and the coordinator's to hold."""
        return not self.waiting and all(each.says_no for each in self.items)
