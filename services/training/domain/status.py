"""The status that people are shown: reckoned from the facts, by one table that documents and tests read too.

Nothing stores it. The states of release 0.1.0, which other systems know, are the table's last column.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from services.training.domain.outcomes import Ending
from services.training.domain.selection import Result
from services.training.domain.steps import State


class Said(StrEnum):
    """A fact that is on record for a request."""

    REQUESTED = "requested"
    SEAT_HELD = "seat_held"
    NOMINATED = "nominated"
    COUNTERSIGNED = "countersigned"
    IN_SELECTION = "in_selection"
    RESERVE = "reserve"
    ACCEPTED = "accepted"
    INSTRUCTED = "instructed"
    ENROLLED = "enrolled"
    LEFT = "left"
    COMPLETED = "completed"
    REJECTED = "rejected"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Row:
    """One status: the fact that makes it, who says that fact, and what 0.1.0 calls it (None: as it was before)."""

    fact: Said
    status: str
    ja: str
    said_by: str
    state: State | None


STATUSES = (
    Row(Said.REQUESTED, "waiting", "待ち", "counsellor, placement", State.WAITING),
    Row(Said.SEAT_HELD, "held", "仮押さえ", "the ledger", State.HELD),
    Row(Said.NOMINATED, "nominated", "推薦", "placement", State.NOMINATED),
    Row(Said.COUNTERSIGNED, "countersigned", "副署", "hello_work", State.COUNTERSIGNED),
    Row(Said.IN_SELECTION, "in_selection", "選考中", "provider", None),
    Row(Said.RESERVE, "reserve", "補欠", "provider", None),
    Row(Said.ACCEPTED, "accepted", "合格", "provider", None),
    Row(Said.INSTRUCTED, "instructed", "受講指示・支援指示・受講推薦", "hello_work or placement", State.INSTRUCTED),
    Row(Said.ENROLLED, "enrolled", "受講中", "provider", State.ENROLLED),
    Row(Said.LEFT, "left", "中途退校", "provider", None),
    Row(Said.COMPLETED, "completed", "修了", "provider", None),
    Row(Said.RELEASED, "released", "返却", "counsellor, placement, the clock", State.RELEASED),
    Row(Said.REJECTED, "rejected", "不合格", "provider", None),
)
"""A later row wins over an earlier one. A rejection always comes with a release."""


_FACT_OF = {row.state: row.fact for row in STATUSES if row.state is not None}


def facts_of(state: State, result: Result | None, ending: Ending | None) -> frozenset[Said]:
    """The facts that stand: where the request is, the school's last result, the last ending."""
    said = {Said.REQUESTED, _FACT_OF[state]}
    said |= {Said(result.value)} if result else set()
    said |= {Said(ending.value)} if ending else set()
    return frozenset(said)


def status_of(said: Collection[Said]) -> str:
    """The last row of the table whose fact is on record."""
    return [row.status for row in STATUSES if row.fact in said][-1]
