"""Likelihood `plugin_name`: a Cauchy distribution around the decoder's value, which forgives single values that are far off.

    p(x given m) = 1 / (pi s (1 + (x - m)^2 / s^2)),   s the scale

The cost of a value grows with the logarithm of its error, that of a Gaussian with the square.

Shape letters: B batch, C channels, H height, W width, F features.
"""

from __future__ import annotations

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.distributions import Cauchy, Distribution, Independent

from aerepr.kinds.likelihood import Likelihood
from aerepr.kinds.part import BuildContext
from aerepr.layers.location_scale import to_location
from aerepr.spec.base import ComponentSpec


class PluginNameLikelihoodSpec(ComponentSpec):
    """Table `[model.likelihood]` with `name = "plugin_name"`."""

    scale: PositiveFloat = Field(
        0.2, description="distance from the centre at which a value starts to count as far off"
    )


class PluginNameLikelihood(Likelihood):
    """One number a value: the centre, which for images goes through a sigmoid."""

    Spec = PluginNameLikelihoodSpec
    P = 1

    def __init__(self, spec: PluginNameLikelihoodSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.squash = ctx.data.shape.is_image
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(spec.scale))

    def forward(self, raw: Tensor) -> Distribution:
        """p(x given z) from (B, C, H, W) or (B, F)."""
        centre = self.mean(raw)
        values = Cauchy(centre, self.scale, validate_args=False)
        return Independent(values, centre.dim() - 1, validate_args=False)

    def mean(self, raw: Tensor) -> Tensor:
        """The centre, the shape of `raw`: images in (0, 1). A Cauchy distribution has no mean, and this is what is shown."""
        return to_location(raw, self.P, self.squash)
