"""Hourglass decoder: an MLP from the latent to a small feature map, and conv blocks that double it now and then.

The whole latent enters at the bottom, so no dimension is set apart: the layout is unstructured.

Source: Leeb et al. 2023, "Structure by Architecture", and the authors' configurations.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, P likelihood numbers a value.
"""

from __future__ import annotations

from math import prod

from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.errors import ShapeError
from aerepr.kinds.decoder import Decoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.layers.conv import Upsampling, decoder_blocks, resolved
from aerepr.layers.mlp import MLP, Nonlinearity
from aerepr.layers.positions import decoder_plan
from aerepr.spec.base import ComponentSpec


class ConvDecoderSpec(ComponentSpec):
    """Table `[model.decoder]` with `name = "conv"`."""

    width: PositiveInt = Field(64, description="channels of every block")
    depth: PositiveInt | None = Field(None, description="number of blocks; left out: 12 up to 64 pixels, 16 above")
    nonlinearity: Nonlinearity = Field("mish", description="what follows every layer but the last")
    upsample: Upsampling = Field(
        "bilinear", description="how a block doubles: bilinear before its convolution, or a transposed 4x4 one instead"
    )
    hidden: list[PositiveInt] | None = Field(
        None, description="hidden widths of the first MLP; left out: [2w, 4w] up to 12 blocks, [w, 2w, 4w] above"
    )


class ConvDecoder(Decoder):
    """Codes to images by convolution."""

    Spec = ConvDecoderSpec

    def __init__(self, spec: ConvDecoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        if not ctx.data.shape.is_image:
            raise ShapeError(f'the conv decoder needs images, the data is a {ctx.data.shape}: use name = "mlp"')
        self.layout = LatentLayout.unstructured(ctx.latent_dim)
        channels, height, width = ctx.data.shape.sizes
        plan = decoder_plan(height, width, spec.depth)
        hidden = plan.taper(4 * spec.width)[::-1] if spec.hidden is None else spec.hidden
        self.root_size = (spec.width, *plan.root)
        self.projection = MLP(ctx.latent_dim, hidden, prod(self.root_size), spec.nonlinearity)
        self.blocks = decoder_blocks(plan, spec.width, ctx.P * channels, spec.nonlinearity, spec.upsample)
        self.resolved = resolved(plan, "upsamplings", self.blocks, hidden=hidden)

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W), the first number of all channels first."""
        features_BCHW = self.projection(z_BD).unflatten(1, self.root_size)
        for block in self.blocks:
            features_BCHW = block(features_BCHW)
        return features_BCHW
