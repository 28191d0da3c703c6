import pytest
import torch
from torch.testing import assert_close

from aerepr.errors import ShapeError
from aerepr.layers.noise import sample_noise

from ..building import assert_exports, build, context


def fitted(codes_ND, **table):
    sampler = build("sampler", context(latent_dim=codes_ND.shape[1]), name="gaussian", **table)
    sampler.fit(codes_ND, None, None)
    return sampler


def test_the_factor_reproduces_the_covariance():
    codes = torch.randn(500, 3) @ torch.randn(3, 3) + 5
    sampler = fitted(codes)
    assert_close(sampler.mean_D, codes.mean(0), rtol=1e-5, atol=1e-5)
    assert_close(sampler.factor_DD @ sampler.factor_DD.T, codes.T.cov(), rtol=1e-3, atol=1e-4)


def test_samples_have_the_moments_of_the_codes():
    codes = torch.randn(500, 3) @ torch.randn(3, 3) + 5
    z = fitted(codes)(sample_noise(50000, 3, 0, "normal"))
    assert_close(z.mean(0), codes.mean(0), rtol=0, atol=0.05)
    assert_close(z.T.cov(), codes.T.cov(), rtol=0.05, atol=0.1)


def test_diagonal_drops_what_dimensions_share():
    codes = torch.randn(200, 1).expand(200, 3) + 0.1 * torch.randn(200, 3)
    factor = fitted(codes, diagonal=True).factor_DD
    assert_close(factor, codes.std(0).diag())


@pytest.mark.parametrize("diagonal", [False, True])
def test_dead_dimensions_stay_where_they_are(diagonal):
    codes = torch.cat([torch.randn(50, 1), torch.full((50, 1), 7.0)], dim=1)
    z = fitted(codes, diagonal=diagonal)(sample_noise(100, 2, 0, "normal"))
    assert_close(z[:, 1], torch.full((100,), 7.0), rtol=0, atol=0.01)


@pytest.mark.parametrize("codes", [torch.zeros(5, 2), torch.randn(3, 6), torch.randn(9, 1)])
def test_singular_covariances_are_no_obstacle(codes):
    assert fitted(codes)(torch.randn(4, codes.shape[1])).isfinite().all()


def test_one_code_is_refused():
    with pytest.raises(ShapeError, match="at least 2 codes, got 1"):
        fitted(torch.zeros(1, 3))


def test_codes_that_are_not_finite_are_refused():
    with pytest.raises(ShapeError, match="finite"):
        fitted(torch.full((4, 2), torch.nan))


def test_it_exports():
    assert_exports(fitted(torch.randn(20, 3)), torch.randn(2, 3), torch.randn(5, 3))
