from math import log, pi

import pytest
import torch
from torch.testing import assert_close

from aerepr.kinds.distributions import independent_normal

from ..building import build, context, step_of

B, D, N = 6, 3, 50


def log_normal(x, mean, std):
    return -0.5 * ((x - mean) / std) ** 2 - std.log() - 0.5 * log(2 * pi)


def published(mean, log_std, noise, alpha, beta, gamma):
    """The three terms by loops, with log N(z_i; 0, I) where log q(z_i given x_j) belongs, and the stratified weights."""
    z, zero, one = mean + log_std.exp() * noise, torch.zeros(()).double(), torch.ones(()).double()
    M = B - 1
    total = zero
    for i in range(B):
        own = log_normal(z[i], mean[i], log_std[i].exp()).sum()
        other = (i + 1) % B
        joint, marginals = [], []
        for j in range(B):
            weight = 1 / N if j == i else (N - M) / (N * M) if j == other else 1 / M
            wrong_D = log_normal(z[i], zero, one)
            joint.append(wrong_D.sum() + log(weight))
            marginals.append(wrong_D + log(weight))
        log_q, log_product = torch.stack(joint).logsumexp(0), torch.stack(marginals).logsumexp(0).sum()
        log_p = log_normal(z[i], zero, one).sum()
        total = total + alpha * (own - log_q) + beta * (log_q - log_product) + gamma * (log_product - log_p)
    return total / B


@pytest.mark.parametrize(("beta", "warm_up"), [(4.0, 0.0), (4.0, 0.5), (4.0, 1.0), (60.0, 1.0)])
def test_value_and_gradient_are_those_of_the_published_terms(beta, warm_up):
    generator = torch.Generator().manual_seed(0)
    mean, log_std, noise = (torch.randn(B, D, generator=generator).double() for _ in range(3))
    mean.requires_grad_()
    log_std.requires_grad_()
    posterior = independent_normal(mean, log_std.exp())
    prior = independent_normal(torch.zeros(D).double(), torch.ones(D).double())
    found = build("regularizer", context(), name="legacy_tcvae")(
        step_of(posterior, prior, mean + log_std.exp() * noise)
    )
    expected = published(mean, log_std, noise, 1.0, beta, warm_up)
    assert_close(found, expected)
    for a, b in zip(*(torch.autograd.grad(value, [mean, log_std]) for value in (found, expected)), strict=True):
        assert_close(a, b)
