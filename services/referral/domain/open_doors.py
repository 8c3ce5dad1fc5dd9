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
    return bool(route(_made_for(option), [option], rules, now=now, today=today).items)


def _made_for(option: Option) -> Case:
    """A blank case where it is offered, with the needs that it answers, of the group that it is for."""
    if isinstance(option, Programme):
        towns, topics, needs = option.municipalities, option.for_whom, option.needs
    else:
        towns, topics, needs = frozenset({option.municipality}), frozenset[str](), frozenset[str]()
    return Case(UUID(int=0), min(towns, default=""), holder="", topics=topics, needs=needs)
