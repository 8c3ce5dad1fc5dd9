"""Who may not see a small count subtracts what they see: kinds of support that answer nearly the same needs."""

import math
from itertools import combinations, permutations
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from services.referral.domain.function_map import Group, Picture, Unmet, draw
from services.referral.domain.map_supply import Kind, Offer, Thresholds
from services.referral.domain.map_views import Seen, see
from services.referral.domain.small_counts import LEAST_SHOWN, Shown, coarse
from tests.unit.test_referral_map_told import NOW, TODAY, A, B

NEEDS = ("isolation", "people", "housing", "tasks")
SETS = [frozenset(some) for many in range(1, len(NEEDS) + 1) for some in combinations(NEEDS, many)]
NAMES = ("open_needs", "unmet", "wanting")
Interval = tuple[float, float]


@st.composite
def regions(draw_: st.DrawFn) -> tuple[Picture, dict[Kind, frozenset[str]]]:
    """Some kinds of support, each for some needs, and people of a town with any needs, some of them without anybody."""
    answered = draw_(st.lists(st.sampled_from(SETS), min_size=2, max_size=6, unique=True))
    kinds = {Kind(f"function_{number}", "drop_in", 4): needs for number, needs in enumerate(answered)}
    offers = [
        Offer(UUID(int=number), kind, frozenset({A, B}), needs, "has_room", 3, TODAY, TODAY)
        for number, (kind, needs) in enumerate(kinds.items())
    ]
    people = draw_(st.dictionaries(st.sampled_from(SETS), st.integers(1, 12), min_size=1))
    groups = [Group(A, needs, many) for needs, many in people.items()]
    unmet = [
        Unmet(A, uuid4(), need, needs)
        for needs, many in people.items()
        for need in sorted(needs & draw_(st.frozensets(st.sampled_from(NEEDS))))
        for _ in range(many)
    ]
    return Picture(TODAY, NOW, frozenset({A, B}), offers, (), groups, (), unmet), kinds


def between(shown: Shown) -> Interval:
    """The fewest and the most that a reader takes it for, who knows how counts are hidden."""
    if shown.count is not None:
        return shown.count, shown.count
    return shown.at_least, math.inf if shown.below is None else shown.below - 1


def solved(seen: dict[frozenset[str], Interval]) -> dict[tuple[frozenset[str], ...], float]:
    """What can be reckoned of people that no count shows: who has needs of one kind and none of another's; both."""
    found: dict[tuple[frozenset[str], ...], Interval] = {}
    for more, less in permutations(seen, 2):
        if less < more:
            found[more, less] = (seen[more][0] - seen[less][1], seen[more][1] - seen[less][0])
    for one, other in combinations(seen, 2):
        if one | other in seen:
            first, second, both = seen[one], seen[other], seen[one | other]
            found[one, other, one | other] = (first[0] + second[0] - both[1], first[1] + second[1] - both[0])
    return {what: least for what, (least, most) in found.items() if least == most}


@given(regions())
@settings(max_examples=200)
def test_no_few_people_are_solved_for_by_whoever_may_not_see_them(
    region: tuple[Picture, dict[Kind, frozenset[str]]],
) -> None:
    picture, kinds = region
    cells = draw(picture, Thresholds(), own=lambda _: False)
    seen: dict[Kind, Seen] = {kind: see(cells[A, kind], own=lambda _: False) for kind in kinds if (A, kind) in cells}
    for name in NAMES:
        shown = {kinds[kind]: between(getattr(each, name)) for kind, each in seen.items()}
        few = {what: many for what, many in solved(shown).items() if 0 < many < LEAST_SHOWN}
        assert not few, name


def test_as_many_hidden_counts_as_you_like_add_up_to_no_border() -> None:
    """If they all were at their most, the next border would still leave each of them open from 1 to 4."""
    for many in range(2, 60):
        most = many * (LEAST_SHOWN - 1)
        borders = {coarse(Shown(count, count)).at_least for count in range(LEAST_SHOWN, most + 1)}
        assert most - max(borders) == LEAST_SHOWN - 2


def test_a_coarse_count_holds_what_it_stands_for_and_a_bound_stays_one() -> None:
    for count in range(LEAST_SHOWN, 60):
        found = coarse(Shown(count, count))
        assert found.below is not None
        assert found.at_least <= count < found.below
        assert coarse(Shown(None, count)) == Shown(None, found.at_least)
    assert coarse(Shown(7, 7)).text_ja == "5〜8"
    assert coarse(Shown(0, 0)).text_ja == "0"
