import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from aerepr.layers.information import bins, counts, entropy, information_matrix, mutual_information
from tests.builtin.metrics.reference import formulas


@pytest.mark.parametrize("item", formulas("discretise"))
def test_bins_of_the_reference(item):
    for dtype, key in ((np.float32, "bins_float32"), (np.float64, "bins_float64")):
        found = bins(item["x"].astype(dtype)[:, None], int(item["num_bins"]))
        np.testing.assert_array_equal(found[:, 0] + 1, item[key])


@pytest.mark.parametrize("item", formulas("mutual_information"))
def test_information_of_the_reference(item):
    a, b = item["a"].astype(np.intp), item["b"].astype(np.intp)
    assert mutual_information(counts(a[:, None], b))[0] == pytest.approx(float(item["mi"]), abs=1e-8)
    assert entropy(a) == pytest.approx(float(item["entropy_a"]), abs=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bins_are_those_of_numpy(dtype):
    z = np.random.default_rng(0).normal(size=(500, 3)).astype(dtype)
    z[:, 2] = 0.1
    for column, found in zip(z.T, bins(z).T, strict=True):
        edges = np.histogram_bin_edges(column, 20)
        np.testing.assert_array_equal(found, np.digitize(column, edges[:-1]) - 1)
    assert bins(z)[:, :2].min() == 0
    assert bins(z)[:, :2].max() == 19


def test_bins_of_the_least_numbers():
    # A twentieth of the range is 0 in float32, and NumPy has no histogram, but edges.
    z = np.float32(1e-45) * np.arange(8, dtype=np.float32)
    assert np.unique(z).size == 8
    found = bins(z[:, None])[:, 0]
    np.testing.assert_array_equal(found, np.digitize(z, np.linspace(z[0], z[-1], 21, dtype=z.dtype)[:-1]) - 1)
    assert np.unique(found).size == 8


def test_information_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 5, size=(200, 3)), generator.integers(0, 4, size=(200, 2))
    expected = [[mutual_info_score(x, y) for y in b.T] for x in a.T]
    np.testing.assert_allclose(information_matrix(a, b), expected, atol=1e-12)


def test_a_constant_tells_exactly_nothing():
    b = np.random.default_rng(0).integers(0, 7, size=333)
    assert mutual_information(counts(np.zeros((333, 1), np.intp), b))[0] == 0
    assert mutual_information(counts(b[:, None], np.zeros(333, np.intp)))[0] == 0
