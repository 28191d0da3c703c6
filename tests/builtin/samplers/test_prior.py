import torch
from torch import nn

from aerepr.kinds.prior import Prior

from ..building import assert_exports, build, context


class Shifted(Prior):
    """A learned prior with noise of its own law and width."""

    noise = "uniform"
    noise_dim = 2

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.ones(3))

    def forward(self):
        raise NotImplementedError

    def from_noise(self, noise_BN):
        return noise_BN.sum(1, keepdim=True) + self.shift


def test_it_is_the_priors_own_map_from_noise():
    sampler, prior = build("sampler", context(latent_dim=3), name="prior"), Shifted()
    sampler.fit(torch.zeros(1, 3), None, prior)
    noise = torch.rand(4, 2)
    assert (sampler.noise, sampler.noise_dim) == ("uniform", 2)
    assert torch.equal(sampler(noise), prior.from_noise(noise))


def test_training_on_does_not_change_a_fitted_sampler():
    sampler, prior = build("sampler", context(latent_dim=3), name="prior"), Shifted()
    sampler.fit(torch.zeros(1, 3), None, prior)
    before = sampler(torch.zeros(1, 2))
    prior.shift.data += 1
    assert torch.equal(sampler(torch.zeros(1, 2)), before)
    assert not any(parameter.requires_grad for parameter in sampler.parameters())
    assert prior.shift.requires_grad


def test_it_exports():
    sampler = build("sampler", context(latent_dim=3), name="prior")
    sampler.fit(torch.zeros(1, 3), None, build("prior", context(latent_dim=3), name="standard_normal"))
    assert_exports(sampler, torch.randn(2, 3), torch.randn(5, 3))
