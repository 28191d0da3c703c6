"""Anisotropic normal prior N(0, diag(s^2)), s_d^2 = D softmax(w)_d, with w from the principal components of the data.

The mean variance is 1 whatever w is, so learning w changes the shape of the prior and never its total scale. Unequal
variances break the rotation invariance of the isotropic prior.

Source: Mathieu et al. 2019, arXiv:1812.02833; here the spectrum is centred and sorted, the largest first.
Shape letters: B batch, D latent dimensions, N examples, V values of an example.
"""

from __future__ import annotations

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution

from aerepr.errors import ShapeError
from aerepr.kinds.dataset import TrainingData
from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.spec.base import ComponentSpec

# A direction without variance in the examples gets this share of the largest one, for a density that stays finite.
_FLOOR = 1e-6


class PCANormalSpec(ComponentSpec):
    """Table `[model.prior]` with `name = "probe_pca_normal"`."""

    examples: PositiveInt = Field(2000, description="training examples whose spectrum is taken")
    learned: bool = Field(False, description="go on learning the variances from the spectrum")


class PCANormal(Prior):
    """A normal with the proportions of the data's principal components."""

    Spec = PCANormalSpec
    log_spectrum_D: Tensor

    def __init__(self, spec: PCANormalSpec, ctx: BuildContext) -> None:
        super().__init__()
        if ctx.latent_dim > ctx.data.shape.values:
            raise ShapeError(
                f"probe_pca_normal: found latent_dim = {ctx.latent_dim} for data of {ctx.data.shape.values} values, "
                "expected at most one dimension a value; lower model.latent_dim"
            )
        self.noise_dim = ctx.latent_dim
        self.examples = spec.examples
        initial_D = torch.zeros(ctx.latent_dim)
        if spec.learned:
            self.log_spectrum_D = nn.Parameter(initial_D)
        else:
            self.register_buffer("log_spectrum_D", initial_D)

    def setup(self, data: TrainingData) -> None:
        """Take the spectrum of the training data.

        Raises:
            ShapeError: there are fewer training examples than latent dimensions.
        """
        x_NV = data.examples(self.examples).flatten(1).to(torch.float64)
        if len(x_NV) < self.noise_dim:
            raise ShapeError(f"probe_pca_normal: found {len(x_NV)} examples, expected at least {self.noise_dim}")
        spectrum_D = torch.linalg.svdvals(x_NV - x_NV.mean(dim=0))[: self.noise_dim].square()
        with torch.no_grad():
            self.log_spectrum_D.copy_(spectrum_D.clamp(min=_FLOOR * float(spectrum_D[0])).log())

    @property
    def scale_D(self) -> Tensor:
        """Standard deviations."""
        return (self.noise_dim * torch.softmax(self.log_spectrum_D, dim=0)).sqrt()

    def forward(self) -> Distribution:
        return independent_normal(torch.zeros_like(self.log_spectrum_D), self.scale_D)

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return noise_BN * self.scale_D
