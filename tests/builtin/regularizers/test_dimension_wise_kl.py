from dataclasses import replace

import pytest
import torch
from torch.distributions import kl_divergence
from torch.testing import assert_close

from aerepr.kinds.distributions import independent_normal

from ..building import build, context, step_of
from .aggregates import B, by_loops, small_step


def dwkl(estimator="mss"):
    return build("regularizer", context(), name="dimension_wise_kl", estimator=estimator)


@pytest.mark.parametrize("estimator", ["mws", "mss"])
@pytest.mark.parametrize("size", [B, 40])
def test_it_is_the_loop(size, estimator):
    assert_close(dwkl(estimator)(small_step(size)).item(), by_loops(size, estimator)["dimension_wise_kl"])


def test_of_one_normal_for_all_examples_it_nears_the_closed_form():
    mean, std = torch.tensor([1.0, -0.5]).double(), torch.tensor([0.5, 1.2]).double()
    z = mean + std * torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).double()
    posterior = independent_normal(mean.expand(2000, 2), std.expand(2000, 2))
    prior = independent_normal(torch.zeros(2).double(), torch.ones(2).double())
    step = step_of(posterior, prior, z)
    step = replace(step, dataset_size=2000)
    assert_close(dwkl()(step), kl_divergence(independent_normal(mean, std), prior), atol=0.08, rtol=0)


def test_the_log_says_which_estimator():
    assert dwkl("mws").logged_name("dimension_wise_kl", small_step(40)) == "dimension_wise_kl_mws"
