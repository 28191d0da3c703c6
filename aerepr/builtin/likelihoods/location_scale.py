"""Gaussian and Laplace likelihoods: each value varies around the decoder's mean, with a fixed or learned scale.

    gaussian  exp(-(x - mean)^2 / 2 s^2) / (s sqrt(2 pi)): half a squared error at s = 1
    laplace   exp(-|x - mean| / s) / 2s: an absolute error

The scale s is `scale` itself, or scale softplus(r + log(e - 1)) + floor, where r = 0 at the start and is one parameter
(`global`) or a second number of the decoder for each value (`per_value`). The floor keeps the density bounded.

Source: Kingma and Welling 2014, arXiv:1312.6114, appendix C; a learned global scale: Rybkin et al. 2021, arXiv:2006.13202.
Shape letters: B batch, C channels, H height, W width, F features, P likelihood numbers a value.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Laplace, Normal

from aerepr.kinds.likelihood import Likelihood
from aerepr.kinds.part import BuildContext
from aerepr.layers.location_scale import to_location, to_scale
from aerepr.spec.base import ComponentSpec, Schedulable

FAMILIES = {"gaussian": Normal, "laplace": Laplace}


class LocationScaleSpec(ComponentSpec):
    """Table `[model.likelihood]` with `name = "gaussian"` or `name = "laplace"`."""

    scale: Schedulable = Field(
        1.0,
        gt=0,
        description="standard deviation (gaussian) or mean absolute deviation (laplace), or what it starts near when learned",
    )
    learned: Literal["none", "global", "per_value"] = Field("none", description="what of the scale is learned")
    floor: PositiveFloat = Field(1e-3, description="least learned scale")
    squash: bool | None = Field(
        None, description="whether the mean goes through a sigmoid; left out: for images it does, for vectors not"
    )


class LocationScale(Likelihood):
    """Mean and, if learned for each value, scale from the decoder; the name says which density."""

    Spec = LocationScaleSpec

    def __init__(self, spec: LocationScaleSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.family = FAMILIES[spec.name]
        self.P = 2 if spec.learned == "per_value" else 1
        self.learned = spec.learned
        self.floor = spec.floor
        self.squash = ctx.data.shape.is_image if spec.squash is None else spec.squash
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(float(spec.scale)))
        if spec.learned == "global":
            self.raw_scale = nn.Parameter(torch.zeros(()))

    def forward(self, raw: Tensor) -> Distribution:
        """p(x given z) from (B, P*C, H, W) or (B, P*F)."""
        mean = self.mean(raw)
        scale = self.scale
        if self.learned != "none":
            raw_scale = self.raw_scale if self.learned == "global" else raw.chunk(2, dim=1)[1]
            scale = to_scale(raw_scale, self.scale, self.floor)
        return Independent(self.family(mean, scale, validate_args=False), mean.dim() - 1, validate_args=False)

    def mean(self, raw: Tensor) -> Tensor:
        """The mean (B, *shape): images in (0, 1), vectors in the units the encoder sees."""
        return to_location(raw, self.P, self.squash)
