"""Who may not read levels or urgency reads them neither from a reason nor from the points, the order or a remark."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from services.referral.domain.options import Capacity, Stage
from services.referral.domain.read_routing import as_read
from services.referral.domain.routing_rules import FIRST
from services.referral.domain.told import NOTHING, Reading
from tests.unit.test_referral_routing import CASE, DROP_IN, route

TOLD = Reading(categories=frozenset())
HOLDER = Reading(whole=True)
READY = replace(DROP_IN, id=UUID(int=77), stage=Stage.WORK_TRAINING)
FULL = replace(DROP_IN, id=UUID(int=78), capacity=Capacity.FULL, needs=DROP_IN.needs | {"tasks"})
PLAIN = replace(CASE, needs=frozenset({"people", "tasks"}), urgent=False, levels=None, prolongation_risk=None)
LOW: dict[str, Any] = {"levels": {"stress": 1}, "prolongation_risk": "true"}
URGENT: dict[str, Any] = {"urgent": True}


def read(reading: Reading, **facts: Any) -> Any:
    return as_read(route(replace(PLAIN, **facts), [DROP_IN, READY, FULL]), reading)


@pytest.mark.parametrize("facts", [LOW, URGENT, LOW | URGENT, {"levels": {"stress": 5}, "prolongation_risk": "false"}])
def test_whatever_the_levels_and_the_urgency_are_a_bystander_reads_the_same(facts: dict[str, Any]) -> None:
    assert read(NOTHING, **facts) == read(NOTHING)


def test_who_is_told_by_a_referral_reads_the_urgency_and_not_the_levels() -> None:
    assert read(TOLD, **URGENT) != read(TOLD)
    assert read(TOLD, **LOW, **URGENT) == read(TOLD, **URGENT)


def test_who_holds_the_case_reads_all_of_it_as_it_was_reckoned() -> None:
    whole = route(replace(PLAIN, **LOW, **URGENT), [DROP_IN, READY, FULL])
    assert as_read(whole, HOLDER) is whole
    codes = {reason.code for each in whole.items for reason in each.reasons}
    assert {"earlier_stage_first", "plan_for_long_support", "urgent_and_room"} <= codes


@pytest.mark.parametrize("stands", [None, *Stage])
def test_where_there_is_nothing_to_withhold_the_order_is_as_it_was_reckoned(stands: Stage | None) -> None:
    """How far each is from the next rung is read from its reasons alone: it must be what routing has reckoned."""
    weightless = replace(FIRST, weights=replace(FIRST.weights, next_rung=0, rung_skipped=0))
    options = [replace(DROP_IN, id=UUID(int=90 - n), stage=stage) for n, stage in enumerate(Stage)]
    whole = route(replace(PLAIN, stage=stands), options, rules=weightless)
    assert len({each.score for each in whole.items}) == 1, "only the distance decides"
    assert [each.option for each in as_read(whole, NOTHING).items] == [each.option for each in whole.items]


def test_that_something_is_withheld_stands_beside_every_candidate_and_the_points_are_of_the_rest() -> None:
    for each in read(NOTHING).items:
        assert each.reasons[-1].code == "holder_knows_more"
        assert each.score == sum(reason.weight for reason in each.reasons)
