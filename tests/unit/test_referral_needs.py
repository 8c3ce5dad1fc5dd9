"""Needs that nobody answers: what begins to be on record, and why it ends."""

from collections.abc import Set as AbstractSet
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.needs import Compared, EndReason, Need, NeedState, compare, unmet
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
    assert compare({need}, set(), wanted=wanted, served=served) == Compared((), ((need, reason),))
    assert reason.state is state


@pytest.mark.parametrize("reason", [EndReason.CASE_CLOSED, EndReason.CASE_ERASED])
def test_a_case_that_ends_meets_nothing(reason: EndReason) -> None:
    assert reason.state is NeedState.ENDED


needs = st.sets(st.sampled_from([None, "housing", "health", "goals"]))


@given(needs, needs)
def test_afterwards_what_is_on_record_is_what_is_lacking(on_record: set[Need], lacking: set[Need]) -> None:
    found = compare(on_record, lacking, wanted={"housing", "health"}, served=NOTHING)
    after = on_record - {need for need, _ in found.ends} | set(found.begins)
    assert after == lacking
    assert compare(after, lacking, wanted={"housing"}, served=NOTHING) == Compared((), ())
