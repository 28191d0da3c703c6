"""Gaussian posterior with diagonal covariance: N(mu, diag(s)^2), where s is exp(r), exp(r / 2) or softplus(r), and a floor.

Source: Kingma and Welling 2014, arXiv:1312.6114. By default exp(r) is the standard deviation, as in Leeb et al.
2023, not the variance.
Shape letters: B batch, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat
from torch import Tensor
from torch.distributions import Distribution

from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.part import BuildContext
from aerepr.kinds.posterior import Posterior
from aerepr.kinds.step import Mode
from aerepr.layers.location_scale import Positive, full_precision, positive
from aerepr.spec.base import ComponentSpec


class GaussianSpec(ComponentSpec):
    """Table `[model.posterior]` with `name = "gaussian"`."""

    scale: Positive = Field(
        "exp",
        description="how the second number r of a dimension becomes its standard deviation: exp(r), exp(r / 2), softplus(r)",
    )
    floor: NonNegativeFloat = Field(0.0, description="added to the standard deviation")


class Gaussian(Posterior):
    """Mean and standard deviation of each dimension, drawn by reparameterisation."""

    Spec = GaussianSpec
    K = 2

    def __init__(self, spec: GaussianSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.noise_shape = (ctx.latent_dim,)
        self.scale = spec.scale
        self.floor = spec.floor

    def forward(self, params_BDK: Tensor) -> Distribution:
        """N(mu, diag(std^2)), batch shape (B,), event shape (D,)."""
        return independent_normal(*self._moments(params_BDK))

    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        """mu + std noise (B, D); in `represent` mode mu alone."""
        mean_BD, std_BD = self._moments(params_BDK)
        return mean_BD if mode == "represent" else mean_BD + std_BD * noise

    def _moments(self, params_BDK: Tensor) -> tuple[Tensor, Tensor]:
        params_BDK = full_precision(params_BDK)
        return params_BDK[..., 0], positive(params_BDK[..., 1], self.scale, self.floor)
