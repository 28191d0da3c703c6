"""Decoder `plugin_name`: a sum over the latent variables, each decoded by a network of its own.

    raw = b + sum over variables v of  f_v(z_v)

What one variable adds does not depend on the others, so each can stand for one thing in the picture.

Source: Lachapelle et al. 2023, "Additive decoders for latent variables identification".
Shape letters: B batch, C channels, H height, W width, F features, D latent dimensions, P likelihood numbers a value,
N variables, S dimensions of a variable.
"""

from __future__ import annotations

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.kinds.decoder import Decoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.layers.mlp import MLPs
from aerepr.spec.base import ComponentSpec


class PluginNameDecoderSpec(ComponentSpec):
    """Table `[model.decoder]` with `name = "plugin_name"`."""

    width: PositiveInt = Field(64, description="units of the hidden layer of each variable's network")
    variables: PositiveInt | None = Field(
        None, description="how many equal variables the latent splits into; left out: each dimension is one"
    )


class PluginNameDecoder(Decoder):
    """Codes to vectors or small images, one term a variable."""

    Spec = PluginNameDecoderSpec

    def __init__(self, spec: PluginNameDecoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        count = spec.variables or ctx.latent_dim
        self.layout = LatentLayout.equal(ctx.latent_dim, count)
        self.sizes = (count, ctx.latent_dim // count)
        first, *rest = ctx.data.shape.sizes
        self.numbers = (ctx.P * first, *rest)
        outputs = ctx.P * ctx.data.shape.values
        self.networks = MLPs(count, self.sizes[1], [spec.width], outputs, "gelu")
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W) or (B, P*F)."""
        z_NBS = z_BD.unflatten(1, self.sizes).transpose(0, 1)
        return (self.networks(z_NBS).sum(dim=0) + self.bias).unflatten(1, self.numbers)
