"""Weighted kappa against statsmodels on 1,000 random tables (vendor/kappa-reference.json says which version)."""

import json
from pathlib import Path

import pytest

from services.assessment.domain.agreement import FEW, Agreement, Undefined, weighted_kappa

REFERENCE = json.loads((Path(__file__).parent / "vendor" / "kappa-reference.json").read_text())["tables"]


def test_kappa_and_its_variance_are_those_of_the_reference_on_1000_tables() -> None:
    assert len(REFERENCE) == 1000
    for table in REFERENCE:
        found = weighted_kappa(table["counts"])
        if table["kappa"] is None:
            assert isinstance(found, Undefined), table
        else:
            assert isinstance(found, Agreement), table
            assert found.kappa == pytest.approx(table["kappa"], abs=1e-9)
            assert found.variance == pytest.approx(table["variance"], abs=1e-9)


def test_kappa_is_undefined_where_nobody_rated_and_where_both_always_said_the_same_level() -> None:
    assert weighted_kappa([[0] * 5] * 5) == Undefined("no_ratings", 0)
    always_three = [[0] * 5 for _ in range(5)]
    always_three[2][2] = 40
    assert weighted_kappa(always_three) == Undefined("no_variation", 40)
    always_apart = [[0] * 5 for _ in range(5)]
    always_apart[1][3] = 40
    assert isinstance(weighted_kappa(always_apart), Agreement)


def test_full_agreement_is_one_and_its_interval_leaves_no_room() -> None:
    diagonal = [[7 if i == j else 0 for j in range(5)] for i in range(5)]
    found = weighted_kappa(diagonal)
    assert isinstance(found, Agreement)
    assert found.kappa == pytest.approx(1)
    assert found.exact == pytest.approx(1)
    assert found.interval == (1, 1)


def test_the_interval_stays_between_minus_one_and_one_and_few_ratings_are_said_to_be_few() -> None:
    found = weighted_kappa([[3, 1], [1, 2]])
    assert isinstance(found, Agreement)
    low, high = found.interval
    assert -1 <= low < found.kappa < high <= 1
    assert found.few
    assert found.n < FEW
