"""Where a case may go: every option in its place, with reasons. Nobody is left out for being difficult."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.referral.domain.directory import is_stale
from services.referral.domain.options import (
    ENTRY,
    LADDER,
    Capacity,
    CourseRun,
    Option,
    Pool,
    Programme,
    Stage,
    covers,
    receiver_of,
    stage_of,
)
from services.referral.domain.routed import Asked, Case, Excluded, Ranked, Reason, Routing
from services.referral.domain.routing_rules import FIRST, Exclusion, Fact, RuleSet

__all__ = [
    "Asked",
    "Capacity",
    "Case",
    "CourseRun",
    "Excluded",
    "Option",
    "Pool",
    "Programme",
    "Ranked",
    "Reason",
    "Routing",
    "Stage",
    "covers",
    "next_place",
    "route",
]

Lacking = Callable[[str, bool], str | None]
"""What the person's consent lacks for an agency, in a course or not: a code of `shared.consent`, or nothing."""


RECKONED = 3
"""How an answer comes about, kept with each: an older one is made again as it was. 1: places of equal points stood in
no order that means anything, and who was asked and had not answered counted as nobody. 2: an entry was stale a
day later than in the directory, and one of a day to come was not."""
COUNTER_NEEDS = frozenset({"health", "daily_living", "isolation", "family", "housing", "income"})
"""The counter's own business. Any other need may be one that a course helps with, codes not known yet included."""
COUNTER_TOPICS = frozenset(
    {
        "rent_or_loan",
        "taxes_and_utilities",
        "debt",
        "community",
        "child_raising",
        "care",
        "withdrawal",
        "violence",
        "nothing_to_eat",
    }
)
"""What a person comes with, beside the needs of the same name, and what no course answers, however good it is."""
_LOW = 2
_AT_ONCE = frozenset({"has_room", "own_pool_free", "general_pool_free"})
_NARROWER = frozenset({"other_purpose", "not_named"})
"""A yes that doesn't reach this agency. Only this can leave an option out, and only where the rules say so."""


def _nothing_lacks(_agency: str, _course: bool) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of every option: the case, by which rules, when, and what consent lacks."""

    asked: Asked
    rules: RuleSet
    now: datetime
    today: date
    lacking: Lacking
    reckoned: int


def route(
    case: Case,
    options: Iterable[Option],
    rules: RuleSet = FIRST,
    *,
    now: datetime,
    today: date,
    lacking: Lacking = _nothing_lacks,
    beyond: int = 0,
    reckoned: int = RECKONED,
) -> Routing:
    """Put every option into its place, with reasons.

    Low levels move earlier rungs of the ladder forward and leave everything else as it was. The prolongation flag adds
    a remark about the pace and nothing more: it never excludes and never lowers a place (DOMAIN.md 4). Of equal points
    what is nearest to the next rung comes first.
    """
    question = _Question(case.asked, rules, now, today, lacking, reckoned)
    wanted = question.asked.wanted
    items: list[Ranked] = []
    excluded: list[Excluded] = []
    met: set[str] = set(case.served_needs)
    waiting = False
    for option in options:
        answered = answered_by(option, wanted)
        against = _against(question, option, answered)
        if against:
            excluded.append(Excluded(option, stage_of(option), against))
            if reckoned > 1 and [reason.code for reason in against] == ["already_referred"]:
                waiting = True
                met |= answered
            continue
        if option.id not in case.refused_targets:
            met |= answered
        reasons = _reasons(case, question, option, answered)
        items.append(Ranked(option, stage_of(option), sum(reason.weight for reason in reasons), reasons))
    stands = case.stage or ENTRY
    near = {stage: from_next_rung(_distance(stands, stage)) if reckoned > 1 else (0, 0) for stage in LADDER}
    items.sort(key=lambda ranked: (-ranked.score, near[ranked.stage], ranked.option.id.int))
    excluded.sort(key=lambda left_out: left_out.option.id.int)
    nobody = not waiting and all(each.says_no for each in items)
    return Routing(
        tuple(items),
        tuple(excluded),
        tuple(sorted(wanted - met)),
        case.coordinator or case.holder if nobody else case.holder,
        beyond,
        at_entry=case.stage is None,
        waiting=waiting,
    )


def next_place(routing: Routing, *, sought: Collection[str], but: UUID | None) -> Option | None:
    """Where it may go next without anybody's choice, by the needs that are sought; not where it comes from.

    Another place for another need is none for what was declined. Nothing sought by name: the whole case is.
    """
    for each in routing.items:
        fits = not sought or answered_by(each.option, sought)
        if fits and each.may_be_proposed and each.option.id != but:
            return each.option
    return None


def answered_by(option: Option, wanted: Collection[str]) -> frozenset[str]:
    """Which of the needs an option answers."""
    return answered_by_course(wanted) if isinstance(option, CourseRun) else option.needs.intersection(wanted)


def answered_by_course(wanted: Collection[str]) -> frozenset[str]:
    """Which of the needs a course helps with, whatever its subject."""
    return frozenset(wanted) - COUNTER_NEEDS - COUNTER_TOPICS


# --- what speaks against it: of the case, only what `Asked` holds ----------------------------------------------------


def _against(question: _Question, option: Option, answered: Collection[str]) -> tuple[Reason, ...]:
    """What no rule decides comes first: other towns, deadlines, and an open referral."""
    asked = question.asked
    found = []
    if isinstance(option, Programme) and _area(question, option) is None:
        found.append(Reason("other_municipality"))
    if isinstance(option, CourseRun) and question.now > option.applications_close_at:
        found.append(Reason("deadline_passed"))
    if option.id in asked.open_targets:
        found.append(Reason("already_referred"))
    for rule in question.rules.exclusions:
        reason = _left_out(question, rule, option, answered) if rule.on else None
        if reason is not None:
            found.append(reason)
    return tuple(found)


def _area(question: _Question, option: Programme) -> str | None:
    if covers(option.municipalities, question.asked.municipality):
        return "serves_municipality"
    near = question.rules.neighbours and any(covers(option.municipalities, town) for town in question.asked.neighbours)
    return "neighbour_municipality" if near else None


def _left_out(question: _Question, rule: Exclusion, option: Option, answered: Collection[str]) -> Reason | None:
    match rule.looks_at:
        case Fact.NEEDS:
            wanted = question.asked.wanted
            missed = bool(wanted) and not answered
            return Reason("answers_no_need", about=tuple(sorted(wanted)), rule=rule.code) if missed else None
        case Fact.STAGE:
            stage = stage_of(option).value
            return Reason("stage_left_out", about=(stage,), rule=rule.code) if stage in rule.values else None
        case Fact.CONSENT:
            lacks = _lacks(question, option)
            return Reason(f"consent_{lacks}", rule=rule.code) if lacks in _NARROWER else None
        case _:
            return _programme_left_out(question, rule, option) if isinstance(option, Programme) else None


def _programme_left_out(question: _Question, rule: Exclusion, option: Programme) -> Reason | None:
    match rule.looks_at:
        case Fact.PERIOD:
            left_out = option.ends_on is not None and option.ends_on < question.today
            return Reason("ended", rule=rule.code) if left_out else None
        case Fact.STRAND:
            left_out = str(option.strand) in rule.values
            return Reason("strand_left_out", count=option.strand, rule=rule.code) if left_out else None
        case Fact.FUNCTION:
            left_out = option.function in rule.values
            return Reason("function_left_out", about=(option.function,), rule=rule.code) if left_out else None
        case Fact.FOR_WHOM:
            # Where one group of several is nothing that the case's codes can tell, only the person can say.
            told = question.asked.topics | question.asked.needs
            left_out = bool(option.for_whom) and option.for_whom <= rule.values and not option.for_whom & told
            return Reason("not_for_whom", about=tuple(sorted(option.for_whom)), rule=rule.code) if left_out else None
        case Fact.CAPACITY:
            return Reason("full", rule=rule.code) if option.room_on(question.today) is Capacity.FULL else None
        case _:
            return None


def _lacks(question: _Question, option: Option) -> str | None:
    return question.lacking(receiver_of(option), isinstance(option, CourseRun))


# --- what speaks for it, and remarks ----------------------------------------------------------------------------------


def _reasons(case: Case, question: _Question, option: Option, answered: Collection[str]) -> tuple[Reason, ...]:
    weights = question.rules.weights
    found = [Reason("answers_needs", weights.answers_need * len(answered), about=tuple(sorted(answered)))]
    if not answered:
        # Without needs on record nothing can be compared; with some, a region may still want to see such an option.
        found = [Reason("needs_not_recorded" if not question.asked.wanted else "answers_other_needs")]
    found += _place_and_room(question, option)
    if case.urgent and found[-1].code in _AT_ONCE:
        found.append(Reason("urgent_and_room", weights.urgent_and_room))
    found += _ladder(case, question.rules, stage_of(option))
    if case.prolongation_risk == "true":
        found.append(Reason("plan_for_long_support"))
    if option.id in case.refused_targets:
        found.append(Reason("says_no", weights.declined_before))
    elif option.id in case.declined_targets:
        found.append(Reason("declined_before", weights.declined_before))
    if option.id in case.taken_targets:
        found.append(Reason("there_already"))
    if isinstance(option, Programme):
        found += _remarks(question, option)
    lacks = _lacks(question, option)
    if lacks is not None:
        found.append(Reason("consent_needed" if lacks == "not_given" else f"consent_{lacks}"))
    return tuple(found)


def _place_and_room(question: _Question, option: Option) -> list[Reason]:
    """Where it is, then whether there is room."""
    if isinstance(option, Programme):
        area = _area(question, option) or "serves_municipality"
        room = option.room_on(question.today)
        return [_weighed(question, area), _weighed(question, _ROOM.get(room, room.value))]
    near = option.municipality == question.asked.municipality
    return [_weighed(question, "same_municipality" if near else "within_reach"), _seats(question, option.pools)]


_ROOM = {Capacity.UNKNOWN: "capacity_unknown"}


def _seats(question: _Question, pools: Sequence[Pool]) -> Reason:
    """A free seat of the municipality's own pool before one of the general pool, before a place in line."""
    town = question.asked.municipality
    own = sum(pool.free for pool in pools if town in pool.whose)
    general = sum(pool.free for pool in pools if not pool.whose)
    if own:
        return _weighed(question, "own_pool_free", count=own)
    if general:
        return _weighed(question, "general_pool_free", count=general)
    if pools:
        waiting = sum(pool.waiting for pool in pools if not pool.whose or town in pool.whose)
        return _weighed(question, "seat_waiting_line", count=waiting)
    return _weighed(question, "seats_unknown")


def _weighed(question: _Question, code: str, *, count: int | None = None) -> Reason:
    weight: int = getattr(question.rules.weights, code)
    return Reason(code, weight, count=count)


def _ladder(case: Case, rules: RuleSet, stage: Stage) -> list[Reason]:
    """How far it is from where the person stands: up, down, skipping and beside are all allowed, with a remark (M8)."""
    found = []
    low = tuple(sorted(axis for axis, level in (case.levels or {}).items() if level <= _LOW))
    if low and stage in rules.early:
        found.append(Reason("earlier_stage_first", rules.early[stage], about=low))
    distance = _distance(case.stage or ENTRY, stage)
    if distance == 1:
        found.append(Reason("next_rung", rules.weights.next_rung))
    elif distance > 1:
        found.append(Reason("rungs_skipped", rules.weights.rung_skipped * (distance - 1), count=distance - 1))
    elif case.stage is not None:
        found.append(Reason("same_rung") if distance == 0 else Reason("rungs_down", count=-distance))
    return found


def _distance(stands: Stage, stage: Stage) -> int:
    return LADDER.index(stage) - LADDER.index(stands)


def from_next_rung(distance: int) -> tuple[int, int]:
    """How far from the next rung, so far from where the person stands; of two as far the lower, which skips nothing."""
    return abs(distance - 1), distance


def _remarks(question: _Question, option: Programme) -> list[Reason]:
    """What somebody has to ask before it is sent; nothing of it leaves anybody out."""
    found = []
    days = question.rules.stale_after_days
    if option.confirmed_on is not None and _is_stale(question, option.confirmed_on):
        found.append(Reason("stale_entry", question.rules.weights.stale_entry, count=days))
    if option.starts_on is not None and option.starts_on > question.today:
        found.append(Reason("begins_later", about=(option.starts_on.isoformat(),)))
    told = question.asked.topics | question.asked.needs
    if option.for_whom and "any" not in option.for_whom and not option.for_whom & told:
        found.append(Reason("ask_whether_eligible", about=tuple(sorted(option.for_whom))))
    if option.conditions:
        found.append(Reason("has_conditions", about=tuple(sorted(option.conditions))))
    return found


def _is_stale(question: _Question, confirmed_on: date) -> bool:
    days = question.rules.stale_after_days
    if question.reckoned > 2:
        return is_stale(confirmed_on, question.today, days)
    return (question.today - confirmed_on).days > days
