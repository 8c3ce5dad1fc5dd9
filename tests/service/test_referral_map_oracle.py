"""The map equals what the events alone tell: recomputed cell by cell, on regions that a dice made up."""

from collections import Counter

import pytest

from tests.service.map_oracle import recompute
from tests.service.map_region import NOW, Dice, acting, as_told, drawn, take_in
from tests.world import Running

WHOLE = acting("prefecture:46", "prefecture:45")


async def compare(referral: Running, dice: Dice) -> Counter[tuple[str, str, str]]:
    """Nothing may differ, in any number of any cell; how many cells said what."""
    region = dice.roll()
    await take_in(referral, region)
    expected = recompute(region.log, prefecture="46", now=NOW, neighbours=region.neighbours)
    found = dict(map(as_told, await drawn(referral, WHOLE)))
    assert found.keys() == expected.keys()
    assert {place: (found[place], cell) for place, cell in expected.items() if found[place] != cell} == {}
    return Counter((cell["state"], cell["why"], cell["proposal"]) for cell in found.values())


@pytest.mark.parametrize("seed", range(6))
async def test_a_small_region_equals_its_events(referral: Running, seed: int) -> None:
    assert await compare(referral, Dice(seed))


async def test_fifty_municipalities_forty_functions_and_seven_stages_equal_their_events(referral: Running) -> None:
    dice = Dice(7, municipalities=50, functions=40, programmes=1_800, cases=2_000, referrals=600)
    said = await compare(referral, dice)
    assert sum(said.values()) > 0.9 * 50 * 40 * 7  # elsewhere there is neither supply nor demand, by both accounts
    assert {state for state, _, _ in said} == {"covered", "thin", "missing", "unused"}
    assert {proposal for _, _, proposal in said} == {"none", "extend", "borrow", "create"}
    assert {why for _, why, _ in said} >= {"nothing", "no_supply", "stale", "room_unknown", "full", "short"}
