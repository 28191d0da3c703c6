"""The standard normal prior, N(0, I).

Shape letters: B batch, N noise width, D latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.spec.base import ComponentSpec


class StandardNormalSpec(ComponentSpec):
    """Table `[model.prior]` with `name = "standard_normal"`."""


class StandardNormal(Prior):
    """N(0, I), nothing learned; its noise is its sample."""

    Spec = StandardNormalSpec
    noise = "normal"

    def __init__(self, spec: StandardNormalSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.noise_dim = ctx.latent_dim
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(ctx.latent_dim))
        self.register_buffer("std", torch.ones(ctx.latent_dim))

    def forward(self) -> Distribution:
        """N(0, I), batch shape (), event shape (D,)."""
        return independent_normal(self.mean, self.std)

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        """Samples z (B, D): the noise itself."""
        return noise_BN
