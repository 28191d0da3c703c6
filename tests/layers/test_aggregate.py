from itertools import combinations
from math import log

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal
from torch.testing import assert_close

from aerepr.kinds.distributions import independent_normal
from aerepr.layers.aggregate import log_aggregate, pairwise_log_prob

N, D = 6, 3
MEAN, STD = torch.randn(N, D, generator=torch.Generator().manual_seed(1)).double(), torch.linspace(0.4, 1.2, N * D)
STD = STD.view(N, D).double()
Z = MEAN + STD * torch.randn(N, D, generator=torch.Generator().manual_seed(2)).double()


def q(rows):
    return independent_normal(MEAN[rows], STD[rows])


def density(z, j):
    return independent_normal(MEAN[j], STD[j]).log_prob(z).exp()


def test_pairs_are_code_by_posterior():
    pairs = pairwise_log_prob(q(range(N)), Z)
    for i in range(N):
        for j in range(N):
            assert_close(pairs[i, j].exp(), density(Z[i], j))
    single = pairwise_log_prob(q(range(N)).base_dist, Z)
    assert single.shape == (N, N, D)
    assert_close(single.sum(dim=2), pairs)


def test_pairs_of_a_joint_distribution():
    full = MultivariateNormal(MEAN, scale_tril=torch.diag_embed(STD))
    assert not isinstance(full, Independent)
    assert_close(pairwise_log_prob(full, Z), pairwise_log_prob(q(range(N)), Z))


def test_over_the_whole_data_set_mss_is_the_mixture():
    mixture = torch.stack([torch.stack([density(z, j) for j in range(N)]).mean() for z in Z]).log()
    pairs = pairwise_log_prob(q(range(N)), Z)
    assert_close(log_aggregate(pairs, N, "mss"), mixture)
    # The minibatch-weighted estimate is low by log N there.
    assert_close(log_aggregate(pairs, N, "mws"), mixture - log(N))


def test_marginals_are_mixtures_of_each_dimension():
    pairs = pairwise_log_prob(q(range(N)).base_dist, Z)
    found = log_aggregate(pairs, N, "mss")
    for d in range(D):
        assert_close(found[:, d], log_aggregate(pairs[:, :, d], N, "mss"))


@pytest.mark.parametrize("size", [2, 3, 5])
def test_mss_has_the_mean_of_the_mixture_over_the_other_examples(size):
    # Every batch of the size that holds example 0, whose code is looked at.
    found = []
    for others in combinations(range(1, N), size - 1):
        rows = [0, *others]
        found.append(log_aggregate(pairwise_log_prob(q(rows), Z[rows]), N, "mss")[0].exp())
    exact = torch.stack([density(Z[0], j) for j in range(N)]).mean()
    assert_close(torch.stack(found).mean(), exact)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_mss_is_the_published_estimate_averaged_over_its_odd_one_out(size):
    found = log_aggregate(pairwise_log_prob(q(range(size)), Z[:size]), N, "mss").exp()
    M = size - 1
    for i in range(size):
        others = [j for j in range(size) if j != i]
        published = []
        for odd in others:
            weights = {j: (N - M) / (N * M) if j == odd else 1 / M for j in others} | {i: 1 / N}
            published.append(sum(weights[j] * density(Z[i], j) for j in range(size)))
        assert_close(found[i], torch.stack(published).mean())


def test_mws_is_its_formula():
    size = 4
    found = log_aggregate(pairwise_log_prob(q(range(size)), Z[:size]), N, "mws")
    for i in range(size):
        assert_close(found[i].exp(), sum(density(Z[i], j) for j in range(size)) / (N * size))


@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_one_example_alone_is_finite(estimator):
    assert_close(log_aggregate(torch.zeros(1, 1), 10, estimator), torch.tensor([-log(10)]))
