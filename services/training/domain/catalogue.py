"""The catalogue (訓練コースの目録): what several sources say of a course, and what therefore stands.

Nothing is overwritten: sources add statements, the planner settles differences, and what stands is reckoned from both.
So it is the same in whatever order they came in, and however often. Values are plain JSON, as they are kept.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

FIELDS = (
    *("external_number", "system", "field", "title", "operator_name", "operator_number"),
    *("site_municipality", "site_address", "access", "barrier_free"),
    *("occupation_codes", "occupation_edition", "qualification"),
    *("starts_on", "ends_on", "from_time", "until_time", "months", "hours", "weekdays", "delivery"),
    *("capacity", "min_enrolment", "priority_seats", "delegated", "return_on"),
    *("applications_open_at", "applications_close_at", "visits_at"),
    *("selection_on", "selection_place", "selection_method", "result_on", "cancel_decision_on"),
    *("own_cost", "eligibility", "hello_work", "status", "applicants", "accepted", "counted_on"),
)
"""What may be said of a course run, beside its number."""
OURS = "seats"
"""The source that a course run here is; it ranks below all others, which know more of the course."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a source says on a day; None takes back what it said of a field. Of other fields it says nothing."""

    source: str
    checked_on: date
    told_at: datetime
    words: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settlement:
    """The planner decided what stands, having heard what each source said by then."""

    field: str
    source: str
    value: Any
    heard: Mapping[str, Any]
    by: str
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """A source's newest word about a field."""

    value: Any
    checked_on: date
    told_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in the catalogue, by whose word; `differs`: the planner is to decide."""

    value: Any
    source: str
    differs: bool
    settlement: Settlement | None = None


Words = Mapping[str, Mapping[str, Word]]
"""By field, then by source."""


def newest_words(statements: Iterable[Statement]) -> dict[str, dict[str, Word]]:
    """Each source's newest word on each field: of the latest day on which it was checked, and then told last."""
    found: dict[str, dict[str, Word]] = {}
    for statement in statements:
        for field, value in statement.words.items():
            word = Word(value, statement.checked_on, statement.told_at)
            before = found.setdefault(field, {}).get(statement.source)
            if before is None or _age(word) > _age(before):
                found[field][statement.source] = word
    return found


def _age(word: Word) -> tuple[date, datetime, str]:
    # The value last, so that of two told in one moment the order in which they are read decides nothing.
    return word.checked_on, word.told_at, json.dumps(word.value, sort_keys=True)


def voices(words: Mapping[str, Word]) -> dict[str, Word]:
    """The sources that say something."""
    return {source: word for source, word in words.items() if word.value is not None}


def resolve(words: Words, settlements: Iterable[Settlement], rank: Sequence[str]) -> dict[str, Standing]:
    """What stands, field by field."""
    settled: dict[str, Settlement] = {}
    for each in settlements:
        before = settled.get(each.field)
        if before is None or _order(each) > _order(before):
            settled[each.field] = each
    fields = [field for field in FIELDS if field in words or field in settled]
    found = {field: _stands(words.get(field, {}), settled.get(field), rank) for field in fields}
    return {field: standing for field, standing in found.items() if standing is not None}


def _order(settlement: Settlement) -> tuple[datetime, str]:
    return settlement.at, json.dumps([settlement.source, settlement.value, settlement.heard], sort_keys=True)


def _stands(words: Mapping[str, Word], settlement: Settlement | None, rank: Sequence[str]) -> Standing | None:
    """What was decided; else the only value; else the word of the source that ranks highest.

    A word that was decided against stays so however often it is repeated; another word opens the difference again, and
    what was decided stands until it is decided anew.
    """
    heard = voices(words)
    if settlement is not None:
        unheard = {s: word for s, word in heard.items() if word.value != settlement.heard.get(s)}
        differs = any(word.value != settlement.value for word in unheard.values())
        return Standing(settlement.value, settlement.source, differs, settlement)
    if not heard:
        return None
    first = min(heard, key=lambda source: (rank.index(source) if source in rank else len(rank), source))
    value = heard[first].value
    return Standing(value, first, any(word.value != value for word in heard.values()))


class Settling(StrEnum):
    """Why a difference can't be settled like that."""

    SAYS_NOTHING = "source_says_nothing"
    NO_DIFFERENCE = "no_difference"


def settle(
    words: Words,
    standing: Mapping[str, Standing],
    *,
    field: str,
    source: str,
    by: str,
    at: datetime,
    reason: str | None,
) -> Settlement | Settling:
    """Let a source's word stand, against the others'."""
    heard = {name: word.value for name, word in voices(words.get(field, {})).items()}
    if source not in heard:
        return Settling.SAYS_NOTHING
    stands = standing.get(field)
    if stands is not None and all(value == stands.value for value in heard.values()):
        return Settling.NO_DIFFERENCE
    return Settlement(field, source, heard[source], heard, by, at, reason)


class Compared(StrEnum):
    """How a word in a file stands to what is known."""

    NEW = "new"
    """Nobody has said anything of it."""
    SAME = "same"
    """Everybody who says something says so."""
    DIFFERS = "differs"
    """The source itself said otherwise, or another does."""
    WITHDRAWN = "withdrawn"
    """The source no longer says anything of it."""
    OLDER = "older"
    """The source has said something on a later day; that stays."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field of a row beside what is known; `against`: the sources that say, or said, otherwise."""

    field: str
    value: Any
    state: Compared
    against: tuple[str, ...] = ()
    reopens: bool = False
    """It had been decided, and this word was not heard then."""
    changes: bool = False
    """The source's own word becomes another."""


def compare(statement: Statement, words: Words, standing: Mapping[str, Standing]) -> list[Comparison]:
    """Every field that the statement speaks of; a blank of which the source said nothing before is left out."""
    found = (
        _compare(statement, field, words.get(field, {}), standing.get(field))
        for field in FIELDS
        if field in statement.words
    )
    return [each for each in found if each is not None]


def _compare(
    statement: Statement, field: str, known: Mapping[str, Word], standing: Standing | None
) -> Comparison | None:
    value, own = statement.words[field], known.get(statement.source)
    if value is None and (own is None or own.value is None):
        return None
    if own is not None and (own.checked_on, own.told_at) > (statement.checked_on, statement.told_at):
        return Comparison(field, value, Compared.SAME if own.value == value else Compared.OLDER)
    if value is None:
        return Comparison(field, value, Compared.WITHDRAWN, changes=True)
    heard = voices(known)
    if not heard:
        return Comparison(field, value, Compared.NEW, changes=True)
    against = tuple(sorted(source for source, word in heard.items() if word.value != value))
    settlement = None if standing is None else standing.settlement
    reopens = settlement is not None and value not in (settlement.value, settlement.heard.get(statement.source))
    changes = own is None or own.value != value
    return Comparison(field, value, Compared.DIFFERS if against else Compared.SAME, against, reopens, changes)


def says_anew(statement: Statement, words: Words) -> bool:
    """Whether there is anything to keep: another word, or the same one on a later day.

    A blank is a word: a file of an earlier day, read after it, says no more than if it had been read before.
    """
    for field, value in statement.words.items():
        own = words.get(field, {}).get(statement.source)
        if own is None or statement.checked_on > own.checked_on:
            return True
        if statement.checked_on == own.checked_on and value != own.value:
            return True
    return False


def searchable(*texts: str) -> str:
    """As people search: small letters of any width. Never shown."""
    return unicodedata.normalize("NFKC", " ".join(texts)).casefold()
