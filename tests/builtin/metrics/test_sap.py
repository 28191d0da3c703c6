import numpy as np
import pytest
from sklearn.svm import LinearSVC

from aerepr.builtin.metrics.sap import sap
from tests.builtin.metrics.arrays import classes, noisy
from tests.builtin.metrics.reference import cases


@pytest.mark.parametrize("case", cases("sap"), ids=str)
def test_every_case_of_the_reference(case):
    found = sap(case.codes, case.factors, train_rows=case.train)
    case.check("sap", found.score)
    np.testing.assert_allclose(found.accuracy_DK, case.details["sap"]["score_matrix"], atol=0.005)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
def test_the_machines_are_those_of_liblinear(seed, scale):
    # Two classes, three and many; offset codes; both signs; a dimension of noise.
    y = classes(500, (2, 3, 9), seed)
    z = (scale * (noisy(y, 0.3, seed=seed) * [1, -1, 0.3, 1] + [0, 1, -2, 0])).astype(np.float32)
    expected = [
        [
            LinearSVC(C=0.01, class_weight="balanced", dual=False, tol=1e-8, max_iter=10_000)
            .fit(z[:300, [i]].astype(np.float64), y[:300, j])
            .score(z[300:, [i]].astype(np.float64), y[300:, j])
            for j in range(3)
        ]
        for i in range(4)
    ]
    np.testing.assert_allclose(sap(z, y, train_rows=300).accuracy_DK, expected, atol=1e-12)


def test_large_codes_are_told_as_liblinear_tells_them():
    # It stops short of the minimum there, which gives another accuracy.
    y = classes(500, (5, 8))
    z = (1000 * (noisy(y, 0.3) + 3)).astype(np.float32)
    told = [
        [
            LinearSVC(C=0.01, class_weight="balanced").fit(z[:300, [i]], y[:300, j]).score(z[300:, [i]], y[300:, j])
            for j in (0, 1)
        ]
        for i in range(3)
    ]
    np.testing.assert_allclose(sap(z, y, train_rows=300).accuracy_DK, told, atol=1e-12)


def test_classes_that_tie_on_a_dead_dimension_are_told_as_liblinear_tells_them():
    y = np.random.default_rng(3).permutation(np.arange(400) % 4)[:, None]
    z = np.concatenate([noisy(y), np.full((400, 1), 0.1, np.float32)], axis=1)
    machine = LinearSVC(C=0.01, class_weight="balanced", dual=False).fit(z[:200, [2]].astype(np.float64), y[:200, 0])
    told = machine.score(z[200:, [2]].astype(np.float64), y[200:, 0])
    assert sap(z, y, train_rows=200).accuracy_DK[2, 0] == told


def test_one_class_against_the_rest_cannot_pick_out_the_middle():
    y = classes(600, (5, 5))
    assert 0.1 < sap(y.astype(np.float64), y).score < 0.5
    two = classes(600, (2, 2))
    assert sap(two.astype(np.float64), two).accuracy_DK.diagonal().tolist() == [1, 1]


def test_more_classes_than_a_byte_counts():
    # The last of 200 has half of the rows, and lies apart from the others.
    rows = np.random.default_rng(0).permutation(np.concatenate([np.arange(200), np.full(200, 199)]))
    y = np.tile(rows, 2)[:, None]
    z = np.concatenate([np.where(y == 199, 9.0, -1.0), np.where(y == 199, -1.0, 9.0)], axis=1)
    z += 0.1 * np.random.default_rng(1).normal(size=z.shape)
    found = sap(z, y, train_rows=400)
    for dimension in range(2):
        machine = LinearSVC(C=0.01, class_weight="balanced", dual=False).fit(z[:400, [dimension]], y[:400, 0])
        assert found.accuracy_DK[dimension, 0] == pytest.approx(
            machine.score(z[400:, [dimension]], y[400:, 0]), abs=0.01
        )
    assert found.accuracy_DK.max() > 0.4
