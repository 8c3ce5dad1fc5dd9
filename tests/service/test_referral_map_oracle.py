"""The map equals what the events alone tell: recomputed cell by cell, on regions that a dice made up."""

from typing import Any

import pytest

from shared.events import CourseOffered, PoolChanged
from tests.service.map_oracle import Place, recompute
from tests.service.map_region import NOW, TRAINED, Dice, Region, acting, as_told, drawn, take_in
from tests.world import Running

WHOLE = acting("prefecture:46", "prefecture:45")


async def compare(referral: Running, region: Region) -> dict[Place, dict[str, Any]]:
    """Nothing may differ, in any number of any cell."""
    await take_in(referral, region)
    expected = recompute(region.log, prefecture="46", now=NOW, neighbours=region.neighbours)
    found = dict(map(as_told, await drawn(referral, WHOLE)))
    assert found.keys() == expected.keys()
    assert {place: (found[place], cell) for place, cell in expected.items() if found[place] != cell} == {}
    return found


@pytest.mark.parametrize("seed", range(6))
async def test_a_small_region_equals_its_events(referral: Running, seed: int) -> None:
    assert await compare(referral, Dice(seed).roll())


async def test_fifty_municipalities_forty_functions_and_seven_stages_equal_their_events(referral: Running) -> None:
    region = Dice(7, municipalities=50, functions=40, programmes=1_800, cases=2_000, referrals=800, courses=60).roll()
    found = await compare(referral, region)
    assert len(found) > 0.9 * 50 * 40 * 7  # elsewhere there is neither supply nor demand, by both accounts
    said = {name: {cell[name] for cell in found.values()} for name in ("state", "why", "proposal")}
    assert said["state"] == {"covered", "thin", "missing", "unused"}
    assert said["proposal"] == {"none", "extend", "borrow", "create"}
    assert said["why"] >= {"nothing", "no_supply", "stale", "room_unknown", "full", "short"}
    assert_there_is_training(region, found)


def assert_there_is_training(region: Region, found: dict[Place, dict[str, Any]]) -> None:
    """Whatever may be the matter with a course run is there; else the two accounts would agree about nothing."""
    runs = {each.course_run_id: each for each, _ in region.log if isinstance(each, CourseOffered)}
    pools = {each.pool_id: each for each, _ in region.log if isinstance(each, PoolChanged)}
    is_open = {run: each.applications_close_at >= NOW for run, each in runs.items()}
    kinds = {(is_open[each.course_run_id], each.municipality is None) for each in pools.values()}
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}
    training = {place: cell for place, cell in found.items() if (place[1], place[3]) in TRAINED}
    for name in ("places", "waiting", "turned_away"):
        assert {place[1:] for place, cell in training.items() if cell[name]} == {
            (function, "vocational_training", strand) for function, strand in TRAINED
        }
