"""Whether rules leave anybody a way: each option of the directory in force is asked for the person it is made for."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from services.referral.domain.options import Option, Programme
from services.referral.domain.routing import Case, route
from services.referral.domain.routing_rules import RuleSet


def shuts_every_door(rules: RuleSet, options: Iterable[Option], *, now: datetime, today: date) -> bool:
    """No option in force takes even the person for whom it is made, and without these exclusions some would."""
    shut = []
    for option in options:
        if _takes(option, rules, now, today):
            return False
        shut.append(option)
    without = replace(rules, exclusions=())
    return any(_takes(option, without, now, today) for option in shut)


def _takes(option: Option, rules: RuleSet, now: datetime, today: date) -> bool:
    return any(route(case, [option], rules, now=now, today=today).items for case in _made_for(option))


def _made_for(option: Option) -> tuple[Case, ...]:
    """A blank case where it is offered; and one with the needs that a programme answers, of the group that it is for.

    Who belongs to a group and has no needs on record asks with its topic, and may be answered by nothing: of whom
    nothing is known yet, is taken.
    """
    if not isinstance(option, Programme):
        return (Case(UUID(int=0), option.municipality, holder=""),)
    blank = Case(UUID(int=0), min(option.municipalities, default=""), holder="")
    return blank, replace(blank, topics=option.for_whom, needs=option.needs)
