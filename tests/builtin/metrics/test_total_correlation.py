import numpy as np
import pytest

from aerepr.builtin.metrics.total_correlation import _of_covariance, total_correlation
from tests.builtin.metrics.reference import cases, formulas

KEYS = {
    "unsup_gaussian_total_correlation": "score",
    "unsup_gaussian_wasserstein_correlation": "wasserstein",
    "unsup_gaussian_wasserstein_correlation_norm": "wasserstein_norm",
    "unsup_mutual_info_score": "mutual_information",
}


@pytest.mark.parametrize("case", cases(*KEYS), ids=str)
def test_every_case_of_the_reference(case):
    found = total_correlation(case.codes)
    for key, field in KEYS.items():
        if case.has(key):
            case.check(key, getattr(found, field))


@pytest.mark.parametrize("item", formulas("gaussian"))
def test_the_formulas(item):
    expected = [item[key] for key in ("total_correlation", "wasserstein", "wasserstein_norm")]
    np.testing.assert_allclose(_of_covariance(item["covariance"]), expected, atol=1e-8)


def test_two_correlated_dimensions():
    rho = 0.6
    z = np.random.default_rng(0).multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=2000)
    found = total_correlation(z)
    rho = np.corrcoef(z, rowvar=False)[0, 1]
    assert found.score == pytest.approx(-0.5 * np.log(1 - rho**2))
    assert total_correlation(z * [3, 0.1]).score == pytest.approx(found.score)


def test_copies_are_infinitely_dependent_and_dead_dimensions_are_not():
    z = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    assert total_correlation(np.concatenate([z, z[:, :1]], axis=1)).score == np.inf
    dead = np.concatenate([z, np.full((500, 1), 0.1, np.float32)], axis=1)
    assert total_correlation(dead).score == pytest.approx(total_correlation(z).score)
    nothing = total_correlation(np.full((30, 2), 0.1, np.float32))
    assert (nothing.score, nothing.wasserstein, nothing.wasserstein_norm, nothing.mutual_information) == (0, 0, 0, 0)


def test_a_constant_whose_mean_is_rounded_is_left_out():
    z = np.random.default_rng(0).normal(size=(600, 3))
    stuck = np.concatenate([z, np.full((600, 1), 0.1)], axis=1)
    found, plain = total_correlation(stuck), total_correlation(z)
    assert (found.score, found.wasserstein) == pytest.approx((plain.score, plain.wasserstein), abs=1e-12)
    assert not found.covariance_DD[3].any()
