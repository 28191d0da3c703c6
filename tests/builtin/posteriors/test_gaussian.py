import math

import pytest
import torch
from torch.testing import assert_close

from aerepr.kinds.distributions import is_factorised

from ..building import build, context


def gaussian(latent_dim=2, **table):
    return build("posterior", context(latent_dim=latent_dim), name="gaussian", **table)


def test_the_second_number_is_the_log_standard_deviation():
    params_BDK = torch.tensor([[[1.0, 0.0], [-2.0, math.log(3)]]])
    distribution = gaussian()(params_BDK)
    assert_close(distribution.mean, torch.tensor([[1.0, -2.0]]))
    assert_close(distribution.stddev, torch.tensor([[1.0, 3.0]]))
    assert is_factorised(distribution)
    assert (distribution.batch_shape, distribution.event_shape) == ((1,), (2,))


@pytest.mark.parametrize(
    ("scale", "expected"),
    [("exp", math.exp(0.8)), ("half_exp", math.exp(0.4)), ("softplus", math.log1p(math.exp(0.8)))],
)
def test_how_the_second_number_becomes_a_deviation_and_its_floor(scale, expected):
    params_BDK = torch.tensor([[[1.0, 0.8], [-2.0, -300.0]]])
    posterior = gaussian(scale=scale, floor=0.25)
    assert_close(posterior(params_BDK).stddev, torch.tensor([[expected + 0.25, 0.25]]))
    z_BD = posterior.draw(params_BDK, torch.ones(1, 2), "sample")
    assert_close(z_BD, torch.tensor([[1.0 + expected + 0.25, -1.75]]))


def test_draws_are_reparameterised():
    params_BDK = torch.randn(4, 2, 2, requires_grad=True)
    posterior, noise = gaussian(), torch.randn(4, 2)
    z_BD = posterior.draw(params_BDK, noise, "sample")
    (gradient,) = torch.autograd.grad(z_BD.sum(), params_BDK)
    assert_close(gradient[..., 0], torch.ones(4, 2))
    assert_close(gradient[..., 1], params_BDK[..., 1].exp().detach() * noise)
    assert torch.equal(posterior.draw(params_BDK, noise, "represent"), params_BDK[..., 0])


def test_samples_have_the_moments_of_the_distribution():
    posterior = gaussian()
    params_BDK = torch.tensor([[0.5, -0.7], [2.0, 0.4]]).expand(50000, 2, 2)
    z_BD = posterior.draw(params_BDK, torch.randn(50000, *posterior.noise_shape), "sample")
    assert_close(z_BD.mean(0), torch.tensor([0.5, 2.0]), rtol=0, atol=0.03)
    assert_close(z_BD.std(0), torch.tensor([-0.7, 0.4]).exp(), rtol=0.02, atol=0)
