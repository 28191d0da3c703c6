"""Uniform categorical prior: each dimension takes one of K ordered positions on [-1, 1] with probability 1 / K.

Source: Friede et al. 2023, "Learning Disentangled Discrete Representations".
Shape letters: B batch, N noise (one a dimension), D latent dimensions, K positions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from aerepr.errors import ShapeError
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.step import Law
from aerepr.spec.base import ComponentSpec
from aerepr_discrete.ordered import OrderedCategorical, grid


class UniformCategoricalSpec(ComponentSpec):
    """Table `[model.prior]` with `name = "uniform_categorical"`."""


class UniformCategorical(Prior):
    """Grid points, all alike; the number of positions is that of the posterior."""

    Spec = UniformCategoricalSpec
    noise: Law = "uniform"
    positions_K: Tensor

    def __init__(self, spec: UniformCategoricalSpec, ctx: BuildContext) -> None:
        super().__init__()
        if ctx.K < 2:
            raise ShapeError(
                f"found a posterior with {ctx.K} number a dimension, expected two positions or more: use the posterior "
                '"ordered_categorical"'
            )
        self.noise_dim = ctx.latent_dim
        self.register_buffer("positions_K", grid(ctx.K))

    def forward(self) -> Distribution:
        """The same mass on every grid point, event shape (D,)."""
        logits_DK = torch.zeros_like(self.positions_K).expand(self.noise_dim, -1)
        return Independent(OrderedCategorical(logits_DK, self.positions_K), 1, validate_args=False)

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        """Grid points (B, D) from uniform noise."""
        last = self.positions_K.shape[0] - 1
        # Single precision may round u * K up to K.
        return self.positions_K[(noise_BN * (last + 1)).long().clamp(max=last)]
