import numpy as np
import pytest

from aerepr.builtin.metrics.modularity import _of_information, modularity
from tests.builtin.metrics.arrays import classes, grid
from tests.builtin.metrics.reference import cases, formulas


@pytest.mark.parametrize("case", cases("modularity"), ids=str)
def test_every_case_of_the_reference(case):
    found = modularity(case.codes, case.factors, train_rows=case.train)
    case.check("modularity", found.score)
    every = modularity(case.codes, case.factors, train_rows=len(case.codes)).score
    assert every == pytest.approx(case.about["variants"]["modularity_all_rows"], abs=1e-4)
    if "modularity" in case.details:
        matrix = case.details["modularity"]["mutual_information_train_rows"]
        np.testing.assert_allclose(found.information_DK, matrix, atol=1e-8)


@pytest.mark.parametrize("item", formulas("modularity_from_mi"))
def test_the_formula(item):
    assert _of_information(item["mutual_information"]).score == pytest.approx(float(item["modularity"]), abs=1e-8)


def test_a_dead_dimension_counts_as_nothing():
    y = np.concatenate([grid(), grid()])
    z = np.concatenate([y, np.full((len(y), 1), 0.1)], axis=1).astype(np.float32)
    found = modularity(z, y, train_rows=len(y) // 2)
    np.testing.assert_allclose(found.score_D, [1, 1, 1, 0], atol=1e-6)
    assert found.score == pytest.approx(0.75)


def test_only_train_rows_count():
    y = classes()
    z = y.astype(np.float32)
    other = z.copy()
    other[400:] = 0
    assert modularity(z, y).score == modularity(other, y).score
    assert modularity(z, y, train_rows=399).score != modularity(z, y).score
