"""Sampling from a Gaussian fitted to the codes: the mean and covariance of the training codes.

Source: Ghosh et al. 2020, arXiv:1903.12436 (ex-post density estimation).
Shape letters: B batch, N noise width or number of codes, D latent dimensions.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from aerepr.errors import ShapeError
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.sampler import Sampler
from aerepr.spec.base import ComponentSpec

# Added to the diagonal, relative to the mean variance: dimensions that do not vary, or fewer codes than dimensions, leave
# a covariance that is singular. In float64 this is far above rounding and far below what a sample shows.
JITTER = 1e-6


class GaussianSamplerSpec(ComponentSpec):
    """Table `[sampler]` with `name = "gaussian"`."""

    diagonal: bool = Field(False, description="fit the variances alone, not the covariance")


class GaussianSampler(Sampler):
    """z = mean + L noise, with L L^T the covariance of the codes."""

    Spec = GaussianSamplerSpec
    noise = "normal"

    def __init__(self, spec: GaussianSamplerSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.diagonal = spec.diagonal
        self.noise_dim = ctx.latent_dim
        self.mean_D: Tensor
        self.factor_DD: Tensor
        self.register_buffer("mean_D", torch.zeros(ctx.latent_dim))
        self.register_buffer("factor_DD", torch.eye(ctx.latent_dim))

    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        """Moments of the codes.

        Raises:
            ShapeError: there are fewer than 2 codes, which have no covariance, or codes that are not finite.
        """
        if len(codes_ND) < 2:
            raise ShapeError(f"the gaussian sampler needs at least 2 codes, got {len(codes_ND)}: encode more examples")
        codes_ND = codes_ND.double()
        covariance_DD = torch.atleast_2d(codes_ND.T.cov())
        variance_D = covariance_DD.diag()
        if not variance_D.isfinite().all():
            raise ShapeError("the gaussian sampler needs finite codes, and some are not: the encoder has diverged")
        if self.diagonal:
            factor_DD = variance_D.sqrt().diag()
        else:
            jitter = JITTER * variance_D.mean().clamp(min=1e-12)
            factor_DD = torch.linalg.cholesky(covariance_DD + jitter * torch.eye(len(variance_D)).to(covariance_DD))
        self.mean_D.copy_(codes_ND.mean(dim=0))
        self.factor_DD.copy_(factor_DD)

    def forward(self, noise_BN: Tensor) -> Tensor:
        """Codes z (B, D) from standard normal noise (B, D)."""
        return self.mean_D + noise_BN @ self.factor_DD.T
