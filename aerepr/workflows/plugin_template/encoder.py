"""Encoder `plugin_name`: one hidden layer beside a linear map, for vectors and small images, which it flattens.

    params = W x + V gelu(U x + a) + b

The linear part alone is the encoder of a linear VAE; what is not linear in the data is the hidden layer's to learn.

Shape letters: B batch, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.kinds.encoder import Encoder
from aerepr.kinds.part import BuildContext
from aerepr.spec.base import ComponentSpec


class PluginNameEncoderSpec(ComponentSpec):
    """Table `[model.encoder]` with `name = "plugin_name"`."""

    width: PositiveInt = Field(64, description="units of the hidden layer")


class PluginNameEncoder(Encoder):
    """Data to posterior parameters."""

    Spec = PluginNameEncoderSpec

    def __init__(self, spec: PluginNameEncoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        values, outputs = ctx.data.shape.values, ctx.latent_dim * ctx.K
        self.linear = nn.Linear(values, outputs, bias=False)
        self.hidden = nn.Sequential(nn.Linear(values, spec.width), nn.GELU(), nn.Linear(spec.width, outputs))
        self.numbers = (ctx.latent_dim, ctx.K)

    def forward(self, x: Tensor) -> Tensor:
        """Posterior parameters (B, D, K) of data (B, *shape)."""
        x = x.flatten(1)
        return (self.linear(x) + self.hidden(x)).unflatten(1, self.numbers)
