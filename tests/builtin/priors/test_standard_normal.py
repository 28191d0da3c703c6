import math

import torch
from torch.testing import assert_close

from aerepr.kinds.distributions import is_factorised

from ..building import build, context


def test_density_of_the_origin():
    prior = build("prior", context(latent_dim=3), name="standard_normal")
    assert is_factorised(prior())
    assert (prior().batch_shape, prior().event_shape) == ((), (3,))
    assert_close(prior().log_prob(torch.zeros(2, 3)), torch.full((2,), -1.5 * math.log(2 * math.pi)))


def test_noise_is_the_sample():
    prior = build("prior", context(latent_dim=3), name="standard_normal")
    noise = torch.randn(4, 3)
    assert (prior.noise, prior.noise_dim) == ("normal", 3)
    assert torch.equal(prior.from_noise(noise), noise)
    assert torch.equal(prior.to_metric_scale(noise), noise)


def test_nothing_is_learned():
    prior = build("prior", context(), name="standard_normal")
    assert not list(prior.parameters())
