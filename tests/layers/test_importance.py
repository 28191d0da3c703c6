import numpy as np
import pytest

from aerepr.layers.importance import Fitted, fit_factors, of_fits
from tests.builtin.metrics.reference import formulas


@pytest.mark.parametrize("item", formulas("dci_from_importance"))
def test_the_formulas_of_the_reference(item):
    found = of_fits([Fitted(column, 0.5, 0.25) for column in item["importance"].T])
    assert found.disentanglement == pytest.approx(float(item["disentanglement"]), abs=1e-8)
    assert found.completeness == pytest.approx(float(item["completeness"]), abs=1e-8)
    np.testing.assert_allclose(found.disentanglement_D, item["per_code"], atol=1e-8)
    np.testing.assert_allclose(found.completeness_K, item["per_factor"], atol=1e-8)
    assert (found.informativeness_test, found.informativeness_train) == (0.25, 0.5)


def test_one_to_one_everything_and_nothing():
    assert of_fits([Fitted(row, 1, 1) for row in np.eye(3)]).disentanglement == pytest.approx(1)
    even = of_fits([Fitted(np.full(4, 0.25), 1, 1)] * 3)
    assert (even.disentanglement, even.completeness) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    nothing = of_fits([Fitted(np.zeros(4), 1, 1)] * 3)
    assert (nothing.disentanglement, nothing.completeness) == (pytest.approx(0), pytest.approx(0))


def test_the_bases_differ():
    # One factor spread over all four dimensions: completeness 0; each dimension about one factor: disentanglement 1.
    found = of_fits([Fitted(np.full(4, 0.25), 1, 1), Fitted(np.zeros(4), 1, 1)])
    assert found.disentanglement == pytest.approx(1)
    assert found.completeness == pytest.approx(0, abs=1e-12)


def test_the_factors_of_most_classes_are_fitted_first_each_on_its_rows_and_come_back_in_order():
    splits = []

    def fit(split):
        splits.append(split)
        return Fitted(np.full(2, split.size), 0.0, 0.0)

    y = np.stack([np.arange(12) % size for size in (2, 5, 3)], axis=1)
    z = np.arange(24.0).reshape(12, 2)
    found = fit_factors(fit, z, y, 8, seed=0, jobs=1)
    assert [split.size for split in splits] == [5, 3, 2]
    assert [fitted.importance_D[0] for fitted in found] == [2, 5, 3]
    assert len({split.seed for split in splits}) == 3
    for split, factor in zip(splits, (1, 2, 0), strict=True):
        np.testing.assert_array_equal(np.concatenate([split.train_ND, split.test_ND]), z)
        np.testing.assert_array_equal(split.train_N, y[:8, factor])
        np.testing.assert_array_equal(split.test_N, y[8:, factor])
