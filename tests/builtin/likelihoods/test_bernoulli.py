import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ..building import build, context


@pytest.fixture(scope="module")
def bernoulli():
    return build("likelihood", context(), name="bernoulli")


def test_even_odds_cost_log_two_a_value(bernoulli):
    distribution = bernoulli(torch.zeros(2, 3, 8, 8))
    assert_close(-distribution.log_prob(torch.rand(2, 3, 8, 8)), torch.full((2,), 192 * math.log(2)))
    assert (distribution.batch_shape, distribution.event_shape) == ((2,), (3, 8, 8))


def test_cost_is_summed_over_values(bernoulli):
    logits, x = torch.randn(2, 5), torch.rand(2, 5)
    p = logits.sigmoid()
    expected = (x * p.log() + (1 - x) * (1 - p).log()).sum(1)
    assert_close(bernoulli(logits).log_prob(x), expected)


@given(target=st.floats(0.01, 0.99), logit=st.floats(-5, 5))
@settings(deadline=None, max_examples=40)
def test_soft_targets_cost_at_least_their_entropy(bernoulli, target, logit):
    x = torch.full((1, 1), target, dtype=torch.float64)
    entropy = -(target * math.log(target) + (1 - target) * math.log(1 - target))
    assert -bernoulli(torch.full_like(x, logit)).log_prob(x).item() >= entropy - 1e-9
    assert -bernoulli(x.logit()).log_prob(x).item() == pytest.approx(entropy, abs=1e-9)


def test_mean_is_the_probability(bernoulli):
    raw = torch.randn(2, 5)
    assert_close(bernoulli.mean(raw), raw.sigmoid())
    assert_close(bernoulli(raw).mean, raw.sigmoid())


def test_confident_mistakes_are_finite(bernoulli):
    assert_close(bernoulli(torch.full((1, 1), 1e4)).log_prob(torch.zeros(1, 1)), torch.tensor([-1e4]))


def test_half_precision_sums_in_single(bernoulli):
    raw = torch.zeros(1, 12288, dtype=torch.bfloat16)
    assert_close(-bernoulli(raw).log_prob(torch.rand(1, 12288)), torch.tensor([12288 * math.log(2)]))
