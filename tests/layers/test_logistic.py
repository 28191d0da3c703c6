import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from aerepr.layers import logistic


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("scale", [0.05, 1.0])
def test_it_is_scikit_learns(size, scale):
    generator = np.random.default_rng(size)
    y = generator.integers(0, size, size=400)
    x = scale * (np.stack([y, y % 2, y * 0], axis=1) + generator.normal(size=(400, 3)))
    expected = LogisticRegression(max_iter=100).fit(x, y)
    found = logistic.fit(x, y, size, "this test")
    assert found.converged
    np.testing.assert_allclose(found.probabilities(x), expected.predict_proba(x).T, atol=2e-3)
    np.testing.assert_allclose(found.probabilities(x).sum(axis=0), 1)


def test_it_stops_after_a_hundred_steps():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 4, size=300)
    x = np.stack([y + generator.normal(size=300), 1e3 * (y % 2) + generator.normal(size=300)], axis=1) * [1e-2, 1e2]
    assert not logistic.fit(x, y, 4, "this test").converged
