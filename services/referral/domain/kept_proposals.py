"""A proposal as it is kept: the facts, the options and the answer as JSON, so that it can be read and made again.

What is the same has the same text: keys and sets are sorted. Nothing in it is about a person but ids, codes and levels.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.referral.domain.options import Capacity, CourseRun, Option, Pool, Programme, Stage, stage_of
from services.referral.domain.routing import Case, Excluded, Ranked, Reason, Routing

Told = dict[str, Any]


def text_of(told: Any) -> str:
    """One text for what is the same."""
    return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> bytes:
    """Its content's address."""
    return hashlib.sha256(text.encode()).digest()


# --- options --------------------------------------------------------------------------------------------------------


def option_told(option: Option) -> Told:
    """A programme or a course run, whole."""
    kind = "programme" if isinstance(option, Programme) else "course_run"
    return {"kind": kind} | {each.name: _plain(getattr(option, each.name)) for each in fields(option)}


def option_read(told: Mapping[str, Any]) -> Option:
    """The same, back again."""
    values = {name: value for name, value in told.items() if name != "kind"} | {"id": UUID(told["id"])}
    if told["kind"] == "programme":
        for name in ("municipalities", "needs", "for_whom", "conditions"):
            values[name] = frozenset(values[name])
        for name in ("starts_on", "ends_on", "capacity_confirmed_on", "confirmed_on"):
            values[name] = values[name] and date.fromisoformat(values[name])
        return Programme(**values | {"stage": Stage(told["stage"]), "capacity": Capacity(told["capacity"])})
    for name in ("starts_on", "ends_on"):
        values[name] = date.fromisoformat(values[name])
    values["applications_close_at"] = datetime.fromisoformat(values["applications_close_at"])
    return CourseRun(**values | {"pools": tuple(map(_pool_read, told["pools"]))})


def _pool_read(told: Mapping[str, Any]) -> Pool:
    return Pool(**{**told, "municipalities": tuple(told.get("municipalities", ()))})


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(map(_plain, value))
    if isinstance(value, tuple):
        return [asdict(pool) for pool in value]
    if isinstance(value, date):  # moments too
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


# --- the case -------------------------------------------------------------------------------------------------------


def case_told(case: Case) -> Told:
    """The facts that routing looked at."""
    return {each.name: _plain(getattr(case, each.name)) for each in fields(case)}


def case_read(told: Mapping[str, Any]) -> Case:
    """The same, back again."""
    values = dict(told) | {"case_id": UUID(told["case_id"]), "stage": told["stage"] and Stage(told["stage"])}
    if "opened_by" in values:
        values["holder"] = values.pop("opened_by")  # so it was called in what was kept first
    for name in ("topics", "needs", "served_needs", "neighbours"):
        values[name] = frozenset(told[name])
    for name in ("open_targets", "declined_targets", "refused_targets", "taken_targets"):
        # What was kept before a no counted says nothing of it, and is made again as it was.
        values[name] = frozenset(map(UUID, told.get(name, ())))
    return Case(**values)


# --- the answer -----------------------------------------------------------------------------------------------------


def answer_told(routing: Routing) -> Told:
    """Who was proposed in which order, who was left out, and why."""
    return {
        "items": [[str(each.option.id), each.score, _reasons_told(each.reasons)] for each in routing.items],
        "excluded": [[str(each.option.id), _reasons_told(each.reasons)] for each in routing.excluded],
        "unmet_needs": list(routing.unmet_needs),
        "coordinator": routing.coordinator,
        "beyond": routing.beyond,
        "at_entry": routing.at_entry,
        "waiting": routing.waiting,
    }


def answer_read(told: Mapping[str, Any], options: Mapping[UUID, Option]) -> Routing:
    """The same, back again: what was said on that day, whatever the code says today."""
    items = []
    for option_id, score, reasons in told["items"]:
        option = options[UUID(option_id)]
        items.append(Ranked(option, stage_of(option), score, _reasons_read(reasons)))
    excluded = []
    for option_id, reasons in told["excluded"]:
        option = options[UUID(option_id)]
        excluded.append(Excluded(option, stage_of(option), _reasons_read(reasons)))
    return Routing(
        tuple(items),
        tuple(excluded),
        tuple(told["unmet_needs"]),
        told["coordinator"],
        told["beyond"],
        told["at_entry"],
        told.get("waiting", False),
    )


def _reasons_told(reasons: Sequence[Reason]) -> list[list[Any]]:
    return [[each.code, each.weight, list(each.about), each.count, each.rule] for each in reasons]


def _reasons_read(told: Sequence[Sequence[Any]]) -> tuple[Reason, ...]:
    return tuple(Reason(code, weight, tuple(about), count, rule) for code, weight, about, count, rule in told)


# --- looking back ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    """Whether an answer that was made again is the same: the same candidates, the same order, the same reasons."""

    candidates: bool
    order: bool
    reasons: bool
    rest: bool
    """Everything else: what was left out and why, unmet needs, the coordinator."""

    @property
    def identical(self) -> bool:
        """In everything."""
        return self.candidates and self.order and self.reasons and self.rest


def compare(said: Routing, again: Routing) -> Compared:
    """Two answers to one question."""
    ids, ids_again = ([each.option.id for each in routing.items] for routing in (said, again))
    reasons, reasons_again = (
        {each.option.id: (each.score, each.reasons) for each in routing.items} for routing in (said, again)
    )
    first, second = answer_told(said), answer_told(again)
    del first["items"], second["items"]
    return Compared(
        candidates=sorted(ids) == sorted(ids_again),
        order=ids == ids_again,
        reasons=reasons == reasons_again,
        rest=first == second,
    )
