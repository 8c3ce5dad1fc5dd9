"""The prolongation rule (長期化のおそれ) as data: what it flags, and which duties of the agencies follow.

The flag sets pace and resources; it excludes nobody and lowers no place in a queue. A version holds from a later day
than the one on which it is published, so that nothing that was flagged before is ever judged anew.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from services.assessment.domain.fdp import LEVELS, Axis, Levels, Prolongation, Reason, Risk

WorkingDayAfter = Callable[[date, int], date]


@dataclass(frozen=True, slots=True)
class Rule:
    """One version. `conference_within` counts working days of public offices; the others count days."""

    version: int
    effective_from: date
    low: int = 2
    """One axis at this level or below is enough."""
    conference_within: int = 10
    """Within so many working days a joint case conference is due, once somebody is flagged."""
    reassess_flagged: int = 90
    reassess_undetermined: int = 30
    reassess_clear: int = 180

    def reassess_after(self, risk: Risk) -> int:
        """Days from a rating to the next one."""
        match risk:
            case Risk.TRUE:
                return self.reassess_flagged
            case Risk.UNDETERMINED:
                return self.reassess_undetermined
            case Risk.FALSE:
                return self.reassess_clear


FIRST = Rule(version=1, effective_from=date(2000, 1, 1))
"""As the source has it: level 1 or 2 on one axis. The numbers of days are ours, and a region's to change."""


def assess_prolongation(levels: Levels, rule: Rule = FIRST) -> Prolongation:
    """True as soon as one axis is low; false only if all five are rated, and none is. Missing is never "safe"."""
    low = tuple(Reason(axis, level) for axis in Axis if (level := levels.get(axis)) is not None and level <= rule.low)
    if low:
        return Prolongation(Risk.TRUE, low)
    missing = tuple(Reason(axis, None) for axis in Axis if levels.get(axis) is None)
    if missing:
        return Prolongation(Risk.UNDETERMINED, missing)
    return Prolongation(Risk.FALSE, ())


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result in words, to be shown beside it."""

    english: str
    japanese: str


def explain(found: Prolongation, rule: Rule = FIRST) -> Explanation:
    """Say why, and what follows: the flag sets pace and resources, it never shuts anybody out."""
    low = [str(level) for level in range(1, rule.low + 1)]
    match found.risk:
        case Risk.TRUE:
            return Explanation(
                f"Support is likely to take long: {', '.join(f'{r.axis} {r.level}' for r in found.because)}. One axis"
                f" at level {' or '.join(low)} is enough. Plan with several agencies and without haste; this shuts"
                " nobody out and lowers nobody's place in a line.",
                f"長期化のおそれ:あり({'、'.join(f'{r.axis.japanese} {r.level}' for r in found.because)})。"
                f"一つの軸でも{'か'.join(low)}であれば「あり」とします。複数の機関で、時間をかけた計画を立ててください。"
                "支援から外す理由や、順番を下げる理由にはなりません。",
            )
        case Risk.UNDETERMINED:
            return Explanation(
                f"Not determined yet: {', '.join(r.axis for r in found.because)} not rated. A missing axis is never"
                " taken as safe.",
                f"長期化のおそれ:未判定(未評価:{'、'.join(r.axis.japanese for r in found.because)})。"
                "評価していない軸を「問題なし」とはみなしません。",
            )
        case Risk.FALSE:
            return Explanation(
                f"No sign that support will take long: all five axes are at level {rule.low + 1} or more.",
                f"長期化のおそれ:なし(5つの軸すべてが{rule.low + 1}以上)。",
            )


@dataclass(frozen=True, slots=True)
class NotPublished:
    """It can't hold: not_later (than today), low_out_of_range, days_out_of_range."""

    reason: str


def publish(rule: Rule, *, today: date) -> Rule | NotPublished:
    """A rule that flags nobody, or everybody, tells nothing; and one from today on would judge this morning anew."""
    if rule.effective_from <= today:
        return NotPublished("not_later")
    if not 1 <= rule.low < LEVELS:
        return NotPublished("low_out_of_range")
    days = (rule.conference_within, rule.reassess_flagged, rule.reassess_undetermined, rule.reassess_clear)
    return rule if all(1 <= count <= 730 for count in days) else NotPublished("days_out_of_range")


def rule_on(rules: Iterable[Rule], day: date) -> Rule:
    """Which version holds on a day: the newest of those that had taken effect."""
    return max((rule for rule in rules if rule.effective_from <= day), key=lambda rule: rule.version, default=FIRST)


# --- duties ---------------------------------------------------------------------------------------------------------


class Duty(StrEnum):
    """What a rating asks of the agencies."""

    JOINT_CONFERENCE = "joint_conference"
    REASSESSMENT = "reassessment"


@dataclass(frozen=True, slots=True)
class Due:
    """A duty and its last day."""

    duty: Duty
    on: date


@dataclass(frozen=True, slots=True)
class Consequences:
    """What follows from a rating. `several_agencies` is the note to routing: one alone will not do."""

    dues: tuple[Due, ...]
    several_agencies: bool


def consequences(
    rule: Rule, risk: Risk, *, rated_on: date, today: date, working_day_after: WorkingDayAfter
) -> Consequences:
    """The duties that a rating brings. What was rated long ago and written down now is due from today on."""
    again = max(rated_on + timedelta(days=rule.reassess_after(risk)), today)
    dues: tuple[Due, ...] = (Due(Duty.REASSESSMENT, again),)
    if risk is Risk.TRUE:
        dues = (Due(Duty.JOINT_CONFERENCE, working_day_after(today, rule.conference_within)), *dues)
    return Consequences(dues, several_agencies=risk is Risk.TRUE)


# --- looking back ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flagged:
    """What was flagged, on which day, by which version."""

    levels: Levels
    recorded_on: date
    rule_version: int
    risk: Risk


def replay(rules: Sequence[Rule], history: Iterable[Flagged]) -> list[Flagged]:
    """Those whose flag would be another if it were made again, on its day and by its version. It must be empty."""
    by_version = {rule.version: rule for rule in rules}
    return [
        each
        for each in history
        if each.rule_version not in by_version
        or rule_on(rules, each.recorded_on).version != each.rule_version
        or assess_prolongation(each.levels, by_version[each.rule_version]).risk is not each.risk
    ]
