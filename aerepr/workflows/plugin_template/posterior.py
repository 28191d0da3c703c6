"""Posterior `plugin_name`: a Laplace distribution in each dimension, with heavier tails than a Gaussian.

    q(z given x) = exp(-|z - mu| / b) / 2b,    z = mu - b sign(u - 1/2) log(1 - 2 |u - 1/2|),   u uniform in (0, 1)

Its KL divergence to normal and Laplace priors is known in closed form.

Shape letters: B batch, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace

from aerepr.kinds.part import BuildContext
from aerepr.kinds.posterior import Posterior
from aerepr.kinds.step import Mode
from aerepr.spec.base import ComponentSpec


class PluginNamePosteriorSpec(ComponentSpec):
    """Table `[model.posterior]` with `name = "plugin_name"`."""


class PluginNamePosterior(Posterior):
    """Location and log scale of each dimension, drawn by reparameterisation."""

    Spec = PluginNamePosteriorSpec
    K = 2
    noise = "uniform"

    def __init__(self, spec: PluginNamePosteriorSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.noise_shape = (ctx.latent_dim,)

    def forward(self, params_BDK: Tensor) -> Distribution:
        """q(z given x), batch shape (B,), event shape (D,)."""
        location_BD, scale_BD = _numbers(params_BDK)
        return Independent(Laplace(location_BD, scale_BD, validate_args=False), 1, validate_args=False)

    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        """Codes (B, D); in `represent` mode the location alone."""
        location_BD, scale_BD = _numbers(params_BDK)
        if mode == "represent":
            return location_BD
        centred_BD = noise - 0.5
        return location_BD - scale_BD * centred_BD.sign() * torch.log1p(-2 * centred_BD.abs())


def _numbers(params_BDK: Tensor) -> tuple[Tensor, Tensor]:
    # Exponentials have no place in half precision.
    params_BDK = params_BDK.to(torch.promote_types(params_BDK.dtype, torch.float32))
    return params_BDK[..., 0], params_BDK[..., 1].exp()
