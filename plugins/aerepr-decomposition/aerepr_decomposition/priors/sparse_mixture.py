"""Sparse prior: each dimension is near zero with probability gamma, and standard normal otherwise.

    p(z) = prod_d [gamma N(z_d; 0, s0^2) + (1 - gamma) N(z_d; 0, 1)]

The narrow part is a normal and no point mass, so densities stay finite; s0 is its standard deviation. With gamma of 0 or 1
one part is left: then the prior is that normal itself, with its closed-form KL, and the logarithm of a weight of nothing,
whose gradient may be none, is never taken.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code.
Shape letters: B batch, D latent dimensions, N noise (two a dimension).
"""

from __future__ import annotations

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.step import Law
from aerepr.layers.noise import to_normal
from aerepr.spec.base import ComponentSpec


class SparseMixtureSpec(ComponentSpec):
    """Table `[model.prior]` with `name = "sparse_mixture"`."""

    gamma: float = Field(0.8, ge=0, le=1, description="probability that a dimension is near zero; 0: N(0, I)")
    spike: PositiveFloat = Field(0.05, description="s0, standard deviation of a dimension that is near zero")


class SparseMixture(Prior):
    """Independent dimensions, each narrow or wide, nothing learned.

    Attributes:
        weight_2, scale_2: of the narrow part and of the wide one.
    """

    Spec = SparseMixtureSpec
    noise: Law = "uniform"
    weight_2: Tensor
    scale_2: Tensor

    def __init__(self, spec: SparseMixtureSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.gamma = spec.gamma
        self.latent_dim = ctx.latent_dim
        self.noise_dim = 2 * ctx.latent_dim
        self.register_buffer("weight_2", torch.tensor([spec.gamma, 1 - spec.gamma]))
        self.register_buffer("scale_2", torch.tensor([spec.spike, 1.0]))

    def forward(self) -> Distribution:
        """The product over dimensions, batch shape (), event shape (D,)."""
        scale_D2 = self.scale_2.expand(self.latent_dim, 2)
        if self.gamma in (0, 1):
            scale_D = scale_D2[:, 1 - int(self.gamma)]
            return independent_normal(torch.zeros_like(scale_D), scale_D)
        # A row of weights for each dimension, not one for all: sampling pairs the two shapes.
        parts = Categorical(self.weight_2.expand(self.latent_dim, 2), validate_args=False)
        normals = Normal(torch.zeros_like(scale_D2), scale_D2, validate_args=False)
        return Independent(MixtureSameFamily(parts, normals, validate_args=False), 1, validate_args=False)

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        """Samples z (B, D): which part each dimension is of, then where in it."""
        narrow_BD = noise_BN[:, : self.latent_dim] < self.weight_2[0]
        return torch.where(narrow_BD, self.scale_2[0], self.scale_2[1]) * to_normal(noise_BN[:, self.latent_dim :])
