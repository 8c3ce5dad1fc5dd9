"""How far a case came, whatever the order of the news and however often they come."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dashboard.domain import STAGES, Pool, Progress, Step, progress_of, share

START = datetime(2026, 4, 1, tzinfo=UTC)
CASE = UUID(int=1)

steps = st.builds(
    Step,
    case_id=st.integers(1, 3).map(lambda number: UUID(int=number)),
    stage=st.sampled_from([None, *STAGES]),
    municipality=st.sampled_from([None, "462012"]),
    at=st.integers(0, 50).map(lambda minutes: START + timedelta(minutes=minutes)),
)


@given(st.lists(steps), st.randoms())
def test_neither_order_nor_repetition_changes_how_far_a_case_came(told: list[Step], random: object) -> None:
    again = [*told, *told[::2]]
    random.shuffle(again)  # type: ignore[attr-defined]
    assert by_case(progress_of(told)) == by_case(progress_of(again))


@given(st.lists(steps))
def test_every_stage_that_was_told_is_kept_with_its_first_moment(told: list[Step]) -> None:
    found = by_case(progress_of(told))
    assert set(found) == {step.case_id for step in told}
    for step in told:
        if step.stage is not None:
            first = min(each.at for each in told if (each.case_id, each.stage) == (step.case_id, step.stage))
            assert found[step.case_id].reached[step.stage] == first


def test_where_a_case_belongs_may_be_told_later_than_what_happened_to_it() -> None:
    told = [Step(CASE, "assessed", None, START), Step(CASE, "opened", "462012", START)]
    assert progress_of(told) == [Progress(CASE, "462012", {"assessed": START, "opened": START})]


@pytest.mark.parametrize(("granted", "held", "filled", "free"), [(10, 2, 3, 5), (10, 4, 6, 0), (5, 4, 3, 0)])
def test_a_pool_never_has_less_than_no_free_seat(granted: int, held: int, filled: int, free: int) -> None:
    pool = Pool(UUID(int=9), "general", None, granted, held, filled, waiting=0)
    assert pool.free == free


@pytest.mark.parametrize(("part", "whole", "said"), [(1, 3, "33.3%"), (2, 3, "66.7%"), (1, 2000, "0.1%"), (1, 0, None)])
def test_a_share_has_one_decimal_and_of_nothing_there_is_none(part: int, whole: int, said: str | None) -> None:
    assert share(part, whole) == said


def by_case(cases: list[Progress]) -> dict[UUID, Progress]:
    return {case.case_id: case for case in cases}
