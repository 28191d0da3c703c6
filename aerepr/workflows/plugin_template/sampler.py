"""Sampler `plugin_name`: points on the lines between two stored codes.

    z = (1 - t) z_i + t z_j,   i, j and t uniform

Shape letters: B batch, N noise width or number of codes, S stored codes, D latent dimensions.
"""

from __future__ import annotations

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.errors import ShapeError
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.sampler import Sampler
from aerepr.spec.base import ComponentSpec


class PluginNameSamplerSpec(ComponentSpec):
    """Table `[sampler]` with `name = "plugin_name"`."""

    size: PositiveInt = Field(128, description="codes that are stored; all there are, if fewer")


class PluginNameSampler(Sampler):
    """Two stored codes and how far to go from one to the other."""

    Spec = PluginNameSamplerSpec
    noise = "uniform"

    def __init__(self, spec: PluginNameSamplerSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.noise_dim = 3
        # Sizes are the spec's whatever the codes, so that a saved sampler loads into one that is not fitted.
        self.codes_SD: Tensor
        self.count: Tensor
        self.register_buffer("codes_SD", torch.zeros(spec.size, ctx.latent_dim))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        """Store the first codes; a run's come in random order.

        Raises:
            ShapeError: there are no codes.
        """
        if len(codes_ND) == 0:
            raise ShapeError("the plugin_name sampler needs at least 1 code, got 0: encode some training examples")
        stored_SD = codes_ND[: len(self.codes_SD)]
        self.codes_SD.zero_()
        self.codes_SD[: len(stored_SD)] = stored_SD.to(self.codes_SD)
        self.count.fill_(len(stored_SD))

    def forward(self, noise_BN: Tensor) -> Tensor:
        """Codes z (B, D) from uniform noise (B, 3)."""
        # A uniform just below 1 times the count can round to the count.
        index_B2 = torch.minimum((noise_BN[:, :2] * self.count).floor().to(torch.int64), self.count - 1)
        first_BD = self.codes_SD.index_select(0, index_B2[:, 0])
        second_BD = self.codes_SD.index_select(0, index_B2[:, 1])
        return torch.lerp(first_BD, second_BD, noise_BN[:, 2:])
