"""支援プラン: drafted, agreed to by the person, heard by the co-ordination meeting, decided, monitored, evaluated.

A version is never changed. Whoever changes a plan writes the next version, and the person is asked again; what was
decided before stays in force, and is monitored, until the change is decided too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.assessment.domain import access
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
    CHANGING = "changing"
    """In force, while a change of it is being drafted."""
    CHANGE_AGREED = "change_agreed"
    CHANGE_HEARD = "change_heard"
    EVALUATED = "evaluated"
    GIVEN_UP = "given_up"
    """It was never decided."""
    INTERRUPTED = "interrupted"
    """Its case was closed while it was at work."""


class Party(StrEnum):
    """Who moves a plan."""

    HOLDER = "holder"
    MUNICIPALITY = "municipality"
    SERVICE = "service"
    """What happens to the case."""


DECIDES = frozenset({"municipality", "welfare_office"})
"""The kinds of agency that decide about a plan (生活困窮者自立支援法: the municipality)."""
IN_PREPARATION = (State.DRAFT, State.AGREED, State.HEARD)
_IN_CHANGE = (State.CHANGING, State.CHANGE_AGREED, State.CHANGE_HEARD)
IN_EFFECT = (State.IN_FORCE, *_IN_CHANGE)
"""A version of it was decided, and is being carried out."""
TO_DECIDE = (State.HEARD, State.CHANGE_HEARD)
AT_WORK = (*IN_PREPARATION, *IN_EFFECT)
"""Of these a case has one at a time."""
MOVES: Table = (
    line("revise", [Party.HOLDER], IN_PREPARATION, State.DRAFT),
    line("revise", [Party.HOLDER], IN_EFFECT, State.CHANGING),
    line("agree", [Party.HOLDER], [State.DRAFT], State.AGREED),
    line("agree", [Party.HOLDER], [State.CHANGING], State.CHANGE_AGREED),
    line("disagree", [Party.HOLDER], [State.DRAFT, State.CHANGING]),
    line("hear", [Party.HOLDER], [State.AGREED], State.HEARD),
    line("hear", [Party.HOLDER], [State.CHANGE_AGREED], State.CHANGE_HEARD),
    line("decide", [Party.MUNICIPALITY], TO_DECIDE, State.IN_FORCE),
    line("send_back", [Party.MUNICIPALITY], [State.AGREED, State.HEARD], State.DRAFT),
    line("send_back", [Party.MUNICIPALITY], [State.CHANGE_AGREED, State.CHANGE_HEARD], State.CHANGING),
    line("monitor", [Party.HOLDER], IN_EFFECT),
    line("evaluate", [Party.HOLDER], IN_EFFECT, State.EVALUATED),
    line("give_up", [Party.HOLDER], IN_PREPARATION, State.GIVEN_UP),
    line("give_up", [Party.HOLDER], _IN_CHANGE, State.IN_FORCE),
    line("interrupt", [Party.SERVICE], AT_WORK, State.INTERRUPTED),
)
"""The state machine of a plan."""


def parties_of(*, holds: bool, kind: str, serves: bool) -> frozenset[Party]:
    """In which parts an agency takes part. A desk never decides about its own plan; a municipality that holds may."""
    decides = kind in DECIDES and serves
    return frozenset(
        {party for party, takes in ((Party.HOLDER, holds), (Party.MUNICIPALITY, decides)) if takes},
    )


# --- what stands in it ----------------------------------------------------------------------------------------------


class Who(StrEnum):
    """Who does a line of the plan."""

    PERSON = "person"
    FAMILY = "family"
    DESK = "desk"
    """担当機関: whoever holds the case."""
    AGENCY = "agency"


class Rhythm(StrEnum):
    """How often."""

    ONCE = "once"
    DAILY = "daily"
    WEEKLY = "weekly"
    FORTNIGHTLY = "fortnightly"
    MONTHLY = "monthly"
    AS_NEEDED = "as_needed"


class Consenting(StrEnum):
    """How the person said yes, or no."""

    WRITTEN = "written"
    ORAL = "oral"


class Opinion(StrEnum):
    """支援調整会議の意見. It binds nobody: the municipality decides, knowing it."""

    APPROPRIATE = "appropriate"
    WITH_CONDITIONS = "with_conditions"
    CHANGE_NEEDED = "change_needed"


class Decided(StrEnum):
    """What the municipality said."""

    SUPPORT = "support"
    """支援決定: services under the Act are used."""
    CONFIRMED = "confirmed"
    """確認: nothing in it needs a decision under the Act."""


class SentBack(StrEnum):
    """Why the municipality gives a plan back."""

    CHANGE_NEEDED = "change_needed"
    MORE_TO_TELL = "more_to_tell"
    ANOTHER_SCHEME = "another_scheme"
    OTHER = "other"


class Way(StrEnum):
    """How the person was met, or heard."""

    AT_THE_DESK = "at_the_desk"
    VISIT = "visit"
    PHONE = "phone"
    ONLINE = "online"
    WITH_AGENCY = "with_agency"
    """At, or from, an agency that carries a line."""
    NOT_REACHED = "not_reached"


class Going(StrEnum):
    """How a line goes."""

    GOING_WELL = "going_well"
    SLOW = "slow"
    STOPPED = "stopped"
    DONE = "done"


class Reached(StrEnum):
    """Whether the goal was reached."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"


class Ending(StrEnum):
    """評価のあと: what follows from the evaluation."""

    CLOSE = "close"
    NEW_PLAN = "new_plan"
    INTERRUPT = "interrupt"


class GivenUp(StrEnum):
    """Why a plan, or the change of one, is not pursued."""

    PERSON_WISHES = "person_wishes"
    ANOTHER_SCHEME = "another_scheme"
    NOT_REACHED = "not_reached"
    NOT_NEEDED = "not_needed"
    MISTAKE = "mistake"


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
    MONITORING_AFTER_THE_END = "monitoring_after_the_end"


Faults = Sequence[tuple[Fault, int | None]]
"""Each with its line's place, or None for the whole."""


def faults_of(lines: Collection[Line], *, monitor_on: date, today: date) -> Faults:
    """Why this is no plan that anybody can agree to today."""
    found: list[tuple[Fault, int | None]] = [] if lines else [(Fault.NO_LINES, None)]
    if monitor_on < today:
        found.append((Fault.MONITORING_IN_THE_PAST, None))
    elif lines and monitor_on > max(each.ends_on for each in lines):
        found.append((Fault.MONITORING_AFTER_THE_END, None))
    for place, each in enumerate(lines):
        if each.ends_on < each.begins_on:
            found.append((Fault.ENDS_BEFORE_IT_BEGINS, place))
        if (each.who is Who.AGENCY) != (each.agency is not None):
            found.append((Fault.AGENCY_NOT_NAMED if each.agency is None else Fault.AGENCY_WITHOUT_NEED, place))
    return found


def asks(line: Line) -> bool:
    """Whether a line is a task with a day: what an agency does once. Others go on, and monitoring asks how."""
    return line.rhythm is Rhythm.ONCE and line.who in {Who.DESK, Who.AGENCY}


# --- who reads it ---------------------------------------------------------------------------------------------------


class Ground(StrEnum):
    """Why an agency may read."""

    DUTY = "duty"
    """It holds the case, or has to decide about the plan."""
    CONSENT = "consent"


@dataclass(frozen=True, slots=True)
class Whole:
    """All of it; versions that the person did not agree to only if `drafts`, what may tell of illness if `illness`."""

    ground: Ground
    drafts: bool
    illness: bool


@dataclass(frozen=True, slots=True)
class OwnLines:
    """The goal, and what the plan asks of this agency."""


View = Whole | OwnLines | access.NoBasis | access.Hidden


def view(
    ratings: access.Sees | access.SeesOwn | access.NoBasis | access.Hidden, *, decides: bool, carries: bool
) -> View:
    """How much of a plan an agency sees, given how much it sees of the ratings.

    `decides`: it is the municipality. `carries`: a line is its own, and consent reaches to it for that.
    """
    match ratings:
        case access.Sees(access.Ground.HOLDER):
            return Whole(Ground.DUTY, drafts=True, illness=True)
        case _ if decides:
            return Whole(Ground.DUTY, drafts=False, illness=True)
        case access.Sees(illness=illness):
            return Whole(Ground.CONSENT, drafts=False, illness=illness)
        case _ if carries:
            return OwnLines()
        case access.Hidden():
            return access.Hidden()
        case _:
            return access.NoBasis()


def version_shown(
    seen: Whole | OwnLines, *, state: State, version: int, agreed: int | None, decided: int | None
) -> int | None:
    """Which version is the plan, for this reader, where none was asked for. None: there is none for it yet."""
    if isinstance(seen, Whole) and seen.drafts:
        return version if decided is None or state in _IN_CHANGE else decided
    if isinstance(seen, Whole) and seen.ground is Ground.DUTY and state in _IN_CHANGE:
        return agreed
    return decided or agreed
