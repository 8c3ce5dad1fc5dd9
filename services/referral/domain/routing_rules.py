"""Routing's rules as data (M17): what every reason weighs, what leaves an option out; versions with a day of effect.

No rule can look at FDP levels or at the prolongation flag to leave somebody out or to lower a place (DOMAIN.md 4):
an exclusion looks at one of `Fact`, which knows neither; levels only ever raise earlier rungs (`early`, never below 0).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from services.referral.domain.directory import nearest_code
from services.referral.domain.options import Stage

HEAVIEST = 100
"""No weight is further from 0; one reason can't silence all the others."""


class Fact(StrEnum):
    """Everything an exclusion may look at. The list is closed: what is not in it can't shut anybody out."""

    NEEDS = "needs"
    """The option answers none of the needs on record."""
    PERIOD = "period"
    """The programme has ended."""
    STAGE = "stage"
    STRAND = "strand"
    FUNCTION = "function"
    FOR_WHOM = "for_whom"
    """It is for groups alone of which the case's topics and needs say nothing; `values`: groups that they can tell."""
    CAPACITY = "capacity"
    """It is full."""
    CONSENT = "consent"
    """The person's consent names other recipients or purposes. No consent yet never leaves an option out."""


VALUED = frozenset({Fact.STAGE, Fact.STRAND, Fact.FUNCTION, Fact.FOR_WHOM})
"""Facts whose exclusions list the values that they leave out."""
STRANDS = frozenset("123456")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One rule that leaves options out, by a fact; kept and shown also while it is off."""

    code: str
    looks_at: Fact
    on: bool = True
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Weights:
    """What each reason adds to an option's points. A weight that a later release adds has to begin at 0."""

    answers_need: int = 10
    """For each need that is answered."""
    serves_municipality: int = 3
    neighbour_municipality: int = 1
    same_municipality: int = 3
    within_reach: int = 1
    has_room: int = 6
    ask_first: int = 3
    waiting_list: int = 2
    capacity_unknown: int = 1
    full: int = 0
    own_pool_free: int = 8
    general_pool_free: int = 6
    seat_waiting_line: int = 2
    seats_unknown: int = 1
    urgent_and_room: int = 4
    declined_before: int = -8
    stale_entry: int = 0
    next_rung: int = 0
    rung_skipped: int = 0
    """For each rung between the case's and the option's. A skip is remarked, never barred."""


_EARLY = {Stage.DROP_IN: 15, Stage.WORK_READINESS: 15, Stage.WORK_TRAINING: 8}
_EXCLUSIONS = (
    Exclusion("answers_no_need", Fact.NEEDS),
    Exclusion("ended", Fact.PERIOD),
    Exclusion("full", Fact.CAPACITY, on=False),
    Exclusion("for_others", Fact.FOR_WHOM, on=False, values=frozenset({"withdrawal"})),
    Exclusion("consent", Fact.CONSENT, on=False),
)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """One version of routing's rules (つなぎ先の並べ方の規則)."""

    version: int
    effective_from: date
    weights: Weights = field(default_factory=Weights)
    early: Mapping[Stage, int] = field(default_factory=lambda: dict(_EARLY))
    """What a low FDP level adds to an option on that rung; it never takes anything away."""
    neighbours: bool = True
    """Whether programmes that serve a neighbouring municipality are candidates."""
    stale_after_days: int = 180
    exclusions: tuple[Exclusion, ...] = _EXCLUSIONS

    def __post_init__(self) -> None:
        if any(weight < 0 for weight in self.early.values()):
            raise ValueError("a low level lowers no place")

    def switched_on(self, fact: Fact) -> bool:
        """Whether any exclusion by this fact holds."""
        return any(each.on and each.looks_at is fact for each in self.exclusions)


FIRST = RuleSet(version=1, effective_from=date(2000, 1, 1))
"""What held before rules were data."""


@dataclass(frozen=True, slots=True)
class Words:
    """The values that an exclusion may name: the directory's list, and what its entries use beside it."""

    functions: frozenset[str]
    groups: frozenset[str]

    def of(self, fact: Fact) -> frozenset[str]:
        """Of one fact."""
        return {
            Fact.STAGE: frozenset(stage.value for stage in Stage),
            Fact.STRAND: STRANDS,
            Fact.FUNCTION: self.functions,
            Fact.FOR_WHOM: self.groups,
        }[fact]


@dataclass(frozen=True, slots=True)
class NotPublished:
    """It can't hold: not_later, decided_later, weight_out_of_range, room_out_of_order, values_missing,
    values_not_asked, unknown_value, same_code, excludes_everybody."""

    reason: str
    rule: int | None = None
    """Which exclusion, counted from 0."""
    nearest: str | None = None


def publish(rules: RuleSet, words: Words, *, decided_on: date, today: date) -> RuleSet | NotPublished:
    """A set of rules that can take effect, from a later day: what was proposed today is never proposed anew."""
    if rules.effective_from <= today:
        return NotPublished("not_later")
    if decided_on > today:
        return NotPublished("decided_later")
    return fault(rules, words) or rules


def fault(rules: RuleSet, words: Words) -> NotPublished | None:
    """What is wrong with the rules as such, whenever they hold and whoever decided them."""
    weights = (*asdict(rules.weights).values(), *rules.early.values())
    if any(abs(weight) > HEAVIEST for weight in weights) or not 1 <= rules.stale_after_days <= 3650:
        return NotPublished("weight_out_of_range")
    # Not known is not room, and neither is full.
    if max(rules.weights.capacity_unknown, rules.weights.full) > rules.weights.has_room:
        return NotPublished("room_out_of_order")
    codes = [each.code for each in rules.exclusions]
    if len(codes) != len(set(codes)):
        return NotPublished("same_code")
    for number, each in enumerate(rules.exclusions):
        if (each.looks_at in VALUED) != bool(each.values):
            return NotPublished("values_missing" if each.looks_at in VALUED else "values_not_asked", number)
        # A misspelt word would leave nothing out, and nobody would notice.
        for value in sorted(each.values - words.of(each.looks_at)) if each.values else ():
            return NotPublished("unknown_value", number, nearest_code(value, words.of(each.looks_at)))
    return NotPublished("excludes_everybody") if _shuts_every_door(rules, words) else None


def _shuts_every_door(rules: RuleSet, words: Words) -> bool:
    """Whether no course and no programme of any stage, strand and function could pass, whatever the directory holds."""

    def left(fact: Fact) -> frozenset[str]:
        named = (each.values for each in rules.exclusions if each.on and each.looks_at is fact)
        return words.of(fact).difference(*named)

    courses = Stage.VOCATIONAL_TRAINING in left(Fact.STAGE)
    return not courses and not all(left(fact) for fact in (Fact.STAGE, Fact.STRAND, Fact.FUNCTION))


@dataclass(frozen=True, slots=True)
class Tried:
    """What rules would have made of past cases: counted before they take effect, and kept with the version."""

    cases: int
    had_candidates: int
    others: int
    none_left: int
    """Cases that had candidates, and would have none."""

    @property
    def excludes_everybody(self) -> bool:
        """No case that could go somewhere could go anywhere."""
        return 0 < self.had_candidates == self.none_left


def rules_on(published: Iterable[RuleSet], day: date) -> RuleSet:
    """Which version holds on a day: the newest of those that had taken effect."""
    return max(
        (rules for rules in published if rules.effective_from <= day), key=lambda rules: rules.version, default=FIRST
    )


def replaced_by(published: Iterable[RuleSet]) -> Mapping[int, int]:
    """The versions that never hold, each with the first later one that takes effect on its day or before."""
    every = sorted(published, key=lambda rules: rules.version)
    found: dict[int, int] = {}
    for place, rules in enumerate(every):
        later = (each.version for each in every[place + 1 :] if each.effective_from <= rules.effective_from)
        if (version := next(later, None)) is not None:
            found[rules.version] = version
    return found


# --- as data --------------------------------------------------------------------------------------------------------


def told(rules: RuleSet) -> dict[str, Any]:
    """The rules alone, as JSON; version and days stand beside them."""
    return {
        "weights": asdict(rules.weights),
        "early": {stage.value: weight for stage, weight in sorted(rules.early.items())},
        "neighbours": rules.neighbours,
        "stale_after_days": rules.stale_after_days,
        "exclusions": [
            {"code": each.code, "looks_at": each.looks_at.value, "on": each.on, "values": sorted(each.values)}
            for each in rules.exclusions
        ],
    }


def read(said: Mapping[str, Any], *, version: int, effective_from: date) -> RuleSet:
    """The same, back again."""
    return RuleSet(
        version=version,
        effective_from=effective_from,
        weights=Weights(**said["weights"]),
        early={Stage(stage): weight for stage, weight in said["early"].items()},
        neighbours=said["neighbours"],
        stale_after_days=said["stale_after_days"],
        exclusions=tuple(
            Exclusion(each["code"], Fact(each["looks_at"]), each["on"], frozenset(each["values"]))
            for each in said["exclusions"]
        ),
    )
