"""The Fréchet distance against closed forms, and moments that come batch by batch against those of all rows at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aerepr.errors import DataError
from aerepr.layers.frechet import Moments, frechet_distance


def gaussian(mean, covariance) -> Moments:
    """Moments with exactly this mean and covariance."""
    moments = Moments(len(mean))
    moments.count = 2
    moments.mean_F = torch.as_tensor(mean, dtype=torch.float64)
    moments.scatter_FF = torch.as_tensor(covariance, dtype=torch.float64)
    return moments


def random_covariance(generator: np.random.Generator, size: int, rank: int | None = None) -> np.ndarray:
    root = generator.normal(size=(size, rank or size))
    return root @ root.T


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("sizes", [[500], [1, 1, 498], [3, 0, 197, 300]])
def test_moments_of_batches_are_those_of_all_rows(generator, sizes):
    # Means far from 0: squares summed without centring would lose nine of sixteen digits here.
    x = 3e4 + generator.normal(size=(500, 7)) @ random_covariance(generator, 7)
    moments = Moments(7)
    for batch in torch.from_numpy(x).split(sizes):
        moments.add(batch)
    assert moments.count == 500
    np.testing.assert_allclose(moments.mean_F, x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(moments.covariance_FF, np.cov(x, rowvar=False), rtol=1e-9)


@pytest.mark.parametrize(("rows", "kept"), [(5, 5), (8, 8), (12, 12), (50, 12)])
def test_moments_are_of_the_first_rows(generator, rows, kept):
    x = torch.from_numpy(generator.normal(size=(12, 3)))
    moments = Moments.of(iter(x.split([4, 4, 4])), rows)
    assert moments.count == kept
    np.testing.assert_allclose(moments.mean_F, x[:kept].mean(dim=0), rtol=1e-12)


def test_batches_beyond_the_rows_are_not_made():
    def batches():
        yield torch.zeros(4, 2)
        pytest.fail("asked for more than was needed")

    assert Moments.of(batches(), 4).count == 4


def test_no_rows_and_values_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="found no rows"):
        Moments.of(iter([]), 3)
    x = torch.zeros(5, 2)
    x[1, 0], x[3, 1], x[3, 0] = torch.nan, torch.inf, -torch.inf
    with pytest.raises(DataError, match="NaN or infinite in 2 of 5 rows"):
        Moments(2).add(x)


def test_in_one_dimension_it_is_between_means_and_deviations():
    assert frechet_distance(gaussian([1.0], [[4.0]]), gaussian([-2.0], [[0.25]])) == pytest.approx(
        9 + 1.5**2, rel=1e-12
    )


def test_equal_covariances_leave_the_means(generator):
    covariance = random_covariance(generator, 20)
    a, b = generator.normal(size=(2, 20))
    found = frechet_distance(gaussian(a, covariance), gaussian(b, covariance))
    assert found == pytest.approx(((a - b) ** 2).sum(), rel=1e-10)


def test_diagonal_covariances_are_apart_by_their_deviations(generator):
    first, second = generator.uniform(0.1, 3, size=(2, 15))
    found = frechet_distance(gaussian(np.zeros(15), np.diag(first**2)), gaussian(np.ones(15), np.diag(second**2)))
    assert found == pytest.approx(15 + ((first - second) ** 2).sum(), rel=1e-12)


def test_it_agrees_with_the_matrix_root_where_that_is_safe(generator):
    linalg = pytest.importorskip("scipy.linalg")
    S1, S2 = random_covariance(generator, 8), random_covariance(generator, 8)
    expected = np.trace(S1 + S2) - 2 * np.trace(linalg.sqrtm(S1 @ S2)).real
    assert frechet_distance(gaussian(np.zeros(8), S1), gaussian(np.zeros(8), S2)) == pytest.approx(expected, rel=1e-9)


def test_singular_covariances_are_no_trouble(generator):
    # Of rank 3 and 2 in 60 dimensions: beside a rotation they are those of few dimensions, padded with zeros.
    S1, S2 = np.zeros((2, 60, 60))
    S1[:3, :3], S2[1:3, 1:3] = random_covariance(generator, 3), random_covariance(generator, 2)
    small = frechet_distance(gaussian(np.zeros(3), S1[:3, :3]), gaussian(np.zeros(3), S2[:3, :3]))
    Q, _ = np.linalg.qr(generator.normal(size=(60, 60)))
    large = frechet_distance(gaussian(np.zeros(60), Q @ S1 @ Q.T), gaussian(np.zeros(60), Q @ S2 @ Q.T))
    assert large == pytest.approx(small, rel=1e-6)
    same = gaussian(np.ones(60), Q @ S1 @ Q.T)
    assert 0 <= frechet_distance(same, same) < 1e-6 * np.trace(S1)


def test_it_is_symmetric(generator):
    a, b = (gaussian(generator.normal(size=9), random_covariance(generator, 9)) for _ in range(2))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-11)
