"""What is wrong with a file's rows: each kind of fault once, with the numbers of its rows.

A file may have 20,000 rows with ten faults each. Listed one by one they would be tens of megabytes in the report, in
the answer and in the table; by kind they are little, and nothing is lost.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that keeps a row from being taken. `column` is the Japanese column name, where it is about one."""

    column: str | None
    code: str
    message: str
    message_ja: str


class Faults:
    """Every fault of a file."""

    def __init__(self) -> None:
        self._rows: dict[Fault, list[int]] = {}

    def add(self, row: int, faults: Iterable[Fault]) -> None:
        """What is wrong with a row."""
        for fault in faults:
            self._rows.setdefault(fault, []).append(row)

    @property
    def total(self) -> int:
        """How many faults there are."""
        return sum(map(len, self._rows.values()))

    @property
    def rows(self) -> set[int]:
        """The rows that have one."""
        return set().union(*self._rows.values())

    def first(self, most: int) -> list[tuple[int, Fault]]:
        """The uppermost ones of the file, no more than so many."""
        everything = ((row, fault) for fault, rows in self._rows.items() for row in rows)
        return heapq.nsmallest(most, everything, key=lambda found: found[0])

    def words(self) -> dict[int, str]:
        """What the error file tells about each row."""
        told: dict[int, list[str]] = {}
        for fault, rows in self._rows.items():
            words = f"{fault.column}: {fault.message_ja}" if fault.column else fault.message_ja
            for row in rows:
                told.setdefault(row, []).append(words)
        return {row: " / ".join(words) for row, words in told.items()}

    def kept(self) -> list[Any]:
        """All of them, as JSON that takes little room."""
        return [[*astuple(fault), rows] for fault, rows in self._rows.items()]

    @classmethod
    def read(cls, kept: Sequence[Any]) -> Self:
        """The same out of that JSON."""
        faults = cls()
        for *fault, rows in kept:
            faults._rows[Fault(*fault)] = rows
        return faults
