"""Prior `plugin_name`: a Laplace distribution of unit variance in each dimension, which favours sparse codes.

    p(z) = prod over d of  exp(-|z_d| / b) / 2b,   b = 1 / sqrt(2)

Shape letters: B batch, N noise width, D latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace

from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.spec.base import ComponentSpec

SCALE = 0.5**0.5


class PluginNamePriorSpec(ComponentSpec):
    """Table `[model.prior]` with `name = "plugin_name"`."""


class PluginNamePrior(Prior):
    """Independent Laplace dimensions, nothing learned."""

    Spec = PluginNamePriorSpec
    noise = "uniform"

    def __init__(self, spec: PluginNamePriorSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.noise_dim = ctx.latent_dim
        self.location_D: Tensor
        self.scale_D: Tensor
        self.register_buffer("location_D", torch.zeros(ctx.latent_dim))
        self.register_buffer("scale_D", torch.full((ctx.latent_dim,), SCALE))

    def forward(self) -> Distribution:
        """p(z), batch shape (), event shape (D,)."""
        return Independent(Laplace(self.location_D, self.scale_D, validate_args=False), 1, validate_args=False)

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        """Samples z (B, D) from uniform noise in (0, 1), by the inverse of the distribution function."""
        centred_BN = noise_BN - 0.5
        return self.location_D - self.scale_D * centred_BN.sign() * torch.log(1 - 2 * centred_BN.abs())
