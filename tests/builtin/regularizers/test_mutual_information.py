from dataclasses import replace
from math import log

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from aerepr.kinds.distributions import independent_normal

from ..building import build, context, step_of
from .aggregates import MEAN, STD, B, Z, by_loops, small_step

NAMES = ("mutual_information", "total_correlation", "dimension_wise_kl")


def term(estimator, name="mutual_information"):
    return build("regularizer", context(), name=name, estimator=estimator)


@pytest.mark.parametrize("estimator", ["mws", "mss"])
@pytest.mark.parametrize("size", [B, 40])
def test_it_is_the_loop(size, estimator):
    found = term(estimator)(small_step(size)).item()
    assert_close(found, by_loops(size, estimator)["mutual_information"])


@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_the_three_terms_sum_to_the_monte_carlo_kl(estimator):
    step = small_step(40)
    total = sum(term(estimator, name)(step) for name in NAMES)
    expected = (step.posterior.log_prob(Z) - step.prior.log_prob(Z)).mean()
    assert_close(total, expected)
    # None of them is nothing.
    assert all(abs(term(estimator, name)(step)) > 0.05 for name in NAMES)


class Counted(Normal):
    """A normal that counts how often its densities are computed."""

    calls = 0

    def log_prob(self, value):
        self.calls += 1
        return super().log_prob(value)


def counted_step(**changed):
    """A step whose posterior counts, and its count so far."""
    base = Counted(MEAN.clone().requires_grad_(), STD, validate_args=False)
    return replace(small_step(40), posterior=Independent(base, 1, validate_args=False), **changed), lambda: base.calls


@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_the_terms_of_a_step_share_the_densities_and_keep_their_values_and_gradients(estimator):
    step, calls = counted_step()
    # As the engine does, each term has a copy of the step with noise of its own.
    together = [term(estimator, name)(replace(step, noise=step.noise.scoped(name))) for name in NAMES]
    assert calls() == 1
    mean = step.posterior.base_dist.loc
    (gradient,) = torch.autograd.grad(sum(weight * found for weight, found in enumerate(together, 1)), mean)
    apart = torch.zeros_like(mean)
    for weight, (name, found) in enumerate(zip(NAMES, together, strict=True), 1):
        alone, _ = counted_step()
        value = term(estimator, name)(alone)
        assert torch.equal(value, found)
        apart += weight * torch.autograd.grad(value, alone.posterior.base_dist.loc)[0]
    assert_close(gradient, apart)


def test_what_is_shared_belongs_to_one_batch_of_codes():
    step, calls = counted_step()
    first = term("mss")(step)
    for changed in ({"z_BD": Z + 0.1}, {"dataset_size": 5}, {"posterior": small_step(40).posterior.expand((B,))}):
        other = replace(step, **changed)
        fresh = replace(small_step(40), **changed)
        assert torch.equal(term("mss")(other), term("mss")(fresh)), changed
    assert calls() == 3
    assert term("mws")(step) != first
    assert counted_step()[0].known == {}


def test_a_term_asked_for_without_gradients_does_not_take_those_of_the_next():
    step, _ = counted_step()
    with torch.no_grad():
        before = term("mss")(step)
    after = term("mss", "total_correlation")(step)
    assert not before.requires_grad
    assert torch.autograd.grad(after, step.posterior.base_dist.loc)[0].any()


def test_codes_that_never_meet_tell_all_about_their_example():
    mean = 100.0 * torch.arange(4).double()[:, None]
    step = step_of(independent_normal(mean, torch.ones(4, 1).double()), independent_normal(mean[0], mean[0] + 1))
    step = replace(step, dataset_size=4)
    assert_close(term("mss")(step).item(), log(4))


def test_codes_that_do_not_depend_on_the_example_tell_nothing():
    mean = torch.zeros(4, 2).double()
    step = step_of(independent_normal(mean, mean + 1), independent_normal(mean[0], mean[0] + 1), mean + 0.3)
    assert abs(term("mss")(step).item()) < 1e-12


def test_the_log_says_which_estimator():
    assert term("mws").logged_name("mi", small_step(40)) == "mi_mws"
    assert build("regularizer", context(), name="mutual_information").logged_name("mi", small_step(40)) == "mi_mss"
