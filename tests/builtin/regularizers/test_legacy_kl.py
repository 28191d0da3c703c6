import torch
from torch.testing import assert_close

from aerepr.kinds.distributions import independent_normal

from ..building import build, context, step_of

PRIOR = independent_normal(torch.zeros(2).double(), torch.ones(2).double())


def value(name, mean, log_std):
    posterior = independent_normal(mean, log_std.exp())
    return build("regularizer", context(), name=name)(step_of(posterior, PRIOR))


def pull(name, log_std):
    """Gradient of the term to each log standard deviation of one example."""
    log_std = torch.tensor([[log_std, log_std]]).double().requires_grad_()
    (found,) = torch.autograd.grad(value(name, torch.zeros(1, 2).double(), log_std), log_std)
    return found[0, 0].item()


def test_it_is_the_published_formula():
    mean, std = torch.tensor([[1.0, 2.0], [0.5, 0.0]]).double(), torch.tensor([[0.5, 3.0], [1.0, 2.0]]).double()
    rows = [
        sum(0.5 * (m**2 + s - torch.log(s) - 1) for m, s in zip(ms, ss, strict=True))
        for ms, ss in zip(mean, std, strict=True)
    ]
    assert_close(value("legacy_kl", mean, std.log()), (rows[0] + rows[1]) / 2)


def test_it_is_least_at_the_prior_as_the_kl_is():
    assert abs(value("legacy_kl", torch.zeros(1, 2).double(), torch.zeros(1, 2).double())) < 1e-12
    assert abs(pull("legacy_kl", 0.0)) < 1e-12


def test_it_pulls_the_spread_half_as_hard_as_the_kl_or_less():
    assert_close(pull("legacy_kl", -12.0) / pull("kl", -12.0), 0.5, atol=1e-4, rtol=0)
    assert_close(pull("legacy_kl", 1e-4) / pull("kl", 1e-4), 0.25, atol=1e-4, rtol=0)
