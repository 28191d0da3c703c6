from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from aerepr.builtin.regularizers.factor_tc import FactorTCSpec, permute_dimensions
from aerepr.layers.noise import StepNoise

from ..building import bare_step, build, context

CORRELATIONS = {
    "correlated": [[1.0, 0.7, 0.0], [0.7, 1.0, 0.4], [0.0, 0.4, 1.0]],
    "independent": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
}


def factor_tc(**table):
    return build("regularizer", context(latent_dim=3), name="factor_tc", **table)


def step_over(number, first, second):
    """A step of two independent batches of codes."""
    step = bare_step(torch.zeros(len(first), 1), z_BD=first)
    noise = StepNoise(0, torch.tensor(number), step.batch.rows, "extra")
    return replace(step, extra=(replace(step, z_BD=second, noise=noise),))


def test_the_discriminator_is_that_of_the_paper():
    layers = list(factor_tc().discriminator)
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [
        (3, 1000),
        *[(1000, 1000)] * 5,
        (1000, 2),
    ]
    assert {layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)} == {0.2}


def test_a_partial_optimizer_table_keeps_the_papers_other_values():
    assert (FactorTCSpec(name="factor_tc").optimizer.lr, FactorTCSpec(name="factor_tc").optimizer.betas) == (
        1e-4,
        (0.5, 0.9),
    )
    assert FactorTCSpec(name="factor_tc", optimizer={"lr": 1e-3}).optimizer.betas == (0.5, 0.9)


def test_each_dimension_is_permuted_across_the_batch_on_its_own():
    z, noise = torch.randn(200, 3), torch.rand(200, 3)
    moved = permute_dimensions(z, noise)
    assert_close(moved.sort(dim=0).values, z.sort(dim=0).values)
    orders = [[z[:, d].tolist().index(value) for value in moved[:, d].tolist()] for d in range(3)]
    assert orders[0] != orders[1] != orders[2]
    assert all(order != sorted(order) for order in orders)


@pytest.mark.parametrize("name", CORRELATIONS)
def test_the_trained_estimate_is_the_total_correlation(name):
    covariance = torch.tensor(CORRELATIONS[name])
    expected = -0.5 * covariance.logdet()
    root, generator = torch.linalg.cholesky(covariance), torch.Generator().manual_seed(0)

    def draw(count):
        return torch.randn(count, 3, generator=generator) @ root.T

    module = factor_tc(width=48, depth=2)
    adam = torch.optim.Adam(list(module.adversary_parameters()), lr=2e-3, betas=(0.5, 0.9))
    for number in range(600):
        adam.zero_grad()
        if number == 450:
            adam.param_groups[0]["lr"] = 3e-4
        module.adversary_loss(step_over(number, draw(512), draw(512))).backward()
        adam.step()
    with torch.no_grad():
        z = draw(20_000)
        found = module(step_over(0, z, z))
    assert_close(found, expected, atol=0.05, rtol=0)


def test_the_term_is_the_difference_of_the_two_logits():
    module = factor_tc(width=4, depth=1)
    with torch.no_grad():
        module.discriminator[-1].weight.zero_()
        module.discriminator[-1].bias.copy_(torch.tensor([1.5, 0.5]))
    z = torch.randn(4, 3)
    assert_close(module(step_over(0, z, z)), torch.tensor(1.0))
    # Class 0 is the codes, class 1 the permuted: half the cross entropy of each.
    expected = -0.5 * torch.log_softmax(torch.tensor([1.5, 0.5]), 0).sum()
    assert_close(module.adversary_loss(step_over(0, z, z)), expected)
