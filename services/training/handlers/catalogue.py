"""The catalogue: sources are heard, differences settled, and what stands is reckoned anew from all of it."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.catalogue import (
    Comparison,
    Settlement,
    Settling,
    Standing,
    Statement,
    Words,
    compare,
    resolve,
    says_anew,
    settle,
    voices,
)
from services.training.domain.catalogue_checks import Finding, findings
from services.training.tables import catalogue as tables
from services.training.tables.catalogue import Entry
from shared.auth import Actor
from shared.problems import FORBIDDEN, NOT_FOUND, Problem, ProblemType
from shared.service import day_in_japan, expect
from shared.service.exports import LAYOUT_BROKEN

_LAYOUTS = Path(__file__).parents[1] / "layouts"


@dataclass(frozen=True, slots=True)
class Told:
    """A source's statement on the course of this number."""

    course_number: str
    statement: Statement


@dataclass(frozen=True, slots=True)
class Weighed:
    """A statement beside what is known: what it would make of the entry, or what stands against it."""

    became: Literal["created", "updated", "unchanged"]
    compared: tuple[Comparison, ...]
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> list[Finding]:
        """What can't be."""
        return [finding for finding in self.findings if finding.grave]

    @property
    def changes(self) -> bool:
        """Whether it changes the entry; to say the same on a later day doesn't."""
        return not self.refused and self.became != "unchanged"


def sources(session: AsyncSession) -> dict[str, str]:
    """The sources and what they are called, the highest in rank first: the office's own list, or ours."""
    own: Path | None = session.info["settings"].layouts_path
    name = "catalogue_sources.toml"
    path = own / name if own is not None and (own / name).is_file() else _LAYOUTS / name
    try:
        return {each["code"]: each["words"] for each in tomllib.loads(path.read_text(encoding="utf-8-sig"))["source"]}
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise Problem(
            LAYOUT_BROKEN,
            detail=f"{name}: each [[source]] has a code and words.",
            detail_ja=f"{name}: [[source]] ごとに code と words を書いてください。",
        ) from error


# --- what sources say -------------------------------------------------------------------------------------------------


def weigh(told: Told, entry: Entry | None, *, actor: Actor, rank: Sequence[str], now: datetime) -> Weighed:
    """A statement beside what is known of its course."""
    statement, words = told.statement, {} if entry is None else entry.words
    standing = {} if entry is None else resolve(words, entry.settlements, rank)
    compared = compare(statement, words, standing)
    whole = _own_word(statement, words)
    found = [*_not_to_be_told(told, standing, whole, actor, rank, now), *findings(whole)]
    changed = any(each.changes for each in compared)
    became: Literal["created", "updated", "unchanged"] = "updated" if changed else "unchanged"
    return Weighed("created" if entry is None else became, tuple(compared), tuple(found))


def _own_word(statement: Statement, words: Words) -> dict[str, Any]:
    """All that the source says, with this statement: a line of a few columns is judged with what it said before."""
    before = {field: known[statement.source] for field, known in words.items() if statement.source in known}
    kept = {field: word.value for field, word in before.items()}
    newer = {
        field: value
        for field, value in statement.words.items()
        if field not in before or before[field].checked_on <= statement.checked_on
    }
    return kept | newer


def _not_to_be_told(
    told: Told,
    standing: Mapping[str, Standing],
    whole: Mapping[str, Any],
    actor: Actor,
    rank: Sequence[str],
    now: datetime,
) -> list[Finding]:
    """Why this caller can't tell it: an unknown source, a day to come, no place, or another's area."""
    statement = told.statement
    places = [standing["site_municipality"].value] if "site_municipality" in standing else []
    places += [whole["site_municipality"]] if whole.get("site_municipality") else []
    found = {
        Finding("source_not_known", "source", grave=True): statement.source not in rank,
        Finding("checked_in_future", "checked_on", grave=True): statement.checked_on > day_in_japan(now),
        Finding("site_needed", "site_municipality", grave=True): not places,
        Finding("not_your_prefecture", "site_municipality", grave=True): not all(map(actor.serves, places)),
    }
    return [finding for finding, applies in found.items() if applies]


async def hear_sources(session: AsyncSession, told: Sequence[Told], *, actor: Actor, now: datetime) -> list[Weighed]:
    """Take statements in, each on a course of its own; what is refused leaves no trace."""
    rank = list(sources(session))
    known = await tables.find_entries(session, [each.course_number for each in told], lock=True)
    weighed = [weigh(each, known.get(each.course_number), actor=actor, rank=rank, now=now) for each in told]
    taken = [each for each, found in zip(told, weighed, strict=True) if not found.refused]
    await _keep(session, taken, known, by=actor.agency)
    changed = [each.course_number for each, found in zip(told, weighed, strict=True) if found.changes]
    if changed:
        await _reckon(session, changed, rank)
    return weighed


async def tell_of_ours(session: AsyncSession, told: Sequence[Told], *, by: str) -> None:
    """What course runs here say of themselves: whoever offers or changes one was asked for it before."""
    known = await tables.find_entries(session, [each.course_number for each in told], lock=True)
    await _keep(session, told, known, by=by)
    await _reckon(session, [each.course_number for each in told], list(sources(session)))


async def _keep(session: AsyncSession, taken: Sequence[Told], known: dict[str, Entry], *, by: str) -> None:
    """Statements that say anything new, on entries that are locked or new."""
    new = [each.course_number for each in taken if each.course_number not in known]
    if new:
        await tables.open_entries(session, new)
        known |= await tables.find_entries(session, new, lock=True)
    told_anew = {
        known[each.course_number].id: each.statement
        for each in taken
        if says_anew(each.statement, known[each.course_number].words)
    }
    if told_anew:
        await tables.add_statements(session, told_anew, told_by=by)


async def _reckon(session: AsyncSession, numbers: Sequence[str], rank: Sequence[str]) -> None:
    """What stands, from all that was said and decided. Its version is another: who read before must read again."""
    entries = await tables.find_entries(session, numbers)
    standing = {entry.id: resolve(entry.words, entry.settlements, rank) for entry in entries.values()}
    await tables.stand(session, standing, {entry.id: number for number, entry in entries.items()})


# --- differences ------------------------------------------------------------------------------------------------------

_SAYS_NOTHING = ProblemType(
    "source_says_nothing",
    409,
    "That source says nothing of this field",
    "その出典は、この項目について何も述べていません",
)
_NO_DIFFERENCE = ProblemType(
    "no_difference", 409, "All sources say what stands", "どの出典も、いま載っている内容のとおりです"
)


async def get_entry(session: AsyncSession, course_id: UUID, *, lock: bool = False) -> Entry:
    """A course with everything that was said of it."""
    found = await tables.find_entry(session, course_id, lock=lock)
    if found is None:
        raise Problem(NOT_FOUND)
    return found


async def settle_difference(
    session: AsyncSession,
    course_id: UUID,
    *,
    field: str,
    source: str,
    reason: str | None,
    read_version: int,
    actor: Actor,
    now: datetime,
) -> None:
    """The planner decides whose word stands, having read this version of the entry."""
    entry = await get_entry(session, course_id, lock=True)
    if not actor.serves(entry.record.get("site_municipality", "")):
        raise Problem(
            FORBIDDEN,
            detail="Only for places that you serve: the planner there decides.",
            detail_ja="担当する地域の講座についてだけ決められます。その地域の担当に伝えてください。",
        )
    expect(entry.version, read_version)
    rank = list(sources(session))
    standing = resolve(entry.words, entry.settlements, rank)
    outcome = settle(entry.words, standing, field=field, source=source, by=actor.agency, at=now, reason=reason)
    match outcome:
        case Settlement():
            await tables.add_settlement(session, course_id, outcome)
            await _reckon(session, [entry.course_number], rank)
        case Settling.SAYS_NOTHING:
            heard = sorted(voices(entry.words.get(field, {})))
            raise Problem(
                _SAYS_NOTHING,
                detail="Choose a source that says something of it.",
                detail_ja="この項目について述べている出典から選んでください。",
                errors=[{"source": each} for each in heard],
            )
        case Settling.NO_DIFFERENCE:
            raise Problem(
                _NO_DIFFERENCE,
                detail="There is nothing to decide. To correct it, take in what a source says now.",
                detail_ja="決めることはありません。直すときは、出典の新しい内容を取り込んでください。",
            )
