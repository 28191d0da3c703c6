import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from aerepr.builtin.metrics.explicitness import _area, explicitness
from aerepr.errors import DataError
from tests.builtin.metrics.arrays import classes, noisy
from tests.builtin.metrics.reference import cases


@pytest.mark.parametrize("case", cases("explicitness_test"), ids=str)
def test_every_case_of_the_reference(case):
    found = explicitness(case.codes, case.factors, train_rows=case.train)
    case.check("explicitness_test", found.score)
    case.check("explicitness_train", found.train)
    np.testing.assert_allclose(found.test_K, case.details["explicitness"]["per_factor_test"], atol=0.002)
    np.testing.assert_allclose(found.train_K, case.details["explicitness"]["per_factor_train"], atol=0.002)


def test_the_area_is_that_of_scikit_learn_ties_included():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, size=200)
    probability = generator.integers(0, 7, size=(3, 200)) / 7
    expected = np.mean([roc_auc_score(y == label, probability[label]) for label in range(3)])
    assert _area(probability, y) == pytest.approx(expected, abs=1e-12)


def test_noise_is_at_chance_and_a_linear_code_is_read():
    y = classes(3000, (2, 3))
    noise = np.random.default_rng(5).normal(size=(3000, 4))
    assert explicitness(noise, y).score == pytest.approx(0.5, abs=0.03)
    assert explicitness(noisy(y), y).score > 0.98


def test_a_dead_dimension_changes_nothing():
    y = classes()
    z = noisy(y, 0.5)
    dead = np.concatenate([z, np.full((len(z), 1), 0.1, np.float32)], axis=1)
    assert explicitness(dead, y).score == pytest.approx(explicitness(z, y).score, abs=1e-9)


def test_a_class_that_test_rows_lack_is_named():
    y = classes()
    y[400:, 2][y[400:, 2] == 3] = 0
    with pytest.raises(DataError, match="value 3 of factor 2 is in none of the 200 test rows"):
        explicitness(noisy(y), y)


def test_the_rows_that_are_scored_do_not_touch_the_fit():
    y = classes()
    z = noisy(y, 0.5)
    moved = z.copy()
    moved[400:] = 5 * moved[400:] + 3
    before, after = explicitness(z, y, train_rows=400), explicitness(moved, y, train_rows=400)
    np.testing.assert_array_equal(before.train_K, after.train_K)
    assert before.score != after.score
