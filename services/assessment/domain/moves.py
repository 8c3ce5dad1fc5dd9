"""What may be done in which state, and by whom: tables that code, interface texts and tests read.

Conferences, plans and tasks each have one. What is not in its table is refused, and the refusal names what is.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Move:
    """One line: who may do it, from where, and where it leads; None: the state stays."""

    name: str
    by: frozenset[str]
    sources: frozenset[str]
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """It was done; so it stands now."""

    state: str


@dataclass(frozen=True, slots=True)
class NotMoved:
    """It can't be done in this state, or not by this party; these can."""

    legal: tuple[str, ...]


Table = tuple[Move, ...]


def line(name: str, by: Collection[StrEnum], sources: Collection[StrEnum], target: StrEnum | None = None) -> Move:
    """A line of a table, in the words of its own states and parties."""
    return Move(name, frozenset(by), frozenset(sources), target)


def legal(table: Table, state: str, parties: Collection[str]) -> tuple[str, ...]:
    """What these parties may do now, in the table's order."""
    return tuple(move.name for move in table if state in move.sources and move.by & set(parties))


def advance(table: Table, state: str, name: str, parties: Collection[str]) -> Moved | NotMoved:
    """Do one thing of the table, or say what could be done instead."""
    for move in table:
        if move.name == name and state in move.sources and move.by & set(parties):
            return Moved(state if move.target is None else move.target)
    return NotMoved(legal(table, state, parties))
