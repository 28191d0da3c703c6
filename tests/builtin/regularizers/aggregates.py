"""A small Gaussian problem for the three terms of beta-TCVAE, and the terms by loops in float64."""

from __future__ import annotations

from dataclasses import replace
from math import log, pi

import torch
from torch import Tensor

from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.step import Step

from ..building import step_of

B, D = 5, 3
MEAN = torch.randn(B, D, generator=torch.Generator().manual_seed(3)).double()
STD = torch.linspace(0.3, 1.5, B * D).view(B, D).double()
Z = MEAN + STD * torch.randn(B, D, generator=torch.Generator().manual_seed(4)).double()
PRIOR_MEAN, PRIOR_STD = torch.tensor([0.0, 0.5, -0.5]).double(), torch.tensor([1.0, 0.7, 1.4]).double()


def small_step(dataset_size: int) -> Step:
    prior = independent_normal(PRIOR_MEAN, PRIOR_STD)
    return replace(step_of(independent_normal(MEAN, STD), prior, Z), dataset_size=dataset_size)


def log_normal(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return -0.5 * ((x - mean) / std) ** 2 - std.log() - 0.5 * log(2 * pi)


def weight(i: int, j: int, N: int, estimator: str) -> float:
    if estimator == "mws":
        return 1 / (N * B)
    return 1 / N if i == j else (N - 1) / (N * (B - 1))


def by_loops(N: int, estimator: str) -> dict[str, float]:
    """The three terms, written out."""
    found = {"mutual_information": 0.0, "total_correlation": 0.0, "dimension_wise_kl": 0.0}
    for i in range(B):
        own = sum(log_normal(Z[i, d], MEAN[i, d], STD[i, d]) for d in range(D))
        joint, marginals, prior = torch.zeros(()).double(), torch.zeros(D).double(), 0.0
        for j in range(B):
            densities = torch.stack([log_normal(Z[i, d], MEAN[j, d], STD[j, d]).exp() for d in range(D)])
            joint += weight(i, j, N, estimator) * densities.prod()
            marginals += weight(i, j, N, estimator) * densities
        prior = sum(log_normal(Z[i, d], PRIOR_MEAN[d], PRIOR_STD[d]) for d in range(D))
        found["mutual_information"] += float(own - joint.log()) / B
        found["total_correlation"] += float(joint.log() - marginals.log().sum()) / B
        found["dimension_wise_kl"] += float(marginals.log().sum() - prior) / B
    return found
