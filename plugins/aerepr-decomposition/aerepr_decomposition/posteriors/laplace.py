"""Laplace posterior: exp(-|z_d - mu_d| / b_d) / 2 b_d in each dimension.

Its KL to a normal prior has a closed form; to the heavy-tailed, sparse and mixture priors it has none.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders": the authors' code accepts it by name
for Fashion-MNIST.
Shape letters: B batch, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions import Laplace as TorchLaplace

from aerepr.kinds.part import BuildContext
from aerepr.kinds.posterior import Posterior
from aerepr.kinds.step import Law, Mode
from aerepr.layers.location_scale import Positive, full_precision, positive
from aerepr.spec.base import ComponentSpec


class LaplaceSpec(ComponentSpec):
    """Table `[model.posterior]` with `name = "laplace"`."""

    scale: Positive = Field(
        "exp", description="how the second number r of a dimension becomes b: exp(r), exp(r/2), softplus(r)"
    )
    floor: NonNegativeFloat = Field(0.0, description="added to b")


class Laplace(Posterior):
    """Location and scale of each dimension, drawn by reparameterisation."""

    Spec = LaplaceSpec
    K = 2
    noise: Law = "uniform"

    def __init__(self, spec: LaplaceSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.noise_shape = (ctx.latent_dim,)
        self.scale = spec.scale
        self.floor = spec.floor

    def forward(self, params_BDK: Tensor) -> Distribution:
        """Independent Laplaces, batch shape (B,), event shape (D,)."""
        loc_BD, scale_BD = self._moments(params_BDK)
        return Independent(TorchLaplace(loc_BD, scale_BD, validate_args=False), 1, validate_args=False)

    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        """The quantile of uniform noise (B, D); in `represent` mode mu alone."""
        loc_BD, scale_BD = self._moments(params_BDK)
        if mode == "represent":
            return loc_BD
        off_BD = noise - 0.5
        return loc_BD - scale_BD * off_BD.sign() * torch.log1p(-2 * off_BD.abs())

    def _moments(self, params_BDK: Tensor) -> tuple[Tensor, Tensor]:
        params_BDK = full_precision(params_BDK)
        return params_BDK[..., 0], positive(params_BDK[..., 1], self.scale, self.floor)
