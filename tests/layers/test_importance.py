import numpy as np
import pytest

from aerepr.layers.importance import Fitted, of_fits
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
