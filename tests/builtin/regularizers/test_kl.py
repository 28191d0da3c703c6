import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Independent, MultivariateNormal, StudentT
from torch.testing import assert_close

from aerepr.kinds.distributions import independent_normal

from ..building import build, context, step_of


def kl(**table):
    return build("regularizer", context(), name="kl", **table)


def normal(loc, scale):
    return independent_normal(torch.as_tensor(loc).double(), torch.as_tensor(scale).double())


PRIOR = normal([0.0, 0.0], [1.0, 1.0])


def test_shifted_gaussian_costs_half_a_nat():
    posterior = normal([[1.0]], [[1.0]])
    assert_close(kl()(step_of(posterior, normal([0.0], [1.0]))), torch.tensor(0.5).double())


def test_rate_is_summed_over_dimensions_and_averaged_over_the_batch():
    posterior = normal([[1.0, 2.0], [0.0, 0.0]], torch.ones(2, 2))
    assert_close(kl()(step_of(posterior, PRIOR)), torch.tensor(1.25).double())


def test_the_scale_is_a_standard_deviation():
    posterior = normal([[0.0, 0.0]], [[2.0, 1.0]])
    assert_close(kl()(step_of(posterior, PRIOR)).item(), 0.5 * (4 - 1) - math.log(2))


@given(loc=st.floats(-3, 3), scale=st.floats(0.1, 3))
@settings(deadline=None, max_examples=40)
def test_rate_is_never_negative_and_zero_only_at_the_prior(loc, scale):
    rate = kl()(step_of(normal([[loc, 0.0]], [[scale, 1.0]]), PRIOR)).item()
    assert rate >= -1e-12
    if abs(loc) > 0.01 or abs(scale - 1) > 0.01:
        assert rate > 1e-6


def test_the_floor_acts_on_the_batch_average_of_a_dimension():
    # Dimension 1 averages (0.5 + 0) / 2 nats over the batch, dimension 2 averages 2.
    posterior = normal([[1.0, 2.0], [0.0, 2.0]], torch.ones(2, 2)).expand((2,))
    assert_close(kl(free_nats=0.2)(step_of(posterior, PRIOR)).item(), 0.25 + 2.0)
    assert_close(kl(free_nats=0.3)(step_of(posterior, PRIOR)).item(), 0.3 + 2.0)


def test_below_the_floor_there_is_no_pull():
    loc = torch.tensor([[0.1, 3.0]], dtype=torch.float64, requires_grad=True)
    kl(free_nats=0.5)(step_of(independent_normal(loc, torch.ones_like(loc)), PRIOR)).backward()
    assert loc.grad[0, 0] == 0
    assert loc.grad[0, 1] == 3


@pytest.mark.parametrize("free_nats", [0.0, 0.01])
def test_without_closed_form_it_is_an_estimate_and_says_so(free_nats):
    loc, scale = torch.full((20000, 2), 0.5).double(), torch.full((20000, 2), 0.8).double()
    posterior = independent_normal(loc, scale)
    prior = Independent(StudentT(torch.full((2,), 1e4).double()), 1)
    step = step_of(posterior, prior, posterior.rsample())
    term = kl(free_nats=free_nats)
    assert term.logged_name("kl", step) == "kl_mc"
    exact = kl()(step_of(posterior, normal([0.0, 0.0], [1.0, 1.0])))
    assert_close(term(step), exact, rtol=0, atol=0.02)


def test_the_logged_name_is_the_id():
    step = step_of(normal([[1.0, 0.0]], [[1.0, 1.0]]), PRIOR)
    assert kl().logged_name("rate", step) == "rate"


def test_a_closed_form_is_needed_only_on_demand():
    assert not kl().needs_closed_form
    assert kl(closed_form=True).needs_closed_form


def test_only_the_floor_needs_factorised_distributions():
    assert kl().needs_density
    assert not kl().needs_factorised
    assert kl(free_nats=1.0).needs_factorised
    joint = MultivariateNormal(torch.ones(1, 2), torch.eye(2))
    assert_close(kl()(step_of(joint, MultivariateNormal(torch.zeros(2), torch.eye(2)))), torch.tensor(1.0))
