"""Sampling from the model's prior.

Shape letters: B batch, N noise width or number of codes, D latent dimensions.
"""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor

from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.sampler import Sampler
from aerepr.spec.base import ComponentSpec


class PriorSamplerSpec(ComponentSpec):
    """Table `[sampler]` with `name = "prior"`."""


class PriorSampler(Sampler):
    """z drawn from p(z), by the prior's own map from noise."""

    Spec = PriorSamplerSpec

    def __init__(self, spec: PriorSamplerSpec, ctx: BuildContext) -> None:
        super().__init__()

    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        """Keep the prior as it is now; the codes have no say."""
        # A copy: a sampler is state of its own, which neither training on nor moving the model may change.
        self.prior: Prior = deepcopy(prior).requires_grad_(False)
        self.noise_dim = prior.noise_dim
        self.noise = prior.noise

    def forward(self, noise_BN: Tensor) -> Tensor:
        """Codes z (B, D) from the prior's noise (B, noise_dim)."""
        return self.prior.from_noise(noise_BN)
