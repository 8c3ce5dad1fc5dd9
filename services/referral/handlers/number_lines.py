"""Times, answers and outcomes as lines of a file."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.numbers import Measure, Milestone, is_by_person
from services.referral.handlers.numbers import GiveBack
from services.referral.tables import directory


async def pair_lines(
    session: AsyncSession, pairs: Mapping[tuple[str, str], Mapping[Milestone, Measure]]
) -> list[dict[str, Any]]:
    """Every pair of agencies, with a line for each milestone; who is in no directory has no name."""
    names = await directory.names_of(session, {agency for pair in pairs for agency in pair})
    return [
        {
            "sender": sender,
            "sender_name": names.get(sender, ""),
            "receiver": receiver,
            "receiver_name": names.get(receiver, ""),
            "milestone": milestone.value,
            **_times(measure),
        }
        for (sender, receiver), measures in pairs.items()
        for milestone, measure in measures.items()
    ]


def give_back_lines(found: GiveBack) -> list[dict[str, Any]]:
    """An agency's own page, section by section."""
    lines = []
    for section, measures in (("answered_us", found.answered_us), ("we_answered", found.we_answered)):
        lines += [{"section": section, "item": each.value, **_times(measures[each])} for each in measures]
    for declined in found.declined:
        side = "person" if is_by_person(declined.reason) else "agency"
        lines.append({"section": "declined", "item": declined.reason, "side": side, "reached": declined.referrals})
    counted = ("states", found.states), ("outcomes", found.outcomes), ("own_outcomes", found.own_outcomes)
    for section, counts in counted:
        lines += [{"section": section, "item": code, "reached": counts[code]} for code in sorted(counts)]
    return lines


def _times(measure: Measure) -> dict[str, Any]:
    """Hours and working days; what nobody reached is empty."""
    median, ninetieth, longest = measure.median, measure.ninetieth, measure.longest_waiting
    return {
        "reached": measure.reached,
        "median_hours": None if median is None else median.hours,
        "median_days": None if median is None else median.working_days,
        "ninetieth_hours": None if ninetieth is None else ninetieth.hours,
        "ninetieth_days": None if ninetieth is None else ninetieth.working_days,
        "waiting": measure.waiting,
        "longest_hours": None if longest is None else longest.hours,
        "unanswered": measure.unanswered,
        "ended": measure.ended,
        "least_median_hours": None if measure.least_median is None else measure.least_median.hours,
        "least_ninetieth_hours": None if measure.least_ninetieth is None else measure.least_ninetieth.hours,
    }
