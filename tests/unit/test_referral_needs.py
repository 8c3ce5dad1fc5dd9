"""Needs that nobody answers: what begins to be on record, and why it ends."""

from collections.abc import Set as AbstractSet
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.needs import Compared, EndReason, Need, NeedState, compare, coordinated_by, unmet
from tests.unit.test_referral_routing import CASE, DROP_IN, route

NOTHING: frozenset[str] = frozenset()


def test_a_case_without_a_candidate_lacks_its_needs_and_the_whole() -> None:
    assert unmet(route(CASE, []), taken=False) == {"people", None}
    assert unmet(route(CASE, []), taken=True) == {"people"}, "somebody has the case"
    assert unmet(route(CASE, [DROP_IN]), taken=False) == frozenset()
    assert unmet(route(replace(CASE, needs=frozenset()), []), taken=False) == {None}


@pytest.mark.parametrize(
    ("need", "wanted", "served", "reason", "state"),
    [
        ("housing", {"housing"}, {"housing"}, EndReason.SERVED, NeedState.MET),
        ("housing", {"housing"}, NOTHING, EndReason.CANDIDATE_FOUND, NeedState.MET),
        ("housing", {"health"}, NOTHING, EndReason.NO_LONGER_NEEDED, NeedState.ENDED),
        (None, NOTHING, NOTHING, EndReason.CANDIDATE_FOUND, NeedState.MET),
    ],
)
def test_an_end_has_its_reason(
    need: Need, wanted: AbstractSet[str], served: AbstractSet[str], reason: EndReason, state: NeedState
) -> None:
    assert compare({need}, set(), wanted=wanted, served=served, taken=False) == Compared((), ((need, reason),))
    assert reason.state is state


def test_of_a_case_that_somebody_took_the_whole_is_served_and_no_need_of_it_by_that() -> None:
    found = compare({None, "housing"}, set(), wanted={"housing"}, served=NOTHING, taken=True)
    assert dict(found.ends) == {None: EndReason.SERVED, "housing": EndReason.CANDIDATE_FOUND}


@pytest.mark.parametrize(
    ("said_by", "whose"),
    [(None, "council"), ("council", "council"), ("desk", "desk"), ("council-of-before", "council")],
)
def test_who_coordinates_what_is_open_is_who_said_so_while_the_case_is_theirs(said_by: str | None, whose: str) -> None:
    assert coordinated_by(said_by, holder="desk", coordinator="council") == whose


@pytest.mark.parametrize("reason", [EndReason.CASE_CLOSED, EndReason.CASE_ERASED])
def test_a_case_that_ends_meets_nothing(reason: EndReason) -> None:
    assert reason.state is NeedState.ENDED


needs = st.sets(st.sampled_from([None, "housing", "health", "goals"]))


@given(needs, needs)
def test_afterwards_what_is_on_record_is_what_is_lacking(on_record: set[Need], lacking: set[Need]) -> None:
    found = compare(on_record, lacking, wanted={"housing", "health"}, served=NOTHING, taken=False)
    after = on_record - {need for need, _ in found.ends} | set(found.begins)
    assert after == lacking
    assert compare(after, lacking, wanted={"housing"}, served=NOTHING, taken=False) == Compared((), ())
