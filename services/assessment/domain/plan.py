"""支援プラン: drafted, agreed to by the person, heard by the co-ordination meeting, decided, monitored, evaluated.

A version is never changed. Whoever changes a plan writes the next version, and the person is asked again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.assessment.domain.moves import Table, line


class State(StrEnum):
    """How far a plan has come."""

    DRAFT = "draft"
    AGREED = "agreed"
    """本人の同意: the person agreed to this version."""
    HEARD = "heard"
    """支援調整会議 gave its opinion."""
    IN_FORCE = "in_force"
    """支援決定: the municipality decided."""
    EVALUATED = "evaluated"


class Party(StrEnum):
    """Who moves a plan."""

    HOLDER = "holder"
    MUNICIPALITY = "municipality"


DECIDES = frozenset({"municipality", "welfare_office"})
"""The kinds of agency that decide about a plan (生活困窮者自立支援法: the municipality)."""
_ON_ITS_WAY = (State.DRAFT, State.AGREED, State.HEARD)
MOVES: Table = (
    line("revise", [Party.HOLDER], [*_ON_ITS_WAY, State.IN_FORCE], State.DRAFT),
    line("agree", [Party.HOLDER], [State.DRAFT], State.AGREED),
    line("hear", [Party.HOLDER], [State.AGREED], State.HEARD),
    line("decide", [Party.MUNICIPALITY], [State.HEARD], State.IN_FORCE),
    line("send_back", [Party.MUNICIPALITY], [State.AGREED, State.HEARD], State.DRAFT),
    line("monitor", [Party.HOLDER], [State.IN_FORCE]),
    line("evaluate", [Party.HOLDER], [State.IN_FORCE], State.EVALUATED),
    line("give_up", [Party.HOLDER], _ON_ITS_WAY, State.EVALUATED),
)
"""The state machine of a plan."""


class Who(StrEnum):
    """Who does a line of the plan."""

    PERSON = "person"
    FAMILY = "family"
    DESK = "desk"
    AGENCY = "agency"


class Rhythm(StrEnum):
    """How often."""

    ONCE = "once"
    DAILY = "daily"
    WEEKLY = "weekly"
    FORTNIGHTLY = "fortnightly"
    MONTHLY = "monthly"
    AS_NEEDED = "as_needed"


class Ending(StrEnum):
    """評価のあと: what follows from the evaluation."""

    CLOSE = "close"
    NEW_PLAN = "new_plan"
    INTERRUPT = "interrupt"


@dataclass(frozen=True, slots=True)
class Line:
    """One line, without its words."""

    who: Who
    agency: str | None
    begins_on: date
    ends_on: date
    rhythm: Rhythm
    scheme: str | None


class Fault(StrEnum):
    """What is wrong with a plan."""

    NO_LINES = "no_lines"
    ENDS_BEFORE_IT_BEGINS = "ends_before_it_begins"
    AGENCY_NOT_NAMED = "agency_not_named"
    AGENCY_WITHOUT_NEED = "agency_without_need"
    MONITORING_IN_THE_PAST = "monitoring_in_the_past"


def faults_of(lines: Collection[Line], *, monitor_on: date, today: date) -> list[tuple[Fault, int | None]]:
    """Why this is no plan yet, with the line's place."""
    found: list[tuple[Fault, int | None]] = [] if lines else [(Fault.NO_LINES, None)]
    if monitor_on < today:
        found.append((Fault.MONITORING_IN_THE_PAST, None))
    for place, each in enumerate(lines):
        if each.ends_on < each.begins_on:
            found.append((Fault.ENDS_BEFORE_IT_BEGINS, place))
        if (each.who is Who.AGENCY) != (each.agency is not None):
            found.append((Fault.AGENCY_NOT_NAMED if each.agency is None else Fault.AGENCY_WITHOUT_NEED, place))
    return found
