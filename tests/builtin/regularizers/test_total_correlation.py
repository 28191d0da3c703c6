from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from aerepr.kinds.distributions import independent_normal

from ..building import build, context, step_of
from .aggregates import B, by_loops, small_step


def tc(estimator="mss"):
    return build("regularizer", context(), name="total_correlation", estimator=estimator)


@pytest.mark.parametrize("estimator", ["mws", "mss"])
@pytest.mark.parametrize("size", [B, 40])
def test_it_is_the_loop(size, estimator):
    assert_close(tc(estimator)(small_step(size)).item(), by_loops(size, estimator)["total_correlation"])


def test_over_a_whole_data_set_it_nears_the_closed_form():
    # Narrow posteriors around 1500 points of a correlated normal: q(z) is that normal, a little blurred.
    generator, correlation, blur = torch.Generator().manual_seed(0), 0.8, 0.15
    x = torch.randn(1500, 2, generator=generator).double()
    mean = torch.stack([x[:, 0], correlation * x[:, 0] + (1 - correlation**2) ** 0.5 * x[:, 1]], dim=1)
    z = mean + blur * torch.randn(1500, 2, generator=generator).double()
    posterior = independent_normal(mean, torch.full_like(mean, blur))
    step = step_of(posterior, independent_normal(torch.zeros(2).double(), torch.ones(2).double()), z)
    step = replace(step, dataset_size=1500)
    blurred = torch.tensor([[1.0, correlation], [correlation, 1.0]]).double() + blur**2 * torch.eye(2).double()
    expected = -0.5 * (blurred.det().log() - blurred.diag().log().sum())
    assert_close(tc()(step), expected, atol=0.06, rtol=0)


def test_the_log_says_which_estimator():
    assert tc("mws").logged_name("total_correlation", small_step(40)) == "total_correlation_mws"
