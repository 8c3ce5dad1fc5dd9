"""Typed once, exported many times: lists and sheets out of the same data, each person's fields logged as an export."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case, ScreeningOutcome
from services.intake.domain.policy import HIDES_FROM_OTHERS, Action, Denied, Purpose
from services.intake.domain.sheet import FIELDS, fields_of
from services.intake.handlers.access import allowed, there, values_of
from services.intake.handlers.persons import values_of_held
from services.intake.tables import cases, exports
from shared import vault
from shared.auth import Actor
from shared.service import JST, day_in_japan
from shared.service.exports import Layout, read_layout

_LAYOUTS = Path(__file__).resolve().parent.parent / "layouts"
_OF_CASE = {
    "number", "case_id", "municipality", "opened_at", "opened_by", "holder_agency", "entrance", "topics",
    "most_serious", "needs", "urgent", "urgency", "status", "consent_state", "screening_outcome",
    "next_step_on", "anchor", "ended",
}  # fmt: skip
FIELDS_OF = {
    "reception_list": _OF_CASE | FIELDS.keys(),
    "funnel": {"municipality", "outcome", "cases", "percent"},
    "accesses": {"at", "agency", "actor", "action", "purpose", "basis", "fields"},
    "hand_over_sheet": _OF_CASE | FIELDS.keys() | {"written_on", "section"},
}
"""Which fields each file knows."""


@dataclass(frozen=True, slots=True)
class HandOverSheet:
    """What stands on it, by field; and what of the person is not handed on, known or not."""

    values: dict[str, Any]
    withheld: frozenset[str]


def layout(session: AsyncSession, name: str) -> Layout:
    """The office's own layout of a file, where it has one, and else the one that comes along."""
    own: Path | None = session.info["settings"].layouts_path
    candidates = [own / f"{name}.toml"] if own is not None else []
    path = next((each for each in candidates if each.is_file()), _LAYOUTS / f"{name}.toml")
    return read_layout(path.read_text(encoding="utf-8-sig"), FIELDS_OF[name])


def words_of(name: str, table: str) -> Mapping[str, str]:
    """Word by code, from the layout that comes along."""
    words: Mapping[str, str] = tomllib.loads((_LAYOUTS / f"{name}.toml").read_text(encoding="utf-8"))["words"][table]
    return words


async def reception_list(
    session: AsyncSession, columns: Layout, *, since: date, until: date, actor: Actor, limit: int
) -> Sequence[dict[str, Any]] | None:
    """The cases that came to the agency from one day to another, both included. None if they are more than `limit`.

    What is known of the person stands in the lines of the cases that the agency holds; of others, codes alone.
    """
    found = await exports.find_received(
        session, actor.agency, since=_midnight(since), until=_midnight(until + timedelta(days=1)), limit=limit + 1
    )
    if len(found) > limit:
        return None
    wanted = sorted(columns.fields & FIELDS.keys())
    held = await values_of_held(session, found, vault.Action.EXPORT, wanted, actor=actor)
    return [_of_case(case) | _of_person(held.get(case.id, {})) for case in found]


async def funnel(session: AsyncSession, *, since: date, until: date, actor: Actor) -> list[dict[str, Any]]:
    """How many cases of each municipality came to which screening outcome; every outcome has a line, also with none."""
    counts = await exports.count_outcomes(
        session,
        actor.agency,
        sorted(actor.municipalities),
        since=_midnight(since),
        until=_midnight(until + timedelta(days=1)),
    )
    lines = []
    for municipality in sorted({municipality for municipality, _ in counts}):
        outcomes = [*ScreeningOutcome, None]
        total = sum(counts.get((municipality, outcome), 0) for outcome in outcomes)
        for outcome in outcomes:
            cases_ = counts.get((municipality, outcome), 0)
            percent = f"{100 * cases_ / total:.1f}"
            name = "none" if outcome is None else outcome.value
            lines.append({"municipality": municipality, "outcome": name, "cases": cases_, "percent": percent})
        lines.append({"municipality": municipality, "outcome": "total", "cases": total, "percent": "100.0"})
    return lines


async def hand_over_sheet(
    session: AsyncSession, columns: Layout, case_id: UUID, *, actor: Actor, now: datetime
) -> HandOverSheet | Denied:
    """つなぐシート: the whole story of one person, to walk over with them."""
    case = there(await cases.find_case(session, case_id))
    decision = await allowed(session, case, Action.EXPORT, purpose=Purpose.REFERRAL, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    # It goes into other hands, and there may be somebody who looks for the person.
    sets = decision.sets - HIDES_FROM_OTHERS if case.tells_of_violence else decision.sets
    wanted = sorted(columns.fields & set(fields_of(sets)))
    values = await values_of(
        session, [case_id], vault.Action.EXPORT, wanted, purpose=Purpose.REFERRAL, basis=decision.basis, actor=actor
    )
    if case_id not in values:
        raise vault.Erased  # it has no sheet, and not an empty one
    shown = _of_case(case) | _of_person(values[case_id]) | {"written_on": day_in_japan(now), "section": actor.agency}
    return HandOverSheet(shown, frozenset(FIELDS) - set(fields_of(sets)))


def _of_case(case: Case) -> dict[str, Any]:
    return {name: getattr(case, "id" if name == "case_id" else name) for name in _OF_CASE}


def _of_person(values: dict[str, str]) -> dict[str, Any]:
    born = values.get("birth_date")
    return {**values, **({"birth_date": date.fromisoformat(born)} if born else {})}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=JST)
