import numpy as np
import pytest

from aerepr.builtin.metrics.dci_lgbm import DCILightGBMMetric, DCILightGBMSpec, dci_lgbm
from tests.builtin.metrics.arrays import classes, noisy


def test_one_dimension_a_factor():
    y = classes()
    found = dci_lgbm(noisy(y), y)
    assert found.disentanglement > 0.9
    assert found.completeness > 0.9
    assert found.informativeness_test > 0.98
    np.testing.assert_allclose(found.importance_DK.sum(axis=0), 1)


def test_every_dimension_about_every_factor():
    y = classes(600, (2, 2, 2))
    mix = np.array([[2, -1, 2], [2, 2, -1], [-1, 2, 2]]) / 3
    assert dci_lgbm(noisy(y, extra=0) @ mix, y).disentanglement < 0.5


def test_noise_is_not_informative():
    y = classes(600, (2, 4))
    found = dci_lgbm(np.random.default_rng(0).normal(size=(600, 3)), y)
    assert found.informativeness_test == pytest.approx((1 / 2 + 1 / 4) / 2, abs=0.08)


def test_its_keys_are_its_own_and_the_same_twice():
    y = classes()
    metric = DCILightGBMMetric(DCILightGBMSpec(name="dci_lgbm", train_rows=300))
    found = metric.compute(noisy(y, 0.5), y)
    assert {key.partition(".")[0] for key in found} == {"dci_lgbm"}
    assert found == metric.compute(noisy(y, 0.5), y)


def test_two_classes_and_classes_of_a_few_rows_are_learned():
    y = classes(30, (2, 5))
    found = dci_lgbm(noisy(y), y)
    assert found.informativeness_train == 1
    assert found.informativeness_test > 0.7


def test_trees_are_deep_enough_for_dimensions_that_only_tell_together():
    z = np.random.default_rng(0).normal(size=(1500, 3))
    first = (z[:, 0] > 0).astype(int)
    found = dci_lgbm(z, np.stack([first, first ^ (z[:, 1] > 0)], axis=1))
    assert found.informativeness_test > 0.9
    assert found.importance_DK[:2, 1].min() > 0.05
