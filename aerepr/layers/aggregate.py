"""The aggregate posterior q(z) = mean over the data of q(z given x), estimated from the batch that z was drawn from.

With z_i drawn from q(z given x_i), i one of B examples out of N, log q(z_i) is estimated by log sum_j w_ij q(z_i given x_j):

    mws  minibatch-weighted: w_ij = 1 / (N B). Too low, by at most log N.
    mss  minibatch-stratified: w_ii = 1 / N, and (N - 1) / (N (B - 1)) for j other than i. The sum has mean q(z_i) over
         the choice of the other examples, and is exact when the batch is the whole data set.

For mss the paper gives one arbitrary other example the weight (N - B + 1) / (N (B - 1)) and the rest 1 / (B - 1). The
weight here is the mean of theirs over which one that is, so that the order of the batch has no say.

Source: Chen et al. 2018, arXiv:1802.04942, section 4.1 and appendix C.
Shape letters: B batch, N size of the data set, D latent dimensions.
"""

from __future__ import annotations

from functools import cached_property
from math import log
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

Estimator = Literal["mws", "mss"]


class Aggregate:
    """What is known of q(z) at the codes of one batch, each quantity computed when it is first asked for.

    Args:
        posterior: q(z given x), batch shape (B,), event shape (D,); `Independent` of single dimensions for `marginals_BD`.
        z_BD: drawn from it. dataset_size: N.
    """

    def __init__(self, posterior: Distribution, z_BD: Tensor, dataset_size: int, estimator: Estimator) -> None:
        self.posterior = posterior
        self.z_BD = z_BD
        self.dataset_size = dataset_size
        self.estimator = estimator

    @cached_property
    def own_B(self) -> Tensor:
        """log q(z_i given x_i)."""
        return self._pairs_BB.diagonal()

    @cached_property
    def joint_B(self) -> Tensor:
        """log q(z_i)."""
        return log_aggregate(self._pairs_BB, self.dataset_size, self.estimator)

    @cached_property
    def marginals_BD(self) -> Tensor:
        """log q(z_id)."""
        return log_aggregate(self._pairs_BBD, self.dataset_size, self.estimator)

    @cached_property
    def _pairs_BB(self) -> Tensor:
        if isinstance(self.posterior, Independent) and self.posterior.reinterpreted_batch_ndims == 1:
            return self._pairs_BBD.sum(dim=2)
        return pairwise_log_prob(self.posterior, self.z_BD)

    @cached_property
    def _pairs_BBD(self) -> Tensor:
        assert isinstance(self.posterior, Independent)
        return pairwise_log_prob(self.posterior.base_dist, self.z_BD)


def pairwise_log_prob(posterior: Distribution, z: Tensor) -> Tensor:
    """log q(z_i given x_j) at [i, j]: (B, B), or (B, B, D) of a distribution over single dimensions.

    Args:
        posterior: batch shape (B,) with event shape (D,), or batch shape (B, D). z: (B, D).
    """
    return posterior.log_prob(z[:, None])


def log_aggregate(log_prob_BB: Tensor, dataset_size: int, estimator: Estimator) -> Tensor:
    """log q(z_i) of each code, (B,), or (B, D) of pairs for each dimension.

    Args:
        log_prob_BB: log q(z_i given x_j) at [i, j], and any further axes.
        dataset_size: N.
    """
    size = len(log_prob_BB)
    if estimator == "mws":
        return log_prob_BB.logsumexp(dim=1) - log(dataset_size * size)
    own = torch.eye(size, dtype=torch.bool, device=log_prob_BB.device)
    # One example alone has no others, whose weight then means nothing.
    others = log(max(1, dataset_size - 1)) - log(max(1, size - 1))
    weight_BB = log_prob_BB.new_zeros(()).where(own, others) - log(dataset_size)
    return (log_prob_BB + weight_BB.reshape(size, size, *(1,) * (log_prob_BB.dim() - 2))).logsumexp(dim=1)
