"""Decoder of linear layers, for vectors and for small images.

Shape letters: B batch, C channels, H height, W width, F features, D latent dimensions, P likelihood numbers a value.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.kinds.decoder import Decoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.layers.mlp import MLP, Nonlinearity
from aerepr.spec.base import ComponentSpec


class MLPDecoderSpec(ComponentSpec):
    """Table `[model.decoder]` with `name = "mlp"`."""

    width: PositiveInt = Field(128, description="what the hidden widths are multiples of")
    hidden: list[PositiveInt] | None = Field(None, description="widths of the hidden layers; left out: [w, 2w]")
    nonlinearity: Nonlinearity = Field("mish", description="what follows every layer but the last")


class MLPDecoder(Decoder):
    """Codes to vectors or images, all dimensions entering together."""

    Spec = MLPDecoderSpec

    def __init__(self, spec: MLPDecoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.layout = LatentLayout.unstructured(ctx.latent_dim)
        hidden = [spec.width, 2 * spec.width] if spec.hidden is None else spec.hidden
        self.layers = MLP(ctx.latent_dim, hidden, ctx.P * ctx.data.shape.values, spec.nonlinearity)
        first, *rest = ctx.data.shape.sizes
        self.numbers = (ctx.P * first, *rest)
        self.resolved = {"hidden": hidden}

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W) or (B, P*F), the first number of all values first."""
        return self.layers(z_BD).unflatten(1, self.numbers)
