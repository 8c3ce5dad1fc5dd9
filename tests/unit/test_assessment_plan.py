"""What a plan must hold, and who reads how much of it."""

from datetime import date, timedelta
from itertools import product

import pytest

from services.assessment.domain import access
from services.assessment.domain.plan import (
    AT_WORK,
    MOVES,
    Fault,
    Ground,
    Line,
    OwnLines,
    Party,
    Rhythm,
    State,
    Who,
    Whole,
    asks,
    faults_of,
    parties_of,
    version_shown,
    view,
)

TODAY = date(2026, 11, 30)
DAY = timedelta(days=1)
HOLDER, CONSENT = access.Sees(access.Ground.HOLDER, illness=True), access.Sees(access.Ground.CONSENT, illness=False)


def line(who: Who = Who.PERSON, agency: str | None = None, ends_on: date = TODAY + 90 * DAY) -> Line:
    return Line(who, agency, TODAY, ends_on, Rhythm.DAILY, None)


def test_a_plan_is_whole_on_its_first_and_on_its_last_possible_day() -> None:
    assert faults_of([line()], monitor_on=TODAY, today=TODAY) == []
    assert faults_of([line(), line(ends_on=TODAY)], monitor_on=TODAY + 90 * DAY, today=TODAY) == []


@pytest.mark.parametrize(
    ("lines", "monitor_on", "faults"),
    [
        ([], TODAY, [(Fault.NO_LINES, None)]),
        ([line()], TODAY - DAY, [(Fault.MONITORING_IN_THE_PAST, None)]),
        ([line()], TODAY + 91 * DAY, [(Fault.MONITORING_AFTER_THE_END, None)]),
        ([line(), line(ends_on=TODAY - DAY)], TODAY, [(Fault.ENDS_BEFORE_IT_BEGINS, 1)]),
        ([line(Who.AGENCY)], TODAY, [(Fault.AGENCY_NOT_NAMED, 0)]),
        ([line(Who.DESK, "npo-hinata")], TODAY, [(Fault.AGENCY_WITHOUT_NEED, 0)]),
        ([line(Who.AGENCY, "npo-hinata")], TODAY, []),
    ],
)
def test_a_plan_says_what_it_lacks(lines: list[Line], monitor_on: date, faults: list[tuple[Fault, int | None]]) -> None:
    assert faults_of(lines, monitor_on=monitor_on, today=TODAY) == faults


def test_what_an_agency_does_once_is_a_task_and_what_goes_on_is_none() -> None:
    asking = {
        (who, rhythm) for who, rhythm in product(Who, Rhythm) if asks(Line(who, None, TODAY, TODAY, rhythm, None))
    }
    assert asking == {(Who.DESK, Rhythm.ONCE), (Who.AGENCY, Rhythm.ONCE)}


def test_a_desk_never_decides_and_an_office_of_another_town_takes_no_part() -> None:
    assert parties_of(holds=True, kind="self_reliance_desk", serves=True) == {Party.HOLDER}
    assert parties_of(holds=False, kind="municipality", serves=True) == {Party.MUNICIPALITY}
    assert parties_of(holds=True, kind="welfare_office", serves=True) == {Party.HOLDER, Party.MUNICIPALITY}
    assert parties_of(holds=False, kind="municipality", serves=False) == frozenset()
    assert parties_of(holds=False, kind="npo", serves=True) == frozenset()


def test_nothing_leads_out_of_a_plan_that_ended_and_a_closed_case_ends_any_other() -> None:
    assert {source for move in MOVES for source in move.sources} == set(AT_WORK)
    assert set(State) - set(AT_WORK) == {State.EVALUATED, State.GIVEN_UP, State.INTERRUPTED}
    (interrupt,) = [move for move in MOVES if move.name == "interrupt"]
    assert (interrupt.sources, interrupt.by) == (frozenset(AT_WORK), frozenset({Party.SERVICE}))


def test_how_much_is_seen_follows_from_duty_then_consent_then_ones_own_lines() -> None:
    on_duty = Whole(Ground.DUTY, drafts=False, illness=True)
    others: tuple[access.Sees | access.SeesOwn | access.NoBasis | access.Hidden, ...]
    others = (CONSENT, access.SeesOwn(), access.NoBasis(), access.Hidden())
    for decides, carries in product((True, False), repeat=2):
        assert view(HOLDER, decides=decides, carries=carries) == Whole(Ground.DUTY, drafts=True, illness=True)
    for carries in (True, False):
        assert {view(ratings, decides=True, carries=carries) for ratings in others} == {on_duty}
    assert view(CONSENT, decides=False, carries=True) == Whole(Ground.CONSENT, drafts=False, illness=False)
    assert [view(ratings, decides=False, carries=True) for ratings in others[1:]] == [OwnLines()] * 3
    assert [view(ratings, decides=False, carries=False) for ratings in others[1:]] == [
        access.NoBasis(),
        access.NoBasis(),
        access.Hidden(),
    ]


@pytest.mark.parametrize(
    ("state", "version", "agreed", "decided", "holder", "decider", "carrier"),
    [
        (State.DRAFT, 1, None, None, 1, None, None),
        (State.DRAFT, 3, 2, None, 3, 2, 2),
        (State.HEARD, 3, 3, None, 3, 3, 3),
        (State.IN_FORCE, 3, 3, 3, 3, 3, 3),
        (State.CHANGING, 4, 3, 3, 4, 3, 3),
        (State.CHANGE_HEARD, 4, 4, 3, 4, 4, 3),
        (State.IN_FORCE, 5, 4, 3, 3, 3, 3),
        (State.EVALUATED, 5, 4, 3, 3, 3, 3),
    ],
)
def test_each_reader_is_shown_the_version_that_counts_for_it(
    state: State,
    version: int,
    agreed: int | None,
    decided: int | None,
    holder: int,
    decider: int | None,
    carrier: int | None,
) -> None:
    readers = (
        Whole(Ground.DUTY, drafts=True, illness=True),
        Whole(Ground.DUTY, drafts=False, illness=True),
        OwnLines(),
    )
    shown = [version_shown(each, state=state, version=version, agreed=agreed, decided=decided) for each in readers]
    assert shown == [holder, decider, carrier]
