"""A no and a question that waits, the next place, and that each fact of a case gives its reason."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.referral.domain.options import Capacity, Option, Stage
from services.referral.domain.routing import next_place
from tests.unit.test_referral_routing import CASE, DROP_IN, KIRISHIMA, TODAY, ZAMA, ids, reasons, route

ANY: frozenset[str] = frozenset()


def test_who_said_no_stays_to_be_chosen_by_hand_and_answers_no_need() -> None:
    case = replace(CASE, declined_targets=frozenset({DROP_IN.id}), refused_targets=frozenset({DROP_IN.id}))
    found = route(replace(case, coordinator="council"), [DROP_IN])

    assert ids(found) == [DROP_IN.id]
    assert reasons(found)["says_no"].weight == -8
    assert "declined_before" not in reasons(found)
    assert (found.need_unmet, found.unmet_needs, found.coordinator) == (True, ("people",), "council")
    other = replace(DROP_IN, id=UUID(int=99))
    both = route(case, [DROP_IN, other])
    assert (both.need_unmet, both.unmet_needs) == (False, ())


def test_who_is_asked_and_has_not_answered_yet_may_still_answer_the_need() -> None:
    case = replace(CASE, open_targets=frozenset({DROP_IN.id}))
    found = route(case, [DROP_IN])

    assert (found.items, found.need_unmet, found.unmet_needs) == ((), False, ())
    before = route(case, [DROP_IN], reckoned=1)
    assert (before.need_unmet, before.unmet_needs) == (True, ("people",)), "as it was reckoned"
    other_need = route(replace(case, needs=frozenset({"housing"})), [DROP_IN])
    assert (other_need.need_unmet, other_need.unmet_needs) == (True, ("housing",))


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"refused_targets": frozenset({DROP_IN.id})}, None),
        ({"taken_targets": frozenset({DROP_IN.id})}, None),
        ({}, "not_given"),
        ({}, "not_named"),
    ],
)
def test_the_next_place_is_neither_a_no_nor_where_the_person_is_nor_one_that_may_not_be_told(
    changes: dict[str, Any], lacks: str | None
) -> None:
    best, next_best = replace(DROP_IN, agency_id="first"), replace(DROP_IN, id=UUID(int=11), agency_id="second")
    found = route(
        replace(CASE, **changes),
        [best, next_best],
        lacking=lambda agency, _: lacks if agency == "first" else None,
    )
    assert best.id in ids(found)
    assert next_place(found, sought=ANY, but=None) == next_best
    assert next_place(found, sought=ANY, but=next_best.id) is None
    assert next_place(route(CASE, [best, next_best]), sought=ANY, but=None) == best


def test_another_place_for_another_need_is_none_for_what_is_sought() -> None:
    housing = replace(DROP_IN, needs=frozenset({"housing"}), capacity=Capacity.HAS_ROOM)
    people = replace(DROP_IN, id=UUID(int=11), capacity=Capacity.ASK_FIRST)
    found = route(replace(CASE, needs=frozenset({"housing", "people"})), [housing, people])
    assert found.items[0].option == housing
    assert next_place(found, sought={"people"}, but=None) == people
    assert next_place(found, sought={"people"}, but=people.id) is None
    assert next_place(found, sought=ANY, but=None) == housing, "the whole case was sent"


# --- from everything that the issue names -----------------------------------------------------------------------------

FULLY = replace(
    CASE, levels={"stress": 1}, prolongation_risk="true", urgent=True, neighbours=frozenset({KIRISHIMA}), stage=None
)
YOUTH = replace(DROP_IN, for_whom=frozenset({"youth"}), conditions=frozenset({"living_alone"}))


@pytest.mark.parametrize(
    ("what", "changes", "option", "code"),
    [
        ("needs", {"needs": frozenset({"people", "housing"})}, DROP_IN, "answers_needs"),
        ("needs", {"needs": frozenset({"housing"})}, DROP_IN, "answers_no_need"),
        ("FDP levels", {}, DROP_IN, "earlier_stage_first"),
        ("flag", {}, DROP_IN, "plan_for_long_support"),
        ("stage", {"stage": Stage.DROP_IN}, DROP_IN, "same_rung"),
        ("municipality", {}, DROP_IN, "serves_municipality"),
        ("municipality", {"municipality": ZAMA}, DROP_IN, "other_municipality"),
        ("neighbours", {}, replace(DROP_IN, municipalities=frozenset({KIRISHIMA})), "neighbour_municipality"),
        ("eligibility", {}, YOUTH, "ask_whether_eligible"),
        ("eligibility", {}, YOUTH, "has_conditions"),
        ("capacity", {}, DROP_IN, "has_room"),
        ("capacity", {}, DROP_IN, "urgent_and_room"),
        ("capacity", {}, replace(DROP_IN, capacity=Capacity.FULL), "full"),
        ("distance", {}, DROP_IN, "next_rung"),
        ("distance", {}, replace(DROP_IN, stage=Stage.JOB), "rungs_skipped"),
        ("consent", {}, replace(DROP_IN, agency_id="not_named"), "consent_not_named"),
    ],
)
def test_a_candidate_has_its_reason_from_each_fact(
    what: str, changes: dict[str, Any], option: Option, code: str
) -> None:
    found = route(
        replace(FULLY, **changes), [option], lacking=lambda agency, _: agency if agency == "not_named" else None
    )
    assert code in reasons(found, option), what


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"levels": None}, "earlier_stage_first"),
        ({"levels": {"stress": 3}}, "earlier_stage_first"),
        ({"prolongation_risk": "false"}, "plan_for_long_support"),
        ({"prolongation_risk": "undetermined"}, "plan_for_long_support"),
        ({"urgent": False}, "urgent_and_room"),
        ({"stage": Stage.DROP_IN}, "next_rung"),
    ],
)
def test_and_without_the_fact_no_such_reason(changes: dict[str, Any], gone: str) -> None:
    assert gone in reasons(route(FULLY, [DROP_IN]))
    assert gone not in reasons(route(replace(FULLY, **changes), [DROP_IN]))


@pytest.mark.parametrize(("days", "stale"), [(179, False), (180, True), (0, False), (-1, True), (-365, True)])
def test_an_entry_is_stale_on_the_same_days_as_in_the_directory(days: int, stale: bool) -> None:
    option = replace(DROP_IN, confirmed_on=TODAY - timedelta(days=days))
    assert ("stale_entry" in reasons(route(CASE, [option]))) == stale
    before = reasons(route(CASE, [option], reckoned=2))
    assert ("stale_entry" in before) == (days > 180), "what was reckoned so is made again so"
