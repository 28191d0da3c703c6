"""Encoder of linear layers, for vectors and for small images, which it flattens.

Shape letters: B batch, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.kinds.encoder import Encoder
from aerepr.kinds.part import BuildContext
from aerepr.layers.mlp import MLP, Nonlinearity
from aerepr.spec.base import ComponentSpec


class MLPEncoderSpec(ComponentSpec):
    """Table `[model.encoder]` with `name = "mlp"`."""

    width: PositiveInt = Field(128, description="what the hidden widths are multiples of")
    hidden: list[PositiveInt] | None = Field(None, description="widths of the hidden layers; left out: [2w, w]")
    nonlinearity: Nonlinearity = Field("mish", description="what follows every layer but the last")


class MLPEncoder(Encoder):
    """Vectors or flattened images to posterior parameters."""

    Spec = MLPEncoderSpec

    def __init__(self, spec: MLPEncoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        hidden = [2 * spec.width, spec.width] if spec.hidden is None else spec.hidden
        self.layers = MLP(ctx.data.shape.values, hidden, ctx.latent_dim * ctx.K, spec.nonlinearity)
        self.numbers = (ctx.latent_dim, ctx.K)
        self.resolved = {"hidden": hidden}

    def forward(self, x: Tensor) -> Tensor:
        """Posterior parameters (B, D, K) of data (B, *shape)."""
        return self.layers(x.flatten(1)).unflatten(1, self.numbers)
