from math import log

import pytest
import torch
from torch.testing import assert_close

from aerepr.kinds.distributions import independent_normal

from ..building import build, context, step_of
from .aggregates import B, Z, by_loops, small_step

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


def test_codes_that_never_meet_tell_all_about_their_example():
    mean = 100.0 * torch.arange(4).double()[:, None]
    step = step_of(independent_normal(mean, torch.ones(4, 1).double()), independent_normal(mean[0], mean[0] + 1))
    step = type(step)(**{**vars(step), "dataset_size": 4})
    assert_close(term("mss")(step).item(), log(4))


def test_codes_that_do_not_depend_on_the_example_tell_nothing():
    mean = torch.zeros(4, 2).double()
    step = step_of(independent_normal(mean, mean + 1), independent_normal(mean[0], mean[0] + 1), mean + 0.3)
    assert abs(term("mss")(step).item()) < 1e-12


def test_the_log_says_which_estimator():
    assert term("mws").logged_name("mi", small_step(40)) == "mi_mws"
    assert build("regularizer", context(), name="mutual_information").logged_name("mi", small_step(40)) == "mi_mss"
