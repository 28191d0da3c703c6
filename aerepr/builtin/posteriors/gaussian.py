"""Gaussian posterior with diagonal covariance: N(mu, diag(exp(raw))^2).

Source: Kingma and Welling 2014, arXiv:1312.6114. exp(raw) is the standard deviation, as in Leeb et al. 2023, not the
variance.
Shape letters: B batch, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.part import BuildContext
from aerepr.kinds.posterior import Posterior
from aerepr.kinds.step import Mode
from aerepr.spec.base import ComponentSpec


class GaussianSpec(ComponentSpec):
    """Table `[model.posterior]` with `name = "gaussian"`."""


class Gaussian(Posterior):
    """Mean and log standard deviation of each dimension, drawn by reparameterisation."""

    Spec = GaussianSpec
    K = 2

    def __init__(self, spec: GaussianSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.noise_shape = (ctx.latent_dim,)

    def forward(self, params_BDK: Tensor) -> Distribution:
        """N(mu, diag(std^2)), batch shape (B,), event shape (D,)."""
        return independent_normal(*_moments(params_BDK))

    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        """mu + std noise (B, D); in `represent` mode mu alone."""
        mean_BD, std_BD = _moments(params_BDK)
        return mean_BD if mode == "represent" else mean_BD + std_BD * noise


def _moments(params_BDK: Tensor) -> tuple[Tensor, Tensor]:
    params_BDK = params_BDK.to(torch.promote_types(params_BDK.dtype, torch.float32))
    return params_BDK[..., 0], params_BDK[..., 1].exp()
