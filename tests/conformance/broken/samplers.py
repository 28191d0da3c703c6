"""Samplers that break a contract each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from aerepr.builtin.samplers.gaussian import GaussianSampler
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from tests.conformance.broken.collected import broken, grows


@broken("sampler", "shape")
class Narrow(GaussianSampler):
    def forward(self, noise_BN: Tensor) -> Tensor:
        return super().forward(noise_BN)[:, :-1]


@broken("sampler", "state")
class Forgetful(GaussianSampler):
    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        super().fit(codes_ND, layout, prior)
        self.least = codes_ND.min()

    def forward(self, noise_BN: Tensor) -> Tensor:
        return super().forward(noise_BN) + self.least


@broken("sampler", "pure")
class Learns(GaussianSampler):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.shift = nn.Parameter(torch.zeros(ctx.latent_dim))

    def forward(self, noise_BN: Tensor) -> Tensor:
        return super().forward(noise_BN) + self.shift


@broken("sampler", "rows")
class CentredSampler(GaussianSampler):
    def forward(self, noise_BN: Tensor) -> Tensor:
        return super().forward(noise_BN - noise_BN.mean(dim=0))


@broken("sampler", "fit")
class Gathers(GaussianSampler):
    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        mean_D = self.mean_D.clone()
        super().fit(codes_ND, layout, prior)
        self.mean_D.add_(mean_D)


@broken("sampler", "apart")
class Clings(GaussianSampler):
    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        super().fit(codes_ND, layout, prior)
        self.prior = [prior]

    def forward(self, noise_BN: Tensor) -> Tensor:
        return super().forward(noise_BN) + self.prior[0].mean


@broken("sampler", "refuses")
class Careless(GaussianSampler):
    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        self.mean_D.copy_(codes_ND.mean(dim=0))


@broken("sampler", "export")
class FrozenSampler(GaussianSampler):
    def forward(self, noise_BN: Tensor) -> Tensor:
        # Rows stay functions of their own noise at the batch sizes that are compared by `rows`.
        return grows(super().forward(noise_BN), int(noise_BN.shape[0]))
